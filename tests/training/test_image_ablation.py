"""The image ablation: what its arms change, that it runs in pieces, and what it reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dermmm import checkpoint
from tests.training.made_data import make_raw
from training import clean, image_ablation
from training.dataset import read_manifest
from training.image_ablation import ARMS, COMMON, held_out, section, settings
from training.presets import SMOKE
from training.stage import run

CONFIG = SMOKE.image_ablation


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_but_the_common_one_changes_one_thing(name: str) -> None:
    common, arm = settings(CONFIG, ARMS[COMMON], 1), settings(CONFIG, ARMS[name], 1)
    differs = [field for field in vars(common) if getattr(common, field) != getattr(arm, field)]
    depth = ARMS[name].stochastic_depth != ARMS[COMMON].stochastic_depth
    assert len(differs) + depth == (0 if name == COMMON else 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    clean.main(clean.Config(make_raw(folder / "raw"), folder / "data"))
    return folder / "data"


def test_only_clinical_validation_photos_with_a_condition_are_scored(data: Path) -> None:
    rows = held_out(read_manifest(data))
    assert len(rows)
    assert set(rows["split"]) == {"val"}
    assert set(rows["photo_kind"]) == {"clinical"}
    assert "" not in set(rows["condition"])


def test_it_runs_in_pieces(data: Path, tmp_path: Path) -> None:
    nothing = run(image_ablation.within(0), CONFIG, data, tmp_path)
    assert nothing["not_run"] == list(CONFIG.arms)
    assert section(nothing).text.count("| not run |") == len(CONFIG.arms)

    image_ablation.main(replace(CONFIG, arms=CONFIG.arms[:1]), data, tmp_path)
    folder = tmp_path / "image_ablation" / "balanced-softmax"
    before = (folder / "validation.npy").stat().st_mtime_ns
    assert not list(folder.glob("*.safetensors"))

    summary = {**nothing, **image_ablation.main(CONFIG, data, tmp_path)}
    assert (folder / "validation.npy").stat().st_mtime_ns == before  # not trained again
    assert summary["not_run"] == []
    assert set(summary["arms"]) == set(CONFIG.arms)
    assert "difference" not in summary["arms"][COMMON]
    for row in summary["arms"].values():
        found = row["balanced_accuracy"]
        assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1
    shown = section(summary)
    assert "not run" not in shown.text
    (figure,) = shown.figures.values()
    assert [list(bars.y) for bars in figure.data] == [list(CONFIG.arms)] * 2


def test_every_arm_may_start_from_a_published_checkpoint_and_from_no_other(
    data: Path, tmp_path: Path, checkpoint_folder: Path
) -> None:
    one = replace(CONFIG, arms=(COMMON,))
    summary = image_ablation.main(one, data, tmp_path, start_from=checkpoint_folder)
    assert summary["start"] == f"the encoder of {checkpoint.load(checkpoint_folder).sha256[:12]}"
    with pytest.raises(ValueError, match="these would from random weights"):
        image_ablation.main(one, data, tmp_path)
