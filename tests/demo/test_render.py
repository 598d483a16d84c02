"""Prediction -> page parts: what is shown, and that nothing a user wrote becomes markup."""

from __future__ import annotations

import numpy as np
import pytest

from demo.content import examine as content
from demo.render import answer, chart, look, page, pieces
from dermmm import NOTICE, Explanation, Gate, ModelIdentity, Prediction, Word
from dermmm.conditions import CONDITIONS, NAMES
from tests.fakes import IMAGE_NEVER_LEARNED, FakePredictor

PHOTO = np.full((60, 80, 3), 180, np.uint8)
TEXT = "an itchy red patch"


def made(
    image: list[float] | None = None,
    text: list[float] | None = None,
    fused: tuple[float, ...] = (0.6, 0.3, 0.1),
    gate: float = 0.5,
) -> Prediction:
    """A prediction over three conditions."""
    return Prediction(
        conditions=NAMES[: len(fused)],
        by_modality={
            "image": None if image is None else np.array(image),
            "text": None if text is None else np.array(text),
            "fused": np.array(fused),
        },
        gate=Gate(gate, 1 - gate),
        explanation=None,
        model=ModelIdentity("1.0", "ab" * 32),
    )


@pytest.mark.parametrize(
    ("p", "words"),
    [(0.0, "0.0%"), (0.0004, "<0.1%"), (0.1234, "12.3%"), (0.9999, ">99.9%"), (1.0, "100.0%")],
)
def test_percent(p: float, words: str) -> None:
    assert pieces.percent(p) == words


def test_headline_shows_three_conditions_with_percent_and_description() -> None:
    prediction = FakePredictor().predict(PHOTO, TEXT)
    html = answer.headline(prediction)
    assert html.count("<li") == 3
    for name, p in prediction.top(3):
        assert pieces.sentence(name) in html
        assert f"{p:.1%}" in html
    assert prediction.notice.replace("'", "&#x27;") in answer.answer(prediction, {})


def test_headline_says_what_the_others_share() -> None:
    prediction = made(image=[0.4, 0.3, 0.2, 0.1], fused=(0.4, 0.3, 0.2, 0.1), gate=1.0)
    assert "The other 1 conditions share 10.0%" in answer.headline(prediction)


def test_every_condition_has_a_description() -> None:
    assert all(answer.DESCRIPTIONS[condition.name] for condition in CONDITIONS)


def test_header_holds_the_notice() -> None:
    assert NOTICE.replace("'", "&#x27;") in page.header()


def test_chart_has_one_series_an_input_and_the_answer_on_top() -> None:
    prediction = FakePredictor().predict(PHOTO, TEXT)
    figure = chart.chart(prediction)
    assert [bar.name for bar in figure.data] == list(content.CHART_NAMES.values())
    assert all(len(bar.y) == chart.BARS for bar in figure.data)
    assert list(figure.data[0].x) == [p for _, p in prediction.top(chart.BARS)]
    assert len({bar.marker.color for bar in figure.data}) == 3
    assert len({bar.marker.pattern.shape for bar in figure.data}) == 3
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"


@pytest.mark.parametrize("given", [{"image": PHOTO}, {"text": TEXT}])
def test_chart_of_one_input_has_one_series(given: dict[str, object]) -> None:
    figure = chart.chart(FakePredictor().predict(**given))  # type: ignore[arg-type]
    assert [bar.name for bar in figure.data] == [content.CHART_ALONE]


def test_a_condition_never_learned_has_no_bar_and_a_note() -> None:
    prediction = made(image=[np.nan, 0.7, 0.3], text=[0.9, 0.05, 0.05])
    figure = chart.chart(prediction)
    by_photo = next(bar for bar in figure.data if bar.name == content.CHART_NAMES["image"])
    assert by_photo.x[0] is None
    assert by_photo.text[0] == ""
    note = chart.chart_note(prediction)
    assert "photo model never learned 1 of the 3" in note
    assert pieces.sentence(NAMES[0]) in note
    assert "description model" not in note


def test_the_charts_numbers_are_told_too() -> None:
    prediction = made(image=[np.nan, 0.7, 0.3], text=[0.9, 0.05, 0.05])
    table = chart.chart_table(prediction)
    assert table.count("<tr>") == 4
    assert table.count(content.NEVER_LEARNED) == 1
    for p in ("60.0%", "70.0%", "90.0%"):
        assert p in table


def test_no_note_when_all_was_learned() -> None:
    assert chart.chart_note(FakePredictor().predict(text=TEXT)).count("never learned") == 1
    assert chart.chart_note(made(image=[0.5, 0.3, 0.2])) == ""


def test_note_counts_what_the_fake_left_out() -> None:
    note = chart.chart_note(FakePredictor().predict(PHOTO))
    assert f"never learned {len(IMAGE_NEVER_LEARNED)} of the 26" in note


@pytest.mark.parametrize(
    ("image", "text", "gate", "expected"),
    [
        ([1.0, 0, 0], None, 1.0, ["100%", "Only a photo was given"]),
        (None, [1.0, 0, 0], 0.0, ["100%", "Only a description was given"]),
        ([1.0, 0, 0], [1.0, 0, 0], 0.618, ["62%", "38%", "more on the photo"]),
        ([1.0, 0, 0], [1.0, 0, 0], 0.2, ["20%", "80%", "more on the description"]),
        ([1.0, 0, 0], [1.0, 0, 0], 0.5, ["50%", "about the same"]),
    ],
)
def test_gate(
    image: list[float] | None, text: list[float] | None, gate: float, expected: list[str]
) -> None:
    html = answer.gate(made(image=image, text=text, gate=gate))
    assert all(part in html for part in expected)
    assert html.count('class="dm-side') == (image is not None) + (text is not None)


def test_highlighted_pieces_give_back_the_description() -> None:
    explanation = FakePredictor().predict(text="  red, itchy -- and 'odd' spots.").explanation
    assert explanation is not None and explanation.description is not None
    pieces = look.highlighted(explanation.description, explanation.words)
    assert "".join(text for text, _, _ in pieces) == explanation.description
    levels = [level for _, level, _ in pieces if level is not None]
    assert max(levels) == 1.0
    assert min(levels) >= 0.0


@pytest.mark.parametrize("photo", [None, PHOTO])
def test_what_a_user_wrote_is_escaped(photo: np.ndarray | None) -> None:
    evil = "<script>alert(1)</script> \"><img src=x onerror=alert(2)> it's & red"
    word = Word("<b>\"x'", 0, 6, 1.0, None if photo is None else np.full((2, 2), 0.25))
    description = word.text + evil
    attention = None if photo is None else np.full((2, 2), 0.25)
    prediction = made(text=[0.5, 0.3, 0.2], gate=0.0)
    prediction = Prediction(
        conditions=("<i>one</i>", "two", "three"),
        by_modality=prediction.by_modality,
        gate=prediction.gate,
        explanation=Explanation(photo, attention, description, (word,)),
        model=ModelIdentity("<u>1</u>", '"><u>'),
    )
    html = look.look(prediction) + answer.answer(prediction, {}) + answer.identity(prediction)
    html += chart.chart_note(prediction) + chart.chart_table(prediction) + answer.failure(evil)
    for tag in ("<script", "<img src=x", '<b>"x', "<i>", "<u>"):
        assert tag not in html
    assert "&lt;script&gt;" in html


def test_look_without_explanation_is_empty() -> None:
    assert look.look(made(image=[1.0, 0, 0])) == ""


def test_look_offers_word_maps_only_with_a_photo() -> None:
    fake = FakePredictor()
    assert "<button" in look.look(fake.predict(PHOTO, TEXT))
    assert "<button" not in look.look(fake.predict(text=TEXT))
    assert 'alt="The photo' in look.look(fake.predict(PHOTO))


def test_heat_is_strongest_where_the_attention_is() -> None:
    attention = np.full((4, 4), 0.01)
    attention[0, 3] = 0.85
    layer = pieces.heat(attention)
    assert layer.shape == (pieces.HEAT_SIDE, pieces.HEAT_SIDE, 4)
    assert layer.dtype == np.uint8
    row, column = np.unravel_index(layer[..., 3].argmax(), layer.shape[:2])
    assert row < pieces.HEAT_SIDE / 4
    assert column > 3 * pieces.HEAT_SIDE / 4


def test_even_attention_stays_faint() -> None:
    assert pieces.heat(np.full((7, 7), 1 / 49))[..., 3].max() < 255 / 2


def test_overlay_keeps_shape_and_changes_only_where_attended() -> None:
    attention = np.zeros((4, 4))
    attention[0, 0] = 1.0
    result = pieces.overlay(PHOTO, attention)
    assert result.shape == PHOTO.shape
    assert result.dtype == np.uint8
    assert (result[-5:, -5:] == PHOTO[-5:, -5:]).all()
    assert (result[2, 2] != PHOTO[2, 2]).any()


@pytest.mark.parametrize(
    ("cell", "where"),
    [((0, 0), "towards the top left"), ((6, 3), "towards the bottom"), ((3, 3), "middle")],
)
def test_attention_in_words(cell: tuple[int, int], where: str) -> None:
    attention = np.zeros((7, 7))
    attention[cell] = 1.0
    assert where in look.attention_sentence(attention)


def test_even_attention_in_words() -> None:
    assert "evenly" in look.attention_sentence(np.full((7, 7), 1 / 49))
