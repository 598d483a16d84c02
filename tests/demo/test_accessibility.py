"""What axe finds on every tab, light and dark; and the whole way by keyboard.

The rules are axe-core's, of the package axe-playwright-python. What they call serious or critical
must not be there, unless it lies in a part that is Gradio's own and that we cannot change.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from demo import content
from demo.content import examine as words
from tests.screenshots import DESKTOP, PHONE, TABS, choose_example, open_page, open_tab

axe = pytest.importorskip("axe_playwright_python.sync_playwright")
pytestmark = pytest.mark.browser

# Parts that Gradio writes and that none of our settings reach, with what is wrong about them.
GRADIOS_OWN: dict[str, str] = {}


def findings(page: Any) -> list[str]:
    """What axe calls serious or critical: its rule, the element, and why."""
    found = []
    for violation in axe.Axe().run(page).response["violations"]:
        if violation["impact"] not in ("serious", "critical"):
            continue
        for node in violation["nodes"]:
            target = " ".join(map(str, node["target"]))
            if not any(part in target or part in node["html"] for part in GRADIOS_OWN):
                reasons = [check["message"] for check in node["any"] + node["all"] + node["none"]]
                found.append(f"{violation['id']}: {target}: {node['html'][:160]}: {reasons}")
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, address: str, scheme: str) -> None:
    page = open_page(browser, address, viewport=DESKTOP, color_scheme=scheme)
    found = {"empty": findings(page)}
    choose_example(page, 0)
    for tab in TABS:
        open_tab(page, tab)
        found[tab] = findings(page)
    page.context.close()
    assert not any(found.values()), "\n".join(
        f"{tab}: {finding}" for tab, list_ in found.items() for finding in list_
    )


def test_one_heading_of_the_first_rank_and_no_rank_left_out(browser: Any, address: str) -> None:
    page = open_page(browser, address, viewport=DESKTOP)
    choose_example(page, 0)
    for tab in TABS:
        open_tab(page, tab)
        ranks = page.evaluate(
            "[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')]"
            ".filter(heading => heading.checkVisibility()).map(heading => +heading.tagName[1])"
        )
        assert ranks.count(1) == 1, tab
        assert all(after <= before + 1 for before, after in pairwise(ranks)), (tab, ranks)
    page.context.close()


def test_an_answer_by_keyboard_alone(browser: Any, address: str) -> None:
    """From the description to the answer, and from one tab to the next, with no pointer."""
    page = open_page(browser, address, viewport=DESKTOP)
    page.locator("#description textarea").focus()
    page.keyboard.type("an itchy red patch")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "analyse":
            break
    style = "getComputedStyle(document.activeElement)"
    assert page.evaluate(f"{style}.outlineStyle + ' ' + {style}.boxShadow") != "none none"
    page.keyboard.press("Enter")
    page.locator("#answer .dm-answer").wait_for()
    page.get_by_role("tab", name=content.EXAMINE, exact=True).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    tab = page.get_by_role("tab", name=content.WHAT_IF, exact=True)
    assert tab.get_attribute("aria-selected") == "true"
    page.context.close()


def test_the_answer_is_told_to_a_screen_reader(browser: Any, address: str) -> None:
    page = open_page(browser, address, viewport=DESKTOP)
    assert page.locator("#answer [aria-live], #answer[aria-live]").count()
    assert page.locator("#description textarea").evaluate("e => e.labels.length") == 1
    page.context.close()


@pytest.mark.parametrize("width", [PHONE["width"], 1600])
def test_no_tab_scrolls_sideways(browser: Any, address: str, width: int) -> None:
    page = open_page(browser, address, viewport={"width": width, "height": 844})
    choose_example(page, 0)
    wide = []
    for tab in TABS:
        open_tab(page, tab)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(tab)
    page.context.close()
    assert not wide


def test_an_iframe_of_any_height_shows_all_of_the_page(browser: Any, address: str) -> None:
    """As on a Space: nothing may be measured by the frame's height, or it grows without end."""
    page = browser.new_context(viewport=DESKTOP).new_page()
    page.goto(f"{address}theme.css")  # only pages of an allowed address may frame it: here its own
    page.set_content(f'<iframe src="{address}" width="900" height="400"></iframe>')
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name=words.ANALYSE).wait_for()
    height = "document.documentElement.scrollHeight"
    inner = page.frames[1]
    first = inner.evaluate(height)
    assert first > 400
    for taller in (first + 100, first + 200):
        page.locator("iframe").evaluate("(frame, height) => frame.height = height", taller)
        page.wait_for_timeout(300)
        assert inner.evaluate(height) <= taller
    page.context.close()
