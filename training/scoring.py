"""Scores with 95 % intervals from a bootstrap over groups. Shapes: B cases, K conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from dermmm.torchvision_import import torchvision_models

BOOTSTRAPS = 2000
ECE_BINS = 15
MEASURED = 10  # cases; with fewer, a condition's result is "not measured"


@dataclass(frozen=True)
class Interval:
    """A score and its 95 % interval."""

    value: float
    low: float
    high: float


def score(
    probabilities: np.ndarray, targets: np.ndarray, groups: np.ndarray, seed: int = 0
) -> dict[str, Any]:
    """Score a set of cases over the conditions that occur among its targets.

    Args:
        probabilities: (B, K), 0 where a condition cannot be answered.
        targets: (B,) condition index.
        groups: (B,) patient, lesion or near-duplicate group; the bootstrap draws whole groups.

    Returns:
        n, groups, conditions, chance, and intervals for balanced accuracy, top-1 and top-3, and
        the expected calibration error.

    Raises:
        ValueError: no case was given.
    """
    if len(targets) == 0:
        raise ValueError("got no case to score")
    labels = np.arange(probabilities.shape[1])
    guess = probabilities.argmax(axis=1)
    weights = _group_draws(groups, seed)
    top3 = _in_top(probabilities, targets, 3)
    present = len(np.unique(targets))
    return {
        "n": len(targets),
        "groups": len(np.unique(groups)),
        "conditions": present,
        "chance": 1 / present,
        "balanced_accuracy": asdict(
            Interval(
                float(balanced_accuracy_score(targets, guess)),
                *_bounds(_recalls(guess == targets, targets, weights)),
            )
        ),
        "top1": asdict(
            Interval(
                float(top_k_accuracy_score(targets, probabilities, k=1, labels=labels)),
                *_bounds(_shares(guess == targets, weights)),
            )
        ),
        "top3": asdict(
            Interval(
                float(top_k_accuracy_score(targets, probabilities, k=3, labels=labels)),
                *_bounds(_shares(top3, weights)),
            )
        ),
        "ece": expected_calibration_error(probabilities, targets),
    }


def is_measured(targets: np.ndarray) -> np.ndarray:
    """(B,) bool: whether a case's condition (B,) has at least ``MEASURED`` cases.

    Where no condition has as many, as in made-up data, all are: a stage needs something to score.
    """
    _, place, counts = np.unique(targets, return_inverse=True, return_counts=True)
    enough = counts >= MEASURED
    return enough[place] if enough.any() else np.ones(len(targets), dtype=bool)


def paired_difference(
    first: np.ndarray, second: np.ndarray, targets: np.ndarray, groups: np.ndarray, seed: int = 0
) -> dict[str, dict[str, float]]:
    """How much better ``first`` answers than ``second``, by a paired bootstrap over groups.

    Args:
        first, second: (B, K) probabilities of two models for the same cases.
        targets, groups: as for `score`.

    Returns:
        intervals of the differences in balanced accuracy, top-1 and top-3; all draws are the same
        for both models, so that an interval above 0 says that the first is better.
    """
    weights = _group_draws(groups, seed)
    right = [values.argmax(axis=1) == targets for values in (first, second)]
    top3 = [_in_top(values, targets, 3) for values in (first, second)]
    once = np.ones((1, len(targets)))

    def difference(of: Callable[[np.ndarray, np.ndarray], np.ndarray], hits: list) -> dict:
        (value,) = of(hits[0], once) - of(hits[1], once)
        return asdict(Interval(float(value), *_bounds(of(hits[0], weights) - of(hits[1], weights))))

    return {
        "balanced_accuracy": difference(lambda hit, w: _recalls(hit, targets, w), right),
        "top1": difference(_shares, right),
        "top3": difference(_shares, top3),
    }


def expected_calibration_error(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Mean gap between confidence and accuracy over `ECE_BINS` equal bins (arXiv:1706.04599)."""
    torchvision_models()  # torchmetrics imports torchvision: let the guarded import go first
    from torchmetrics.functional.classification import multiclass_calibration_error

    return float(
        multiclass_calibration_error(
            torch.from_numpy(probabilities).float(),
            torch.from_numpy(targets),
            num_classes=probabilities.shape[1],
            n_bins=ECE_BINS,
        )
    )


def recall_by_condition(
    probabilities: np.ndarray, targets: np.ndarray, names: tuple[str, ...]
) -> dict[str, dict[str, float | int]]:
    """For each condition among the targets: cases, recall of the first choice, and of the three."""
    guess = probabilities.argmax(axis=1)
    top3 = _in_top(probabilities, targets, 3)
    return {
        names[condition]: {
            "n": int((targets == condition).sum()),
            "recall": float((guess == condition)[targets == condition].mean()),
            "top3": float(top3[targets == condition].mean()),
        }
        for condition in np.unique(targets)
    }


def _in_top(probabilities: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return (order == targets[:, None]).any(axis=1)


def _group_draws(groups: np.ndarray, seed: int) -> np.ndarray:
    """(draws, B) how often each case is drawn when whole groups are drawn with replacement."""
    _, membership = np.unique(groups, return_inverse=True)
    count = membership.max() + 1
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=BOOTSTRAPS)
    return draws[:, membership]


def _shares(correct: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (weights @ correct) / weights.sum(axis=1)


def _recalls(correct: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(draws,) mean recall over all conditions of the targets.

    A rare condition that a draw misses keeps its observed recall: leaving it out would shift the
    interval, upwards where rare conditions are the hard ones.
    """
    one_hot = (targets[:, None] == np.unique(targets)).astype(float)  # (B, conditions)
    observed = (one_hot * correct[:, None]).sum(axis=0) / one_hot.sum(axis=0)
    hits, cases = weights @ (one_hot * correct[:, None]), weights @ one_hot
    recall = np.divide(hits, cases, out=np.tile(observed, (len(hits), 1)), where=cases > 0)
    return recall.mean(axis=1)


def _bounds(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
