"""Temperature scaling against simulated truth and a literal grid search."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from dermmm.calibration import fit_temperature, probabilities


def simulate(temperature: float, cases: int = 6000) -> tuple[Tensor, Tensor]:
    """Logits that are right about the odds once they are divided by ``temperature``."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2, size=(cases, 5)) * temperature
    exponents = np.exp(logits / temperature)
    odds = exponents / exponents.sum(axis=1, keepdims=True)
    targets = np.array([rng.choice(5, p=row) for row in odds])
    return torch.from_numpy(logits).float(), torch.from_numpy(targets)


def literal_loss(logits: Tensor, targets: Tensor, temperature: float) -> float:
    """The mean negative log-likelihood, case by case."""
    scaled = logits.double().numpy() / temperature
    total = 0.0
    for row, target in zip(scaled, targets.tolist(), strict=True):
        highest = row.max()
        total += highest + math.log(np.exp(row - highest).sum()) - row[target]
    return total / len(scaled)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_temperature_is_recovered(temperature: float) -> None:
    assert fit_temperature(*simulate(temperature)) == pytest.approx(temperature, rel=0.05)


def test_no_temperature_of_a_grid_is_better() -> None:
    logits, targets = simulate(2.0, cases=200)
    found = fit_temperature(logits, targets)
    grid = np.geomspace(0.5, 8, 81)
    losses = [literal_loss(logits, targets, temperature) for temperature in grid]
    best = int(np.argmin(losses))
    assert literal_loss(logits, targets, found) <= losses[best] + 1e-9
    assert grid[best - 1] < found < grid[best + 1]


def test_conditions_never_taught_do_not_count() -> None:
    logits, targets = simulate(2.0, cases=500)
    wider = torch.cat([logits, torch.full((500, 2), -torch.inf)], dim=1)
    assert fit_temperature(wider, targets) == pytest.approx(fit_temperature(logits, targets))


def test_result_stays_in_its_range() -> None:
    small, targets = 0.001 * torch.eye(4), torch.arange(4)
    assert fit_temperature(small, targets) == pytest.approx(0.05)  # always right, far too shy
    assert fit_temperature(50 * torch.eye(4), targets.roll(1)) == pytest.approx(20)  # always wrong


def test_probabilities() -> None:
    logits = torch.tensor([[2.0, 1.0, -torch.inf]])
    values = probabilities(logits, 2.0)
    expected = 1 / (1 + math.exp(-0.5))
    assert values[0].tolist() == pytest.approx([expected, 1 - expected, 0])
    assert values[0, 2] == 0
    assert probabilities(logits, 10.0)[0, 0] < values[0, 0] < probabilities(logits, 0.1)[0, 0]


def test_no_case_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        fit_temperature(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))


@pytest.mark.parametrize("value", [-torch.inf, torch.nan])
def test_target_without_a_logit_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="leave such cases out"):
        fit_temperature(torch.tensor([[0.0, value]]), torch.tensor([1]))
