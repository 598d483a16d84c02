"""Splits: stratified, by group, frozen, and never bridged."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from training import splits


def rows(*entries: tuple[str, str, str], source: str = "a", label: str = "x") -> pd.DataFrame:
    """(id, group, condition) -> the table that `draw` and `follow` read."""
    table = pd.DataFrame(entries, columns=["id", "group", "condition"])
    return table.assign(source=source, label=label, sha256=table["id"])


def frozen(*entries: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(entries, columns=["id", "group", "split"]).assign(sha256="")


def test_draw_is_stratified_by_group_and_repeatable() -> None:
    table = rows(*[(f"{i}", f"g{i // 2}", "acne" if i < 200 else "mpox") for i in range(400)])
    drawn = splits.draw(table)
    assert drawn.equals(splits.draw(table))
    counts = pd.crosstab(table["condition"], drawn)
    assert counts.loc["acne"].to_dict() == counts.loc["mpox"].to_dict()
    assert counts.loc["acne"].to_dict() == {"test": 20, "train": 160, "val": 20}
    assert splits.audit(table.assign(split=drawn)) == []


def test_rows_without_condition_train_or_stay_out() -> None:
    table = rows(*[(f"{i}", f"g{i}", "") for i in range(400)])
    counts = splits.draw(table).value_counts()
    assert set(counts.index) == {"train", "near_ood"}
    assert 150 < counts["train"] < 250


def test_cowpox_is_never_trained_on() -> None:
    table = rows(*[(f"{i}", f"g{i}", "") for i in range(50)], source="msld_v2", label="Cowpox")
    assert set(splits.draw(table)) == {"near_ood"}


@pytest.mark.parametrize("groups", [3, 300])  # few: placed by name; many: stratified
def test_unmapped_rows_follow_their_mapped_group(groups: int) -> None:
    table = rows(
        *[(f"m{i}", f"g{i}", "acne") for i in range(groups)],
        *[(f"u{i}", f"g{i}", "") for i in range(groups)],
    )
    drawn = splits.draw(table)
    assert "near_ood" not in set(drawn)
    assert splits.audit(table.assign(split=drawn)) == []


def test_listed_rows_keep_their_split_whatever_comes() -> None:
    known = frozen(("1", "g1", "test"), ("2", "g2", "val"))
    # a new photo makes the listed ones look alike: their groups stay apart, the new one is left out
    table = rows(("1", "g1", "acne"), ("2", "g1", "acne"), ("3", "g1", "acne"))
    placed, left_out = splits.follow(table, known)
    assert placed.set_index("id")["split"].to_dict() == {"1": "test", "2": "val"}
    assert placed.set_index("id")["group"].to_dict() == {"1": "g1", "2": "g2"}
    assert left_out == {"3": splits.BRIDGE}


def test_new_rows_follow_their_group_listed_here_or_only_in_the_file() -> None:
    known = frozen(("1", "g1", "test"), ("9", "g9", "val"))
    table = rows(("1", "g0", "acne"), ("2", "g0", "acne"), ("3", "g9", "acne"))
    placed, left_out = splits.follow(table, known)
    assert placed.set_index("id")["split"].to_dict() == {"1": "test", "2": "test", "3": "val"}
    assert placed.set_index("id")["group"].to_dict() == {"1": "g1", "2": "g1", "3": "g9"}
    assert left_out == {}


def test_new_groups_are_placed_by_name_alone() -> None:
    many = rows(*[(f"{i}", f"g{i}", "acne") for i in range(1000)])
    placed, _ = splits.follow(many, frozen(("x", "gx", "train")))
    share = placed["split"].value_counts(normalize=True)
    assert abs(share["train"] - 0.8) < 0.05
    assert abs(share["test"] - 0.1) < 0.03
    alone, _ = splits.follow(many.tail(1), frozen(("x", "gx", "train")))
    assert alone["split"].item() == placed["split"].iloc[-1]


def test_audit_names_leaks() -> None:
    table = pd.DataFrame(
        [("g1", "train", "aa"), ("g1", "test", "bb"), ("g2", "val", "aa"), ("g3", "val", "")],
        columns=["group", "split", "sha256"],
    )
    leaks = splits.audit(table)
    assert leaks == [
        "the group g1 is in test and train",
        "the photo or text with SHA-256 aa is in train and val",
    ]
    assert splits.audit(table.iloc[2:]) == []


def test_frozen_file_round_trip_and_bad_file(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    assert splits.read(path) is None
    table = rows(("-2", "g", "acne"), ("-1", "g", "acne")).assign(split="val", sha256="f" * 64)
    splits.freeze(table, path)
    assert path.read_bytes() == (
        b"id,group,split,sha256\n-1,g,val,ffffffffffffffff\n-2,g,val,ffffffffffffffff\n"
    )
    path.write_text("id,split\n1,future\n")
    with pytest.raises(ValueError, match="future"):
        splits.read(path)


def test_committed_splits_do_not_leak() -> None:
    committed = splits.read()
    assert committed is not None
    assert committed["id"].is_unique
    assert committed["id"].is_monotonic_increasing
    assert splits.audit(committed) == []
    assert b"\r" not in splits.FROZEN.read_bytes()
    share = committed["split"].value_counts(normalize=True)
    assert set(share.index) == set(splits.SPLITS)
    assert 0.08 < share["test"] < 0.12


def test_committed_splits_keep_patients_and_lesions_whole() -> None:
    """Told from the ids alone, which name patient (PAD) and patient within class (MSLD)."""
    committed = splits.read()
    assert committed is not None
    for source in ("pad_ufes_20", "msld_v2"):
        table = committed[committed["id"].str.startswith(f"{source}:")]
        patient = table["id"].str.extract(r":([A-Z]+_\d+)_", expand=False)
        assert patient.notna().all()
        assert (table.groupby(patient)["split"].nunique() == 1).all()
