"""Tables of cases: what is read, what is refused, and that a zip can do no harm."""

from __future__ import annotations

import csv
import io
import stat
import subprocess
import sys
import zipfile
from typing import Any

import pytest
from PIL import Image

from dermmm import batch
from dermmm.batch import COLUMNS, Answer, Photos, Row, answers, inert, read_cases, write
from dermmm.conditions import NAMES
from dermmm.prediction import Prediction
from dermmm.predictor import Predictor

TEXT = "an itchy red rash on both arms"


def table(*lines: str) -> list[str]:
    return ["case_id,image,text\n", *(f"{line}\n" for line in lines)]


def zipped(files: dict[str, bytes], **options: Any) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def png(photo: Image.Image) -> bytes:
    content = io.BytesIO()
    photo.save(content, "PNG")
    return content.getvalue()


# --- the table ------------------------------------------------------------------------------------


def test_rows_are_read_in_any_order_of_columns() -> None:
    rows = read_cases(["text,note,case_id,image\n", '"a, b ",x,7, p.jpg\n', "c\n"], "t.csv")
    assert rows == [Row("7", "p.jpg", "a, b"), Row("", "", "c")]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["case_id,text\n"], r"t\.csv: column image is missing; expected case_id, image, text"),
        ([], "column case_id, image, text is missing"),
        (table('1,,"' + "a" * 200_000 + '"'), "not a CSV"),
        (table('1,,"a', "2,,b"), "not a CSV"),  # the quote would hold the row after it
        (table("1,,an itchy, red rash"), r"t\.csv, line 2: more cells than the header has"),
    ],
)
def test_what_is_no_table_is_refused(lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_cases(lines, "t.csv")


def test_empty_cells_and_lines_cost_nothing() -> None:
    rows = read_cases(table("1,,a,,,", "", "2", " , , b "), "t.csv")
    assert rows == [Row("1", "", "a"), Row("2", "", ""), Row("", "", "b")]


def test_a_million_columns_are_read_in_no_time() -> None:
    """By name, every row would fill in every column that it does not have."""
    header = ",".join(COLUMNS) + "," * 1_000_000
    assert len(read_cases([header, *["1,,a"] * 1000], "t.csv")) == 1000


def test_too_many_rows_are_refused() -> None:
    lines = table("1,,a", "2,,b", "3,,c")
    assert len(read_cases(lines, "t.csv", most=3)) == 3
    with pytest.raises(ValueError, match=r"more than 2 rows.*split the table"):
        read_cases(lines, "t.csv", most=2)


# --- answers --------------------------------------------------------------------------------------


def test_rows_are_answered_in_chunks_and_in_order(predictor: Predictor, photo: Image.Image) -> None:
    photos = Photos()
    photos.add("spot.png", lambda: png(photo))
    rows = [Row(str(place), "", TEXT) for place in range(batch.CHUNK + 3)]
    rows[1] = Row("photo", "spot.png", "")
    rows[4] = Row("lost", "lost.png", TEXT)
    rows[-1] = Row("empty", "", "")
    chunks = list(answers(predictor, rows, photos))
    assert [len(chunk) for chunk in chunks] == [batch.CHUNK, 3]
    found = [answer for chunk in chunks for answer in chunk]
    assert [answer.row for answer in found] == rows
    errors = {answer.row.case_id: answer.error for answer in found if answer.prediction is None}
    assert set(errors) == {"lost", "empty"}
    assert "no photo called 'lost.png'" in errors["lost"] and "got neither" in errors["empty"]
    alone = predictor.predict(photo, explain=False)
    together = found[1].prediction
    assert together is not None
    assert together.probabilities == pytest.approx(alone.probabilities, abs=1e-5)


def test_nothing_is_answered_before_it_is_asked_for(predictor: Predictor) -> None:
    asked = []

    def photo(name: str) -> bytes:
        asked.append(name)
        raise OSError("gone")

    chunks = answers(predictor, [Row(str(i), str(i), "") for i in range(3 * batch.CHUNK)], photo)
    assert asked == []
    first = next(chunks)
    assert len(asked) <= batch.AT_ONCE * batch.CHUNK
    assert {answer.error for answer in first} == {"gone"}


def test_the_written_table_has_a_line_a_row(predictor: Predictor) -> None:
    prediction = predictor.predict(text=TEXT, explain=False)
    file = io.StringIO(newline="")
    write(
        file,
        NAMES,
        [
            Answer(Row("=1+1", "", TEXT), prediction),
            Answer(Row("2", "", ""), None, '=HYPERLINK("x")'),
        ],
    )
    first, second = csv.DictReader(io.StringIO(file.getvalue()))
    assert (first["case_id"], first["error"]) == ("'=1+1", "")
    assert [first[f"top{rank}"] for rank in (1, 2, 3)] == [name for name, _ in prediction.top(3)]
    assert sum(float(first[f"p:{name}"]) for name in NAMES) == pytest.approx(1, abs=1e-4)
    assert second["error"].startswith("'=HYPERLINK") and second["top1"] == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(("-1.5", "-1.5"), ("a=b", "a=b"), ("=1", "'=1"), ("@x", "'@x"), ("＝1", "'＝1")),
        *(("a;=1", "a;'=1"), ("a\n+1", "a\n'+1"), (" =1", "' =1"), ("a, -1; b", "a, -1; b")),
    ],
)
def test_formulas_are_inert(value: str, expected: str) -> None:
    assert inert(value) == expected


# --- photos ---------------------------------------------------------------------------------------


def test_photos_are_found_by_path_or_by_name() -> None:
    photos = Photos()
    photos.add("A.JPG", lambda: b"a")
    content = {"set/one/b.jpg": b"b1", "set/two/b.jpg": b"b2", "set/c.jpg": b"c"}
    photos.add_zip(zipped(content), "photos.zip")
    assert (photos("a.jpg"), photos("c.JPG"), photos("set\\c.jpg")) == (b"a", b"c", b"c")
    assert (photos("set/one/b.jpg"), photos("./set/two/b.jpg")) == (b"b1", b"b2")
    with pytest.raises(ValueError, match=r"2 photos are called 'b\.jpg'"):
        photos("b.jpg")
    with pytest.raises(ValueError, match=r"no photo called 'd\.jpg'"):
        photos("d.jpg")
    photos.add("c.jpg", lambda: b"another")
    assert photos("c.jpg") == b"another"  # its whole name


def test_names_that_lead_out_and_links_are_left_out() -> None:
    photos = Photos()
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    packed = io.BytesIO(zipped({"../up.jpg": b"u", "/root.jpg": b"r", "__MACOSX/m.jpg": b"m"}))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("a/../../deep.jpg", b"d")
    photos.add_zip(packed.getvalue(), "photos.zip")
    for name in ("../up.jpg", "up.jpg", "/root.jpg", "root.jpg", "m.jpg", "link.jpg", "deep.jpg"):
        with pytest.raises(ValueError, match="no photo called"):
            photos(name)


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="not a zip"):
        Photos().add_zip(b"no zip", "photos.zip")
    monkeypatch.setattr(batch, "MAX_UNPACKED", 1000)
    with pytest.raises(ValueError, match="would unpack to more than"):
        Photos().add_zip(zipped({"a.jpg": bytes(600), "b.jpg": bytes(600)}), "photos.zip")
    monkeypatch.setattr(batch, "MAX_ENTRIES", 3)
    with pytest.raises(ValueError, match="more than 3 files"):
        Photos().add_zip(zipped({f"{i}.jpg": b"" for i in range(4)}), "photos.zip")


def test_a_file_that_would_be_too_large_is_not_unpacked() -> None:
    photos = Photos()
    photos.add_zip(zipped({"large.jpg": bytes(40_000_000)}), "photos.zip")
    with pytest.raises(ValueError, match="40 MB; at most 30 MB"):
        photos("large.jpg")


def test_an_encrypted_or_oddly_packed_photo_says_so() -> None:
    content = bytearray(zipped({"spot.png": b"x"}))
    content[content.index(batch._ENTRY) + 8] |= 1
    odd = io.BytesIO()
    with zipfile.ZipFile(odd, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("spot.png", b"x")
    for packed, message in ((bytes(content), "without a password"), (odd.getvalue(), "ordinary")):
        photos = Photos()
        photos.add_zip(packed, "photos.zip")
        with pytest.raises(ValueError, match=message):
            photos("spot.png")


def test_a_damaged_file_in_a_zip_is_told(photo: Image.Image) -> None:
    content = zipped({"spot.png": png(photo) * 20})
    start = content.index(b"spot.png") + len(b"spot.png")
    photos = Photos()
    photos.add_zip(content[:start] + bytes(40) + content[start + 40 :], "photos.zip")
    with pytest.raises(ValueError, match="cannot be unpacked"):
        photos("spot.png")


def test_a_zips_own_size_is_not_believed() -> None:
    """An entry that says it holds 10 bytes gives no more than 10, whatever it unpacks to."""
    content = zipped({"a.jpg": bytes(1_000_000)})
    entry = content.index(batch._ENTRY)
    photos = Photos()
    photos.add_zip(content[: entry + 24] + (10).to_bytes(4, "little") + content[entry + 28 :], "z")
    try:
        assert len(photos("a.jpg")) <= 10
    except ValueError as error:
        assert "cannot be unpacked" in str(error)


def test_the_page_can_read_tables_without_torch() -> None:
    code = "import sys, dermmm.batch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_prediction_is_what_an_answer_holds(predictor: Predictor) -> None:
    (chunk,) = answers(predictor, [Row("1", "", TEXT)], Photos())
    assert isinstance(chunk[0].prediction, Prediction) and chunk[0].error == ""
