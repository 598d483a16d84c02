"""What if: the case of Examine side by side with an edited one."""

from __future__ import annotations

from demo.panels import Inputs, Predictor


def build(predictor: Predictor, inputs: Inputs) -> None:
    """Add the panel to the page that is being built."""
