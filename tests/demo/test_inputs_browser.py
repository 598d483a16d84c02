"""The inputs in Chromium: every kind of photo, the crop, the form, and what a person keeps."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif  # type: ignore[import-untyped]
import pytest
from PIL import Image

import dermmm.preprocess
from demo.content import inputs as content
from demo.examples import EXAMPLES
from dermmm import NOTICE
from tests.fakes import FakePredictor
from tests.screenshots import PHONE, choose_example, open_page, served

pytestmark = pytest.mark.browser

ORIENTATION, CAMERA = 0x0112, 0x010F
LEFT, RIGHT = (200, 40, 40), (40, 40, 200)  # of the scene, as a person sees it


class Opening(FakePredictor):
    """A fake that opens photos as the library does."""

    def open_photo(
        self, image: Any, box: tuple[float, float, float, float] = dermmm.preprocess.WHOLE
    ) -> np.ndarray:
        return np.asarray(dermmm.preprocess.open_photo(image, box))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    pillow_heif.register_heif_opener()
    with served(Opening()) as address:
        yield address


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """A red and a blue half as phones store them: on the side, with the camera's name."""
    image = Image.new("RGB", (600, 400), LEFT)
    image.paste(RIGHT, (300, 0, 600, 400))
    exif = Image.Exif()
    exif[ORIENTATION], exif[CAMERA] = 6, "SECRETCAMERA"
    stored = image.transpose(Image.Transpose.ROTATE_90)
    files = {}
    for form, name in (("HEIF", "scene.heic"), ("JPEG", "scene.jpg")):
        files[form] = tmp_path / name
        stored.save(files[form], form, exif=exif.tobytes(), quality=95)
        assert b"SECRETCAMERA" in files[form].read_bytes()
    yield files


def choose(page: Any, file: Path) -> None:
    page.locator("#photo input[type=file]").first.set_input_files(str(file))


def shown(page: Any) -> dict[str, Any]:
    """Size and colours of the picture on the page, as the browser decodes it, and its file."""
    page.locator("#choose-crop").wait_for()
    page.wait_for_function(
        "document.querySelector('#photo img')?.src.endsWith('/photo.png')"
        " && document.querySelector('#photo img').naturalWidth > 0"
    )
    found: dict[str, Any] = page.evaluate(
        """async () => {
          const image = document.querySelector('#photo img');
          const canvas = document.createElement('canvas');
          canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
          const context = canvas.getContext('2d');
          context.drawImage(image, 0, 0);
          const at = share => [...context.getImageData(
            share * canvas.width, canvas.height / 2, 1, 1).data].slice(0, 3);
          const file = await (await fetch(image.src)).text();
          return {size: [canvas.width, canvas.height], left: at(0.02), right: at(0.98), file};
        }"""
    )
    return found


def near(colour: list[int], wanted: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 25 for a, b in zip(colour, wanted, strict=True))


@pytest.mark.parametrize("form", ["HEIF", "JPEG"])
def test_a_phones_photo_is_shown_upright_and_without_metadata(
    page: Any, scene: dict[str, Path], form: str
) -> None:
    choose(page, scene[form])
    photo = shown(page)
    assert photo["size"] == [600, 400]
    assert near(photo["left"], LEFT) and near(photo["right"], RIGHT)
    assert "SECRETCAMERA" not in photo["file"] and "Exif" not in photo["file"]


def test_heic_is_taken_where_the_computer_does_not_know_it(
    page: Any, scene: dict[str, Path]
) -> None:
    """Then a dropped or chosen file has no type."""
    page.evaluate(
        """data => {
          const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], 'IMG_1.HEIC', {type: ''}));
          document.querySelector('#photo .upload-container').dispatchEvent(
            new DragEvent('drop', {dataTransfer, bubbles: true, cancelable: true}));
        }""",
        base64.b64encode(scene["HEIF"].read_bytes()).decode(),
    )
    assert shown(page)["size"] == [600, 400]
    page.get_by_role("button", name="Remove Image").click()
    field = page.locator("#photo input[type=file]").first
    field.wait_for(state="attached")
    field.evaluate("field => field.addEventListener('click', e => e.preventDefault())")
    page.locator("#photo button").filter(has_text=content.PHOTO_HINT).click()
    assert ".heic" in (field.get_attribute("accept") or "")
    field.set_input_files(
        {"name": "IMG_2.heif", "mimeType": "", "buffer": scene["HEIF"].read_bytes()}
    )
    assert shown(page)["size"] == [600, 400]


def test_a_file_that_is_no_photo_gives_one_error_and_the_next_one_works(
    page: Any, scene: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"this is no photo")
    choose(page, broken)
    trouble = page.locator("#photo-trouble [role=alert]")
    trouble.wait_for()
    assert "not a photo that can be read" in trouble.inner_text()
    assert page.get_by_test_id("toast-body").count() == 0
    page.locator("#photo input[type=file]").first.wait_for(state="attached")
    choose(page, scene["JPEG"])
    shown(page)
    assert trouble.count() == 0
    choose_example(page, 0)
    page.locator("#clear").click()
    page.locator("#choose-crop").wait_for(state="hidden")


def test_crop_by_mouse_and_back_to_the_whole_photo(page: Any, scene: dict[str, Path]) -> None:
    choose(page, scene["HEIF"])
    shown(page)
    page.locator("#choose-crop").click()
    square = page.locator(".dm-square")
    square.wait_for()
    assert page.locator("#photo").is_hidden()
    was = square.bounding_box()
    page.mouse.move(was["x"] + was["width"] / 2, was["y"] + was["height"] / 2)
    page.mouse.down()
    page.mouse.move(was["x"] - 500, was["y"] + was["height"] / 2, steps=4)  # as far as it goes
    page.mouse.up()
    stage = page.locator(".dm-stage").bounding_box()
    assert square.bounding_box()["x"] == pytest.approx(stage["x"], abs=1)
    page.get_by_role("button", name=content.CROP_USE).click()
    page.locator("#whole-photo").wait_for()
    photo = shown(page)
    assert photo["size"] == [240, 240]  # six tenths of the height
    assert near(photo["left"], LEFT) and near(photo["right"], LEFT)
    page.locator("#analyse").click()
    page.locator("#look .dm-photo img").first.wait_for()
    analysed = page.locator("#look .dm-photo img").first
    assert analysed.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [240, 240]
    page.locator("#whole-photo").click()
    page.locator("#whole-photo").wait_for(state="hidden")
    assert shown(page)["size"] == [600, 400]


def test_crop_by_keyboard_and_cancel(page: Any, scene: dict[str, Path]) -> None:
    choose(page, scene["JPEG"])
    shown(page)
    page.locator("#choose-crop").click()
    square = page.locator(".dm-square")
    square.wait_for()
    before = square.bounding_box()
    square.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("-")
    after = square.bounding_box()
    assert after["width"] < before["width"]
    assert after["x"] > before["x"]
    assert after["width"] == pytest.approx(after["height"], abs=1)
    page.get_by_role("button", name=content.CROP_CANCEL).click()
    page.locator("#photo").wait_for()
    assert shown(page)["size"] == [600, 400]


def test_the_form_writes_and_what_the_user_wrote_stays(page: Any) -> None:
    box = page.locator("#description textarea")
    box.fill("My own words.")
    page.locator("#form summary").click()
    page.locator("#form input[name=age]").fill("62")
    page.locator("#form select[name=sex]").select_option("female")
    written = page.locator("#form-status", has_text=content.FORM_WROTE)
    written.wait_for()
    itch = page.get_by_role("radiogroup", name="Itch").get_by_role("radio", name="yes")
    itch.check(force=True)
    page.wait_for_function("document.querySelector('#description textarea').value.includes('itch')")
    first = box.input_value()
    assert first.startswith("My own words.\n") and "62" in first
    again = page.get_by_role("button", name=content.FORM_AGAIN)
    for _ in range(4):  # two wordings may be the same by chance
        again.click()
        page.wait_for_timeout(300)
    assert box.input_value() != first
    assert box.input_value().startswith("My own words.\n")
    page.get_by_role("button", name=content.FORM_CLEAR).click()
    page.locator("#form-status", has_text=content.FORM_EMPTY).wait_for()
    assert box.input_value().strip() == "My own words."
    assert page.locator("#form input[name=age]").input_value() == ""


def test_clear_empties_the_form_too(page: Any) -> None:
    page.locator("#form summary").click()
    page.locator("#form input[name=age]").fill("62")
    page.locator("#form select[name=sex]").select_option("female")
    said = "document.querySelector('#description textarea').value"
    page.wait_for_function(f"{said}.includes('female') || {said}.includes('woman')")
    page.locator("#clear").click()
    page.wait_for_function(f"{said} === ''")
    page.locator("#form-status").wait_for(state="hidden")
    assert page.locator("#form input[name=age]").input_value() == ""
    assert page.locator("#form select[name=sex]").input_value() == ""


def test_an_age_that_is_none_is_said(page: Any) -> None:
    page.locator("#form summary").click()
    page.locator("#form input[name=age]").fill("200")
    page.locator("#form select[name=sex]").select_option("male")
    page.locator("#form-status", has_text="200").wait_for()
    assert page.locator("#description textarea").input_value() == ""


def test_report_and_data_can_be_kept(page: Any) -> None:
    assert page.locator("#keep-html").is_hidden()
    choose_example(page, 0)
    for _ in range(2):  # the same case twice: it is made anew
        with page.expect_download() as download:
            page.locator("#keep-html").click()
        report = Path(download.value.path()).read_text()
        assert download.value.suggested_filename.endswith(".html")
    assert NOTICE.replace("'", "&#x27;") in report
    assert (EXAMPLES[0].text or "") in re.sub(r"<[^>]+>", "", report)
    with page.expect_download() as download:
        page.locator("#keep-json").click()
    data = json.loads(Path(download.value.path()).read_text())
    assert data["notice"] == NOTICE and len(data["conditions"]) == 26
    page.locator("#clear").click()
    page.locator("#keep-html").wait_for(state="hidden")


def test_phone_fits_with_everything_open(
    browser: Any, address: str, scene: dict[str, Path]
) -> None:
    page = open_page(browser, address, viewport=PHONE, has_touch=True, is_mobile=True)
    choose(page, scene["JPEG"])
    shown(page)
    for fold in page.locator(".dm-fold summary").all():
        fold.click()
    page.locator("#choose-crop").click()
    page.locator(".dm-square").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.context.close()
