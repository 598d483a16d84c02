"""Batch: a table of cases and its photos, answered row by row."""

from __future__ import annotations

from demo.panels import Predictor


def build(predictor: Predictor) -> None:
    """Add the panel to the page that is being built."""
