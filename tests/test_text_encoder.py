"""The text encoder: shapes, and that padding changes nothing."""

from __future__ import annotations

import pytest
import torch

from dermmm.text_encoder import TextEncoder, masked_mean


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(vocabulary=50, width=16, layers=2, heads=4, max_tokens=10).eval()


def test_shapes(encoder: TextEncoder) -> None:
    states, pooled = encoder(torch.ones(3, 7, dtype=torch.int64), torch.ones(3, 7) > 0)
    assert states.shape == (3, 7, 16)
    assert pooled.shape == (3, 16)
    torch.testing.assert_close(pooled, states.mean(dim=1))


@pytest.mark.parametrize("inference", [False, True], ids=["as in training", "fast path"])
def test_padding_changes_nothing(encoder: TextEncoder, inference: bool) -> None:
    ids = torch.tensor([[5, 9, 3]])
    with torch.inference_mode(inference):
        alone, alone_pooled = encoder(ids, torch.ones(1, 3, dtype=torch.bool))
        for behind in (0, 7):  # whatever token stands behind the mask
            padded = torch.cat([ids, torch.full((1, 4), behind)], dim=1)
            both = torch.cat([padded, torch.arange(1, 8)[None]])
            mask = torch.tensor([[True] * 3 + [False] * 4, [True] * 7])
            states, pooled = encoder(both, mask)
            torch.testing.assert_close(states[:1, :3], alone, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(pooled[:1], alone_pooled, atol=1e-5, rtol=1e-5)


def test_order_of_tokens_matters(encoder: TextEncoder) -> None:
    mask = torch.ones(1, 2, dtype=torch.bool)
    _, forwards = encoder(torch.tensor([[5, 9]]), mask)
    _, backwards = encoder(torch.tensor([[9, 5]]), mask)
    assert (forwards - backwards).abs().max() > 1e-4


def test_masked_mean_equals_a_loop() -> None:
    states = torch.randn(4, 6, 3)
    mask = torch.rand(4, 6) > 0.5
    mask[:, 0] = True
    mask[3] = False  # a row without tokens is 0, not NaN
    mean = masked_mean(states, mask)
    for row in range(3):
        kept = [states[row, t] for t in range(6) if mask[row, t]]
        torch.testing.assert_close(mean[row], sum(kept, torch.zeros(3)) / len(kept))
    assert torch.equal(mean[3], torch.zeros(3))
