"""The short form as HTML, and its sentences within the description."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from demo.content import inputs as content
from demo.render.pieces import sentence
from dermmm import describe


def form() -> str:
    """The form, folded away until it is asked for. Its fields carry the names of `Facts`."""
    picks = (
        f'<label class="dm-field">{content.FORM_AGE}'
        f'<input type="number" name="age" min="1" max="120" step="1" inputmode="numeric"></label>'
        + _select("sex", content.FORM_SEX, describe.SEXES)
        + _select("category", content.FORM_CATEGORY, describe.CATEGORIES)
        + _select("duration", content.FORM_DURATION, describe.DURATIONS)
        + _select("site", content.FORM_SITE, describe.SITES)
        + _select("site", content.FORM_OTHER_SITE, describe.SITES)
    )
    textures = "".join(
        f'<label class="dm-chip"><input type="checkbox" name="texture" value="{escape(name)}">'
        f"<span>{escape(sentence(name))}</span></label>"
        for name in describe.TEXTURES
    )
    voices = "".join(
        f'<label class="dm-chip"><input type="radio" name="voice" value="{name}"'
        f"{' checked' if name == describe.VOICES[0] else ''}>"
        f"<span>{escape(content.FORM_VOICES[name])}</span></label>"
        for name in describe.VOICES
    )
    return (
        f'<details class="dm-fold"><summary>{content.FORM}</summary>'
        f'<form class="dm-form" autocomplete="off"><div class="dm-picks">{picks}</div>'
        f"<fieldset><legend>{content.FORM_TEXTURES}</legend>"
        f'<div class="dm-chips">{textures}</div></fieldset>'
        f"{_findings(content.FORM_SKIN, describe.SKIN_FINDINGS)}"
        f"{_findings(content.FORM_BODY, describe.BODY_FINDINGS)}"
        f"<fieldset><legend>{content.FORM_VOICE}</legend>"
        f'<div class="dm-chips">{voices}</div></fieldset><div class="dm-actions">'
        f'<button type="button" class="dm-action" data-do="again">{content.FORM_AGAIN}</button>'
        f'<button type="reset" class="dm-action">{content.FORM_CLEAR}</button></div></form>'
        f'<p class="dm-small">{content.FORM_HELP}</p></details>'
    )


def status(message: str, problem: bool = False) -> str:
    """What came of the form, read out by screen readers."""
    kind = "dm-trouble" if problem else "dm-small"
    return f'<p class="{kind}" role="status">{escape(message)}</p>'


def rewritten(text: str, old: str, new: str) -> str:
    """The description ``text`` with the form's earlier sentences ``old`` replaced by ``new``.

    Only what still stands there as the form wrote it is replaced, as a whole or by sentence: a
    sentence that the user has changed is the user's, and stays. Where nothing is left to replace,
    ``new`` gets a line of its own at the end.
    """
    place = None
    for piece in [old] if old in text else re.split(r"(?<=\.) ", old):
        at = text.find(piece) if piece else -1
        if at >= 0:
            after = text[at + len(piece) :]
            text = text[:at] + (after if piece == old else after.removeprefix(" "))
            place = at if place is None else min(place, at)
    if not new:
        return text.rstrip() if place is not None else text
    if place is None:
        return f"{text}\n{new}" if text and not text.endswith("\n") else text + new
    after = text[place:]
    return text[:place] + new + (" " if after and not after[0].isspace() else "") + after


def _select(name: str, label: str, values: Iterable[str]) -> str:
    options = "".join(
        f'<option value="{escape(value)}">{escape(sentence(value))}</option>' for value in values
    )
    return (
        f'<label class="dm-field">{label}<select name="{name}">'
        f'<option value="">{content.FORM_UNKNOWN}</option>{options}</select></label>'
    )


def _findings(legend: str, names: Iterable[str]) -> str:
    """Each finding with three answers: not known, yes, no."""
    answers = (
        ("", f'–<span class="dm-unseen">{content.FORM_UNKNOWN}</span>'),
        ("yes", content.FORM_YES),
        ("no", content.FORM_NO),
    )
    rows = "".join(
        f'<div class="dm-finding" role="radiogroup" aria-label="{escape(sentence(name))}">'
        f"<span>{escape(sentence(name))}</span><span class='dm-switch'>"
        + "".join(
            f'<label><input type="radio" name="finding {escape(name)}" value="{value}"'
            f"{'' if value else ' checked'}><span>{label}</span></label>"
            for value, label in answers
        )
        + "</span></div>"
        for name in names
    )
    return f'<fieldset><legend>{legend}</legend><div class="dm-findings">{rows}</div></fieldset>'
