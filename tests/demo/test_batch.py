"""The tab Batch: what is read, what is shown, what the API returns, and the tab in Chromium."""

from __future__ import annotations

import base64
import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file  # type: ignore[import-untyped]

from demo.content import batch as content
from demo.content.examine import CAUTION_TITLES
from demo.examples import EXAMPLES
from demo.panels import batch as panel
from demo.render import batch as render
from dermmm.batch import Answer, Photos, Row, answers, columns, read_cases
from dermmm.conditions import NAMES
from tests.fakes import FakePredictor
from tests.screenshots import DESKTOP, PHONE, served

EVIL = '<img src=x onerror="window.hit=1"> ${window.hit=2}'
ROWS = [
    ("both", "dark_spot.jpg", "a dark spot that has grown"),
    ("photo", "brown_mole.jpg", ""),
    ("lost", "nowhere.jpg", "a rash"),
    (EVIL, "", "itchy blisters"),
    ("broken", "broken.jpg", ""),
]


def cases(rows: list[tuple[str, str, str]] = ROWS) -> str:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("case_id", "image", "text"), *rows])
    return file.getvalue()


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for example in EXAMPLES:
            if example.path is not None:
                archive.write(example.path, f"photos/{example.path.name}")
        archive.writestr("photos/broken.jpg", b"no photo")
    return packed.getvalue()


def answered(rows: list[tuple[str, str, str]] = ROWS) -> list[Answer]:
    photos = Photos()
    photos.add_zip(zipped(), "zip")
    return [
        answer
        for chunk in answers(FakePredictor(), [Row(*row) for row in rows], photos)
        for answer in chunk
    ]


class Cautious(FakePredictor):
    """Abstains wherever there is a photo."""

    def predict(self, image: Any = None, text: str | None = None, explain: bool = True) -> Any:
        import dataclasses

        prediction = super().predict(image, text, explain)
        return dataclasses.replace(prediction, cautions=() if image is None else ("blur", "dark"))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes uploads where Gradio keeps them, and returns what a component sends of them."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))

    def upload(name: str, content_: bytes) -> dict[str, Any]:
        path = Path(get_upload_folder()) / name
        path.write_bytes(content_)
        return {"path": str(path), "orig_name": name}

    return upload


# --- what is read ---------------------------------------------------------------------------------


def test_a_table_with_a_zip_and_photos_is_read(files: Any) -> None:
    drawing = EXAMPLES[0].path
    assert drawing is not None
    rows, photos = panel.read(
        files("t.csv", ("\ufeff" + cases()).encode()),
        [files("all.ZIP", zipped()), files("Other.jpg", drawing.read_bytes())],
    )
    assert [row.case_id for row in rows] == [row[0] for row in ROWS]
    assert photos("dark_spot.jpg") == photos("other.jpg") == drawing.read_bytes()


def test_a_photo_that_is_gone_is_the_rows_error(files: Any) -> None:
    photo = files("a.jpg", b"x")
    rows, photos = panel.read(files("t.csv", cases([("1", "a.jpg", "")]).encode()), [photo])
    Path(photo["path"]).unlink()
    (chunk,) = panel.answered(FakePredictor(), rows, photos)
    assert "no longer on the server" in chunk[0].error


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "Choose a table"),
        (b"a;b\n", "column case_id, image, text is missing"),
        (b"case_id,image,text\n", "no rows"),
        (b"\xff\xfe\x00", "not a CSV in UTF-8"),
        (b"case_id,image,text\n" + b"1,,a\n" * (panel.MAX_ROWS + 1), "more than 1000 rows"),
        (b"x" * (panel.MAX_TABLE * 1_000_000 + 1), "at most 5 MB"),
    ],
    ids=["none", "columns", "empty", "encoding", "rows", "bytes"],
)
def test_what_cannot_be_read_is_told(files: Any, table: bytes | None, message: str) -> None:
    with pytest.raises(gr.Error, match=message):
        panel.read(None if table is None else files("t.csv", table), None)


def test_a_bad_zip_is_told_and_too_many_are_refused(files: Any) -> None:
    table, bad = files("t.csv", cases().encode()), files("bad.zip", b"no zip")
    with pytest.raises(gr.Error, match="Zip 1: not a zip"):
        panel.read(table, [bad])
    with pytest.raises(gr.Error, match="There are 11 zips"):
        panel.read(table, [bad] * 11)


def test_only_uploads_are_read(files: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.csv"
    secret.write_text(cases())
    with pytest.raises(gr.Error):
        panel.read({"path": str(secret)}, None)
    table = files("t.csv", cases([("1", "secret.csv", "")]).encode())
    rows, photos = panel.read(table, [{"path": str(secret), "orig_name": "secret.csv"}])
    (chunk,) = panel.answered(FakePredictor(), rows, photos)
    assert chunk[0].prediction is None and "uploaded" in chunk[0].error


def test_a_failure_leaves_no_case_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    rows = [Row("Mrs Miller", "", "crash the model, said Mrs Miller")]
    with pytest.raises(gr.Error, match="could not finish"):
        list(panel.answered(FakePredictor(), rows, Photos()))
    assert "RuntimeError" in caplog.text
    assert "Miller" not in caplog.text and "internal detail" not in caplog.text


# --- what is shown --------------------------------------------------------------------------------


def test_everything_a_user_wrote_is_escaped() -> None:
    done = [*answered(), Answer(Row(EVIL, "", ""), None, EVIL)]
    html = render.table(done) + render.summary(NAMES, done) + render.failure(EVIL)
    assert "<img" not in html
    assert html.count("&lt;img") >= 4


def test_summary_counts_and_holds_the_table() -> None:
    photos = Photos()
    photos.add_zip(zipped(), "zip")
    (done,) = answers(Cautious(), [Row(*row) for row in ROWS], photos)
    html = render.summary(NAMES, done)
    for count, label in ((1, content.ANSWERED), (2, content.ABSTAINED), (2, content.ERRORS)):
        assert f"<b>{count}</b> {label}" in html
    assert html.count(f"<span>{CAUTION_TITLES['blur']}</span><b>2</b>") == 1
    data = html.split("base64,")[1].split('"')[0]
    text = base64.b64decode(data).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == columns(NAMES)
    assert [row["case_id"] for row in rows] == [row[0] for row in ROWS]
    figure = render.chart(done)
    assert [sum(bar.x) for bar in figure.data] == [1, 2]
    table = render.table(done)
    assert table.count('class="dm-cautious"') == 2 and table.count('class="dm-error"') == 2


def test_the_template_is_a_table_that_is_read() -> None:
    data = render.template().split("base64,")[1].split('"')[0]
    text = base64.b64decode(data).decode("utf-8-sig")
    rows = read_cases(io.StringIO(text, newline=""), "template")
    assert [(row.case_id, row.image, row.text) for row in rows] == list(content.TEMPLATE_ROWS)


def test_progress_counts_rows() -> None:
    assert "8 of 20 rows" in render.progress(8, 20)
    assert 'value="8" max="20"' in render.progress(8, 20)
    assert "value=" not in render.progress()


def test_limits_are_stated() -> None:
    words = panel.limits()
    assert "{" not in words
    for limit in ("1,000 rows", "5 MB", "30 MB", "10 zips"):
        assert limit in words


# --- the API and the page -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(Cautious()) as address:
        yield address


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    (folder / "cases.csv").write_text(cases(), encoding="utf-8")
    (folder / "many.csv").write_text(cases(ROWS * 199), encoding="utf-8")
    (folder / "photos.zip").write_bytes(zipped())
    return folder


def test_api_answers_a_table(address: str, folder: Path) -> None:
    client = Client(address, verbose=False, analytics_enabled=False)
    table, photos = handle_file(folder / "cases.csv"), [handle_file(folder / "photos.zip")]
    result: dict[str, Any] = client.predict(table, photos, api_name="/batch")
    assert [answer["case_id"] for answer in result["answers"]] == [row[0] for row in ROWS]
    expected = Cautious().predict(text="itchy blisters", explain=False).to_dict()
    assert result["answers"][3] == {"case_id": EVIL, "prediction": expected, "error": ""}
    lost = result["answers"][2]
    assert lost["prediction"] is None and "no photo called" in lost["error"]
    assert len(list(csv.DictReader(io.StringIO(result["csv"])))) == len(ROWS)
    texts: dict[str, Any] = client.predict(table=table, api_name="/batch")
    assert [answer["prediction"] is not None for answer in texts["answers"]] == [
        False, False, False, True, False,
    ]  # fmt: skip
    with pytest.raises(Exception, match="Choose a table"):
        client.predict(None, None, api_name="/batch")


def opened(browser: Any, address: str, **context: Any) -> Any:
    page = browser.new_context(**context).new_page()
    page.set_default_timeout(20_000)
    page.goto(f"{address}?tab=batch")
    page.locator("#batch-start").wait_for()
    return page


def choose(page: Any, *paths: Path) -> None:
    for place, path in zip(("table", "photos"), paths, strict=False):
        page.locator(f"#batch-{place} input[type=file]").set_input_files(str(path))
        page.locator(f"#batch-{place}").get_by_text(path.stem).first.wait_for()


@pytest.mark.browser
def test_a_table_with_bad_rows_in_the_page(browser: Any, address: str, folder: Path) -> None:
    page = opened(browser, address, viewport=DESKTOP)
    choose(page, folder / "cases.csv", folder / "photos.zip")
    page.locator("#batch-start").click()
    page.locator("#batch-results tbody tr").first.wait_for()
    page.locator("#batch-chart .main-svg").first.wait_for()
    assert page.locator("#batch-results tbody tr").count() == len(ROWS)
    assert "no photo called" in page.locator("#batch-results").inner_text()
    assert page.evaluate("window.hit") is None

    def shown() -> list[str]:
        found: list[str] = page.locator("#batch-results tbody td:nth-child(4)").all_inner_texts()
        return [text for text in found if text]

    page.get_by_role("button", name="Probability").press("Enter")
    rising = shown()
    first = page.locator("#batch-results tbody tr").first
    assert first.get_attribute("class") != "dm-error"  # without a probability: below
    assert [float(text.strip("<>%")) for text in rising] == sorted(
        float(text.strip("<>%")) for text in rising
    )
    page.get_by_role("button", name="Probability").click()
    assert shown() == rising[::-1]
    with page.expect_download() as download:
        page.get_by_role("link", name=content.DOWNLOAD).click()
    assert download.value.suggested_filename == content.DOWNLOAD_FILE
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    assert len(list(csv.DictReader(io.StringIO(text)))) == len(ROWS)
    page.locator("#batch-clear").click()
    page.locator("#batch-state .dm-steps").wait_for()
    page.locator("#batch-results tbody").wait_for(state="detached")
    page.context.close()


@pytest.mark.browser
def test_stop_ends_the_work_and_the_next_table_is_answered(
    browser: Any, address: str, folder: Path
) -> None:
    page = opened(browser, address, viewport=DESKTOP)
    choose(page, folder / "many.csv", folder / "photos.zip")
    page.locator("#batch-start").click()
    page.get_by_text(" of 995 rows").wait_for()
    page.locator("#batch-stop").click()
    page.get_by_text(content.STOPPED).wait_for()
    assert page.locator("#batch-stop").is_disabled()
    page.wait_for_timeout(1_500)  # progress on its way must not overwrite it
    assert content.STOPPED in page.locator("#batch-state").inner_text()
    page.locator("#batch-clear").click()
    page.locator("#batch-state .dm-steps").wait_for()
    choose(page, folder / "cases.csv")
    page.locator("#batch-start").click()
    page.locator("#batch-results tbody tr").first.wait_for()
    assert page.locator("#batch-results tbody tr").count() == len(ROWS)
    page.context.close()


@pytest.mark.browser
def test_nothing_chosen_says_what_to_do_and_a_phone_has_no_sideways_scroll(
    browser: Any, address: str, folder: Path
) -> None:
    page = opened(browser, address, viewport=PHONE, has_touch=True, is_mobile=True)
    page.locator("#batch-start").click()
    page.locator("#batch-state .dm-failure").wait_for()
    assert content.NO_TABLE in page.locator("#batch-state").inner_text()
    choose(page, folder / "cases.csv")
    page.locator("#batch-start").click()
    page.locator("#batch-results tbody tr").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.context.close()
