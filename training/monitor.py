"""Watch an image encoder while it learns without labels: a kNN and a linear probe on validation.

A self-supervised loss says little about what the features are good for, so `training.simclr` calls
this after every few epochs. It appends a line to `monitor.jsonl` in the stage's folder and draws
`monitor.png` anew, the loss beside both scores. It looks only: nothing is chosen by it. Photos are
few and small (the views' size), so that it costs little: by estimate a twentieth of an epoch.

Shapes: P photos, S pixels, D width of the features.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.neighbors import KNeighborsClassifier

from dermmm.conditions import NAMES
from dermmm.image_encoder import ImageEncoder, channels_last
from dermmm.preprocess import normalise
from training.dataset import condition_index, pack_photos, read_manifest
from training.loop import LOG
from training.scoring import balanced_accuracy
from training.section import BLUE, GREEN, VERMILION
from training.stage import whole, write_whole

MONITOR = "monitor.jsonl"
NEIGHBOURS = 20
TRAIN, HELD_OUT = 2000, 800  # photos at most
ITERATIONS = 100  # of the linear probe's solver
BATCH = 128


@dataclass(frozen=True)
class Photos:
    """Labelled photos of a split: (P, S, S, 3) uint8 with the index of each one's condition."""

    pixels: np.ndarray
    conditions: np.ndarray


def read_photos(data: Path, size: int, cache: Path, seed: int = 0) -> tuple[Photos, Photos]:
    """The photos that probes are fitted on (training split) and scored on (validation split).

    Of the training split every condition gives as many as it has, up to the same number: the kNN
    then does not vote for whatever is common. Validation photos are drawn at random.
    """
    manifest = read_manifest(data)
    rows = manifest[(manifest["photo"] != "") & (manifest["condition"] != "")]
    rows = rows.sample(frac=1, random_state=seed)
    train = rows[rows["split"] == "train"].groupby("condition").head(TRAIN // len(NAMES))
    held_out = rows[rows["split"] == "val"].head(HELD_OUT)

    def read(chosen: pd.DataFrame) -> Photos:
        pixels = pack_photos(data, list(chosen["photo"]), size, cache)
        return Photos(pixels, condition_index(chosen))

    return read(train), read(held_out)


def probe(encoder: ImageEncoder, train: Photos, held_out: Photos) -> dict[str, float]:
    """Balanced accuracy on held-out photos of a kNN (cosine) and of a linear probe."""
    from training.probe import probe_recall  # it imports the stages that this module watches

    known, asked = (_features(encoder, part.pixels) for part in (train, held_out))
    neighbours = KNeighborsClassifier(min(NEIGHBOURS, len(known)), metric="cosine")
    guess = neighbours.fit(known, train.conditions).predict(asked)
    return {
        "knn": balanced_accuracy(guess, held_out.conditions),
        "linear": probe_recall(
            known, train.conditions, asked, held_out.conditions, max_iterations=ITERATIONS
        ),
    }


class Monitor:
    """For `training.loop.fit`: call it with the number of epochs done.

    Args:
        folder: the stage's, which holds its log.
        every: epochs from one probe to the next, > 0.
    """

    def __init__(
        self, folder: Path, encoder: ImageEncoder, train: Photos, held_out: Photos, every: int
    ) -> None:
        self.folder, self.encoder, self.every = folder, encoder, every
        self.train, self.held_out = train, held_out

    def __call__(self, epoch: int) -> None:
        if epoch % self.every:
            return
        line = {"epoch": epoch, **probe(self.encoder, self.train, self.held_out)}
        # A run that was killed and goes on may come to an epoch twice: its line is replaced.
        path = self.folder / MONITOR
        earlier = [one for one in _read(path) if one["epoch"] < epoch]
        lines = [json.dumps(one) + "\n" for one in (*earlier, line)]
        write_whole(path, "".join(lines))
        plot(self.folder)


def plot(folder: Path) -> None:
    """Draw the training loss and the probes of a run, or of the part so far, to monitor.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    log = _read(folder / LOG)
    left.plot([line["epoch"] for line in log], [line["loss"] for line in log], color=BLUE)
    left.set(title=folder.name, xlabel="epoch", ylabel="training loss")
    probes = _read(folder / MONITOR)
    for name, label, colour in (
        ("knn", f"kNN, k = {NEIGHBOURS}", VERMILION),
        ("linear", "linear probe", GREEN),
    ):
        points = [line["epoch"] for line in probes], [line[name] for line in probes]
        right.plot(*points, marker="o", label=label, color=colour)
    right.axhline(1 / len(NAMES), linestyle=":", color="grey", label="chance")
    right.set(title="validation photos", xlabel="epoch", ylabel="balanced accuracy", ylim=(0, None))
    right.legend()
    with whole(folder / "monitor.png") as path:
        figure.savefig(path, dpi=120, format="png")
    pyplot.close(figure)


@torch.inference_mode()
def _features(encoder: ImageEncoder, pixels: np.ndarray) -> np.ndarray:
    """(P, S, S, 3) uint8 to (P, D) float32 pooled features, on the device of the encoder."""
    device = next(encoder.parameters()).device
    encoder.eval()
    pooled = []
    for start in range(0, len(pixels), BATCH):
        batch = torch.from_numpy(np.array(pixels[start : start + BATCH])).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            _, vectors = encoder(channels_last(normalise(batch)))
        pooled.append(vectors.float().cpu().numpy())
    return np.concatenate(pooled)


def _read(path: Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
