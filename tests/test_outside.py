"""Cautions: scores against literal references, limits, and what a picture's plain measures say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image, ImageFilter

from dermmm.calibration import SetRule
from dermmm.outside import (
    LIMITED,
    NEIGHBOUR,
    QUALITY,
    SCORES,
    STATISTICS,
    STRANGE,
    Abstention,
    combine,
    modalities_disagree,
    picture_quality,
    picture_statistics,
    softened,
    tokens_per_word,
)
from dermmm.tokenizer import Tokenizer

SIDE = 64


@pytest.fixture
def pixels() -> np.ndarray:
    """Grain on skin colour."""
    rng = np.random.default_rng(0)
    return (
        (np.array([200, 150, 130]) + rng.normal(0, 12, (SIDE, SIDE, 3)))
        .clip(0, 255)
        .astype(np.uint8)
    )


def test_scores_are_the_papers(abstention: Abstention) -> None:
    rng = np.random.default_rng(1)
    familiar = abstention.familiar
    features = rng.normal(size=(5, len(familiar.feature_mean))).astype(np.float32)
    logits = rng.normal(size=(5, 6))
    logits[:, 2] = -np.inf
    exponents = np.exp(logits)
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    statistics = rng.normal(size=(5, STATISTICS))
    scores = familiar.scores(features, logits, probabilities, statistics)
    assert tuple(scores) == SCORES
    for case in range(5):
        placed = (softened(features[case]) - familiar.feature_mean) @ familiar.feature_map
        cosines = [
            float(placed @ one / np.linalg.norm(placed) / np.linalg.norm(one))
            for one in familiar.neighbours
        ]
        plain = (statistics[case] - familiar.statistic_mean) @ familiar.statistic_map
        expected = {
            "max probability": -probabilities[case].max(),
            "energy": -math.log(exponents[case].sum()),
            "Mahalanobis": math.log(
                min(float((placed - mean) @ (placed - mean)) for mean in familiar.class_means)
            ),
            "nearest neighbours": -sorted(cosines, reverse=True)[NEIGHBOUR - 1],
            "picture statistics": math.log(float(plain @ plain)),
        }
        for name, value in expected.items():
            assert scores[name][case] == pytest.approx(value, rel=1e-4), name


def test_two_scores_are_added_in_units_of_their_spread() -> None:
    single = {"a": np.array([1.0, 5.0]), "b": np.array([10.0, 20.0])}
    standard = {"a": (1.0, 2.0), "b": (10.0, 5.0)}
    assert combine(single, ("a",), standard).tolist() == [0, 2]
    assert combine(single, ("a", "b"), standard).tolist() == [0, 4]


def test_poor_photos_score_higher(pixels: np.ndarray) -> None:
    clean = picture_quality(pixels)
    blurred = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(3)))
    assert picture_quality(blurred)[0] > clean[0] + 1
    assert picture_quality((pixels * 0.2).astype(np.uint8))[1] > clean[1] + 0.3
    assert clean[2] == 0
    assert picture_quality((pixels.astype(int) * 3).clip(0, 255).astype(np.uint8))[2] > 0.9


def test_statistics_are_finite_and_tell_skin_from_drawings(pixels: np.ndarray) -> None:
    flat = np.zeros((SIDE, SIDE, 3), np.uint8)
    for picture in (pixels, flat, np.full_like(flat, 255), pixels[:31, :17]):
        found = picture_statistics(picture)
        assert found.shape == (STATISTICS,) and np.isfinite(found).all()
    green = picture_statistics(pixels[..., [1, 0, 2]])
    assert green[1] < picture_statistics(pixels)[1]  # red over green


def test_a_caution_is_given_above_its_limit(abstention: Abstention) -> None:
    assert abstention.above_limit(dict.fromkeys(LIMITED, 5.0)) == LIMITED
    assert abstention.above_limit({"words unknown": 4.0, "dark": -0.5}) == ("dark",)
    assert abstention.above_limit({}) == ()


def test_photo_scores_cover_quality_and_strangeness(
    abstention: Abstention, pixels: np.ndarray
) -> None:
    width = len(abstention.familiar.feature_mean)
    rng = np.random.default_rng(2)
    features, logits = rng.normal(size=(2, width)), rng.normal(size=(2, 4))
    batch = np.stack([pixels, pixels // 2])
    scores = abstention.photo_scores(batch, features, logits, np.full((2, 4), 0.25))
    assert tuple(scores) == (*QUALITY, *STRANGE)
    alone = abstention.photo_scores(batch[1:], features[1:], logits[1:], np.full((1, 4), 0.25))
    for name, values in scores.items():
        assert values.shape == (2,) and values[1] == pytest.approx(alone[name][0], rel=1e-5), name
    assert scores["dark"][1] > scores["dark"][0]


def test_known_words_are_whole_and_others_break(tokenizer: Tokenizer) -> None:
    known, foreign = "itchy red rash", "xqzvk wjfpq"
    assert 1 <= tokens_per_word(tokenizer, known) < tokens_per_word(tokenizer, foreign)
    assert tokens_per_word(tokenizer, "?!") == 1


def test_modalities_disagree_when_neither_allows_the_other() -> None:
    sets = {"image": SetRule("lac", 0.75), "text": SetRule("lac", 0.75)}
    by_photo = np.array([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.9, 0.1, 0.0], [0.9, 0.1, 0.0]])
    by_text = np.array([[0.1, 0.9, 0.0], [0.1, 0.9, 0.0], [0.4, 0.6, 0.0], [0.6, 0.4, 0.0]])
    assert modalities_disagree(by_photo, by_text, sets).tolist() == [True, False, False, False]
