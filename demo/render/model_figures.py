"""The figures of the tab Model: metrics.json -> plotly.

Shares are 0..1. An interval is a mapping with value, low and high, 95 % wide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go

from demo.content import model as content
from demo.render.measured import ROWS, enough
from demo.render.pieces import COLOURS, NEUTRAL, sentence

Interval = Mapping[str, float]
Metrics = Mapping[str, Any]

# Answers are told apart by colour and by symbol, lines by dash as well.
SYMBOLS = {"image": "circle", "text": "square", "fused": "diamond"}
DASHES = {"image": "solid", "text": "dot", "fused": "dash"}
# Ways to worsen an input; all of the photo share its colour.
KIND_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
KIND_SYMBOLS = ("circle", "x", "triangle-up", "star", "cross")
SHOWN_MAPS = ("attention", "class evidence")  # the page shows the first of these that there is

CLEAR = "rgba(0,0,0,0)"
GRID = "rgba(124,135,152,0.25)"
ROW = 40  # pixels of a row with its label
Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True)
class Dot:
    """One row of `forest`: a score with its interval, of one of the three answers."""

    label: str
    interval: Interval
    answer: str
    chance: float | None = None


def forest(dots: Sequence[Dot], axis: str, zero: bool = False) -> go.Figure:
    """A dot and its interval a row, from above; a grey tick where chance is.

    Scores are shares on an axis of 0..1, or, with ``zero``, differences around a line at 0. A label
    stands above its dot and not beside it: on a phone there is no room for both.
    """
    chances = [(dot.chance, escape(dot.label)) for dot in dots if dot.chance]
    figure = _figure(64 + ROW * len(dots), legend=bool(chances))
    for answer in dict.fromkeys(dot.answer for dot in dots):
        rows = [(escape(dot.label), dot.interval) for dot in dots if dot.answer == answer]
        if rows:
            figure.add_scatter(
                x=[interval["value"] for _, interval in rows],
                y=[label for label, _ in rows],
                error_x={**_bars([interval for _, interval in rows]), "color": _colour(answer)},
                customdata=[[interval["low"], interval["high"]] for _, interval in rows],
                mode="markers",
                name=sentence(content.SHORT.get(answer, answer)),
                marker={
                    "size": 9,
                    "color": _colour(answer),
                    "symbol": SYMBOLS.get(answer, "circle-open"),
                },
                hovertemplate="%{y}<br>%{x:+.3f} (%{customdata[0]:+.3f} to %{customdata[1]:+.3f})"
                "<extra></extra>"
                if zero
                else "%{y}<br>%{x:.0%} (%{customdata[0]:.0%}–%{customdata[1]:.0%})<extra></extra>",
            )
    if chances:
        figure.add_scatter(
            x=[chance for chance, _ in chances],
            y=[label for _, label in chances],
            mode="markers",
            name=sentence(content.CHANCE),
            marker={"symbol": "line-ns-open", "size": 6, "color": NEUTRAL, "line": {"width": 3}},
            hovertemplate=f"%{{y}}<br>{content.CHANCE}: %{{x:.1%}}<extra></extra>",
        )
    figure.update_xaxes(title_text=axis, **_SHARE)
    if zero:
        ends = [0.0, *(dot.interval[end] for dot in dots for end in ("low", "high"))]
        room = 0.06 * (max(ends) - min(ends))
        figure.update_xaxes(
            range=[min(ends) - room, max(ends) + room],
            tickformat="+.2f",
            dtick=None,
            nticks=5,
            zeroline=True,
            zerolinecolor=NEUTRAL,
            zerolinewidth=2,
        )
    names = [escape(dot.label) for dot in dots]
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=names,
        range=[len(dots) - 0.5, -0.8],
        showticklabels=False,
    )
    for name in names:
        figure.add_annotation(
            text=name,
            x=0,
            xref="paper",
            xanchor="left",
            y=name,
            yanchor="bottom",
            yshift=4,
            showarrow=False,
        )
    return figure


def conditions(metrics: Metrics, answer: str) -> go.Figure:
    """Sensitivity of every measured condition with cases, the best above."""
    found = measured_conditions(metrics, answer)
    return forest(
        [
            Dot(f"{sentence(name)} ({row['n']})", row["recall_interval"], answer)
            for name, row in found.items()
        ],
        content.CONDITIONS_AXIS,
    )


def measured_conditions(metrics: Metrics, answer: str) -> dict[str, Mapping[str, Any]]:
    """The conditions with enough cases of an answer, by falling sensitivity."""
    found = metrics.get("by_condition", {}).get(ROWS[answer], {})
    shown = {name: row for name, row in found.items() if enough(row["n"], metrics)}
    return dict(sorted(shown.items(), key=lambda item: -item[1]["recall"]))


def parts(metrics: Metrics, rows: Mapping[str, tuple[str, str]]) -> go.Figure:
    """Balanced accuracy of some rows of the metrics: row -> (label, answer)."""
    return forest(
        [
            Dot(f"{label} ({row['n']})", row["balanced_accuracy"], answer, row["chance"])
            for name, (label, answer) in rows.items()
            if enough((row := metrics["rows"][name])["n"], metrics)
        ],
        content.BALANCED_AXIS,
    )


def reliability(metrics: Metrics) -> go.Figure:
    """How often answers of a probability are right, with Wilson's intervals."""
    figure = _figure(400, legend=True)
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        name=content.RELIABILITY_LINE,
        line={"color": NEUTRAL, "dash": "dot", "width": 1.5},
        hoverinfo="skip",
    )
    for answer, bands in metrics["reliability"].items():
        shown = [band for band in bands if enough(band["n"], metrics)]
        figure.add_scatter(
            x=[band["confidence"] for band in shown],
            y=[band["right"] / band["n"] for band in shown],
            error_y={
                **_bars([wilson(band["right"], band["n"]) for band in shown]),
                "color": COLOURS[answer],
            },
            customdata=[[band["right"], band["n"]] for band in shown],
            mode="lines+markers",
            name=sentence(content.SHORT[answer]),
            line={"color": COLOURS[answer], "dash": DASHES[answer], "width": 2},
            marker={"size": 8, "symbol": SYMBOLS[answer]},
            hovertemplate=f"{content.ANSWERS[answer]}, about %{{x:.0%}}<br>"
            "%{customdata[0]} of %{customdata[1]} right: %{y:.0%}<extra></extra>",
        )
    across, up = content.RELIABILITY_AXES
    figure.update_xaxes(title_text=across, **_SHARE)
    figure.update_yaxes(title_text=up, **_SHARE)
    return figure


def wilson(right: int, n: int) -> Interval:
    """The share right of n independent cases with Wilson's interval (doi:10.2307/2276774)."""
    share = right / n
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * (share * (1 - share) / n + Z**2 / (4 * n**2)) ** 0.5
    return {"value": share, "low": centre - half, "high": centre + half}


def risk(study: Metrics, chosen: float) -> go.Figure:
    """Accuracy among the surest share of the cases, and a line at the chosen share (0..1)."""
    figure = _figure(380, legend=True)
    for answer, found in study["risk"].items():
        _add_with_ribbon(
            figure, study["shares"], found["accuracy"], sentence(content.SHORT[answer]),
            COLOURS[answer], DASHES[answer],
        )  # fmt: skip
    figure.add_vline(chosen, line={"color": NEUTRAL, "width": 2})
    across, up = content.RISK_AXES
    figure.update_xaxes(title_text=across, **_SHARE)
    figure.update_yaxes(title_text=up, **_SHARE)
    return figure


def gate(study: Metrics) -> go.Figure:
    """The photo's mean share in the gate as the photo or the text is taken away."""
    figure = _figure(400, legend=True)
    marks = iter(zip(KIND_DASHES, KIND_SYMBOLS, strict=True))
    for kind, found in study["kinds"].items():
        of_text = kind == "text cut"
        dash, symbol = ("solid", "square") if of_text else next(marks, ("solid", "circle"))
        _add_with_ribbon(
            figure, study["strengths"], found["gate"], content.GATE_KINDS.get(kind, kind),
            COLOURS["text" if of_text else "image"], dash, symbol,
        )  # fmt: skip
    across, up = content.GATE_AXES
    figure.update_xaxes(title_text=across, **_SHARE)
    figure.update_yaxes(title_text=up, **_SHARE)
    return figure


def attention(study: Metrics) -> go.Figure:
    """Deletion: how much less area the shown weights have than random order."""
    return forest(
        [
            Dot(
                content.QUESTIONS.get(name, name),
                shown_map(question)["deletion"]["less random"],
                "image" if name.startswith("photo") else "text",
            )
            for name, question in study["questions"].items()
        ],
        content.ATTENTION_AXIS,
        zero=True,
    )


def shown_map(question: Metrics) -> Metrics:
    """The results of the map or weights that the page shows."""
    return question["maps"][shown_map_name(question)]


def shown_map_name(question: Metrics) -> str:
    """With both inputs the page shows attention, with one its share of the evidence."""
    return next(name for name in SHOWN_MAPS if name in question["maps"])


def folds(study: Metrics) -> go.Figure:
    """Balanced accuracy on PAD-UFES-20, out of fold."""
    return forest(
        [
            Dot(sentence(name), row["balanced_accuracy"], fold_answer(name))
            for name, row in study["rows"].items()
        ],
        content.BALANCED_AXIS,
    )


def fold_answer(name: str) -> str:
    """Which inputs a model of the study reads, by its name."""
    if "photo" in name:
        return "fused" if " and " in name else "image"
    return "text" if name.startswith(("description", "fields")) else "none"


def _colour(answer: str) -> str:
    """Of one of the three answers; grey for what reads no input."""
    return COLOURS.get(answer, NEUTRAL)


def _figure(height: int, legend: bool) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        height=height + (40 if legend else 0),
        margin={"l": 8, "r": 16, "t": 48 if legend else 8, "b": 8},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        font={"color": NEUTRAL, "size": 13, "family": "ui-sans-serif, system-ui, sans-serif"},
        showlegend=legend,
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
    grid = {
        "gridcolor": GRID,
        "zeroline": False,
        "fixedrange": True,
        "automargin": True,
        "title": {"font": {"size": 13}, "standoff": 10},
    }
    figure.update_xaxes(**grid, tickangle=0)
    figure.update_yaxes(**grid, ticklabelstandoff=6)
    return figure


# An axis for shares; a little room, so that dots at its ends are whole.
_SHARE: dict[str, Any] = {"range": [-0.02, 1.02], "tickformat": ".0%", "dtick": 0.25}


def _bars(intervals: Sequence[Interval]) -> dict[str, Any]:
    """Error bars; wide ends would hide their neighbours."""
    return {
        "array": [interval["high"] - interval["value"] for interval in intervals],
        "arrayminus": [interval["value"] - interval["low"] for interval in intervals],
        "thickness": 2,
        "width": 0,
    }


def _add_with_ribbon(
    figure: go.Figure,
    x: Sequence[float],
    curve: Sequence[Interval],
    name: str,
    colour: str,
    dash: str,
    symbol: str | None = None,
) -> None:
    """A curve over its 95 % ribbon."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    figure.add_scatter(
        x=[*x, *reversed(x)],
        y=[*(one["high"] for one in curve), *(one["low"] for one in reversed(curve))],
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},0.13)",
        line={"width": 0},
        mode="lines",
        showlegend=False,
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=list(x),
        y=[one["value"] for one in curve],
        customdata=[[one["low"], one["high"]] for one in curve],
        mode="lines+markers" if symbol else "lines",
        name=name,
        line={"color": colour, "dash": dash, "width": 2},
        marker={"symbol": symbol, "size": 7} if symbol else None,
        hovertemplate=f"{name} at %{{x:.0%}}<br>%{{y:.0%}} "
        "(%{customdata[0]:.0%}–%{customdata[1]:.0%})<extra></extra>",
    )
