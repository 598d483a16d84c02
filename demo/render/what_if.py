"""The case and its edited copy side by side: what changed in the answer, and where it looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

from demo.content import what_if as content
from demo.edits import GRID, Edits
from demo.render.answer import gate_sides
from demo.render.look import attention_sentence, weighted_words
from demo.render.pieces import data_uri, heat_uri, percent, sentence
from dermmm import Explanation, Prediction
from dermmm.prediction import CAUTIONS

SHOWN_SIDE = 640  # longest side of the photos, in pixels: two travel with every change
TOP = 5


@dataclass(frozen=True)
class Shift:
    """One condition's probability (0..1) before and after."""

    name: str
    before: float
    after: float

    @property
    def change(self) -> float:
        """After less before, -1..1."""
        return self.after - self.before


@dataclass(frozen=True)
class Experiment:
    """A case with a part left out, and the answer to it.

    ``what`` is that part in words; ``with_photo`` and ``text`` are the case that was asked.
    """

    what: str
    with_photo: bool
    text: str
    prediction: Prediction


# The case to change


def picker(photo: np.ndarray, token: str) -> str:
    """The photo under a grid of `demo.edits.GRID` squared buttons, none pressed.

    ``token`` tells this drawing from the one before: the page draws the grid afresh only when its
    HTML is another.
    """
    cells = "".join(
        f'<button type="button" class="dm-if-cell" aria-pressed="false" '
        f'tabindex="{0 if cell == 0 else -1}" aria-label="{_cell_name(cell)}"></button>'
        for cell in range(GRID * GRID)
    )
    return (
        f'<div class="dm-if-picker" data-token="{escape(token)}" style="--grid:{GRID}">'
        f'<img src="{_shown(photo)}" alt="">'
        f'<div role="group" aria-label="{content.PICKER_GROUP}">{cells}</div></div>'
    )


def heading(with_photo: bool) -> str:
    """What the controls are for; how to choose cells only where there is a photo."""
    help_ = content.PICKER_HELP if with_photo else content.PICKER_HELP_TEXT
    return f'<h2>{content.PICKER}</h2><p class="dm-small">{help_}</p>'


# What changed


def comparison(before: Prediction, after: Prediction, edits: Sequence[str]) -> str:
    """Conditions, gates, sets and cautions of both answers; ``edits`` as of `edits_in_words`."""
    return f"{changes(before, after, edits)}{gates(before, after)}{certainty(before, after)}"


def edits_in_words(
    edits: Edits, with_photo: bool, text_before: str | None, text_after: str | None
) -> list[str]:
    """What was changed, in words, in the order of the controls. ``with_photo`` False: left out."""
    found = []
    if not with_photo:
        found.append(content.EDITS["without photo"])
    else:
        if edits.cells:
            n = len(edits.cells)
            found.append(content.EDITS[edits.use].format(cells=f"{n} cell{'s' if n != 1 else ''}"))
        if edits.stops:
            found.append(content.EDITS["stops"].format(stops=_signed(edits.stops, "g")))
        if edits.blur:
            found.append(content.EDITS["blur"].format(blur=f"{edits.blur:g}"))
        if edits.mirror:
            found.append(content.EDITS["mirror"])
    if text_before != text_after:
        key = "new text" if not text_before else "text" if text_after else "without text"
        found.append(content.EDITS[key])
    return found


def shifts(before: Prediction, after: Prediction, top: int = TOP) -> list[Shift]:
    """The ``top`` conditions of either answer, those first that are likeliest in one of them."""
    names = dict.fromkeys(name for answer in (before, after) for name, _ in answer.top(top))
    index = {name: i for i, name in enumerate(before.conditions)}
    found = [
        Shift(n, float(before.probabilities[index[n]]), float(after.probabilities[index[n]]))
        for n in names
    ]
    return sorted(found, key=lambda shift: -max(shift.before, shift.after))


def changes(before: Prediction, after: Prediction, edits: Sequence[str]) -> str:
    """A list of conditions with both probabilities and a bar for the change."""
    if not edits:
        return (
            f'<section class="dm-card"><h2>{content.CHANGES}</h2>'
            f'<p class="dm-if-lead" role="status">{content.NOTHING_CHANGED}</p>'
            f"{_abstains(before, after)}"
            f'<ol class="dm-if-shifts">{"".join(map(_same_row, shifts(before, after)))}</ol>'
            f'<p class="dm-small">{content.CHANGES_HELP_SAME}</p></section>'
        )
    found = shifts(before, after)
    # Small changes stay small: the bars' scale never covers less than ten points.
    scale = max([0.1, *(abs(shift.change) for shift in found)])
    return (
        f'<section class="dm-card"><h2>{content.CHANGES}</h2>'
        f'<p class="dm-if-lead" role="status">{_lead(before, after)}</p>{_abstains(before, after)}'
        f'<p class="dm-if-edits"><b>{content.EDITED}:</b> {escape("; ".join(edits))}.</p>'
        f'<ol class="dm-if-shifts">{"".join(_row(shift, scale) for shift in found)}</ol>'
        f'<p class="dm-small">{content.CHANGES_HELP}</p></section>'
    )


def gates(before: Prediction, after: Prediction) -> str:
    """Both gates, one bar above the other."""
    rows = "".join(
        f'<div class="dm-if-gate"><b>{name}</b>{gate_sides(prediction)}</div>'
        for name, prediction in ((content.BEFORE, before), (content.AFTER, after))
    )
    return f'<section class="dm-card"><h2>{content.GATES}</h2>{rows}</section>'


def certainty(before: Prediction, after: Prediction) -> str:
    """How the prediction set and the cautions differ."""
    return (
        f'<section class="dm-card dm-if-certainty"><h2>{content.CERTAINTY}</h2>'
        f"{_sets(before, after)}{_cautions(before, after)}</section>"
    )


def maps(before: Prediction, after: Prediction) -> str:
    """Both photos under their attention maps and both descriptions with their words weighted."""
    if before.explanation is None or after.explanation is None:
        return ""
    both = (before.explanation, after.explanation)
    photo = any(explanation.photo is not None for explanation in both)
    text = any(explanation.words for explanation in both)
    halves = "".join(
        f'<div class="dm-if-half"><h3>{name}</h3>'
        f"{_photo(explanation, content.WHICH[key]) if photo else ''}"
        f"{_words(explanation) if text else ''}</div>"
        for name, key, explanation in (
            (content.BEFORE, "before", before.explanation),
            (content.AFTER, "after", after.explanation),
        )
    )
    strength = ""
    if photo:
        strength = (
            f'<label class="dm-strength">{content.STRENGTH}'
            '<input type="range" min="0" max="100" value="60"></label>'
        )
    return (
        f'<section class="dm-card"><h2>{content.MAPS}</h2>'
        f'<div class="dm-if-halves">{halves}</div>{strength}</section>'
    )


# The usual experiments


def experiments_heading(most: int) -> str:
    """What the experiments are; ``most`` phrases are tried at most."""
    return (
        f"<h2>{content.EXPERIMENTS}</h2>"
        f'<p class="dm-small">{content.EXPERIMENTS_HELP.format(most=most)}</p>'
    )


def experiments(original: Prediction, done: Sequence[Experiment]) -> str:
    """A table: what was left out, the first condition then, and what it did to the first one."""
    if not done:
        return (
            f'<section class="dm-card"><p class="dm-if-lead">{content.NO_EXPERIMENTS}</p></section>'
        )
    name, probability = original.top(1)[0]
    index = original.conditions.index(name)
    scale = max([0.1, *(abs(float(e.prediction.probabilities[index]) - probability) for e in done)])
    rows = "".join(
        _experiment(e, name, float(e.prediction.probabilities[index]) - probability, scale)
        for e in done
    )
    return (
        f'<section class="dm-card"><table class="dm-table dm-if-experiments">'
        f"<caption>{escape(content.EXPERIMENTS_CAPTION.format(name=name))}</caption><thead><tr>"
        f'<th scope="col">{content.LEFT_OUT}</th><th scope="col">{content.FIRST_NOW}</th>'
        f'<th scope="col">{escape(content.CHANGE_OF.format(name=name))}</th>'
        f"<td></td></tr></thead><tbody>"
        f'<tr class="dm-if-as-is"><th scope="row">{content.NOTHING_LEFT_OUT}</th>'
        f"<td>{escape(sentence(name))} <b>{escape(percent(probability))}</b></td><td></td>"
        f"<td></td></tr>{rows}</tbody></table></section>"
    )


# States without an answer


def empty() -> str:
    """What stands here while Examine holds no case."""
    steps = "".join(f"<li><b>{title}</b> {words}</li>" for title, words in content.EMPTY_STEPS)
    return (
        f'<section class="dm-card"><h2>{content.EMPTY_TITLE}</h2>'
        f'<ol class="dm-steps">{steps}</ol></section>'
    )


def running() -> str:
    """The outline of the table while the experiments run."""
    return (
        f'<section class="dm-card" role="status"><p class="dm-if-lead">{content.RUNNING} …</p>'
        '<span class="dm-ghost" aria-hidden="true"></span></section>'
    )


def _cell_name(cell: int) -> str:
    row, column = divmod(cell, GRID)
    return content.CELL.format(row=row + 1, column=column + 1)


def _shown(photo: np.ndarray) -> str:
    """The photo as a data address, small enough to travel with every change; a crop is enlarged."""
    scale = SHOWN_SIDE / max(photo.shape[:2])
    height, width = (max(1, round(scale * side)) for side in photo.shape[:2])
    image = Image.fromarray(photo).resize((width, height), Image.Resampling.BICUBIC)
    return data_uri(np.asarray(image), "JPEG")


def _signed(value: float, format_: str) -> str:
    """A number with its sign, as typeset: a true minus, and none before a zero."""
    text = format(abs(value), format_)
    if not float(text):
        return text
    return f"{'+' if value > 0 else '−'}{text}"


def _points(change: float) -> str:
    """A change of probability in percentage points, signed."""
    return _signed(100 * change, ".1f")


def _lead(before: Prediction, after: Prediction) -> str:
    (old, old_p), (new, new_p) = before.top(1)[0], after.top(1)[0]
    if old == new:
        words = content.STAYS.format(
            name=sentence(old), before=percent(old_p), after=percent(new_p)
        )
    else:
        words = content.MOVES.format(new=new, after=percent(new_p), old=old, before=percent(old_p))
    return escape(words)


def _abstains(before: Prediction, after: Prediction) -> str:
    """Which of the two the model abstains on: then the numbers are no answer."""
    if not before.abstains and not after.abstains:
        return ""
    both = before.abstains and after.abstains
    words = content.ABSTAINS["both" if both else "before" if before.abstains else "after"]
    return f'<p class="dm-notice">{words} {content.ABSTAINS_HELP}</p>'


def _same_row(shift: Shift) -> str:
    return (
        f'<li class="dm-if-shift"><span class="dm-name">{escape(sentence(shift.name))}</span>'
        f'<span class="dm-if-from-to">{escape(percent(shift.before))}</span></li>'
    )


def _row(shift: Shift, scale: float) -> str:
    return (
        f'<li class="dm-if-shift"><span class="dm-name">{escape(sentence(shift.name))}</span>'
        f'<span class="dm-if-from-to">{escape(percent(shift.before))}'
        f'<span aria-hidden="true"> → </span><span class="dm-unseen"> then </span>'
        f"{escape(percent(shift.after))}</span>"
        f'<b class="dm-if-change">{_points(shift.change)}<span class="dm-unseen"> points</span>'
        f"</b>{_bar(shift.change, scale)}</li>"
    )


def _bar(change: float, scale: float) -> str:
    """A bar from the middle: to the right for more, striped and to the left for less."""
    side = "less" if change < 0 else "more"
    return (
        f'<span class="dm-if-delta" aria-hidden="true">'
        f'<i class="dm-if-{side}" style="--share:{min(1, abs(change) / scale):.4f}"></i></span>'
    )


def _sets(before: Prediction, after: Prediction) -> str:
    if before.set_coverage is None or after.set_coverage is None:
        return f"<p>{content.NO_SET}</p>"
    old, new = before.prediction_set, after.prediction_set
    joined = [name for name in new if name not in old]
    left = [name for name in old if name not in new]
    size = content.SET_SIZES.format(before=len(old), after=len(new))
    if not joined and not left:
        size = content.SET_SAME.format(names=", ".join(new))
    parts = [f"<p>{content.SET.format(coverage=f'{after.set_coverage:.0%}')}: {escape(size)}.</p>"]
    for mark, label, names in (("+", content.JOINED, joined), ("−", content.LEFT, left)):
        if names:
            listed = escape(", ".join(names))
            parts.append(f'<p><i aria-hidden="true">{mark}</i><b>{label}:</b> {listed}.</p>')
    return "".join(parts)


def _cautions(before: Prediction, after: Prediction) -> str:
    keys = dict.fromkeys((*after.cautions, *before.cautions))
    if not keys:
        return f"<p>{content.NO_CAUTIONS}</p>"
    parts = []
    for key in keys:
        if key not in before.cautions:
            mark, label, kind = "!", content.CAUTIONS_NEW, "new"
        elif key not in after.cautions:
            mark, label, kind = "✓", content.CAUTIONS_GONE, "gone"
        else:
            mark, label, kind = "!", content.CAUTIONS_KEPT, "kept"
        parts.append(
            f'<p class="dm-if-caution-{kind}"><i aria-hidden="true">{mark}</i><b>{label}:</b> '
            f"{escape(CAUTIONS[key])}</p>"
        )
    return "".join(parts)


def _photo(explanation: Explanation, which: str) -> str:
    """The photo under its map; that there is none, where only the other case has one."""
    if explanation.photo is None:
        return f'<p class="dm-if-nothing">{content.MAPS_NO_PHOTO}</p>'
    heat, words = "", ""
    if explanation.attention is not None:
        words = attention_sentence(explanation.attention)
        heat = f'<img class="dm-heat" src="{heat_uri(explanation.attention)}" alt="">'
    alt = content.MAPS_ALT.format(which=which, words=words)
    return (
        f'<div class="dm-photo"><img src="{_shown(explanation.photo)}" alt="{alt}">{heat}</div>'
        f'<p class="dm-small">{words}</p>'
    )


def _words(explanation: Explanation) -> str:
    """The description with its words weighted; that there is none, as for the photo."""
    if not explanation.description:
        return f'<p class="dm-if-nothing">{content.MAPS_NO_TEXT}</p>'
    weighted = weighted_words(explanation.description, explanation.words, maps=False)
    return f'<p class="dm-words">{weighted}</p>'


def _experiment(done: Experiment, name: str, change: float, scale: float) -> str:
    first, probability = done.prediction.top(1)[0]
    moved = ' class="dm-if-moved"' if first != name else ""
    label = content.SHOW_LABEL.format(what=done.what)
    return (
        f'<tr><th scope="row">{escape(done.what)}</th>'
        f"<td{moved}>{escape(sentence(first))} <b>{escape(percent(probability))}</b></td>"
        f'<td><b class="dm-if-change">{_points(change)}</b>{_bar(change, scale)}</td>'
        f'<td><button type="button" class="dm-if-show" aria-label="{escape(label)}" '
        f'data-photo="{int(done.with_photo)}" data-text="{escape(done.text)}">'
        f"{content.SHOW}</button></td></tr>"
    )
