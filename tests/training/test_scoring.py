"""Scores and intervals."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from training.scoring import (
    _group_draws,
    _recalls,
    is_measured,
    paired_difference,
    recall_by_condition,
    score,
)


def cases(n: int = 400, groups: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 4, n)
    probabilities = rng.dirichlet(np.ones(5), n)
    probabilities[np.arange(n), targets] += 0.3
    return (
        probabilities / probabilities.sum(axis=1, keepdims=True),
        targets,
        rng.integers(0, groups, n),
    )


def test_values_and_intervals() -> None:
    probabilities, targets, groups = cases()
    result = score(probabilities, targets, groups)
    guess = probabilities.argmax(axis=1)
    balanced = result["balanced_accuracy"]
    assert isinstance(balanced, dict)
    assert balanced["value"] == pytest.approx(balanced_accuracy_score(targets, guess))
    assert balanced["low"] < balanced["value"] < balanced["high"]
    assert result["conditions"] == 4
    assert result["chance"] == 0.25


def test_the_bootstrap_recall_is_balanced_accuracy_when_every_case_is_drawn_once() -> None:
    probabilities, targets, _ = cases()
    guess = probabilities.argmax(axis=1)
    once = np.ones((1, len(targets)))
    assert _recalls(guess == targets, targets, once)[0] == pytest.approx(
        balanced_accuracy_score(targets, guess)
    )


def test_a_condition_that_a_draw_misses_keeps_its_observed_recall() -> None:
    targets, correct = np.array([0, 0, 1]), np.array([True, False, False])
    without_rare = np.array([[2, 1, 0]])
    assert _recalls(correct, targets, without_rare)[0] == pytest.approx((2 / 3 + 0) / 2)


def test_groups_are_drawn_whole() -> None:
    groups = np.array(["a", "a", "b", "c", "c", "c"])
    draws = _group_draws(groups, seed=0)
    assert (draws[:, 0] == draws[:, 1]).all()
    assert (draws[:, 3] == draws[:, 5]).all()
    assert (draws[:, 0] != draws[:, 2]).any()


def test_cases_that_go_together_give_wider_intervals_in_one_group() -> None:
    groups = np.arange(400) // 40
    targets = np.arange(400) % 4
    probabilities = np.full((400, 5), 0.2)
    right = groups % 2 == 0  # a group is right or wrong as a whole
    probabilities[np.arange(400), np.where(right, targets, 4)] = 0.9
    widths = []
    for grouping in (np.arange(400), groups):
        top1 = score(probabilities, targets, grouping)["top1"]
        widths.append(top1["high"] - top1["low"])
    assert widths[1] > 2 * widths[0] > 0


def test_recall_by_condition_counts() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1]])
    result = recall_by_condition(probabilities, np.array([0, 0, 2]), ("a", "b", "c"))
    assert result == {
        "a": {"n": 2, "recall": 0.5, "top3": 1.0},
        "c": {"n": 1, "recall": 0.0, "top3": 1.0},
    }


def test_measured_conditions_have_ten_cases() -> None:
    targets = np.array([0] * 10 + [1] * 9 + [2] * 11)
    assert (is_measured(targets) == (targets != 1)).all()
    assert is_measured(np.array([0, 1, 1])).all()  # none has ten: better all than nothing
    assert is_measured(np.array([], dtype=int)).shape == (0,)


def test_the_paired_difference_of_a_model_from_itself_is_nothing() -> None:
    probabilities, targets, groups = cases()
    for interval in paired_difference(probabilities, probabilities, targets, groups).values():
        assert interval == {"value": 0, "low": 0, "high": 0}


def test_the_paired_difference_is_that_of_the_scores_and_surer_than_their_intervals() -> None:
    probabilities, targets, groups = cases()
    worse = probabilities.copy()
    worse[:40] = np.roll(worse[:40], 1, axis=1)
    result = paired_difference(probabilities, worse, targets, groups)
    first, second = score(probabilities, targets, groups), score(worse, targets, groups)
    for name, interval in result.items():
        a, b = first[name], second[name]
        assert isinstance(a, dict) and isinstance(b, dict)
        assert interval["value"] == pytest.approx(a["value"] - b["value"])
        assert interval["low"] <= interval["value"] <= interval["high"]
    balanced = result["balanced_accuracy"]
    assert balanced["value"] != 0
    alone = first["balanced_accuracy"]
    assert isinstance(alone, dict)
    assert balanced["high"] - balanced["low"] < alone["high"] - alone["low"]
