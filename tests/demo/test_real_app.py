"""The real program, `python app.py`, with the shipped weights, in Chromium as a person uses it.

What each tab does in detail is tested with a fake model beside this file; here is the whole way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from demo.content import batch, examine, what_if
from demo.examples import EXAMPLES, FOLDER
from dermmm import NOTICE
from dermmm.conditions import NAMES
from tests.demo.browsing import no_sideways_scroll, upload, write
from tests.running import APP, running
from tests.screenshots import DESKTOP, PHONE, TABS, choose_example, open_page, open_tab

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (APP.parent / "checkpoints" / "config.json").is_file(),
        reason="no checkpoint in the repository",
    ),
]

TEXT = EXAMPLES[0].text or ""
DRAWING = EXAMPLES[0].path


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(folder=tmp_path_factory.mktemp("app")) as (address, _):
        yield address


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    page = open_page(browser, address, viewport=DESKTOP)
    page.set_default_timeout(60_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    page.context.close()
    assert problems == []


def analyse(page: Any) -> str:
    """Press the button, wait for the answer or the refusal, and return its words."""
    before = page.locator("#answer").inner_html()
    page.get_by_role("button", name=examine.ANALYSE).click()
    page.wait_for_function(
        """before => {
          const answer = document.querySelector('#answer');
          return answer.innerHTML !== before && answer.querySelector('.dm-answer, .dm-failure');
        }""",
        arg=before,
    )
    words: str = page.locator("#answer").inner_text()
    return words


def named(words: str) -> list[str]:
    """The conditions that an answer names."""
    return [name for name in NAMES if name.lower() in words.lower()]


def test_photo_alone_text_alone_and_both_differ(page: Any) -> None:
    upload(page, DRAWING)
    page.locator("#photo img").first.wait_for()
    by_photo = analyse(page)
    write(page, TEXT)
    by_both = analyse(page)
    page.locator("#clear").click()
    page.locator("#answer .dm-steps").wait_for()
    write(page, TEXT)
    by_text = analyse(page)
    assert named(by_photo) and named(by_both) and named(by_text)
    assert len({by_photo, by_both, by_text}) == 3


def test_neither_says_what_to_do(page: Any) -> None:
    assert examine.NOTHING_GIVEN in analyse(page)


def test_a_phones_photo(page: Any, tmp_path: Path) -> None:
    photo = tmp_path / "IMG_0001.HEIC"
    assert DRAWING is not None
    pytest.importorskip("pillow_heif").register_heif_opener()
    Image.open(DRAWING).save(photo, "HEIF")
    upload(page, photo)
    page.locator("#choose-crop").wait_for()
    assert named(analyse(page))


def test_a_file_that_is_no_photo(page: Any, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"this is no photo")
    upload(page, photo)
    trouble = page.locator("#photo-trouble [role=alert]")
    trouble.wait_for()
    assert "not a photo that can be read" in trouble.inner_text()
    choose_example(page, 1)  # and the page goes on


def test_a_word_shows_where_it_looks(page: Any) -> None:
    choose_example(page, 0)
    heat, word = page.locator("#look .dm-heat"), page.locator("#look button.dm-word").nth(3)
    whole = heat.get_attribute("src")
    word.click()
    assert word.get_attribute("aria-pressed") == "true"
    assert heat.get_attribute("src") != whole


def test_the_report_and_the_data_of_a_case(page: Any) -> None:
    choose_example(page, 0)
    with page.expect_download() as download:
        page.locator("#keep-html").click()
    report = Path(download.value.path()).read_text(encoding="utf-8")
    assert "<script" not in report and 'src="http' not in report
    with page.expect_download() as download:
        page.locator("#keep-json").click()
    data = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert data["notice"] == NOTICE
    assert len(data["conditions"]) == len(NAMES)
    assert data["model"]["sha256"] in report


def test_what_if(page: Any) -> None:
    choose_example(page, 0)
    open_tab(page, "what-if")
    page.locator("#what-if-text textarea").fill("A flat pale area that itches.")
    before = page.locator("#what-if-result").inner_html()
    page.get_by_role("button", name=what_if.COMPARE).click()
    page.wait_for_function(
        "before => document.querySelector('#what-if-result').innerHTML !== before", arg=before
    )
    assert page.locator("#what-if-maps img").count() >= 2


def test_a_teaching_round(page: Any) -> None:
    open_tab(page, "teach")
    page.locator(".dm-search").focus()
    for key in ("eczema", "Enter", "Enter", "3", "Enter"):
        page.keyboard.type(key) if key.islower() else page.keyboard.press(key)
    page.locator("#teach-round [data-send=settle]").click()
    page.locator("#teach-round [data-send=advance]").wait_for()
    assert "of 1" in page.locator("#teach-score").inner_text()
    page.locator("#teach-round [data-send=advance]").click()
    page.locator("#teach-round [data-send=commit]").wait_for()


def test_a_table_with_a_bad_row(page: Any, tmp_path: Path) -> None:
    table = tmp_path / "cases.csv"
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"this is no photo")
    table.write_text(
        "case_id,image,text\ngood,shiny_bump.jpg,\nbad,broken.jpg,\nwords,,An itchy rash\n"
    )
    open_tab(page, "batch")
    photos = [str(broken), str(FOLDER / "shiny_bump.jpg")]
    for part, files in (("table", [str(table)]), ("photos", photos)):
        with page.expect_response(lambda response: "/upload" in response.url):
            page.locator(f"#batch-{part} input[type=file]").set_input_files(files)
    page.get_by_role("button", name=batch.START).click()
    page.locator("#batch-results tbody tr").nth(2).wait_for()
    rows = page.locator("#batch-results tbody tr").all_inner_texts()
    assert "not a photo that can be read" in rows[1] and not named(rows[1])
    assert named(rows[0]) and named(rows[2])
    page.locator("#batch-chart .main-svg").first.wait_for()


def test_the_model_tab_draws_its_figures(page: Any) -> None:
    open_tab(page, "model")
    page.locator("[id^=model-] .main-svg").first.wait_for()


def test_dark(browser: Any, address: str) -> None:
    page = open_page(browser, address, viewport=DESKTOP, color_scheme="dark")
    page.set_default_timeout(60_000)
    choose_example(page, 0)
    for selector in ("body", ".dm-card", "#chart .main-svg"):
        colour = page.locator(selector).first.evaluate("e => getComputedStyle(e).backgroundColor")
        channels = [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")]
        assert max(channels[:3]) < 60 or channels[3:] == [0], (selector, colour)
    page.context.close()


def test_phone(browser: Any, address: str) -> None:
    page = open_page(browser, address, viewport=PHONE, has_touch=True, is_mobile=True)
    page.set_default_timeout(60_000)
    choose_example(page, 0)
    for tab in TABS:
        open_tab(page, tab)
        assert no_sideways_scroll(page), tab
    page.context.close()
