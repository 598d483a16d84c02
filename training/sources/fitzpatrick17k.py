"""Fitzpatrick17k: photos of two atlases, 114 labels, each with a Fitzpatrick skin type.

Its table lists addresses of photos; each photo is its own group, and near-duplicates, of which
there are many, are grouped by the cleaning. Photos are named by ``md5hash`` or ``url_alphanum``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training.sources.layout import photos_by_stem, read_table
from training.sources.row import SKIN_TYPES, Row

SOURCE = "fitzpatrick17k"
LICENCE = "CC BY-NC-SA 3.0 (annotations); photos belong to two atlases; research use"
WRONG = "3 Wrongly labelled"


def read(folder: Path) -> Iterator[Row]:
    """One row a photo that is here: without its photo, a row of this table says nothing."""
    table = read_table(
        folder, "fitzpatrick17k.csv", ["md5hash", "fitzpatrick_scale", "label", "qc"]
    )
    photos = photos_by_stem(folder)
    for row in table.to_dict("records"):
        photo = photos.get(row["md5hash"]) or photos.get(Path(row.get("url_alphanum", "")).stem)
        if photo is None:
            continue
        identity = f"{SOURCE}:{row['md5hash']}"
        yield Row(
            id=identity,
            source=SOURCE,
            group_id=identity,
            photo=photo,
            photo_kind="clinical",
            fields={},
            text="",
            label=row["label"],
            skin_type=SKIN_TYPES.get(row["fitzpatrick_scale"], ""),
            licence=LICENCE,
            unusable=f"qc: {WRONG}" if row["qc"].strip() == WRONG else "",
        )
