"""Pairing rules against what they promise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from dermmm.conditions import INDEX, NAMES
from training.pairing import (
    RULES,
    PairingConfig,
    draw_by_cluster,
    margins,
    match_quantiles,
    pair,
    quantiles,
)


def test_margin_is_the_logit_less_the_best_other() -> None:
    logits = np.array([[2.0, 5.0, -np.inf], [4.0, 1.0, 3.5]])
    assert margins(logits, 0) == pytest.approx([-3.0, 0.5])
    assert margins(logits, 1) == pytest.approx([3.0, -3.0])


def test_quantiles_are_even_whatever_the_scale() -> None:
    assert quantiles(np.array([1000.0, -3.0, 0.1, 7.0])) == pytest.approx(
        [0.875, 0.125, 0.375, 0.625]
    )


def test_without_jitter_ranks_meet_ranks() -> None:
    rng = np.random.default_rng(0)
    photos, texts = rng.normal(size=50), 100 * rng.random(50)
    chosen = match_quantiles(photos, texts, 0.0, rng)
    assert spearmanr(photos, texts[chosen]).statistic == pytest.approx(1)
    assert len(set(chosen)) == 50


def test_jitter_spreads_and_stays_inside() -> None:
    rng = np.random.default_rng(0)
    photos, texts = rng.normal(size=2000), rng.normal(size=7)
    chosen = match_quantiles(photos, texts, 0.1, rng)
    assert set(chosen) == set(range(7))
    correlation = spearmanr(photos, texts[chosen]).statistic
    assert 0.8 < correlation < 0.99


def test_clusters_are_drawn_by_their_frequency() -> None:
    clusters = np.array([0] * 90 + [1] * 10)
    chosen = draw_by_cluster(clusters, 5000, np.random.default_rng(0))
    assert (clusters[chosen] == 1).mean() == pytest.approx(0.1, abs=0.02)
    assert len(set(chosen)) == 100


def rows(prefix: str, *conditions: str, split: str = "train") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"{prefix}{i}" for i in range(len(conditions))],
            "condition": conditions,
            "split": split,
        }
    )


def test_pairs_stay_within_a_condition() -> None:
    photos = rows("photo", "acne", "acne", "eczema", "mpox")
    texts = rows("text", "acne", "eczema", "eczema", "psoriasis")
    rng = np.random.default_rng(0)
    scores = [rng.normal(size=(len(part), len(NAMES))) for part in (photos, texts)]
    vectors = rng.normal(size=(len(texts), 4))
    pairs = pair(photos, scores[0], texts, scores[1], vectors, PairingConfig(64))
    quantile = pairs[pairs["rule"] == "quantile"]
    assert list(quantile["photo"]) == ["photo0", "photo1", "photo2"]  # no text of mpox
    assert list(quantile["text"][:2]) == ["text0", "text0"]
    assert set(quantile["text"][2:]) <= {"text1", "text2"}
    assert INDEX["acne"] < INDEX["eczema"]
    assert set(pairs["rule"]) == set(RULES)
    told = pairs["text"].map(texts.set_index("id")["condition"])
    assert (told == pairs["condition"]).all()


def test_the_random_rule_ignores_the_scores() -> None:
    photos, texts = rows("photo", *["acne"] * 200), rows("text", *["acne"] * 200)
    scores = np.zeros((200, len(NAMES)))
    scores[:, INDEX["acne"]] = np.arange(200)
    vectors = np.random.default_rng(0).normal(size=(200, 4))
    pairs = pair(photos, scores, texts, scores, vectors, PairingConfig(64))

    def agreement(rule: str) -> float:
        ranks = [
            pairs[pairs["rule"] == rule][part].str.removeprefix(part).astype(int)
            for part in ("photo", "text")
        ]
        return float(spearmanr(*ranks).statistic)

    assert agreement("quantile") > 0.9
    assert abs(agreement("random")) < 0.3


def test_rows_outside_training_are_refused() -> None:
    photos, texts = rows("photo", "acne"), rows("text", "acne", split="test")
    zeros = np.zeros((1, len(NAMES)))
    with pytest.raises(ValueError, match="outside the training split"):
        pair(photos, zeros, texts, zeros, zeros, PairingConfig(64))
