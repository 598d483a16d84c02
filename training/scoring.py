"""Scores with 95 % intervals from a bootstrap over groups. Shapes: B cases, K conditions.

Every "macro" mean and every recall runs over the conditions that occur among the targets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import beta
from sklearn.metrics import f1_score, roc_auc_score

from dermmm.torchvision_import import torchvision_models

BOOTSTRAPS = 2000
AUC_BOOTSTRAPS = 400  # an area compares every case with every other; the others only count
ECE_BINS = 15
BANDS = 10  # of the first choice's probability
LEAST = 1e-6  # a truth given a lower probability counts as this much: NLL stays finite
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
        n, groups, conditions and chance; intervals for balanced_accuracy, macro_f1, top1, top3,
        macro_auc (one condition against the rest; None where there is one condition only), nll
        (negative log-likelihood, nats), brier (sum over conditions, 0..2), and ece_interval; and
        ece, the expected calibration error alone.

    Raises:
        ValueError: no case was given.
    """
    if len(targets) == 0:
        raise ValueError("got no case to score")
    labels = np.arange(probabilities.shape[1])
    present = np.unique(targets)
    guess = probabilities.argmax(axis=1)
    weights = group_draws(groups, seed)
    right, top3 = guess == targets, _in_top(probabilities, targets, 3)
    confidence = probabilities.max(axis=1)
    surprise = -np.log(np.maximum(probabilities[np.arange(len(targets)), targets], LEAST))
    brier = ((probabilities - (targets[:, None] == labels)) ** 2).sum(axis=1)
    ece = expected_calibration_error(probabilities, targets)
    # A resampled ECE is larger than the observed one by construction: the draws are moved to it.
    errors = _calibration_errors(confidence, right, weights)
    errors = np.maximum(errors - errors.mean() + ece, 0)
    return {
        "n": len(targets),
        "groups": len(np.unique(groups)),
        "conditions": len(present),
        "chance": 1 / len(present),
        "balanced_accuracy": interval_of(
            balanced_accuracy(guess, targets), _recalls(right, targets, weights)
        ),
        "macro_f1": interval_of(
            f1_score(targets, guess, labels=present, average="macro", zero_division=0),
            _macro_f1(guess, targets, weights),
        ),
        "top1": interval_of(right.mean(), weighted_means(right, weights)),
        "top3": interval_of(top3.mean(), weighted_means(top3, weights)),
        "macro_auc": None
        if len(present) == 1
        else interval_of(
            np.mean([roc_auc_score(targets == one, probabilities[:, one]) for one in present]),
            _macro_auc(probabilities, targets, weights[:AUC_BOOTSTRAPS]),
        ),
        "nll": interval_of(surprise.mean(), weighted_means(surprise, weights)),
        "brier": interval_of(brier.mean(), weighted_means(brier, weights)),
        "ece": ece,
        "ece_interval": interval_of(ece, errors),
    }


def balanced_accuracy(guess: np.ndarray, targets: np.ndarray) -> float:
    """The mean recall over the conditions that occur among the targets (B,), 0..1.

    Scikit-learn's own warns of every guess (B,) that is no target, which is nothing unusual here.
    """
    return float(_recalls(guess == targets, targets, np.ones((1, len(targets))))[0])


def among(probabilities: np.ndarray, possible: np.ndarray) -> np.ndarray:
    """(B, K) probabilities given that the condition is a ``possible`` one, (B, K) or (K,) bool.

    A case for which no possible condition has any probability stays at 0.
    """
    kept = np.where(possible, probabilities, 0.0)
    total = kept.sum(axis=1, keepdims=True)
    return np.divide(kept, total, out=np.zeros_like(kept), where=total > 0)


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
    weights = group_draws(groups, seed)
    right = [values.argmax(axis=1) == targets for values in (first, second)]
    top3 = [_in_top(values, targets, 3) for values in (first, second)]
    once = np.ones((1, len(targets)))

    def difference(of: Callable[[np.ndarray, np.ndarray], np.ndarray], hits: list) -> dict:
        (value,) = of(hits[0], once) - of(hits[1], once)
        return interval_of(value, of(hits[0], weights) - of(hits[1], weights))

    return {
        "balanced_accuracy": difference(lambda hit, w: _recalls(hit, targets, w), right),
        "top1": difference(weighted_means, right),
        "top3": difference(weighted_means, top3),
    }


def recall_gap(
    probabilities: np.ndarray,
    targets: np.ndarray,
    groups: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    seed: int = 0,
) -> dict[str, Any]:
    """Balanced accuracy among the ``first`` cases less that among the ``second``.

    Args:
        probabilities, targets, groups: as for `score`.
        first, second: (B,) bool, which cases are in either part; they exclude each other.

    Returns:
        conditions: the indices of those with at least `MEASURED` cases in both parts, the only
        ones that count; and gap, its interval, or None where there is no such condition.
    """
    enough = [
        condition
        for condition in np.unique(targets)
        if all((targets[part] == condition).sum() >= MEASURED for part in (first, second))
    ]
    gap = None
    if enough:
        counted = np.isin(targets, enough)
        correct = probabilities.argmax(axis=1) == targets
        once, draws = np.ones((1, len(targets))), group_draws(groups, seed)

        def difference(weights: np.ndarray) -> np.ndarray:
            one, other = (
                _recalls(correct[part], targets[part], weights[:, part])
                for part in (first & counted, second & counted)
            )
            return one - other

        gap = interval_of(difference(once)[0], difference(draws))
    return {"conditions": [int(condition) for condition in enough], "gap": gap}


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


def by_condition(
    probabilities: np.ndarray, targets: np.ndarray, groups: np.ndarray, names: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """How each condition among the targets fared.

    Returns:
        for each name: n, its cases; recall (sensitivity) of the first choice, and top3 of the first
        three; recall_interval, Jeffreys' (doi:10.1214/ss/1009213286) as if each group were one
        case, since a bootstrap gives 0 to 0 where no case was right; answered, how often it was the
        first choice among all cases; precision, how often rightly so (None if never answered),
        which depends on the mix of cases; and confusions, {wrong answer: its cases}, the commonest
        first.
    """
    guess = probabilities.argmax(axis=1)
    top3 = _in_top(probabilities, targets, 3)
    found = {}
    for condition in np.unique(targets):
        its, answered = targets == condition, guess == condition
        recall, independent = float(answered[its].mean()), len(np.unique(groups[its]))
        low, high = beta.ppf(
            [0.025, 0.975], independent * recall + 0.5, independent * (1 - recall) + 0.5
        )
        wrong = Counter(names[other] for other in guess[its & ~answered])
        found[names[condition]] = {
            "n": int(its.sum()),
            "recall": recall,
            "recall_interval": asdict(Interval(recall, float(low), float(high))),
            "top3": float(top3[its].mean()),
            "answered": int(answered.sum()),
            "precision": float(its[answered].mean()) if answered.any() else None,
            "confusions": dict(wrong.most_common()),
        }
    return found


def reliability(probabilities: np.ndarray, targets: np.ndarray) -> list[dict[str, float | int]]:
    """Of the cases whose first choice had such a probability, how many were right?

    Returns:
        for each of `BANDS` equal bands (low, high] that holds a case: low, high, n, right, and
        confidence, the mean probability of the first choice.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    band = _bins(confidence, BANDS)
    return [
        {
            "low": one / BANDS,
            "high": (one + 1) / BANDS,
            "n": int((band == one).sum()),
            "right": int(right[band == one].sum()),
            "confidence": float(confidence[band == one].mean()),
        }
        for one in np.unique(band)
    ]


def most_confident_errors(
    probabilities: np.ndarray, targets: np.ndarray, count: int = 20
) -> np.ndarray:
    """Positions (at most ``count``,) of the wrongly answered cases, the surest first."""
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    return order[(probabilities.argmax(axis=1) != targets)[order]][:count]


def _in_top(probabilities: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return (order == targets[:, None]).any(axis=1)


def _bins(confidence: np.ndarray, count: int) -> np.ndarray:
    """(B,) which of ``count`` equal bins (low, high] of 0..1 a confidence lies in."""
    return np.clip(np.ceil(confidence * count).astype(int) - 1, 0, count - 1)


def group_draws(groups: np.ndarray, seed: int) -> np.ndarray:
    """(draws, B) how often each case is drawn when whole groups are drawn with replacement."""
    _, membership = np.unique(groups, return_inverse=True)
    count = membership.max() + 1
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=BOOTSTRAPS)
    return draws[:, membership].astype(float)


def weighted_means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(draws,) mean of ``values`` (B,): of hits it is their share."""
    return (weights @ values) / weights.sum(axis=1)


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


def _macro_f1(guess: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(draws,) mean F1 over all conditions of the targets; missed ones as in `_recalls`."""
    present = np.unique(targets)
    truth = (targets[:, None] == present).astype(float)  # (B, conditions)
    said = (guess[:, None] == present).astype(float)

    def f1(w: np.ndarray) -> np.ndarray:
        return 2 * (w @ (truth * said)) / np.maximum(w @ truth + w @ said, 1)

    observed = f1(np.ones((1, len(targets))))
    return np.where(weights @ truth > 0, f1(weights), observed).mean(axis=1)


def _macro_auc(probabilities: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(draws,) mean area under the curve of each condition of the targets against the rest.

    An area is the chance that a case of the condition is given more of it than another case, a tie
    counting half. Missed conditions as in `_recalls`.
    """
    weights = np.vstack([np.ones(len(targets)), weights])  # the first draw is the data as observed
    areas = []
    for condition in np.unique(targets):
        its, given = targets == condition, probabilities[:, condition]
        won = np.sign(given[its][:, None] - given[~its]) / 2 + 0.5  # (cases, other cases)
        wins = ((weights[:, its] @ won) * weights[:, ~its]).sum(axis=1)
        pairs = weights[:, its].sum(axis=1) * weights[:, ~its].sum(axis=1)
        observed = np.full(len(pairs), wins[0] / pairs[0])
        areas.append(np.divide(wins, pairs, out=observed, where=pairs > 0))
    return np.mean(areas, axis=0)[1:]


def _calibration_errors(
    confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """(draws,) `expected_calibration_error`."""
    bins = _bins(confidence, ECE_BINS)[:, None] == np.arange(ECE_BINS)
    gaps = weights @ (bins * (confidence - correct)[:, None])  # (draws, bins)
    return np.abs(gaps).sum(axis=1) / weights.sum(axis=1)


def interval_of(value: float, draws: np.ndarray) -> dict[str, float]:
    """A score and the middle 95 % of its bootstrap draws, as an `Interval`'s fields."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return asdict(Interval(float(value), float(low), float(high)))
