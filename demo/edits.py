"""Edits of a photo, for the tab What if: pure functions from one photo to another.

A photo is (H, W, 3) uint8, upright RGB, as in `dermmm.Explanation.photo`. Parts of it are chosen as
cells of a grid of `GRID` x `GRID`, numbered in reading order from 0.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageFilter

GRID = 6
MAX_STOPS = 2.0
MAX_BLUR = 3.0

Use = Literal["cover", "keep", "crop"]
USES: tuple[Use, ...] = get_args(Use)


@dataclass(frozen=True)
class Edits:
    """What to do with a photo; as made here, nothing.

    ``cells`` are chosen parts and ``use`` says what for: to cover them, to keep only them and cover
    the rest, or to crop to the rectangle around them. ``stops`` is as in `brighten`, ``blur`` as in
    `blurred`.
    """

    cells: tuple[int, ...] = ()
    use: Use = "cover"
    stops: float = 0.0
    blur: float = 0.0
    mirror: bool = False

    @property
    def any(self) -> bool:
        """Whether they change the photo."""
        return bool(self.cells) or self.stops != 0 or self.blur != 0 or self.mirror


def edited(photo: np.ndarray, edits: Edits) -> np.ndarray:
    """Apply the edits: first to the chosen cells, then to the whole picture.

    Raises:
        ValueError: an edit is out of its range.
    """
    if edits.use not in USES:
        raise ValueError(f"got {edits.use!r} as use of the cells; expected one of {USES}")
    if edits.cells and edits.use == "crop":
        photo = cropped(photo, edits.cells)
    elif edits.cells:
        kept = set(range(GRID * GRID)) - set(edits.cells)
        photo = covered(photo, edits.cells if edits.use == "cover" else kept)
    if edits.mirror:
        photo = mirrored(photo)
    return brighten(blurred(photo, edits.blur), edits.stops)


def covered(photo: np.ndarray, cells: Collection[int]) -> np.ndarray:
    """Cover cells with the photo's mean colour, which tells least of what was there."""
    result = photo.copy()
    colour = photo.reshape(-1, 3).mean(axis=0).round()
    for cell in cells:
        top, left, bottom, right = _box(cell, photo)
        result[top:bottom, left:right] = colour
    return result


def cropped(photo: np.ndarray, cells: Collection[int]) -> np.ndarray:
    """Cut the photo to the smallest rectangle that holds all of the cells; at least one."""
    if not cells:
        raise ValueError("got no cells to crop to; give at least one")
    boxes = np.array([_box(cell, photo) for cell in cells])
    top, left = boxes[:, :2].min(axis=0)
    bottom, right = boxes[:, 2:].max(axis=0)
    return photo[top:bottom, left:right].copy()


def mirrored(photo: np.ndarray) -> np.ndarray:
    """Swap left and right."""
    return photo[:, ::-1].copy()


def brighten(photo: np.ndarray, stops: float) -> np.ndarray:
    """Change the exposure by -2..2 photographic stops: one stop doubles or halves the light.

    Light is what the sRGB values stand for (IEC 61966-2-1), so it looks as the camera would have
    it: dark parts keep their tones, and too much light burns out.
    """
    if not -MAX_STOPS <= stops <= MAX_STOPS:
        raise ValueError(f"got {stops} stops; expected {-MAX_STOPS:g} to {MAX_STOPS:g}")
    value = np.arange(256) / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    light = np.minimum(light * 2.0**stops, 1)
    value = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * value).round().astype(np.uint8)[photo]


def blurred(photo: np.ndarray, percent: float) -> np.ndarray:
    """Blur by a Gaussian whose standard deviation is 0..3 per cent of the longer side."""
    if not 0 <= percent <= MAX_BLUR:
        raise ValueError(f"got a blur of {percent} %; expected 0 to {MAX_BLUR:g}")
    if percent == 0:
        return photo.copy()
    radius = percent / 100 * max(photo.shape[:2])
    return np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(radius)))


def _box(cell: int, photo: np.ndarray) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of a cell in pixels. The cells tile the photo without gaps."""
    if not 0 <= cell < GRID * GRID:
        raise ValueError(f"got cell {cell}; expected 0 to {GRID * GRID - 1}")
    row, column = divmod(cell, GRID)
    height, width = photo.shape[:2]
    return (
        row * height // GRID,
        column * width // GRID,
        (row + 1) * height // GRID,
        (column + 1) * width // GRID,
    )
