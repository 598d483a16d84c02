"""Hiding tokens, and the model that names them."""

from __future__ import annotations

import torch

from dermmm.text_encoder import TextEncoder
from training.text_pretraining import Reader, hide

MASK, VOCABULARY = 1, 50


def tokens() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    ids = torch.randint(2, VOCABULARY, (64, 32))
    mask = torch.arange(32) < torch.randint(4, 33, (64, 1))
    return ids.masked_fill(~mask, 0), mask


def test_of_the_hidden_tokens_most_are_masked_and_some_stay() -> None:
    ids, mask = tokens()
    read, hidden = hide(ids, mask, 0.5, MASK, VOCABULARY)
    assert not (hidden & ~mask).any()
    assert (read == ids)[~hidden].all()
    share = hidden.sum() / mask.sum()
    assert 0.4 < share < 0.6
    masked = (read == MASK)[hidden].float().mean()
    kept = (read == ids)[hidden].float().mean()
    assert 0.7 < masked < 0.9
    assert 0.05 < kept < 0.2  # one in ten, and a few that were replaced by themselves
    assert masked + kept < 1


def test_a_batch_without_chance_still_has_something_to_predict() -> None:
    ids, mask = tokens()
    _, hidden = hide(ids, mask, 0.0, MASK, VOCABULARY)
    assert hidden.sum() == 1


def test_the_model_answers_at_the_hidden_tokens_and_learns_to_fill_them_in() -> None:
    ids, mask = tokens()
    ids = torch.where(mask, torch.arange(32) % 7 + 2, ids)  # what stands where can be learned
    model = Reader(TextEncoder(VOCABULARY, width=32, layers=1, heads=2, max_tokens=32), 3)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        read, hidden = hide(ids, mask, 0.15, MASK, VOCABULARY)
        logits, facts = model(read, mask, hidden)
        assert facts.shape == (64, 3)
        assert logits.shape == (hidden.sum(), VOCABULARY)
        loss = torch.nn.functional.cross_entropy(logits, ids[hidden])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
