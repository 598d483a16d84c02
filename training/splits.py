"""Which rows train, which choose, which test: by group, stratified, and frozen in a file.

``training/splits.csv`` (id, group, split, sha256) is committed. A listed row keeps its split for
good; a row that is new, because a download has more photos, follows its group, and a new group is
placed by the hash of its name. So every copy of the data gives the same test set.

    python -m training.splits --check        lists leaks in the committed file; takes a second

Splits: ``train``, ``val`` and ``test`` hold rows of a condition, 80/10/10. Rows without one are
half in ``train`` (for self-supervision), half in ``near_ood`` (skin, but no condition we know).
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from training.stage import write_whole

SPLITS = ("train", "val", "test", "near_ood")
FROZEN = Path(__file__).with_name("splits.csv")
COLUMNS = ["id", "group", "split", "sha256"]
FOLDS, SEED = 10, 0
BRIDGE = "joins groups that the frozen splits keep apart"


def draw(rows: pd.DataFrame) -> pd.Series:
    """Split names of all rows, drawn for the first time.

    Args:
        rows: columns id, source, group, condition, label; one row a photo or text.
    """
    mapped = rows[rows["condition"] != ""]
    splits = _by_name(rows)
    strata = mapped["source"] + "/" + mapped["condition"]
    if len(strata) and strata.value_counts().max() >= FOLDS:
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
        with warnings.catch_warnings():
            # a rare condition of a small source has fewer than ten groups: it misses some folds
            warnings.filterwarnings("ignore", message="The least populated class")
            parts = [held for _, held in folds.split(strata, strata, mapped["group"])]
        stratified = np.full(len(mapped), "train", dtype=object)
        stratified[parts[0]] = "test"
        stratified[parts[1]] = "val"
        placed = dict(zip(mapped["group"], stratified, strict=True))
        # a row without a condition whose group has one goes where its group went
        splits = rows["group"].map(placed).fillna(splits)
    return splits


def follow(rows: pd.DataFrame, frozen: pd.DataFrame) -> tuple[pd.DataFrame, Mapping[str, str]]:
    """Splits and groups under a frozen assignment, and the rows it cannot place.

    A listed row takes its split and group from ``frozen``. A new row follows the listed rows of
    its group; where these are in several splits it is left out, since it would join them.

    Returns:
        ``rows`` that have a place, with ``group`` and ``split``; and id -> reason of the others.
    """
    listed = frozen.set_index("id")
    rows = rows.assign(split=rows["id"].map(listed["split"]))
    is_new = rows["split"].isna()
    known = rows.loc[~is_new, ["group"]].assign(
        split=rows.loc[~is_new, "split"], to=rows.loc[~is_new, "id"].map(listed["group"])
    )
    by_file = pd.DataFrame(
        {"group": frozen["group"], "split": frozen["split"], "to": frozen["group"]}
    )
    evidence = pd.concat([known, by_file]).groupby("group")
    split_of, to = evidence["split"].first(), evidence["to"].min()
    torn = evidence["split"].nunique() > 1

    is_bridge = is_new & rows["group"].isin(torn.index[torn])
    drawn = rows["group"].map(split_of).fillna(_by_name(rows))
    rows["split"] = rows["split"].fillna(drawn)
    group = rows["id"].map(listed["group"]).fillna(rows["group"].map(to)).fillna(rows["group"])
    rows = rows.assign(group=group)
    return rows[~is_bridge], dict.fromkeys(rows.loc[is_bridge, "id"], BRIDGE)


def audit(manifest: pd.DataFrame) -> list[str]:
    """Leaks, one sentence each: a group, or the same photo, in two splits; [] where there is none.

    Args:
        manifest: columns group, split, sha256; an empty sha256 is not compared.
    """
    leaks = []
    for column, what in (("group", "group"), ("sha256", "photo or text with SHA-256")):
        rows = manifest[manifest[column] != ""]
        splits = rows.groupby(column)["split"].unique()
        for name, found in splits[splits.map(len) > 1].items():
            leaks.append(f"the {what} {name} is in {' and '.join(sorted(found))}")
    return leaks


def read(path: Path = FROZEN) -> pd.DataFrame | None:
    """The frozen assignment, every value text; None where it was never drawn."""
    if not path.is_file():
        return None
    frozen = pd.read_csv(path, dtype=str, keep_default_na=False)
    unknown = sorted(set(frozen["split"]) - set(SPLITS)) if "split" in frozen else []
    if list(frozen.columns) != COLUMNS or unknown:
        raise ValueError(
            f"got {path} with columns {list(frozen.columns)} and unknown splits {unknown}; "
            f"expected {COLUMNS} and splits among {SPLITS}; restore the committed file"
        )
    return frozen


def freeze(rows: pd.DataFrame, path: Path = FROZEN) -> None:
    """Write the assignment: sorted by id, LF, 16 hex digits of each SHA-256."""
    table = rows[COLUMNS].assign(sha256=rows["sha256"].str[:16]).sort_values("id")
    write_whole(path, table.to_csv(index=False, lineterminator="\n"))


def _by_name(rows: pd.DataFrame) -> pd.Series:
    """Splits by the hash of the group's name: whoever computes it, whatever else is there."""
    mapped = set(rows.loc[rows["condition"] != "", "group"])
    # cowpox is the one pox that is no condition here: the hardest near-out-of-distribution test
    cowpox = set(rows.loc[(rows["source"] == "msld_v2") & (rows["label"] == "Cowpox"), "group"])

    def place(group: str) -> str:
        share = int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 2**32
        if group in mapped:
            return "train" if share < 0.8 else "val" if share < 0.9 else "test"
        return "near_ood" if share < 0.5 or group in cowpox else "train"

    return rows["group"].map({group: place(group) for group in rows["group"].unique()})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="fail where the frozen file leaks")
    parser.add_argument("--file", type=Path, default=FROZEN, help="default: %(default)s")
    options = parser.parse_args()
    frozen = read(options.file)
    if frozen is None:
        sys.exit(f"got no {options.file}; expected the committed splits; run training.clean")
    print(frozen["split"].value_counts().to_string())
    leaks = audit(frozen)
    print("\n".join(leaks) or "no group and no photo is in two splits")
    if options.check and leaks:
        sys.exit(1)


if __name__ == "__main__":
    main()
