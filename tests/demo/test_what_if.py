"""The tab What if: what it says of two answers, what it asks the model, and it in Chromium."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import gradio as gr
import numpy as np
import pytest

from demo.content import what_if as content
from demo.edits import GRID, Edits, edited
from demo.examples import EXAMPLES
from demo.panels.what_if import Case, Changes, edited_case, usual_experiments
from demo.render import what_if as render
from dermmm import Gate, ModelIdentity, Prediction
from dermmm.phrases import phrases
from dermmm.prediction import CAUTIONS
from dermmm.predictor import Predictor as RealPredictor
from tests.fakes import FakePredictor
from tests.screenshots import PHONE, open_page

CONDITIONS = ("acne", "eczema", "melanoma", "mpox", "psoriasis", "vitiligo", "warts")
PHOTO = np.random.default_rng(0).integers(0, 256, (36, 48, 3), dtype=np.uint8)
TEXT = "An itchy patch on the arm, since May. It bled once, and it grew."


def answer(*probabilities: float, **fields: Any) -> Prediction:
    """A prediction over the first `CONDITIONS`; what is left of 1 goes to the last one."""
    values = np.zeros(len(CONDITIONS))
    values[: len(probabilities)] = probabilities
    values[-1] += 1 - values.sum()
    made: dict[str, Any] = {
        "conditions": CONDITIONS,
        "by_modality": {"image": values, "text": values, "fused": values},
        "gate": Gate(0.4, 0.6),
        "explanation": None,
        "model": ModelIdentity("0", "0" * 64),
    }
    return Prediction(**(made | fields))


BEFORE = answer(0.6, 0.2, 0.1)
AFTER = answer(0.15, 0.55, 0.1)


# --- rendering ------------------------------------------------------------------------------------


def test_shifts_are_signed_and_hold_the_first_of_either_answer() -> None:
    found = render.shifts(BEFORE, AFTER, top=1)
    assert [(s.name, s.before, s.after) for s in found] == [
        ("acne", 0.6, 0.15),
        ("eczema", 0.2, 0.55),
    ]
    assert [round(s.change, 9) for s in found] == [-0.45, 0.35]


def test_changes_tell_sign_by_words_side_and_pattern() -> None:
    html = render.changes(BEFORE, AFTER, ["photo left out"])
    assert "First is now eczema with 55.0%; before it was acne with 60.0%." in html
    assert "−45.0" in html
    assert "+35.0" in html
    assert html.count("dm-if-less") == 1
    assert "60.0%" in html
    assert "photo left out" in html
    # The largest change fills its side; the other is in proportion.
    shares = [float(share) for share in re.findall(r"--share:([\d.]+)", html)]
    assert shares[:2] == pytest.approx([1.0, 0.35 / 0.45], abs=1e-3)


def test_a_small_change_is_not_blown_up() -> None:
    html = render.changes(BEFORE, answer(0.59, 0.21, 0.1), ["blur 1 %"])
    assert max(float(share) for share in re.findall(r"--share:([\d.]+)", html)) == 0.1
    assert "Acne stays first: 60.0% before, 59.0% now." in html


def test_without_a_change_there_are_no_bars() -> None:
    html = render.changes(BEFORE, BEFORE, [])
    assert content.NOTHING_CHANGED in html
    assert "dm-if-delta" not in html


def test_edits_are_said_in_words() -> None:
    edits = Edits(cells=(1, 2), use="crop", stops=-1.25, blur=0.5, mirror=True)
    assert render.edits_in_words(edits, True, "a", "b") == [
        "cropped to 2 cells",
        "brightness −1.25 stops",
        "blur 0.5 %",
        "left and right swapped",
        "description rewritten",
    ]
    assert render.edits_in_words(edits, False, "a", None) == [
        "photo left out",
        "description left out",
    ]
    assert render.edits_in_words(Edits(cells=(3,)), True, None, "b") == [
        "1 cell covered",
        "description added",
    ]
    assert render.edits_in_words(Edits(), True, "a", "a") == []


def test_both_gates_are_shown_and_an_input_left_out_is_not() -> None:
    alone = answer(0.5, by_modality={"image": None, "text": None, "fused": AFTER.probabilities})
    alone.by_modality["text"] = AFTER.probabilities  # type: ignore[index]
    alone = dataclasses.replace(alone, gate=Gate(0.0, 1.0))
    html = render.gates(BEFORE, alone)
    assert "Photo <b>40%</b>" in html
    assert "Description <b>60%</b>" in html
    assert "Description <b>100%</b>" in html
    assert "<b>0%</b>" not in html


def test_what_enters_and_leaves_the_set() -> None:
    html = render.certainty(
        answer(0.6, prediction_set=("acne", "mpox"), set_coverage=0.9),
        answer(0.2, prediction_set=("eczema", "mpox", "warts"), set_coverage=0.9),
    )
    assert f"<b>{content.JOINED}:</b> eczema, warts." in html
    assert f"<b>{content.LEFT}:</b> acne." in html
    assert "90%" in html
    assert content.NO_SET in render.certainty(BEFORE, AFTER)


def test_cautions_that_appear_vanish_and_stay() -> None:
    html = render.certainty(
        answer(0.6, cautions=("blur", "dark")), answer(0.6, cautions=("words unknown", "dark"))
    )
    new, kept, gone = (html.index(f"dm-if-caution-{kind}") for kind in ("new", "kept", "gone"))
    assert new < kept < gone
    assert CAUTIONS["words unknown"] in html[new:kept]
    assert CAUTIONS["blur"] in html[gone:]
    assert content.NO_CAUTIONS in render.certainty(BEFORE, AFTER)


def test_maps_show_what_either_case_has() -> None:
    predictor = FakePredictor()
    both, text = predictor.predict(PHOTO, TEXT), predictor.predict(None, TEXT)
    html = render.maps(both, text)
    assert html.count("dm-heat") == 1
    assert content.MAPS_NO_PHOTO in html
    assert html.count('class="dm-words"') == 2
    assert 'type="range"' in html
    words_alone = render.maps(text, text)
    assert content.MAPS_NO_PHOTO not in words_alone
    assert 'type="range"' not in words_alone


@pytest.mark.parametrize(
    ("before", "after", "which"),
    [(("blur",), (), "before"), ((), ("blur",), "after"), (("blur",), ("dark",), "both")],
)
def test_an_abstaining_model_is_named_before_the_numbers(
    before: tuple[str, ...], after: tuple[str, ...], which: str
) -> None:
    html = render.changes(answer(0.6, cautions=before), answer(0.5, cautions=after), ["blur 1 %"])
    assert html.index(content.ABSTAINS[which]) < html.index("dm-if-shifts")


def test_the_grid_names_every_cell_and_has_one_tab_stop() -> None:
    html = render.picker(PHOTO, "token")
    assert html.count("<button") == GRID * GRID
    assert html.count('tabindex="0"') == 1
    assert 'aria-label="row 6, column 6"' in html
    assert render.picker(PHOTO, "other") != html  # drawn afresh, so nothing stays pressed


def test_what_a_user_wrote_is_escaped() -> None:
    evil = '<b onclick="x">“red”</b> skin, and it itches'
    predictor = FakePredictor()
    case = Case(PHOTO, evil)
    before, after, said = edited_case(predictor, case, Changes(f"{evil} now"))
    table = render.experiments(*usual_experiments(predictor, case))
    for html in (render.comparison(before, after, said), render.maps(before, after), table):
        assert "<b onclick" not in html
    assert "&lt;b onclick=" in table


# --- which cases are asked ------------------------------------------------------------------------


def test_without_changes_the_model_is_asked_once() -> None:
    predictor = FakePredictor()
    before, after, said = edited_case(predictor, Case(PHOTO, TEXT), Changes(f" {TEXT} "))
    assert after is before
    assert said == []
    assert len(predictor.calls) == 1


def test_the_edited_case_is_what_the_model_gets() -> None:
    predictor, edits = FakePredictor(), Edits(cells=(0, 1), mirror=True)
    edited_case(predictor, Case(PHOTO, TEXT), Changes("a dark spot", edits=edits))
    photo, text = predictor.calls[-1]
    assert np.array_equal(photo, edited(PHOTO, edits))
    assert text == "a dark spot"
    edited_case(predictor, Case(PHOTO, TEXT), Changes(TEXT, with_photo=False))
    assert predictor.calls[-1] == (None, TEXT)
    edited_case(predictor, Case(PHOTO, TEXT), Changes(""))
    assert predictor.calls[-1][1] is None


def test_a_photo_that_is_not_there_can_not_be_edited() -> None:
    predictor = FakePredictor()
    _, after, said = edited_case(
        predictor, Case(None, TEXT), Changes("a dark spot", with_photo=False)
    )
    assert said == [content.EDITS["text"]]
    assert after.by_modality["image"] is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (Changes(" ", with_photo=False), "Keep the photo or some words"),
        (Changes(TEXT, edits=Edits(stops=9)), "9 stops"),
        (Changes("crash the model"), "could not finish"),
    ],
)
def test_what_cannot_be_answered_says_why(changes: Changes, message: str) -> None:
    with pytest.raises(gr.Error) as caught:
        edited_case(FakePredictor(), Case(PHOTO, TEXT), changes)
    assert message in caught.value.message


def test_experiments_leave_out_each_part_once() -> None:
    original, done = usual_experiments(FakePredictor(), Case(PHOTO, TEXT))
    assert original.gate.image > 0
    assert [e.what for e in done[:2]] == [content.THE_PHOTO, content.THE_TEXT]
    assert done[0].prediction.by_modality["image"] is None
    assert done[1].prediction.by_modality["text"] is None
    left_out = [TEXT[start:end] for start, end in phrases(TEXT)]
    assert [e.what for e in done[2:]] == [f"“{phrase}”" for phrase in left_out]
    for phrase, experiment in zip(left_out, done[2:], strict=True):
        assert phrase not in experiment.text
        assert experiment.with_photo
    html = render.experiments(original, done)
    assert html.count("<tr") == 2 + len(done)


@pytest.mark.parametrize("case", [Case(PHOTO, None), Case(None, "itchy")])
def test_a_case_of_one_part_has_nothing_to_leave_out(case: Case) -> None:
    original, done = usual_experiments(FakePredictor(), case)
    assert done == []
    assert content.NO_EXPERIMENTS in render.experiments(original, done)


def test_a_long_text_gives_at_most_twelve_phrases() -> None:
    text = ", ".join(f"spot {n}" for n in range(30))
    _, done = usual_experiments(FakePredictor(), Case(None, text))
    assert len(done) == 12


def test_cases_are_told_apart() -> None:
    keys = {
        case.key
        for case in (
            Case(None, "a"),
            Case(PHOTO, None),
            Case(PHOTO, "a"),
            Case(PHOTO.reshape(48, 36, 3), "a"),
            Case(PHOTO[::-1], "a"),
        )
    }
    assert len(keys) == 5
    assert Case(None, None).key == ""
    assert Case(PHOTO.copy(), "a").key in keys


def test_the_real_predictor_answers_the_decoded_photo_as_the_file(
    predictor: RealPredictor, photo: Any
) -> None:
    """No edit, no change: the photo's pixels give exactly the answer that its file gives."""
    pixels = predictor.open_photo(photo)
    by_file, by_pixels = predictor.predict(photo, TEXT), predictor.predict(pixels, TEXT)
    assert np.array_equal(by_file.probabilities, by_pixels.probabilities)
    _, done = usual_experiments(predictor, Case(pixels, TEXT))
    effects = predictor.effects(pixels, TEXT)
    first = by_file.conditions.index(effects.condition)
    # The tab Examine shows these changes too: they are the same numbers.
    changes = [
        float(e.prediction.probabilities[first] - by_file.probabilities[first]) for e in done[2:]
    ]
    assert changes == pytest.approx([phrase.change for phrase in effects.phrases], abs=1e-4)


# --- in Chromium ----------------------------------------------------------------------------------


def go_to(page: Any, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def take_example(page: Any) -> None:
    go_to(page, "What if")
    page.get_by_role("button", name=content.TAKE_EXAMPLE).click()
    page.locator("#what-if-result .dm-if-shifts").wait_for()


def said(page: Any, words: str) -> None:
    """Wait until the tab says that this was changed."""
    page.locator("#what-if-result .dm-if-edits", has_text=words).wait_for()


def cell(page: Any, row: int, column: int) -> Any:
    return page.get_by_role("button", name=f"row {row}, column {column}", exact=True)


class TestInChromium:
    pytestmark = pytest.mark.browser

    def test_without_a_case_it_says_so_and_leads_to_one(self, page: Any) -> None:
        go_to(page, "What if")
        page.get_by_text(content.EMPTY_TITLE).wait_for()
        page.get_by_role("button", name=content.OPEN_EXAMINE).click()
        page.locator("#analyse").wait_for()
        page.locator("#description textarea").fill("an itchy patch on the arm")
        go_to(page, "What if")
        page.get_by_text(content.NOTHING_CHANGED).wait_for()
        assert page.locator("#what-if-text textarea").input_value() == "an itchy patch on the arm"
        assert page.locator(".dm-if-cell:visible").count() == 0  # no photo, no grid

    def test_every_change_is_answered(self, page: Any) -> None:
        take_example(page)
        for row, column in ((2, 3), (2, 4), (3, 3), (3, 4)):  # faster than the model answers
            cell(page, row, column).click()
        said(page, "4 cells covered")
        page.get_by_label(content.USES["crop"], exact=True).check()
        said(page, "cropped to 4 cells")
        page.get_by_label(content.MIRROR).check()
        said(page, "left and right swapped")
        page.get_by_role("slider", name=re.compile("Brightness")).press("ArrowLeft")
        said(page, "brightness −0.25 stops")
        page.locator("#what-if-text textarea").fill("a flat brown spot")
        page.get_by_role("button", name=content.COMPARE).click()
        said(page, "description rewritten")
        assert page.locator("#what-if-result .dm-if-gate").count() == 2
        assert page.locator("#what-if-maps .dm-heat").count() == 2
        page.get_by_role("button", name=content.UNDO).click()
        page.get_by_text(content.NOTHING_CHANGED).wait_for()
        assert page.locator('.dm-if-cell[aria-pressed="true"]').count() == 0
        assert not page.get_by_label(content.MIRROR).is_checked()
        assert page.locator("#what-if-text textarea").input_value() == EXAMPLES[0].text

    def test_the_grid_works_by_keyboard(self, page: Any) -> None:
        take_example(page)
        cell(page, 1, 1).focus()
        for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowLeft", "End", "Space"):
            page.keyboard.press(key)
        said(page, "1 cell covered")
        assert cell(page, 2, 6).get_attribute("aria-pressed") == "true"
        page.keyboard.press("Space")
        page.get_by_text(content.NOTHING_CHANGED).wait_for()

    def test_leaving_everything_out_says_what_to_do(self, page: Any) -> None:
        take_example(page)
        page.get_by_label(content.KEEP_PHOTO).uncheck()
        said(page, "photo left out")
        page.locator("#what-if-text textarea").fill("")
        page.get_by_role("button", name=content.COMPARE).click()
        page.locator("#what-if-result .dm-failure", has_text="Keep the photo").wait_for()

    def test_experiments_and_a_row_of_them(self, page: Any) -> None:
        take_example(page)
        page.get_by_role("button", name=content.RUN_EXPERIMENTS).click()
        page.locator(".dm-if-experiments").wait_for()
        assert page.locator(".dm-if-experiments tbody tr").count() > 4
        page.get_by_role("button", name=f"Show the case without {content.THE_PHOTO}").click()
        said(page, "photo left out")
        assert not page.get_by_label(content.KEEP_PHOTO).is_checked()

    def test_it_keeps_its_changes_and_notices_another_case(self, page: Any) -> None:
        take_example(page)
        cell(page, 1, 1).click()
        said(page, "1 cell covered")
        go_to(page, "Examine")
        go_to(page, "What if")
        said(page, "1 cell covered")
        assert cell(page, 1, 1).get_attribute("aria-pressed") == "true"
        go_to(page, "Examine")
        page.locator("#description textarea").fill("a scaly ring")
        go_to(page, "What if")
        page.get_by_text(content.NOTHING_CHANGED).wait_for()
        assert page.locator("#what-if-text textarea").input_value() == "a scaly ring"
        assert cell(page, 1, 1).get_attribute("aria-pressed") == "false"

    def test_a_phone_shows_all_of_it(self, browser: Any, address: str) -> None:
        page = open_page(browser, address, viewport=PHONE, has_touch=True, is_mobile=True)
        page.set_default_timeout(15_000)
        take_example(page)
        cell(page, 3, 3).tap()
        said(page, "1 cell covered")
        page.get_by_role("button", name=content.RUN_EXPERIMENTS).click()
        page.locator(".dm-if-experiments").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.context.close()
