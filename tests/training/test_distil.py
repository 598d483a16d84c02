"""Distillation: it reads teachers of both kinds, learns from them, and says whether it paid."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dermmm.checkpoint import Checkpoint
from tests.training.made_data import make_raw
from training import clean, distil
from training.image_classifier import ImageClassifier
from training.presets import SMOKE
from training.stage import run, save_module


def make_teacher(folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    model = ImageClassifier()
    folder.mkdir(parents=True)
    save_module(model.encoder, folder / "encoder.safetensors")
    save_module(model.head, folder / "head.safetensors")
    return folder


def test_a_published_checkpoint_can_teach(
    tiny_checkpoint: Checkpoint, checkpoint_folder: Path
) -> None:
    teacher = distil.read_teacher(checkpoint_folder)
    head = tiny_checkpoint.model.fusion.image_head
    assert torch.equal(teacher.head.covered, head.covered)
    assert torch.allclose(teacher.head.linear.weight, head.linear.weight, atol=1e-3)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no weights at"):
        distil.read_teacher(tmp_path)


def test_a_photo_and_its_mirror_image_have_the_same_answer(tmp_path: Path) -> None:
    teacher = distil.read_teacher(make_teacher(tmp_path / "one", 0))
    photos = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), dtype=np.uint8)
    mirrored = np.ascontiguousarray(photos[:, :, ::-1])
    told = distil.answers(teacher, photos, "as it is")
    assert np.allclose(told.sum(axis=1), 1, atol=1e-5)
    assert np.allclose(told, distil.answers(teacher, mirrored, "mirrored"), atol=1e-6)


def test_two_teachers_teach_one_student(tmp_path: Path) -> None:
    clean.main(clean.Config(make_raw(tmp_path / "raw"), tmp_path / "data"))
    folders = [make_teacher(tmp_path / str(seed), seed) for seed in (0, 1)]
    stage, config = distil.distil_from(SMOKE.distil, folders)
    assert len(set(config.teachers)) == 2
    out = tmp_path / "run"
    summary = run(stage, config, tmp_path / "data", out)

    rows = summary["rows"]
    assert list(rows) == ["teacher 1", "teacher 2", "ensemble, with mirrored photos", "student"]
    best = max(rows[f"teacher {n}"]["balanced_accuracy"]["value"] for n in (1, 2))
    assert rows[summary["started_as"]]["balanced_accuracy"]["value"] == best
    log = (out / "distil" / "log.jsonl").read_text().splitlines()
    assert np.isfinite([json.loads(line)["loss"] for line in log]).all()
    student = distil.read_teacher(out / "distil")
    start = distil.read_teacher(folders[int(summary["started_as"][-1]) - 1])
    assert not torch.equal(student.head.linear.weight, start.head.linear.weight)

    other = replace(config, teachers=config.teachers[:1])
    with pytest.raises(ValueError, match="with other settings"):
        run(stage, other, tmp_path / "data", out)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.05, "is better than the best teacher"),
        (-0.01, 0.05, "not shown that the student is better"),
        (-0.05, -0.01, "is worse than the best teacher"),
    ],
)
def test_the_verdict_follows_the_interval(low: float, high: float, verdict: str) -> None:
    def scores(low: float, high: float) -> dict[str, dict[str, float]]:
        interval = {"value": (low + high) / 2, "low": low, "high": high}
        return dict.fromkeys(distil.SCORES, interval)

    row = {"n": 40, "conditions": 4, "chance": 0.25, **scores(0.3, 0.4)}
    names = ("teacher 1", "ensemble, with mirrored photos", "student")
    summary = {
        "rows": dict.fromkeys(names, row),
        "differences": {"student less best teacher": scores(low, high)},
        "photos": 100,
        "started_as": "teacher 1",
    }
    assert verdict in distil.section(summary).text
