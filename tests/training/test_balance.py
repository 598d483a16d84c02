"""Capping by cluster against what it promises, and against capping at random."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.training.made_data import make_raw
from training import clean, image_classifier
from training.balance import (
    RULES,
    WHOLE,
    BalanceConfig,
    balance,
    keep_at_random,
    keep_by_cluster,
    main,
    rarest_share,
)
from training.dataset import read_manifest
from training.stage import save_module


def kept_sizes(sizes: list[int], cap: int, seed: int = 0) -> list[int]:
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    np.random.default_rng(9).shuffle(clusters)
    kept = keep_by_cluster(clusters, cap, np.random.default_rng(seed))
    assert list(kept) == sorted(set(kept))
    return [int((clusters[kept] == name).sum()) for name in range(len(sizes))]


@pytest.mark.parametrize(
    ("sizes", "cap", "expected"),
    [
        ([100, 50, 3], 200, [100, 50, 3]),  # below the cap
        ([100, 50, 3], 153, [100, 50, 3]),  # at the cap
        ([100, 50, 3], 63, [30, 30, 3]),
        ([100, 50, 3], 64, [31, 30, 3]),  # the remainder goes to the largest
        ([50, 100, 3], 64, [30, 31, 3]),
        ([40, 40, 40], 100, [34, 33, 33]),
        ([1000, 1, 1, 1], 4, [1, 1, 1, 1]),
        ([10], 4, [4]),
    ],
)
def test_water_level(sizes: list[int], cap: int, expected: list[int]) -> None:
    assert kept_sizes(sizes, cap) == expected


def test_cap_is_met_and_small_clusters_stay_whole() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        sizes = [int(size) for size in rng.integers(1, 80, rng.integers(1, 13))]
        cap = int(rng.integers(len(sizes), 400))
        after = kept_sizes(sizes, cap)
        assert sum(after) == min(sum(sizes), cap)
        level = max(after)
        for size, left in zip(sizes, after, strict=True):
            assert 1 <= left <= size
            assert left == size or left >= level - 1


def test_a_cap_below_the_number_of_clusters_is_refused() -> None:
    with pytest.raises(ValueError, match="got cap 3 for 4 clusters"):
        kept_sizes([10, 10, 10, 10], 3)


def test_the_control_keeps_shares_and_the_rule_lifts_the_rare() -> None:
    clusters = np.repeat([0, 1], [1900, 100])
    by_cluster = clusters[keep_by_cluster(clusters, 400, np.random.default_rng(0))]
    at_random = clusters[keep_at_random(len(clusters), 400, np.random.default_rng(0))]
    assert len(by_cluster) == len(at_random) == 400
    before = Counter(clusters.tolist())
    assert rarest_share(before, before) == 0.05
    assert rarest_share(before, Counter(by_cluster.tolist())) == 0.25
    assert rarest_share(before, Counter(at_random.tolist())) == pytest.approx(0.05, abs=0.03)
    assert list(keep_at_random(5, 9, np.random.default_rng(0))) == [0, 1, 2, 3, 4]


def test_the_draw_follows_the_seed() -> None:
    clusters = np.repeat([0, 1], [50, 5])
    draws = [list(keep_by_cluster(clusters, 20, np.random.default_rng(seed))) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_only_conditions_above_the_cap_are_clustered() -> None:
    rng = np.random.default_rng(0)
    conditions = np.array(["acne"] * 300 + ["eczema"] * 30)
    kinds = np.array([0] * 280 + [1] * 20 + [0] * 30)
    vectors = np.eye(2)[kinds] + rng.normal(0, 0.01, (330, 2))
    clusters, kept = balance(conditions, vectors, BalanceConfig(cap=50, clusters=2))
    assert (clusters[300:] == WHOLE).all()
    assert len(set(clusters[:280])) == len(set(clusters[280:300])) == 1
    for rule in RULES:
        assert Counter(conditions[kept[rule]]) == {"acne": 50, "eczema": 30}
    assert (kinds[kept["kmeans"]][:50] == 1).sum() == 20


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("balance")
    clean.main(clean.Config(make_raw(folder / "raw"), folder / "data", workers=1))
    return folder / "data"


def test_stage_writes_lists_of_training_cases_and_a_picture(data: Path, tmp_path: Path) -> None:
    summary = main(BalanceConfig(cap=10, clusters=3), data, tmp_path)
    manifest = read_manifest(data).set_index("id")
    for rule in RULES:
        table = pd.read_csv(data / "balanced" / f"text-{rule}.csv")
        assert list(table.columns) == ["id", "condition", "cluster"]
        assert table["id"].is_unique and len(table) == summary["kept"] < summary["cases"]
        rows = manifest.loc[table["id"]]
        assert set(rows["split"]) == {"train"}
        assert list(rows["condition"]) == list(table["condition"])
        assert table["condition"].value_counts().max() == 10
        for name, capped in summary["capped"].items():
            mine = table[table["condition"] == name]
            assert mine["cluster"].nunique() == capped["clusters_after"][rule]
    for name, counts in summary["by_condition"].items():
        assert counts["after"] == min(counts["before"], 10)
        assert (name in summary["capped"]) == (counts["before"] > 10)
    assert summary["capped"]
    for capped in summary["capped"].values():
        assert capped["clusters_after"]["kmeans"] == capped["clusters"]
        even = 10 // capped["clusters"] / 10  # no cluster can be more, in whole cases
        assert capped["rarest_share_after"]["kmeans"] >= min(capped["rarest_share"], even)
    assert (tmp_path / "balance" / "before-after.png").read_bytes().startswith(b"\x89PNG")


def test_stage_repeats(data: Path, tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        main(BalanceConfig(cap=10, clusters=3), data, tmp_path)
        written.append([(data / "balanced" / f"text-{rule}.csv").read_bytes() for rule in RULES])
    assert written[0] == written[1]


def test_image_features_come_from_the_image_classifier(data: Path, tmp_path: Path) -> None:
    classifier = image_classifier.ImageClassifier()
    (tmp_path / image_classifier.NAME).mkdir()
    for part in ("encoder", "head"):
        weights = tmp_path / image_classifier.NAME / f"{part}.safetensors"
        save_module(getattr(classifier, part), weights)
    summary = {"config": {"sizes": [[0.5, 32], [1.0, 64]]}}
    (tmp_path / image_classifier.NAME / "summary.json").write_text(json.dumps(summary))
    told = main(BalanceConfig(cap=10, clusters=2, features="image"), data, tmp_path)
    table = pd.read_csv(data / "balanced" / "image-kmeans.csv")
    rows = read_manifest(data).set_index("id").loc[table["id"]]
    assert (rows["photo"] != "").all() and set(rows["split"]) == {"train"}
    assert table["condition"].value_counts().max() == 10
    assert len(table) == told["kept"] < told["cases"]


def test_image_features_need_the_image_classifier(data: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run the stage image_classifier first"):
        main(BalanceConfig(features="image"), data, tmp_path)
    with pytest.raises(ValueError, match="'text' or 'image'"):
        main(BalanceConfig(features="words"), data, tmp_path)
