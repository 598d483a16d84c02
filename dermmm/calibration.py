"""Temperature scaling (Guo et al. 2017, arXiv:1706.04599), one temperature an answer."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import nll_loss

ANSWERS = ("image", "text", "fused")


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
