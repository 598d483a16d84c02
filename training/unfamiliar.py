"""Fit and choose the scores that tell unfamiliar photos, and measure how well they do.

Shapes: B photos, D image features, Q picture statistics, K conditions, P directions, S pixels.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from torch import Tensor
from tqdm import tqdm

from dermmm.calibration import probabilities
from dermmm.image_encoder import channels_last
from dermmm.model import DermModel
from dermmm.outside import SCORES, Familiar, combine, picture_statistics, softened
from dermmm.preprocess import normalise
from training.faithfulness import rounded
from training.features import BATCH
from training.scoring import AUC_BOOTSTRAPS, MEASURED, group_draws, interval_of

# What a caution may be made of; of equally good ones the first is taken.
CANDIDATES = tuple((score,) for score in SCORES) + tuple(combinations(SCORES, 2))


@dataclass(frozen=True)
class Shown:
    """Photos and what the model makes of them."""

    pixels: np.ndarray  # (B, S, S, 3) uint8
    groups: np.ndarray  # (B,)
    features: np.ndarray  # (B, D)
    logits: np.ndarray  # (B, K)
    probabilities: np.ndarray  # (B, K)
    statistics: np.ndarray  # (B, Q)

    def part(self, chosen: np.ndarray) -> Shown:
        """The photos that (B,) bool or positions choose."""
        return Shown(**{name: values[chosen] for name, values in vars(self).items()})

    def scores(self, familiar: Familiar) -> dict[str, np.ndarray]:
        """Each of `dermmm.outside.SCORES`, (B,)."""
        return familiar.scores(self.features, self.logits, self.probabilities, self.statistics)


@torch.inference_mode()
def encode(model: DermModel, pixels: np.ndarray, name: str) -> Tensor:
    """(B, S, S, 3) uint8 to patches (B, N, D), in full precision as the page does."""
    batches = [
        model.image_encoder(
            channels_last(normalise(torch.from_numpy(np.array(pixels[start : start + BATCH]))))
        )[0]
        for start in tqdm(range(0, len(pixels), BATCH), desc=name, unit="batch", leave=False)
    ]
    return torch.cat(batches)


@torch.inference_mode()
def show(
    model: DermModel, temperature: float, pixels: np.ndarray, groups: np.ndarray, patches: Tensor
) -> Shown:
    """Put together what is known of photos, from their patches."""
    pooled = patches.mean(dim=1)
    logits = model.fusion.image_head(pooled)
    return Shown(
        pixels=pixels,
        groups=groups,
        features=pooled.numpy(),
        logits=logits.numpy(),
        probabilities=probabilities(logits, temperature).numpy(),
        statistics=np.stack([picture_statistics(picture) for picture in pixels]),
    )


def fit_familiar(shown: Shown, targets: np.ndarray, directions: int) -> Familiar:
    """What the scores know of training photos (B,) with conditions ``targets``.

    Features are reduced to their main directions, and these are stretched so that photos of one
    condition vary by 1 in each. Numbers are rounded to half precision, as the checkpoint keeps
    them.
    """
    features = softened(shown.features)
    reduce = PCA(min(directions, len(features) - 1), random_state=0).fit(features)
    placed = reduce.transform(features)
    kinds, place = np.unique(targets, return_inverse=True)
    means = np.stack([placed[place == kind].mean(axis=0) for kind in range(len(kinds))])
    stretch = _whitening(placed - means[place])
    spread = shown.statistics.std(axis=0) + 1e-3
    standard = (shown.statistics - shown.statistics.mean(axis=0)) / spread
    found = {
        "feature_mean": reduce.mean_,
        "feature_map": reduce.components_.T @ stretch,
        "class_means": means @ stretch,
        "neighbours": placed @ stretch,
        "statistic_mean": shown.statistics.mean(axis=0),
        "statistic_map": _whitening(standard) / spread[:, None],
    }
    return Familiar(**{name: a.astype(np.float16).astype(np.float32) for name, a in found.items()})


def standard_of(single: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """For each score (B,) its median, and the distance from there to its 90th percentile."""
    found = {}
    for name, values in single.items():
        median, high = np.quantile(values, [0.5, 0.9])
        found[name] = (float(median), float(max(high - median, 1e-6)))
    return found


def choose_parts(
    inside: dict[str, np.ndarray],
    outside: dict[str, np.ndarray],
    standard: dict[str, tuple[float, float]],
) -> tuple[str, ...]:
    """Which of `CANDIDATES` best tells outside from inside photos, to two digits of its AUROC."""
    areas = []
    for parts in CANDIDATES:
        low, high = (combine(scores, parts, standard) for scores in (inside, outside))
        truth = np.repeat([0, 1], [len(low), len(high)])
        known = len(low) > 0 and len(high) > 0
        areas.append(round(roc_auc_score(truth, np.r_[low, high]), 2) if known else 0.0)
    return CANDIDATES[int(np.argmax(areas))]


def auroc(
    inside: np.ndarray, outside: np.ndarray, groups: np.ndarray, outside_groups: np.ndarray
) -> dict[str, float] | None:
    """The chance that an outside photo scores above an inside one, ties counting half.

    With a 95 % interval from a bootstrap over the groups of either; None where one of them has
    fewer than `MEASURED` photos.
    """
    if min(len(inside), len(outside)) < MEASURED:
        return None
    won = np.sign(outside[:, None] - inside) / 2 + 0.5
    draws = group_draws(groups, seed=0)[:AUC_BOOTSTRAPS]
    outside_draws = group_draws(outside_groups, seed=1)[:AUC_BOOTSTRAPS]
    wins = ((outside_draws @ won) * draws).sum(axis=1)
    areas = wins / (draws.sum(axis=1) * outside_draws.sum(axis=1))
    return rounded(interval_of(float(won.mean()), areas))


def for_choosing(groups: np.ndarray, share: float) -> np.ndarray:
    """(B,) bool: about ``share`` of the groups (B,), the same ones at any time."""
    return np.array(
        [
            int(hashlib.sha256(group.encode()).hexdigest(), 16) % 1000 < 1000 * share
            for group in groups
        ],
        dtype=bool,
    )


def _whitening(centred: np.ndarray) -> np.ndarray:
    """(P, P) map after which vectors (B, P) around 0 vary by 1 in every direction."""
    covariance = LedoitWolf(assume_centered=True).fit(centred).covariance_
    ridge = 1e-6 * np.trace(covariance) / len(covariance) + 1e-9
    return np.linalg.inv(np.linalg.cholesky(covariance + ridge * np.eye(len(covariance)))).T
