"""Photos that are no photos: can any file make the decoder fail, hang or eat the memory?

    python -m benchmarks.photos
    python -m benchmarks.photos --files 700 --only GIF

Files drawn by code, of every format that `dermmm.preprocess` reads, are mutated: cut, bits flipped,
parts swapped, doubled or left out, spliced with other files, given another extension. Beside them
stand files that are no photos, and bombs: small files made to cost much. Each is read in a process
of its own kind, which may take so much memory and no more, and is killed after so many seconds. It
has to become a photo, or the one error that `open_photo` promises, a ValueError; some photos also
go through the shipped model. About ten minutes on two cores, on Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import multiprocessing.connection
import os
import random
import resource
import signal
import struct
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image, ImageCms, ImageDraw, PngImagePlugin
from tqdm import tqdm

from benchmarks import record
from dermmm.preprocess import DISPLAY_SIDE, FORMATS, open_photo

pillow_heif.register_heif_opener()

FILES = 42_000  # mutated ones, as many of each format
SECONDS = 5  # of the processor's time, after which a file counts as a hang
WAIT = 60  # seconds by the clock, after which it counts as one too
MEGABYTES = 2_000  # over what the process holds before it reads a file
PREDICTED = 40  # one in so many photos is also answered by the model
SUFFIXES = (".jpg", ".png", ".webp", ".heic", ".bmp", ".tif", ".gif", ".txt", "")

NO_PHOTO = "no photo"  # the format of files that are none
BOMB = "bomb"


@dataclass(frozen=True)
class Found:
    """What became of one file."""

    name: str
    form: str  # one of `FORMATS`, NO_PHOTO or BOMB
    outcome: str  # photo, refused, or what should never be
    seconds: float  # of the processor's time
    megabytes: float  # the process's peak while it read the file, over what it held before


# --- files drawn by code --------------------------------------------------------------------------


def drawing(width: int = 96, height: int = 72) -> Image.Image:
    """Skin with a dark spot and some noise."""
    rng = np.random.default_rng(0)
    image = Image.new("RGB", (width, height), (224, 172, 150))
    ImageDraw.Draw(image).ellipse(
        (width // 2, height // 6, width - 4, height // 2), fill=(90, 50, 40)
    )
    noise = rng.integers(-12, 13, (height, width, 3))
    return Image.fromarray((np.asarray(image).astype(int) + noise).clip(0, 255).astype(np.uint8))


def encoded(
    image: Image.Image, form: str, frames: Sequence[Image.Image] = (), **kind: Any
) -> bytes:
    file = io.BytesIO()
    if frames:
        kind |= {"save_all": True, "append_images": [frame.copy() for frame in frames]}
    image.copy().save(file, form, **kind)  # copies, since saving leaves its settings in an image
    return file.getvalue()


def exif(orientation: int = 1, wild: bool = False) -> bytes:
    """Metadata of a camera; wild: of wrong types, wrong sizes and out of range."""
    data = Image.Exif()
    data[0x0112] = orientation
    data[0x010E] = "a" * 300
    data[0x8825] = {1: "N", 2: (47.0, 22.0, 1e9)}
    packed = data.tobytes()
    if not wild:
        return packed
    entries = [
        struct.pack("<HHLL", tag, kind, count, offset)
        for tag, kind, count, offset in (
            (0x0100, 4, 1, 2**32 - 1),
            (0x010E, 2, 2**31, 8),
            (0x0112, 3, 60_000, 0),
            (0x0112, 12, 1, 8),
            (0x011A, 5, 1, 10**9),
            (0x8769, 4, 1, 8),  # a directory that holds itself
            (0x8825, 4, 1, 8),
            (0xFFFF, 13, 7, 3),
        )
    ]
    body = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return b"Exif\0\0II*\0" + struct.pack("<L", 8) + body


def seeds() -> dict[str, list[bytes]]:
    """Sound files by format: every mode, kind of packing and sort of metadata that is common."""
    photo = drawing()
    grey, clear = photo.convert("L"), photo.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(photo.size))
    palette, cmyk = photo.quantize(32), photo.convert("CMYK")
    deep = Image.fromarray(np.linspace(0, 65535, 72 * 96).reshape(72, 96).astype(np.uint16))
    real = Image.fromarray(np.linspace(-1, 9, 72 * 96, dtype=np.float32).reshape(72, 96))
    whole = Image.fromarray(np.linspace(0, 2e9, 72 * 96).reshape(72, 96).astype(np.int32))
    frames = [photo.rotate(turn) for turn in (90, 180)]
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "drawn by code " * 20, zip=True)
    notes.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    several = {"frames": frames}
    tiny = [Image.new("RGB", size, (224, 172, 150)) for size in ((1, 1), (1, 300), (17, 16))]
    turned = [exif(orientation) for orientation in range(1, 9)]
    packing = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma")

    def save(
        form: str, *kinds: tuple[Image.Image, dict[str, Any]], more: Sequence[bytes] = ()
    ) -> list[bytes]:
        plain: list[tuple[Image.Image, dict[str, Any]]] = [(image, {}) for image in tiny]
        return [*(encoded(image, form, **kind) for image, kind in (*kinds, *plain)), *more]

    return {
        "JPEG": save(
            "JPEG",
            *((photo, {"exif": data}) for data in (*turned, exif(wild=True))),
            (photo, {"progressive": True, "quality": 95, "subsampling": 0}),
            (photo, {"icc_profile": profile, "comment": b"drawn by code"}),
            (photo, {"restart_marker_rows": 1}),
            (cmyk, {}),
            (grey, {}),
            more=[encoded(photo, "MPO", **several)],
        ),
        "PNG": save(
            "PNG",
            *((photo, {"exif": data}) for data in (*turned[4:6], exif(wild=True))),
            (photo, {"pnginfo": notes, "icc_profile": profile}),
            (photo, several),
            *((image, {}) for image in (grey, clear, palette, deep, photo.convert("1"))),
            (palette, {"transparency": 3, "bits": 8}),
            (clear.convert("LA"), {}),
        ),
        "WEBP": save(
            "WEBP",
            (photo, {"exif": turned[5], "icc_profile": profile}),
            (photo, {"exif": exif(wild=True)}),
            (photo, {"lossless": True}),
            (photo, several),
            (clear, {}),
            (clear, {"lossless": True}),
        ),
        "HEIF": save(
            "HEIF",
            (photo, {"exif": turned[5], "icc_profile": profile}),
            (photo, {"exif": exif(wild=True)}),
            (photo, several),
            (clear, {}),
            (grey, {}),
        ),
        "BMP": save(
            "BMP",
            *((image, {}) for image in (photo, grey, clear, palette, photo.convert("1"))),
            more=[run_length_bmp(64, 48, b"\x40\x05" * 48)],
        ),
        "TIFF": save(
            "TIFF",
            *((photo, {"compression": kind}) for kind in packing),
            (photo, {"exif": turned[5], "icc_profile": profile, "big_tiff": True}),
            (photo, several),
            *((image, {}) for image in (grey, clear, palette, cmyk, deep, real, whole)),
            (photo.convert("1"), {"compression": "group4"}),
            (photo.convert("YCbCr"), {"compression": "jpeg"}),
            (photo.convert("LAB"), {}),
        ),
        "GIF": save(
            "GIF",
            *((image, {}) for image in (photo, grey, palette)),
            (palette, {"transparency": 3, "interlace": False, "comment": b"drawn by code"}),
            (photo, {**several, "disposal": 2}),
        ),
    }


# --- mutations ------------------------------------------------------------------------------------


def mutated(index: int, form: str, sound: dict[str, list[bytes]]) -> bytes:
    """The mutated file of that number: the same on every machine."""
    rng = random.Random(f"{form} {index}")
    content = rng.choice(sound[form])
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        content = rng.choice(MUTATIONS)(rng, content, sound)
    return content


def _cut(rng: random.Random, content: bytes, _: object) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _flip(rng: random.Random, content: bytes, _: object) -> bytes:
    changed = bytearray(content or b"\0")
    for _ in range(rng.choice((1, 2, 8, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _number(rng: random.Random, content: bytes, _: object) -> bytes:
    """A number in the head of the file, where sizes and counts stand, becomes an extreme one."""
    at, value = rng.randrange(min(len(content), 200) + 1), rng.choice((0, 1, 255, 30_000, 2**31))
    packed = struct.pack(rng.choice((">H", "<H")), value & 0xFFFF)
    if rng.random() < 0.5:
        packed = struct.pack(rng.choice((">L", "<L")), rng.choice((value, 2**32 - 1)))
    return content[:at] + packed + content[at + len(packed) :]


def _chunks(rng: random.Random, content: bytes, _: object) -> bytes:
    """Parts of the file, where its format has them, are swapped, doubled or left out."""
    parts = pieces(content)
    one, two = rng.randrange(len(parts)), rng.randrange(len(parts))
    match rng.randrange(4):
        case 0:
            parts[one], parts[two] = parts[two], parts[one]
        case 1:
            parts.insert(one, parts[two])
        case 2:
            del parts[one]
        case 3:
            parts[one] *= rng.choice((2, 3, 200))
    return b"".join(parts)


def _sound_sums(rng: random.Random, content: bytes, _: object) -> bytes:
    """Bits are flipped within parts, and a PNG's sums are set right again, to come deeper."""
    parts = pieces(content)
    at = rng.randrange(len(parts))
    parts[at] = _flip(rng, parts[at], None)
    if content.startswith(b"\x89PNG") and at > 0 and len(parts[at]) >= 12:
        parts[at] = _png_chunk(parts[at][4:8], parts[at][8:-4])
    return b"".join(parts)


def _splice(rng: random.Random, content: bytes, sound: dict[str, list[bytes]]) -> bytes:
    """The head of one file and the tail of another, of the same format or not."""
    other = rng.choice(sound[rng.choice(list(sound))])
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other)) :]


def _polyglot(rng: random.Random, content: bytes, _: object) -> bytes:
    """Something else before, within or after the photo."""
    other = rng.choice(
        (b"<html><script>window.hit=1</script>", b"PK\x03\x04" + bytes(40), b"%PDF-1.7\n", b"MZ")
    )
    at = rng.choice((0, rng.randrange(len(content) + 1), len(content)))
    return content[:at] + other + content[at:]


def _noise(rng: random.Random, content: bytes, _: object) -> bytes:
    at = rng.randrange(len(content) + 1)
    new = rng.randbytes(rng.choice((1, 4, 100, 4000)))
    return content[:at] + new + content[at + rng.choice((0, len(new))) :]


MUTATIONS: tuple[Callable[[random.Random, bytes, Any], bytes], ...] = (
    *(_cut, _flip, _number, _chunks, _sound_sums, _splice, _polyglot, _noise),
)


def pieces(content: bytes) -> list[bytes]:
    """A file in the parts that its format has; in even parts where it has none, or is broken."""
    with contextlib.suppress(struct.error, IndexError):
        if content.startswith(b"\x89PNG"):
            return _parts(content, 8, lambda at: 12 + struct.unpack_from(">L", content, at)[0])
        if content.startswith(b"\xff\xd8"):
            return _parts(content, 2, lambda at: 2 + struct.unpack_from(">H", content, at + 2)[0])
        if content.startswith(b"RIFF"):
            size = struct.Struct("<L")
            return _parts(
                content, 12, lambda at: 8 + (size.unpack_from(content, at + 4)[0] + 1) // 2 * 2
            )
        if content[4:8] == b"ftyp":
            return _parts(content, 0, lambda at: max(8, struct.unpack_from(">L", content, at)[0]))
    step = max(1, len(content) // 12)
    return [content[at : at + step] for at in range(0, len(content), step)] or [b""]


def _parts(content: bytes, start: int, size: Callable[[int], int]) -> list[bytes]:
    parts, at = [content[:start]] if start else [], start
    while at < len(content) - 3 and len(parts) < 100:
        end = at + size(at)
        parts.append(content[at:end])
        at = end
    return [*parts, content[at:]]


# --- what is no photo, and bombs ------------------------------------------------------------------


def no_photos() -> dict[str, bytes]:
    """Files that are sent as photos and are none."""
    photo = drawing()
    rng = random.Random(0)
    svg = "<svg xmlns='http://www.w3.org/2000/svg'><script>window.hit=1</script></svg>"
    return {
        "empty": b"",
        "svg": svg.encode(),
        "svg, utf-16": svg.encode("utf-16"),
        "html": b"<!doctype html><img src=x onerror=window.hit=1>",
        "script": b"#!/bin/sh\ntouch hit\n",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n%%EOF\n",
        "program": b"\x7fELF\x02\x01\x01" + bytes(200),
        "text": "das ist kein Foto, это не фото".encode() * 50,
        **{kind.lower(): encoded(photo, kind) for kind in ("ICO", "PDF", "PPM", "TGA", "JPEG2000")},
        **{f"noise {n}": rng.randbytes(n) for n in (1, 12, 300, 100_000)},
        **{f"zeros {n}": bytes(n) for n in (1, 300, 100_000)},
        **{
            f"{kind!r} and noise": kind + rng.randbytes(5000)
            for kind in (
                b"\xff\xd8\xff",
                b"\x89PNG\r\n\x1a\n",
                b"GIF89a",
                b"BM",
                b"II*\0",
                b"MM\0*",
            )
        },
        "webp and noise": b"RIFF\x88\x13\0\0WEBPVP8 " + rng.randbytes(5000),
        "heic and noise": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + rng.randbytes(5000),
    }


def bombs(full: bool = True) -> Iterator[tuple[str, bytes]]:
    """Files that cost far more than they weigh, or would if they were believed.

    Args:
        full: also those that are as large as is read at all, and take seconds to make.
    """
    yield from _claims()
    side, count = (10_000, 400_000) if full else (1500, 20_000)
    for mode, depth in (("RGB", 8), ("RGBA", 8), ("LA", 8), ("L", 16), ("RGB", 16), ("P", 8)):
        yield f"PNG {mode} of {depth} bits, {side} x {side}", flat_png(mode, depth, side)
    yield f"PNG of {5 * count} empty chunks", many_chunks(5 * count)
    for note in ("zTXt", "iTXt", "iCCP"):
        yield f"PNG with 200 MB in its {note}", packed_note(note.encode(), 200_000_000)
    scans = 20_000 if full else 400
    yield f"JPEG of {scans:,} scans", many_scans(4000 if full else 800, scans)
    yield f"JPEG, progressive, {side} x {side}", progressive(side)
    yield "JPEG with overlapping metadata", jpeg_metadata(count // 2000, 5000)
    yield f"JPEG of {count} crumbs of metadata", jpeg_metadata(count, 1)
    yield "JPEG with an overlapping index", jpeg_index(5000 if full else 100)
    yield "PNG with overlapping metadata", png_metadata(count // 10)
    yield "TIFF with overlapping tags", overlapping_tags(count // 40)
    yield "TIFF with tags of millions of numbers", wide_tags(14 * count)
    yield "TIFF with a tile far larger than the photo", huge_tile(20_000 if full else 3000)
    for mode, kind in (("RGB", "tiff_adobe_deflate"), ("CMYK", "tiff_lzw"), ("F", "tiff_lzw")):
        flat = Image.new(mode, (side, side))
        yield f"TIFF {mode}, {kind}, {side} x {side}", encoded(flat, "TIFF", compression=kind)
    yield f"BMP of short lines, {side} x {side}", run_length_bmp(side, side, b"\x01\x05\0\0" * side)
    yield f"BMP of {count} single runs", run_length_bmp(side, side, b"\x01\x05" * count * 20)
    yield f"GIF with {count} crumbs of comment", gif_comment(count)
    yield f"GIF, {side} x {side}", encoded(Image.new("P", (side, side)), "GIF")
    yield f"WebP, {side} x {side}", encoded(Image.new("RGBA", (side, side)), "WEBP", lossless=True)
    yield "WebP, 6,000,000 x 16", wide_webp(6_000_000)
    yield (
        f"HEIC, {side // 2} x {side // 2}",
        encoded(Image.new("RGB", (side // 2, side // 2)), "HEIF", quality=10),
    )


def _claims() -> Iterator[tuple[str, bytes]]:
    """Small files that say they are 30,000 x 30,000."""
    small, size = drawing(), 30_000
    png = encoded(small, "PNG")
    head = struct.pack(">LL", size, size) + png[24:29]
    yield "PNG that claims 30,000 x 30,000", png[:8] + _png_chunk(b"IHDR", head) + png[33:]
    jpeg = bytearray(encoded(small, "JPEG"))
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, size, size)
    yield "JPEG that claims 30,000 x 30,000", bytes(jpeg)
    for form, kind, at in (("BMP", "<LL", 18), ("GIF", "<HH", 6)):
        content = bytearray(encoded(small, form))
        struct.pack_into(kind, content, at, size, size)
        yield f"{form} that claims 30,000 x 30,000", bytes(content)
    gif = bytearray(encoded(small, "GIF"))
    struct.pack_into("<HH", gif, gif.index(b",\0\0\0\0") + 5, size, size)
    yield "GIF whose frame claims 30,000 x 30,000", bytes(gif)
    webp = bytearray(encoded(small, "WEBP", exif=exif()))
    webp[24:30] = (size - 1).to_bytes(3, "little") * 2
    yield "WebP that claims 30,000 x 30,000", bytes(webp)
    heic = bytearray(encoded(small, "HEIF"))
    struct.pack_into(">LL", heic, heic.index(b"ispe") + 8, size, size)
    yield "HEIC that claims 30,000 x 30,000", bytes(heic)
    tiff = bytearray(encoded(small, "TIFF", compression="tiff_lzw"))
    for tag in (256, 257):
        entry = tiff.index(struct.pack("<HHL", tag, 3, 1))
        struct.pack_into("<HHLL", tiff, entry, tag, 4, 1, size)
    yield "TIFF that claims 30,000 x 30,000", bytes(tiff)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def _png(width: int, height: int, depth: int, colour: int, *chunks: bytes) -> bytes:
    head = _png_chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + _png_chunk(b"IEND", b"")


def flat_png(mode: str, depth: int, side: int) -> bytes:
    """A PNG of one colour, as large as its header says."""
    colour, channels = {"L": (0, 1), "RGB": (2, 3), "P": (3, 1), "LA": (4, 2), "RGBA": (6, 4)}[mode]
    packer = zlib.compressobj(1)
    line = bytes(1 + side * channels * depth // 8)
    packed = b"".join([packer.compress(line) for _ in range(side)] + [packer.flush()])
    palette = [_png_chunk(b"PLTE", bytes(768)), _png_chunk(b"tRNS", b"\x7f")] if mode == "P" else []
    return _png(side, side, depth, colour, *palette, _png_chunk(b"IDAT", packed))


def many_chunks(count: int) -> bytes:
    return _png(64, 64, 8, 0, *[_png_chunk(b"tEXt", b"a\0")] * count)


def packed_note(kind: bytes, size: int) -> bytes:
    packer = zlib.compressobj(9)
    packed = b"".join([packer.compress(bytes(10**6)) for _ in range(size // 10**6)])
    head = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}[kind]
    return _png(64, 64, 8, 0, _png_chunk(kind, head + packed + packer.flush()))


def many_scans(side: int, count: int) -> bytes:
    """A progressive JPEG of scans that hold next to nothing and go over the whole photo."""
    table = (
        b"\xff\xc4\x00\x14\x10" + bytes([1]) + bytes(15) + b"\xe0"
    )  # one code: 2^14 empty blocks
    dc = b"\xff\xc4\x00\x14\x00" + bytes([1]) + bytes(15) + b"\x00"
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, side, side, 1) + b"\x01\x11\x00"
    quant = b"\xff\xdb\x00\x43\x00" + b"\x01" * 64
    blocks = (side // 8) ** 2
    first = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00" + bytes(blocks // 8 + 1)
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00" + bytes(2 * (blocks // 2**14 + 1))
    return b"\xff\xd8" + quant + frame + dc + table + first + scan * count + b"\xff\xd9"


def progressive(side: int) -> bytes:
    return encoded(Image.new("RGB", (side, side)), "JPEG", progressive=True, subsampling=0)


def _overlapping(tags: int, size: int) -> bytes:
    """A directory whose tags all hold the same bytes of a file of that size."""
    entries = b"".join(
        struct.pack("<HHLL", 1000 + tag, 7, max(5, size - 8), 8) for tag in range(min(tags, 60_000))
    )
    return struct.pack("<H", min(tags, 60_000)) + entries + bytes(4)


def jpeg_metadata(segments: int, tags: int) -> bytes:
    """A JPEG whose metadata is spread over many segments, which Pillow joins."""
    directory = _overlapping(tags, segments * 60_000 if tags > 1 else 5)
    data = b"II*\0" + struct.pack("<L", 8) + directory
    step = 60_000 if tags > 1 else 1
    data = data.ljust(segments * step, b"\0")
    parts = [b"Exif\0\0" + data[at : at + step] for at in range(0, segments * step, step)]
    joined = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in parts)
    return b"\xff\xd8" + joined + encoded(drawing(), "JPEG")[2:]


def jpeg_index(tags: int) -> bytes:
    """A JPEG whose index of further pictures has tags that all hold the same numbers."""
    entries = b"".join(
        struct.pack("<HHLL", tag, 3, 29_000, 8) for tag in range(45_057 - tags, 45_057)
    ) + struct.pack("<HHLL", 45_057, 4, 1, 2)
    data = b"MPF\0II*\0" + struct.pack("<LH", 8, tags + 1) + entries + bytes(4)
    return (
        b"\xff\xd8\xff\xe2"
        + struct.pack(">H", len(data) + 2)
        + data
        + encoded(drawing(), "JPEG")[2:]
    )


def png_metadata(tags: int) -> bytes:
    tags = min(tags, 60_000)
    data = b"II*\0" + struct.pack("<L", 8) + _overlapping(tags, 12 * tags)
    content = encoded(drawing(), "PNG")
    return content[:33] + _png_chunk(b"eXIf", data) + content[33:]


def wide_tags(size: int) -> bytes:
    """A TIFF whose tags, where one number is expected, all hold the same millions."""
    numbers = bytes(range(256)) * (size // 256)
    wide = {258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 338, 339}
    tags = {256: 64, 257: 64} | dict.fromkeys(wide, 8)
    directory = b"".join(
        struct.pack("<HHLL", tag, 3, len(numbers) // 2 if tag in wide else 1, tags[tag])
        for tag in sorted(tags)
    )
    start = 8 + len(numbers)
    head = b"II*\0" + struct.pack("<L", start)
    return head + numbers + struct.pack("<H", len(tags)) + directory + bytes(4)


def overlapping_tags(tags: int) -> bytes:
    content = encoded(drawing(), "TIFF")
    start = struct.unpack_from("<L", content, 4)[0]
    count = struct.unpack_from("<H", content, start)[0]
    own = content[start + 2 : start + 2 + 12 * count]
    size = len(content) + 12 * tags
    more = _overlapping(tags, size)
    directory = struct.pack("<H", count + tags) + own + more[2:]
    return content[:4] + struct.pack("<L", len(content)) + content[8:] + directory


def huge_tile(side: int) -> bytes:
    """A TIFF of 64 x 64 pixels that lie in one tile of ``side`` pixels each way."""
    packer = zlib.compressobj(9)
    packed = b"".join([packer.compress(bytes(3 * side)) for _ in range(side)] + [packer.flush()])
    tags = {256: 64, 257: 64, 258: 8, 259: 8, 262: 2, 277: 3, 322: side, 323: side}
    tags |= {324: 8, 325: len(packed)}
    directory = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<L", 8 + len(packed))
    return head + packed + struct.pack("<H", len(tags)) + directory + bytes(4)


def run_length_bmp(width: int, height: int, runs: bytes) -> bytes:
    head = struct.pack("<LLLHHLLLLLL", 40, width, height, 1, 8, 1, len(runs), 1, 1, 256, 0)
    start = 14 + len(head) + 1024
    return b"BM" + struct.pack("<LLL", start + len(runs), 0, start) + head + bytes(1024) + runs


def wide_webp(width: int) -> bytes:
    """An animation whose first picture is small and whose canvas is not."""
    small = Image.new("RGB", (16, 16))
    content = bytearray(encoded(small, "WEBP", frames=[small.rotate(90), drawing(16, 16)]))
    content[24:27] = (width - 1).to_bytes(3, "little")
    return bytes(content)


def gif_comment(crumbs: int) -> bytes:
    content = encoded(drawing().quantize(4), "GIF")
    at = content.index(b",\0\0\0\0")
    return content[:at] + b"!\xfe" + b"\x01a" * crumbs + b"\0" + content[at:]


# --- reading them ---------------------------------------------------------------------------------


def outcome(photo: bytes | Path) -> str:
    """What `open_photo` makes of a file: photo, refused, or what should never be."""
    try:
        opened = open_photo(photo)
    except ValueError as error:
        return "over the memory" if "MemoryError" in str(error) else "refused"
    except MemoryError:
        return "over the memory"
    except Exception as error:
        return f"raised {type(error).__name__}"
    kept = opened.mode == "RGB" and max(opened.size) <= DISPLAY_SIDE and not opened.info
    return "photo" if kept else "not as promised"


Task = tuple[str, str, bytes]  # name, format, content


def tasks(files: int, forms: Sequence[str]) -> Iterator[Task]:
    """Everything but the bombs, in a fixed order."""
    sound = seeds()
    for form in forms:
        for place, content in enumerate(sound[form]):
            yield f"{form} as drawn {place}", form, content
        for index in range(files // len(forms)):
            yield f"{form} {index}", form, mutated(index, form, sound)
    for name, content in no_photos().items():
        yield name, NO_PHOTO, content


def examine(given: Iterator[Task], workers: int = 2, model: bool = False) -> Iterator[Found]:
    """Read files in processes that may fail without harm; in no particular order.

    Args:
        model: also have one in `PREDICTED` photos answered by the shipped model.
    """
    free = [_Worker(model) for _ in range(workers)]
    busy: list[_Worker] = []
    try:
        while True:
            while free and (task := next(given, None)) is not None:
                busy.append(worker := free.pop())
                worker.give(task)
            if not busy:
                return
            ready = multiprocessing.connection.wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in ready]:
                busy.remove(worker)
                yield worker.take()
                free.append(worker)
    finally:
        for worker in free + busy:
            worker.end()


class _Worker:
    """A process that reads one file after the other, replaced when a file kills it."""

    def __init__(self, model: bool) -> None:
        self.model = model
        self.task: Task = ("", "", b"")
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, self.model), daemon=True)
        self.process.start()
        theirs.close()
        self.pipe.recv()  # it is ready

    def give(self, task: Task) -> None:
        self.task = task
        with contextlib.suppress(BrokenPipeError):
            self.pipe.send(task)

    def take(self) -> Found:
        name, form, _ = self.task
        try:
            result, seconds, megabytes = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            code = self.process.exitcode
            hang = code in (-signal.SIGPROF, -signal.SIGALRM)
            result = "hang" if hang else f"ended the process ({code})"
            seconds, megabytes = float(SECONDS), float("nan")
            self.end()
            self._start()
        return Found(name, form, result, seconds, megabytes)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _work(pipe: Any, model: bool) -> None:
    """What a worker does: read what comes, and say what it was."""
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # C libraries tell of each broken file
    predictor = None
    if model:
        import dermmm

        predictor = dermmm.load()
        predictor.predict(drawing(), explain=False)
    for form in FORMATS:
        outcome(encoded(drawing(), form))
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    most = mapped + MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    photos = 0
    pipe.send("ready")
    with tempfile.TemporaryDirectory() as folder:
        while True:
            name, form, content = pipe.recv()
            place = zlib.crc32(name.encode())
            photo: bytes | Path = content
            if place % 4 == 0:  # as a file, whose name promises something else
                photo = Path(folder) / f"photo{SUFFIXES[place // 4 % len(SUFFIXES)]}"
                photo.write_bytes(content)
            Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
            before = _held("VmRSS")
            signal.setitimer(signal.ITIMER_PROF, SECONDS)  # no handler: it ends the process
            signal.setitimer(signal.ITIMER_REAL, WAIT)
            start = time.process_time()
            result = outcome(photo)
            seconds = time.process_time() - start
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            peak = _held("VmHWM")
            if result == "photo":
                photos += 1
                if predictor is not None and photos % PREDICTED == 0:
                    result = _predicted(predictor, photo)
            pipe.send((result, seconds, peak - before))


def _predicted(predictor: Any, photo: bytes | Path) -> str:
    values = predictor.predict(photo, explain=False).probabilities
    return "photo and answer" if abs(float(values.sum()) - 1) < 1e-5 else "photo without answer"


def _held(what: str) -> float:
    """Memory of this process in megabytes: VmRSS, now, or VmHWM, at most."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{what}:")[2].split(maxsplit=1)[0]) / 1024


# --- the whole run --------------------------------------------------------------------------------

KEPT = ("photo", "photo and answer", "refused")


def summary(found: Sequence[Found]) -> tuple[list[record.Row], list[record.Table]]:
    """Rows and tables of what became of the files."""
    mutants = [one for one in found if one.form in FORMATS]
    slowest = max(found, key=lambda one: one.seconds)
    held = [one for one in found if one.megabytes == one.megabytes]
    hungriest = max(held, key=lambda one: one.megabytes)
    wrong = Counter(one.outcome for one in found if one.outcome not in KEPT)
    hangs, memory = wrong.pop("hang", 0), wrong.pop("over the memory", 0)
    answered = sum(one.outcome == "photo and answer" for one in found)

    def row(point: str, target: str, measured: str, bad: int) -> record.Row:
        return record.Row(point, target, measured, passed=bad == 0)

    told = "; ".join(f"{count} {what}" for what, count in wrong.items()) or "none else"
    rows = [
        row(
            "every file becomes a photo or the one clear error",
            "at least 20,000 mutated files, no other end",
            f"{len(found):,} files ({len(mutants):,} drawn and mutated), {told}",
            sum(wrong.values()) + (len(mutants) < 20_000),
        ),
        row(
            "no file takes long",
            f"under {SECONDS} s of one processor's time each",
            f"{hangs} over it; slowest {slowest.seconds:.2f} s ({slowest.name})",
            hangs,
        ),
        row(
            "no file takes much memory",
            f"under {MEGABYTES:,} MB over what the process held before",
            f"{memory} over it; most {hungriest.megabytes:,.0f} MB ({hungriest.name})",
            memory,
        ),
        record.Row("a sample of the photos is answered", "", f"{answered:,} predictions", None),
    ]
    outcomes = list(dict.fromkeys([*KEPT, *(one.outcome for one in found)]))
    counts = [
        (
            form,
            *(f"{sum(one.outcome == o for one in found if one.form == form):,}" for o in outcomes),
        )
        for form in (*FORMATS, NO_PHOTO, BOMB)
    ]
    tables = [
        record.Table("Files by format and outcome", ("format", *outcomes), tuple(counts)),
        record.Table(
            "Bombs",
            ("file", "outcome", "seconds", "MB"),
            tuple(
                (one.name, one.outcome, f"{one.seconds:.2f}", f"{one.megabytes:,.0f}")
                for one in found
                if one.form == BOMB
            ),
            note="MB: the peak of the process while it read the file, over what it held before.",
        ),
    ]
    return rows, tables


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=FILES, help="mutated files")
    parser.add_argument("--only", nargs="+", choices=[*FORMATS, BOMB], help="keep no record")
    options = parser.parse_args()
    start = time.monotonic()
    forms = [form for form in options.only or FORMATS if form != BOMB]
    found: list[Found] = []
    if options.only is None or BOMB in options.only:
        given = tqdm(((name, BOMB, content) for name, content in bombs()), "bombs", unit="file")
        found += examine(iter(given), workers=1)  # one, so that both cores are never full
    if forms:
        given = tqdm(tasks(options.files, forms), "files", total=options.files)
        found += examine(iter(given), model=True)
    rows, tables = summary(found)
    for one in found:
        if one.outcome not in KEPT or one.form == BOMB:
            print(one)
    for row in rows:
        print(row.point, "|", row.measured, "|", row.passed)
    if options.only is None and options.files == FILES:
        minutes = (time.monotonic() - start) / 60
        record.save("photos", "python -m benchmarks.photos", rows, tables, minutes)


if __name__ == "__main__":
    main()
