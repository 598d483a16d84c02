"""Where Chromium is, and how the tests start it."""

from __future__ import annotations

import os
import shutil

# Nothing of the browser's own may go over the network: the tests count requests.
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def chromium() -> str | None:
    """The browser named by the variable CHROMIUM, else one on the path, else None."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    return next((path for path in found if path), None)
