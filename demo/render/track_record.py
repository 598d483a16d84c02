"""How the first condition fared on the test set: found, named rightly, mistaken for what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from itertools import islice
from typing import Any

from demo.content import examine as content
from demo.render import measured
from demo.render.answer import DESCRIPTIONS
from demo.render.pieces import sentence
from dermmm import Prediction

MOST_CONFUSIONS = 5


def track_record(prediction: Prediction, metrics: Mapping[str, Any]) -> str:
    """A collapsible card for the first condition and the inputs given, from metrics.json."""
    name, _ = prediction.top(1)[0]
    kind = measured.given(prediction)
    inputs, n = content.GIVEN[kind], measured.cases(prediction, metrics)
    if measured.enough(n, metrics):
        row = metrics["by_condition"][measured.ROWS[kind]][name]
        summary = f"{row['recall']:.0%} found"
        if row["precision"] is not None:
            summary += f", {row['precision']:.0%} right when named"
        blocks = [
            f"<dl>{_sensitivity(row)}</dl>",
            f"<dl>{_precision(row)}</dl>",
            _confusions(row),
        ]
    else:
        summary = content.NOT_MEASURED
        why = content.RECORD_NONE.format(condition=name, inputs=inputs, n=n)
        blocks = [f"<h3>{content.RECORD_WITH}</h3><p>{escape(why)}</p>"]
    blocks.append(_skin_types(name, kind, metrics))
    return (
        f'<details class="dm-card dm-record"><summary><h2>{content.RECORD}: '
        f'{escape(sentence(name))}</h2><span class="dm-small">With {inputs}: {summary}</span>'
        f'</summary><p class="dm-about">{escape(DESCRIPTIONS.get(name, ""))}</p>'
        f'<div class="dm-blocks">{"".join(f"<div>{block}</div>" for block in blocks)}</div>'
        "</details>"
    )


def interval(values: Mapping[str, float]) -> str:
    """A 95 % interval in whole per cent."""
    return f"{100 * values['low']:.0f}–{100 * values['high']:.0f}%"


def wilson(share: float, n: int) -> dict[str, float]:
    """Wilson's 95 % interval (doi:10.1080/01621459.1927.10502953) of a ``share`` of ``n`` cases."""
    z2 = 1.96**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(share * (1 - share) * z2 / n + (z2 / n) ** 2 / 4) / (1 + z2 / n)
    return {"low": middle - half, "high": middle + half}


def _sensitivity(row: Mapping[str, Any]) -> str:
    return (
        f"<dt>{content.SENSITIVITY}</dt><dd><b>{row['recall']:.0%}</b> "
        f"of its {row['n']} test cases got it as the first answer "
        f'<span class="dm-small">95% interval {interval(row["recall_interval"])}; among the first '
        f"three answers {row['top3']:.0%}</span></dd>"
    )


def _precision(row: Mapping[str, Any]) -> str:
    if row["precision"] is None:
        value = f"<b>{content.NOT_MEASURED}</b> it was never the first answer"
    else:
        value = (
            f"<b>{row['precision']:.0%}</b> of the {row['answered']} test cases with this first "
            f'answer had it <span class="dm-small">95% interval '
            f"{interval(wilson(row['precision'], row['answered']))}, each photo counted as a case "
            f"of its own. {content.PRECISION_HELP}</span>"
        )
    return f"<dt>{content.PRECISION}</dt><dd>{value}</dd>"


def _confusions(row: Mapping[str, Any]) -> str:
    """The commonest wrong answers to cases of the condition, with bars."""
    wrong: Mapping[str, int] = row["confusions"]
    if not wrong:
        return f"<h3>{content.CONFUSIONS}</h3><p>{content.NO_CONFUSIONS}</p>"
    bars = "".join(
        f'<li style="--d:{count / row["n"]:.3f}"><span>{escape(sentence(name))}</span>'
        f"<b>{count}</b><i aria-hidden='true'></i></li>"
        for name, count in islice(wrong.items(), MOST_CONFUSIONS)
    )
    rest = sum(wrong.values()) - sum(islice(wrong.values(), MOST_CONFUSIONS))
    others = f'<p class="dm-small">And {rest} as something else.</p>' if rest else ""
    return (
        f"<h3>{content.CONFUSIONS}: {sum(wrong.values())} of {row['n']}</h3>"
        f'<ul class="dm-mistaken">{bars}</ul>{others}'
    )


def _skin_types(name: str, kind: str, metrics: Mapping[str, Any]) -> str:
    """Sensitivity by skin type; the test set knows it for photos only."""
    if kind == "text":
        return f'<h3>{content.SKIN_TITLE}</h3><p class="dm-small">{content.SKIN_NONE}</p>'
    found = {skin: _skin_type(name, skin, metrics) for skin in content.SKIN_TYPES}
    if not any(measured.enough(row["n"], metrics) for row in found.values()):
        return f'<h3>{content.SKIN_TITLE}</h3><p class="dm-small">{content.SKIN_TOO_FEW}</p>'
    rows = "".join(_skin_row(skin, row, metrics) for skin, row in found.items())
    note = content.SKIN_PHOTO_ALONE if kind == "fused" else ""
    return (
        f'<h3>{content.SKIN_TITLE}</h3><table class="dm-table"><thead><tr>'
        f'<th scope="col">Type</th><th scope="col">Cases</th><th scope="col">Found</th>'
        f'<th scope="col">95% interval</th></tr></thead><tbody>{rows}</tbody></table>'
        f'<p class="dm-small">{note}</p>'
    )


def _skin_type(name: str, skin: str, metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    row_name = f"{measured.ROWS['image']}, skin type {skin}"
    found: Mapping[str, Any] = metrics.get("by_condition", {}).get(row_name, {})
    return found.get(name, {"n": 0})


def _skin_row(skin: str, row: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    if measured.enough(row["n"], metrics):
        cells = f"<td>{row['recall']:.0%}</td><td>{interval(row['recall_interval'])}</td>"
    else:
        cells = f'<td colspan="2">{content.NOT_MEASURED}</td>'
    return f'<tr><th scope="row">{skin}</th><td>{row["n"]}</td>{cells}</tr>'
