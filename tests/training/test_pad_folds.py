"""PAD-UFES-20 by itself: frozen folds, and nothing of a fold's test patients in any fitting."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dermmm.conditions import INDEX, NAMES
from tests.training.made_data import make_raw
from training import clean, image_classifier, pad_folds, stage
from training.dataset import read_manifest
from training.pad_folds import (
    FIELDS,
    FOLDS,
    LINEAR,
    STACKED,
    TEXT,
    TUNED,
    fingerprint,
    patient_folds,
)
from training.presets import SMOKE

CONFIG = SMOKE.pad_folds
# Without fine-tuning, which would take most of the time; one test below has it.
QUICK = replace(CONFIG, tune=replace(CONFIG.tune, loop=replace(CONFIG.tune.loop, epochs=0)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pad")
    clean.main(clean.Config(make_raw(folder / "raw"), folder / "data"))
    return folder


@pytest.fixture(scope="module")
def summary(run: Path) -> dict[str, Any]:
    return stage.run(pad_folds.STAGE, QUICK, run / "data", run)


def pad_rows(run: Path) -> pd.DataFrame:
    manifest = read_manifest(run / "data")
    return manifest[(manifest["source"] == "pad_ufes_20") & (manifest["condition"] != "")]


def made_rows(patients: int) -> pd.DataFrame:
    """Two photos a patient, three classes."""
    number = np.arange(2 * patients)
    return pd.DataFrame(
        {
            "id": [f"row {one:03}" for one in number],
            "group": [f"patient {one // 2}" for one in number],
            "condition": [NAMES[one // 2 % 3] for one in number],
        }
    )


def test_folds_keep_patients_whole_and_do_not_depend_on_the_order() -> None:
    rows = made_rows(30)
    folds = patient_folds(rows, FOLDS)
    assert sorted(set(folds)) == list(range(FOLDS))
    assert (rows.assign(fold=folds).groupby("group")["fold"].nunique() == 1).all()
    spread = rows.assign(fold=folds).groupby(["fold", "condition"]).size()
    assert spread.min() == spread.max() == 4
    mixed = rows.sample(frac=1, random_state=1)
    again = patient_folds(mixed, FOLDS)
    assert dict(zip(mixed["id"], again, strict=True)) == dict(zip(rows["id"], folds, strict=True))
    assert fingerprint(mixed, again) == fingerprint(rows, folds)
    assert fingerprint(rows, np.roll(folds, 2)) != fingerprint(rows, folds)


def test_every_photo_is_answered_once_out_of_fold(run: Path, summary: dict[str, Any]) -> None:
    photos = pad_rows(run).query("photo != ''")
    assert sum(summary["folds"]) == len(photos)
    assert {row["n"] for row in summary["rows"].values()} == {len(photos)}
    assert TUNED not in summary["rows"]
    assert summary["rows"][pad_folds.COMMONEST]["balanced_accuracy"]["value"] <= 0.5
    # itching and bleeding give the made-up classes away, so words must find them
    assert summary["rows"][TEXT]["balanced_accuracy"]["value"] > 0.8
    assert f"{STACKED}, less the photo alone" in summary["differences"]
    assert all(len(one) == FOLDS for one in summary["by_fold"].values())


def test_the_encoder_never_sees_pad(run: Path) -> None:
    manifest = read_manifest(run / "data")
    pad = pad_rows(run)
    copied = manifest["source"] == "fitzpatrick17k"
    copied &= manifest["id"] == manifest.loc[copied & (manifest["split"] == "train"), "id"].iloc[0]
    manifest.loc[copied, "group"] = pad["group"].iloc[0]  # a near-duplicate in another source
    rows = pad_folds.other_photos(manifest, pad)
    assert len(rows) and set(rows["source"]) == {"fitzpatrick17k"}
    assert set(rows["split"]) == {"train"}
    assert not set(rows["id"]) & set(manifest.loc[copied, "id"])


def test_nothing_of_held_out_patients_is_fitted_on(
    run: Path, summary: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pad = pad_rows(run)
    photos = pad[pad["photo"] != ""].reset_index(drop=True)
    # a held-out patient has a description without a photo as well
    twin = photos.iloc[:1].assign(id="twin", photo="")
    pad = pd.concat([pad, twin])
    taught: list[set[str]] = []
    fit_text, train = pad_folds.fit_baseline, image_classifier.train

    def watch_text(rows: pd.DataFrame, *rest: Any) -> Any:
        taught.append({*rows["group"]})
        return fit_text(rows, *rest)

    def watch_image(config: Any, rows: pd.DataFrame, photos: np.ndarray, *rest: Any) -> Any:
        taught.append({*rows["group"]})
        assert len(rows) == len(photos)
        return train(config, rows, photos, *rest)

    monkeypatch.setattr(pad_folds, "fit_baseline", watch_text)
    monkeypatch.setattr(image_classifier, "train", watch_image)
    answer = pad_folds.single_models(CONFIG, pad, photos, run / "data", run)
    held, known = np.arange(6), np.arange(6, len(photos))
    found = answer(known, held, "watched")
    assert set(found) >= {LINEAR, TUNED, TEXT}
    hidden = {*photos["group"].iloc[held]}
    assert len(taught) == 2 and not any(groups & hidden for groups in taught)
    without_photo = {*pad["group"]} - {*photos["group"]}
    assert without_photo and without_photo <= taught[1]  # held out of nothing
    for values in found.values():
        assert values.shape == (6, len(NAMES))
        assert values.sum(axis=1) == pytest.approx(np.ones(6), abs=1e-4)
        assert values[:, INDEX["eczema"]].max() == 0  # no class of PAD


def test_fusion_learns_which_modality_to_trust() -> None:
    rows = made_rows(60).assign(fields='{"age": "50"}')
    rng = np.random.default_rng(0)
    right = np.eye(len(NAMES))[[INDEX[name] for name in rows["condition"]]]
    sure = 0.9 * right + 0.1 * np.eye(len(NAMES))[rng.integers(0, 3, len(rows))]
    noise = np.eye(len(NAMES))[rng.integers(0, 3, len(rows))]
    known, held = rows.iloc[:80], rows.iloc[80:]
    parts = [
        {LINEAR: noise[at], TEXT: sure[at], FIELDS: noise[at]}
        for at in (slice(0, 80), slice(80, None))
    ]
    found = pad_folds.fuse(QUICK, known, parts[0], held, parts[1])[STACKED]
    assert (found.argmax(axis=1) == right[80:].argmax(axis=1)).mean() > 0.95


def test_the_section_names_the_literature_and_its_start(summary: dict[str, Any]) -> None:
    shown = pad_folds.section(json.loads(json.dumps(summary)))
    for who, _, _, figure in pad_folds.LITERATURE:
        assert who in shown.text and figure in shown.text
    assert summary["folds_sha256"][:12] in shown.text
    assert set(shown.figures) == {"pad-folds"}
    columns = {line.count("|") - 1 for line in shown.text.splitlines() if line.startswith("|")}
    assert columns == {7, 3}  # the two tables, every line as wide as its heading
