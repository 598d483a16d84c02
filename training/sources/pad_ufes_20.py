"""PAD-UFES-20: smartphone photos of six skin tumours, with what the patient reported.

Group is the patient: lesion numbers repeat across patients. Only age, region and six findings are
read. The other columns tell the diagnosis by being empty (sex, smoking, diameters, family history)
or by being filled (``biopsed``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training.sources.layout import photos_by_stem, read_table
from training.sources.row import SKIN_TYPES, Row

SOURCE = "pad_ufes_20"
LICENCE = "CC BY 4.0"
FIELDS = ("age", "region", "itch", "grew", "hurt", "changed", "bleed", "elevation")


def read(folder: Path) -> Iterator[Row]:
    """One row a photo listed in ``metadata.csv``; ``photo`` is None where the file is not here."""
    table = read_table(folder, "metadata.csv", ["patient_id", "img_id", "diagnostic", *FIELDS])
    photos = photos_by_stem(folder)
    for row in table.to_dict("records"):
        stem = Path(row["img_id"]).stem
        photo = photos.get(stem)
        yield Row(
            id=f"{SOURCE}:{stem}",
            source=SOURCE,
            group_id=f"{SOURCE}:{row['patient_id']}",
            photo=photo,
            photo_kind="clinical" if photo else "",
            fields={name: row[name] for name in FIELDS if row[name] not in ("", "UNK")},
            text="",
            label=row["diagnostic"],
            skin_type=SKIN_TYPES.get(row.get("fitspatrick", "").removesuffix(".0"), ""),
            licence=LICENCE,
        )
