"""How far to believe an answer, abstention, effects and the track record, as page parts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import Any

import numpy as np
import pytest

from demo.content import examine as content
from demo.render import answer, effects, frequency, measured, track_record
from demo.render.pieces import percent, sentence
from dermmm import Deletion, Effects, Gate, ModelIdentity, Phrase, Prediction, Region
from dermmm.prediction import CAUTIONS
from tests.fakes import FakePredictor

PHOTO = np.full((60, 80, 3), 180, np.uint8)
TEXT = "a red patch, itchy, for two weeks"
CONDITION, OTHER = "melanoma", "psoriasis"

METRICS: dict[str, Any] = {
    "measured_from": 10,
    "measured": {
        CONDITION: {"image": 40, "text": 9, "fused": 0},
        OTHER: {"image": 3, "text": 0, "fused": 0},
    },
    "reliability": {
        "image": [
            {"low": 0.5, "high": 0.6, "n": 200, "right": 125, "confidence": 0.55},
            {"low": 0.6, "high": 0.7, "n": 9, "right": 9, "confidence": 0.65},
        ],
        "text": [],
        "fused": [],
    },
    "by_condition": {
        "image only": {
            CONDITION: {
                "n": 40,
                "recall": 0.525,
                "recall_interval": {"value": 0.525, "low": 0.374, "high": 0.672},
                "top3": 0.85,
                "answered": 30,
                "precision": 0.7,
                "confusions": {"a": 7, "b": 5, "c": 2, "d": 2, "e": 1, "f": 1, "g": 1},
            },
            OTHER: {"n": 3, "recall": 0.0},
        },
        "image only, skin type I–II": {
            CONDITION: {
                "n": 20,
                "recall": 0.6,
                "recall_interval": {"value": 0.6, "low": 0.41, "high": 0.77},
            }
        },
        "image only, skin type V–VI": {CONDITION: {"n": 4, "recall": 1.0}},
    },
}


def made(
    top: str = CONDITION, p: float = 0.55, given: tuple[str, ...] = ("image",), **fields: Any
) -> Prediction:
    """An answer to ``given`` inputs that puts ``top`` first with ``p``."""
    conditions = (top, OTHER if top == CONDITION else CONDITION, "acne")
    values = np.array([p, (1 - p) * 0.6, (1 - p) * 0.4])
    share = {("image",): 1.0, ("text",): 0.0}.get(given, 0.3)
    return Prediction(
        conditions=conditions,
        by_modality={
            "image": values if "image" in given else None,
            "text": values[::-1] if "text" in given else None,
            "fused": values,
        },
        gate=Gate(share, 1 - share),
        explanation=None,
        model=ModelIdentity("1.0", "ab" * 32),
        prediction_set=conditions[:2],
        set_coverage=0.9,
        **fields,
    )


def plain(html: str) -> str:
    """What a reader sees of the HTML."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


# How far to believe it


def test_frequency_is_that_of_the_band() -> None:
    words = plain(frequency.frequency(made(p=0.55), METRICS))
    assert "Of 100 test cases scored like this, about 62 were right and 38 wrong" in words
    assert "n = 200" in words
    assert "50–60%" in words
    assert "With 90% coverage" in words
    assert all(sentence(name) in words for name in (CONDITION, OTHER))
    assert "Acne" not in words


@pytest.mark.parametrize(
    ("p", "found"), [(0.5, False), (0.50001, True), (0.6, True), (0.61, False)]
)
def test_a_band_holds_its_upper_end_and_enough_cases(p: float, found: bool) -> None:
    assert (measured.scored_like(made(p=p), METRICS) is not None) is found


def test_a_hundred_dots_as_many_full_as_were_right() -> None:
    html = frequency.dots(measured.Band(0.5, 0.6, 8, 3))
    assert html.count("<circle") == 100
    assert html.count("dm-right") == 38


def test_a_band_with_few_cases_gives_no_frequency() -> None:
    words = plain(frequency.frequency(made(p=0.65), METRICS))
    assert content.TOO_FEW_LIKE in words
    assert "Of 100" not in words


@pytest.mark.parametrize(
    ("prediction", "metrics", "why"),
    [
        (made(top=OTHER), METRICS, "3 cases of psoriasis with a photo alone"),
        (made(given=("text",)), METRICS, "9 cases of melanoma with a description alone"),
        (made(given=("image", "text")), METRICS, "no cases of melanoma with photo and description"),
        (made(), {}, "was not tested"),
    ],
)
def test_what_was_never_measured_is_not_validated(
    prediction: Prediction, metrics: Mapping[str, Any], why: str
) -> None:
    words = plain(answer.answer(prediction, metrics))
    assert content.NOT_VALIDATED in words
    assert why in words
    assert "Of 100" not in words
    assert "90%" not in words


def test_a_checkpoint_without_sets_promises_no_coverage() -> None:
    prediction = replace(made(), prediction_set=(), set_coverage=None)
    assert "coverage" not in plain(frequency.frequency(prediction, METRICS))


# Abstention


@pytest.mark.parametrize("name", CAUTIONS)
def test_every_caution_says_what_it_is_and_what_to_do(name: str) -> None:
    words = plain(answer.caution(name))
    assert content.CAUTION_TITLES[name] in words
    first, _, rest = CAUTIONS[name].partition(". ")
    assert first in words
    assert rest
    assert rest in words


def test_an_abstention_pushes_no_ranking() -> None:
    prediction = made(cautions=("blur", "far from training"))
    html = answer.answer(prediction, METRICS)
    before, _, hidden = html.partition('<details class="dm-would">')
    assert content.ABSTAINS in before
    for name in prediction.conditions:
        assert sentence(name) not in before
    assert sentence(CONDITION) in hidden
    assert "Of 100" not in html
    assert "90%" not in html


def test_disagreement_alone_shows_both_answers_side_by_side() -> None:
    prediction = made(given=("image", "text"), cautions=("modalities disagree",))
    before = answer.answer(prediction, METRICS).partition("<details")[0]
    photo, text = before.partition("dm-both")[2].split(content.CHART_NAMES["text"])
    assert photo.index(sentence(CONDITION)) < photo.index("Acne")
    assert text.index("Acne") < text.index(sentence(CONDITION))
    assert percent(0.55) in photo


def test_disagreement_and_more_shows_neither() -> None:
    prediction = made(given=("image", "text"), cautions=("dark", "modalities disagree"))
    before = answer.answer(prediction, METRICS).partition("<details")[0]
    assert "dm-both" not in before
    assert "Acne" not in before


def test_one_input_leaves_out_what_it_never_learned() -> None:
    prediction = made(given=("image", "text"))
    unlearned = {**prediction.by_modality, "image": np.array([np.nan, 0.4, 0.6])}
    first = answer.first(replace(prediction, by_modality=unlearned), "image")
    assert [name for name, _ in first] == ["acne", OTHER]


# Effects


def found(**fields: Any) -> Effects:
    values: dict[str, Any] = {
        "condition": CONDITION,
        "probability": 0.6,
        "phrases": (Phrase("a <b>red</b> patch", 0, 18, -0.25), Phrase("itchy", 20, 25, 0.05)),
        "regions": (
            Region(0.0, 0.0, 0.5, 0.5, 0.1),
            Region(0.0, 0.5, 0.5, 1.0, -0.0004),
            Region(0.5, 0.0, 1.0, 0.5, -0.3),
            Region(0.5, 0.5, 1.0, 1.0, 0.0),
        ),
        "photo_deletion": Deletion(0.2, 0.3),
        "words_deletion": Deletion(0.3, 0.2),
    }
    return Effects(**{**values, **fields})


def test_effects_tell_each_part_with_its_signed_change() -> None:
    html = effects.effects(found(), FakePredictor().predict(PHOTO, TEXT))
    words = plain(html)
    for change in ("−25.0", "+5.0", "+10.0", "0.0", "−30.0"):
        assert change in words
    assert html.count('class="dm-region ') == 4
    assert "top:50.00%;left:0.00%;height:50.00%;width:50.00%;--d:1.000" in html
    assert f"{CONDITION} 60.0%" in words
    assert "row 2, column 1): to 30.0%" in words
    assert escape("a <b>red</b> patch") in html
    assert "<b>red</b>" not in html


def test_a_map_that_fails_its_test_is_called_unfaithful() -> None:
    words = plain(effects.effects(found(), FakePredictor().predict(PHOTO, TEXT)))
    photo, text = words.split(content.MAP_NAMES["words"])
    assert content.FAITHFUL in photo
    assert content.NOT_FAITHFUL not in photo
    assert content.NOT_FAITHFUL in text


def test_no_part_is_named_where_none_matters() -> None:
    still = found(phrases=(Phrase("red", 0, 3, -0.001),), regions=())
    assert "No single part" in effects.strongest(still)


@pytest.mark.parametrize(
    ("given", "present", "absent"),
    [
        ({"image": PHOTO}, content.EFFECTS_PHOTO, content.EFFECTS_TEXT),
        ({"text": TEXT}, content.EFFECTS_TEXT, content.EFFECTS_PHOTO),
    ],
)
def test_effects_of_one_input(given: dict[str, Any], present: str, absent: str) -> None:
    fake = FakePredictor()
    html = effects.effects(fake.effects(**given), fake.predict(**given))
    assert present in html
    assert absent not in html


def test_the_place_is_kept_while_the_effects_are_worked_out() -> None:
    html = effects.working(FakePredictor().predict(PHOTO, TEXT))
    assert 'role="status"' in html
    assert "<img" in html
    assert "dm-ghost" in html


def test_effects_travel_as_json() -> None:
    values = found().to_dict()
    assert values["phrases"][1] == {"text": "itchy", "start": 20, "end": 25, "change": 0.05}  # type: ignore[index]
    assert values["regions"][2]["bottom"] == 1.0  # type: ignore[index]
    assert values["words_deletion"] == {"by_map": 0.3, "at_random": 0.2, "faithful": False}
    assert found(photo_deletion=None).to_dict()["photo_deletion"] is None
    prediction = made()
    assert prediction.to_dict(found()) == {**prediction.to_dict(), "effects": values}


# Track record


def test_track_record_of_a_measured_condition() -> None:
    words = plain(track_record.track_record(made(), METRICS))
    assert "Sensitivity 52% of its 40 test cases" in words
    assert "37–67%" in words
    assert "Precision 70% of the 30 test cases" in words
    assert "19 of 40" in words
    assert "And 2 as something else" in words
    assert "I–II 20 60% 41–77%" in words
    assert "III–IV 0 not measured" in words
    assert "V–VI 4 not measured" in words
    assert answer.DESCRIPTIONS[CONDITION] in words


def test_a_condition_with_few_cases_was_not_measured() -> None:
    words = plain(track_record.track_record(made(top=OTHER), METRICS))
    assert "not measured" in words
    assert "0%" not in words
    assert content.SKIN_TOO_FEW in words


def test_with_both_inputs_skin_types_are_those_of_the_photo() -> None:
    words = plain(track_record.track_record(made(given=("image", "text")), METRICS))
    assert "With photo and description: not measured" in words
    assert "I–II 20 60%" in words
    assert content.SKIN_PHOTO_ALONE in words


def test_a_text_has_no_skin_type() -> None:
    assert content.SKIN_NONE in track_record.track_record(made(given=("text",)), METRICS)


def test_without_metrics_nothing_is_measured() -> None:
    assert "not measured" in track_record.track_record(made(), {})


@pytest.mark.parametrize(
    ("share", "n", "low", "high"), [(0.5, 10, 0.2366, 0.7634), (0.0, 20, 0.0, 0.1611)]
)
def test_wilson_by_the_book(share: float, n: int, low: float, high: float) -> None:
    """Values of the closed form, worked out by hand."""
    values = track_record.wilson(share, n)
    assert values == pytest.approx({"low": low, "high": high}, abs=1e-3)
