"""The training losses, as plain functions. Shapes: B batch, D width, K conditions."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F


def contrastive(
    projections: Tensor,
    ids: Tensor,
    temperature: float = 0.1,
    hardness: float = 0.0,
    past: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Draw together what shares an id, push apart the rest: NT-Xent with any number of positives.

    With an id a photo and two views of each this is SimCLR's loss (Chen et al. 2020,
    arXiv:2002.05709), with ids of lesions MICLe's (Azizi et al. 2021, arXiv:2101.05224), with ids
    of conditions supervised contrastive learning (Khosla et al. 2020, arXiv:2004.11362, their
    L_out). Rows of all processes are compared with each other.

    Args:
        projections: (B, D), not normalised; B is the same in every process.
        ids: (B,) int64; every id occurs twice or more over all processes.
        temperature: > 0.
        hardness: beta >= 0 of hard-negative weighting (Robinson et al. 2021, arXiv:2010.04592): a
            negative counts in proportion to exp(beta * similarity / temperature), weights that are
            1 on average over a row's negatives. 0 counts all alike.
        past: (Q, D) normalised projections of earlier batches and their (Q,) ids, compared with
            but not learned from (cross-batch memory, Wang et al. 2020, arXiv:1912.06798).
    """
    own = F.normalize(projections.float(), dim=1)
    keys, key_ids = gather(own), gather(ids)  # (P * B, D), (P * B,) for P processes
    if past is not None:
        keys, key_ids = torch.cat([keys, past[0]]), torch.cat([key_ids, past[1]])
    with torch.autocast(own.device.type, enabled=False):  # in half precision near ones would tie
        similarity = own @ keys.T / temperature  # (B, M)
    itself = torch.zeros_like(similarity, dtype=torch.bool)
    places = torch.arange(len(own), device=own.device)
    itself[places, places + _rank() * len(own)] = True
    negative = ids[:, None] != key_ids[None, :]
    positive = ~negative & ~itself

    scores = similarity
    if hardness:
        tilt = hardness * similarity
        # Not -inf: a row without negatives must not make the gradient a NaN.
        total = tilt.masked_fill(~negative, -1e9).logsumexp(dim=1, keepdim=True)
        mean = total - negative.sum(dim=1, keepdim=True).clamp(min=1).log()
        scores = torch.where(negative, similarity + tilt - mean, similarity)
    everything = scores.masked_fill(itself, -torch.inf).logsumexp(dim=1)
    drawn = (similarity * positive).sum(dim=1) / positive.sum(dim=1)
    return (everything - drawn).mean()


def distinct_ids(count: int, device: torch.device | None = None) -> Tensor:
    """(count,) int64 ids >= 0 that no other row of this batch has, in no process."""
    return torch.arange(count, device=device) + _rank() * count


def distillation(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """How far the student's softened answers are from the teacher's: T^2 KL(teacher || student).

    The factor T^2 keeps the gradient's size at any temperature (Hinton et al. 2015,
    arXiv:1503.02531).

    Args:
        student, teacher: (B, K) logits, -inf at the same classes, those out of play.
        temperature: T > 0; above 1 the small probabilities count more.
    """
    wanted = (teacher.float() / temperature).softmax(dim=1)
    no_prior = torch.zeros(student.shape[1], device=student.device)
    entropy = -torch.special.xlogy(wanted, wanted).sum(dim=1).mean()
    return temperature**2 * (balanced_softmax(student / temperature, wanted, no_prior) - entropy)


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


def gate_supervision(gate: Tensor, likelihood: Tensor, sharpness: float) -> Tensor:
    """Cross entropy that draws the gate towards the modality whose own answer is right.

    The target weights are proportional to ``likelihood ** sharpness``.

    Args:
        gate: (B, 2) weights of the modalities, summing to 1.
        likelihood: (B, 2) the probability that each modality's own answer gives to the truth.
        sharpness: >= 0; 0 asks for even weights, much of it for one modality alone.

    Returns:
        the mean over the cases, 0 without any.
    """
    log_likelihood = likelihood.float().clamp(min=1e-6).log()
    wanted = (sharpness * log_likelihood).softmax(dim=1)
    return -(wanted * gate.clamp(min=1e-6).log()).sum() / max(1, len(gate))


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


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def gather(rows: Tensor) -> Tensor:
    """Rows of all processes, in order of rank, through which gradients flow back.

    Every process must bring as many rows.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return rows
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(rows))
