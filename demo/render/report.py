"""A case to keep: one HTML file that needs nothing else and prints well.

It has no script and no outside address, and is light on every screen, as paper is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Any

from demo.content import keep as content
from demo.content.examine import CAUTION_TITLES, CHART_NAMES, GATE_NAMES
from demo.render.answer import gate_sentence
from demo.render.effects import points, tests
from demo.render.frequency import frequency
from demo.render.look import attention_sentence, highlighted, words_sentence
from demo.render.pieces import COLOURS, data_uri, overlay, percent, sentence
from dermmm import Effects, Explanation, Prediction, Region
from dermmm.prediction import CAUTIONS

BARS = 8

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body {
  margin: 0; background: #f1f5f9; color: #1e293b;
  font: 15px/1.5 ui-sans-serif, system-ui, sans-serif;
}
main { max-width: 800px; margin: 1.5rem auto; padding: 2.2rem 2.6rem; background: #fff; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; letter-spacing: -0.01em; }
h2 {
  font-size: 1.1rem; margin: 1.9rem 0 0.6rem; padding-bottom: 0.3rem;
  border-bottom: 1px solid #cbd5e1;
}
h3 { font-size: 0.95rem; margin: 1.1rem 0 0.35rem; }
p { margin: 0.4rem 0; }
.small, .dm-small { font-size: 0.84rem; color: #475569; }
.notice {
  margin: 1rem 0; padding: 0.6rem 0.9rem; border: 2px solid #b45309; border-radius: 6px;
  font-weight: 600;
}
.abstains {
  border: 2px solid #b45309; border-radius: 6px; padding: 0.2rem 1rem 0.7rem; margin-top: 1.6rem;
}
.abstains h2 { border: 0; margin: 0.6rem 0 0; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { flex: 1 1 280px; margin: 0; min-width: 0; break-inside: avoid; }
figure img { display: block; max-width: 100%; max-height: 340px; }
figcaption { font-size: 0.84rem; color: #475569; margin-top: 0.35rem; }
.words { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 2; }
.words span { border-bottom: solid #b45309; border-bottom-width: calc(var(--w) * 5px); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td {
  text-align: left; padding: 0.3rem 0.6rem 0.3rem 0; border-bottom: 1px solid #e2e8f0;
  vertical-align: middle; font-weight: 400; overflow-wrap: anywhere;
}
thead th { overflow-wrap: normal; font-size: 0.84rem; font-weight: 600; color: #475569; }
tr { break-inside: avoid; }
.ranking tbody tr:first-child { font-weight: 600; }
.ranking tbody tr:first-child th { font-weight: inherit; }
.ranking svg { display: block; width: 100%; max-width: 110px; }
.grid { width: auto; }
.grid td { border: 1px solid #cbd5e1; padding: 0.5rem 0.9rem; text-align: right; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1.2rem; margin: 0; }
dt { color: #475569; } dd { margin: 0; overflow-wrap: anywhere; }
ul { padding-left: 1.2rem; } li { margin: 0.3rem 0; }
.dm-dots { width: 200px; display: block; margin: 0.4rem 0; }
.dm-right { fill: #009e73; stroke: #009e73; } .dm-wrong { fill: none; stroke: #475569; }
.dm-frequency .dm-small { display: block; }
.gate { max-width: 100%; }
@media (max-width: 600px) {
  main { margin: 0; padding: 1.2rem; }
  dl { grid-template-columns: 1fr; }
}
@page { margin: 16mm; }
@media print {
  body { background: none; font-size: 10.5pt; }
  main { margin: 0; padding: 0; max-width: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2, h3 { break-after: avoid; }
}
"""


def report(
    prediction: Prediction, effects: Effects | None, metrics: Mapping[str, Any], moment: datetime
) -> str:
    """The whole file.

    Args:
        prediction: the answer with its explanation.
        effects: what the answer owes to parts of the input, if worked out.
        metrics: the checkpoint's metrics.json, for what was measured of such answers.
        moment: when the report is made, with its time zone.
    """
    notice = f'<p class="notice">{escape(prediction.notice)}</p>'
    body = (
        f"<h1>{content.REPORT}</h1>{notice}{_case(prediction.explanation)}"
        f"{_answer(prediction, metrics)}{_gate(prediction)}"
        f"{'' if effects is None else _effects(effects)}{_model(prediction, moment)}{notice}"
        f'<p class="small">{content.SELF_CONTAINED}</p>'
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        # Whatever slipped through the escaping could still neither run nor fetch anything.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{content.REPORT}</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _case(explanation: Explanation | None) -> str:
    if explanation is None:
        return ""
    parts = []
    if explanation.photo is not None:
        parts.append(_picture(data_uri(explanation.photo, "JPEG"), content.PHOTO, content.PHOTO))
    if explanation.photo is not None and explanation.attention is not None:
        blended = overlay(explanation.photo, explanation.attention)
        words = f"{content.OVERLAY}. {attention_sentence(explanation.attention)}"
        parts.append(_picture(data_uri(blended, "JPEG"), content.OVERLAY, words))
    pictures = f'<div class="pictures">{"".join(parts)}</div>' if parts else ""
    description = ""
    if explanation.description:
        words = "".join(
            escape(text)
            if level is None
            else f'<span style="--w:{level:.3f}">{escape(text)}</span>'
            for text, level, _ in highlighted(explanation.description, explanation.words)
        )
        top = f"{words_sentence(explanation.words)} " if explanation.words else ""
        description = (
            f'<h3>{content.DESCRIPTION}</h3><p class="words">{words}</p>'
            f'<p class="small">{top}{content.DESCRIPTION_HELP}</p>'
        )
    return f'<h2>{content.CASE}</h2>{pictures}{description}<p class="small">{content.CAVEAT}</p>'


def _picture(source: str, alt: str, words: str) -> str:
    return (
        f'<figure><img src="{source}" alt="{escape(alt)}">'
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )


def _answer(prediction: Prediction, metrics: Mapping[str, Any]) -> str:
    """The ranking with what was measured of such answers, or why the model abstains."""
    if not prediction.abstains:
        return (
            f"<h2>{content.ANSWER}</h2>{_ranking(prediction)}"
            f"{frequency(prediction, metrics)}{_others(prediction)}"
        )
    reasons = "".join(
        f"<li><b>{escape(CAUTION_TITLES[name])}.</b> {escape(CAUTIONS[name])}</li>"
        for name in prediction.cautions
    )
    return (
        f'<section class="abstains"><h2>{content.ABSTAINS}</h2><ul>{reasons}</ul></section>'
        f"<h2>{content.WOULD_ANSWER}</h2>{_ranking(prediction)}{_others(prediction)}"
    )


def _ranking(prediction: Prediction) -> str:
    """The likeliest conditions with a bar for each input by itself, and for both."""
    given = [name for name in ("image", "text") if prediction.by_modality[name] is not None]
    keys = given if len(given) == 1 else list(CHART_NAMES)
    head = "".join(f'<th scope="col">{CHART_NAMES[key]}</th>' for key in keys)
    rows = "".join(
        f'<tr><th scope="row">{escape(sentence(name))}</th>'
        + "".join(f"<td>{_bar(prediction, key, name)}</td>" for key in keys)
        + "</tr>"
        for name, _ in prediction.top(BARS)
    )
    return (
        f'<table class="ranking"><thead><tr><th scope="col">{content.CONDITION}</th>{head}</tr>'
        f"</thead><tbody>{rows}</tbody></table>"
    )


def _bar(prediction: Prediction, key: str, name: str) -> str:
    values = prediction.by_modality[key]
    assert values is not None
    p = float(values[prediction.conditions.index(name)])
    if math.isnan(p):
        return f'<span class="small">{content.NOT_LEARNED}</span>'
    return (
        f'{escape(percent(p))}<svg height="8" aria-hidden="true">'
        f'<rect width="100%" height="8" fill="#e2e8f0"/>'
        f'<rect width="{max(1.0, 100 * p):.1f}%" height="8" fill="{COLOURS[key]}"/></svg>'
    )


def _others(prediction: Prediction) -> str:
    others = ", ".join(
        f"{escape(name)} {escape(percent(p))}"
        for name, p in prediction.top(len(prediction.conditions))[BARS:]
    )
    return others and f'<p class="small">{content.OTHERS}: {others}.</p>'


def _gate(prediction: Prediction) -> str:
    image = round(100 * prediction.gate.image)
    return (
        f"<h2>{content.GATE}</h2><p>{GATE_NAMES['image']} {image}%, "
        f"{GATE_NAMES['text'].lower()} {100 - image}%. {gate_sentence(prediction)}</p>"
        f'<svg class="gate" width="300" height="14" aria-hidden="true">'
        f'<rect width="100%" height="14" fill="{COLOURS["text"]}"/>'
        f'<rect width="{image}%" height="14" fill="{COLOURS["image"]}"/></svg>'
    )


def _effects(effects: Effects) -> str:
    phrases = "".join(
        f'<tr><th scope="row">{escape(phrase.text)}</th><td>{points(phrase.change)}</td></tr>'
        for phrase in effects.phrases
    )
    table = (
        f'<table><thead><tr><th scope="col">{content.EFFECTS_PHRASE}</th>'
        f'<th scope="col">{content.EFFECTS_CHANGE}</th></tr></thead>'
        f"<tbody>{phrases}</tbody></table>"
        if phrases
        else ""
    )
    return (
        f"<h2>{content.EFFECTS}</h2><p>{escape(sentence(effects.condition))}: "
        f"{escape(percent(effects.probability))}. {content.EFFECTS_HELP}</p>"
        f"{table}{_regions(effects.regions)}{tests(effects)}"
    )


def _regions(regions: tuple[Region, ...]) -> str:
    """The changes in a table whose cells lie as the regions lie on the photo."""
    if not regions:
        return ""
    rows: dict[float, list[Region]] = {}
    for region in regions:
        rows.setdefault(region.top, []).append(region)
    body = "".join(
        "<tr>" + "".join(f"<td>{points(region.change)}</td>" for region in row) + "</tr>"
        for row in rows.values()
    )
    return f'<h3>{content.EFFECTS_REGIONS}</h3><table class="grid"><tbody>{body}</tbody></table>'


def _model(prediction: Prediction, moment: datetime) -> str:
    facts = {
        content.VERSION: prediction.model.version,
        content.HASH: prediction.model.sha256,
        content.MADE: f"{moment:%Y-%m-%d %H:%M %Z}",
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<h2>{content.MODEL}</h2><dl>{rows}</dl>"
