"""Made-up datasets in their publishers' layouts: drawn photos, invented patients, no real row."""

from __future__ import annotations

from pathlib import Path

from tests.training.test_sources import (
    GRADABLE,
    PAD_COLUMNS,
    SCIN_CASES,
    SCIN_LABELS,
    SUFFICIENT,
    draw,
    table,
)

PAD_LABELS = ("BCC", "NEV", "ACK")
SCIN_NAMES = ("Eczema", "Psoriasis")
ATLAS_LABELS = ("eczema", "psoriasis", "a label without condition")


def make_raw(folder: Path, patients: int = 60) -> Path:
    """Write three sources: described photos, texts alone, and photos alone (one label unmapped)."""
    pad = folder / "pad_ufes_20"
    rows = []
    for number in range(patients):
        name = f"PAT_{number}_1_1"
        rows.append(
            {
                "patient_id": f"PAT_{number}",
                "lesion_id": "1",
                "age": str(20 + number),
                "region": ("CHEST", "FACE", "ARM")[number % 3],
                "diagnostic": PAD_LABELS[number % 3],
                "itch": str(number % 3 == 2),
                "bleed": str(number % 3 == 0),
                "img_id": f"{name}.png",
            }
        )
        if number % 4:  # every fourth has no photo
            draw(pad / "images" / f"{name}.jpg", seed=number)
    table(pad / "metadata.csv", PAD_COLUMNS, *rows)

    cases = [
        {
            "case_id": str(-number - 1),
            "age_group": "AGE_30_TO_39",
            "related_category": "RASH" if number % 2 else "PIGMENTARY_PROBLEM",
            "body_parts_arm": "YES",
            "condition_symptoms_itching": "YES",
            "condition_duration": "ONE_DAY" if number % 2 else "MORE_THAN_ONE_YEAR",
        }
        for number in range(patients)
    ]
    labels = [
        {
            "case_id": case["case_id"],
            f"{GRADABLE}1": SUFFICIENT,
            "weighted_skin_condition_label": f"{{'{SCIN_NAMES[number % 2]}': 1.0}}",
        }
        for number, case in enumerate(cases)
    ]
    table(folder / "scin" / "scin_cases.csv", SCIN_CASES, *cases)
    table(folder / "scin" / "scin_labels.csv", SCIN_LABELS, *labels)

    atlas = [
        {"md5hash": f"made{number}", "fitzpatrick_scale": "3", "label": ATLAS_LABELS[number % 3]}
        for number in range(patients)
    ]
    for number, row in enumerate(atlas):
        draw(folder / "fitzpatrick17k" / f"{row['md5hash']}.jpg", seed=1000 + number)
    columns = "md5hash fitzpatrick_scale label qc"
    table(folder / "fitzpatrick17k" / "fitzpatrick17k.csv", columns, *atlas)
    return folder
