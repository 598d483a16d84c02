"""A case library from made-up downloads: test split only, nothing that tells, credit and notice."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from demo.cases import library
from tests.training.made_data import make_raw
from training import case_library, clean
from training.case_library import CREDITS, SIDE, choose
from training.dataset import read_manifest
from training.sources import READERS


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_raw(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def data(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    config = clean.Config(
        raw, folder / "data", sources=("pad_ufes_20", "scin", "fitzpatrick17k"),
        frozen=folder / "splits.csv", workers=1,
    )  # fmt: skip
    clean.main(config)
    return folder / "data"


def test_the_page_reads_what_is_built(raw: Path, data: Path, tmp_path: Path) -> None:
    table = case_library.main(raw, data, tmp_path / "cases", per_condition=1)
    sets = library(tmp_path / "cases")
    assert len(table) == sum(len(sets[title]) for title in set(table["set"]))
    manifest = read_manifest(data)
    tested = set(manifest.loc[manifest["split"] == "test", "condition"])
    assert set(table["condition"]) <= tested
    assert not table.duplicated(["set", "condition"]).any()
    for case in (case for title in set(table["set"]) for case in sets[title]):
        assert not case.made_up
        assert case.credit in CREDITS.values() and case.licence
    assert "Do not redistribute" in (tmp_path / "cases" / "NOTICE.txt").read_text()
    assert (tmp_path / "cases" / ".gitignore").read_text() == "*\n"


def test_photos_are_small_and_bare_and_their_names_do_not_tell(
    raw: Path, data: Path, tmp_path: Path
) -> None:
    for photo in raw.rglob("*.jpg"):  # large, and with a place in it
        exif = Image.Exif()
        exif[0x010E] = "Mrs Miller"
        with Image.open(photo) as image:
            image.resize((1000, 900)).save(photo, exif=exif)
    table = case_library.main(raw, data, tmp_path / "cases")
    photos = list((tmp_path / "cases" / "photos").iterdir())
    assert len(photos) == (table["image"] != "").sum() > 0
    for photo in photos:
        assert b"Miller" not in photo.read_bytes()
        with Image.open(photo) as image:
            assert max(image.size) == SIDE
            assert not image.getexif()
    told = " ".join([*table["id"], *table["image"]])
    assert not any(name in told for name in (*READERS, *set(table["condition"]), "PAT_"))


def row(number: int, **change: str) -> dict[str, str]:
    return {
        "id": f"a:{number}", "group": f"g{number}", "split": "test", "modality": "image_only",
        "photo": "x.jpg", "condition": "acne", "targets": '{"acne": 1.0}',
    } | change  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"split": "train"},
        {"split": "val"},
        {"split": "near_ood"},
        {"condition": "", "targets": "{}"},
        {"targets": '{"acne": 0.5, "eczema": 0.5}'},
        {"id": "its photo is not there"},
        {"group": "g1"},  # the same patient
    ],
)
def test_what_is_not_taken(change: dict[str, str]) -> None:
    manifest = pd.DataFrame([row(1), row(2, **change)])
    assert len(choose(manifest, {"a:1", "a:2"}, per_condition=9)) == 1


def test_so_many_of_each_condition_and_modality_always_the_same() -> None:
    words = {"photo": "", "modality": "text_only"}
    manifest = pd.DataFrame([row(n, **(words if n % 2 else {})) for n in range(40)])
    chosen = choose(manifest, {f"a:{n}" for n in range(40)}, per_condition=3)
    assert list(chosen["modality"]) == ["image_only"] * 3 + ["text_only"] * 3
    assert chosen.equals(choose(manifest, {f"a:{n}" for n in range(40)}, per_condition=3))


def test_every_source_has_a_credit() -> None:
    assert CREDITS.keys() == READERS.keys()


def test_what_cannot_be_built_says_why(raw: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").touch()
    with pytest.raises(FileExistsError, match="is not empty"):
        case_library.main(raw, data, tmp_path / "full")
    with pytest.raises(FileNotFoundError, match="expected one or more of pad_ufes_20"):
        case_library.main(tmp_path, data, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no manifest"):
        case_library.main(raw, tmp_path, tmp_path / "out")
