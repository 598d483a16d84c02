"""How far to believe the answer: a natural frequency and a prediction set, or that neither is
known."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from demo.content import examine as content
from demo.render import measured
from demo.render.measured import Band
from demo.render.pieces import sentence
from dermmm import Prediction

COLUMNS, ROWS = 20, 5  # a hundred dots


def frequency(prediction: Prediction, metrics: Mapping[str, Any]) -> str:
    """How often such an answer was right, and the set that holds the truth so often, as HTML.

    Where this condition was never measured with these inputs, "not validated" stands for both.
    """
    name, _ = prediction.top(1)[0]
    inputs = content.GIVEN[measured.given(prediction)]
    n = measured.cases(prediction, metrics)
    if not measured.enough(n, metrics):
        return (
            f'<div class="dm-belief dm-unknown"><h3>{content.NOT_VALIDATED}</h3>'
            f"<p>{escape(content.not_validated(name, inputs, n, metrics.get('measured_from')))}"
            "</p></div>"
        )
    band = measured.scored_like(prediction, metrics)
    found = (
        f'<p class="dm-small">{content.TOO_FEW_LIKE}</p>'
        if band is None
        else f'<div class="dm-frequency">{dots(band)}<p>{frequency_sentence(band)}'
        f'<span class="dm-small">{frequency_source(band, inputs)}</span></p></div>'
    )
    return f'<div class="dm-belief"><h3>{content.FREQUENCY}</h3>{found}</div>{coverage(prediction)}'


def per_hundred(band: Band) -> int:
    """How many of a hundred such test cases were right."""
    return round(100 * band.right / band.n)


def frequency_sentence(band: Band) -> str:
    """The frequency in words, as HTML."""
    return (
        f"Of 100 test cases scored like this, about <b>{per_hundred(band)}</b> were right "
        f"and {100 - per_hundred(band)} wrong."
    )


def frequency_source(band: Band, inputs: str) -> str:
    """Which test cases the frequency is of."""
    return (
        f"n = {band.n} test cases with {inputs}, whatever the condition, whose first answer had "
        f"{100 * band.low:.0f}–{100 * band.high:.0f}%."
    )


def dots(band: Band) -> str:
    """A hundred dots, full ones for right answers. The sentence beside says the same."""
    right = per_hundred(band)
    circles = "".join(
        f'<circle cx="{10 * (i % COLUMNS) + 5}" cy="{10 * (i // COLUMNS) + 5}" r="3.4" '
        f'class="{"dm-right" if i < right else "dm-wrong"}"/>'
        for i in range(COLUMNS * ROWS)
    )
    return (
        f'<svg class="dm-dots" viewBox="0 0 {10 * COLUMNS} {10 * ROWS}" aria-hidden="true">'
        f"{circles}</svg>"
    )


def coverage(prediction: Prediction) -> str:
    """The prediction set as HTML; empty where the checkpoint has none."""
    if prediction.set_coverage is None:
        return ""
    share = f"{prediction.set_coverage:.0%}"
    names = "".join(f"<li>{escape(sentence(name))}</li>" for name in prediction.prediction_set)
    return (
        f'<div class="dm-belief"><h3>With {share} coverage</h3><ul class="dm-set">{names}</ul>'
        f'<p class="dm-small">{content.coverage(share, len(prediction.prediction_set))}</p></div>'
    )
