"""Teach: commit to an answer first, then see the model and the truth."""

from __future__ import annotations

from pathlib import Path

from demo.panels import Predictor


def build(predictor: Predictor, cases: Path | None) -> None:
    """Add the panel to the page that is being built."""
