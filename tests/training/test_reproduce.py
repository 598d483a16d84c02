"""The whole training on made-up data: raw folders to an evaluated checkpoint that answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import dermmm
from dermmm.conditions import NAMES
from tests.training.made_data import make_raw
from training import evaluate, image_classifier, reproduce, simclr
from training.presets import GPU, PRESETS, SMOKE


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    out = folder / "run"
    reproduce.main(make_raw(folder / "raw"), out, SMOKE)
    return out


def test_every_stage_really_trained(run: Path) -> None:
    for stage in ("simclr", "image_classifier", "text_classifier", "fusion"):
        log = [json.loads(line) for line in (run / stage / "log.jsonl").read_text().splitlines()]
        assert log[-1]["step"] > 0, stage
        assert np.isfinite([line["loss"] for line in log]).all(), stage
        assert (run / stage / "loss.png").stat().st_size > 1000


def test_the_checkpoint_answers(run: Path) -> None:
    predictor = dermmm.load(run / "checkpoint")
    pixels = np.random.default_rng(0).integers(0, 255, (70, 90, 3), dtype=np.uint8)
    prediction = predictor.predict(pixels, "an itchy flat patch on the arm")
    assert prediction.conditions == NAMES
    assert prediction.probabilities.sum() == pytest.approx(1, abs=1e-5)
    text = prediction.by_modality["text"]
    assert text is not None
    taught = {name for name, p in zip(NAMES, text, strict=True) if not np.isnan(p)}
    expected = {"basal cell carcinoma", "melanocytic nevus", "actinic keratosis"}
    assert taught == expected | {"eczema", "psoriasis"}


def test_scores_are_in_the_checkpoint(run: Path) -> None:
    rows = dermmm.load(run / "checkpoint").checkpoint.metrics["rows"]
    for name in ("image only", "text only", "both, true pairs"):
        score = rows[name]["balanced_accuracy"]
        assert 0 <= score["low"] <= score["value"] <= score["high"] <= 1
        assert rows[name]["n"] > 0


def test_no_pair_is_false_or_outside_training(run: Path) -> None:
    import pandas as pd

    manifest = pd.read_csv(
        run / "data" / "manifest.csv", dtype=str, keep_default_na=False
    ).set_index("id")
    pairs = pd.read_csv(run / "data" / "synthetic" / "pairs.csv", dtype=str)
    assert set(pairs["rule"]) == {"quantile", "cluster"}
    for column in ("photo", "text"):
        rows = manifest.loc[pairs[column]]
        assert set(rows["split"]) == {"train"}
        assert (rows["condition"].to_numpy() == pairs["condition"].to_numpy()).all()


def test_a_second_run_trains_nothing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("state.safetensors")}
    reproduce.main(run.parent / "raw", run, SMOKE)
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("state.safetensors")}


def test_the_gpu_preset_starts_on_cpu(run: Path, tmp_path: Path) -> None:
    for stage in (simclr.STAGE, image_classifier.STAGE):
        config = getattr(GPU, stage.name)
        config = replace(config, loop=replace(config.loop, epochs=1))
        stage.main(config, run / "data", tmp_path)
        assert (tmp_path / stage.name / "encoder.safetensors").stat().st_size > 1_000_000


def test_publish_copies_an_evaluated_checkpoint(run: Path, tmp_path: Path) -> None:
    evaluate.publish(run, tmp_path / "shipped")
    assert dermmm.load(tmp_path / "shipped").identity == dermmm.load(run / "checkpoint").identity


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_presets_grow_and_fit_their_packs(preset: object) -> None:
    sizes = preset.image_classifier.sizes  # type: ignore[attr-defined]
    assert [end for end, _ in sizes] == sorted(end for end, _ in sizes)
    assert sizes[-1][0] == 1.0
    assert max(size for _, size in sizes) <= preset.image_classifier.pack  # type: ignore[attr-defined]
