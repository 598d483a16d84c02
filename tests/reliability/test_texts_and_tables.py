"""Hostile texts stay text, and hostile tables and zips are answered or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import texts_and_tables as hostile
from benchmarks.texts_and_tables import KEPT, PLAIN, TEXTS, Found, Shape
from dermmm.batch import Photos
from dermmm.predictor import Predictor
from tests.chromium import chromium
from tests.fakes import FakePredictor
from tests.screenshots import served

ROWS = 1_500  # more than the page takes
TABLES, ZIPS = hostile.tables(ROWS), hostile.zips(full=False)


def outcomes(found: list[Found]) -> dict[str, str]:
    assert [one for one in found if one.outcome not in KEPT] == []
    return {one.what: one.outcome for one in found}


def test_every_text_is_answered_or_refused(
    predictor: Predictor, checkpoint_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dermmm.__main__.load", lambda *_, **__: predictor)
    told = outcomes(list(hostile.texts(predictor)))
    assert {told["markup"], told["NUL"], told["right to left"]} == {"answered"}
    assert {told["1 MB"], told["lone surrogate"], told["only NUL"]} == {"refused"}


def test_a_text_is_nowhere_more_than_text() -> None:
    count, wrong = hostile.planted(FakePredictor())
    assert count > 150 and wrong == []


def test_that_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.render.answer.escape", lambda text: text)
    _, wrong = hostile.planted(FakePredictor(), ["markup"])
    assert "script from markup in an error" in wrong
    assert ("img", "onerror") in Shape(TEXTS["markup"]).parts


def test_every_text_is_shown_whole() -> None:
    for place, html in hostile.places(FakePredictor(), PLAIN).items():
        if place != "summary":  # which links to the table
            assert PLAIN.split(",")[0] in html.replace("</span>", ""), place


def test_what_is_saved_holds_no_formula(predictor: Predictor) -> None:
    count, wrong = hostile.exports(predictor)
    assert count > 1000 and wrong == []
    assert all(hostile.runs(text) for text in hostile.FORMULAS[:11])
    assert not hostile.runs("-1.5")


def test_every_table_on_the_command_line(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dermmm.__main__.load", lambda *_, **__: predictor)
    told = outcomes(list(hostile.tables_by_command(None, ROWS)))
    assert told[f"{ROWS:,} rows"] == told["BOM"] == told["NUL"] == "answered"
    for name in ("UTF-16", "Latin-1", "quotes never closed", "more cells than columns"):
        assert told[name] == "refused", name


def test_texts_tables_and_zips_by_the_api() -> None:
    texts = ("markup", "NUL", "no letters")
    tables = (f"{ROWS:,} rows", "quotes never closed", "UTF-16", "formulas and markup")
    zips = ("../", "60,000 files", "encrypted", "no zip")
    with served(FakePredictor()) as address:
        told = outcomes(
            list(
                hostile.by_api(
                    address,
                    {name: TEXTS[name] for name in texts},
                    {name: TABLES[name] for name in tables},
                    {name: ZIPS[name] for name in zips},
                )
            )
        )
    refused = {name for name, outcome in told.items() if outcome == "refused"}
    assert refused == {*tables[:3], "60,000 files", "no zip"}  # a row of the others has an error


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../", "no photo called"),
        ("absolute", "no photo called"),
        ("a drive's name", None),
        ("a link", "no photo called"),
        ("the same name twice", "2 photos are called"),
        ("encrypted", "encrypted; pack it without a password"),
        ("LZMA", "packed in an unusual way"),
        ("bzip2", "packed in an unusual way"),
        ("one file over another", "photos are called"),
        ("a large file of nothing", "at most 30 MB"),
        ("4 GB by what it says", "would unpack to more"),
        ("a wrong sum", "cannot be unpacked"),
        ("no zip", "not a zip"),
        ("60,000 files", "more than 5000 files"),
    ],
)
def test_what_a_zip_gives(name: str, message: str | None) -> None:
    def photo() -> bytes:
        photos = Photos()
        photos.add_zip(ZIPS[name], "photos.zip")
        return photos("photo.jpg")

    if message is None:
        assert photo() == hostile.PHOTO.read_bytes()
    else:
        with pytest.raises(ValueError, match=message):
            photo()


@pytest.mark.browser
@pytest.mark.skipif(chromium() is None, reason="no Chromium on the path, and CHROMIUM names none")
def test_no_script_runs_in_chromium() -> None:
    with served(FakePredictor()) as address:
        views, ran = hostile.in_chromium(address, FakePredictor())
    assert views > 15 and ran == []
