"""Answer and reasons in Chromium: abstention, effects that follow the answer, the track record."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from demo.content import examine as content
from demo.examples import EXAMPLES
from demo.render.pieces import sentence
from dermmm import Effects, Prediction
from tests.demo.browsing import no_sideways_scroll, upload, write
from tests.fakes import FakePredictor
from tests.screenshots import PHONE, open_page, served

pytestmark = pytest.mark.browser

TEXT = "an itchy red patch, dark at the edge, growing"
DOUBTFUL, BREAKING, SLOW, READING = "doubtful", "effects break", "effects wait", "answer waits"


class Moody(FakePredictor):
    """Abstains, breaks or waits where the description says so."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Event()

    def predict(self, image: Any = None, text: str | None = None, explain: bool = True) -> Any:
        if READING in (text or ""):
            assert self.may_go_on.wait(30)
        prediction: Prediction = super().predict(image, text, explain)
        doubtful = DOUBTFUL in (text or "")
        return replace(prediction, cautions=("words unknown",)) if doubtful else prediction

    def effects(self, image: Any = None, text: str | None = None) -> Effects:
        if BREAKING in (text or ""):
            raise RuntimeError("internal detail")
        if SLOW in (text or ""):
            assert self.may_go_on.wait(30)
        return super().effects(image, text)


@pytest.fixture(scope="module")
def moody() -> Moody:
    return Moody()


@pytest.fixture(scope="module")
def address(moody: Moody) -> Iterator[str]:
    with served(moody) as address:
        yield address


def analyse(page: Any, text: str, photo: bool = False) -> None:
    if photo:
        upload(page, EXAMPLES[0].path)
        page.locator("#photo img").first.wait_for()
    write(page, text)
    page.get_by_role("button", name=content.ANALYSE).click()
    page.locator("#answer .dm-answer").wait_for()


def test_abstaining_shows_the_ranking_only_on_request(page: Any) -> None:
    text = f"{TEXT}, {DOUBTFUL}"
    analyse(page, text)
    first = sentence(FakePredictor().predict(text=text).top(1)[0][0])
    answer, chart = page.locator("#answer"), page.locator("#chart .main-svg").first
    assert content.CAUTION_TITLES["words unknown"] in answer.inner_text()
    assert first not in answer.inner_text()
    assert not chart.is_visible()
    summary = answer.locator(".dm-would > summary")
    summary.focus()
    summary.press("Enter")
    chart.wait_for()
    assert first in answer.inner_text()
    assert chart.bounding_box()["width"] > 300
    summary.press("Enter")
    chart.wait_for(state="hidden")


def test_an_answer_after_an_abstention_shows_its_parts(page: Any) -> None:
    analyse(page, f"{TEXT}, {DOUBTFUL}")
    page.locator("#answer .dm-abstains").wait_for()
    write(page, TEXT)
    page.get_by_role("button", name=content.ANALYSE).click()
    page.locator("#chart .main-svg").first.wait_for()
    assert page.locator("#answer .dm-abstains").count() == 0


def test_effects_come_after_the_answer_and_nothing_jumps(page: Any, moody: Moody) -> None:
    moody.may_go_on.clear()
    analyse(page, f"{TEXT}, {SLOW}", photo=True)
    card = page.locator("#effects .dm-effects")
    card.wait_for()
    page.locator("#chart .main-svg").first.wait_for()
    page.wait_for_timeout(500)  # plotly and images settle
    assert "dm-loading" in card.get_attribute("class")
    before = card.bounding_box()["y"]
    moody.may_go_on.set()
    page.locator("#effects .dm-effects:not(.dm-loading)").wait_for()
    assert card.bounding_box()["y"] == pytest.approx(before, abs=1)
    assert card.locator(".dm-region").count() == 16
    assert card.locator(".dm-phrases tbody tr").count() == 4


def test_nothing_jumps_while_the_next_case_is_read(page: Any, moody: Moody) -> None:
    analyse(page, TEXT)
    page.locator("#effects .dm-effects:not(.dm-loading)").wait_for()
    page.wait_for_timeout(500)  # plotly settles
    before = page.locator("#record").bounding_box()["y"]
    moody.may_go_on.clear()
    write(page, f"{TEXT}, {READING}")
    page.get_by_role("button", name=content.ANALYSE).click()
    page.locator("#answer .dm-loading").wait_for()
    during = page.locator("#record").bounding_box()["y"]
    moody.may_go_on.set()
    page.locator("#answer .dm-answer").wait_for()
    assert during == pytest.approx(before, abs=1)
    assert page.locator("#answer-side").evaluate("element => element.style.minHeight") == ""


def test_clear_waits_for_nobody_and_the_next_case_is_not_lost(page: Any, moody: Moody) -> None:
    """However long the effects take, and the server with them: what is typed next stays."""
    moody.may_go_on.clear()
    analyse(page, f"{TEXT}, {SLOW}", photo=True)
    page.locator("#effects .dm-loading").wait_for()
    page.locator("#clear").click()
    page.locator("#answer .dm-steps").wait_for()
    write(page, TEXT)
    page.get_by_role("button", name=content.ANALYSE).click()
    page.wait_for_timeout(300)
    moody.may_go_on.set()
    page.locator("#look .dm-words").get_by_text(TEXT, exact=True).wait_for()
    page.locator("#effects .dm-effects:not(.dm-loading)").wait_for()
    assert page.locator("#description textarea").input_value() == TEXT
    assert page.locator("#look .dm-photo").count() == 0


def test_an_answer_that_comes_after_clear_is_not_shown(page: Any, moody: Moody) -> None:
    moody.may_go_on.clear()
    write(page, f"{TEXT}, {READING}")
    page.get_by_role("button", name=content.ANALYSE).click()
    page.locator("#answer .dm-loading").wait_for()
    page.locator("#clear").click()
    page.locator("#answer .dm-steps").wait_for()
    moody.may_go_on.set()
    page.wait_for_timeout(1000)
    assert page.locator("#answer .dm-steps").is_visible()
    assert page.locator("#answer .dm-answer").count() == 0
    write(page, TEXT)  # and the next case is answered
    page.get_by_role("button", name=content.ANALYSE).click()
    page.locator("#look .dm-words").get_by_text(TEXT, exact=True).wait_for()


def test_a_case_that_waits_shows_that_it_does(page: Any, browser: Any, moody: Moody) -> None:
    moody.may_go_on.clear()
    write(page, f"{TEXT}, {READING}")
    page.get_by_role("button", name=content.ANALYSE).click()
    page.locator("#answer .dm-loading").wait_for()
    other = browser.new_context().new_page()
    other.goto(page.url)
    write(other, TEXT)
    other.get_by_role("button", name=content.ANALYSE).click()
    other.locator("#answer .dm-loading").wait_for()
    assert other.locator("#answer .dm-answer").count() == 0
    moody.may_go_on.set()
    other.locator("#answer .dm-answer").wait_for()
    other.context.close()


def test_the_changes_over_the_photo_can_be_hidden(page: Any) -> None:
    analyse(page, TEXT, photo=True)
    region = page.locator("#effects .dm-region").first
    region.wait_for()
    page.get_by_label(content.EFFECTS_SHOW).press("Space")
    assert not region.is_visible()


def test_effects_that_break_leave_the_answer(page: Any) -> None:
    analyse(page, f"{TEXT}, {BREAKING}")
    failed = page.locator("#effects .dm-effects:not(.dm-loading)")
    failed.wait_for()
    assert content.EFFECTS_FAILED in failed.inner_text()
    assert page.locator("#answer .dm-conditions").is_visible()
    assert "internal detail" not in page.content()


def test_the_track_record_opens_by_keyboard(page: Any) -> None:
    analyse(page, TEXT)
    summary = page.locator("#record summary")
    summary.wait_for()
    body = page.locator("#record .dm-blocks")
    assert not body.is_visible()
    summary.press("Enter")
    assert body.is_visible()


def test_all_of_it_fits_a_phone(browser: Any, address: str) -> None:
    page = open_page(
        browser, address, viewport=PHONE, has_touch=True, is_mobile=True, reduced_motion="reduce"
    )
    page.set_default_timeout(15_000)
    analyse(page, TEXT, photo=True)
    page.locator("#effects .dm-region").first.wait_for()
    page.locator("#record summary").click()
    assert no_sideways_scroll(page)
    page.context.close()
