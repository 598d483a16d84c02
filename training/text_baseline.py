"""The control that the text encoder has to beat: TF-IDF and logistic regression.

    python -m training.text_baseline --data runs/first/data --out runs/first

Reads the same texts of the training split. Its settings are those with the best balanced accuracy
on validation, over the conditions with enough validation texts to measure.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline, make_pipeline
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from training.dataset import (
    cases_with_text,
    condition_index,
    read_manifest,
    read_texts,
    with_synthetic,
)
from training.linear import logistic_regression, spread
from training.scoring import is_measured, score
from training.section import Section, table, with_interval
from training.stage import Stage, read_summary, run_stage

NAME = "text_baseline"


@dataclass(frozen=True)
class TextBaselineConfig:
    """What is tried: every combination."""

    ngrams: tuple[int, ...] = (1, 2)  # words in the longest feature
    strengths: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0)  # C, the inverse of regularisation
    synthetic: tuple[int, ...] = (0, 150)  # synthetic texts a condition
    max_iterations: int = 1000


@dataclass(frozen=True)
class Settings:
    """One combination."""

    ngrams: int
    strength: float
    synthetic: int


def tfidf_vectorizer(ngrams: int) -> TfidfVectorizer:
    """TF-IDF of words and of up to ``ngrams`` neighbouring ones."""
    return TfidfVectorizer(
        ngram_range=(1, ngrams), min_df=2, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"
    )


def tfidf_classifier(ngrams: int, strength: float, max_iterations: int = 1000) -> Pipeline:
    """The two together: texts to conditions."""
    return make_pipeline(tfidf_vectorizer(ngrams), logistic_regression(strength, max_iterations))


def fit_baseline(
    rows: pd.DataFrame, texts: list[list[str]], settings: Settings, max_iterations: int
) -> Pipeline:
    """Fit on every wording of the cases; a case's wordings share its weight.

    Args:
        rows: real cases of the training split, and synthetic ones, as `with_synthetic` gives them.
        texts: their wordings.
    """
    counts = [len(variants) for variants in texts]
    classifier = tfidf_classifier(settings.ngrams, settings.strength, max_iterations)
    return classifier.fit(
        list(itertools.chain.from_iterable(texts)),
        np.repeat(condition_index(rows), counts),
        logisticregression__sample_weight=np.repeat([1 / count for count in counts], counts),
    )


def read_training_texts(data: Path, synthetic: int) -> tuple[pd.DataFrame, list[list[str]]]:
    """The training split's cases with so many synthetic texts a condition, and their wordings."""
    real = cases_with_text(read_manifest(data), "train")
    rows = with_synthetic(real, data, synthetic)
    return rows, read_texts(data, rows)


# One thread: on sparse text, linear algebra in two threads that other work interrupts crawls.
@threadpool_limits.wrap(limits=1)
def main(config: TextBaselineConfig, data: Path, out: Path) -> dict[str, object]:
    rows = cases_with_text(read_manifest(data), "val")
    texts = [variants[0] for variants in read_texts(data, rows)]
    targets, groups = condition_index(rows), rows["group"].to_numpy()
    measured = is_measured(targets)
    learned = {count: read_training_texts(data, count) for count in config.synthetic}
    grid = itertools.product(config.ngrams, config.strengths, config.synthetic)
    trials = []
    for settings in tqdm([Settings(*values) for values in grid], desc=NAME, unit="fit"):
        cases = learned[settings.synthetic]
        values = spread(fit_baseline(*cases, settings, config.max_iterations), texts)
        scores = score(values[measured], targets[measured], groups[measured])
        trials.append((settings, scores["balanced_accuracy"], scores["top3"]))
    best, _, _ = max(trials, key=lambda trial: trial[1]["value"])
    return {
        "chosen": asdict(best),
        "trials": [
            {**asdict(settings), "balanced_accuracy": balanced, "top3": top3}
            for settings, balanced, top3 in trials
        ],
    }


def load_baseline(data: Path, out: Path) -> Pipeline:
    """The chosen classifier, fitted anew: that is quick, and no file has to be trusted."""
    summary = read_summary(out, NAME)
    settings = Settings(**summary["chosen"])
    cases = read_training_texts(data, settings.synthetic)
    return fit_baseline(*cases, settings, summary["config"]["max_iterations"])


def section(summary: dict[str, Any]) -> Section:
    """The study's part of the results page: what was tried, the chosen setting in bold."""
    names = ("ngrams", "strength", "synthetic")
    lines: list[tuple[object, ...]] = []
    for trial in summary["trials"]:
        cells = [str(trial[name]) for name in names]
        if all(trial[name] == summary["chosen"][name] for name in names):
            cells = [f"**{cell}**" for cell in cells]
        scores = (with_interval(trial[name]) for name in ("balanced_accuracy", "top3"))
        lines.append((*cells, *scores))
    header = ("words in the longest feature", "C", "synthetic texts a condition")
    text = f"""{table((*header, "balanced accuracy", "top-3"), lines)}

Scores are on validation; the chosen setting, in bold, is fitted anew for the test split. From \
`python -m training.{NAME}`."""
    return Section("The control: TF-IDF and logistic regression", text)


STAGE = Stage(NAME, main)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
