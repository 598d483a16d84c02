"""The tab Model in Chromium: figures on opening, the choices, a phone, the dark."""

from __future__ import annotations

from typing import Any

import pytest

from demo.content import model as content
from tests.screenshots import DESKTOP, PHONE, open_page

pytestmark = pytest.mark.browser

FIGURES = (
    "conditions", "sources", "skin", "reliability", "risk", "gate", "attention", "folds",
)  # fmt: skip


def open_tab(browser: Any, address: str, **context: Any) -> Any:
    """The page with the tab Model open and its figures drawn."""
    page = open_page(browser, address, **context)
    page.set_default_timeout(30_000)
    # On a phone the tab may stand in the menu of those that found no place.
    tab = page.get_by_role("tab", name="Model", exact=True)
    if tab.count() and tab.first.is_visible():
        tab.first.click()
    else:
        page.locator(".overflow-menu button").first.click()
        page.locator(".overflow-dropdown button", has_text="Model").click()
    for name in FIGURES:
        page.locator(f"#model-{name} .main-svg").first.wait_for()
    return page


def test_figures_choices_and_slider(browser: Any, address: str) -> None:
    page = open_tab(browser, address, viewport=DESKTOP)
    first = page.locator("#model-conditions .annotation-text").first
    assert page.locator("#model-conditions .annotation-text").count() == 20
    page.locator("#model-conditions-answer").get_by_text(content.ANSWERS["fused"]).click()
    page.wait_for_function(
        "document.querySelectorAll('#model-conditions .annotation-text').length === 8"
    )
    assert first.is_visible()
    page.locator("#model-failures-answer").get_by_text(content.ANSWERS["text"]).click()
    page.locator("#model-errors").get_by_text("SCIN").first.wait_for()
    numbers = page.locator("#model-risk-numbers")
    assert "451 of 564" in numbers.inner_text()
    slider = page.locator("#model-surest input[type=range]")
    slider.focus()
    slider.press("ArrowLeft")
    numbers.get_by_text("423 of 564").wait_for()
    # Coming back finds the choices as they were left.
    page.get_by_role("tab", name="Examine", exact=True).click()
    page.get_by_role("tab", name="Model", exact=True).click()
    page.locator("#model-conditions .main-svg").first.wait_for()
    assert page.locator("#model-conditions .annotation-text").count() == 8
    page.context.close()


def test_links_lead_to_every_card(browser: Any, address: str) -> None:
    page = open_tab(browser, address, viewport=DESKTOP)
    links = page.locator(".dm-contents a")
    assert links.count() == len(content.CARDS)
    for place in range(links.count()):
        target = links.nth(place).get_attribute("href")
        assert page.locator(target).count() == 1
    page.context.close()


def test_phone_has_no_sideways_scroll_and_opens_the_numbers(browser: Any, address: str) -> None:
    page = open_tab(browser, address, viewport=PHONE, has_touch=True, is_mobile=True)
    for details in page.locator(".dm-numbers summary").all():
        details.click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    widest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('.dm-table')].map("
        "table => table.getBoundingClientRect().right))"
    )
    assert widest <= PHONE["width"]
    page.context.close()


def test_dark_figures_have_light_words_and_no_white(browser: Any, address: str) -> None:
    page = open_tab(browser, address, viewport=DESKTOP, color_scheme="dark")
    for name in FIGURES:
        fill = page.locator(f"#model-{name} .xtick text").first.evaluate(
            "element => getComputedStyle(element).fill"
        )
        channels = [float(one) for one in fill[fill.index("(") + 1 : -1].split(",")[:3]]
        assert min(channels) > 180, name
        back = page.locator(f"#model-{name} .main-svg").first.evaluate(
            "element => getComputedStyle(element).backgroundColor"
        )
        assert back in ("rgba(0, 0, 0, 0)", "transparent"), name
    page.context.close()
