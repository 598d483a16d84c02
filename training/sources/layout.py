"""Finding a source's photos and tables, however its download was unpacked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


def find_photos(folder: Path) -> Iterator[Path]:
    """All photos below ``folder``, in a fixed order. Raises FileNotFoundError without folder."""
    if not folder.is_dir():
        raise FileNotFoundError(
            f"got no folder {folder}; expected an unpacked download; "
            "docs/data.md tells where to get it, or leave this source out"
        )
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PHOTO_SUFFIXES:
            yield path


def photos_by_stem(folder: Path) -> dict[str, Path]:
    """File name without suffix -> photo. Publishers differ in suffix and folders, not in stems."""
    return {path.stem: path for path in find_photos(folder)}


def find_table(folder: Path, name: str) -> Path | None:
    """The CSV called ``name`` nearest to the top of ``folder``; None where there is none."""
    found = sorted(folder.rglob(name), key=lambda path: (len(path.parts), path))
    return found[0] if found else None


def read_table(folder: Path, name: str, columns: Sequence[str]) -> pd.DataFrame:
    """The CSV called ``name`` anywhere below ``folder``, every value as published text.

    Raises:
        FileNotFoundError: no such folder, or no such file in it.
        ValueError: the table lacks one of ``columns``.
    """
    path = find_table(folder, name)
    if path is None:
        raise FileNotFoundError(
            f"got no {name} in {folder}; expected the publisher's file of that name; "
            "unpack the download there, or leave this source out"
        )
    # as text: a SCIN case_id has up to 20 characters, more than a float can hold
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(
            f"got {path} without the columns {missing}; expected {list(columns)}; "
            "download the file again from its publisher"
        )
    return table
