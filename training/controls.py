"""What can be scored without the skill in question. A result has to stand above these.

Each gives (cases, K) probabilities; `training.evaluate` scores them beside the model's own. Shapes:
K conditions, D the image encoder's width.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from sklearn.feature_extraction import DictVectorizer
from sklearn.pipeline import make_pipeline

from dermmm.conditions import NAMES
from training.dataset import condition_index
from training.linear import linear_probe, logistic_regression, spread

AGES = ("age", "age_approx")  # fields that hold years, by source
AGE_BAND = 10  # years


def majority(train: pd.DataFrame, count: int) -> np.ndarray:
    """Always the same answer: each condition's share of the training photos."""
    shares = np.bincount(condition_index(train), minlength=len(NAMES)) / len(train)
    return np.tile(shares, (count, 1))


def uniform(count: int, seed: int = 0) -> np.ndarray:
    """Every condition alike, but for a trace of chance that decides which comes first."""
    chance = np.random.default_rng(seed).random((count, len(NAMES)))
    values = 1 + 1e-6 * chance
    return values / values.sum(axis=1, keepdims=True)


def facts(rows: pd.DataFrame) -> list[dict[str, str]]:
    """Each row's structured fields, ages in bands of ten years; a field keeps its source's name."""
    found = []
    for fields in map(json.loads, rows["fields"]):
        for name in AGES:
            if fields.get(name):
                fields[name] = str(int(float(fields[name]) // AGE_BAND))
        found.append(fields)
    return found


def metadata_only(train: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    """Answers from age band, sex, site and findings, one-hot, without photo or sentence.

    A logistic regression with balanced classes, fitted on the ``train`` rows. Since field names are
    the source's own, it knows the source, as a reader of the descriptions does.
    """
    classifier = make_pipeline(DictVectorizer(), logistic_regression(strength=1.0))
    return spread(classifier.fit(facts(train), condition_index(train)), facts(rows))


def probe_answers(
    train: np.ndarray, conditions: np.ndarray, features: np.ndarray, shuffle: int | None = None
) -> np.ndarray:
    """Answers of a linear probe on frozen features (cases, D).

    With ``shuffle``, a seed, the training conditions are dealt out at random: what is left above
    chance then comes from the protocol and not from the features.
    """
    if shuffle is not None:
        conditions = np.random.default_rng(shuffle).permutation(conditions)
    return spread(linear_probe().fit(train, conditions), features)


def shuffled_texts(rows: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The same cases with their descriptions dealt out anew, each within its source.

    The style of a source stays; only the tie between a description and its case is cut.
    """
    rng = np.random.default_rng(seed)
    dealt = rows.groupby("source")["text_path"].transform(lambda paths: rng.permutation(paths))
    return rows.assign(text_path=dealt)


def label_matched(photos: pd.DataFrame, texts: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Each photo with the description of some case of its condition, drawn by the true label.

    Such a pair holds the answer twice: the draw has read the label. Photos of a condition that has
    no text are left out.
    """
    rng = np.random.default_rng(seed)
    of = texts.groupby("condition")["text_path"].agg(list)
    pairs = photos[photos["condition"].isin(of.index)]
    return pairs.assign(text_path=[str(rng.choice(of[name])) for name in pairs["condition"]])
