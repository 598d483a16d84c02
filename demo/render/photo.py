"""The photo's surroundings: what was wrong with a file, the square to crop to, and advice."""

from __future__ import annotations

from html import escape

import numpy as np

from demo.content import inputs as content
from demo.render.pieces import data_uri, sentence

# Of the largest square that fits: the smallest that can be chosen, and where it starts.
SMALLEST, START = 0.1, 0.6


def trouble(message: str) -> str:
    """Why a file is not shown."""
    return f'<p class="dm-trouble" role="alert">{escape(sentence(message).rstrip("."))}.</p>'


def cropper(photo: np.ndarray) -> str:
    """A whole photo (H, W, 3) uint8 under a square that can be moved and resized.

    The square's place stands in data-x and data-y, shares of width and height, and its side in
    data-side, a share of the width.
    """
    height, width = photo.shape[:2]
    aspect = width / height
    side = START * min(1, 1 / aspect)
    x, y = (1 - side) / 2, (1 - side * aspect) / 2
    place = (
        f"left:{100 * x:.3f}%;top:{100 * y:.3f}%;"
        f"width:{100 * side:.3f}%;height:{100 * side * aspect:.3f}%"
    )
    corners = "".join(
        f'<i class="dm-corner" data-right="{right}" data-bottom="{bottom}"></i>'
        for bottom in (0, 1)
        for right in (0, 1)
    )
    return (
        f'<section class="dm-card dm-crop" aria-label="{content.CROP_TITLE}">'
        f'<p class="dm-crop-title">{content.CROP_TITLE}</p>'
        f'<div class="dm-stage" data-aspect="{aspect:.6f}" data-smallest="{SMALLEST}">'
        f'<img src="{data_uri(photo, "JPEG")}" alt="{content.CROP_ALT}" draggable="false">'
        f'<div class="dm-square" tabindex="0" role="group" aria-label="{content.CROP_SQUARE}" '
        f'data-x="{x:.6f}" data-y="{y:.6f}" data-side="{side:.6f}" style="{place}">{corners}</div>'
        f'</div><label class="dm-strength">{content.CROP_SIZE}'
        f'<input type="range" min="{100 * SMALLEST:.0f}" max="100" value="{100 * START:.0f}">'
        f'</label><div class="dm-actions">'
        f'<button type="button" class="dm-action dm-main" data-do="use">{content.CROP_USE}</button>'
        f'<button type="button" class="dm-action" data-do="cancel">{content.CROP_CANCEL}</button>'
        f'</div><p class="dm-small">{content.CROP_HELP}</p></section>'
    )


def advice() -> str:
    """How to take a photo, folded away until it is asked for."""
    points = "".join(
        f"<li><b>{escape(title)}.</b> {escape(words)}</li>"
        for title, words in content.ADVICE_POINTS
    )
    return (
        f'<details class="dm-fold"><summary>{content.ADVICE}</summary>'
        f'<ul class="dm-advice">{points}</ul><p class="dm-small">{content.ADVICE_SOURCE}</p>'
        f"</details>"
    )
