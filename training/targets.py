"""The targets that were set before the training, and what was reached: computed, never typed.

Each has a floor, a goal and a stretch. A result above the stretch is to be audited for leakage
before it is believed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from training.evaluate import CONTROL
from training.section import Section, table, with_interval

Interval = dict[str, float]
Found = Interval | str  # the result, or why there is none
LEVELS = ("floor", "goal", "stretch")


@dataclass(frozen=True)
class Target:
    """One line of the table. ``find`` gets the metrics and the studies' summaries by stage."""

    what: str
    levels: tuple[float, float, float]  # a level of 0 is passed above it, any other from it on
    find: Callable[[dict[str, Any], dict[str, Any]], Found]
    falls: bool = False  # smaller is better
    settled_from: int | None = None  # from this level on the interval must lie above 0

    def reached(self, found: Interval) -> str:
        """The highest level that the result reaches, each one presupposing those before it."""
        best = "missed"
        for place, (name, level) in enumerate(zip(LEVELS, self.levels, strict=True)):
            value = abs(found["value"]) if self.falls else found["value"]
            passed = (
                value <= level if self.falls else value > level if not level else value >= level
            )
            if self.settled_from is not None and place >= self.settled_from:
                passed = passed and found["low"] > 0
            if not passed:
                break
            best = name
        return best


def _row(row: str, score: str) -> Callable[[dict[str, Any], dict[str, Any]], Found]:
    def find(metrics: dict[str, Any], studies: dict[str, Any]) -> Found:
        return metrics["rows"].get(row, {}).get(score) or "not measured"

    return find


def _difference(name: str) -> Callable[[dict[str, Any], dict[str, Any]], Found]:
    def find(metrics: dict[str, Any], studies: dict[str, Any]) -> Found:
        return metrics["differences"].get(name, {}).get("balanced_accuracy") or "not measured"

    return find


def _study(stage: str, *path: str) -> Callable[[dict[str, Any], dict[str, Any]], Found]:
    """What stands at ``path`` of a study's summary."""

    def find(metrics: dict[str, Any], studies: dict[str, Any]) -> Found:
        if stage not in studies:
            return f"not run: {stage}"
        found = studies[stage]
        for key in path:
            found = found[key]
        return found if isinstance(found, dict) else "not measured"

    return find


def _pad(*names: str) -> Callable[[dict[str, Any], dict[str, Any]], Found]:
    """Balanced accuracy of the first of these rows that training.pad_folds has."""

    def find(metrics: dict[str, Any], studies: dict[str, Any]) -> Found:
        if "pad_folds" not in studies:
            return "not run: pad_folds"
        rows = studies["pad_folds"]["rows"]
        return next((rows[name]["balanced_accuracy"] for name in names if name in rows), "not run")

    return find


def _skin_gap(metrics: dict[str, Any], studies: dict[str, Any]) -> Found:
    return metrics["skin_type_gap"][metrics["split"]]["gap"] or "not measured"


ECE = (0.05, 0.03, 0.02)
TARGETS = (
    Target(
        "image only, clinical photos: balanced accuracy",
        (0.38, 0.47, 0.55),
        _row("image only, clinical photos", "balanced_accuracy"),
    ),
    Target(
        "image only, clinical photos: top-3",
        (0.70, 0.80, 0.86),
        _row("image only, clinical photos", "top3"),
    ),
    Target(
        "PAD-UFES-20, 6 classes, out of fold, image only: balanced accuracy",
        (0.48, 0.58, 0.64),
        _pad("photo, fine-tuned encoder", "photo, linear head on the frozen encoder"),
    ),
    Target(
        "PAD-UFES-20, 6 classes, out of fold, image and description: balanced accuracy",
        (0.66, 0.72, 0.78),
        _pad("photo and description, stacking"),
    ),
    Target(
        "both less the better single modality, true pairs: balanced accuracy",
        (0.0, 0.04, 0.07),
        _difference("both less the better single modality, true pairs"),
        settled_from=1,
    ),
    Target(
        f"text only less {CONTROL}: balanced accuracy",
        (0.0, 0.05, 0.10),
        _difference(f"text only less {CONTROL}"),
    ),
    Target("ECE, photo alone", ECE, _row("image only", "ece_interval"), falls=True),
    Target("ECE, text alone", ECE, _row("text only", "ece_interval"), falls=True),
    Target("ECE, both, true pairs", ECE, _row("both, true pairs", "ece_interval"), falls=True),
    Target(
        "accuracy gained by answering the surest 80 %, photo alone",
        (0.04, 0.07, 0.09),
        _study("abstention", "risk", "image", "gain"),
    ),
    Target(
        "out-of-distribution AUROC, far (no skin)",
        (0.90, 0.96, 0.99),
        _study("abstention", "outside", "auroc", "not skin-like", "far"),
    ),
    Target(
        "out-of-distribution AUROC, near (labels outside the label space)",
        (0.62, 0.70, 0.78),
        _study("abstention", "outside", "auroc", "far from training", "near"),
    ),
    Target(
        "balanced-accuracy gap, skin types I–II less V–VI",
        (0.12, 0.07, 0.04),
        _skin_gap,
        falls=True,
    ),
)


def targets_table(metrics: dict[str, Any], studies: dict[str, Any]) -> str:
    """Every target beside what was reached, as Markdown."""
    lines: list[tuple[object, ...]] = []
    for target in TARGETS:
        levels = (
            "above 0" if not level else f"{'at most ' if target.falls else ''}{level:.2f}"
            for level in target.levels
        )
        found = target.find(metrics, studies)
        if isinstance(found, str):
            lines.append((target.what, *levels, found, ""))
        else:
            shown = with_interval(found, sign="+" if found["low"] < 0 else "")
            lines.append((target.what, *levels, shown, target.reached(found)))
    return table(("target", *LEVELS, "result", "reached"), lines)


def section(metrics: dict[str, Any], studies: dict[str, Any]) -> Section:
    """The targets' part of the results page."""
    text = f"""{targets_table(metrics, studies)}

"Reached" goes by the result itself, not by its interval; the goal and the stretch of fusion's \
gain also need an interval above 0. From `python -m training.results`."""
    return Section("Targets", text)
