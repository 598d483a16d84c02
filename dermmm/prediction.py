"""What crosses the boundary from the model to the page, the command line and the API.

Frozen, and made of numpy arrays, strings and floats only: no tensor leaves the library.
Shapes: K conditions, H x W pixels of the photo, h x w cells of an attention map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

NOTICE = (
    "For education and research only. Not for any patient's care: "
    "do not use it to decide about a person's health."
)

# Why the model abstains, and what to do about it.
CAUTIONS = {
    "blur": "The photo is blurred. Hold the camera still, tap the lesion to focus, take it again.",
    "dark": "The photo is dark. Take it again in daylight or with the flash.",
    "bright": "The photo is over-exposed. Take it again without the flash or out of direct light.",
    "not skin-like": "The picture does not look like skin. Crop it to the skin, or give another.",
    "far from training": (
        "The photo is unlike those that the model was trained on, so it may show something that "
        "the model does not know. Do not rely on the ranking."
    ),
    "words unknown": (
        "Many words are unknown to the model. Describe it in plain English: site, colour, surface, "
        "how long, itch, pain."
    ),
    "modalities disagree": (
        "Photo and description point to different conditions. Check that they belong together, and "
        "look at each answer by itself."
    ),
}


@dataclass(frozen=True)
class Gate:
    """How much each modality counted. Both lie in 0..1 and sum to 1; an absent one is exactly 0."""

    image: float
    text: float


@dataclass(frozen=True)
class Word:
    """One word of the description: ``text == description[start:end]``.

    ``weight`` lies in 0..1; the weights of all words of a description sum to 1. ``attention``
    (h, w) sums to 1 and tells where on the photo this word looked. It is None without photo. A word
    past the model's token limit was not read: its weight is 0 and its attention None.
    """

    text: str
    start: int
    end: int
    weight: float
    attention: np.ndarray | None = None


@dataclass(frozen=True)
class Explanation:
    """Where the model looked.

    ``photo`` (H, W, 3) uint8: the upright RGB photo, bounded in size, rebuilt from its pixels, so
    without metadata; None without photo. ``attention`` (h, w) covers that whole photo and sums
    to 1. ``words`` are in reading order; empty without description.
    """

    photo: np.ndarray | None
    attention: np.ndarray | None
    description: str | None
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Phrase:
    """A part of the description, ``text == description[start:end]``, taken out of it.

    ``change`` is the probability of `Effects.condition` without the phrase less the one with it,
    -1..1: negative where the phrase speaks for the condition.
    """

    text: str
    start: int
    end: int
    change: float


@dataclass(frozen=True)
class Region:
    """A rectangle of the photo, covered. Its sides are shares (0..1) of the upright photo's height
    and width; ``change`` is as in `Phrase`.
    """

    top: float
    left: float
    bottom: float
    right: float
    change: float


@dataclass(frozen=True)
class Deletion:
    """Whether a map means something for this case: its most important parts are removed first.

    Areas (0..1) under the probability of `Effects.condition` while parts are removed: in the map's
    order, and the mean over random orders (Petsiuk et al. 2018, arXiv:1806.07421).
    """

    by_map: float
    at_random: float

    @property
    def faithful(self) -> bool:
        """Whether removal in the map's order lowers the probability faster than by chance."""
        return self.by_map < self.at_random


@dataclass(frozen=True)
class Effects:
    """What the answer's first ``condition``, with its ``probability``, owes to parts of the input.

    ``phrases`` are in reading order, ``regions`` row by row; empty where that input was not given.
    ``photo_deletion`` and ``words_deletion`` test the maps of `Explanation`; None without them.
    """

    condition: str
    probability: float
    phrases: tuple[Phrase, ...]
    regions: tuple[Region, ...]
    photo_deletion: Deletion | None
    words_deletion: Deletion | None

    def to_dict(self) -> dict[str, object]:
        """The entry "effects" of the JSON object of the command line and the API."""

        def tested(deletion: Deletion | None) -> dict[str, float | bool] | None:
            return None if deletion is None else {**asdict(deletion), "faithful": deletion.faithful}

        return {
            "condition": self.condition,
            "probability": self.probability,
            "phrases": [asdict(phrase) for phrase in self.phrases],
            "regions": [asdict(region) for region in self.regions],
            "photo_deletion": tested(self.photo_deletion),
            "words_deletion": tested(self.words_deletion),
        }


@dataclass(frozen=True)
class ModelIdentity:
    """Which weights answered: the version, and the SHA-256 over all weight files."""

    version: str
    sha256: str


@dataclass(frozen=True)
class Prediction:
    """A differential over K conditions.

    ``by_modality`` has the keys ``image``, ``text`` and ``fused``. Each is a (K,) array of
    calibrated probabilities in the order of ``conditions``, or None where that input was not
    given; NaN marks a condition that the modality never learned, and the others sum to 1.
    ``fused`` is always there and is the answer; for a photo or a text alone it is that modality's
    own answer, with 0 where that never learned a condition.

    ``prediction_set`` names the conditions, most probable first, among which the truth is in a
    share ``set_coverage`` (0..1) of cases like those that it was fitted on; it is empty, and
    ``set_coverage`` None, only where the checkpoint was not fitted for it. ``cautions`` are keys
    of `CAUTIONS`: reasons not to trust the answer.
    """

    conditions: tuple[str, ...]
    by_modality: Mapping[str, np.ndarray | None]
    gate: Gate
    explanation: Explanation | None
    model: ModelIdentity
    notice: str = NOTICE
    prediction_set: tuple[str, ...] = ()
    set_coverage: float | None = None
    cautions: tuple[str, ...] = ()

    @property
    def abstains(self) -> bool:
        """Whether there is a reason not to give a ranking; `CAUTIONS` says what to do."""
        return bool(self.cautions)

    @property
    def probabilities(self) -> np.ndarray:
        """The answer: (K,) probabilities that sum to 1, in the order of ``conditions``."""
        fused = self.by_modality["fused"]
        assert fused is not None
        return fused

    def top(self, n: int = 3) -> list[tuple[str, float]]:
        """The ``n`` most probable conditions with their probabilities, highest first."""
        order = np.argsort(-self.probabilities, kind="stable")[:n]
        return [(self.conditions[i], float(self.probabilities[i])) for i in order]

    def to_dict(self, effects: Effects | None = None) -> dict[str, object]:
        """The JSON object of the command line and the API. It never holds the photo itself.

        With ``effects`` it has the entry of that name: what the answer owes to parts of the input.
        """

        def named(values: np.ndarray | None) -> dict[str, float | None] | None:
            if values is None:
                return None
            return {
                name: None if np.isnan(p) else float(p)
                for name, p in zip(self.conditions, values, strict=True)
            }

        result: dict[str, object] = {
            "conditions": [
                {"name": name, "probability": p} for name, p in self.top(len(self.conditions))
            ],
            "by_modality": {name: named(values) for name, values in self.by_modality.items()},
            "gate": {"image": self.gate.image, "text": self.gate.text},
            "prediction_set": list(self.prediction_set),
            "set_coverage": self.set_coverage,
            "abstains": self.abstains,
            "cautions": list(self.cautions),
            "model": {"version": self.model.version, "sha256": self.model.sha256},
            "notice": self.notice,
        }
        if self.explanation is not None:
            result["attention"] = {
                "photo": _rows(self.explanation.attention),
                "words": [
                    {
                        "word": word.text,
                        "start": word.start,
                        "end": word.end,
                        "weight": word.weight,
                        "photo": _rows(word.attention),
                    }
                    for word in self.explanation.words
                ],
            }
        if effects is not None:
            result["effects"] = effects.to_dict()
        return result


def _rows(grid: np.ndarray | None) -> list[list[float]] | None:
    return None if grid is None else [[float(cell) for cell in row] for row in grid]
