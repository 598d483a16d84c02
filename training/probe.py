"""Linear probes: how much a frozen encoder already knows.

    python -m training.probe --data runs/first/data --out runs/first

A logistic regression on frozen features, fitted on the training split and scored on validation:
for photos on an untrained, the SimCLR and the fine-tuned encoder (without the second where the
run took its image encoder from a checkpoint); for texts on an untrained one, after pre-training and
after fine-tuning. Writes balanced accuracies to its summary.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dermmm.image_encoder import ImageEncoder
from training import image_classifier, simclr, text_classifier, text_pretraining
from training.dataset import (
    cases_with_text,
    condition_index,
    pack_photos,
    read_manifest,
    read_texts,
)
from training.features import photo_patches, text_logits
from training.linear import linear_probe
from training.scoring import balanced_accuracy
from training.stage import Stage, load_module, run_stage

NAME = "probe"


@dataclass(frozen=True)
class ProbeConfig:
    image_size: int
    max_iterations: int = 200
    max_train: int = 6000  # photos, drawn at random: a probe needs no more, and time does
    seed: int = 0


def probe_recall(
    train: np.ndarray,
    train_conditions: np.ndarray,
    held_out: np.ndarray,
    held_out_conditions: np.ndarray,
    max_iterations: int,
) -> float:
    """Balanced accuracy on held-out features of a linear probe fitted on training features.

    Args:
        train, held_out: (cases, D) features; the conditions are (cases,) indices.
    """
    classifier = linear_probe(max_iterations=max_iterations).fit(train, train_conditions)
    return balanced_accuracy(classifier.predict(held_out), held_out_conditions)


def main(config: ProbeConfig, data: Path, out: Path) -> dict[str, object]:
    manifest = read_manifest(data)
    with_photo = manifest[(manifest["photo"] != "") & (manifest["condition"] != "")]
    train = with_photo[with_photo["split"] == "train"]
    train = train.sample(min(config.max_train, len(train)), random_state=config.seed)
    held_out = with_photo[with_photo["split"] == "val"]
    pixels = [
        pack_photos(data, list(rows["photo"]), config.image_size, out / "cache")
        for rows in (train, held_out)
    ]
    torch.manual_seed(config.seed)
    encoders = {"untrained": ImageEncoder()}
    for name in (simclr.NAME, image_classifier.NAME):
        if (weights := out / name / "encoder.safetensors").is_file():
            encoders[name] = ImageEncoder()
            load_module(encoders[name], weights)
    image_scores = {}
    for name, encoder in encoders.items():
        features = [
            photo_patches(encoder, part, f"probe {name}").astype(np.float32).mean(axis=1)
            for part in pixels
        ]
        image_scores[name] = probe_recall(
            features[0],
            condition_index(train),
            features[1],
            condition_index(held_out),
            config.max_iterations,
        )

    trained, tokenizer = text_classifier.load_classifier(out)
    settings = text_pretraining.read_config(out)
    untrained = text_pretraining.build_encoder(settings, tokenizer.vocabulary, dropout=0.0)
    readers = {
        "untrained": text_classifier.TextClassifier(untrained).eval(),
        text_pretraining.NAME: text_classifier.TextClassifier(
            text_pretraining.load_encoder(out)[0]
        ).eval(),
        text_classifier.NAME: trained,
    }
    cases = [cases_with_text(manifest, split) for split in ("train", "val")]
    texts = [[variants[0] for variants in read_texts(data, rows)] for rows in cases]
    text_scores = {}
    for name, reader in readers.items():
        vectors = [text_logits(reader, tokenizer, part)[1] for part in texts]
        text_scores[name] = probe_recall(
            vectors[0],
            condition_index(cases[0]),
            vectors[1],
            condition_index(cases[1]),
            config.max_iterations,
        )
    return {"val_balanced_accuracy": {"image": image_scores, "text": text_scores}}


STAGE = Stage(NAME, main)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
