"""The part of the results page that `training.abstention` fills: tables and figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from dermmm.outside import QUALITY, SCORES, STRANGE
from training.faithfulness import add_with_ribbon
from training.section import COLOURS, DASHES, OF_ANSWER, SYMBOLS, Section, table, with_interval

NOT_MEASURED = "not measured"


def section(summary: dict[str, Any]) -> Section:
    """Sets, cautions and risk as tables and figures."""
    promised = f"{summary['coverage']:.0%}"
    sets = table(
        (
            "answer",
            "method",
            "cases",
            f"coverage ({promised} promised)",
            "mean size",
            "sets of one",
        ),
        [
            (
                answer,
                summary["rules"]["sets"][answer]["method"].upper(),
                one["n"],
                _cell(one["coverage"]),
                _cell(one["size"], 2),
                f"{one['single']:.0%}",
            )
            for answer, one in summary["sets"].items()
        ],
    )
    compared = table(
        ("answer", "method", "coverage", "mean size", "worst stratum of sizes"),
        [
            (
                answer,
                method.upper(),
                f"{row['coverage']:.3f}",
                f"{row['size']:.2f}",
                f"{row['worst']:.3f}",
            )
            for answer, rows in summary["methods"].items()
            for method, row in rows.items()
        ],
    )
    outside, parts = summary["outside"], summary["rules"]["parts"]
    areas = table(
        ("score", "far", "near", "poor"),
        [
            (
                f"**{score}** ({' + '.join(parts[score])})" if score in parts else score,
                *(_cell(row[family]) for family in ("far", "near", "poor")),
            )
            for score, row in outside["auroc"].items()
        ],
    )
    flagged = table(
        ("photos", "n", *(f"flagged {name}" for name in (*QUALITY, *STRANGE))),
        [
            (
                family,
                outside["n"].get(family, ""),
                *(f"{share:.1%}" for share in row.values()),
            )
            for family, row in outside["flagged"].items()
        ],
    )
    within = table(
        ("score", *outside["near_within_source"]),
        [
            (score, *(_cell(row[score]) for row in outside["near_within_source"].values()))
            for score in (*SCORES, "far from training")
        ],
    )
    answers = [
        (answer, one) for answer, one in summary["cautions"].items() if answer != "vignettes"
    ]
    cautions = table(
        (
            "answer",
            "cases",
            "abstains",
            "right where it answers",
            "right where it abstains",
            "by reason",
        ),
        [
            (
                answer,
                one["n"],
                _cell(one["abstains"]),
                _cell(one["right_where_it_answers"]),
                _cell(one["right_where_it_abstains"]),
                ", ".join(f"{name} {share:.1%}" for name, share in one["flagged"].items()),
            )
            for answer, one in answers
        ],
    )
    risk = table(
        (
            "answer",
            "cases",
            f"accuracy gained at the surest {summary['surest']:.0%}",
            "area under risk–coverage",
        ),
        [
            (answer, one["n"], with_interval(one["gain"], sign="+"), with_interval(one["aurc"]))
            for answer, one in summary["risk"].items()
        ],
    )
    vignettes = summary["cautions"]["vignettes"]
    return Section(
        "Prediction sets, cautions and abstention",
        "\n\n".join(
            (
                "`python -m training.abstention` fits on training and validation cases and reports "
                "on the test split; 95 % intervals come from a bootstrap over groups.",
                f"**Prediction sets.** The truth should be in {promised} of the sets, on average "
                "over cases like those of validation; the figure shows for whom it is not.",
                sets,
                "The method was chosen on one half of the validation groups, cross-fitted: the "
                "smallest sets among those whose worst stratum is not far below the promise.",
                compared,
                "**Outside the label space.** AUROC of test photos against pictures that are no "
                "skin (far), photos of other conditions (near) and worsened test photos (poor). "
                "The two bold rows are what the page uses. They were chosen on validation photos "
                "against pictures of the same five generators (another seed), and against 30 % of "
                "the near groups, whose labels also occur among those reported here.",
                areas,
                "Near photos come mostly from one source, so a score that tells sources gets an "
                "AUROC without knowing conditions. Against test photos of the same source alone:",
                within,
                "How many are flagged at the limits of the checkpoint:",
                flagged,
                "**Abstention on clean test cases**, and accuracy with and without a caution. "
                f"Of our own vignettes ({vignettes['n']}), {vignettes['words unknown']:.0%} are "
                "flagged for words that the model does not know.",
                cautions,
                "**Answering only the surest cases.**",
                risk,
            )
        ),
        {
            "coverage-by-group": _coverage_figure(summary),
            "risk-coverage": _risk_figure(summary),
            **{
                f"score-{name.replace(' ', '-')}": _score_figure(name, one)
                for name, one in outside["histograms"].items()
            },
        },
    )


def _cell(interval: dict[str, float] | None, digits: int = 3) -> str:
    return NOT_MEASURED if interval is None else with_interval(interval, digits)


def _coverage_figure(summary: dict[str, Any]) -> go.Figure:
    figure = go.Figure()
    sets = summary["sets"]
    by_answer = {
        answer: {
            "all": sets[answer],
            **sets[answer]["by_part"],
            **{f"sets of {size}": row for size, row in sets[answer]["by_size"].items()},
        }
        for answer in OF_ANSWER
    }
    names = list(dict.fromkeys(name for rows in by_answer.values() for name in rows))
    names.sort(key=lambda name: name.startswith("sets of"))  # a source that one answer lacks
    for beside, (answer, rows) in enumerate(by_answer.items()):
        rows = {name: row for name, row in rows.items() if row["coverage"]}
        values = [row["coverage"] for row in rows.values()]
        figure.add_scatter(
            x=[value["value"] for value in values],
            y=[names.index(name) + 0.25 * (beside - 1) for name in rows],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [value["high"] - value["value"] for value in values],
                "arrayminus": [value["value"] - value["low"] for value in values],
            },
            mode="markers",
            marker={"color": OF_ANSWER[answer], "size": 8, "symbol": SYMBOLS[answer]},
            name=answer,
        )
    figure.add_vline(x=summary["coverage"], line_dash="dash", line_color="#555555")
    return figure.update_layout(
        template="plotly_white",
        width=900,
        height=760,
        title="Coverage of prediction sets, by group of test cases",
        xaxis_title="share of sets that hold the truth (dashed: promised)",
        yaxis={
            "autorange": "reversed",
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "zeroline": False,
        },
    )


def _risk_figure(summary: dict[str, Any]) -> go.Figure:
    figure = go.Figure()
    for answer, colour in OF_ANSWER.items():
        add_with_ribbon(
            figure,
            answer,
            [100 * share for share in summary["shares"]],
            summary["risk"][answer]["accuracy"],
            colour,
        )
        figure.data[-1].marker.symbol = SYMBOLS[answer]
    return figure.update_layout(
        template="plotly_white",
        width=900,
        height=480,
        title="Accuracy when only the surest cases are answered",
        xaxis_title="cases answered, the surest first (%)",
        yaxis_title="share answered rightly",
    )


def _score_figure(name: str, histogram: dict[str, Any]) -> go.Figure:
    figure = go.Figure()
    edges = np.array(histogram["edges"])
    styles = zip(histogram["shares"].items(), COLOURS, DASHES, strict=False)
    for (family, shares), colour, dash in styles:
        figure.add_scatter(
            x=(edges[1:] + edges[:-1]) / 2,
            y=[100 * share for share in shares],
            mode="lines",
            line={"color": colour, "shape": "hvh", "dash": dash},
            name=family,
        )
    figure.add_vline(x=histogram["limit"], line_dash="dash", line_color="#555555")
    return figure.update_layout(
        template="plotly_white",
        width=900,
        height=420,
        title=f"Score of the caution “{name}”",
        xaxis_title="score (dashed: the limit above which the model abstains)",
        yaxis_title="share of photos (%)",
    )
