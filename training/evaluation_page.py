"""The part of the results page that shows `training.evaluate`'s metrics: tables and two figures.

Pure functions of the metrics in a checkpoint; `training.results` puts them beside the studies.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dermmm.conditions import NAMES
from training.dataset import SKIN_TYPES
from training.evaluate import ALONE, CONTROL, LABEL_MATCHED, MEASURED_PAIRS, PHOTO_KINDS
from training.section import OF_ANSWER, SYMBOLS, Section, table, with_interval

NOT_MEASURED = "not measured"
COMMAND = "`python -m training.evaluate`"
ANSWERS = {"image": "photo alone", "text": "text alone", "fused": "both"}
WIDTH = 900

HEADLINE = (
    "image only",
    "image only, clinical photos",
    "text only",
    f"{CONTROL}, text only",
    "both, true pairs",
    "image only, on the true pairs",
    "text only, on the true pairs",
)
OUTSIDE = (
    "text only, vignettes (not of the test split)",
    f"{CONTROL}, vignettes (not of the test split)",
)
CONTROLS = (
    "uniform chance",
    "always the commonest condition",
    "metadata only, on the true pairs",
    "both, true pairs with shuffled texts",
    "text only, on the true pairs with shuffled texts",
)


def sections(metrics: dict[str, Any]) -> dict[str, Section]:
    """Every section in the page's order, by the name under which a document may take it."""
    return {
        "headline": scores(metrics),
        "comparisons": comparisons(metrics),
        "pairs": pairs(metrics),
        "by_factor": by_factor(metrics),
        "controls": controls(metrics),
        "by_condition": conditions(metrics),
        "calibration": calibration(metrics),
        "confusions": confusions(metrics),
        "errors": surest_errors(metrics),
    }


def score_table(metrics: dict[str, Any], names: Iterable[str]) -> str:
    """Rows of the metrics as Markdown; one with too few cases is not measured, nor one without."""
    header = (
        "row", "cases", "conditions", "chance", "balanced accuracy", "macro-F1", "top-1", "top-3",
        "macro-AUC", "NLL", "ECE",
    )  # fmt: skip
    lines: list[tuple[object, ...]] = []
    for name in names:
        row = metrics["rows"].get(name, {"n": 0})
        if row["n"] < metrics["measured_from"]:
            lines.append((name, row["n"], *[NOT_MEASURED] + [""] * (len(header) - 3)))
            continue
        area = with_interval(row["macro_auc"]) if row["macro_auc"] else ""
        lines.append(
            (
                name,
                row["n"],
                row["conditions"],
                f"{row['chance']:.3f}",
                *(with_interval(row[key]) for key in ("balanced_accuracy", "macro_f1")),
                *(with_interval(row[key]) for key in ("top1", "top3")),
                area,
                with_interval(row["nll"], 2),
                with_interval(row["ece_interval"]),
            )
        )
    return table(header, lines)


def scores(metrics: dict[str, Any]) -> Section:
    """The headline rows."""
    text = f"""{score_table(metrics, HEADLINE)}

Means are over the conditions that a row holds. "Text only" holds those with at least \
{metrics["measured_from"]} real test texts. "True pairs" are a photo and the description of the \
same lesion; they exist for tumours only. macro-AUC: one condition against the rest. NLL: negative \
log-likelihood in nats. ECE: expected calibration error after temperature scaling. From {COMMAND}.

Outside the {metrics["split"]} split, our own vignettes, four a condition:

{score_table(metrics, OUTSIDE)}"""
    return Section("Scores", text)


def comparisons(metrics: dict[str, Any]) -> Section:
    """Paired differences."""
    lines: list[tuple[object, ...]] = []
    for name, row in metrics["differences"].items():
        better = f" ({row['better']} alone, chosen on val)" if "better" in row else ""
        balanced = row["balanced_accuracy"]
        verdict = (
            "better" if balanced["low"] > 0 else "worse" if balanced["high"] < 0 else "not settled"
        )
        cells = (with_interval(row[key], sign="+") for key in ("balanced_accuracy", "top1", "top3"))
        lines.append((name + better, *cells, verdict))
    header = ("difference", "balanced accuracy", "top-1", "top-3", "in balanced accuracy")
    text = f"""{table(header, lines)}

Paired bootstrap over groups: both answers are drawn on the same cases. "Not settled": the \
interval holds 0. From {COMMAND}."""
    return Section("Is it better?", text)


def pairs(metrics: dict[str, Any]) -> Section:
    """Pairs of measured conditions, by source, among one source's own, and matched by label."""
    names = [name for name in metrics["rows"] if name.startswith("both, true pairs, ")]
    if f"both, {MEASURED_PAIRS}" in metrics["rows"]:
        names.insert(0, f"both, {MEASURED_PAIRS}")
    parts = [name.removeprefix("both, ") for name in names]
    true = [
        row
        for part in parts
        for row in (f"both, {part}", f"image only, on the {part}", f"text only, on the {part}")
    ]
    matched = [f"both, {LABEL_MATCHED}"]
    matched += [f"{one} only, on the {LABEL_MATCHED}" for one in ("image", "text")]
    text = f"""{score_table(metrics, true)}

"Among its conditions": the answers of {ALONE} renormalised over the conditions that this source \
has; its whole, out-of-fold, has its own section.

**Pairs matched by label are no result.** Here a photo gets the description of some case of \
its condition, drawn by the true label, so the pair holds the answer twice. The 84 % that are \
reported elsewhere were measured so:

{score_table(metrics, matched)}

From {COMMAND}."""
    return Section("Photo and words together", text)


def by_factor(metrics: dict[str, Any]) -> Section:
    """Photos by kind, skin type and source; texts by source; the gap between skin types."""
    skin = [f"image only, skin type {name}" for name in SKIN_TYPES]
    kinds = [f"image only, {kind} photos" for kind in PHOTO_KINDS]
    sources = [  # a source's name has no space
        row
        for only in ("image only, ", "text only, ")
        for row in metrics["rows"]
        if row.startswith(only) and row.removeprefix(only).isidentifier()
    ]
    text = f"""{score_table(metrics, (*kinds, *skin, *sources))}

Rows hold different conditions, so a row is compared with its own chance and not with another row. \
Only some sources know the skin type. {skin_gap(metrics)} From {COMMAND}."""
    return Section("By photo kind, skin type and source", text)


def skin_gap(metrics: dict[str, Any]) -> str:
    """The gap between skin types in a sentence or two."""
    told = []
    for where, found in metrics["skin_type_gap"].items():
        counts = f"{found['n'][0]} and {found['n'][1]} photos"
        if found["gap"] is None:
            told.append(
                f"**Gap between I–II and V–VI, {where}** ({counts}): {NOT_MEASURED}, since no "
                f"condition has {metrics['measured_from']} photos in both."
            )
        else:
            told.append(
                f"**Gap between I–II and V–VI, {where}** ({counts}): balanced accuracy "
                f"{with_interval(found['gap'], sign='+')} over {', '.join(found['conditions'])}."
            )
    return " ".join([*told, "Settings were chosen on val, so the second is no test result."])


def controls(metrics: dict[str, Any]) -> Section:
    """What scores without the skill in question."""
    others = [
        name
        for name in metrics["rows"]
        if name.startswith(("metadata only, on the true pairs, ", "linear probe"))
    ]
    text = f"""{score_table(metrics, (*CONTROLS, *others))}

Shuffled texts: each description is dealt to another case of its source. Metadata only: a logistic \
regression on age band, sex, site and findings, fitted on the training pairs. Shuffled labels: a \
linear probe on the image encoder's features whose training labels are dealt at random; it should \
be at chance. From {COMMAND}."""
    return Section("Controls", text)


def measured_table(metrics: dict[str, Any]) -> str:
    """For each condition and answer: cases, sensitivity, precision, the commonest wrong answers."""
    rows = {
        "image": "image only",
        "text": "text only, every condition",
        "fused": "both, true pairs",
    }
    lines: list[tuple[object, ...]] = []
    for name in NAMES:
        cells = []
        for answer, row in rows.items():
            found = metrics["by_condition"].get(row, {}).get(name)
            cells.append(_record(found, metrics["measured"][name][answer], metrics))
        image = metrics["by_condition"]["image only"].get(name, {"confusions": {}})
        wrong = ", ".join(f"{n} {other}" for other, n in [*image["confusions"].items()][:3])
        lines.append((name, *cells, wrong))
    header = (
        "condition",
        *(f"{says}: sensitivity, precision (cases)" for says in ANSWERS.values()),
    )
    return table((*header, "photo alone: commonest wrong answers"), lines)


def _record(found: dict[str, Any] | None, cases: int, metrics: dict[str, Any]) -> str:
    if found is None or cases < metrics["measured_from"]:
        return f"{NOT_MEASURED} ({cases})"
    precision = "–" if found["precision"] is None else f"{found['precision']:.2f}"
    return f"{found['recall']:.2f}, {precision} ({cases})"


def conditions(metrics: dict[str, Any]) -> Section:
    """The track record of each condition."""
    found = metrics["by_condition"]["image only"]
    shown = [
        name for name in NAMES if name in found and found[name]["n"] >= metrics["measured_from"]
    ]
    shown.sort(key=lambda name: found[name]["recall"])
    intervals = [found[name]["recall_interval"] for name in shown]
    figure = go.Figure(
        go.Scatter(
            x=[interval["value"] for interval in intervals],
            y=[f"{name} ({found[name]['n']})" for name in shown],
            error_x={
                "array": [interval["high"] - interval["value"] for interval in intervals],
                "arrayminus": [interval["value"] - interval["low"] for interval in intervals],
            },
            mode="markers",
            marker={"size": 9, "color": OF_ANSWER["image"]},
        )
    )
    figure.update_layout(
        template="plotly_white",
        title="Sensitivity of each condition, photos alone, with 95 % intervals",
        xaxis={"title": "sensitivity of the first choice", "range": [0, 1]},
        yaxis={"title": "condition (test photos)", "dtick": 1},
        width=WIDTH,
        height=180 + 24 * len(shown),
    )
    text = f"""{measured_table(metrics)}

With fewer than {metrics["measured_from"]} cases a result is not measured, and the page says "not \
validated" there. Precision depends on the mix of cases, which here is that of the datasets. \
From {COMMAND}."""
    return Section("By condition", text, {"by-condition": figure})


def calibration(metrics: dict[str, Any]) -> Section:
    """Reliability: confidence against the share that was right."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": "grey", "dash": "dot"}, name="as promised"
    )
    for answer, bands in metrics["reliability"].items():
        shown = [band for band in bands if band["n"] >= metrics["measured_from"]]
        figure.add_scatter(
            x=[band["confidence"] for band in shown],
            y=[band["right"] / band["n"] for band in shown],
            text=[f"n = {band['n']}" for band in shown],
            mode="lines+markers",
            marker={
                "size": [4 + band["n"] ** 0.5 for band in shown],
                "symbol": SYMBOLS[answer],
            },
            line={"color": OF_ANSWER[answer]},
            name=ANSWERS[answer],
        )
    figure.update_layout(
        template="plotly_white",
        title="Reliability: how often an answer of a given confidence is right",
        xaxis={"title": "probability of the first choice", "range": [0, 1]},
        yaxis={"title": "share that is right", "range": [0, 1]},
        width=WIDTH,
        height=520,
    )
    lines: list[tuple[object, ...]] = []
    for answer, bands in metrics["reliability"].items():
        for band in bands:
            of = (
                f"{100 * band['right'] / band['n']:.0f}"
                if band["n"] >= metrics["measured_from"]
                else NOT_MEASURED
            )
            between = f"{100 * band['low']:.0f}–{100 * band['high']:.0f} %"
            lines.append((ANSWERS[answer], between, band["n"], band["right"], of))
    header = ("answer", "probability of the first choice", "cases", "right", "right of 100")
    before = ", ".join(
        f"{ANSWERS[answer]} {value:.3f}" for answer, value in metrics["validation_ece"].items()
    )
    text = f"""{table(header, lines)}

A marker's size grows with its cases; bands with fewer than {metrics["measured_from"]} are not \
drawn. ECE on validation, where the temperatures were fitted: {before}. From {COMMAND}."""
    return Section("Calibration", text, {"reliability": figure})


def confusions(metrics: dict[str, Any]) -> Section:
    """Which condition is taken for which, photos alone."""
    found = metrics["by_condition"]["image only"]
    present = [name for name in NAMES if name in found]
    shares = np.zeros((len(present), len(NAMES)))
    for row, name in enumerate(present):
        shares[row, NAMES.index(name)] = found[name]["recall"]
        for other, count in found[name]["confusions"].items():
            shares[row, NAMES.index(other)] = count / found[name]["n"]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=list(NAMES),
            y=[f"{name} ({found[name]['n']})" for name in present],
            zmin=0,
            zmax=1,
            colorscale="Blues",
            colorbar={"title": "share"},
        )
    )
    figure.update_layout(
        template="plotly_white",
        title="What photos alone are taken for",
        xaxis={"title": "first choice", "tickangle": -60, "dtick": 1},
        yaxis={"title": "condition (test photos)", "autorange": "reversed", "dtick": 1},
        width=WIDTH,
        height=820,
    )
    text = f"Each row sums to 1; the diagonal is the sensitivity. From {COMMAND}."
    return Section("Confusions", text, {"confusions": figure})


def surest_errors(metrics: dict[str, Any]) -> Section:
    """The photos' most confident errors, and what they have in common by count."""
    lines: list[tuple[object, ...]] = [
        (one["id"], one["source"], one["truth"], one["answer"], f"{one['probability']:.2f}")
        for one in metrics["errors"]["image"]
    ]
    text = f"""{table(("case", "source", "truth", "answer", "probability"), lines)}

Photos alone, the surest first; `checkpoints/metrics.json` has those of texts and of pairs too. \
From {COMMAND}."""
    return Section("The twenty surest errors", text)
