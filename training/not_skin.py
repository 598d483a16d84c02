"""Pictures that are not skin, made by code: what a model of skin should say it cannot judge.

Five kinds; a seed gives the same pictures at any time. Shapes: P pictures, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_letters

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def pictures(kind: str, count: int, size: int, seed: int) -> np.ndarray:
    """Draw (count, S, S, 3) uint8 pictures of one of `KINDS`.

    Raises:
        ValueError: an unknown kind.
    """
    if kind not in _KINDS:
        raise ValueError(f"got kind {kind!r}; expected one of {', '.join(KINDS)}")
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    return np.stack([_KINDS[kind](rng, size) for _ in range(count)])


def _drawing(rng: np.random.Generator, size: int) -> np.ndarray:
    """Flat shapes in bright colours on a plain ground."""
    image = Image.new("RGB", (size, size), _colour(rng))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(3, 9)):
        x, y = (int(value) for value in rng.integers(0, size, 2))
        a, b = (int(value) for value in rng.integers(size // 12, size // 2, 2))
        shape = rng.integers(3)
        if shape == 0:
            pen.ellipse((x, y, x + a, y + b), fill=_colour(rng))
        elif shape == 1:
            pen.rectangle((x, y, x + a, y + b), fill=_colour(rng), outline=_colour(rng))
        else:
            pen.line((x, y, a, b), fill=_colour(rng), width=int(rng.integers(1, 12)))
    return np.asarray(image)


def _noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """Coloured noise, from single pixels to coarse blotches."""
    cells = int(rng.choice([size, size // 2, size // 8, size // 20]))
    values = rng.integers(0, 256, (max(cells, 2), max(cells, 2), 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(values).resize((size, size), Image.Resampling.BILINEAR))


def _texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """Stripes, checks or dots of two colours, turned by any angle."""
    y, x = np.mgrid[0:size, 0:size] * (2 * np.pi / rng.uniform(size / 20, size / 3))
    angle = rng.uniform(0, np.pi)
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    pattern = (np.sin(along), np.sin(along) * np.sin(across), np.sin(along) + np.sin(across) - 1)
    chosen = pattern[rng.integers(3)] > 0
    return np.where(chosen[..., None], _colour(rng), _colour(rng)).astype(np.uint8)


def _gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    """One colour passing into another, along a line or from a centre."""
    y, x = np.mgrid[0:size, 0:size] / size
    angle, centre = rng.uniform(0, 2 * np.pi), rng.uniform(0, 1, 2)
    line = np.cos(angle) * x + np.sin(angle) * y
    level = line if rng.random() < 0.5 else np.hypot(y - centre[0], x - centre[1])
    level = (level - level.min()) / (level.max() - level.min())
    start, end = (np.array(_colour(rng)) for _ in range(2))
    return (start + level[..., None] * (end - start)).astype(np.uint8)


def _writing(rng: np.random.Generator, size: int) -> np.ndarray:
    """A page of letters that mean nothing."""
    paper, ink = int(rng.integers(200, 256)), int(rng.integers(0, 90))
    image = Image.new("RGB", (size, size), (paper, paper, paper))
    pen, height = ImageDraw.Draw(image), int(rng.integers(size // 16, size // 6))
    font = ImageFont.load_default(height)
    for top in range(0, size, height + 2):
        line = "".join(rng.choice([*ascii_letters, " ", " "], 40))
        pen.text((2, top), line, font=font, fill=(ink, ink, ink))
    return np.asarray(image)


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue


_KINDS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "drawing": _drawing,
    "noise": _noise,
    "texture": _texture,
    "gradient": _gradient,
    "writing": _writing,
}
KINDS = tuple(_KINDS)
