"""Any photo to an upright RGB picture, and that picture to the model's input.

This is the only place where photos are decoded for evaluation, command line and page, and where
they are scaled and normalised. Training adds augmentation to it and nothing else.
"""

from __future__ import annotations

import io
import math
import re
import time
from os import PathLike
from pathlib import Path
from typing import Union

import numpy as np
import pillow_heif
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

pillow_heif.register_heif_opener()

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "BMP", "TIFF", "GIF")
MAX_BYTES = 30_000_000
MAX_PIXELS = 100_000_000
MIN_SIDE, MAX_SIDE = 16, 65_535
MAX_SECONDS = 3.0  # of the processor's time for decoding; an ordinary photo takes a tenth of one
DISPLAY_SIDE = 1024  # longest side of the photo that is kept for showing
MEAN, STD = 0.5, 0.25

EXIF_ORIENTATION = 0x0112
UPRIGHT = {  # what an orientation asks of a viewer
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What files that mean harm make Pillow do at length. None of it is in a camera's photo.
MAX_EXIF = 1 << 16  # bytes of metadata, which a JPEG cannot exceed in one piece
MAX_TILE = 1 << 24  # pixels of a TIFF's tile
MAX_READINGS = 4  # how often all bytes of a file may be read

_EXIF = re.compile(rb"(\xff\xe1..)Exif\0\0", re.DOTALL)  # a piece of metadata in a JPEG
_INDEX = re.compile(rb"(\xff\xe2..)MPF\0", re.DOTALL)  # of the further pictures in a JPEG

Photo = Union[Image.Image, np.ndarray, str, PathLike, bytes]  # noqa: UP007  (isinstance-free alias)
Box = tuple[float, float, float, float]  # top, left, bottom, right: shares of height and width
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


def open_photo(photo: Photo, box: Box = WHOLE) -> Image.Image:
    """Decode a photo: first frame, upright, RGB, longest side at most `DISPLAY_SIDE`.

    The result is rebuilt from pixels and carries no metadata. Transparent parts become white.

    Args:
        photo: a PIL image; an array (H, W, 3) or (H, W) of uint8; a path; or a file's bytes.
        box: the part of the upright photo to return, cut out before scaling, so that a small spot
            of a large photo keeps its detail.

    Raises:
        FileNotFoundError: the path does not exist.
        ValueError: not a photo that can be read, or a part that is too small or not within it;
            says what was got and what is expected.
    """
    top, left, bottom, right = box
    if not (0 <= top < bottom <= 1 and 0 <= left < right <= 1):
        raise ValueError(
            f"got the part {box} of a photo; expected top, left, bottom, right in 0..1, in order"
        )
    if isinstance(photo, np.ndarray):
        photo = _from_array(photo)
    content = b"" if isinstance(photo, Image.Image) else _read(photo)
    try:
        if isinstance(photo, Image.Image):
            _check_size(photo.size)
            return _upright_rgb(photo.copy(), box)
        with Image.open(_Rationed(_lean(content)), formats=FORMATS) as image:
            _check_size(image.size)
            _check_tile(image)
            if image.format == "JPEG":  # a few passes over the photo, between looks at the time
                image.decodermaxblock = 1 << 12
            # JPEG only: decode at a fraction of the size when that still covers what we keep.
            side = math.ceil(DISPLAY_SIDE / max(bottom - top, right - left))
            image.draft("RGB", (side, side))
            return _upright_rgb(image, box)
    except UnidentifiedImageError:
        raise ValueError(
            f"the file is not a photo that can be read; expected one of {', '.join(FORMATS)}"
        ) from None
    except Image.DecompressionBombError:
        raise ValueError(
            f"the photo has too many pixels; at most {MAX_PIXELS // 1_000_000} megapixels are "
            "read, make it smaller first"
        ) from None
    except _RefusedError:
        raise
    except Exception as error:  # decoders raise many types on damaged files
        raise ValueError(
            f"the photo is damaged and cannot be read ({type(error).__name__}); save it again"
        ) from None


def square(image: Image.Image, size: int) -> np.ndarray:
    """Scale an RGB photo to (size, size, 3) uint8.

    The whole photo is squeezed into the square: nothing is cut off, so no part is silently
    ignored and the attention grid lies over the whole photo. Training varies the aspect ratio.
    """
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0))


def normalise(pixels: Tensor) -> Tensor:
    """(B, S, S, 3) uint8 to (B, 3, S, S) float32 with roughly zero mean and unit variance."""
    return (pixels.permute(0, 3, 1, 2).float() / 255 - MEAN) / STD


def to_input(image: Image.Image, size: int) -> Tensor:
    """An RGB photo to the model's input (1, 3, size, size)."""
    return normalise(torch.from_numpy(square(image, size).copy()).unsqueeze(0))


class _RefusedError(ValueError):
    """Our own refusal, told apart from what decoders raise."""


class _Rationed(io.BytesIO):
    """A photo file that is read for so long, and so much of it, and no more.

    A small file can ask for hours: by millions of empty parts, by passes over the whole photo, by
    tags that all hold the same megabytes. Its reader comes here for each of them.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._left = MAX_READINGS * len(content) + MAX_EXIF
        self._end = time.thread_time() + MAX_SECONDS

    def read(self, size: int | None = -1, /) -> bytes:
        part = super().read(size)
        self._left -= len(part)
        if self._left < 0 or time.thread_time() > self._end:
            raise _RefusedError(
                "the photo takes too long to read; save it again, as a JPEG of ordinary size"
            )
        return part


def _lean(content: bytes) -> bytes:
    """A JPEG without an index of further pictures, and with one piece of metadata at most.

    Pillow reads both while it opens the file, every tag of them whatever its size, and joins all
    pieces of metadata before. Any other file stays as it is.
    """
    if not content.startswith(b"\xff\xd8"):
        return content
    content = _INDEX.sub(rb"\1\0\0\0\0", content)
    first = _EXIF.search(content)
    if first is None:
        return content
    return content[: first.end()] + _EXIF.sub(rb"\1\0\0\0\0\0\0", content[first.end() :])


def _read(photo: object) -> bytes:
    if isinstance(photo, bytes | bytearray | memoryview):
        content = bytes(photo)
    elif isinstance(photo, str | PathLike):
        path = Path(photo)
        if not path.is_file():
            raise FileNotFoundError(f"no photo at {path}; give the path of an image file")
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(_too_many_bytes(path.stat().st_size))
        content = path.read_bytes()
    else:
        raise ValueError(
            f"got a {type(photo).__name__} as photo; "
            "give a PIL image, a uint8 array, a path or a file's bytes"
        )
    if not content:
        raise ValueError("the photo is an empty file; save or upload it again")
    if len(content) > MAX_BYTES:
        raise ValueError(_too_many_bytes(len(content)))
    return content


def _orientation(image: Image.Image) -> int | None:
    """How the camera was held, as EXIF counts it. The photo has to be loaded."""
    exif = image.info.get("exif")
    if exif is not None:
        image.info["exif"] = exif[:MAX_EXIF]
    image.info.pop("Raw profile type exif", None)  # the same, as ImageMagick once put it in a PNG
    found = image.getexif().get(EXIF_ORIENTATION)
    return found if isinstance(found, int) else None


def _upright_rgb(image: Image.Image, box: Box) -> Image.Image:
    """The part ``box`` of a photo. No copy is made without need: one may take 400 MB."""
    image.load()
    _check_size(image.size)  # which decoding may change
    turn = UPRIGHT.get(_orientation(image) or 0)
    if turn is not None:
        image = image.transpose(turn)
    if box != WHOLE:
        top, left, bottom, right = box
        width, height = image.size
        image = image.crop(
            (round(left * width), round(top * height), round(right * width), round(bottom * height))
        )
        _check_size(image.size)
    if image.mode.startswith(("I", "F")):  # 16- and 32-bit greyscale: scale to 8 bits
        # What follows takes many bytes a pixel, so it is made smaller first.
        image.thumbnail((2 * DISPLAY_SIDE,) * 2, Image.Resampling.BOX, reducing_gap=None)
        values = np.asarray(image, dtype=np.float64)
        values = np.nan_to_num(values, posinf=0, neginf=0)
        low, high = float(values.min()), float(values.max())
        image = Image.fromarray(((values - low) / max(high - low, 1e-9) * 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        clear = image if image.mode in ("RGBA", "LA") else image.convert("RGBA")
        image = Image.new("RGB", clear.size, "white")
        image.paste(clear, mask=clear)
    if image.mode != "RGB":
        image = image.convert("RGB")
    image.thumbnail((DISPLAY_SIDE, DISPLAY_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    clean = Image.new("RGB", image.size, None)  # None: not filled first
    clean.paste(image)  # pixels alone: no EXIF, no GPS, no comments
    return clean


def _from_array(array: np.ndarray) -> Image.Image:
    grey_or_rgb = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    if array.dtype != np.uint8 or not grey_or_rgb or array.size == 0:
        raise ValueError(
            f"got an array of shape {array.shape} and type {array.dtype}; "
            "expected (height, width, 3) or (height, width) of uint8 in 0..255"
        )
    return Image.fromarray(array)


def _check_size(size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise _RefusedError(
            f"the photo has {size[0]} x {size[1]} pixels; at most {MAX_PIXELS // 1_000_000} "
            "megapixels are read, make it smaller first"
        )
    if min(size) < MIN_SIDE or max(size) > MAX_SIDE:
        raise _RefusedError(
            f"the photo has {size[0]} x {size[1]} pixels; expected at least {MIN_SIDE} and at most "
            f"{MAX_SIDE} on each side"
        )


def _check_tile(image: Image.Image) -> None:
    """A TIFF may lie in tiles far larger than itself, and a whole tile is unpacked at once."""
    tags = getattr(image, "tag_v2", {})
    width, height = tags.get(322, 1), tags.get(323, 1)
    if width * height > max(MAX_TILE, image.width * image.height):
        raise _RefusedError(
            f"the photo lies in tiles of {width} x {height} pixels; save it again, without tiles"
        )


def _too_many_bytes(size: int) -> str:
    return (
        f"the photo file has {size / 1e6:.0f} MB; at most {MAX_BYTES // 1_000_000} MB are read, "
        "make it smaller first"
    )
