"""Losses against slow literal references."""

from __future__ import annotations

import math

import pytest
import torch

from training.objectives import balanced_softmax, log_prior, nt_xent


def nt_xent_literal(first: torch.Tensor, second: torch.Tensor, temperature: float) -> float:
    """Equation 1 of the SimCLR paper, one pair at a time."""
    views = [*first, *second]
    count = len(first)

    def similarity(a: torch.Tensor, b: torch.Tensor) -> float:
        return float(a @ b / (a.norm() * b.norm()))

    total = 0.0
    for i in range(2 * count):
        j = (i + count) % (2 * count)
        others = sum(
            math.exp(similarity(views[i], views[k]) / temperature)
            for k in range(2 * count)
            if k != i
        )
        total -= math.log(math.exp(similarity(views[i], views[j]) / temperature) / others)
    return total / (2 * count)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_nt_xent(temperature: float) -> None:
    torch.manual_seed(0)
    first, second = torch.randn(5, 8), torch.randn(5, 8)
    expected = nt_xent_literal(first, second, temperature)
    assert float(nt_xent(first, second, temperature)) == pytest.approx(expected, rel=1e-5)


def test_nt_xent_falls_when_the_views_agree() -> None:
    torch.manual_seed(0)
    first = torch.randn(6, 8)
    assert nt_xent(first, first.clone()) < nt_xent(first, first.roll(1, dims=0))


def test_balanced_softmax_is_cross_entropy_of_prior_weighted_scores() -> None:
    logits = torch.tensor([[1.0, 0.0, -1.0]])
    counts = torch.tensor([90.0, 9.0, 1.0])
    expected = -math.log(0.01 * math.exp(-1) / (0.9 * math.e + 0.09 + 0.01 * math.exp(-1)))
    loss = balanced_softmax(logits, torch.tensor([2]), log_prior(counts))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_soft_targets_equal_hard_ones_where_nobody_disagrees() -> None:
    torch.manual_seed(0)
    logits, prior = torch.randn(4, 3), log_prior(torch.tensor([3.0, 2.0, 1.0]))
    hard = torch.tensor([0, 2, 1, 1])
    soft = torch.nn.functional.one_hot(hard, 3).float()
    assert torch.allclose(
        balanced_softmax(logits, hard, prior), balanced_softmax(logits, soft, prior)
    )


def test_a_class_out_of_play_leaves_loss_and_gradient_finite() -> None:
    logits = torch.tensor([[0.5, -torch.inf, 0.1]], requires_grad=True)
    loss = balanced_softmax(
        logits, torch.tensor([[0.7, 0.0, 0.3]]), log_prior(torch.tensor([2.0, 0.0, 1.0]))
    )
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
