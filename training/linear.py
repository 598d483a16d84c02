"""The linear models that controls, probes and baselines share.

Shapes: B cases, D width of the features, K conditions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from dermmm.conditions import NAMES

PROBE_STRENGTH = 0.01  # C: a probe sees many features of few cases, so it is held back strongly
PROBE_ITERATIONS = 200


def logistic_regression(strength: float, max_iterations: int = 1000) -> LogisticRegression:
    """A linear classifier with balanced classes; ``strength`` is C, the inverse of its penalty."""
    return LogisticRegression(C=strength, class_weight="balanced", max_iter=max_iterations)


def linear_probe(
    strength: float = PROBE_STRENGTH, max_iterations: int = PROBE_ITERATIONS
) -> Pipeline:
    """A classifier of dense features (B, D), each brought to mean 0 and spread 1 first."""
    return make_pipeline(StandardScaler(), logistic_regression(strength, max_iterations))


def spread(classifier: Any, features: Any) -> np.ndarray:
    """(B, K) probabilities of a fitted classifier, 0 at conditions that it never saw.

    Args:
        classifier: fitted on condition indices, so that its ``classes_`` are some of 0..K-1.
        features: of B cases, in the form that it was fitted on.
    """
    known = classifier.predict_proba(features)
    values = np.zeros((len(known), len(NAMES)))
    values[:, classifier.classes_] = known
    return values
