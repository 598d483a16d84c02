"""Probabilities that mean something, and sets that hold the truth as often as they promise.

Temperature scaling (Guo et al. 2017, arXiv:1706.04599), and split conformal prediction (Sadinle et
al. 2019, arXiv:1609.00451), each fitted for each answer on held-out cases.

Shapes: B cases, K conditions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import nll_loss

ANSWERS = ("image", "text", "fused")
SET_METHODS = ("lac", "aps", "raps")
RAPS_FREE, RAPS_PENALTY = 5, 0.01  # ranks without a penalty, and the penalty of each further one
EVERY_CONDITION = 100.0  # a threshold above any score: too few cases to promise more than all


@dataclass(frozen=True)
class SetRule:
    """Which conditions a prediction set holds: those whose `nonconformity` is at most this."""

    method: str  # of SET_METHODS
    threshold: float


def probabilities(logits: Tensor, temperature: float) -> Tensor:
    """(B, K) logits to (B, K) probabilities; a logit of -inf gives exactly 0."""
    return (logits / temperature).softmax(dim=-1)


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """Find the temperature that minimises the negative log-likelihood of held-out cases.

    Args:
        logits: (B, K), B >= 1; targets: (B,) int64, never at a logit of -inf.

    Returns:
        a temperature in 0.05..20.

    Raises:
        ValueError: no case was given, or the logit of a target is -inf or NaN.
    """
    if len(logits) == 0:
        raise ValueError("got no held-out case; expected at least one to fit a temperature on")
    if not torch.isfinite(logits.gather(1, targets[:, None])).all():
        raise ValueError(
            "the logit of a target is not finite: the modality never learned that condition, or "
            "training diverged; leave such cases out"
        )
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_temperature], max_iter=100, line_search_fn="strong_wolfe")
    logits = logits.double()

    def closure() -> Tensor:
        optimiser.zero_grad()
        # -inf logits belong to conditions that are never a target: a large negative number leaves
        # the loss as it is and keeps the gradient finite.
        scaled = logits.clamp(min=-1e4) / log_temperature.exp()
        loss = nll_loss(scaled.log_softmax(dim=-1), targets)
        loss.backward()
        return loss

    optimiser.step(closure)
    return float(log_temperature.detach().exp().clamp(0.05, 20))


def nonconformity(probabilities: np.ndarray, method: str) -> np.ndarray:
    """How badly each condition would fit as the truth: (B, K) from (B, K) probabilities.

    * lac: one less its probability, which gives the smallest sets on average (arXiv:1609.00451).
    * aps: the probability of all conditions down to and including it, which adapts the set to how
      hard the case is (Romano et al. 2020, arXiv:2006.02544; without its random part).
    * raps: the same, plus `RAPS_PENALTY` for each rank after `RAPS_FREE`, against long tails of
      unlikely conditions (Angelopoulos et al. 2021, arXiv:2009.14193).

    Raises:
        ValueError: an unknown method.
    """
    if method == "lac":
        return 1 - probabilities
    if method not in SET_METHODS:
        raise ValueError(f"got method {method!r}; expected one of {', '.join(SET_METHODS)}")
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1).cumsum(axis=1)
    if method == "raps":
        rank = np.arange(1, probabilities.shape[1] + 1)
        ranked = ranked + RAPS_PENALTY * np.maximum(rank - RAPS_FREE, 0)
    scores = np.empty_like(ranked)
    np.put_along_axis(scores, order, ranked, axis=1)
    return scores


def fit_sets(
    probabilities: np.ndarray, targets: np.ndarray, method: str, coverage: float
) -> SetRule:
    """Find the threshold at which sets of new cases hold the truth with probability ``coverage``.

    That holds on average over cases like these, if the probabilities were not fitted on them. The
    quantile is corrected for the finite number of cases.

    Args:
        probabilities: (B, K), 0 where a condition cannot be answered; targets: (B,).
        coverage: above 0 and below 1.
    """
    scores = nonconformity(probabilities, method)[np.arange(len(targets)), targets]
    place = math.ceil((len(scores) + 1) * coverage)
    if place > len(scores):
        return SetRule(method, EVERY_CONDITION)
    return SetRule(method, float(np.sort(scores)[place - 1]))


def in_set(probabilities: np.ndarray, rule: SetRule) -> np.ndarray:
    """(B, K) bool: which conditions are in each case's set. The likeliest one always is."""
    chosen = nonconformity(probabilities, rule.method) <= rule.threshold
    chosen[np.arange(len(chosen)), probabilities.argmax(axis=1)] = True
    return chosen


def prediction_set(probabilities: np.ndarray, rule: SetRule) -> np.ndarray:
    """The conditions of one case's set, most probable first: indices into (K,), never empty."""
    order = np.argsort(-probabilities, kind="stable")
    return order[in_set(probabilities[None], rule)[0, order]]
