"""MILK10k: lesions photographed twice, once close up and once through a dermoscope.

Group is the lesion; no patient id is published. Reads the ISIC Archive's ``metadata.csv``, whose
third diagnosis level is the label. Without it, the challenge's own tables serve: eleven coarse
classes, of which AKIEC cannot tell actinic keratosis from carcinoma in situ.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from training.sources.layout import find_table, photos_by_stem, read_table
from training.sources.row import SKIN_TYPES, Row

SOURCE = "milk10k"
LICENCE = 'CC BY-NC, "MILK study team"'
CHALLENGE = "MILK10k_Training_Metadata.csv"
COLUMNS = ("isic_id", "lesion_id", "image_type")
FIELDS = ("age_approx", "sex", "anatom_site_general", "anatom_site_special")
# The archive leaves the trunk, the most common site, empty; the challenge's table names it.
SITES = {
    "head_neck_face": "head/neck",
    "trunk": "trunk",
    "upper_extremity": "upper extremity",
    "hand": "upper extremity",
    "lower_extremity": "lower extremity",
    "foot": "lower extremity",
    "genital": "oral/genital",
}
AMBIGUOUS = "AKIEC"


def read(folder: Path) -> Iterator[Row]:
    """One row a photo listed; two rows a lesion."""
    table = _archive(folder) if find_table(folder, "metadata.csv") else _challenge(folder)
    photos = photos_by_stem(folder)
    for row in table.to_dict("records"):
        photo = photos.get(row["isic_id"])
        kind = "dermoscopic" if row["image_type"] == "dermoscopic" else "clinical"
        skin_type = row.get("fitzpatrick_skin_type", "")
        yield Row(
            id=f"{SOURCE}:{row['isic_id']}",
            source=SOURCE,
            group_id=f"{SOURCE}:{row['lesion_id']}",
            photo=photo,
            photo_kind=kind if photo else "",
            fields={name: row[name] for name in FIELDS if row.get(name)},
            text="",
            label=row["label"],
            skin_type=skin_type if skin_type in SKIN_TYPES.values() else "",
            licence=LICENCE,
            unusable="AKIEC is either of two conditions" if row["label"] == AMBIGUOUS else "",
        )


def _archive(folder: Path) -> pd.DataFrame:
    """The ISIC Archive's table, with ``label``, and sites from the challenge's where it is here."""
    levels = ["diagnosis_1", "diagnosis_2", "diagnosis_3"]
    table = read_table(folder, "metadata.csv", [*COLUMNS, *FIELDS, *levels])
    # a few photos are only labelled at a coarser level
    table["label"] = [three or two or one for one, two, three in table[levels].to_numpy()]
    if find_table(folder, CHALLENGE):
        challenge = read_table(folder, CHALLENGE, [*COLUMNS, "site"]).set_index("isic_id")
        site = table["isic_id"].map(challenge["site"]).map(SITES).fillna("")
        general = table["anatom_site_general"]
        table["anatom_site_general"] = general.where(general != "", site)
    return table


def _challenge(folder: Path) -> pd.DataFrame:
    """The challenge's tables, in the archive's columns; ``label`` is the class marked 1.0."""
    table = read_table(folder, CHALLENGE, [*COLUMNS, "age_approx", "sex", "site"])
    table["anatom_site_general"] = table["site"].map(SITES).fillna("")
    truth = read_table(folder, "MILK10k_Training_GroundTruth.csv", ["lesion_id", AMBIGUOUS])
    classes = truth.set_index("lesion_id").astype(float).idxmax(axis="columns")
    table["label"] = table["lesion_id"].map(classes).fillna("")
    return table
