"""Readers on made-up downloads: the publishers' layouts and names, drawn photos, no real row."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.sources import READERS

FST = "dermatologist_fitzpatrick_skin_type_label_"
GRADABLE = "dermatologist_gradable_for_skin_condition_"
SUFFICIENT = "DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT"
INSUFFICIENT = "NO_IMAGE_QUALITY_INSUFFICIENT"
NORMAL = "YES_IMAGE_QUALITY_SUFFICIENT_NO_DISCERNIBLE_PATHOLOGY"


def draw(path: Path, seed: int = 0, size: tuple[int, int] = (96, 80)) -> Path:
    """A photo of smooth blotches on fine grain; the same seed gives the same picture."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8))
    blotches = np.asarray(small.resize((96, 80), Image.Resampling.BICUBIC), dtype=float)
    pixels = np.clip(blotches + rng.normal(0, 20, blotches.shape), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image if size == image.size else image.resize(size)).save(path, quality=95)
    return path


def table(path: Path, columns: str, *rows: Mapping[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns.split(), restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


PAD_COLUMNS = (
    "patient_id lesion_id age gender fitspatrick region diagnostic itch grew hurt changed bleed "
    "elevation img_id biopsed"
)


def test_pad_reads_allowed_fields_only_and_matches_photos_by_stem(tmp_path: Path) -> None:
    table(
        tmp_path / "metadata.csv",
        PAD_COLUMNS,
        {
            "patient_id": "PAT_1", "lesion_id": "7", "age": "61", "gender": "FEMALE",
            "fitspatrick": "3.0", "region": "CHEST", "diagnostic": "BCC", "itch": "True",
            "grew": "UNK", "img_id": "PAT_1_7_9.png", "biopsed": "True",
        },
        {"patient_id": "PAT_1", "lesion_id": "8", "diagnostic": "ACK", "img_id": "PAT_1_8_2.png"},
    )  # fmt: skip
    photo = draw(tmp_path / "imgs_part_2" / "PAT_1_7_9.png")
    first, second = READERS["pad_ufes_20"](tmp_path)
    assert first.id == "pad_ufes_20:PAT_1_7_9"
    assert first.group_id == second.group_id == "pad_ufes_20:PAT_1"
    assert first.fields == {"age": "61", "region": "CHEST", "itch": "True"}
    assert (first.photo, first.photo_kind, first.skin_type) == (photo, "clinical", "III")
    assert (second.photo, second.photo_kind, second.fields, second.label) == (None, "", {}, "ACK")


MILK_ARCHIVE = (
    "isic_id lesion_id image_type age_approx sex anatom_site_general anatom_site_special "
    "concomitant_biopsy diagnosis_1 diagnosis_2 diagnosis_3"
)
MILK_CHALLENGE = "lesion_id image_type isic_id age_approx sex skin_tone_class site"


def test_milk_pairs_of_the_archive_stay_together(tmp_path: Path) -> None:
    lesion = {"lesion_id": "IL_1", "age_approx": "70.0", "sex": "male", "diagnosis_3": "Nevus"}
    table(
        tmp_path / "metadata.csv",
        MILK_ARCHIVE,
        {**lesion, "isic_id": "ISIC_1", "image_type": "clinical: close-up"},
        {**lesion, "isic_id": "ISIC_2", "image_type": "dermoscopic", "concomitant_biopsy": "True"},
        {"lesion_id": "IL_2", "isic_id": "ISIC_3", "diagnosis_1": "Benign", "image_type": "x"},
    )
    table(
        tmp_path / "MILK10k_Training_Metadata.csv",
        MILK_CHALLENGE,
        {"isic_id": "ISIC_1", "site": "trunk", "skin_tone_class": "3"},
    )
    for name in ("ISIC_1", "ISIC_2"):
        draw(tmp_path / "images" / f"{name}.jpg")
    close, scope, coarse = READERS["milk10k"](tmp_path)
    assert close.group_id == scope.group_id == "milk10k:IL_1"
    assert [close.photo_kind, scope.photo_kind, coarse.photo_kind] == [
        "clinical",
        "dermoscopic",
        "",
    ]
    assert close.fields == {"age_approx": "70.0", "sex": "male", "anatom_site_general": "trunk"}
    assert scope.fields == {"age_approx": "70.0", "sex": "male"}
    assert (close.label, coarse.label, close.skin_type) == ("Nevus", "Benign", "")


def test_milk_of_the_challenge_has_coarse_labels(tmp_path: Path) -> None:
    table(
        tmp_path / "MILK10k_Training_Metadata.csv",
        MILK_CHALLENGE,
        {"lesion_id": "IL_1", "isic_id": "ISIC_1", "image_type": "dermoscopic", "site": "foot"},
        {"lesion_id": "IL_2", "isic_id": "ISIC_2", "image_type": "dermoscopic"},
    )
    table(
        tmp_path / "MILK10k_Training_GroundTruth.csv",
        "lesion_id AKIEC NV",
        {"lesion_id": "IL_1", "AKIEC": "0.0", "NV": "1.0"},
        {"lesion_id": "IL_2", "AKIEC": "1.0", "NV": "0.0"},
    )
    draw(tmp_path / "MILK10k_Training_Input" / "IL_1" / "ISIC_1.jpg")
    nevus, either = READERS["milk10k"](tmp_path)
    assert (nevus.label, nevus.unusable) == ("NV", "")
    assert nevus.fields == {"anatom_site_general": "lower extremity"}
    assert nevus.photo is not None
    assert either.unusable == "AKIEC is either of two conditions"


def test_fitzpatrick_yields_rows_with_a_photo_under_either_name(tmp_path: Path) -> None:
    columns = "md5hash fitzpatrick_scale label qc url_alphanum"
    table(
        tmp_path / "fitzpatrick17k.csv",
        columns,
        {"md5hash": "a1", "fitzpatrick_scale": "5", "label": "acne", "url_alphanum": "http1.jpg"},
        {"md5hash": "b2", "fitzpatrick_scale": "-1", "label": "acne", "url_alphanum": "http2.jpg",
         "qc": "3 Wrongly labelled"},
        {"md5hash": "c3", "fitzpatrick_scale": "2", "label": "acne", "url_alphanum": "http3.jpg"},
    )  # fmt: skip
    draw(tmp_path / "images" / "a1.jpg")
    draw(tmp_path / "deep" / "er" / "http2.jpg")
    first, second = READERS["fitzpatrick17k"](tmp_path)
    assert (first.id, first.group_id, first.skin_type) == (*["fitzpatrick17k:a1"] * 2, "V")
    assert (second.skin_type, second.unusable) == ("", "qc: 3 Wrongly labelled")


def test_msld_patient_is_class_and_number(tmp_path: Path) -> None:
    for seed, name in enumerate(
        [
            "Fold1/Train/Monkeypox/MKP_60_01.jpg", "Fold2/Test/Monkeypox/MKP_60_01.jpg",
            "Fold1/Train/Monkeypox/MKP_60_02.jpg", "Fold1/Train/Chickenpox/CHP_60_01.jpg",
            "Augmented Images/Monkeypox/MKP_60_01_3.jpg", "Other/logo.png",
        ]
    ):  # fmt: skip
        draw(tmp_path / name, seed)
    rows = list(READERS["msld_v2"](tmp_path))
    assert [(row.label, row.group_id) for row in rows] == [
        ("Chickenpox", "msld_v2:CHP_60"),
        ("Monkeypox", "msld_v2:MKP_60"),
        ("Monkeypox", "msld_v2:MKP_60"),
    ]


SCIN_CASES = (
    "case_id age_group sex_at_birth fitzpatrick_skin_type race_ethnicity_white textures_flat "
    "body_parts_arm condition_symptoms_itching other_symptoms_fever related_category "
    "condition_duration image_1_path image_2_path image_3_path"
)
SCIN_LABELS = " ".join(
    ["case_id", "weighted_skin_condition_label"]
    + [f"{prefix}{n}" for prefix in (GRADABLE, FST) for n in (1, 2, 3)]
)


def scin(
    folder: Path, cases: Sequence[Mapping[str, str]], labels: Sequence[Mapping[str, str]]
) -> None:
    table(folder / "dataset" / "scin_cases.csv", SCIN_CASES, *cases)
    table(folder / "dataset" / "scin_labels.csv", SCIN_LABELS, *labels)


def test_scin_reads_long_ids_weights_and_photos(tmp_path: Path) -> None:
    case = "-9876543210987654321"
    scin(
        tmp_path,
        [
            {"case_id": case, "age_group": "AGE_UNKNOWN", "sex_at_birth": "FEMALE",
             "race_ethnicity_white": "YES", "textures_flat": "YES", "condition_duration": "UNKNOWN",
             "image_1_path": "dataset/images/-11.png", "image_2_path": "dataset/images/12.png"},
            {"case_id": "5", "fitzpatrick_skin_type": "FST6",
             "image_1_path": "dataset/images/12.png"},
        ],
        [
            {"case_id": case, f"{GRADABLE}1": SUFFICIENT, f"{FST}1": "FST2",
             "weighted_skin_condition_label": "{'Acne': 0.41, 'Eczema': 0.41, 'Tinea': 0.18}"},
            {"case_id": "5", f"{GRADABLE}1": INSUFFICIENT, f"{GRADABLE}2": INSUFFICIENT,
             "weighted_skin_condition_label": "{}"},
        ],
    )  # fmt: skip
    draw(tmp_path / "dataset" / "images" / "-11.png")
    graded, ungraded = READERS["scin"](tmp_path)
    assert (graded.id, graded.photo_kind) == (f"scin:{case}:1", "clinical")
    assert graded.fields == {"sex_at_birth": "FEMALE", "textures_flat": "YES"}
    assert graded.label == "Acne"  # first of equals
    assert graded.label_weights == {"Acne": 0.41, "Eczema": 0.41, "Tinea": 0.18}
    assert (graded.skin_type, ungraded.skin_type) == ("II", "VI")
    assert (ungraded.id, ungraded.photo, ungraded.label) == ("scin:5", None, "")
    assert ungraded.unusable == "no dermatologist could grade it"
    # both cases were sent with photo 12: the same person
    assert graded.group_id == ungraded.group_id == f"scin:{case}"


@pytest.mark.parametrize(
    ("answers", "weights", "label"),
    [
        ([NORMAL], "{}", "NO_DISCERNIBLE_PATHOLOGY"),
        ([NORMAL, NORMAL, SUFFICIENT], "{'Acne': 1.0}", "NO_DISCERNIBLE_PATHOLOGY"),
        ([NORMAL, SUFFICIENT, INSUFFICIENT], "{'Acne': 1.0}", "Acne"),
        ([SUFFICIENT], "{}", ""),
    ],
)
def test_scin_calls_normal_what_most_call_normal(
    tmp_path: Path, answers: list[str], weights: str, label: str
) -> None:
    graded = {f"{GRADABLE}{n}": answer for n, answer in enumerate(answers, 1)}
    scin(
        tmp_path,
        [{"case_id": "1"}],
        [{"case_id": "1", "weighted_skin_condition_label": weights, **graded}],
    )
    (row,) = READERS["scin"](tmp_path)
    assert (row.label, row.unusable) == (label, "")


@pytest.mark.parametrize("source", sorted(READERS))
def test_missing_folder_and_empty_folder_say_what_to_do(tmp_path: Path, source: str) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match=r"expected|download"):
            list(READERS[source](folder))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("pad_ufes_20", "metadata.csv"),
        ("milk10k", "metadata.csv"),
        ("fitzpatrick17k", "fitzpatrick17k.csv"),
        ("scin", "scin_cases.csv"),
    ],
)
def test_missing_column_is_named(tmp_path: Path, source: str, name: str) -> None:
    table(tmp_path / name, "something", {"something": "else"})
    with pytest.raises(ValueError, match="without the columns"):
        list(READERS[source](tmp_path))


def test_msld_name_without_patient_is_refused(tmp_path: Path) -> None:
    draw(tmp_path / "Measles" / "photo.jpg")
    with pytest.raises(ValueError, match="MKP_60_02"):
        list(READERS["msld_v2"](tmp_path))


@pytest.mark.data
def test_real_sources_have_the_published_size() -> None:
    folder = os.environ.get("DERM_DATA")
    if not folder:
        pytest.skip("DERM_DATA is not set; it names the folder with a folder a source")
    for source, least in {
        "pad_ufes_20": 2_000,
        "milk10k": 9_000,
        "msld_v2": 600,
        "scin": 4_000,
    }.items():
        if not (Path(folder) / source).is_dir():
            continue
        rows = list(READERS[source](Path(folder) / source))
        assert len(rows) >= least
        assert len({row.id for row in rows}) == len(rows)
        assert all(row.group_id.startswith(f"{source}:") and row.source == source for row in rows)
        assert not {"biopsed", "smoke", "diameter_1"} & {
            name for row in rows for name in row.fields
        }
