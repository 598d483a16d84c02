"""Model: what it is, how it was measured, and where it fails."""

from __future__ import annotations

from demo.panels import Predictor


def build(predictor: Predictor) -> None:
    """Add the panel to the page that is being built."""
