"""What a study contributes to the results page: a heading, Markdown, and plotly figures."""

from __future__ import annotations

from dataclasses import dataclass, field

from plotly.graph_objects import Figure


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
