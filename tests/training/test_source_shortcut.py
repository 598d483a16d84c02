"""The source shortcut: what is measured, and that a left-out source is really left out."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dermmm.conditions import INDEX, NAMES
from tests.training.made_data import make_raw
from tests.training.test_sources import MILK_ARCHIVE, draw, table
from training import clean, image_classifier, results, source_shortcut
from training.dataset import read_manifest
from training.presets import SMOKE
from training.results import DOCS
from training.section import Section
from training.source_shortcut import (
    ARMS,
    NAME,
    SOURCES,
    cell_draws,
    compare_arms,
    domain_log_prior,
    held_out_photos,
    inside_sources,
    probe_source,
    section,
    shared_cases,
    thumbnails,
)

BCC, NEVUS, ECZEMA = "basal cell carcinoma", "melanocytic nevus", "eczema"
CONFIG = SMOKE.source_shortcut


def add_milk(raw: Path, lesions: int = 60) -> None:
    """Add a source that shares two tumours with the made-up PAD."""
    rows = [
        {
            "isic_id": f"ISIC_{number}",
            "lesion_id": f"IL_{number}",
            "image_type": "clinical: close-up",
            "diagnosis_3": ("Nevus", "Basal cell carcinoma")[number % 2],
        }
        for number in range(lesions)
    ]
    for number, row in enumerate(rows):
        draw(raw / "milk10k" / f"{row['isic_id']}.jpg", seed=5000 + number)
    table(raw / "milk10k" / "metadata.csv", MILK_ARCHIVE, *rows)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, checkpoint_folder: Path) -> Path:
    """A run's folder with made-up data and a checkpoint of random weights."""
    folder = tmp_path_factory.mktemp("shortcut")
    raw = make_raw(folder / "raw")
    add_milk(raw)
    clean.main(clean.Config(raw, folder / "data"))
    shutil.copytree(checkpoint_folder, folder / "checkpoint")
    return folder


@pytest.fixture(scope="module")
def summaries(run: Path) -> tuple[dict, dict]:
    """What the stage says without any time for small trainings, and with enough."""
    data = run / "data"
    without = source_shortcut.go_on(replace(CONFIG, minutes=0), data, run)
    return without, source_shortcut.go_on(CONFIG, data, run)


def rows_of(*cells: tuple[str, str, int], kind: str = "clinical") -> pd.DataFrame:
    """(source, condition, count) to manifest rows, each a group of its own."""
    rows = [
        {"source": source, "condition": condition, "photo_kind": kind}
        for source, condition, count in cells
        for _ in range(count)
    ]
    ids = [str(number) for number in range(len(rows))]
    return pd.DataFrame(rows).assign(id=ids, group=ids)


def certain(*conditions: str) -> np.ndarray:
    return np.eye(len(NAMES))[[INDEX[condition] for condition in conditions]]


def test_trainings_wait_for_their_budget_and_then_go_on(run: Path, summaries: tuple) -> None:
    without, found = summaries
    every = [[arm, source] for arm in CONFIG.arms for source in ("", *CONFIG.left_out)]
    assert without["left_out"]["not_run"] == every
    assert without["left_out"]["trainings"] == [] == found["left_out"]["not_run"]
    assert without["within_one_condition"] == found["within_one_condition"] != {}
    assert [[one["arm"], one["without"]] for one in found["left_out"]["trainings"]] == every
    folder = run / NAME
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    source_shortcut.go_on(CONFIG, run / "data", run)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


def test_a_left_out_source_teaches_nothing(run: Path, summaries: tuple) -> None:
    only_pad = INDEX["actinic keratosis"]
    for arm in ("plain", "all-three"):
        folder = run / NAME
        with_it = np.load(folder / f"{arm}-without-nothing" / "test.npy")
        without = np.load(folder / f"{arm}-without-pad_ufes_20" / "test.npy")
        assert len(with_it) == len(held_out_photos(read_manifest(run / "data"), "test"))
        assert (with_it[:, only_pad] > 0).all() and (without[:, only_pad] == 0).all()
        assert (without[:, INDEX[BCC]] > 0).all()


def test_the_section_shows_every_arm(summaries: tuple) -> None:
    without, found = (json.loads(json.dumps(one)) for one in summaries)
    shown = section(found)
    assert set(shown.figures) == {"source-within-condition", "leave-one-source-out"}
    assert all(f"| {arm} |" in shown.text for arm in CONFIG.arms)
    assert "On validation the left-out photos are answered best by" in shown.text
    assert "plain (none, pad_ufes_20); all three (none, pad_ufes_20)." in section(without).text


def test_probe_reads_the_source_where_features_tell_it() -> None:
    cases = rows_of((SOURCES[0], BCC, 80), (SOURCES[1], BCC, 80))
    sources = cases["source"].to_numpy()
    noise = np.random.default_rng(0).normal(size=(160, 4))
    held = np.arange(160) % 2 == 1
    blind = probe_source(noise, sources, ~held, held, cases)
    assert blind["low"] < 0.5 < blind["high"]
    seeing = probe_source(noise + 8 * (sources == SOURCES[0])[:, None], sources, ~held, held, cases)
    assert seeing["low"] > 0.9


def test_thumbnails_are_block_means() -> None:
    packed = np.zeros((1, 16, 16, 3), np.uint8)
    packed[0, :2, 2:4, 1] = 100
    found = thumbnails(packed).reshape(8, 8, 3)
    assert found[0, 1].tolist() == [0, 100, 0] and found.sum() == 100


def test_telling_the_source_helps_a_model_that_is_blind_to_it() -> None:
    train = rows_of(
        ("pad_ufes_20", BCC, 3), ("pad_ufes_20", NEVUS, 1), ("fitzpatrick17k", ECZEMA, 4)
    )
    test = rows_of(("pad_ufes_20", BCC, 12), ("fitzpatrick17k", ECZEMA, 12))
    confused = np.tile(certain(BCC) + 2 * certain(ECZEMA), (24, 1)) / 3  # eczema whatever it sees
    found = inside_sources(confused, test, train)
    pad = found["rows"]["pad_ufes_20, clinical"]
    assert pad["conditions"] == 2
    assert pad["free"]["balanced_accuracy"]["value"] == 0
    assert pad["told"]["balanced_accuracy"]["value"] == pad["gain"]["value"] == 1
    assert pad["outside"] == pad["outside_elsewhere"] == 1
    assert found["rows"]["fitzpatrick17k, clinical"]["gain"]["value"] == 0
    assert found["groups"]["pad_ufes_20"] == {"tumour": [0, 12, 0, 0]}
    assert found["source_alone"]["balanced_accuracy"]["value"] == 1
    seeing = inside_sources(certain(*[BCC] * 12, *[ECZEMA] * 12), test, train)
    assert seeing["rows"]["pad_ufes_20, clinical"]["gain"]["value"] == 0
    assert seeing["rows"]["pad_ufes_20, clinical"]["outside"] == 0
    assert seeing["rows"]["pad_ufes_20, clinical"]["outside_elsewhere"] == 1


def test_recall_by_source_leaves_out_what_is_not_measured() -> None:
    cells = (("pad_ufes_20", BCC, 12), ("milk10k", BCC, 10), ("fitzpatrick17k", BCC, 9))
    rows = rows_of(*cells)
    found = inside_sources(certain(*[BCC] * 12, *[NEVUS] * 10, *[BCC] * 9), rows, rows)
    assert found["recall"] == {
        BCC: {"milk10k": {"n": 10, "recall": 0.0}, "pad_ufes_20": {"n": 12, "recall": 1.0}}
    }


def test_cells_are_drawn_alike_at_full_balance() -> None:
    rows = rows_of(("pad_ufes_20", BCC, 8), ("milk10k", BCC, 2), ("milk10k", NEVUS, 4))
    drawn = rows.assign(draws=cell_draws(rows, 1.0)).groupby(["source", "condition"])["draws"].sum()
    assert drawn.to_numpy() == pytest.approx(np.ones(3))
    root = rows.assign(draws=cell_draws(rows, 0.5)).groupby(["source", "condition"])["draws"].sum()
    assert sorted(root) == pytest.approx(np.sqrt([2, 4, 8]))


def test_domain_prior_is_the_smoothed_share_in_the_source() -> None:
    rows = rows_of(("pad_ufes_20", BCC, 3), ("pad_ufes_20", NEVUS, 1), ("milk10k", NEVUS, 4))
    prior = domain_log_prior(rows, np.ones(8)).exp().numpy()
    smoothing = source_shortcut.DOMAIN_SMOOTHING
    for row, source in enumerate(rows["source"]):
        of_source = rows[rows["source"] == source]
        for name in (BCC, NEVUS):
            own = (of_source["condition"] == name).mean()
            overall = (rows["condition"] == name).mean()
            expected = (1 - smoothing) * own + smoothing * overall
            assert prior[row, INDEX[name]] == pytest.approx(expected, abs=1e-6)
    assert (prior[:, INDEX[ECZEMA]] == 1).all()  # nobody has it: the log is 0


def test_domain_prior_follows_the_draws_and_ignores_rows_without_a_condition() -> None:
    rows = rows_of(("pad_ufes_20", BCC, 2), ("pad_ufes_20", NEVUS, 2), ("milk10k", "", 1))
    prior = domain_log_prior(rows, np.array([3.0, 3.0, 1.0, 1.0, 99.0])).exp().numpy()
    assert prior[:, [INDEX[BCC], INDEX[NEVUS]]] == pytest.approx(np.tile([0.75, 0.25], (5, 1)))


def test_only_conditions_that_others_teach_count_for_a_left_out_source() -> None:
    train = rows_of(("pad_ufes_20", BCC, 10), ("milk10k", BCC, 10), ("milk10k", NEVUS, 9))
    cases = rows_of(
        ("pad_ufes_20", BCC, 10), ("pad_ufes_20", NEVUS, 10), ("milk10k", BCC, 9), ("scin", BCC, 10)
    )
    found = cases[shared_cases(cases, train, "pad_ufes_20")]
    assert set(zip(found["source"], found["condition"], strict=True)) == {("pad_ufes_20", BCC)}
    assert not shared_cases(cases, train, "milk10k").any()  # nine photos are not enough


def test_arms_are_compared_on_the_same_photos() -> None:
    cells = (("pad_ufes_20", BCC, 10), ("milk10k", BCC, 10), ("milk10k", NEVUS, 10))
    train = rows_of(*cells, ("pad_ufes_20", NEVUS, 10))
    cases = rows_of(*cells)
    config = replace(CONFIG, left_out=("pad_ufes_20", "milk10k"), min_photos=10)
    right = certain(*[BCC] * 20, *[NEVUS] * 10)
    wrong = certain(*[NEVUS] * 20, *[NEVUS] * 10)
    elsewhere = certain(*[ECZEMA] * 30) * 0.8 + right * 0.2
    answers = {
        ("plain", ""): right,
        ("plain", "pad_ufes_20"): wrong,
        ("plain", "milk10k"): elsewhere,
        ("domain prior", ""): right,
        ("domain prior", "pad_ufes_20"): right,
        ("domain prior", "milk10k"): right,
        ("style 0.3", ""): right,
    }
    found = compare_arms(config, cases, train, answers)
    pad, milk = (found["plain"]["sources"][source] for source in config.left_out)
    assert pad["with"]["balanced_accuracy"]["value"] == 1
    assert pad["without"]["balanced_accuracy"]["value"] == 0
    assert pad["loss"]["value"] == -1
    assert milk["without"]["balanced_accuracy"]["value"] == 0
    assert milk["without, shared conditions alone"]["balanced_accuracy"]["value"] == 1
    assert found["plain"]["seen"]["n"] == found["plain"]["left_out"]["n"] == 30
    assert "left_out_less_plain" not in found["plain"]
    assert found["domain prior"]["left_out_less_plain"]["low"] == 1
    assert set(found["style 0.3"]) == {"in_source"}  # its other trainings were not run


def test_unknown_start_and_missing_simclr_are_refused(tmp_path: Path) -> None:
    assert source_shortcut.start_weights("random", tmp_path) is None
    with pytest.raises(ValueError, match="expected 'random' or 'simclr'"):
        source_shortcut.start_weights("imagenet", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"run training\.simclr"):
        source_shortcut.start_weights("simclr", tmp_path)


def test_a_prior_for_each_row_refuses_mixup(tmp_path: Path) -> None:
    rows = rows_of(("pad_ufes_20", BCC, 2))
    with pytest.raises(ValueError, match="without mixup"):
        image_classifier.train(
            replace(CONFIG.image, mixup=0.2),
            rows,
            np.zeros((2, 32, 32, 3), np.uint8),
            None,
            tmp_path,
            prior_of=torch.zeros(2, len(NAMES)),
        )


def test_every_arm_changes_something() -> None:
    assert len(set(ARMS.values())) == len(ARMS)
    assert next(iter(ARMS)) == source_shortcut.PLAIN


def test_the_page_takes_its_measured_part_from_the_results() -> None:
    page = DOCS / "source-shortcut.md"
    found = results.marked(page.read_text(encoding="utf-8"), {NAME: Section("", "| made | up |")})
    assert found.count("| made | up |") == 1
