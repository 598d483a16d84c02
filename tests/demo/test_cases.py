"""Teaching cases: the repository's own, and every fault that a folder of cases can have."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image

from demo.cases import OWN_SET, SHOWN_SIDE, library, read_cases
from demo.examples import FOLDER
from demo.examples.draw import DRAWINGS
from dermmm.conditions import NAMES, names_in

GOOD = {
    "image": "photos/a.jpg",
    "text": "An itchy patch.",
    "condition": "psoriasis",
    "credit": "A. Teacher",
    "licence": "CC BY 4.0",
}


def folder_of(tmp_path: Path, *rows: dict[str, str], encoding: str = "utf-8") -> Path:
    """A folder with one photo and the given rows, with the columns that they use."""
    photo = tmp_path / "photos" / "a.jpg"
    photo.parent.mkdir(exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (60, 40), "peru").save(photo, exif=exif)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (tmp_path / "cases.csv").open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path


def test_a_row_becomes_a_case(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {**GOOD, "set": "Monday", "id": "m-1", "point": "Look."})
    (case,) = read_cases(folder)
    assert (case.id, case.set, case.condition, case.point) == (
        "m-1", "Monday", "psoriasis", "Look.",
    )  # fmt: skip
    assert case.photo() == (folder / "photos" / "a.jpg").read_bytes()
    assert not case.made_up
    picture = case.picture()
    assert picture is not None and picture.shape == (60, 40, 3)  # upright


def test_what_may_be_left_out(tmp_path: Path) -> None:
    text_alone = {**GOOD, "image": "", "credit": "", "licence": ""}
    photo_alone = {**GOOD, "text": ""}
    first, second = read_cases(folder_of(tmp_path, text_alone, photo_alone))
    assert first.image is None and first.photo() is None and first.picture() is None
    assert second.text is None
    assert first.set == second.set == OWN_SET
    assert first.id != second.id
    # An id that nobody gave stays the same from start to start, so that answers are found again.
    assert [case.id for case in read_cases(tmp_path)] == [first.id, second.id]


def test_a_spreadsheets_mark_is_no_column(tmp_path: Path) -> None:
    assert len(read_cases(folder_of(tmp_path, GOOD, encoding="utf-8-sig"))) == 1


def test_a_large_photo_is_shown_smaller(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, GOOD)
    Image.new("RGB", (3000, 1500)).save(folder / "photos" / "a.jpg")
    picture = read_cases(folder)[0].picture()
    assert picture is not None and max(picture.shape) == SHOWN_SIDE


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"image": "", "text": ""}, "neither image nor text"),
        ({"condition": "BCC"}, "did you mean 'basal cell carcinoma'"),
        ({"condition": "psorasis"}, "did you mean 'psoriasis'"),
        ({"condition": "gout"}, "expected one of: actinic keratosis"),
        ({"condition": ""}, "condition '' is none of the 26"),
        ({"image": "photos/b.jpg"}, "is not there"),
        ({"image": "../outside.jpg"}, "lies outside"),
        ({"image": "/etc/hostname"}, "lies outside"),
        ({"image": "cases.csv"}, "cannot be read; expected JPEG"),
        ({"credit": ""}, "no credit"),
        ({"licence": " "}, "no licence"),
        ({"set": "=1+1"}, "set '=1+1'; expected"),
        ({"id": "../x"}, "id '../x'; expected"),
    ],
)
def test_a_fault_names_its_row_and_what_is_expected(
    tmp_path: Path, change: dict[str, str], told: str
) -> None:
    folder = folder_of(tmp_path, GOOD, {**GOOD, **change})
    with pytest.raises(ValueError, match="row 3: ") as caught:
        read_cases(folder)
    assert told in str(caught.value)


def test_a_link_does_not_lead_outside(tmp_path: Path) -> None:
    (tmp_path / "cases").mkdir()
    folder = folder_of(tmp_path / "cases", {**GOOD, "image": "photos/link.jpg"})
    Image.new("RGB", (20, 20)).save(tmp_path / "secret.jpg")
    (folder / "photos" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(ValueError, match="lies outside"):
        read_cases(folder)


def test_all_faults_are_told_at_once_but_not_hundreds(tmp_path: Path) -> None:
    wrong = {**GOOD, "condition": "gout", "credit": ""}
    with pytest.raises(ValueError, match="row 2: ") as caught:
        read_cases(folder_of(tmp_path, wrong, GOOD, wrong))
    assert str(caught.value).count("row 4: ") == 2
    with pytest.raises(ValueError, match="and 30 more"):
        read_cases(folder_of(tmp_path, *[wrong] * 20))


def test_an_id_twice(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"row 3: .* as row 2"):
        read_cases(folder_of(tmp_path, GOOD, GOOD))


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("image;text;condition\n", "expected, separated by commas, image, text"),
        ("image,text,condition,credit,licence,colour\n", "nothing else but"),
        ("image,text,condition,credit,licence\n", "no row below the header"),
        ("image,text,condition,credit,licence\n,a,psoriasis,,,,\n", "row 2: more cells"),
        ("", "has the columns none"),
    ],
)
def test_a_table_at_fault(tmp_path: Path, table: str, told: str) -> None:
    (tmp_path / "cases.csv").write_text(table, encoding="utf-8")
    with pytest.raises(ValueError, match=r"cases\.csv") as caught:
        read_cases(tmp_path)
    assert told in str(caught.value)


def test_a_table_in_another_encoding_or_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected a table with the columns image"):
        read_cases(tmp_path)
    (tmp_path / "cases.csv").write_bytes("image,text\nä".encode("latin-1"))
    with pytest.raises(ValueError, match="UTF-8"):
        read_cases(tmp_path)


def test_a_teachers_sets_come_first_and_keep_their_order(tmp_path: Path) -> None:
    rows = [{**GOOD, "text": f"Case {n}.", "set": name} for n, name in enumerate("BAB")]
    sets = library(folder_of(tmp_path, *rows))
    assert list(sets) == ["B", "A", *library()]
    assert [case.text for case in sets["B"]] == ["Case 0.", "Case 2."]


def test_a_set_cannot_take_the_title_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'Drawings' has the title of a set of this page"):
        library(folder_of(tmp_path, {**GOOD, "set": "Drawings"}))


def test_our_own_cases_are_made_up_and_do_not_tell() -> None:
    sets = library()
    assert list(sets) == ["Drawings", "Written cases"]
    assert {case.image for case in sets["Drawings"]} == {FOLDER / name for name in DRAWINGS}
    for case in (case for cases in sets.values() for case in cases):
        assert case.made_up and case.credit and case.licence and case.point
        assert names_in(case.text or "") == set()
        assert 1 <= (case.text or "").count(".") <= 8
        assert (case.image is None) is (case.set == "Written cases")
        # An id stands in the learner's browser, where it must not tell either.
        assert not any(word in case.id for name in NAMES for word in name.split())
    assert {case.condition for case in sets["Written cases"]} == set(NAMES)


def test_our_own_cases_are_none_of_the_vignettes() -> None:
    """Those are a test set: no sentence of one may stand on the page."""
    vignettes = FOLDER.parents[1] / "training" / "vignettes.csv"
    with vignettes.open(newline="", encoding="utf-8") as file:
        told = " ".join(row["text"] for row in csv.DictReader(file)).lower()
    for case in library()["Written cases"]:
        for sentence in (case.text or "").lower().split(". "):
            assert len(sentence) < 25 or sentence not in told
