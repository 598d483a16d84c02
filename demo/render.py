"""Prediction -> what the page shows: HTML, a plotly figure, heat maps. Pure functions.

Everything that a user wrote, and every name, is escaped before it becomes HTML. Pictures go into
the page as data, so a photo never gets a web address of its own, and they can have alt text.

Shapes: K conditions, H x W pixels of the photo, h x w cells of an attention map.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from html import escape

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from demo import content
from demo.examples import Example
from dermmm import NOTICE, Prediction, Word
from dermmm.conditions import CONDITIONS

DESCRIPTIONS = {condition.name: condition.description for condition in CONDITIONS}

# Okabe and Ito's colours, told apart by most colour-blind people; patterns tell them apart too.
COLOURS = {"fused": "#009e73", "image": "#0072b2", "text": "#e69f00"}
PATTERNS = {"fused": "", "image": "/", "text": "."}
# Readable on white and on near black. The style sheet replaces it by the theme's text colour.
NEUTRAL = "#7c8798"

# From little to much attention: viridis, by its anchors.
HEAT = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)])
HEAT_SIDE = 48

BARS = 8
WRAP = 18


# The parts of an answer, in the order of the page


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


def chart(prediction: Prediction, bars: int = BARS) -> go.Figure:
    """Grouped bars: the likeliest conditions by the answer, for each input by itself and both.

    A modality that was not given is not in the figure. A condition that a modality never learned
    has no bar there; `chart_note` says so.
    """
    names = [name for name, _ in prediction.top(bars)]
    series = _series(prediction)
    figure = go.Figure()
    largest = 0.0
    for key, label in series.items():
        values = [_value(prediction, key, name) for name in names]
        largest = max([largest, *(v for v in values if v is not None)])
        figure.add_bar(
            orientation="h",
            name=label,
            y=[wrapped(sentence(name)) for name in names],
            x=values,
            text=["" if v is None else escape(percent(v)) for v in values],
            textposition="outside",
            cliponaxis=False,
            marker={
                "color": COLOURS[key],
                "pattern": {"shape": PATTERNS[key], "fgcolor": "rgba(255,255,255,0.75)", "size": 6},
                "line": {"width": 0},
            },
            hovertemplate=f"%{{y}}<br>{label}: %{{text}}<extra></extra>",
        )
    figure.update_layout(
        barmode="group",
        bargap=0.32 if len(series) > 1 else 0.45,
        bargroupgap=0.08,
        height=90 + len(names) * (30 + 15 * len(series)),
        margin={"l": 8, "r": 56, "t": 8, "b": 8},  # room for the numbers behind the bars
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": NEUTRAL, "size": 13, "family": "ui-sans-serif, system-ui, sans-serif"},
        showlegend=len(series) > 1,
        legend={
            "orientation": "h",
            "x": 0,
            "xref": "container",
            "y": 1,
            "yanchor": "top",
            "yref": "container",
            "itemclick": False,
            "itemdoubleclick": False,
        },
        dragmode=False,
        hoverlabel={"font": {"size": 13}},
    )
    if len(series) > 1:
        figure.update_layout(margin={"t": 44})
    figure.update_xaxes(
        range=[0, max(0.1, largest)],
        tickformat=".0%",
        nticks=4,
        tickangle=0,
        gridcolor="rgba(124,135,152,0.25)",
        zeroline=False,
        fixedrange=True,
    )
    figure.update_yaxes(autorange="reversed", automargin=True, fixedrange=True, ticklabelstandoff=8)
    return figure


def chart_note(prediction: Prediction) -> str:
    """Which conditions a modality never learned, as HTML; empty if it learned all of them."""
    notes = []
    for key in ("image", "text"):
        values = prediction.by_modality[key]
        if values is None or not np.isnan(values).any():
            continue
        missing = [
            sentence(name)
            for name, p in zip(prediction.conditions, values, strict=True)
            if np.isnan(p)
        ]
        name = content.GATE_NAMES[key].lower()
        notes.append(
            f"The {name} model never learned {len(missing)} of the {len(values)} conditions, so "
            f"they have no bar there: {escape(', '.join(missing))}."
        )
    return "".join(f'<p class="dm-small">{note}</p>' for note in notes)


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
    names = ", ".join(f"“{escape(word.text)}” {escape(percent(word.weight))}" for word in top)
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


def identity(prediction: Prediction) -> str:
    """Which weights answered."""
    model = prediction.model
    return (
        f'<p class="dm-small dm-identity">Model {escape(model.version)}, weights '
        f'<code title="SHA-256 {escape(model.sha256)}">{escape(model.sha256[:12])}</code></p>'
    )


# The states without an answer


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


# The rest of the page


def header() -> str:
    """Name, one sentence, and the notice, which is never hidden."""
    return (
        f'<header class="dm-header"><h1>{content.TITLE}</h1><p>{escape(content.TAGLINE)}</p>'
        f'<p class="dm-notice" role="note">{escape(NOTICE)}</p></header>'
    )


def examples(cases: tuple[Example, ...]) -> str:
    """The examples as a row of buttons with their drawings."""
    buttons = "".join(
        f'<button type="button" class="dm-example" data-index="{index}">{_thumbnail(case)}'
        f"<span>{escape(case.label)}<small>{case.caption}</small></span></button>"
        for index, case in enumerate(cases)
    )
    return (
        f'<section class="dm-examples"><h2>{content.EXAMPLES}</h2><div>{buttons}</div>'
        f'<p class="dm-small">{content.EXAMPLES_HELP}</p></section>'
    )


def _thumbnail(case: Example) -> str:
    if case.path is None:
        return '<span class="dm-quote" aria-hidden="true">“ ”</span>'
    with Image.open(case.path) as image:
        image.thumbnail((160, 120))
        return f'<img src="{data_uri(np.asarray(image), "JPEG")}" alt="">'


# Small pieces


def percent(p: float) -> str:
    """A probability with one decimal. What would round to zero or one says so."""
    if 0 < p < 0.0005:
        return "<0.1%"
    if 0.9995 <= p < 1:
        return ">99.9%"
    return f"{p:.1%}"


def sentence(name: str) -> str:
    """A condition's name as it stands at the start of a line."""
    return name[:1].upper() + name[1:]


def wrapped(text: str, width: int = WRAP) -> str:
    """Break a label at spaces so that bars keep room on a phone; plotly breaks at <br>."""
    lines = [""]
    for word in escape(text, quote=False).split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(lines)


def heat(attention: np.ndarray, side: int = HEAT_SIDE) -> np.ndarray:
    """An attention map (h, w) as a layer to lay over the photo: (side, side, 4) uint8, RGBA.

    The photo's shape does not matter: the layer is stretched over it, as the map covers all of it.
    Colour and opacity grow with attention. Attention that is almost even stays faint instead of
    being blown up to full contrast.
    """
    top = max(float(attention.max()), 3 * float(attention.mean())) or 1.0
    small = Image.fromarray((attention / top).astype(np.float32))
    level = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC)).clip(0, 1)
    anchors = np.linspace(0, 1, len(HEAT))
    channels = [np.interp(level, anchors, HEAT[:, c]) for c in range(3)]
    channels.append(255 * level)
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def overlay(photo: np.ndarray, attention: np.ndarray, strength: float = 0.6) -> np.ndarray:
    """The photo (H, W, 3) uint8 with its attention map blended in, for files and reports."""
    height, width = photo.shape[:2]
    layer = Image.fromarray(heat(attention)).resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(layer, dtype=np.float32)
    opacity = strength * pixels[..., 3:] / 255
    return (photo * (1 - opacity) + pixels[..., :3] * opacity).round().astype(np.uint8)


def heat_uri(attention: np.ndarray, side: int = HEAT_SIDE) -> str:
    """`heat` as a data address."""
    return data_uri(heat(attention, side), "PNG")


def data_uri(pixels: np.ndarray, format_: str) -> str:
    """Pixels (H, W, 3 or 4) uint8 as the address of an image that travels inside the page."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_, quality=90)
    return f"data:image/{format_.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _series(prediction: Prediction) -> Mapping[str, str]:
    """Keys and labels of the bars. With one input the answer is that input: one series."""
    if prediction.by_modality["image"] is None or prediction.by_modality["text"] is None:
        return {"fused": content.CHART_ALONE}
    return content.CHART_NAMES


def _value(prediction: Prediction, key: str, name: str) -> float | None:
    values = prediction.by_modality[key]
    assert values is not None
    p = float(values[prediction.conditions.index(name)])
    return None if math.isnan(p) else p
