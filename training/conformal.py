"""Choose, fit and score prediction sets: how often they hold the truth, and for whom.

Shapes: B cases, K conditions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.model_selection import GroupKFold

from dermmm.calibration import SET_METHODS, SetRule, fit_sets, in_set
from training.faithfulness import mean_interval
from training.scoring import MEASURED

FOLDS = 5
STRATA = {"1": (1, 1), "2–3": (2, 3), "4–6": (4, 6), "7–10": (7, 10), "11 or more": (11, 10**6)}
WORST = 0.1  # a size stratum may fall this far below the promised coverage


def compare_methods(
    probabilities: np.ndarray, targets: np.ndarray, groups: np.ndarray, coverage: float
) -> dict[str, dict[str, float]]:
    """How each of `SET_METHODS` does on cases that its threshold was not fitted on.

    Thresholds are cross-fitted: whole groups are left out in turn. Fewer than two groups cannot be,
    and are scored as they were fitted.

    Returns:
        for each method: coverage, size (mean), and worst, the coverage of the worst size stratum
        that has at least `MEASURED` cases (of all cases where none has).
    """
    folds = min(FOLDS, len(np.unique(groups)))
    parts = [(np.arange(len(targets)),) * 2]
    if folds > 1:
        parts = list(GroupKFold(folds).split(targets, groups=groups))
    found = {}
    for method in SET_METHODS:
        chosen = np.zeros(probabilities.shape, dtype=bool)
        for fitted, left_out in parts:
            rule = fit_sets(probabilities[fitted], targets[fitted], method, coverage)
            chosen[left_out] = in_set(probabilities[left_out], rule)
        covered, size = chosen[np.arange(len(targets)), targets], chosen.sum(axis=1)
        strata = [covered[(low <= size) & (size <= high)] for low, high in STRATA.values()]
        enough = [stratum.mean() for stratum in strata if len(stratum) >= MEASURED]
        found[method] = {
            "coverage": round(float(covered.mean()), 4),
            "size": round(float(size.mean()), 3),
            "worst": round(float(min(enough, default=covered.mean())), 4),
        }
    return found


def choose_method(compared: dict[str, dict[str, float]], coverage: float) -> str:
    """The smallest sets among methods whose worst stratum is at most `WORST` below ``coverage``.

    Where none is, the method with the best worst stratum.
    """
    fair = [name for name, row in compared.items() if row["worst"] >= coverage - WORST]
    if fair:
        return min(fair, key=lambda name: compared[name]["size"])
    return max(compared, key=lambda name: compared[name]["worst"])


def score_sets(
    probabilities: np.ndarray,
    targets: np.ndarray,
    groups: np.ndarray,
    rule: SetRule,
    parts: dict[str, np.ndarray],
) -> dict[str, Any]:
    """Coverage and mean size with 95 % intervals, of all cases and of parts of them.

    Args:
        parts: name -> (B,) bool.

    Returns:
        n, coverage, size, single (the share of sets of one condition), and by_part and by_size with
        n and coverage each; coverage is None where n is below `MEASURED`.
    """
    chosen = in_set(probabilities, rule)
    covered, size = chosen[np.arange(len(targets)), targets].astype(float), chosen.sum(axis=1)

    def one(part: np.ndarray) -> dict[str, Any]:
        if part.sum() < MEASURED:
            return {"n": int(part.sum()), "coverage": None, "size": None}
        return {
            "n": int(part.sum()),
            "coverage": mean_interval(covered[part], groups[part]),
            "size": mean_interval(size[part], groups[part]),
        }

    return {
        **one(np.ones(len(targets), dtype=bool)),
        "single": round(float((size == 1).mean()), 4),
        "by_part": {name: one(part) for name, part in parts.items()},
        "by_size": {
            name: one((low <= size) & (size <= high)) for name, (low, high) in STRATA.items()
        },
    }
