"""Cases the model should not judge: poor photos, pictures of no skin, unfamiliar photos and words.

Every score rises with trouble, and a caution is given where it is above a limit that is fitted at a
stated rate: so many of the held-out photos or texts are above it. Limits, and what the scores need
to know of the training photos, are fitted by `training.abstention` and kept in the checkpoint.

Shapes: B cases, S pixels a side, D image features, K conditions, Q picture statistics, P directions
of the features, C conditions with training photos, M photos kept as neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dermmm.calibration import SetRule, in_set
from dermmm.tokenizer import Tokenizer

QUALITY = ("blur", "dark", "bright")
STRANGE = ("not skin-like", "far from training")
LIMITED = (*QUALITY, *STRANGE, "words unknown")  # cautions that have a score and a limit
# What the cautions of STRANGE may be made of: each alone, or the sum of two.
SCORES = (
    "max probability",
    "energy",
    "Mahalanobis",
    "nearest neighbours",
    "picture statistics",
)
NEIGHBOUR = 10  # the tenth nearest photo counts
CLIPPED = 250  # of 255: a pixel with a channel as bright as this has lost detail
SCALES = 3  # at which the roughness of a picture is measured, each half as fine as the one before
STATISTICS = 3 * (4 + SCALES)


@dataclass(frozen=True)
class Limit:
    """The score above which a caution is given, and for which share of held-out cases that was."""

    value: float
    rate: float


@dataclass(frozen=True)
class Familiar:
    """What the scores know of the training photos. Arrays of float32."""

    feature_mean: np.ndarray  # (D,)
    feature_map: np.ndarray  # (D, P) to directions in which conditions vary alike, each by 1
    class_means: np.ndarray  # (C, P)
    neighbours: np.ndarray  # (M, P)
    statistic_mean: np.ndarray  # (Q,)
    statistic_map: np.ndarray  # (Q, Q) to uncorrelated directions, each varying by 1

    def place(self, features: np.ndarray) -> np.ndarray:
        """(B, D) pooled image features to (B, P)."""
        return (softened(features) - self.feature_mean) @ self.feature_map

    def scores(
        self,
        features: np.ndarray,
        logits: np.ndarray,
        probabilities: np.ndarray,
        statistics: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """How unlike the training photos each photo is, by each of `SCORES`: (B,) each.

        * max probability of the photo's own answer (Hendrycks & Gimpel 2017, arXiv:1610.02136)
        * energy of its logits (Liu et al. 2020, arXiv:2010.03759)
        * Mahalanobis distance to the nearest condition's mean (Lee et al. 2018, arXiv:1807.03888)
        * cosine to the `NEIGHBOUR`-th nearest training photo (Sun et al. 2022, arXiv:2204.06507)
        * the same distance as Mahalanobis's, of plain `picture_statistics` to their mean

        Args:
            features: (B, D) pooled; logits: (B, K), -inf where a condition was never learned;
            probabilities: (B, K); statistics: (B, Q).
        """
        placed = self.place(features)
        from_classes = ((placed[:, None] - self.class_means) ** 2).sum(axis=2)  # (B, C)
        cosines = np.sort(_unit(placed) @ _unit(self.neighbours).T, axis=1)  # (B, M)
        plain = (statistics - self.statistic_mean) @ self.statistic_map
        return {
            "max probability": -probabilities.max(axis=1),
            "energy": -np.logaddexp.reduce(logits, axis=1),
            "Mahalanobis": np.log(from_classes.min(axis=1)),
            "nearest neighbours": -cosines[:, -min(NEIGHBOUR, cosines.shape[1])],
            "picture statistics": np.log((plain**2).sum(axis=1)),
        }


@dataclass(frozen=True)
class Abstention:
    """When the model says less than one answer. Kept in the checkpoint.

    ``parts`` names the one or two of `SCORES` that make each caution of `STRANGE`; ``standard`` has
    for each score the median and the distance from it to the 90th percentile of held-out photos, by
    which scores are made comparable.
    """

    coverage: float  # the share of cases whose truth the sets hold, 0..1
    sets: Mapping[str, SetRule]  # by answer
    limits: Mapping[str, Limit]  # by caution, LIMITED
    parts: Mapping[str, tuple[str, ...]]  # by caution, STRANGE
    standard: Mapping[str, tuple[float, float]]  # by score
    familiar: Familiar

    def photo_scores(
        self,
        pixels: np.ndarray,
        features: np.ndarray,
        logits: np.ndarray,
        probabilities: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """The scores of `QUALITY` and `STRANGE` of each photo: (B,) each, higher is worse.

        Args:
            pixels: (B, S, S, 3) uint8, the squares that the model sees; the rest as in
            `Familiar.scores`.
        """
        statistics = np.stack([picture_statistics(picture) for picture in pixels])
        single = self.familiar.scores(features, logits, probabilities, statistics)
        quality = np.array([picture_quality(picture) for picture in pixels])  # (B, 3)
        return {
            **{name: quality[:, place] for place, name in enumerate(QUALITY)},
            **{name: combine(single, parts, self.standard) for name, parts in self.parts.items()},
        }

    def above_limit(self, scores: Mapping[str, float]) -> tuple[str, ...]:
        """Of the scores of one case, those above their limit, in the order of `LIMITED`."""
        return tuple(
            name for name in LIMITED if name in scores and scores[name] > self.limits[name].value
        )

    def to_json(self) -> dict[str, Any]:
        """All but ``familiar``, for a checkpoint's configuration."""
        return {
            "coverage": self.coverage,
            "sets": {name: asdict(rule) for name, rule in self.sets.items()},
            "limits": {name: asdict(limit) for name, limit in self.limits.items()},
            "parts": {name: list(parts) for name, parts in self.parts.items()},
            "standard": {
                name: {"median": median, "spread": spread}
                for name, (median, spread) in self.standard.items()
            },
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any], familiar: Familiar) -> Abstention:
        """What `to_json` wrote; `dermmm.checkpoint` checks it."""
        return cls(
            coverage=said["coverage"],
            sets={name: SetRule(**rule) for name, rule in said["sets"].items()},
            limits={name: Limit(**limit) for name, limit in said["limits"].items()},
            parts={name: tuple(parts) for name, parts in said["parts"].items()},
            standard={
                name: (one["median"], one["spread"]) for name, one in said["standard"].items()
            },
            familiar=familiar,
        )


def combine(
    single: Mapping[str, np.ndarray],
    parts: tuple[str, ...],
    standard: Mapping[str, tuple[float, float]],
) -> np.ndarray:
    """(B,) the sum of some of `SCORES`, each from its median and in units of its spread."""
    return np.sum([(single[p] - standard[p][0]) / standard[p][1] for p in parts], axis=0)


def softened(features: np.ndarray) -> np.ndarray:
    """Features to the logarithm: pooled SiLU outputs are skewed, and never below -0.28."""
    return np.log(np.maximum(features, -0.28) + 0.33)


def picture_quality(pixels: np.ndarray) -> tuple[float, float, float]:
    """Blur, darkness and over-exposure of a picture (S, S, 3) uint8; higher is worse.

    Returns:
        the negative logarithm of the variance of the Laplacian, relative to brightness so that a
        dark photo is not called blurred; negative mean brightness (-1..0); and the share of pixels
        that lost detail to brightness (0..1).
    """
    red, green, blue = np.moveaxis(pixels, 2, 0)
    grey = (red.astype(np.float32) + green + blue) / (3 * 255)
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return (
        -float(np.log(laplacian.var() / (grey.mean() ** 2 + 1e-3) + 1e-8)),
        -float(grey.mean()),
        float((np.maximum(np.maximum(red, green), blue) >= CLIPPED).mean()),
    )


def picture_statistics(pixels: np.ndarray) -> np.ndarray:
    """Plain statistics of colour and roughness: (Q,) of a picture (S, S, 3) uint8.

    Of brightness and of two colour ratios: mean, spread, 5th and 95th percentile, and how much
    neighbours differ at `SCALES` scales. Skin keeps within narrow bounds of these.
    """
    red, green, blue = _halved(np.moveaxis(pixels.astype(np.float32) / 255, 2, 0)) + 0.05
    planes = np.stack([(red + green + blue) / 3, np.log(red / green), np.log(green / blue)])
    ordered = np.sort(planes.reshape(3, -1), axis=1)
    low, high = (ordered[:, int(share * (ordered.shape[1] - 1))] for share in (0.05, 0.95))
    found = [planes.mean(axis=(1, 2)), np.log(planes.std(axis=(1, 2)) + 1e-3), low, high]
    for scale in range(SCALES):
        if scale:
            planes = _halved(planes)
        steps = ((planes[:, 1:] - planes[:, :-1]) ** 2).mean(axis=(1, 2))
        steps += ((planes[:, :, 1:] - planes[:, :, :-1]) ** 2).mean(axis=(1, 2))
        found.append(np.log(steps + 1e-5))
    return np.concatenate(found)


def tokens_per_word(tokenizer: Tokenizer, text: str) -> float:
    """Into how many pieces the tokenizer breaks a word of the text on average; >= 1.

    The tokenizer learned from the training texts: their words are whole, foreign ones are not.
    """
    _, owner = tokenizer.words(text)
    read = [word for word in owner if word >= 0]
    return len(read) / len(set(read)) if read else 1.0


def modalities_disagree(
    by_photo: np.ndarray, by_text: np.ndarray, sets: Mapping[str, SetRule]
) -> np.ndarray:
    """(B,) bool: the first choices differ, and neither is in the other modality's set.

    Args:
        by_photo, by_text: (B, K) probabilities of each modality alone.
    """
    cases, first, second = np.arange(len(by_photo)), by_photo.argmax(axis=1), by_text.argmax(axis=1)
    photo_allows = in_set(by_photo, sets["image"])[cases, second]
    text_allows = in_set(by_text, sets["text"])[cases, first]
    return (first != second) & ~photo_allows & ~text_allows


def _halved(planes: np.ndarray) -> np.ndarray:
    """(channels, H, W) to (channels, H // 2, W // 2) by the mean of each four pixels."""
    even = planes[:, : planes.shape[1] // 2 * 2, : planes.shape[2] // 2 * 2]
    rows = even[:, ::2] + even[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]) / 4


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
