"""What was measured for an answer: look-ups in the checkpoint's metrics.json.

A result counts as measured from ``metrics["measured_from"]`` test cases on; below that there is no
number here, and the page says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dermmm import Prediction

# Which test cases an answer is compared with, by what it was given.
ROWS = {"image": "image only", "text": "text only", "fused": "both, true pairs"}


@dataclass(frozen=True)
class Band:
    """Test cases whose first choice had a probability in (low, high]; ``right`` of ``n`` held."""

    low: float
    high: float
    n: int
    right: int


def given(prediction: Prediction) -> str:
    """What the answer rests on: "image", "text", or "fused" for both."""
    alone = [name for name in ("image", "text") if prediction.by_modality[name] is not None]
    return alone[0] if len(alone) == 1 else "fused"


def cases(prediction: Prediction, metrics: Mapping[str, Any]) -> int:
    """How many test cases of the answer's first condition had the same inputs."""
    name, _ = prediction.top(1)[0]
    return int(metrics.get("measured", {}).get(name, {}).get(given(prediction), 0))


def enough(n: int, metrics: Mapping[str, Any]) -> bool:
    """Whether ``n`` test cases make a result. Without metrics nothing was measured."""
    return "measured_from" in metrics and n >= metrics["measured_from"]


def scored_like(prediction: Prediction, metrics: Mapping[str, Any]) -> Band | None:
    """The test cases with the same inputs and about the same first probability; None if few."""
    _, p = prediction.top(1)[0]
    for band in metrics.get("reliability", {}).get(given(prediction), ()):
        if band["low"] < p <= band["high"] and enough(band["n"], metrics):
            return Band(band["low"], band["high"], band["n"], band["right"])
    return None
