"""Temperature scaling and prediction sets against simulated truth and literal references."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from dermmm.calibration import (
    EVERY_CONDITION,
    RAPS_FREE,
    RAPS_PENALTY,
    SET_METHODS,
    SetRule,
    fit_sets,
    fit_temperature,
    in_set,
    nonconformity,
    prediction_set,
    probabilities,
)


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


def literal_scores(row: list[float], method: str) -> list[float]:
    """The papers' definitions, condition by condition."""
    scores = []
    for p in row:
        above = [other for other in row if other >= p]  # no ties in these tests
        if method == "lac":
            scores.append(1 - p)
        elif method == "aps":
            scores.append(sum(above))
        else:
            scores.append(sum(above) + RAPS_PENALTY * max(0, len(above) - RAPS_FREE))
    return scores


def random_probabilities(cases: int, conditions: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(conditions, 0.4), size=cases)


@pytest.mark.parametrize("method", SET_METHODS)
def test_nonconformity_is_the_papers(method: str) -> None:
    values = random_probabilities(20)
    expected = [literal_scores(row.tolist(), method) for row in values]
    np.testing.assert_allclose(nonconformity(values, method), expected)


@pytest.mark.parametrize("method", SET_METHODS)
def test_sets_hold_the_truth_as_often_as_promised(method: str) -> None:
    values = random_probabilities(6000)
    rng = np.random.default_rng(1)
    targets = np.array([rng.choice(12, p=row) for row in values])
    rule = fit_sets(values[:3000], targets[:3000], method, 0.9)
    chosen = in_set(values[3000:], rule)
    assert chosen[np.arange(3000), targets[3000:]].mean() == pytest.approx(0.9, abs=0.02)
    assert chosen.any(axis=1).all()


def test_the_threshold_is_corrected_for_few_cases() -> None:
    values, targets = np.linspace(0.01, 0.99, 19)[:, None], np.zeros(19, dtype=int)
    # (19 + 1) * 0.9 = 18: the second largest of the 19 scores.
    assert fit_sets(values, targets, "lac", 0.9).threshold == pytest.approx(
        sorted(1 - values)[17][0]
    )
    assert fit_sets(values[:8], targets[:8], "lac", 0.9).threshold == EVERY_CONDITION
    assert fit_sets(values[:9], targets[:9], "lac", 0.9).threshold == pytest.approx(0.99)


def test_a_set_is_ordered_and_never_empty() -> None:
    values = np.array([0.2, 0.5, 0.0, 0.3])
    assert prediction_set(values, SetRule("lac", 0.75)).tolist() == [1, 3]
    assert prediction_set(values, SetRule("lac", 0.1)).tolist() == [1]
    assert prediction_set(values, SetRule("aps", 0.81)).tolist() == [1, 3]
    assert prediction_set(values, SetRule("aps", EVERY_CONDITION)).tolist() == [1, 3, 0, 2]


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="got method 'guess'; expected one of lac, aps, raps"):
        nonconformity(np.ones((1, 2)) / 2, "guess")
