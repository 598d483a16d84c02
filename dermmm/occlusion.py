"""What the answer owes to parts of the input: take each away, and see how the probability changes.

Phrases are cut out of the description, regions of the photo are covered. For the deletion test of a
case's map, cells of the photo are covered and words are hidden, the most important first. All of it
is asked in a few batches, beside the other input as it is, which is encoded once.

What is covered shows the photo blurred until next to nothing is left; a hidden word is [MASK],
which the text encoder knows from its training. `training.attention_faithfulness` does the same to
many cases, by the rules that stand here.

Shapes: P variants of a case, L steps, N patches or cells, W words, T tokens, K conditions, S pixels
a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from dermmm.calibration import probabilities
from dermmm.checkpoint import Checkpoint
from dermmm.explain import case_weights, explain_words
from dermmm.image_encoder import STRIDE, grid_side
from dermmm.model import DermModel
from dermmm.phrases import phrases, without
from dermmm.prediction import Deletion, Effects, Phrase, Region
from dermmm.preprocess import normalise

# Each of these costs passes of the photo through the model, 16 in all. With 16 regions, 4 steps and
# 3 orders there were 29, and the test's verdict was as near to that of 16 orders in 6 steps.
REGIONS = 3  # along each side of the photo
STEPS = 3  # of a deletion curve; after the last one nothing is left
RANDOM_ORDERS = 2
SEED = 0  # the random orders are the same each time: a case always gives the same answer
BATCH = 16  # photos in one pass; more take memory and are no faster


def effects(
    checkpoint: Checkpoint,
    model: DermModel,
    answer: str,
    pixels: np.ndarray | None,
    text: str | None,
) -> Effects:
    """Take away part after part of one case.

    Args:
        model: the checkpoint's, or what runs in place of it.
        answer: which head answers such a case: image, text or fused.
        pixels: (S, S, 3) uint8, the square that the model sees; None without photo.
        text: the description; None without. One of the two is given.
    """
    with torch.inference_mode():
        asked = _Asked(checkpoint, model, answer, pixels, text)
        regions, photo_deletion = _of_photo(asked, pixels) if pixels is not None else ((), None)
        return Effects(
            condition=checkpoint.conditions[asked.first],
            probability=asked.probability,
            phrases=() if text is None else _of_phrases(asked, text),
            regions=regions,
            photo_deletion=photo_deletion,
            words_deletion=None if text is None else _of_words(asked, text),
        )


class _Asked:
    """A case, encoded once, and how probable its first condition is when one input changes."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        model: DermModel,
        answer: str,
        pixels: np.ndarray | None,
        text: str | None,
    ) -> None:
        self.model, self.tokenizer = model, checkpoint.tokenizer
        self.answer, self.temperature = answer, checkpoint.temperatures[answer]
        images, token_ids, self.mask = None, None, None
        if pixels is not None:
            images = _images(pixels[None])
        if text is not None:
            token_ids, self.mask = self.tokenizer([text])
        self.patches, self.states = self.model.encode(images, token_ids, self.mask)
        output = self.model.fuse(self.patches, self.states, self.mask)
        values = self._values(output)
        self.first = int(values[0].argmax())
        self.probability = float(values[0, self.first])
        self.side = grid_side(self.model.config.image_size)
        self.attention, self.token_weights = case_weights(output, answer, self.first, self.side)

    def with_photos(self, photos: np.ndarray) -> np.ndarray:
        """Other photos (P, S, S, 3) to the probability with each of them: (P,)."""
        parts = [
            self._fused(self._patches(photos[start : start + BATCH]), self.states, self.mask)
            for start in range(0, len(photos), BATCH)
        ]
        return np.concatenate(parts)

    def with_texts(self, token_ids: Tensor, mask: Tensor) -> np.ndarray:
        """Other texts (P, T) to the probability with each of them: (P,)."""
        _, states = self.model.encode(None, token_ids, mask)
        return self._fused(self.patches, states, mask)

    def _patches(self, photos: np.ndarray) -> Tensor:
        patches, _ = self.model.encode(_images(photos), None, None)
        assert patches is not None
        return patches

    def _fused(
        self, patches: Tensor | None, states: Tensor | None, mask: Tensor | None
    ) -> np.ndarray:
        count = max(len(given) for given in (patches, states) if given is not None)
        beside = (  # what did not change stands beside each of the others
            None if given is None else given.expand(count, *given.shape[1:])
            for given in (patches, states, mask)
        )
        return self._values(self.model.fuse(*beside))[:, self.first].double().numpy()

    def _values(self, output: object) -> Tensor:
        return probabilities(getattr(output, f"{self.answer}_logits"), self.temperature)


def _images(photos: np.ndarray) -> Tensor:
    return normalise(torch.from_numpy(photos.copy()))


def _of_photo(asked: _Asked, pixels: np.ndarray) -> tuple[tuple[Region, ...], Deletion]:
    assert asked.attention is not None
    size = len(pixels)
    edges = [size * line // REGIONS for line in range(REGIONS + 1)]
    boxes = [
        (top, left, bottom, right)
        for top, bottom in pairwise(edges)
        for left, right in pairwise(edges)
    ]
    covers = np.zeros((len(boxes), size, size), dtype=bool)
    for cover, (top, left, bottom, right) in zip(covers, boxes, strict=True):
        cover[top:bottom, left:right] = True
    cells = deletion_masks(asked.attention.ravel())[:, cell_of_pixels(size)]
    gone = np.concatenate([covers, cells])[..., None]  # (P, S, S, 1)
    found = asked.with_photos(np.where(gone, blurred(pixels[None]), pixels))
    # The square is the whole upright photo, squeezed: shares of one are shares of the other.
    regions = tuple(
        Region(top / size, left / size, bottom / size, right / size, float(value))
        for (top, left, bottom, right), value in zip(
            boxes, found[: len(boxes)] - asked.probability, strict=True
        )
    )
    return regions, deletion(asked.probability, found[len(boxes) :])


def _of_phrases(asked: _Asked, text: str) -> tuple[Phrase, ...]:
    spans = phrases(text)
    if not spans:
        return ()
    found = asked.with_texts(*asked.tokenizer([without(text, spans, i) for i in range(len(spans))]))
    return tuple(
        Phrase(text[start:end], start, end, float(value - asked.probability))
        for (start, end), value in zip(spans, found, strict=True)
    )


def _of_words(asked: _Asked, text: str) -> Deletion | None:
    assert asked.token_weights is not None
    words = explain_words(text, asked.tokenizer, asked.token_weights, None, asked.side)
    _, owner = asked.tokenizer.words(text)  # (T,)
    read = max(owner) + 1
    if read < 2:  # a single word leaves no order to test
        return None
    removed = deletion_masks(np.array([word.weight for word in words[:read]]))  # (P, W)
    hidden = torch.from_numpy(removed[:, owner] & (np.array(owner) >= 0))  # (P, T)
    token_ids, mask = asked.tokenizer([text])
    told = token_ids.masked_fill(hidden, asked.tokenizer.mask_id)
    return deletion(asked.probability, asked.with_texts(told, mask.expand(len(told), -1)))


# --- what is removed ------------------------------------------------------------------------------


def blurred(photos: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Photos (B, S, S, 3) uint8, blurred by up to a quarter of their side: next to nothing is left.

    ``strength`` (0..1) counts by its square: the first pixels of blur cost the most detail, and so
    even steps take about as much.
    """
    deviation = float(strength) ** 2 * photos.shape[1] / 4
    blur = ImageFilter.GaussianBlur(deviation)
    return np.stack([np.asarray(Image.fromarray(photo).filter(blur)) for photo in photos])


def cell_of_pixels(size: int) -> np.ndarray:
    """(S, S) which cell of the patch grid, in row-major order, lies over each pixel."""
    line = np.arange(size) // STRIDE
    return line[:, None] * grid_side(size) + line


def removal_order(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) parts by falling weight, equal ones by chance."""
    shuffled = rng.permutation(len(weights))
    return shuffled[np.argsort(-weights[shuffled], kind="stable")]


def removal_masks(orders: Sequence[np.ndarray], shares: np.ndarray) -> np.ndarray:
    """Which parts are gone after each share (L,) of each order: (L, orders, most parts) bool.

    The number of removed parts is rounded; beyond an order's own parts the mask is False.
    """
    masks = np.zeros((len(shares), len(orders), max(map(len, orders))), dtype=bool)
    for case, order in enumerate(orders):
        for step, share in enumerate(shares):
            masks[step, case, order[: round(share * len(order))]] = True
    return masks


# --- the deletion test ----------------------------------------------------------------------------

_SHARES = np.linspace(0, 1, STEPS + 1)


def deletion_masks(weights: np.ndarray) -> np.ndarray:
    """Which of N parts are gone in each variant of a case that the test asks about: (P, N) bool.

    In the order of the weights (N,) and in `RANDOM_ORDERS` others; in the last all are gone.
    """
    rng = np.random.default_rng(SEED)
    by_chance = [rng.permutation(len(weights)) for _ in range(RANDOM_ORDERS)]
    inner = removal_masks([removal_order(weights, rng), *by_chance], _SHARES[1:-1])
    return np.concatenate([inner.reshape(-1, len(weights)), np.ones((1, len(weights)), bool)])


def deletion(before: float, found: np.ndarray) -> Deletion:
    """The test's result from the probability of the whole case, and with each mask gone (P,)."""
    inner = found[:-1].reshape(STEPS - 1, 1 + RANDOM_ORDERS)
    ends = np.ones((1, 1 + RANDOM_ORDERS))
    by_map, *at_random = area_under(
        np.concatenate([before * ends, inner, found[-1] * ends]), _SHARES
    )
    return Deletion(by_map=float(by_map), at_random=float(np.mean(at_random)))


def area_under(curve: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(B,) area under each curve of (L, B) over shares (L,) of 0..1, by trapezoids."""
    return np.diff(shares) @ ((curve[1:] + curve[:-1]) / 2)
