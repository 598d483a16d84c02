"""Scores and intervals."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss, roc_auc_score

from training.scoring import (
    LEAST,
    _calibration_errors,
    _macro_auc,
    _macro_f1,
    _recalls,
    among,
    by_condition,
    expected_calibration_error,
    group_draws,
    is_measured,
    most_confident_errors,
    paired_difference,
    recall_gap,
    reliability,
    score,
)

# The reference warns of what `training.scoring` takes as usual.
OTHER_GUESSES = pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")


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


def test_among_renormalises_and_leaves_an_impossible_case_at_nothing() -> None:
    answers = np.array([[0.6, 0.3, 0.1], [1.0, 0.0, 0.0]])
    found = among(answers, np.array([False, True, True]))
    assert found == pytest.approx(np.array([[0, 0.75, 0.25], [0, 0, 0]]))


@OTHER_GUESSES
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


@OTHER_GUESSES
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
    draws = group_draws(groups, seed=0)
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


def test_what_the_bootstrap_counts_is_the_librarys_when_every_case_is_drawn_once() -> None:
    probabilities, targets, _ = cases()
    probabilities = probabilities.round(1)  # ties
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    guess, once = probabilities.argmax(axis=1), np.ones((1, len(targets)))
    areas = [roc_auc_score(targets == one, probabilities[:, one]) for one in range(4)]
    assert _macro_auc(probabilities, targets, once)[0] == pytest.approx(np.mean(areas))
    assert _macro_f1(guess, targets, once)[0] == pytest.approx(
        f1_score(targets, guess, labels=range(4), average="macro")
    )
    probabilities, targets, _ = cases()  # none lies on the edge of a bin
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    assert _calibration_errors(confidence, right, once)[0] == pytest.approx(
        expected_calibration_error(probabilities, targets), abs=1e-6
    )


def test_a_case_drawn_twice_counts_as_two_in_the_areas() -> None:
    probabilities, targets, _ = cases(n=40)
    twice = np.ones((1, 40))
    twice[0, :10] = 2
    again = np.concatenate([np.arange(40), np.arange(10)])
    assert _macro_auc(probabilities, targets, twice)[0] == pytest.approx(
        _macro_auc(probabilities[again], targets[again], np.ones((1, 50)))[0]
    )


def test_every_score_lies_in_its_interval() -> None:
    probabilities, targets, groups = cases()
    result = score(probabilities, targets, groups)
    assert result["nll"]["value"] == pytest.approx(
        log_loss(targets, probabilities, labels=range(5))
    )
    names = ("macro_f1", "macro_auc", "nll", "brier", "ece_interval", "top1")
    for name in names:
        assert 0 <= result[name]["low"] < result[name]["value"] < result[name]["high"], name
    assert result["ece_interval"]["value"] == result["ece"]


def test_an_impossible_truth_leaves_the_likelihood_finite() -> None:
    probabilities = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    result = score(probabilities, np.array([0, 0]), np.arange(2))
    assert result["nll"]["value"] == pytest.approx(-np.log(LEAST) / 2)
    assert result["brier"]["value"] == pytest.approx(1.0)
    assert result["macro_auc"] is None  # there is nothing to tell the condition from


def test_by_condition_counts() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    result = by_condition(probabilities, np.array([0, 0, 2, 2]), np.arange(4), ("a", "b", "c"))
    half = result["a"].pop("recall_interval")
    assert half["low"] < half["value"] == 0.5 < half["high"]
    assert result["a"] == {
        "n": 2, "recall": 0.5, "top3": 1.0, "answered": 2, "precision": 0.5, "confusions": {"b": 1},
    }  # fmt: skip
    assert result["c"]["precision"] is None and result["c"]["confusions"] == {"a": 1, "b": 1}
    # Never right in two cases does not mean that it never is.
    assert result["c"]["recall_interval"]["high"] > 0.5


def test_a_condition_of_one_group_has_a_wider_interval() -> None:
    probabilities, targets = np.tile([0.9, 0.1], (20, 1)), np.zeros(20, dtype=int)
    widths = []
    for groups in (np.arange(20), np.zeros(20)):
        interval = by_condition(probabilities, targets, groups, ("a", "b"))["a"]["recall_interval"]
        widths.append(interval["high"] - interval["low"])
    assert widths[1] > 2 * widths[0]


def test_reliability_counts_every_case_in_its_band() -> None:
    probabilities = np.array([[0.9, 0.1], [0.95, 0.05], [0.45, 0.55], [1.0, 0.0]])
    bands = reliability(probabilities, np.array([0, 1, 1, 0]))
    assert [(band["low"], band["n"], band["right"]) for band in bands] == [
        (0.5, 1, 1), (0.8, 1, 1), (0.9, 2, 1),
    ]  # fmt: skip
    assert bands[-1]["confidence"] == pytest.approx(0.975)


def test_the_surest_errors_come_first() -> None:
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6], [0.2, 0.8]])
    wrong = most_confident_errors(probabilities, np.array([0, 1, 0, 0]), count=2)
    assert wrong.tolist() == [3, 1]


def test_the_gap_counts_conditions_with_ten_cases_in_both_parts() -> None:
    # 12 cases of condition 0 in both parts; 12 of condition 1 in the first part, 9 in the second.
    targets = np.array([0] * 12 + [1] * 12 + [0] * 12 + [1] * 9)
    first = np.arange(len(targets)) < 24
    right = np.where(targets == 1, False, first | (np.arange(len(targets)) % 2 == 0))
    probabilities = np.eye(3)[np.where(right, targets, 2)]
    found = recall_gap(probabilities, targets, np.arange(len(targets)), first, ~first)
    assert found["conditions"] == [0]
    assert found["gap"]["value"] == pytest.approx(0.5)
    assert found["gap"]["low"] < 0.5 < found["gap"]["high"]
    few = recall_gap(probabilities[:30], targets[:30], np.arange(30), first[:30], ~first[:30])
    assert few == {"conditions": [], "gap": None}


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
