"""Sets, cautions and risk: pure parts against literal references, and the stage on made-up data."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import dermmm
from dermmm import checkpoint as checkpoints
from dermmm.calibration import fit_sets
from dermmm.checkpoint import Checkpoint
from dermmm.conditions import NAMES
from dermmm.outside import LIMITED, SCORES, STATISTICS, STRANGE
from tests.training.made_data import make_raw
from training import abstention, clean, not_skin, stage
from training.abstention import Cases, risk_coverage
from training.calibrate import first_half
from training.conformal import choose_method, compare_methods, score_sets
from training.presets import SMOKE
from training.unfamiliar import Shown, auroc, choose_parts, fit_familiar, for_choosing, standard_of


def groups_of(count: int) -> np.ndarray:
    return np.array([f"group {number}" for number in range(count)])


def test_halves_keep_groups_whole_and_are_alike_in_size() -> None:
    groups = np.repeat(groups_of(41), 3)
    half = first_half(groups)
    assert {*groups[half]}.isdisjoint(groups[~half])
    assert len({*groups[half]}) == 21
    assert (first_half(groups[::-1]) == half[::-1]).all()  # not by the order of the rows


def test_the_choosing_part_is_about_the_share_and_always_the_same() -> None:
    groups = groups_of(2000)
    chosen = for_choosing(groups, 0.3)
    assert chosen.mean() == pytest.approx(0.3, abs=0.04)
    assert (for_choosing(groups[500:], 0.3) == chosen[500:]).all()


def test_the_area_is_the_share_of_pairs_won() -> None:
    rng = np.random.default_rng(0)
    inside, outside = rng.integers(0, 5, 30).astype(float), rng.integers(1, 7, 20).astype(float)
    won = [1.0 if high > low else 0.5 if high == low else 0.0 for high in outside for low in inside]
    found = auroc(inside, outside, groups_of(30), groups_of(20))
    assert found is not None
    assert found["value"] == pytest.approx(np.mean(won), abs=1e-4)
    assert found["low"] < found["value"] < found["high"]
    assert auroc(inside, outside[:9], groups_of(30), groups_of(9)) is None


def test_the_best_score_is_chosen_and_a_single_one_where_two_are_no_better() -> None:
    rng = np.random.default_rng(0)
    inside = {name: rng.normal(size=300) for name in SCORES}
    outside = {name: rng.normal(size=300) for name in SCORES}
    outside["energy"] = outside["energy"] + 20
    assert choose_parts(inside, outside, standard_of(inside)) == ("energy",)
    outside["energy"] = outside["energy"] - 18.5
    outside["Mahalanobis"] = outside["Mahalanobis"] + 1.5
    assert choose_parts(inside, outside, standard_of(inside)) == ("energy", "Mahalanobis")


def test_familiar_photos_vary_by_one_within_their_condition() -> None:
    rng = np.random.default_rng(0)
    count, width = 400, 6
    targets = np.arange(count) % 2
    features = rng.normal(size=(count, width)) * 0.1 + targets[:, None] + 1
    shown = Shown(
        pixels=np.zeros((count, 2, 2, 3), np.uint8),
        groups=groups_of(count),
        features=features,
        logits=np.zeros((count, 2)),
        probabilities=np.full((count, 2), 0.5),
        statistics=rng.normal(size=(count, STATISTICS)) * 5 + 2,
    )
    familiar = fit_familiar(shown, targets, directions=4)
    placed = familiar.place(features) - familiar.class_means[targets]
    np.testing.assert_allclose(np.cov(placed.T), np.eye(4), atol=0.15)
    plain = (shown.statistics - familiar.statistic_mean) @ familiar.statistic_map
    np.testing.assert_allclose(np.cov(plain.T), np.eye(STATISTICS), atol=0.3)
    for array in vars(familiar).values():
        assert np.array_equal(array, array.astype(np.float16).astype(np.float32))


def test_methods_are_compared_on_groups_left_out_and_the_small_sets_win() -> None:
    rng = np.random.default_rng(0)
    values = rng.dirichlet(np.full(8, 0.3), size=600)
    targets = np.array([rng.choice(8, p=row) for row in values])
    compared = compare_methods(values, targets, np.repeat(groups_of(200), 3), 0.9)
    for row in compared.values():
        assert row["coverage"] == pytest.approx(0.9, abs=0.03)
        assert row["worst"] <= row["coverage"]
    fair = {"lac": 2.0, "aps": 3.0, "raps": 2.5}
    rows = {name: {"worst": 0.85, "size": size} for name, size in fair.items()}
    assert choose_method(rows, 0.9) == "lac"
    rows["lac"]["worst"] = 0.5
    assert choose_method(rows, 0.9) == "raps"
    for row in rows.values():
        row["worst"] -= 0.4
    assert choose_method(rows, 0.9) in ("aps", "raps")


def test_coverage_is_measured_by_part_and_by_size() -> None:
    values = np.tile([0.6, 0.3, 0.1], (40, 1))
    targets = np.array([0] * 30 + [2] * 10)
    rule = fit_sets(values[:30], targets[:30], "lac", 0.9)
    parts = {"first": np.arange(40) < 20, "few": np.arange(40) < 3}
    found = score_sets(values, targets, groups_of(40), rule, parts)
    assert found["coverage"]["value"] == pytest.approx(0.75)
    assert found["size"]["value"] == found["single"] == 1
    assert found["by_part"]["first"]["coverage"]["value"] == 1
    assert found["by_part"]["few"] == {"n": 3, "coverage": None, "size": None}
    assert {name: row["n"] for name, row in found["by_size"].items() if row["n"]} == {"1": 40}


def test_risk_is_that_of_the_surest_cases() -> None:
    sure = np.linspace(0.9, 0.5, 20)
    values = np.stack([sure, 1 - sure], axis=1)
    values = np.pad(values, ((0, 0), (0, len(NAMES) - 2)))
    truth = [0] * 15 + [1] * 5  # the five least sure are wrong
    rows = pd.DataFrame({"condition": [NAMES[one] for one in truth], "group": groups_of(20)})
    order = np.random.default_rng(0).permutation(20)
    found = risk_coverage(Cases(rows.iloc[order], values[order]))
    accuracy = [one["value"] for one in found["accuracy"]]
    assert accuracy[:15] == [1.0] * 15
    assert accuracy[-1] == pytest.approx(0.75)
    assert found["gain"]["value"] == pytest.approx(15 / 16 - 0.75, abs=1e-4)
    errors = [max(0, place - 15) / place for place in range(1, 21)]
    assert found["aurc"]["value"] == pytest.approx(np.mean(errors), abs=1e-4)


@pytest.mark.parametrize("kind", not_skin.KINDS)
def test_pictures_differ_and_are_the_same_again(kind: str) -> None:
    first = not_skin.pictures(kind, 3, 48, seed=0)
    assert first.shape == (3, 48, 48, 3) and first.dtype == np.uint8
    assert not np.array_equal(first[0], first[1])
    assert np.array_equal(first, not_skin.pictures(kind, 3, 48, seed=0))
    assert not np.array_equal(first, not_skin.pictures(kind, 3, 48, seed=1))


def test_an_unknown_kind_of_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="got kind 'cat'; expected one of drawing"):
        not_skin.pictures("cat", 1, 32, 0)


@pytest.fixture(scope="module")
def run(
    tiny_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """The stage on made-up photos and an untrained model."""
    out = tmp_path_factory.mktemp("abstention")
    clean.main(clean.Config(raw=make_raw(out / "raw", patients=90), out=out / "data"))
    checkpoints.save(dataclasses.replace(tiny_checkpoint), out / "checkpoint")
    summary = stage.run(abstention.STAGE, SMOKE.abstention, out / "data", out)
    return out, summary


def test_the_checkpoint_knows_when_to_abstain(run: tuple[Path, dict[str, Any]]) -> None:
    out, summary = run
    predictor = dermmm.load(out / "checkpoint")
    fitted = predictor.checkpoint.abstention
    assert fitted is not None
    assert predictor.identity.sha256 == summary["sha256"]
    assert set(fitted.limits) == set(LIMITED) and set(fitted.parts) == set(STRANGE)
    (picture,) = not_skin.pictures("writing", 1, 64, seed=9)
    prediction = predictor.predict(picture, "an itchy flat patch")
    assert prediction.set_coverage == 0.9 and prediction.prediction_set


def test_the_page_scores_photos_as_the_limits_were_fitted(
    run: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = run
    predictor = dermmm.load(out / "checkpoint")
    fitted = predictor.checkpoint.abstention
    assert fitted is not None
    manifest = pd.read_csv(out / "data" / "manifest.csv", dtype=str, keep_default_na=False)
    val = manifest[(manifest["split"] == "val") & (manifest["photo"] != "")]
    val = val[val["condition"] != ""]
    flagged = dict.fromkeys(LIMITED, 0)
    for photo in val["photo"]:
        for caution in predictor.predict(out / "data" / photo, explain=False).cautions:
            flagged[caution] += 1
    for name in fitted.limits:
        allowed = fitted.limits[name].rate * len(val)
        assert flagged[name] <= np.ceil(allowed), name


def test_the_summary_is_json_and_becomes_a_section(run: tuple[Path, dict[str, Any]]) -> None:
    _, summary = run
    text = json.dumps(summary, allow_nan=False)
    assert len(text) < 100_000
    section = abstention.section(json.loads(text))
    assert "python -m training.abstention" in section.text
    assert "not measured" in section.text  # made-up data are few
    assert set(section.figures) == {
        *("coverage-by-group", "risk-coverage"),
        *("score-not-skin-like", "score-far-from-training"),
    }
    for figure in section.figures.values():
        assert figure.layout.title.text and figure.layout.xaxis.title.text
    families = summary["outside"]["auroc"]["not skin-like"]
    assert set(families) >= {"far", "near", "poor", "far: noise", "poor: blur"}


def test_nothing_of_the_test_split_is_fitted_on(
    run: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """With other test labels the same sets and limits come out."""
    out, summary = run
    manifest = pd.read_csv(out / "data" / "manifest.csv", dtype=str, keep_default_na=False)
    test = (manifest["split"] == "test") & (manifest["condition"] != "")
    shuffled = manifest.loc[test, "condition"].sample(frac=1, random_state=3).to_numpy()
    assert (shuffled != manifest.loc[test, "condition"]).any()
    manifest.loc[test, "condition"] = shuffled
    data = tmp_path / "data"
    data.mkdir()
    for path in (out / "data").iterdir():
        if path.name != "manifest.csv":
            (data / path.name).symlink_to(path)
    manifest.to_csv(data / "manifest.csv", index=False)
    loaded = checkpoints.load(out / "checkpoint")
    checkpoints.save(dataclasses.replace(loaded, abstention=None), tmp_path / "checkpoint")
    again = abstention.main(SMOKE.abstention, data, tmp_path)
    assert json.loads(json.dumps(again["rules"])) == summary["rules"]
