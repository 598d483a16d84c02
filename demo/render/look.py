"""Where the model looked: the photo under its attention map, the words by weight."""

from __future__ import annotations

from html import escape

import numpy as np

from demo.content import examine as content
from demo.render.pieces import data_uri, heat_uri, percent
from dermmm import Prediction, Word


def look(prediction: Prediction) -> str:
    """The photo under its attention map, and the description with its words weighted."""
    explanation = prediction.explanation
    if explanation is None:
        return ""
    parts = []
    if explanation.photo is not None:
        parts.append(
            f'<section class="dm-card"><h2>{content.LOOK_PHOTO}</h2>'
            f"{photo_figure(explanation.photo, explanation.attention)}</section>"
        )
    if explanation.description and explanation.words:
        maps = explanation.photo is not None and any(
            word.attention is not None for word in explanation.words
        )
        help_ = content.LOOK_WORDS_HELP + (f" {content.LOOK_WORDS_CHOOSE}" if maps else "")
        parts.append(
            f'<section class="dm-card"><h2>{content.LOOK_WORDS}</h2>'
            f'<p class="dm-words">'
            f"{weighted_words(explanation.description, explanation.words, maps)}</p>"
            f'<p class="dm-small">{words_sentence(explanation.words)} {help_}</p></section>'
        )
    if not parts:
        return ""
    return f'{"".join(parts)}<p class="dm-small dm-caveat">{content.ATTENTION_CAVEAT}</p>'


def photo_figure(photo: np.ndarray, attention: np.ndarray | None) -> str:
    """The photo with its attention map on top and a slider for the map's strength."""
    source = data_uri(photo, "JPEG")
    if attention is None:
        return (
            f'<div class="dm-photo"><img src="{source}" alt="The photo as the model saw it."></div>'
        )
    words = attention_sentence(attention)
    return (
        f'<figure class="dm-figure"><div class="dm-photo">'
        f'<img src="{source}" alt="The photo as the model saw it. {words}">'
        f'<img class="dm-heat" src="{heat_uri(attention)}" alt=""></div>'
        f'<label class="dm-strength">{content.STRENGTH}'
        f'<input type="range" min="0" max="100" value="60"></label>'
        f'<div class="dm-scale"><span>less</span><i aria-hidden="true"></i><span>more</span></div>'
        f'<figcaption class="dm-small">{words}</figcaption></figure>'
    )


def weighted_words(description: str, words: tuple[Word, ...], maps: bool) -> str:
    """The description as HTML, each word coloured by its weight.

    With ``maps`` a word is a button that carries the map of where on the photo it looked.
    """
    pieces, done = [], 0
    for text, level, word in highlighted(description, words):
        if word is None:
            pieces.append(escape(text))
            continue
        done += 1
        attributes = f'style="--w:{level:.3f}" title="{escape(percent(word.weight))} of the weight"'
        if maps and word.attention is not None:
            pieces.append(
                f'<button type="button" class="dm-word" aria-pressed="false" {attributes} '
                f'data-heat="{heat_uri(word.attention, 24)}">{escape(text)}</button>'
            )
        else:
            pieces.append(f'<span class="dm-word" {attributes}>{escape(text)}</span>')
    return "".join(pieces)


def highlighted(
    description: str, words: tuple[Word, ...]
) -> list[tuple[str, float | None, Word | None]]:
    """The description in pieces (text, level, word), in order; joined they give it back.

    ``level`` is the word's weight against the heaviest word, 0..1; None between words.
    """
    heaviest = max((word.weight for word in words), default=0.0) or 1.0
    pieces: list[tuple[str, float | None, Word | None]] = []
    end = 0
    for word in words:
        if word.start > end:
            pieces.append((description[end : word.start], None, None))
        pieces.append((description[word.start : word.end], word.weight / heaviest, word))
        end = word.end
    if end < len(description):
        pieces.append((description[end:], None, None))
    return pieces


def words_sentence(words: tuple[Word, ...]) -> str:
    """The heaviest words by name, as HTML."""
    top = sorted(words, key=lambda word: -word.weight)[:3]
    names = ", ".join(
        # By itself, so that letters that run to the left do not turn the number around.
        f"“<bdi>{escape(word.text)}</bdi>” {escape(percent(word.weight))}"
        for word in top
    )
    return f"Most weight: {names}."


def attention_sentence(attention: np.ndarray) -> str:
    """Where on the photo most attention lies, in words."""
    total = float(attention.sum()) or 1.0
    values = np.sort(attention.ravel())[::-1] / total
    quarter = max(1, round(values.size / 4))
    share = float(values[:quarter].sum())
    if share < 0.4:
        return "The attention is spread almost evenly over the photo."
    height, width = attention.shape
    y = float((attention.sum(axis=1) * (np.arange(height) + 0.5)).sum()) / total / height
    x = float((attention.sum(axis=0) * (np.arange(width) + 0.5)).sum()) / total / width
    row = "top" if y < 0.42 else "bottom" if y > 0.58 else ""
    column = "left" if x < 0.42 else "right" if x > 0.58 else ""
    where = " ".join(part for part in (row, column) if part)
    place = f"towards the {where}" if where else "around the middle"
    return f"A quarter of the photo, {place}, holds {share:.0%} of the attention."
