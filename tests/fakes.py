"""A predictor without weights or torch: the same input gives the same prediction."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from dermmm import (
    Deletion,
    Effects,
    Explanation,
    Gate,
    ModelIdentity,
    Phrase,
    Prediction,
    Region,
    Word,
)
from dermmm.conditions import NAMES
from tests.made_metrics import METRICS

GRID = 7
# What real models never learned differs between photo and text; so it does here.
IMAGE_NEVER_LEARNED = (20, 23)
TEXT_NEVER_LEARNED = (9,)


class FakePredictor:
    """Has the contract of `dermmm.Predictor`. The numbers mean nothing."""

    conditions = NAMES
    identity = ModelIdentity("0.0-fake", hashlib.sha256(b"fake").hexdigest())
    card: Mapping[str, Any] = {
        "licence": {"code": "Apache-2.0", "weights": "CC-BY-NC-SA-4.0"},
        "parameters": {"image_encoder": 4_000_000, "text_encoder": 1_700_000, "fusion": 988_000},
        "image_size": 160,
        "max_tokens": 128,
        "temperatures": {"image": 1.0, "text": 0.9, "fused": 0.7},
        "provenance": {
            "preset": "fake",
            "data": hashlib.sha256(b"no data").hexdigest(),
            "commit": "0" * 40,
            "initialisation": "none",
        },
    }

    def __init__(self, metrics: Mapping[str, Any] | None = None) -> None:
        self.calls: list[tuple[Any, str | None]] = []
        self.metrics = METRICS if metrics is None else metrics

    def effects(self, image: Any = None, text: str | None = None) -> Effects:
        prediction = self.predict(image, text)
        name, probability = prediction.top(1)[0]
        assert prediction.explanation is not None
        rng = np.random.default_rng(len(text or ""))
        sides = np.linspace(0, 1, 5)
        return Effects(
            condition=name,
            probability=probability,
            phrases=tuple(
                Phrase(m.group(), m.start(), m.end(), float(rng.normal(0, probability / 3)))
                for m in re.finditer(r"[^\s,.;][^,.;]*", text or "")
            ),
            regions=()
            if image is None
            else tuple(
                Region(top, left, top + 0.25, left + 0.25, float(rng.normal(0, probability / 3)))
                for top in sides[:-1]
                for left in sides[:-1]
            ),
            photo_deletion=None if image is None else Deletion(0.2, 0.3),
            words_deletion=None if not text else Deletion(0.4, 0.3),
        )

    def open_photo(
        self, image: Any, box: tuple[float, float, float, float] = (0, 0, 1, 1)
    ) -> np.ndarray:
        photo = _decode(image)
        top, left, bottom, right = (
            round(share * side) for share, side in zip(box, photo.shape[:2] * 2, strict=True)
        )
        return photo[top:bottom, left:right]

    def predict_many(
        self, images: Sequence[Any], texts: Sequence[str | None]
    ) -> list[Prediction | ValueError | OSError]:
        answers: list[Prediction | ValueError | OSError] = []
        for image, text in zip(images, texts, strict=True):
            try:
                answers.append(self.predict(image, text, explain=False))
            except (ValueError, OSError) as error:
                answers.append(error)
        return answers

    def predict(
        self, image: Any = None, text: str | None = None, explain: bool = True
    ) -> Prediction:
        self.calls.append((image, text))
        if image is None and not text:
            raise ValueError("give a photo, a description, or both")
        if text and "crash the model" in text:
            raise RuntimeError("internal detail")
        photo = None if image is None else _decode(image)
        rng = np.random.default_rng(_seed(photo, text))
        by_image = None if photo is None else _probabilities(rng, IMAGE_NEVER_LEARNED)
        by_text = None if not text else _probabilities(rng, TEXT_NEVER_LEARNED)
        if by_image is not None and by_text is not None:
            share = float(rng.uniform(0.2, 0.8))
            fused = share * np.nan_to_num(by_image) + (1 - share) * np.nan_to_num(by_text)
            gate = Gate(share, 1 - share)
        else:
            alone = by_text if by_image is None else by_image
            assert alone is not None
            fused = np.nan_to_num(alone)
            gate = Gate(float(photo is not None), float(photo is None))
        return Prediction(
            conditions=NAMES,
            by_modality={"image": by_image, "text": by_text, "fused": fused / fused.sum()},
            gate=gate,
            explanation=_explanation(rng, photo, text) if explain else None,
            model=self.identity,
            prediction_set=tuple(NAMES[i] for i in np.argsort(-fused, kind="stable")[:3]),
            set_coverage=0.9,
        )


def _decode(image: Any) -> np.ndarray:
    if isinstance(image, bytes):
        try:
            image = Image.open(io.BytesIO(image))
        except OSError:
            raise ValueError("this file is not a photo that can be read") from None
    if isinstance(image, Image.Image):
        return np.asarray(image.convert("RGB"))
    return np.asarray(image)


def _seed(photo: np.ndarray | None, text: str | None) -> int:
    content = (b"" if photo is None else photo.tobytes()) + (text or "").encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")


def _probabilities(rng: np.random.Generator, never_learned: tuple[int, ...]) -> np.ndarray:
    scores = np.exp(2.2 * rng.standard_normal(len(NAMES)))
    scores[list(never_learned)] = np.nan
    return scores / np.nansum(scores)


def _explanation(
    rng: np.random.Generator, photo: np.ndarray | None, text: str | None
) -> Explanation:
    found = list(re.finditer(r"\w[\w'-]*", text or ""))
    weights = rng.gamma(0.6, size=len(found))
    words = tuple(
        Word(
            match.group(),
            match.start(),
            match.end(),
            float(weight),
            None if photo is None else _map(rng),
        )
        for match, weight in zip(found, weights / (weights.sum() or 1), strict=True)
    )
    return Explanation(photo, None if photo is None else _map(rng), text or None, words)


def _map(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[0:GRID, 0:GRID]
    cy, cx = rng.uniform(1.5, 4.5, size=2)
    bump = 0.05 + np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 3)
    return bump / bump.sum()
