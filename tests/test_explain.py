"""From attention to maps and word weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dermmm.explain import evidence_weights, explain_words, photo_attention, token_weights
from dermmm.tokenizer import Tokenizer

SIDE = 2
TEXT = "itchy, red rash"


def attention(rows: int, columns: int) -> torch.Tensor:
    return torch.rand(rows, columns, generator=torch.Generator().manual_seed(0)).softmax(dim=-1)


def test_token_weights_are_the_mean_over_patches() -> None:
    looks = attention(4, 3)
    weights = token_weights(looks)
    assert weights.sum() == pytest.approx(1)
    assert weights == pytest.approx(looks.numpy().mean(axis=0))


def test_photo_attention_weighs_the_tokens() -> None:
    looks = attention(3, 4)
    weights = np.array([0.5, 0.3, 0.2])
    expected = sum(weights[t] * looks[t].numpy() for t in range(3))
    grid = photo_attention(looks, weights, SIDE)
    assert grid.shape == (SIDE, SIDE)
    assert grid.sum() == pytest.approx(1)
    assert grid.ravel() == pytest.approx(expected)  # row by row


def test_evidence_weights_are_the_part_that_speaks_for_a_condition() -> None:
    evidence = torch.tensor([[1.0, -2.0], [3.0, -1.0], [-4.0, -1.0]])
    assert evidence_weights(evidence, 0) == pytest.approx([0.25, 0.75, 0.0])
    assert evidence_weights(evidence, 1) == pytest.approx([1 / 3] * 3)  # nothing speaks for it


def test_words_gather_their_tokens(tokenizer: Tokenizer) -> None:
    spans, owner = tokenizer.words(TEXT)
    weights = np.arange(1.0, len(owner) + 1)
    weights /= weights.sum()
    looks = attention(len(owner), SIDE * SIDE)
    words = explain_words(TEXT, tokenizer, weights, looks, SIDE)
    assert [word.text for word in words] == ["itchy", "red", "rash"]
    assert [(word.start, word.end) for word in words] == spans
    assert -1 in owner, "the comma belongs to no word"
    read = sum(weights[t] for t in range(len(owner)) if owner[t] >= 0)
    for index, word in enumerate(words):
        mine = [t for t in range(len(owner)) if owner[t] == index]
        assert word.weight == pytest.approx(sum(weights[t] for t in mine) / read)
        assert word.attention is not None
        expected = np.mean([looks[t].numpy() for t in mine], axis=0)
        assert word.attention.ravel() == pytest.approx(expected)
    assert sum(word.weight for word in words) == pytest.approx(1)


def test_words_without_photo_have_no_map(tokenizer: Tokenizer) -> None:
    count = len(tokenizer.words(TEXT)[1])
    words = explain_words(TEXT, tokenizer, np.full(count, 1 / count), None, SIDE)
    assert [word.attention for word in words] == [None, None, None]


def test_words_past_the_limit_weigh_nothing(tokenizer: Tokenizer) -> None:
    text = "rash " * 100
    count = tokenizer.max_tokens
    looks = attention(count, SIDE * SIDE)
    words = explain_words(text, tokenizer, np.full(count, 1 / count), looks, SIDE)
    assert len(words) == 100
    assert words[0].weight > 0 and words[0].attention is not None
    assert words[-1].weight == 0 and words[-1].attention is None
    assert sum(word.weight for word in words) == pytest.approx(1)
