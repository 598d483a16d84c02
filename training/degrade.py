"""Take information out of a photo or a text, in steps: what a gate should notice.

The training of the fusion shows cases like these, so that its gate meets poor ones, and the study
of the gate uses them in even steps. Shapes: B photos, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from dermmm.occlusion import blurred

SMALLEST = 2  # pixels a side that "coarse" leaves of a photo at strength 1
OVEREXPOSED = 10.0  # how many times brighter "bright" is at strength 1


def degrade(pixels: np.ndarray, kind: str, strength: float) -> np.ndarray:
    """Worsen every photo of a batch by the same amount.

    Args:
        pixels: (B, S, S, 3) uint8, as `training.dataset.pack_photos` gives.
        kind: one of `KINDS`:
            "blur", a Gaussian one with a standard deviation of up to a quarter of the photo's side;
            "grey", blended with the photo's mean colour, which is all that is left at 1;
            "dark", less light, black at 1;
            "bright", over-exposed, up to `OVEREXPOSED` times as bright and clipped;
            "coarse", fewer pixels, `SMALLEST` a side at 1.
        strength: 0 (unchanged) to 1 (next to nothing left).

    Returns:
        (B, S, S, 3) uint8; the given array is left as it is.

    Raises:
        ValueError: an unknown kind, or a strength outside 0..1.
    """
    if kind not in KINDS:
        raise ValueError(f"got kind {kind!r}; expected one of {', '.join(KINDS)}")
    if not 0 <= strength <= 1:
        raise ValueError(f"got strength {strength}; expected 0 (unchanged) to 1")
    pixels = np.asarray(pixels)
    if strength == 0:
        return pixels.copy()
    return _KINDS[kind](pixels, strength)


def poor_view(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A photo (S, S, 3) uint8 slightly cropped, flipped at random, and degraded by chance.

    The kind is drawn evenly from `KINDS` and the strength evenly from 0..1.
    """
    size = len(photo)
    side = size * rng.uniform(0.85, 1)
    left, top = rng.uniform(0, size - side, 2)
    box = (left, top, left + side, top + side)
    cropped = Image.fromarray(photo).resize((size, size), Image.Resampling.BICUBIC, box=box)
    view = np.asarray(cropped)[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
    return degrade(view[None], str(rng.choice(KINDS)), float(rng.uniform()))[0]


def cut(text: str, share: float, place: float) -> str:
    """Keep a run of neighbouring words of a text, at least one.

    Args:
        share: of the words that is kept, 0..1.
        place: where the run lies, from 0 (the beginning) to 1 (the end).
    """
    words = text.split()
    kept = max(1, round(share * len(words)))
    start = round(place * (len(words) - kept))
    return " ".join(words[start : start + kept])


def _coarse(pixels: np.ndarray, strength: float) -> np.ndarray:
    size = pixels.shape[1]
    few = max(1, round(size ** (1 - strength) * SMALLEST**strength))

    def down_and_up(photo: Image.Image) -> Image.Image:
        small = photo.resize((few, few), Image.Resampling.BOX)
        return small.resize((size, size), Image.Resampling.BILINEAR)

    return _each(pixels, down_and_up)


def _grey(pixels: np.ndarray, strength: float) -> np.ndarray:
    mean = pixels.mean(axis=(1, 2), keepdims=True)
    return _bytes(pixels + strength * (mean - pixels))


def _dark(pixels: np.ndarray, strength: float) -> np.ndarray:
    return _bytes(pixels * (1 - strength))


def _bright(pixels: np.ndarray, strength: float) -> np.ndarray:
    return _bytes(pixels * OVEREXPOSED**strength)


def _each(pixels: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(change(Image.fromarray(photo))) for photo in pixels])


def _bytes(values: np.ndarray) -> np.ndarray:
    return values.round().clip(0, 255).astype(np.uint8)


_KINDS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "blur": blurred,
    "grey": _grey,
    "dark": _dark,
    "bright": _bright,
    "coarse": _coarse,
}
KINDS = tuple(_KINDS)
