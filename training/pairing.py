"""Pair photos that have no words with words that have no photo, inside one condition.

    python -m training.pairing --data runs/first/data --out runs/first

Words are texts of the training split without a photo, and synthetic ones. Three rules:

* quantile matching: the image classifier scores each photo and the text classifier each text by
  its margin for the condition; both scores become empirical quantiles (ECDF), and a photo meets a
  text at about its own quantile: a typical photo meets a typical description, an odd one an odd.
* cluster frequency: the texts of a condition are clustered, and a photo draws a cluster by how
  often it occurs, then any text in it.
* random: any text of the condition; what `training.pairing_ablation` compares the others with.

Writes `DATA/synthetic/pairs.csv` (photo, text, condition, rule) and its counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata

from dermmm.conditions import NAMES
from training import image_classifier, text_classifier
from training.dataset import (
    condition_index,
    pack_photos,
    read_manifest,
    read_texts,
    with_synthetic,
)
from training.features import photo_patches, text_logits
from training.stage import Stage, run_stage, write_whole
from training.text_clusters import cluster

NAME = "pairing"
RULES = ("quantile", "cluster", "random")


@dataclass(frozen=True)
class PairingConfig:
    image_size: int
    jitter: float = 0.05  # standard deviation added to a quantile
    clusters: int = 8
    synthetic: int = 100  # synthetic texts a condition that join the real ones
    seed: int = 0


def margins(logits: np.ndarray, condition: int) -> np.ndarray:
    """How clearly each case speaks for a condition: its logit less the best other one.

    Args:
        logits: (cases, K); -inf where the modality does not know a condition.

    Returns:
        (cases,) margins, > 0 where the condition is the first choice.
    """
    return logits[:, condition] - np.delete(logits, condition, axis=1).max(axis=1)


def quantiles(scores: np.ndarray) -> np.ndarray:
    """Each score's place in the empirical distribution of all of them, in 0..1 without the ends."""
    return (rankdata(scores, method="ordinal") - 0.5) / len(scores)


def match_quantiles(
    photo_scores: np.ndarray, text_scores: np.ndarray, jitter: float, rng: np.random.Generator
) -> np.ndarray:
    """For each photo the index of the text at about the same quantile.

    Args:
        photo_scores: (photos,); text_scores: (texts,), at least one.
        jitter: standard deviation added to a photo's quantile, so that ties spread.
    """
    wanted = quantiles(photo_scores) + rng.normal(0, jitter, len(photo_scores))
    place = np.floor(np.clip(wanted, 0, 1 - 1e-9) * len(text_scores)).astype(int)
    return np.argsort(text_scores, kind="stable")[place]


def draw_by_cluster(clusters: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw ``count`` text indices: first a cluster by its frequency, then a text of that cluster.

    Args:
        clusters: (texts,) cluster of each text.
    """
    names, sizes = np.unique(clusters, return_counts=True)
    drawn = rng.choice(names, size=count, p=sizes / sizes.sum())
    return np.array([rng.choice(np.flatnonzero(clusters == name)) for name in drawn], dtype=int)


def pair(
    photos: pd.DataFrame,
    photo_scores: np.ndarray,
    texts: pd.DataFrame,
    text_scores: np.ndarray,
    text_vectors: np.ndarray,
    config: PairingConfig,
) -> pd.DataFrame:
    """Pair by every rule, condition by condition.

    Args:
        photos, texts: manifest rows with a condition; all of the training split.
        photo_scores, text_scores: (rows, K) logits of each row.
        text_vectors: (texts, D) for clustering.

    Returns:
        a table with the columns photo, text (row ids), condition and rule.

    Raises:
        ValueError: a row outside the training split was given.
    """
    if {*photos["split"], *texts["split"]} - {"train"}:
        raise ValueError("got rows outside the training split; pseudo-pairs are for training only")
    rng = np.random.default_rng(config.seed)
    photo_condition, text_condition = condition_index(photos), condition_index(texts)
    tables = []
    for condition, name in enumerate(NAMES):
        mine = np.flatnonzero(photo_condition == condition)
        theirs = np.flatnonzero(text_condition == condition)
        if len(mine) == 0 or len(theirs) == 0:
            continue
        clusters, _ = cluster(text_vectors[theirs], config.clusters, config.seed)
        chosen = {
            "quantile": match_quantiles(
                margins(photo_scores[mine], condition),
                margins(text_scores[theirs], condition),
                config.jitter,
                rng,
            ),
            "cluster": draw_by_cluster(clusters, len(mine), rng),
            "random": rng.integers(len(theirs), size=len(mine)),
        }
        for rule in RULES:
            tables.append(
                pd.DataFrame(
                    {
                        "photo": photos["id"].to_numpy()[mine],
                        "text": texts["id"].to_numpy()[theirs[chosen[rule]]],
                        "condition": name,
                        "rule": rule,
                    }
                )
            )
    columns = ["photo", "text", "condition", "rule"]
    return pd.concat(tables) if tables else pd.DataFrame(columns=columns)


def candidates(config: PairingConfig, data: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The training split's photos without words, and words without a photo."""
    manifest = read_manifest(data)
    train = manifest[(manifest["split"] == "train") & (manifest["condition"] != "")]
    texts = train[train["modality"] == "text_only"]
    return train[train["modality"] == "image_only"], with_synthetic(texts, data, config.synthetic)


def score_and_pair(
    classifier: image_classifier.ImageClassifier, config: PairingConfig, data: Path, out: Path
) -> pd.DataFrame:
    """Score all candidates and pair them.

    Args:
        classifier: scores the photos; the run's text classifier scores the texts.

    Returns:
        what `pair` does.
    """
    photos, texts = candidates(config, data)
    packed = pack_photos(data, list(photos["photo"]), config.image_size, out / "cache")
    pooled = photo_patches(classifier.encoder, packed, "score photos").astype(np.float32).mean(1)
    with torch.inference_mode():
        photo_scores = classifier.head(torch.from_numpy(pooled)).numpy()
    reader, tokenizer = text_classifier.load_classifier(out)
    first_wording = [variants[0] for variants in read_texts(data, texts)]
    text_scores, vectors = text_logits(reader, tokenizer, first_wording)
    known = np.isfinite(text_scores[np.arange(len(texts)), condition_index(texts)])
    return pair(photos, photo_scores, texts[known], text_scores[known], vectors[known], config)


def main(config: PairingConfig, data: Path, out: Path) -> dict[str, object]:
    (out / NAME).mkdir(parents=True, exist_ok=True)
    photos, texts = candidates(config, data)
    pairs = score_and_pair(image_classifier.load_classifier(out), config, data, out)
    write_whole(data / "synthetic" / "pairs.csv", pairs.to_csv(index=False, lineterminator="\n"))
    counts = pairs[pairs["rule"] == RULES[0]]["condition"].value_counts()
    return {
        "photos": len(photos),
        "texts": len(texts),
        "synthetic texts": int((texts["source"] == "synthetic").sum()),
        "pairs": {str(name): int(count) for name, count in counts.items()},
    }


STAGE = Stage(NAME, main)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
