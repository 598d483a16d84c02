"""Photos of every kind become the same upright RGB picture, or an error that helps."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from dermmm import preprocess
from dermmm.preprocess import (
    DISPLAY_SIDE,
    MEAN,
    MIN_SIDE,
    STD,
    normalise,
    open_photo,
    square,
    to_input,
)

ORIENTATION, GPS = 0x0112, 0x8825
# How a camera held that way stores an upright scene: the inverse of what a viewer has to do.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
SAVING: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
    "HEIF": {"quality": 95},
}


def encode(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **{**SAVING.get(form, {}), **options})
    return file.getvalue()


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two pictures of the same size, in 0..255."""
    assert (one.mode, one.size) == (other.mode, other.size)
    return float(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).mean())


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    """64 x 32, every corner another colour: no flip or turn of it looks the same."""
    image = Image.new("RGB", (64, 32), (200, 40, 40))
    image.paste((40, 160, 40), (32, 0, 64, 16))
    image.paste((40, 40, 200), (0, 16, 32, 32))
    image.paste((220, 220, 60), (32, 16, 64, 32))
    return image


@pytest.mark.parametrize("form", SAVING)
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_comes_out_upright(
    scene: Image.Image, orientation: int, form: str
) -> None:
    turn = STORED[orientation]
    stored = scene if turn is None else scene.transpose(turn)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    content = encode(stored, form, exif=exif.tobytes())
    lossy = form in ("JPEG", "HEIF")
    assert difference(open_photo(content), scene) <= (6 if lossy else 0)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientation_that_means_nothing_is_ignored(scene: Image.Image, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    assert difference(open_photo(encode(scene, "PNG", exif=exif)), scene) == 0


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"garbage", b"MM\0*\0\0\0\x08\0\x40garbage"])
def test_broken_exif_does_not_cost_the_photo(scene: Image.Image, exif: bytes) -> None:
    assert open_photo(encode(scene, "JPEG", exif=b"Exif\0\0" + exif)).size == scene.size


def test_every_way_to_give_a_photo(scene: Image.Image, tmp_path: Path) -> None:
    content = encode(scene, "PNG")
    path = tmp_path / "Foto ü.png"
    path.write_bytes(content)
    gifts: tuple[Any, ...] = (
        *(content, bytearray(content), memoryview(content)),
        *(path, str(path)),
        *(scene, np.asarray(scene), np.asarray(scene)[::-1][::-1]),
        Image.open(path),
    )
    for photo in gifts:
        assert difference(open_photo(photo), scene) == 0, type(photo)


def test_multi_picture_jpeg_of_a_phone(scene: Image.Image) -> None:
    content = encode(scene, "MPO", save_all=True, append_images=[Image.new("RGB", (64, 32))])
    assert difference(open_photo(content), scene) < 20  # the first picture, not the black one


def test_first_frame_of_an_animation() -> None:
    red, blue = (Image.new("RGB", (20, 20), colour) for colour in ("red", "blue"))
    for form in ("GIF", "WEBP", "TIFF"):
        content = encode(red, form, save_all=True, append_images=[blue])
        with Image.open(io.BytesIO(content)) as image:
            assert getattr(image, "n_frames", 1) == 2
        assert open_photo(content).getpixel((10, 10)) == (255, 0, 0)


def test_transparent_parts_become_white() -> None:
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    clear.paste((255, 0, 0, 255), (0, 0, 10, 20))
    grey = clear.convert("LA")
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.paste(0, (0, 0, 10, 20))
    for form, image, options in (
        ("PNG", clear, {}),
        ("WEBP", clear, {}),
        ("PNG", grey, {}),
        ("PNG", palette, {"transparency": 1}),
        ("GIF", palette, {"transparency": 1}),
    ):
        opened = open_photo(encode(image, form, **options))
        assert opened.getpixel((15, 10)) == (255, 255, 255), (form, image.mode)
        left = (76, 76, 76) if image.mode == "LA" else (255, 0, 0)
        assert opened.getpixel((5, 10)) == left, (form, image.mode)


def test_palette_without_transparency(scene: Image.Image) -> None:
    palette = scene.quantize(4)
    assert palette.mode == "P"
    assert difference(open_photo(encode(palette, "PNG")), scene) < 2


def test_cmyk_jpeg() -> None:
    photo = open_photo(encode(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG"))
    red, green, blue = photo.getpixel((10, 10))  # type: ignore[misc]
    assert red > 240 and green < 15 and blue < 15


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_cut_off(form: str) -> None:
    values = np.linspace(0, 65535, 32 * 32).reshape(32, 32)
    photo = np.asarray(open_photo(encode(Image.fromarray(values.astype(np.uint16)), form)))
    assert photo.shape == (32, 32, 3)
    assert np.abs(photo - values[..., None] / 257).max() <= 1


@pytest.mark.filterwarnings("error")
def test_float_tiff_with_holes() -> None:
    values = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    values[0, :3] = np.nan, np.inf, -np.inf
    photo = open_photo(encode(Image.fromarray(values), "TIFF"))
    assert photo.getpixel((0, 0)) == photo.getpixel((1, 0)) == photo.getpixel((2, 0)) == (0, 0, 0)
    assert photo.getpixel((19, 19)) == (255, 255, 255)


def test_grey_gets_three_equal_channels() -> None:
    values = np.arange(400, dtype=np.uint16).reshape(20, 20).astype(np.uint8)
    for grey in (
        values,
        encode(Image.fromarray(values), "PNG"),
        encode(Image.fromarray(values), "BMP"),
    ):
        photo = np.asarray(open_photo(grey))
        assert all(np.array_equal(photo[..., channel], values) for channel in range(3))


def test_metadata_is_gone(scene: Image.Image) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[0x010E] = "SECRETNAME"
    exif[GPS] = {1: "N", 2: (47.0, 22.0, 0.0), 29: "SECRETDATE"}
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "SECRETNOTE")
    for content in (
        encode(scene, "JPEG", exif=exif, comment=b"SECRETNOTE"),
        encode(scene, "PNG", exif=exif, pnginfo=notes),
        encode(scene, "HEIF", exif=exif.tobytes()),
    ):
        assert b"SECRET" in content
        assert Image.open(io.BytesIO(content)).getexif().get_ifd(GPS)
        photo = open_photo(content)
        assert photo.info == {}
        assert not photo.getexif()
        for form in ("JPEG", "PNG"):
            again = encode(photo, form)
            assert b"SECRET" not in again and b"Exif" not in again


def test_big_photo_is_bounded_and_keeps_its_shape() -> None:
    photo = open_photo(encode(Image.new("RGB", (2600, 1300), (9, 99, 199)), "JPEG"))
    assert photo.size == (DISPLAY_SIDE, DISPLAY_SIDE // 2)


def test_long_and_narrow_photo_is_answered() -> None:
    assert to_input(open_photo(np.zeros((5000, MIN_SIDE, 3), np.uint8)), 64).shape == (1, 3, 64, 64)


def test_square_squeezes_the_whole_photo(scene: Image.Image) -> None:
    pixels = square(scene, 32)
    assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        expected = np.asarray(scene)[row, column]
        assert np.abs(pixels[row, column].astype(int) - expected).max() <= 2


def test_input_is_normalised_channel_by_channel() -> None:
    image = Image.new("RGB", (20, 20), (0, 51, 255))
    tensor = to_input(image, 8)
    assert tensor.shape == (1, 3, 8, 8) and tensor.dtype == torch.float32
    for channel, value in enumerate((0.0, 0.2, 1.0)):
        expected = torch.full((8, 8), (value - MEAN) / STD)
        torch.testing.assert_close(tensor[0, channel], expected)
    assert normalise(torch.zeros(2, 4, 4, 3, dtype=torch.uint8)).shape == (2, 3, 4, 4)


def png_header(width: int, height: int) -> bytes:
    """A small PNG file that claims to be that big."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    empty = zlib.compress(b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", empty) + chunk(b"IEND", b"")


def noise(form: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    return encode(Image.fromarray(pixels), form)


def cut(form: str) -> bytes:
    content = noise(form)
    return content[: len(content) // 2]


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "empty": (lambda: b"", "empty file; save or upload it again"),
    "text": (lambda: b"this is no photo", "not a photo that can be read; expected one of JPEG"),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "expected one of JPEG"),
    "unlisted format": (lambda: noise("ICO"), "expected one of JPEG"),
    "cut JPEG": (lambda: cut("JPEG"), "damaged .* save it again"),
    "cut PNG": (lambda: cut("PNG"), "damaged .* save it again"),
    "cut WEBP": (lambda: cut("WEBP"), "save it again|expected one of"),
    "cut HEIC": (lambda: cut("HEIF"), "save it again|expected one of"),
    "cut, opened by the caller": (
        lambda: Image.open(io.BytesIO(cut("JPEG"))),
        "damaged .* save it again",
    ),
    "mode without RGB": (lambda: Image.new("La", (20, 20)), "save it again"),
    "too many pixels": (lambda: png_header(12_000, 12_000), "at most 100 mega.* make it smaller"),
    "far too many": (lambda: png_header(60_000, 60_000), "at most 100 mega.* make it smaller"),
    "too small": (lambda: np.zeros((15, 400, 3), np.uint8), "400 x 15 .* at least 16"),
    "endless line": (
        lambda: np.zeros((16, 70_000, 3), np.uint8),
        "70000 x 16 .* at most 65535",
    ),
    "1 pixel wide": (lambda: np.zeros((5000, 1, 3), np.uint8), "1 x 5000 .* at least 16"),
    "too small file": (lambda: encode(Image.new("RGB", (2, 2)), "PNG"), "2 x 2 .* at least 16"),
    "float array": (lambda: np.zeros((20, 20, 3)), r"float64; expected .*uint8 in 0\.\.255"),
    "bool array": (lambda: np.zeros((20, 20), bool), "bool; expected .*uint8"),
    "RGBA array": (lambda: np.zeros((20, 20, 4), np.uint8), r"\(20, 20, 4\).* expected"),
    "grey and alpha": (lambda: np.zeros((20, 20, 2), np.uint8), r"\(20, 20, 2\).* expected"),
    "channels first": (lambda: np.zeros((3, 20, 20), np.uint8), r"\(3, 20, 20\).* expected"),
    "batch": (lambda: np.zeros((1, 20, 20, 3), np.uint8), r"\(1, 20, 20, 3\).* expected"),
    "empty array": (lambda: np.zeros((0, 20, 3), np.uint8), r"\(0, 20, 3\).* expected"),
    "number": (lambda: 3, "got a int as photo; give a PIL image"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("what", REFUSED)
def test_unfit_photo_is_refused_with_the_remedy(what: str) -> None:
    make, message = REFUSED[what]
    with pytest.raises(ValueError, match=message):
        open_photo(make())


@pytest.mark.parametrize("name", ["nothing-here.jpg", ".", "with\0nul.jpg"])
def test_missing_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"no photo at .*; give the path of an image file"):
        open_photo(tmp_path / name)


def test_metadata_in_many_pieces_counts_once(scene: Image.Image) -> None:
    """Pillow would join the pieces, and could be made to hold each tag's data many times."""
    exif = Image.Exif()
    exif[ORIENTATION] = 3
    content = encoded_with_pieces(encode(scene, "JPEG", exif=exif), 5)
    with Image.open(io.BytesIO(content)) as image:
        assert len(image.info["exif"]) > 50_000
    with Image.open(io.BytesIO(preprocess._lean(content))) as image:
        assert len(image.info["exif"]) < 200
    assert difference(open_photo(content), scene.transpose(STORED[3] or 0)) < 6


def encoded_with_pieces(content: bytes, pieces: int) -> bytes:
    """A JPEG with more metadata after its own."""
    end = content.index(b"Exif\0\0") - 4
    end += 2 + struct.unpack_from(">H", content, end + 2)[0]
    piece = b"\xff\xe1" + struct.pack(">H", 10_008) + b"Exif\0\0" + bytes(10_000)
    return content[:end] + piece * pieces + content[end:]


@pytest.mark.filterwarnings("ignore:Truncated File Read")
def test_metadata_is_read_up_to_a_size(scene: Image.Image) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 3
    exif[0x9286] = b"x" * 3 * preprocess.MAX_EXIF
    content = encode(scene.transpose(Image.Transpose.ROTATE_180), "PNG", exif=exif)
    assert difference(open_photo(content), scene) == 0


@pytest.mark.parametrize("limit", ["MAX_SECONDS", "MAX_READINGS"])
def test_a_file_that_asks_for_too_much_is_refused(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = noise("PNG") + bytes(preprocess.MAX_EXIF)
    assert open_photo(content).size == (64, 64)
    monkeypatch.setattr(preprocess, limit, -1)
    with pytest.raises(ValueError, match="takes too long to read; save it again"):
        open_photo(content)


def test_a_tile_far_larger_than_the_photo_is_refused() -> None:
    tags = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 277: 1, 322: 9000, 323: 9000, 324: 8, 325: 9}
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags.items())
    content = b"II*\0" + struct.pack("<LLH", 12, 0, len(tags)) + entries + bytes(4)
    with pytest.raises(ValueError, match="tiles of 9000 x 9000 pixels; save it again"):
        open_photo(content)


def test_a_callers_image_is_left_as_it_was(scene: Image.Image) -> None:
    large = scene.resize((3000, 1500))
    large.info["exif"] = Image.Exif().tobytes()
    open_photo(large)
    assert large.size == (3000, 1500) and large.info.keys() == {"exif"}


def test_too_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocess, "MAX_BYTES", 1000)
    content = noise("PNG")
    path = tmp_path / "big.png"
    path.write_bytes(content)
    for photo in (content, path):
        with pytest.raises(ValueError, match="MB are read, make it smaller first"):
            open_photo(photo)


@pytest.mark.parametrize("orientation", STORED)
def test_a_part_is_that_of_the_upright_photo(scene: Image.Image, orientation: int) -> None:
    turn = STORED[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = scene if turn is None else scene.transpose(turn)
    part = open_photo(encode(stored, "PNG", exif=exif), (0.0, 0.5, 0.5, 1.0))
    assert difference(part, scene.crop((32, 0, 64, 16))) == 0


def test_a_part_is_cut_out_before_scaling() -> None:
    """A fine pattern in a corner of a large photo, which scaling the whole would smear."""
    photo = Image.new("RGB", (4000, 3000))
    tile = Image.fromarray(np.indices((400, 400)).sum(axis=0).astype(np.uint8) // 8 % 2 * 255)
    photo.paste(tile, (3600, 2600))
    for form in ("PNG", "JPEG"):
        part = open_photo(encode(photo, form), (2600 / 3000, 0.9, 1.0, 1.0))
        assert part.size == (400, 400)
        assert difference(part, tile.convert("RGB")) < 3


@pytest.mark.parametrize(
    "box", [(0.5, 0, 0.5, 1), (-0.1, 0, 1, 1), (0, 0, 1, 1.1), (0, 0.9, 1, 0.1), (0, 0, 0.2, 1)]
)
def test_a_part_that_is_none_is_refused(
    scene: Image.Image, box: tuple[float, float, float, float]
) -> None:
    with pytest.raises(ValueError, match="expected"):
        open_photo(scene, box)
