"""The whole training on made-up data: raw folders to an evaluated checkpoint that answers."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import dermmm
from dermmm.conditions import NAMES
from tests.training.made_data import make_raw
from training import (
    corpus,
    distil,
    evaluate,
    fusion_controls,
    image_ablation,
    image_classifier,
    pad_folds,
    pairing_ablation,
    reproduce,
    results,
    simclr,
    source_shortcut,
    stage,
    text_ablation,
)
from training.dataset import cases_with_text, fingerprint, read_manifest, read_synthetic
from training.presets import GPU, PRESETS, SMOKE


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    out = folder / "run"
    reproduce.main(make_raw(folder / "raw"), out, SMOKE)
    return out


def test_every_stage_really_trained(run: Path) -> None:
    for name in ("simclr", "image_classifier", "text_pretraining", "text_classifier", "fusion"):
        log = [json.loads(line) for line in (run / name / "log.jsonl").read_text().splitlines()]
        assert log[-1]["step"] > 0, name
        assert np.isfinite([line["loss"] for line in log]).all(), name
        assert (run / name / "loss.png").stat().st_size > 1000


def test_the_checkpoint_answers(run: Path) -> None:
    predictor = dermmm.load(run / "checkpoint")
    pixels = np.random.default_rng(0).integers(0, 255, (70, 90, 3), dtype=np.uint8)
    prediction = predictor.predict(pixels, "an itchy flat patch on the arm")
    assert prediction.conditions == NAMES
    assert prediction.probabilities.sum() == pytest.approx(1, abs=1e-5)
    text = prediction.by_modality["text"]
    assert text is not None
    taught = {name for name, p in zip(NAMES, text, strict=True) if not np.isnan(p)}
    assert taught == set(NAMES)  # most of them from synthetic texts alone


def test_the_checkpoint_names_what_it_was_made_from(run: Path) -> None:
    provenance = dermmm.load(run / "checkpoint").checkpoint.provenance
    assert provenance["data"] == fingerprint(run / "data")
    assert provenance["synthetic_texts"] == fingerprint(run / "data", stage.SYNTHETIC) != ""
    assert provenance["started_from"] == {}


def test_scores_are_in_the_checkpoint(run: Path) -> None:
    rows = dermmm.load(run / "checkpoint").checkpoint.metrics["rows"]
    for name in ("image only", "text only", "both, true pairs"):
        score = rows[name]["balanced_accuracy"]
        assert 0 <= score["low"] <= score["value"] <= score["high"] <= 1
        assert rows[name]["n"] > 0


def test_the_results_page_shows_the_run(run: Path) -> None:
    published = dermmm.load(run / "checkpoint").checkpoint
    found = results.collect(run, published)
    sections = results.parts(published.metrics, found["stages"])
    page = results.page(published, sections)
    assert published.sha256 in page
    assert all(sections[name].title in page for name in found["stages"])
    assert (run / "checkpoint" / "metrics.json").stat().st_size < 1_000_000


def test_no_pair_is_false_or_outside_training(run: Path) -> None:
    data = run / "data"
    known = pd.concat([read_manifest(data), read_synthetic(data)]).set_index("id")
    pairs = pd.read_csv(data / "synthetic" / "pairs.csv", dtype=str)
    assert set(pairs["rule"]) == {"quantile", "cluster", "random"}
    for column in ("photo", "text"):
        rows = known.loc[pairs[column]]
        assert set(rows["split"]) == {"train"}
        assert (rows["condition"].to_numpy() == pairs["condition"].to_numpy()).all()


def test_scores_stand_on_real_texts_alone(run: Path) -> None:
    manifest = read_manifest(run / "data")
    real = len(cases_with_text(manifest, "test"))
    rows = dermmm.load(run / "checkpoint").checkpoint.metrics["rows"]
    assert rows["text only, every condition"]["n"] == real
    assert rows["text only, vignettes (not of the test split)"]["n"] == 104


def test_a_run_can_start_from_a_checkpoints_image_encoder(run: Path, tmp_path: Path) -> None:
    taking = image_classifier.take_from(run / "checkpoint")
    stage.run(taking, SMOKE.image_classifier, run / "data", tmp_path)
    taken = image_classifier.load_classifier(tmp_path).state_dict()
    for name, tensor in image_classifier.load_classifier(run).state_dict().items():
        assert torch.equal(taken[name], tensor.half().to(tensor.dtype)), name


def test_the_ablation_scores_every_arm(run: Path) -> None:
    summary = stage.run(text_ablation.STAGE, SMOKE.text_ablation, run / "data", run)
    assert set(summary["arms"]) == set(text_ablation.ARMS)
    cases = {arm: row["cases"] for arm, row in summary["arms"].items()}
    balanced = cases["K-means balancing"]
    assert balanced == cases["random thinning to the same size"] < cases["as shipped"]
    assert cases["no synthetic texts"] < cases["as shipped"]
    rows = text_ablation.table(summary).splitlines()[2:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(text_ablation.ARMS)


def test_the_controls_of_the_fusion_are_scored(run: Path) -> None:
    summary = stage.run(fusion_controls.STAGE, SMOKE.fusion_controls, run / "data", run)
    assert len(summary["rows"]) == 9
    pairs = {row["n"] for row in summary["rows"].values()}
    assert len(pairs) == 1
    assert set(summary["seeds"]) == {"0", "1"}
    assert set(summary["gca_less"]) == set(summary["rows"]) - {fusion_controls.GCA}
    # label-matched pairs hold photos that nobody described as well
    assert summary["label_matched"][fusion_controls.GCA]["n"] > max(pairs)
    shown = fusion_controls.section(summary)
    assert all(name in shown.text for name in summary["rows"])


def test_the_pairing_ablation_scores_every_arm(run: Path) -> None:
    summary = stage.run(pairing_ablation.STAGE, SMOKE.pairing_ablation, run / "data", run)
    arms = summary["arms"]
    assert set(arms) == {*pairing_ablation.ARMS, pairing_ablation.PROBE_STAGE}
    assert "pseudo-pair" not in arms["no pseudo-pairs"]["cases"]
    counts = {sum(row["cases"].values()) for row in arms.values()}
    assert len(counts) == 1  # so every arm trains for the same steps
    assert all(arm in pairing_ablation.section(summary).text for arm in arms)


def test_a_second_run_trains_nothing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("state.safetensors")}
    reproduce.main(run.parent / "raw", run, SMOKE)
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("state.safetensors")}


def test_what_measured_an_earlier_calibration_runs_again(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "run"
    shutil.copytree(run, again, ignore=shutil.ignore_patterns("cache", "data", "state*"))
    (again / "data").symlink_to(run / "data")
    shutil.rmtree(again / "calibrate")
    reproduce.main(run.parent / "raw", again, SMOKE)
    assert (again / "evaluate" / "summary.json").is_file()
    made = dermmm.load(again / "checkpoint").checkpoint
    assert made.abstention and made.metrics  # calibrated alone, it had neither


def test_the_gpu_preset_starts_on_cpu(run: Path, tmp_path: Path) -> None:
    for one in (simclr.STAGE, image_classifier.STAGE):
        config = getattr(GPU, one.name)
        config = replace(config, loop=replace(config.loop, epochs=1))
        one.main(config, run / "data", tmp_path)
        assert (tmp_path / one.name / "encoder.safetensors").stat().st_size > 1_000_000


def test_publish_copies_an_evaluated_checkpoint(run: Path, tmp_path: Path) -> None:
    evaluate.publish(run, tmp_path / "shipped")
    assert dermmm.load(tmp_path / "shipped").identity == dermmm.load(run / "checkpoint").identity


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_presets_grow_and_fit_their_packs(preset: object) -> None:
    sizes = preset.image_classifier.sizes  # type: ignore[attr-defined]
    assert [end for end, _ in sizes] == sorted(end for end, _ in sizes)
    assert sizes[-1][0] == 1.0
    assert max(size for _, size in sizes) <= preset.image_classifier.pack  # type: ignore[attr-defined]


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_every_stage_has_its_settings(preset: object) -> None:
    alone = (
        text_ablation.STAGE,
        fusion_controls.STAGE,
        pairing_ablation.STAGE,
        source_shortcut.STAGE,
        pad_folds.STAGE,
        image_ablation.STAGE,
        distil.STAGE,
    )
    for one in (*corpus.STAGES, *reproduce.STAGES, *alone):
        assert hasattr(preset, one.name), one.name
