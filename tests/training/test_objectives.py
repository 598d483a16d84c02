"""Losses against slow literal references."""

from __future__ import annotations

import math

import pytest
import torch

from training.objectives import (
    balanced_softmax,
    classification_loss,
    contrastive,
    distillation,
    distinct_ids,
    effective_number_weights,
    log_prior,
)

PAIRS = torch.arange(5).repeat(2)  # two views each of five photos
MIXED = torch.tensor([0, 1, 2, 0, 3, 1, 0, 2, 3, 3])  # two to three of each


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


def nt_xent_literal(views: torch.Tensor, temperature: float) -> float:
    """Equation 1 of the SimCLR paper, one pair at a time; row i + B is the other view of row i."""
    total, count = 0.0, len(views) // 2
    for i in range(2 * count):
        j = (i + count) % (2 * count)
        others = sum(
            math.exp(cosine(views[i], views[k]) / temperature) for k in range(2 * count) if k != i
        )
        total -= math.log(math.exp(cosine(views[i], views[j]) / temperature) / others)
    return total / (2 * count)


def contrastive_literal(
    rows: torch.Tensor,
    ids: list[int],
    temperature: float,
    hardness: float = 0.0,
    past: tuple[torch.Tensor, list[int]] | None = None,
) -> float:
    """Equation 2 of supervised contrastive learning, its negatives weighted as in equation 4 of
    contrastive learning with hard negatives, one pair at a time."""
    keys, key_ids = list(rows), list(ids)
    if past is not None:
        keys, key_ids = [*keys, *past[0]], [*key_ids, *past[1]]
    total = 0.0
    for i in range(len(rows)):
        scores = [math.exp(cosine(rows[i], key) / temperature) for key in keys]
        negatives = [k for k in range(len(keys)) if key_ids[k] != ids[i]]
        positives = [k for k in range(len(keys)) if key_ids[k] == ids[i] and k != i]
        weights = {k: scores[k] ** hardness for k in negatives}
        mean = sum(weights.values()) / max(1, len(weights))
        everything = sum(scores[k] for k in positives)
        everything += sum(weights[k] / mean * scores[k] for k in negatives)
        total -= sum(math.log(scores[p] / everything) for p in positives) / len(positives)
    return total / len(rows)


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.randn(10, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_two_views_of_a_photo_give_the_loss_of_simclr(
    rows: torch.Tensor, temperature: float
) -> None:
    loss = contrastive(rows, distinct_ids(5).repeat(2), temperature)
    assert float(loss) == pytest.approx(nt_xent_literal(rows, temperature), rel=1e-5)


@pytest.mark.parametrize("ids", [PAIRS, MIXED], ids=["pairs", "labels"])
@pytest.mark.parametrize("hardness", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("queued", [0, 4])
def test_contrastive(rows: torch.Tensor, ids: torch.Tensor, hardness: float, queued: int) -> None:
    past = past_literal = None
    if queued:
        keys = torch.nn.functional.normalize(rows.flip(1)[:queued], dim=1)
        past_ids = [0, -1, 3, -1]
        past, past_literal = (keys, torch.tensor(past_ids)), (keys, past_ids)
    expected = contrastive_literal(rows, ids.tolist(), 0.5, hardness, past_literal)
    loss = contrastive(rows, ids, 0.5, hardness, past)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_hard_negatives_count_more(rows: torch.Tensor) -> None:
    """The gradient moves from far negatives to near ones."""

    def share_of_nearest(hardness: float) -> float:
        keys = torch.nn.functional.normalize(rows.clone(), dim=1)
        near = torch.cat([keys[:1], keys[:1] + 0.1, keys[:1] + 0.2, -keys[:1]])
        near.requires_grad_(True)
        past = (torch.nn.functional.normalize(near[2:], dim=1), torch.tensor([-1, -1]))
        contrastive(near[:2], torch.zeros(2, dtype=torch.int64), 0.5, hardness, past).backward()
        assert near.grad is not None
        first, second = near.grad[2:].norm(dim=1)
        return float(first / (first + second))

    assert share_of_nearest(2.0) > share_of_nearest(0.0)


def test_a_batch_without_negatives_has_a_finite_gradient(rows: torch.Tensor) -> None:
    rows = rows.clone().requires_grad_(True)
    contrastive(rows, torch.zeros(10, dtype=torch.int64), 0.5, hardness=1.0).backward()
    assert rows.grad is not None
    assert torch.isfinite(rows.grad).all()


def test_the_loss_falls_when_the_views_agree(rows: torch.Tensor) -> None:
    agree, disagree = torch.cat([rows, rows]), torch.cat([rows, rows.roll(1, dims=0)])
    ids = distinct_ids(10).repeat(2)
    assert contrastive(agree, ids) < contrastive(disagree, ids)


def test_distillation_is_the_scaled_divergence() -> None:
    student, teacher = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[0.0, 2.0, 1.0]])
    temperature = 2.0

    def softened(logits: torch.Tensor) -> list[float]:
        powers = [math.exp(float(one) / temperature) for one in logits[0]]
        return [power / sum(powers) for power in powers]

    pairs = zip(softened(teacher), softened(student), strict=True)
    expected = temperature**2 * sum(p * math.log(p / q) for p, q in pairs)
    loss = distillation(student, teacher, temperature)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert float(distillation(teacher, teacher, temperature)) == pytest.approx(0, abs=1e-6)


def test_distillation_passes_over_classes_out_of_play() -> None:
    student = torch.tensor([[1.0, -torch.inf, -1.0]], requires_grad=True)
    teacher = torch.tensor([[0.0, -torch.inf, 1.0]])
    loss = distillation(student, teacher, 2.0)
    loss.backward()
    assert loss.item() == pytest.approx(
        distillation(student[:, [0, 2]], teacher[:, [0, 2]], 2.0).item(), rel=1e-5
    )
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_smoothing_spreads_the_target_over_the_classes_in_play() -> None:
    logits = torch.tensor([[2.0, 0.5, -torch.inf]])
    log_p = logits[0, :2].log_softmax(dim=0)
    expected = -float(0.9 * log_p[0] + 0.1 * (log_p[0] + log_p[1]) / 2)
    loss = classification_loss(logits, torch.tensor([[1.0, 0, 0]]), torch.zeros(3), smoothing=0.1)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_effective_numbers_weigh_rare_classes_more_and_average_to_one() -> None:
    counts = torch.tensor([1000.0, 10.0, 0.0])
    weights = effective_number_weights(counts, beta=0.99)
    numbers = [(1 - 0.99**n) / (1 - 0.99) for n in (1000, 10)]
    assert float(weights[1] / weights[0]) == pytest.approx(numbers[0] / numbers[1], rel=1e-5)
    assert float(weights[:2].mean()) == pytest.approx(1)
    assert weights[2] == 0


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
