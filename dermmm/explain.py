"""Where the model looked, read from the attention that the fusion returns.

Shapes: T tokens, N image patches, h x w the patch grid, W words.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from dermmm.prediction import Word
from dermmm.tokenizer import Tokenizer


def photo_attention(words_on_patches: Tensor, weights: np.ndarray | None, side: int) -> np.ndarray:
    """Attention over the photo for the description as a whole: (h, w), sums to 1.

    Args:
        words_on_patches: (T, N) attention of each token; one absent token where there is no text.
        weights: (T,) how much each token counts, or None for all alike.
        side: h = w = side, with side * side == N.
    """
    attention = words_on_patches.float().numpy()
    weights = np.ones(len(attention)) if weights is None else weights
    return _grid(weights @ attention, side)


def token_weights(patches_on_words: Tensor) -> np.ndarray:
    """(N, T) attention of the patches (or of the absent photo) to (T,) weights that sum to 1."""
    weights = patches_on_words.float().mean(dim=0).numpy()
    return weights / weights.sum()


def explain_words(
    text: str, tokenizer: Tokenizer, weights: np.ndarray, words_on_patches: Tensor | None, side: int
) -> tuple[Word, ...]:
    """Gather tokens into words. Words past the token limit were not read and weigh 0.

    Args:
        weights: (T,) from `token_weights`.
        words_on_patches: (T, N), or None without photo.
    """
    spans, owner = tokenizer.words(text)
    word_weights = np.zeros(len(spans))
    maps = None if words_on_patches is None else words_on_patches.float().numpy()
    word_maps: list[np.ndarray | None] = [None] * len(spans)
    for token, word in enumerate(owner):
        if word < 0:
            continue
        word_weights[word] += weights[token]
        if maps is not None:
            seen = word_maps[word]
            word_maps[word] = maps[token] if seen is None else seen + maps[token]
    total = word_weights.sum()
    if total > 0:
        word_weights = word_weights / total
    return tuple(
        Word(text[s:e], s, e, float(weight), None if seen is None else _grid(seen, side))
        for (s, e), weight, seen in zip(spans, word_weights, word_maps, strict=True)
    )


def _grid(attention: np.ndarray, side: int) -> np.ndarray:
    return (attention / attention.sum()).reshape(side, side)
