"""What a study contributes to the results page: a heading, Markdown, and plotly figures."""

from __future__ import annotations

from dataclasses import dataclass, field

from plotly.graph_objects import Figure

# Okabe and Ito's colours, which the colour-blind tell apart. Every figure takes its colours here.
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
COLOURS = (BLUE, VERMILION, GREEN, "#CC79A7", ORANGE, "#000000")
OF_ANSWER = {"image": BLUE, "text": ORANGE, "fused": GREEN}
# Colour is never alone.
SYMBOLS = {"image": "circle", "text": "square", "fused": "diamond"}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


@dataclass(frozen=True)
class Section:
    """One part of docs/results.md.

    ``text`` is Markdown without a heading; it names the command that made its numbers. A figure's
    key is its file name without an ending; its title is the alternative text.
    """

    title: str
    text: str
    figures: dict[str, Figure] = field(default_factory=dict)


def table(header: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """A Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def with_interval(interval: dict[str, float], digits: int = 3, sign: str = "") -> str:
    """A score and its 95 % interval, as `training.scoring` gives them: 0.562 (0.516–0.608)."""
    value, low, high = (
        f"{interval[key]:{sign}.{digits}f}".replace("-", "−") for key in ("value", "low", "high")
    )
    return f"{value} ({low}–{high})" if not sign else f"{value} ({low} to {high})"
