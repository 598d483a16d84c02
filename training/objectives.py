"""The training losses, as plain functions. Shapes: B batch, D width, K conditions."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F


def nt_xent(first: Tensor, second: Tensor, temperature: float = 0.1) -> Tensor:
    """Normalised temperature-scaled cross entropy of SimCLR (Chen et al. 2020, arXiv:2002.05709).

    Row i of ``first`` and row i of ``second`` are two views of one photo; every other row of
    either, over all processes, is a negative.

    Args:
        first, second: (B, D) projections, not normalised.
        temperature: > 0.
    """
    first, second = F.normalize(first.float(), dim=1), F.normalize(second.float(), dim=1)
    everyone = torch.cat([_gather(first), _gather(second)])  # (2 * processes * B, D)
    batch, total = len(first), len(everyone) // 2
    rank = dist.get_rank() if dist.is_initialized() else 0
    own = torch.arange(batch, device=first.device) + rank * batch
    positions = torch.cat([own, own + total])  # of my rows within `everyone`
    positives = torch.cat([own + total, own])
    similarity = torch.cat([first, second]) @ everyone.T / temperature
    similarity[torch.arange(2 * batch, device=first.device), positions] = -torch.inf  # not itself
    return F.cross_entropy(similarity, positives)


def balanced_softmax(logits: Tensor, targets: Tensor, log_prior: Tensor) -> Tensor:
    """Cross entropy with the class frequencies taken out of the logits.

    Adding the log prior while training lets the bare logits answer as if every class were equally
    common (Ren et al. 2020, arXiv:2007.10740; Menon et al. 2021, arXiv:2007.07314).

    Args:
        logits: (B, K), -inf where a class is out of play.
        targets: (B,) int64, or (B, K) probabilities when annotators disagree.
        log_prior: (K,) from `log_prior`.
    """
    adjusted = logits.float() + log_prior
    if targets.ndim == 1:
        return F.cross_entropy(adjusted, targets)
    # 0 * -inf is not a number: classes out of play carry no target weight and are passed over.
    log_probabilities = adjusted.log_softmax(dim=1).masked_fill(targets == 0, 0.0)
    return -(targets * log_probabilities).sum(dim=1).mean()


def classification_loss(
    logits: Tensor,
    targets: Tensor,
    log_prior: Tensor,
    weights: Tensor | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy with whichever correction for rare classes is asked for.

    Args:
        logits: (B, K), -inf where a class is out of play.
        targets: (B, K) probabilities.
        log_prior: (K,) for balanced softmax; zeros for none.
        weights: (K,) factor of each class' share of the loss; None for 1.
        smoothing: share of the target that is spread evenly over the classes in play
            (Szegedy et al. 2016, arXiv:1512.00567).
    """
    in_play = torch.isfinite(logits)
    targets = (1 - smoothing) * targets + smoothing * in_play / in_play.sum(dim=1, keepdim=True)
    if weights is not None:
        targets = targets * weights.to(targets)
    return balanced_softmax(logits, targets, log_prior)


def effective_number_weights(counts: Tensor, beta: float = 0.999) -> Tensor:
    """(K,) class counts to loss weights, 1 on average over the classes that occur.

    Weights fall with the effective number of examples, (1 - beta^n) / (1 - beta)
    (Cui et al. 2019, arXiv:1901.05555). 0 for classes without any.
    """
    weights = torch.where(counts > 0, (1 - beta) / (1 - beta**counts), torch.zeros_like(counts))
    return weights * (counts > 0).sum() / weights.sum()


def log_prior(target_weight: Tensor) -> Tensor:
    """(K,) total target weight of each class to its log frequency; 0 for classes without any."""
    share = target_weight / target_weight.sum()
    return torch.where(share > 0, share.clamp(min=1e-12).log(), torch.zeros_like(share))


def _gather(rows: Tensor) -> Tensor:
    """Rows of all processes, in order of rank, through which gradients flow back."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return rows
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(rows))
