"""The page in Chromium: what a person sees, on a desk and on a phone, and what leaves the page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from demo.content import examine as content
from demo.examples import EXAMPLES
from tests.demo.browsing import no_sideways_scroll, upload, write
from tests.screenshots import DESKTOP, PHONE, choose_example, open_page

pytestmark = pytest.mark.browser

DRAWING = EXAMPLES[0].path
TEXT = "an itchy red patch on the arm"


def analyse(page: Any) -> None:
    page.get_by_role("button", name=content.ANALYSE).click()
    page.locator("#answer .dm-answer").wait_for()
    page.locator("#chart .main-svg").first.wait_for()


def series(page: Any) -> int:
    """How many groups of bars the chart shows."""
    count: int = page.locator("#chart .barlayer .trace").count()
    return count


def test_photo_only(page: Any) -> None:
    upload(page, DRAWING)
    analyse(page)
    assert "Only a photo was given" in page.locator("#answer").inner_text()
    assert "100%" in page.locator("#answer").inner_text()
    assert series(page) == 1
    heat = page.locator("#look .dm-heat")
    assert heat.is_visible()
    before = heat.evaluate("element => getComputedStyle(element).opacity")
    page.locator("#look input[type=range]").fill("10")
    assert heat.evaluate("element => getComputedStyle(element).opacity") != before


def test_text_only(page: Any) -> None:
    write(page, TEXT)
    analyse(page)
    assert "Only a description was given" in page.locator("#answer").inner_text()
    assert page.locator("#look .dm-photo").count() == 0
    assert page.locator("#look .dm-words").inner_text() == TEXT
    assert content.NOTHING_GIVEN not in page.content()


def test_both_and_a_words_own_map(page: Any) -> None:
    upload(page, DRAWING)
    write(page, TEXT)
    analyse(page)
    assert series(page) == 3
    assert "never learned" in page.locator(".dm-chart").inner_text()
    heat, word = page.locator("#look .dm-heat"), page.locator("#look button.dm-word").nth(1)
    whole = heat.get_attribute("src")
    word.click()
    assert heat.get_attribute("src") == word.get_attribute("data-heat") != whole
    word.press("Enter")
    assert heat.get_attribute("src") == whole


def test_neither_says_what_to_do_and_clear_starts_again(page: Any) -> None:
    page.get_by_role("button", name=content.ANALYSE).click()
    failure = page.locator("#answer .dm-failure")
    failure.wait_for()
    assert content.NOTHING_GIVEN in failure.inner_text()
    assert page.get_by_test_id("toast-body").count() == 0  # it would lie over the words
    page.locator("#clear").click()
    page.locator("#answer .dm-steps").wait_for()


def test_a_failure_hides_the_answer_before(page: Any) -> None:
    write(page, TEXT)
    analyse(page)
    write(page, "")
    page.get_by_role("button", name=content.ANALYSE).click()
    page.locator("#answer .dm-failure").wait_for()
    page.locator("#chart").wait_for(state="hidden")


def test_the_notice_is_there_before_and_in_the_answer(page: Any) -> None:
    assert page.locator(".dm-header .dm-notice").is_visible()
    write(page, TEXT)
    analyse(page)
    assert page.locator(".dm-header .dm-notice").is_visible()
    assert page.locator("#answer .dm-notice").is_visible()


def test_what_a_user_wrote_runs_nothing(page: Any) -> None:
    evil = '<img src=x onerror="window.hit=1"> ${window.hit=2} {{hit}} `${1}` <b>red</b>'
    write(page, evil)
    analyse(page)
    page.wait_for_timeout(300)
    assert page.evaluate("window.hit") is None
    assert page.locator("#look .dm-words").inner_text() == evil


def test_every_example_answers(page: Any) -> None:
    for index, example in enumerate(EXAMPLES):
        choose_example(page, index)
        assert page.locator("#description textarea").input_value() == (example.text or "")
        assert (page.locator("#look .dm-photo").count() == 1) is (example.drawing is not None)


def test_dark_page_has_light_words(browser: Any, address: str) -> None:
    page = open_page(browser, address, viewport=DESKTOP, color_scheme="dark")
    choose_example(page, 0)

    def lightness(selector: str, property_: str) -> float:
        colour: str = page.locator(selector).first.evaluate(
            "(element, property) => getComputedStyle(element)[property]", property_
        )
        channels = colour[colour.index("(") + 1 : -1].split(",")[:3]
        return sum(float(channel) for channel in channels) / (3 * 255)

    assert lightness(".dm-card", "backgroundColor") < 0.2
    assert lightness(".dm-name", "color") > 0.8
    assert lightness("#chart .xtick text", "fill") > 0.8
    page.context.close()


def test_phone_fits_and_brings_the_answer_into_view(browser: Any, address: str) -> None:
    page = open_page(
        browser, address, viewport=PHONE, has_touch=True, is_mobile=True, reduced_motion="reduce"
    )
    assert no_sideways_scroll(page)
    choose_example(page, 0)
    assert no_sideways_scroll(page)
    assert page.locator("#answer").evaluate("e => e.getBoundingClientRect().top < innerHeight / 2")
    page.context.close()


def test_nothing_leaves_and_nothing_stays(browser: Any, address: str) -> None:
    context = browser.new_context(viewport=DESKTOP)
    hosts: set[str | None] = set()
    context.on(
        "request",
        lambda request: hosts.add(
            None if request.url.startswith(("data:", "blob:")) else urlsplit(request.url).hostname
        ),
    )
    problems: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address)
    upload(page, DRAWING)
    write(page, TEXT)
    analyse(page)
    page.wait_for_timeout(500)
    assert hosts - {None} <= {"127.0.0.1", "localhost"}
    stored = page.evaluate("JSON.stringify([localStorage, sessionStorage])")
    assert TEXT not in stored
    assert "gradio_api/file" not in stored
    assert page.evaluate("indexedDB.databases()") == []
    assert problems == []
    context.close()
