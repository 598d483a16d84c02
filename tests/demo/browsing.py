"""What a person does in Examine, for the browser tests of several modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def upload(page: Any, photo: Path | str | None) -> None:
    """Choose a photo, and wait until the server has it."""
    with page.expect_response(lambda response: "/upload" in response.url):
        page.locator("#photo input[type=file]").first.set_input_files(str(photo))


def write(page: Any, text: str) -> None:
    """Put a text into the description."""
    page.locator("#description textarea").fill(text)


def no_sideways_scroll(page: Any) -> bool:
    """Whether the page is no wider than the window."""
    fits: bool = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return fits
