"""What SimCLR draws together, its queue, and that its options train on made data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.training.made_data import make_raw
from training import clean, simclr
from training.dataset import read_manifest
from training.monitor import Photos, probe, read_photos
from training.presets import SMOKE
from training.simclr import Queue, another_photo, identities

ROWS = pd.DataFrame(
    {
        "group": ["p1", "p1", "p1", "p2", "p3", "p3"],
        "label": ["mole", "mole", "bcc", "mole", "rash", "rash"],
        "condition": ["melanocytic nevus", "melanocytic nevus", "eczema", "eczema", "", ""],
    }
)


def shared(ids: np.ndarray) -> set[tuple[int, int]]:
    pairs = zip(*np.nonzero(ids[:, None] == ids[None, :]), strict=True)
    return {(int(a), int(b)) for a, b in pairs if a < b}


@pytest.mark.parametrize(
    ("positives", "together"),
    [
        ("views", set()),
        ("lesion", {(0, 1), (4, 5)}),  # a patient's other lesion stays apart
        ("label", {(0, 1), (2, 3)}),  # photos without a condition stand alone
    ],
)
def test_what_is_drawn_together(positives: str, together: set[tuple[int, int]]) -> None:
    assert shared(identities(ROWS, positives)) == together


def test_unknown_positives_are_refused() -> None:
    with pytest.raises(ValueError, match="'friends', expected one of views, lesion, label"):
        identities(ROWS, "friends")


def test_another_photo_is_of_the_same_lesion_and_another_one_where_there_is_one() -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 30, 60)
    indices = rng.integers(0, 60, 4000)
    other = another_photo(ids, indices, rng.random(4000))
    assert (ids[other] == ids[indices]).all()
    lonely = np.bincount(ids)[ids[indices]] == 1
    assert lonely.any()
    assert (other[lonely] == indices[lonely]).all()
    assert (other[~lonely] != indices[~lonely]).all()
    (three,) = np.nonzero(ids == np.argmax(np.bincount(ids)))  # every other one is drawn
    assert set(other[indices == three[0]]) == set(three[1:])


def test_the_queue_keeps_the_newest() -> None:
    queue = Queue(3, 2)
    assert queue.held()[0].shape == (0, 2)
    queue.push(torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([7, 8]))
    rows, ids = queue.held()
    assert ids.tolist() == [7, 8]
    assert torch.allclose(rows, torch.tensor([[0.6, 0.8], [0.0, 1.0]]))
    queue.push(torch.tensor([[1.0, 0.0], [0.0, -1.0]]), torch.tensor([9, 10]))
    assert queue.held()[1].tolist() == [9, 10, 7]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    clean.main(clean.Config(make_raw(folder / "raw"), folder / "data"))
    return folder / "data"


@pytest.mark.parametrize(
    "options",
    [
        {"probe_every": 1},
        {"positives": "lesion", "queue": 20},
        {"positives": "label", "hardness": 0.5, "queue": 20},
    ],
    ids=["probed", "lesion", "label"],
)
def test_every_option_trains(data: Path, tmp_path: Path, options: dict[str, object]) -> None:
    config = replace(SMOKE.simclr, **{"probe_every": 0, **options})  # type: ignore[arg-type]
    simclr.main(config, data, tmp_path)
    folder = tmp_path / "simclr"
    losses = [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert np.isfinite(losses).all()
    assert (folder / "encoder.safetensors").is_file()
    assert (folder / "monitor.png").is_file() == bool(config.probe_every)
    if config.probe_every:
        (line,) = (folder / "monitor.jsonl").read_text().splitlines()
        assert json.loads(line)["epoch"] == 1
        assert all(0 <= json.loads(line)[name] <= 1 for name in ("knn", "linear"))


def test_watching_a_run_does_not_change_it(data: Path, tmp_path: Path) -> None:
    weights = []
    for every in (0, 1):
        loop = replace(SMOKE.simclr.loop, epochs=2)
        out = tmp_path / str(every)
        simclr.main(replace(SMOKE.simclr, loop=loop, probe_every=every), data, out)
        weights.append((out / "simclr" / "encoder.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_probes_use_training_photos_to_fit_and_validation_photos_to_score(
    data: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(data)
    labelled = manifest[(manifest["photo"] != "") & (manifest["condition"] != "")]
    for split, photos in zip(("train", "val"), read_photos(data, 32, tmp_path), strict=True):
        assert len(photos.pixels) == len(photos.conditions) == (labelled["split"] == split).sum()


def test_probes_score_an_encoder_that_tells_all_perfectly() -> None:
    """Photos of one even shade each, and an "encoder" that returns the mean colour."""

    class MeanColour(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return images, images.mean(dim=(2, 3)) * self.scale

    colours = np.array([[250, 5, 5], [5, 250, 5], [5, 5, 250]], dtype=np.uint8)
    conditions = np.arange(90) % 3
    pixels = np.broadcast_to(colours[conditions][:, None, None], (90, 8, 8, 3))
    scores = probe(MeanColour(), Photos(pixels, conditions), Photos(pixels, conditions))  # type: ignore[arg-type]
    assert scores == {"knn": 1.0, "linear": 1.0}
    wrong = Photos(pixels, (conditions + 1) % 3)
    assert probe(MeanColour(), Photos(pixels, conditions), wrong)["knn"] == 0.0  # type: ignore[arg-type]
