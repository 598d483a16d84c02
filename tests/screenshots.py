"""Pictures of every tab: python -m tests.screenshots --out DIR [--checkpoints DIR]

Output: empty.png, and TAB-light.png, TAB-dark.png, TAB-phone.png and TAB-wide.png (1600 pixels, a
projector) for each tab, each with an example in it. Takes three minutes. Without --checkpoints the
answers come from a fake and mean nothing.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from demo import content
from demo.panels import Predictor
from demo.ui import build_demo, launch_settings
from tests.chromium import CHROMIUM_ARGUMENTS, chromium
from tests.fakes import FakePredictor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
WIDE = {"width": 1600, "height": 900}
TABS = {
    "examine": content.EXAMINE,
    "what-if": content.WHAT_IF,
    "teach": content.TEACH,
    "batch": content.BATCH,
    "model": content.MODEL,
}
# Parts of each tab that come last.
READY = {
    "examine": ["#answer"],
    "what-if": ["#what-if-result .dm-card"],
    "teach": ["#teach-round .dm-round"],
    "batch": ["#batch-state"],
    "model": ["#model-conditions .main-svg", "#model-reliability .main-svg"],
}


@contextmanager
def served(predictor: Predictor) -> Iterator[str]:
    """Serve the page on a free port and yield its address."""
    before = os.environ.get("GRADIO_TEMP_DIR")
    with TemporaryDirectory() as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads
        demo = build_demo(predictor)
        try:
            _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_settings())
            yield address
        finally:
            demo.close()
            if before is None:
                del os.environ["GRADIO_TEMP_DIR"]
            else:
                os.environ["GRADIO_TEMP_DIR"] = before


def open_page(browser: Browser, address: str, **context: Any) -> Page:
    """Open the page in a fresh browser profile and wait until it is ready."""
    page = browser.new_context(**context).new_page()
    page.goto(address)
    page.get_by_role("button", name="Analyse").wait_for()
    return page


def choose_example(page: Page, index: int) -> None:
    """Click an example and wait for its answer; where the model abstains, ask for it."""
    page.locator(".dm-example").nth(index).click()
    page.locator("#answer .dm-answer").wait_for()
    if page.locator("#answer .dm-would").count():
        page.locator("#answer .dm-would > summary").click()
    page.locator("#effects .dm-effects:not(.dm-loading)").wait_for()
    page.locator("#identity .dm-identity").wait_for()
    page.locator("#chart .main-svg").first.wait_for()
    page.wait_for_timeout(600)  # plotly and images settle


def open_tab(page: Page, tab: str) -> None:
    """Go to a tab, one of `TABS`, and wait until it is ready. What if needs a case in Examine."""
    page.get_by_role("tab", name=TABS[tab], exact=True).click()
    for part in READY[tab]:
        page.locator(part).first.wait_for()
    page.wait_for_timeout(1000)  # plotly draws, images arrive


def main(out: Path, checkpoints: str | None, example: int = 0) -> None:
    """Write the pictures into ``out``."""
    from playwright.sync_api import sync_playwright

    executable = chromium()
    if executable is None:
        raise SystemExit("no Chromium found; set CHROMIUM to its path")
    predictor: Predictor = FakePredictor()
    if checkpoints is not None:
        import dermmm

        predictor = dermmm.load(checkpoints)
    out.mkdir(parents=True, exist_ok=True)
    with served(predictor) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=list(CHROMIUM_ARGUMENTS)
        )
        open_page(browser, address, viewport=DESKTOP).screenshot(path=out / "empty.png")
        for name, context in (
            ("light", {"viewport": DESKTOP, "color_scheme": "light"}),
            ("dark", {"viewport": DESKTOP, "color_scheme": "dark"}),
            ("phone", {"viewport": PHONE, "color_scheme": "light", "device_scale_factor": 2}),
            ("wide", {"viewport": WIDE, "color_scheme": "light"}),
        ):
            page = open_page(browser, address, **context)
            choose_example(page, example)
            for tab in TABS:
                open_tab(page, tab)
                page.screenshot(path=out / f"{tab}-{name}.png", full_page=True)
            page.context.close()
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write pictures of the page.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--checkpoints", help="folder of the weights; a fake without it")
    parser.add_argument("--example", type=int, default=0, help="which example to show, from 0")
    args = parser.parse_args()
    main(args.out, args.checkpoints, args.example)
