"""The answer as grouped bars: each input by itself, and both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

import numpy as np
import plotly.graph_objects as go

from demo.content import examine as content
from demo.render.pieces import COLOURS, NEUTRAL, PATTERNS, percent, sentence, wrapped
from dermmm import Prediction

BARS = 8


def chart(prediction: Prediction, bars: int = BARS) -> go.Figure:
    """Grouped bars: the likeliest conditions by the answer, for each input by itself and both.

    A modality that was not given is not in the figure. A condition that a modality never learned
    has no bar there; `chart_note` says so.
    """
    names = [name for name, _ in prediction.top(bars)]
    series = _series(prediction)
    figure = go.Figure()
    largest = 0.0
    for key, label in series.items():
        values = [_value(prediction, key, name) for name in names]
        largest = max([largest, *(v for v in values if v is not None)])
        figure.add_bar(
            orientation="h",
            name=label,
            y=[wrapped(sentence(name)) for name in names],
            x=values,
            text=["" if v is None else escape(percent(v)) for v in values],
            textposition="outside",
            cliponaxis=False,
            marker={
                "color": COLOURS[key],
                "pattern": {"shape": PATTERNS[key], "fgcolor": "rgba(255,255,255,0.75)", "size": 6},
                "line": {"width": 0},
            },
            hovertemplate=f"%{{y}}<br>{label}: %{{text}}<extra></extra>",
        )
    figure.update_layout(
        barmode="group",
        bargap=0.32 if len(series) > 1 else 0.45,
        bargroupgap=0.08,
        height=90 + len(names) * (30 + 15 * len(series)),
        margin={"l": 8, "r": 56, "t": 8, "b": 8},  # room for the numbers behind the bars
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": NEUTRAL, "size": 13, "family": "ui-sans-serif, system-ui, sans-serif"},
        showlegend=len(series) > 1,
        legend={
            "orientation": "h",
            "x": 0,
            "xref": "container",
            "y": 1,
            "yanchor": "top",
            "yref": "container",
            "itemclick": False,
            "itemdoubleclick": False,
        },
        dragmode=False,
        hoverlabel={"font": {"size": 13}},
    )
    if len(series) > 1:
        figure.update_layout(margin={"t": 44})
    figure.update_xaxes(
        range=[0, max(0.1, largest)],
        tickformat=".0%",
        nticks=4,
        tickangle=0,
        gridcolor="rgba(124,135,152,0.25)",
        zeroline=False,
        fixedrange=True,
    )
    figure.update_yaxes(autorange="reversed", automargin=True, fixedrange=True, ticklabelstandoff=8)
    return figure


def chart_note(prediction: Prediction) -> str:
    """Which conditions a modality never learned, as HTML; empty if it learned all of them."""
    notes = []
    for key in ("image", "text"):
        values = prediction.by_modality[key]
        if values is None or not np.isnan(values).any():
            continue
        missing = [
            sentence(name)
            for name, p in zip(prediction.conditions, values, strict=True)
            if np.isnan(p)
        ]
        name = content.GATE_NAMES[key].lower()
        notes.append(
            f"The {name} model never learned {len(missing)} of the {len(values)} conditions, so "
            f"they have no bar there: {escape(', '.join(missing))}."
        )
    return "".join(f'<p class="dm-small">{note}</p>' for note in notes)


def chart_table(prediction: Prediction, bars: int = BARS) -> str:
    """The figure's numbers as a table for people who do not see it, as HTML."""
    series = _series(prediction)
    heads = "".join(f'<th scope="col">{label}</th>' for label in ("Condition", *series.values()))
    rows = "".join(
        f'<tr><th scope="row">{escape(sentence(name))}</th>'
        + "".join(f"<td>{_told(_value(prediction, key, name))}</td>" for key in series)
        + "</tr>"
        for name, _ in prediction.top(bars)
    )
    return (
        f'<div class="dm-unseen"><table><caption>{content.CHART}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _told(value: float | None) -> str:
    return content.NEVER_LEARNED if value is None else escape(percent(value))


def _series(prediction: Prediction) -> Mapping[str, str]:
    """Keys and labels of the bars. With one input the answer is that input: one series."""
    if prediction.by_modality["image"] is None or prediction.by_modality["text"] is None:
        return {"fused": content.CHART_ALONE}
    return content.CHART_NAMES


def _value(prediction: Prediction, key: str, name: str) -> float | None:
    values = prediction.by_modality[key]
    assert values is not None
    p = float(values[prediction.conditions.index(name)])
    return None if math.isnan(p) else p
