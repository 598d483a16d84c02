"""The answer in HTML: the differential, the gate, and the states without an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from demo.content import examine as content
from demo.render.frequency import frequency
from demo.render.pieces import percent, sentence
from dermmm import Prediction
from dermmm.conditions import CONDITIONS
from dermmm.prediction import CAUTIONS

DESCRIPTIONS = {condition.name: condition.description for condition in CONDITIONS}


def answer(prediction: Prediction, metrics: Mapping[str, Any]) -> str:
    """The headline and the gate; where the model abstains, why, and these only on request.

    ``metrics`` is the checkpoint's metrics.json.
    """
    if prediction.abstains:
        return abstention(prediction)
    return (
        f'<section class="dm-card dm-answer"><h2>{content.ANSWER}</h2>{headline(prediction)}'
        f"{frequency(prediction, metrics)}{_notice(prediction)}</section>"
        f"{gate(prediction)}"
    )


def headline(prediction: Prediction) -> str:
    """The first three conditions with probability and description, and what the rest share."""
    top = [(name, p) for name, p in prediction.top(3) if not math.isnan(p)]
    others = len(prediction.conditions) - len(top)
    rest = max(0.0, 1 - sum(p for _, p in top))
    return (
        f"{ranking(top, 'fused')}"
        f'<p class="dm-small">The other {others} conditions share {escape(percent(rest))}.</p>'
    )


def ranking(top: list[tuple[str, float]], answer_of: str, about: bool = True) -> str:
    """Conditions with probabilities as a list; ``answer_of`` (fused, image, text) colours it."""
    rows = "".join(
        f'<li class="dm-condition" style="--p:{p:.4f}">'
        f'<span class="dm-name">{escape(sentence(name))}</span>'
        f'<span class="dm-percent">{escape(percent(p))}</span>'
        f'<span class="dm-bar" aria-hidden="true"></span>'
        + (f'<span class="dm-about">{escape(DESCRIPTIONS.get(name, ""))}</span>' if about else "")
        + "</li>"
        for name, p in top
    )
    return f'<ol class="dm-conditions dm-{answer_of}">{rows}</ol>'


def abstention(prediction: Prediction) -> str:
    """Why the model gives no ranking and what to do; the ranking only on request.

    Where the one reason is that photo and description disagree, each one's answer is shown.
    """
    reasons = "".join(caution(name) for name in prediction.cautions)
    alone = both_alone(prediction) if prediction.cautions == ("modalities disagree",) else ""
    return (
        f'<section class="dm-card dm-answer dm-abstains"><h2>{content.ABSTAINS}</h2>'
        f'<p class="dm-lead">{content.ABSTAINS_LEAD}</p>'
        f'<ul class="dm-cautions">{reasons}</ul>{alone}'
        f'<details class="dm-would"><summary>{content.WOULD_ANSWER}</summary>'
        f"{headline(prediction)}"
        f'<p class="dm-small">{content.WOULD_ANSWER_CAVEAT}</p>'
        f'<div class="dm-would-gate">{gate_bar(prediction)}</div></details>'
        f"{_notice(prediction)}</section>"
    )


def caution(name: str) -> str:
    """One reason to abstain, a key of `CAUTIONS`: what it is, and what to do."""
    reason, _, remedy = CAUTIONS[name].partition(". ")
    return (
        f'<li class="dm-caution"><h3>{escape(content.CAUTION_TITLES[name])}</h3>'
        f'<p>{escape(reason)}.</p><p class="dm-remedy">{escape(remedy)}</p></li>'
    )


def both_alone(prediction: Prediction) -> str:
    """The answers of photo and description, each by itself, side by side."""
    columns = "".join(
        f'<div><h3 class="dm-share dm-{name}"><i aria-hidden="true"></i>'
        f"{content.CHART_NAMES[name]}</h3>"
        f"{ranking(first(prediction, name), name, about=False)}</div>"
        for name in ("image", "text")
    )
    return f'<div class="dm-both">{columns}</div>'


def first(prediction: Prediction, name: str, n: int = 3) -> list[tuple[str, float]]:
    """The first ``n`` conditions of one input (image, text) by itself, without unlearned ones."""
    values = prediction.by_modality[name]
    assert values is not None
    known = [
        (condition, float(p))
        for condition, p in zip(prediction.conditions, values, strict=True)
        if not math.isnan(p)
    ]
    return sorted(known, key=lambda pair: -pair[1])[:n]


def gate(prediction: Prediction) -> str:
    """The gate as a card."""
    return f'<section class="dm-card">{gate_bar(prediction)}</section>'


def gate_bar(prediction: Prediction) -> str:
    """The gate with its heading, and the same in words."""
    return (
        f"<h2>{content.GATE}</h2>{gate_sides(prediction)}"
        f'<p class="dm-small">{gate_sentence(prediction)}</p>'
    )


def gate_sides(prediction: Prediction) -> str:
    """One bar with two sides, photo and description, under the share of each."""
    shares = {"image": round(100 * prediction.gate.image), "text": 0}
    shares["text"] = 100 - shares["image"]
    given = [name for name in shares if prediction.by_modality[name] is not None]
    sides = "".join(
        f'<span class="dm-side dm-{name}" style="flex-grow:{max(shares[name], 1)}"></span>'
        for name in given
    )
    legend = "".join(
        f'<span class="dm-share dm-{name}"><i aria-hidden="true"></i>{content.GATE_NAMES[name]} '
        f"<b>{shares[name]}%</b></span>"
        for name in given
    )
    middle = (
        f'<span class="dm-middle" data-label="{content.GATE_EQUAL}"></span>'
        if len(given) == 2
        else ""
    )
    return (
        f'<div class="dm-shares">{legend}</div>'
        f'<div class="dm-gate" aria-hidden="true">{sides}{middle}</div>'
    )


def gate_sentence(prediction: Prediction) -> str:
    """What the gate says, for people who do not see the bar."""
    if prediction.by_modality["text"] is None:
        return "Only a photo was given, so it counted 100%."
    if prediction.by_modality["image"] is None:
        return "Only a description was given, so it counted 100%."
    image = round(100 * prediction.gate.image)
    if 45 <= image <= 55:
        return "Photo and description counted about the same."
    name = "photo" if image > 50 else "description"
    return f"For this case the model relied more on the {name}."


def identity(prediction: Prediction) -> str:
    """Which weights answered."""
    model = prediction.model
    return (
        f'<p class="dm-small dm-identity">Model {escape(model.version)}, weights '
        f'<code title="SHA-256 {escape(model.sha256)}">{escape(model.sha256[:12])}</code></p>'
    )


def empty() -> str:
    """What stands in the place of the answer before the first case."""
    steps = "".join(
        f"<li><b>{escape(title)}</b> {escape(words)}</li>" for title, words in content.EMPTY_STEPS
    )
    return (
        f'<section class="dm-card dm-state"><h2>{content.EMPTY_TITLE}</h2>'
        f'<ol class="dm-steps">{steps}</ol></section>'
    )


def loading() -> str:
    """The answer's outline while the model works; it keeps the answer's height."""
    row = '<li class="dm-condition"><span class="dm-ghost"></span></li>'
    return (
        f'<section class="dm-card dm-state dm-loading" role="status"><h2>{content.LOADING} …</h2>'
        f'<ol class="dm-conditions" aria-hidden="true">{row * 3}</ol></section>'
    )


def failure(message: str) -> str:
    """Why there is no answer, and what to do."""
    return (
        f'<section class="dm-card dm-state dm-failure" role="alert"><h2>{content.FAILED}</h2>'
        f"<p>{escape(message)}</p></section>"
    )


def _notice(prediction: Prediction) -> str:
    return f'<p class="dm-notice">{escape(prediction.notice)}</p>'
