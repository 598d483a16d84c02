"""The answer in HTML: the differential, the gate, and the states without an answer."""

from __future__ import annotations

import math
from html import escape

from demo.content import examine as content
from demo.render.pieces import percent, sentence
from dermmm import Prediction
from dermmm.conditions import CONDITIONS

DESCRIPTIONS = {condition.name: condition.description for condition in CONDITIONS}


def answer(prediction: Prediction) -> str:
    """The headline list, the gate, and the notice."""
    return headline(prediction) + gate(prediction)


def headline(prediction: Prediction) -> str:
    """The first three conditions with probability and description, and what the rest share."""
    top = [(name, p) for name, p in prediction.top(3) if not math.isnan(p)]
    rows = "".join(
        f'<li class="dm-condition" style="--p:{p:.4f}">'
        f'<span class="dm-name">{escape(sentence(name))}</span>'
        f'<span class="dm-percent">{escape(percent(p))}</span>'
        f'<span class="dm-bar" aria-hidden="true"></span>'
        f'<span class="dm-about">{escape(DESCRIPTIONS.get(name, ""))}</span></li>'
        for name, p in top
    )
    others = len(prediction.conditions) - len(top)
    rest = max(0.0, 1 - sum(p for _, p in top))
    return (
        f'<section class="dm-card dm-answer" aria-live="polite"><h2>{content.ANSWER}</h2>'
        f'<ol class="dm-conditions">{rows}</ol>'
        f'<p class="dm-small">The other {others} conditions share {escape(percent(rest))}.</p>'
        f'<p class="dm-notice">{escape(prediction.notice)}</p></section>'
    )


def gate(prediction: Prediction) -> str:
    """One bar with two sides, photo and description, and the same in words."""
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
    return (
        f'<section class="dm-card"><h2>{content.GATE}</h2>'
        f'<div class="dm-shares">{legend}</div>'
        f'<div class="dm-gate" aria-hidden="true">{sides}</div>'
        f'<p class="dm-small">{gate_sentence(prediction)}</p></section>'
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
