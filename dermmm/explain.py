"""Where the model looked.

With photo and text, this is the attention between them. A photo or text alone has nothing to attend
to; there it is each part's share of the answer.

Shapes: T tokens, N image patches, h x w the patch grid, W words.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from dermmm.fusion import FusionOutput
from dermmm.prediction import Word
from dermmm.tokenizer import Tokenizer


def case_weights(
    output: FusionOutput, answer: str, condition: int, side: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """How much each part of a single case counted, by the inputs that were given.

    Args:
        output: what the model says of that case alone (B = 1), so without padding.
        answer: image, text or fused; condition: the likeliest one.
        side: h = w = side.

    Returns:
        (h, w) over the photo and (T,) of the tokens. Each sums to 1, and is None where that input
        was not given.
    """
    if answer == "image":
        return grid(evidence_weights(output.patch_evidence[0], condition), side), None
    if answer == "text":
        return None, evidence_weights(output.token_evidence[0], condition)
    weights = token_weights(output.patches_on_words[0])
    return photo_attention(output.words_on_patches[0], weights, side), weights


def photo_attention(words_on_patches: Tensor, weights: np.ndarray, side: int) -> np.ndarray:
    """Attention over the photo for the description as a whole: (h, w), sums to 1.

    Args:
        words_on_patches: (T, N) attention of each token.
        weights: (T,) how much each token counts, from `token_weights`.
        side: h = w = side, with side * side == N.
    """
    return grid(weights @ words_on_patches.float().numpy(), side)


def token_weights(patches_on_words: Tensor) -> np.ndarray:
    """(N, T) attention of the patches to (T,) weights of the tokens that sum to 1."""
    weights = patches_on_words.float().mean(dim=0).numpy()
    return weights / weights.sum()


def evidence_weights(evidence: Tensor, condition: int) -> np.ndarray:
    """How much each part of a lone photo or text speaks for a condition.

    A class activation map (Zhou et al. 2016, arXiv:1512.04150): the modality heads are linear in
    the mean of their parts, so each part's share of the answer is exact.

    Args:
        evidence: (parts, K) from `FusionOutput.patch_evidence` or `token_evidence`.

    Returns:
        (parts,) weights >= 0 that sum to 1; all alike where no part speaks for the condition.
    """
    weights = evidence[:, condition].float().clamp(min=0).numpy()
    return weights / weights.sum() if weights.sum() > 0 else np.full(len(weights), 1 / len(weights))


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
        Word(text[s:e], s, e, float(weight), None if seen is None else grid(seen, side))
        for (s, e), weight, seen in zip(spans, word_weights, word_maps, strict=True)
    )


def grid(attention: np.ndarray, side: int) -> np.ndarray:
    """(N,) attention in row-major order to (side, side) that sums to 1."""
    return (attention / attention.sum()).reshape(side, side)
