"""What the browser tests share: one Chromium a module, and the page with a fake model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.chromium import CHROMIUM_ARGUMENTS, chromium
from tests.fakes import FakePredictor
from tests.screenshots import DESKTOP, open_page, served


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if chromium() is None:
        pytest.skip("no Chromium on the path, and CHROMIUM names none")
    playwright_api = pytest.importorskip("playwright.sync_api")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=list(CHROMIUM_ARGUMENTS)
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of the page; a module with a predictor of its own has its own."""
    with served(FakePredictor()) as address:
        yield address


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page in a fresh profile, on a desk."""
    page = open_page(browser, address, viewport=DESKTOP)
    page.set_default_timeout(20_000)
    yield page
    page.context.close()
