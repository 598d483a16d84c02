"""What the answer owes to each phrase and each region: the case with one part taken away."""

from __future__ import annotations

from html import escape

import numpy as np
from PIL import Image

from demo.content import examine as content
from demo.render.pieces import data_uri, percent, sentence
from dermmm import Deletion, Effects, Explanation, Phrase, Prediction, Region

PHOTO_SIDE = 640  # pixels: enough for a picture under numbers
# Bars and colours are full at the largest change, but a small one is not blown up beyond this.
LEAST_SCALE = 0.05


def effects(found: Effects, prediction: Prediction) -> str:
    """The effects as a card: phrases with signed bars, regions over the photo, the maps' test."""
    changes = [part.change for part in found.phrases] + [part.change for part in found.regions]
    scale = max([LEAST_SCALE, *map(abs, changes)])
    photo = _photo(prediction.explanation)
    told = phrases(found.phrases, scale) if found.phrases else ""
    seen = regions(photo, found.regions, scale) if photo is not None and found.regions else ""
    # Two columns: with one input the tests fill the second, with both they go below the phrases.
    columns = [told + tests(found), seen] if told and seen else [told + seen, tests(found)]
    return (
        f'<section class="dm-card dm-effects"><h2>{content.EFFECTS}</h2>'
        f'<p class="dm-lead">With everything, the model gives {escape(found.condition)} '
        f"<b>{escape(percent(found.probability))}</b>. {strongest(found)}</p>"
        f'{legend()}<div class="dm-columns">{_columns(columns)}</div></section>'
    )


def working(prediction: Prediction) -> str:
    """The card's outline while the effects are worked out; it keeps their place."""
    photo = _photo(prediction.explanation)
    described = prediction.by_modality["text"] is not None
    row = '<span class="dm-ghost"></span>'
    told = f'<div class="dm-phrases" aria-hidden="true">{row * 4}</div>' if described else ""
    seen = "" if photo is None else f'<div class="dm-regions">{_picture(photo, "")}</div>'
    return (
        f'<section class="dm-card dm-effects dm-loading" role="status"><h2>{content.EFFECTS}</h2>'
        f'<p class="dm-lead">{content.EFFECTS_WORKING}</p>{legend()}'
        f'<div class="dm-columns">{_columns([told, seen])}</div></section>'
    )


def failed() -> str:
    """The card where the effects could not be worked out."""
    return (
        f'<section class="dm-card dm-effects"><h2>{content.EFFECTS}</h2>'
        f"<p>{content.EFFECTS_FAILED}</p></section>"
    )


def legend() -> str:
    """What colour, side and sign mean."""
    return (
        f'<p class="dm-small dm-legend"><span class="dm-falls"><i aria-hidden="true"></i>−  '
        f'{content.SPEAKS_FOR}</span><span class="dm-rises"><i aria-hidden="true"></i>+  '
        f"{content.SPEAKS_AGAINST}</span><span>{content.EFFECTS_POINTS}</span></p>"
    )


def strongest(found: Effects) -> str:
    """What lowers the probability most when it is taken away, as HTML."""
    parts: list[tuple[float, str]] = [
        # By itself, so that letters that run to the left do not turn what follows around.
        (phrase.change, f"without “<bdi>{escape(phrase.text)}</bdi>”")
        for phrase in found.phrases
    ]
    parts += [
        (region.change, f"with one part of the photo covered ({place(region, found.regions)})")
        for region in found.regions
    ]
    change, name = min(parts, default=(0.0, ""))
    if change > -0.005:
        return "No single part holds it up: taking one away hardly lowers it."
    left = percent(max(0.0, found.probability + change))
    return f"It falls most {name}: to {escape(left)}."


def place(region: Region, all_: tuple[Region, ...]) -> str:
    """Where a region lies among ``all_`` regions of a grid, in words."""
    row = sorted({other.top for other in all_}).index(region.top) + 1
    column = sorted({other.left for other in all_}).index(region.left) + 1
    return f"row {row}, column {column}"


def points(change: float) -> str:
    """A change of probability in percentage points, with its sign."""
    rounded = round(100 * change, 1)
    return "0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", "−")


def phrases(found: tuple[Phrase, ...], scale: float) -> str:
    """The phrases in reading order, each with a bar to the left (falls) or right (rises)."""
    rows = "".join(
        f'<tr><th scope="row">{escape(phrase.text)}</th>'
        f'<td class="dm-signed {_side(phrase.change)}" aria-hidden="true">'
        f'<i style="--d:{abs(phrase.change) / scale:.3f}"></i></td>'
        f'<td class="dm-points">{points(phrase.change)}</td></tr>'
        for phrase in found
    )
    return (
        f'<div class="dm-phrases"><h3>{content.EFFECTS_TEXT}</h3><table class="dm-table">'
        f'<thead class="dm-unseen"><tr><th>Phrase</th><th></th><th>Change in percentage points'
        f"</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def regions(photo: np.ndarray, found: tuple[Region, ...], scale: float) -> str:
    """The photo (H, W, 3) uint8 under its regions, each with the change when it is covered."""
    cells = "".join(
        f'<span class="dm-region {_side(region.change)}" style="top:{region.top:.2%};'
        f"left:{region.left:.2%};height:{region.bottom - region.top:.2%};"
        f'width:{region.right - region.left:.2%};--d:{abs(region.change) / scale:.3f}" role="img" '
        f'aria-label="{place(region, found)}: {points(region.change)}">'
        f"<b>{points(region.change)}</b></span>"
        for region in found
    )
    return (
        f'<div class="dm-regions"><h3>{content.EFFECTS_PHOTO}</h3>{_picture(photo, cells)}'
        f'<label class="dm-toggle"><input type="checkbox" checked> {content.EFFECTS_SHOW}</label>'
        "</div>"
    )


def tests(found: Effects) -> str:
    """What the deletion tests say about the maps of this case; empty without them."""
    tested = {"photo": found.photo_deletion, "words": found.words_deletion}
    rows = "".join(
        _tested(content.MAP_NAMES[name], deletion)
        for name, deletion in tested.items()
        if deletion is not None
    )
    return rows and f'<div class="dm-tests"><h3>{content.MAPS_TESTED}</h3><ul>{rows}</ul></div>'


def _tested(name: str, deletion: Deletion) -> str:
    words = content.FAITHFUL if deletion.faithful else content.NOT_FAITHFUL
    return (
        f'<li class="{"dm-holds" if deletion.faithful else "dm-fails"}"><b>{name}.</b> {words} '
        f'<span class="dm-small">Area under the probability: {deletion.by_map:.2f} in the map\'s '
        f"order, {deletion.at_random:.2f} at random.</span></li>"
    )


def _columns(columns: list[str]) -> str:
    return "".join(f"<div>{column}</div>" for column in columns if column)


def _side(change: float) -> str:
    return "dm-falls" if change < 0 else "dm-rises"


def _photo(explanation: Explanation | None) -> np.ndarray | None:
    """The photo as a small picture (h, w, 3) uint8."""
    if explanation is None or explanation.photo is None:
        return None
    small = Image.fromarray(explanation.photo)
    small.thumbnail((PHOTO_SIDE, PHOTO_SIDE))
    return np.asarray(small)


def _picture(photo: np.ndarray, cells: str) -> str:
    alt = sentence(content.EFFECTS_PHOTO)
    return (
        f'<div class="dm-photo"><img src="{data_uri(photo, "JPEG")}" alt="{alt}">'
        f'<div class="dm-regions-layer">{cells}</div></div>'
    )
