"""The five cleaning steps: filter, normalise, deduplicate, validate, restructure.

    python -m training.clean --raw RAW --out DATA [--sources pad_ufes_20 milk10k ...]

In: one folder a source below RAW, as published. Out, below DATA:

    image_only/<split>/<condition or unmapped>/<id>.jpg      photos without a word about them
    img_text/<split>/<condition or unmapped>/<id>.jpg, .txt  photos with descriptions, one a line
    text_only/<split>/<condition>/<id>.txt                   descriptions without a photo
    synthetic/                                               filled by later stages
    manifest.csv  dropped.csv  datasheet.md  datasheet.json  fingerprint.json  photos.csv

``STEPS`` lists what happens, in order. Each step takes the items that are left and returns those
it keeps, and what it drops with the reason. Takes about two minutes for 18,000 photos on two
cores; a second run with the same inputs does nothing. No GPU is used.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import ftfy
import imagehash
import numpy as np
import pandas as pd
import pandera.pandas as pa
from datasketch import MinHash, MinHashLSH
from PIL import Image, ImageOps
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from dermmm.conditions import NAMES
from dermmm.preprocess import DISPLAY_SIDE, open_photo
from training import splits
from training.sources import READERS
from training.sources.row import Row
from training.stage import telling_of_a_full_disk, write_whole
from training.unstructure import texts

MIN_SIDE = 64  # pixels; below, a photo shows nothing that can be learned
SHORT_SIDE = 224  # pixels; what the models see, and no more
MIN_CONTRAST = 3.0  # standard deviation of grey levels 0..255; the flattest real photo has 4.9
QUALITY = 95  # JPEG, where a photo must be written anew

# Near-duplicates, chosen by looking at pairs. The perceptual hash alone takes any two dark spots
# in the middle of skin for the same photo: at distance 4 it already chains 49 lesions. So it
# proposes pairs, and the correlation of their fine texture decides. Unrelated pairs have less than
# 0.15, the same photo cropped, recompressed or stamped with a watermark 0.2 to 1. Photos through a
# dermoscope share its round frame and reach 0.35 by that alone. From distance 14 on, photos that
# share a white or grey border come in.
HASH_DISTANCE = 12  # of 64 bits
TEXTURE_SIDE = 96  # pixels
TEXTURE_SHIFT = 8  # pixels of TEXTURE_SIDE
SAME_TEXTURE = 0.2
SAME_TEXTURE_DERMOSCOPIC = 0.4
SAME_TEXT = 0.8  # Jaccard similarity of five-character shingles

TRAIN_TEXTS, HELD_OUT_TEXTS = 6, 1
LABEL_MAP = Path(__file__).with_name("label_map.csv")
MANIFEST_COLUMNS = [
    "id", "source", "group", "split", "modality", "photo", "photo_kind", "fields", "label",
    "condition", "targets", "skin_type", "licence", "sha256", "n_texts", "text_path",
]  # fmt: skip


@dataclass(frozen=True)
class Config:
    """``raw`` holds a folder a source; ``frozen`` is drawn and written where it does not exist."""

    raw: Path
    out: Path
    sources: tuple[str, ...] = tuple(READERS)
    frozen: Path = splits.FROZEN
    seed: int = 0
    workers: int = 2


@dataclass(frozen=True)
class Photo:
    """What one look at a photo tells. ``sha256`` is of its upright, bounded RGB pixels.

    ``hash`` and ``mirrored`` are 64-bit perceptual hashes as 16 hex digits; ``error`` is "" for a
    photo that can be read; ``as_is`` tells that its file can be copied byte for byte.
    """

    path: Path
    error: str = ""
    side: int = 0
    contrast: float = 0.0
    sha256: str = ""
    hash: str = ""
    mirrored: str = ""
    as_is: bool = False


@dataclass(frozen=True)
class Item:
    """A row on its way through the steps; each fills in what it finds out."""

    row: Row
    photo: Photo | None = None
    text: str = ""
    condition: str = ""
    targets: Mapping[str, float] = dataclasses.field(default_factory=dict)
    group: str = ""
    split: str = ""
    texts: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.row.id

    @property
    def sha256(self) -> str:
        """Of the photo, else of the free text; "" for fields alone: two patients may share them."""
        if self.photo:
            return self.photo.sha256
        return hashlib.sha256(self.text.encode()).hexdigest() if self.text else ""

    @property
    def modality(self) -> str:
        if not self.photo:
            return "text_only"
        return "img_text" if self.texts else "image_only"

    @property
    def stem(self) -> str:
        """The output path without suffix, relative to the output folder."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", self.id)
        folder = re.sub(r"[^a-z]+", "-", self.condition) or "unmapped"
        return f"{self.modality}/{self.split}/{folder}/{name}"


@dataclass(frozen=True)
class Dropped:
    id: str
    step: str
    reason: str


Step = Callable[[list[Item], Config], tuple[list[Item], list[Dropped]]]


# 1. filter ---------------------------------------------------------------------------------------


def filter_items(items: list[Item], config: Config) -> tuple[list[Item], list[Dropped]]:
    """Drop what cannot be read, shows nothing, says nothing, or is called unusable."""

    def reason(item: Item) -> str:
        if item.row.unusable:
            return f"called unusable: {item.row.unusable}"
        if item.photo is None:
            return "" if item.row.text or item.row.fields else "neither photo nor words"
        if item.photo.error:
            return f"unreadable: {item.photo.error}"
        if item.photo.side < MIN_SIDE:
            return f"tiny: short side below {MIN_SIDE} pixels"
        return "blank photo" if item.photo.contrast < MIN_CONTRAST else ""

    return _part(items, "filter", {item.id: reason(item) for item in items})


# 2. normalise ------------------------------------------------------------------------------------


def normalise(items: list[Item], config: Config) -> tuple[list[Item], list[Dropped]]:
    """Repair free text, and translate published labels to conditions.

    Photos are made upright RGB and bounded by `bounded`, when looked at and when written.
    """
    label_map = read_label_map()
    done, reasons = [], {}
    for item in items:
        row = item.row
        published = row.label_weights or {row.label: 1.0}
        condition, targets = condition_of(row.source, published, label_map)
        text = " ".join(ftfy.fix_text(row.text).split())
        done.append(dataclasses.replace(item, text=text, condition=condition, targets=targets))
        if targets and not condition:
            reasons[row.id] = "labels disagree: conditions hold at most half of the weight"
        elif not item.photo and not condition:
            reasons[row.id] = "no condition, and no photo to learn from without one"
    return _part(done, "normalise", reasons)


def condition_of(
    source: str, published: Mapping[str, float], label_map: Mapping[tuple[str, str], str]
) -> tuple[str, dict[str, float]]:
    """The condition that published labels mean, and their weights over conditions.

    The weights of mapped labels are summed and scaled to 1. The condition is the heaviest, the
    first listed among equals, if mapped labels hold more than half of all weight; else "".
    """
    targets: dict[str, float] = defaultdict(float)
    for label, weight in published.items():
        if (source, label) in label_map:
            targets[label_map[source, label]] += weight
    mapped, total = sum(targets.values()), sum(published.values())
    if not mapped:
        return "", {}
    scaled = {name: weight / mapped for name, weight in targets.items()}
    # the first key among equals wins, and keys keep the published order
    top = max(scaled, key=lambda name: round(scaled[name], 6))
    return (top if mapped > total / 2 else ""), scaled


@cache
def read_label_map() -> dict[tuple[str, str], str]:
    """(source, published label) -> condition."""
    table = pd.read_csv(LABEL_MAP, dtype=str, keep_default_na=False)
    keys = zip(table["source"], table["source_label"], strict=True)
    return dict(zip(keys, table["condition"], strict=True))


def bounded(image: Image.Image) -> Image.Image:
    """Shrink an upright RGB photo to a short side of at most ``SHORT_SIDE``; never enlarge."""
    scale = SHORT_SIDE / min(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


# 3. deduplicate ----------------------------------------------------------------------------------


def deduplicate(items: list[Item], config: Config) -> tuple[list[Item], list[Dropped]]:
    """Keep one of identical photos or texts, drop contradictions, and group what belongs together.

    A group is what published groups (patient, lesion, case) and near-duplicates join. A cluster of
    near-duplicates whose published labels mean different conditions is dropped whole: one of its
    labels is wrong, and nobody knows which.
    """
    pairs = [*near_photos(items, config.workers), *near_texts(items)]
    cluster = _components(len(items), pairs)
    by_group: dict[str, int] = {}
    same_group = [(by_group.setdefault(item.row.group_id, i), i) for i, item in enumerate(items)]
    component = _components(len(items), [*pairs, *same_group])

    claims: dict[int, set[str]] = {}
    names: dict[int, str] = {}
    for item, number, joint in zip(items, cluster, component, strict=True):
        if item.row.label:  # without a published label, a row contradicts nobody
            claims.setdefault(number, set()).add(item.condition)
        names[joint] = min(names.get(joint, item.row.group_id), item.row.group_id)

    reasons: dict[str, str] = {}
    first: dict[str, str] = {}
    for item, number in sorted(zip(items, cluster, strict=True), key=lambda pair: pair[0].id):
        if len(claims.get(number, ())) > 1:
            meant = ", ".join(sorted(name or "unmapped" for name in claims[number]))
            reasons[item.id] = f"near-duplicates labelled as different conditions: {meant}"
        elif item.sha256 and first.setdefault(item.sha256, item.id) != item.id:
            reasons[item.id] = f"the same photo or text as {first[item.sha256]}"
    grouped = [
        dataclasses.replace(item, group=names[joint])
        for item, joint in zip(items, component, strict=True)
    ]
    return _part(grouped, "deduplicate", reasons)


def near_photos(items: Sequence[Item], workers: int) -> list[tuple[int, int]]:
    """Pairs of indices of items whose photos show the same picture, mirrored or not."""
    shown = [i for i, item in enumerate(items) if item.photo]
    photos = [items[i].photo for i in shown]
    candidates = close_hashes(
        np.array([int(photo.hash, 16) for photo in photos if photo], dtype=np.uint64),
        np.array([int(photo.mirrored, 16) for photo in photos if photo], dtype=np.uint64),
    )
    wanted = np.unique(candidates[:, :2])
    paths = [photo.path for photo in (photos[i] for i in wanted) if photo]
    textures = np.array(_parallel(texture, paths, workers, "texture"))
    place = {int(i): n for n, i in enumerate(wanted)}

    pairs = []
    for part in np.array_split(candidates, len(candidates) // 256 + 1):
        if not len(part):
            continue
        left = textures[[place[int(i)] for i in part[:, 0]]].astype(np.float32)
        right = textures[[place[int(i)] for i in part[:, 1]]].astype(np.float32)
        right = np.where(part[:, 2, None, None] == 1, right[:, :, ::-1], right)
        for (i, j, _), same in zip(part, texture_correlation(left, right), strict=True):
            a, b = items[shown[i]], items[shown[j]]
            framed = a.row.photo_kind == b.row.photo_kind == "dermoscopic"
            if same >= (SAME_TEXTURE_DERMOSCOPIC if framed else SAME_TEXTURE):
                pairs.append((shown[i], shown[j]))
    return pairs


def close_hashes(hashes: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """(C, 3) int64 rows (i, j, is_mirrored), i < j, of hashes (P,) within ``HASH_DISTANCE``."""
    found = [np.empty((0, 3), dtype=np.int64)]
    for start in range(0, len(hashes), 512):
        for is_mirrored, others in ((0, hashes), (1, mirrored)):
            distance = np.bitwise_count(hashes[start : start + 512, None] ^ others[None])
            i, j = np.nonzero(distance <= HASH_DISTANCE)
            i += start
            later = i < j
            found.append(np.column_stack([i[later], j[later], np.full(later.sum(), is_mirrored)]))
    return np.concatenate(found)


def texture(path: Path) -> np.ndarray:
    """(T, T) float16 of unit norm: a photo's fine detail, without large shapes and contrast."""
    grey = bounded(_open_again(path)).convert("L")
    side = (TEXTURE_SIDE, TEXTURE_SIDE)
    pixels = np.asarray(grey.resize(side, Image.Resampling.LANCZOS), dtype=np.float32)
    detail = pixels - gaussian_filter(pixels, 2)
    detail /= np.sqrt(gaussian_filter(detail**2, 6) + 4)
    detail -= detail.mean()
    return (detail / max(float(np.linalg.norm(detail)), 1e-6)).astype(np.float16)


def texture_correlation(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(C,) the highest correlation of textures (C, T, T) over shifts up to ``TEXTURE_SHIFT``."""
    spectrum = np.fft.rfft2(left) * np.fft.rfft2(right).conj()
    correlation = np.fft.irfft2(spectrum, s=left.shape[1:])
    near = np.r_[0:TEXTURE_SHIFT, -TEXTURE_SHIFT:0]
    return correlation[:, near][:, :, near].max(axis=(1, 2))


def near_texts(items: Sequence[Item]) -> list[tuple[int, int]]:
    """Pairs of indices of items whose free texts are nearly the same."""
    index = MinHashLSH(threshold=SAME_TEXT, num_perm=128)
    shingles: dict[int, set[str]] = {}
    pairs = []
    for i, item in enumerate(items):
        text = item.text.lower()
        if not text:
            continue
        shingles[i] = {text[k : k + 5] for k in range(max(1, len(text) - 4))}
        sketch = MinHash(num_perm=128)
        sketch.update_batch([shingle.encode() for shingle in sorted(shingles[i])])
        for j in index.query(sketch):  # the sketch proposes, the shingles decide
            both, either = shingles[i] & shingles[j], shingles[i] | shingles[j]
            if len(both) >= SAME_TEXT * len(either):
                pairs.append((j, i))
        index.insert(i, sketch)
    return pairs


def _components(n: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """(n,) number of the connected component of each node."""
    ends = np.array([*pairs], dtype=np.int64).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), (n, n))
    return connected_components(graph, directed=False)[1]


# between 3 and 4: the frozen splits --------------------------------------------------------------


def assign_splits(items: list[Item], config: Config) -> tuple[list[Item], list[Dropped]]:
    """Give every item its split, drawn once and frozen in ``config.frozen``."""
    table = pd.DataFrame(
        [(i.id, i.row.source, i.group, i.condition, i.row.label, i.sha256) for i in items],
        columns=["id", "source", "group", "condition", "label", "sha256"],
        dtype=str,
    )
    frozen = splits.read(config.frozen)
    reasons: Mapping[str, str] = {}
    if frozen is None:
        placed = table.assign(split=splits.draw(table))
        splits.freeze(placed, config.frozen)
    else:
        placed, reasons = splits.follow(table, frozen)
    kept, dropped = _part(items, "split", reasons)
    places = placed.set_index("id")[["group", "split"]].to_dict("index")
    return [
        dataclasses.replace(item, group=places[item.id]["group"], split=places[item.id]["split"])
        for item in kept
    ], dropped


# 4. validate -------------------------------------------------------------------------------------


def say(items: list[Item], config: Config) -> tuple[list[Item], list[Dropped]]:
    """Describe each item in words: variants to train on, one to choose and test with."""
    told = []
    for item in items:
        n = TRAIN_TEXTS if item.split == "train" else HELD_OUT_TEXTS
        row = dataclasses.replace(item.row, text=item.text)
        # one variant a line: a free text must not break into several
        lines = [" ".join(text.split()) for text in texts(row, n, config.seed)]
        told.append(dataclasses.replace(item, texts=tuple(line for line in lines if line)))
    silent = {item.id: "nothing to say" for item in told if not item.photo and not item.texts}
    return _part(told, "normalise", silent)


def validate(items: list[Item], config: Config) -> tuple[list[Item], list[Dropped]]:
    """Check the manifest-to-be as a whole; drops nothing.

    Raises:
        ValueError: a broken rule, with the rows that break it.
    """
    table = manifest_of(items)
    try:
        SCHEMA.validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        broken = error.failure_cases[["column", "check", "failure_case"]].drop_duplicates()
        raise ValueError(
            f"got rows that break the manifest's rules:\n{broken.head(20).to_string()}\n"
            "expected none; a reader or a step above lets them through"
        ) from error
    missing = [i.id for i in items if i.photo and not i.photo.path.is_file()]
    problems = splits.audit(table) + [f"the photo of {name} is gone" for name in missing]
    if problems:
        raise ValueError(
            f"got {len(problems)} broken rules, such as {problems[:5]}; expected none; "
            "was the raw folder, or the file of frozen splits, changed by hand?"
        )
    return items, []


SCHEMA = pa.DataFrameSchema(
    {
        "id": pa.Column(str, unique=True),
        "source": pa.Column(str, pa.Check.isin(tuple(READERS))),
        "group": pa.Column(str, pa.Check.str_length(min_value=1)),
        "split": pa.Column(str, pa.Check.isin(splits.SPLITS)),
        "modality": pa.Column(str, pa.Check.isin(("image_only", "img_text", "text_only"))),
        "photo": pa.Column(str),
        "photo_kind": pa.Column(str, pa.Check.isin(("clinical", "dermoscopic", ""))),
        "condition": pa.Column(str, pa.Check.isin((*NAMES, ""))),
        "skin_type": pa.Column(str, pa.Check.isin(("I", "II", "III", "IV", "V", "VI", ""))),
        "n_texts": pa.Column(int, pa.Check.ge(0)),
    },
    checks=[
        pa.Check(lambda t: (t["photo"] == "") == (t["modality"] == "text_only"), name="photo"),
        pa.Check(lambda t: (t["n_texts"] == 0) == (t["modality"] == "image_only"), name="texts"),
        pa.Check(lambda t: (t["condition"] != "") | (t["photo"] != ""), name="words need a label"),
        pa.Check(
            lambda t: (t["condition"] != "") | t["split"].isin(["train", "near_ood"])
            | t["group"].isin(t.loc[t["condition"] != "", "group"]),
            name="unmapped rows are not tested on",
        ),
        pa.Check(
            lambda t: (t["split"] != "near_ood") | (t["condition"] == ""), name="near_ood"
        ),
        pa.Check(lambda t: ~t["photo"].duplicated() | (t["photo"] == ""), name="one file a photo"),
    ],
)  # fmt: skip


# 5. restructure ----------------------------------------------------------------------------------


def restructure(items: list[Item], config: Config) -> tuple[list[Item], list[Dropped]]:
    """Write photos, texts and the manifest; remove files of an earlier run that are gone now."""
    out = config.out
    written: set[Path] = set()
    for item in tqdm(items, desc="write", unit="row"):
        if item.photo:
            written.add(path := out / f"{item.stem}.jpg")
            _write(path, photo_bytes(item.photo))
        if item.texts:
            written.add(path := out / f"{item.stem}.txt")
            _write(path, "".join(f"{text}\n" for text in item.texts).encode())
    for modality in ("image_only", "img_text", "text_only"):
        for path in (out / modality).rglob("*.*"):
            if path.is_file() and path not in written:
                path.unlink()
    _write(
        out / "synthetic" / "README.md", b"Texts and pairs that later stages make; none is real.\n"
    )
    _write_table(out / "manifest.csv", manifest_of(items))
    return items, []


def photo_bytes(photo: Photo) -> bytes:
    """The published file where nothing had to change, else a JPEG made anew from pixels."""
    if photo.as_is:
        return photo.path.read_bytes()
    encoded = io.BytesIO()
    bounded(_open_again(photo.path)).save(encoded, "JPEG", quality=QUALITY)
    return encoded.getvalue()


def manifest_of(items: Iterable[Item]) -> pd.DataFrame:
    """One row an item, sorted by id, with ``MANIFEST_COLUMNS``."""
    rows = [
        {
            "id": item.id,
            "source": item.row.source,
            "group": item.group,
            "split": item.split,
            "modality": item.modality,
            "photo": f"{item.stem}.jpg" if item.photo else "",
            "photo_kind": item.row.photo_kind,
            "fields": json.dumps(dict(item.row.fields), sort_keys=True),
            "label": item.row.label,
            "condition": item.condition,
            "targets": json.dumps(item.targets),
            "skin_type": item.row.skin_type,
            "licence": item.row.licence,
            "sha256": item.sha256,
            "n_texts": len(item.texts),
            "text_path": f"{item.stem}.txt" if item.texts else "",
        }
        for item in sorted(items, key=lambda item: item.id)
    ]
    return pd.DataFrame(rows, columns=MANIFEST_COLUMNS)


STEPS: tuple[tuple[str, Step], ...] = (
    ("filter", filter_items),
    ("normalise", normalise),
    ("deduplicate", deduplicate),
    ("split", assign_splits),  # before any words are made: splits do not depend on them
    ("describe", say),
    ("validate", validate),
    ("restructure", restructure),
)


# looking at photos -------------------------------------------------------------------------------


def look(path: Path) -> Photo:
    """Decode a photo once and note all that the steps need to know about it."""
    try:
        with Image.open(path) as file:
            # open_photo shrinks what is longer than DISPLAY_SIDE, so such a file changes too
            as_is = (
                file.format == "JPEG"
                and file.mode == "RGB"
                and min(file.size) <= SHORT_SIDE
                and max(file.size) <= DISPLAY_SIDE
                and not {"exif", "xmp", "comment", "photoshop"} & file.info.keys()
            )
        image = bounded(open_photo(path))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        return Photo(path, error=str(error) if isinstance(error, ValueError) else "not a photo")
    pixels = np.asarray(image)
    return Photo(
        path,
        side=min(image.size),
        contrast=round(float(np.asarray(image.convert("L")).std()), 2),
        sha256=hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest(),
        hash=str(imagehash.phash(image)),
        mirrored=str(imagehash.phash(ImageOps.mirror(image))),
        as_is=as_is,
    )


def _open_again(path: Path) -> Image.Image:
    """A photo that `look` could read. Raises ValueError where it no longer can be read."""
    try:
        return open_photo(path)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path}: {error}. It was readable when this run looked at it; run the same command "
            "again, which leaves out what it cannot read"
        ) from None


def look_at_all(paths: Sequence[Path], config: Config) -> dict[Path, Photo]:
    """`look`, remembering in ``photos.csv`` what an earlier run has seen of unchanged files."""
    memory = config.out / "photos.csv"
    columns = [field.name for field in dataclasses.fields(Photo)]
    stamps = {path: f"{path.stat().st_size}-{path.stat().st_mtime_ns}" for path in paths}
    seen: dict[Path, Photo] = {}
    if memory.is_file():
        table = pd.read_csv(memory, dtype=str, keep_default_na=False)
        table = table.astype({"side": int, "contrast": float})
        for entry in table.itertuples(index=False):
            path = config.raw / str(entry.path)
            if stamps.get(path) == entry.stamp:
                values = {name: getattr(entry, name) for name in columns}
                seen[path] = Photo(**values | {"path": path, "as_is": entry.as_is == "True"})
    new = [path for path in paths if path not in seen]
    seen |= zip(new, _parallel(look, new, config.workers, "look at photos"), strict=True)
    table = pd.DataFrame([dataclasses.asdict(seen[path]) for path in paths], columns=columns)
    table["path"] = [path.relative_to(config.raw).as_posix() for path in paths]
    table["stamp"] = [stamps[path] for path in paths]
    _write_table(memory, table)
    return seen


# the whole ---------------------------------------------------------------------------------------


def main(config: Config) -> Path:
    """Clean, and return the manifest's path.

    Raises:
        FileNotFoundError: no source's folder is in ``config.raw``.
        ValueError: a photo, or another raw file, changed while it was read.
        OSError: the disk is full.
    """
    manifest = config.out / "manifest.csv"
    stamp = config.out / "fingerprint.json"
    inputs = _inputs(config)
    if manifest.is_file() and stamp.is_file() and json.loads(stamp.read_text()) == inputs:
        print(f"{manifest} is up to date")
        return manifest
    stamp.unlink(missing_ok=True)  # until the end, nothing below `out` counts as clean
    with telling_of_a_full_disk(config.out):
        _clean(config)
        if (now := _inputs(config))["raw"] != inputs["raw"]:
            raise ValueError(
                f"files below {config.raw} were changed while they were read, so what was written "
                f"to {config.out} may be of both; run the same command again"
            )
        write_whole(stamp, json.dumps(now, indent=1) + "\n")
    return manifest


def _clean(config: Config) -> None:
    rows = list(_read(config))
    config.out.mkdir(parents=True, exist_ok=True)
    photos = look_at_all([row.photo for row in rows if row.photo], config)
    items = [Item(row, photos[row.photo] if row.photo else None) for row in rows]
    dropped: list[Dropped] = []
    for name, step in STEPS:
        items, gone = step(items, config)
        dropped += gone
        print(f"{name}: {len(items)} kept, {len(gone)} dropped")

    columns = [field.name for field in dataclasses.fields(Dropped)]
    source_of = {row.id: row.source for row in rows}
    lost = pd.DataFrame([dataclasses.astuple(entry) for entry in dropped], columns=columns)
    _write_table(config.out / "dropped.csv", lost.sort_values("id"))
    sheet = datasheet(manifest_of(items), lost.assign(source=lost["id"].map(source_of)))
    write_whole(config.out / "datasheet.json", json.dumps(sheet, indent=1) + "\n")
    write_whole(config.out / "datasheet.md", render_datasheet(sheet))


def datasheet(manifest: pd.DataFrame, dropped: pd.DataFrame) -> dict[str, Any]:
    """Counts: {title: {row: {column: count}}}."""
    photos, told = manifest[manifest["photo"] != ""], manifest[manifest["n_texts"] > 0]
    reasons = dropped["reason"].str.replace(r"(as|conditions): .*|(?<= as) \S+$", "", regex=True)
    what = dropped["step"] + ": " + reasons.str.removesuffix(" different ").str.strip()
    sizes = manifest.groupby("group").size()

    def count(rows: pd.Series, columns: pd.Series) -> dict[str, dict[str, int]]:
        table = pd.crosstab(rows.replace("", "none"), columns.replace("", "none"))
        return {str(k): {str(c): int(n) for c, n in v.items()} for k, v in table.iterrows()}

    return {
        "Rows by source and modality": count(manifest["source"], manifest["modality"]),
        "Photos by source and split": count(photos["source"], photos["split"]),
        "Photos by condition and split": count(photos["condition"], photos["split"]),
        "Described rows by source and split": count(told["source"], told["split"]),
        "Described rows by condition and split": count(told["condition"], told["split"]),
        "Photos by skin type and source": count(photos["skin_type"], photos["source"]),
        "Photos by kind and source": count(photos["photo_kind"], photos["source"]),
        "Groups by number of rows": {
            str(size): {"groups": int(n)} for size, n in sizes.value_counts().sort_index().items()
        },
        "Dropped by reason and source": count(what, dropped["source"]),
    }


def render_datasheet(sheet: Mapping[str, Mapping[str, Mapping[str, int]]]) -> str:
    """The same counts as Markdown tables."""
    lines = ["# What the cleaned data holds", "", "Made by `python -m training.clean`."]
    for title, rows in sheet.items():
        columns = list(next(iter(rows.values()), {}))
        lines += ["", f"## {title}", "", " | ".join(["", *columns]), "---|" * (len(columns) + 1)]
        lines += [" | ".join([name, *map(str, row.values())]) for name, row in rows.items()]
    return "\n".join(lines) + "\n"


def _read(config: Config) -> Iterator[Row]:
    present = [source for source in config.sources if (config.raw / source).is_dir()]
    if not present:
        raise FileNotFoundError(
            f"got no source in {config.raw}; expected at least one of the folders "
            f"{', '.join(config.sources)}; docs/data.md tells where to download them"
        )
    for source in config.sources:
        if source not in present:
            print(f"{source}: no folder {config.raw / source}, skipped")
            continue
        yield from READERS[source](config.raw / source)


def _inputs(config: Config) -> dict[str, str]:
    """SHA-256 of the raw files' names, sizes and times, of the code, and of the frozen splits."""
    raw = hashlib.sha256()
    for source in config.sources:
        for path in sorted((config.raw / source).rglob("*")):
            if path.is_file():
                stat = path.stat()
                name = path.relative_to(config.raw).as_posix()
                raw.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    here = Path(__file__).parent
    code = [*sorted((here / "sources").glob("*.py")), LABEL_MAP]
    code += [here / name for name in ("clean.py", "splits.py", "unstructure.py")]
    library = here.parent / "dermmm"
    code += [library / name for name in ("conditions.py", "describe.py", "preprocess.py")]
    return {
        "raw": raw.hexdigest(),
        "code": hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest(),
        "splits": hashlib.sha256(config.frozen.read_bytes()).hexdigest()
        if config.frozen.is_file()
        else "",
        "settings": f"sources {' '.join(config.sources)}, seed {config.seed}",
    }


def _part(
    items: Iterable[Item], step: str, reasons: Mapping[str, str]
) -> tuple[list[Item], list[Dropped]]:
    """Split items by whether there is a reason against them."""
    kept, dropped = [], []
    for item in items:
        if reason := reasons.get(item.id):
            dropped.append(Dropped(item.id, step, reason))
        else:
            kept.append(item)
    return kept, dropped


def _parallel(
    function: Callable[[Path], Any], paths: Sequence[Path], workers: int, title: str
) -> list[Any]:
    """``[function(path) for path in paths]`` in ``workers`` processes, with a progress bar."""
    with contextlib.ExitStack() as stack:
        run: Callable[..., Iterable[Any]] = map
        if workers > 1 and len(paths) > 100:  # below, starting processes costs more than it saves
            pool = stack.enter_context(ProcessPoolExecutor(workers))
            run = partial(pool.map, chunksize=32)
        return list(tqdm(run(function, paths), total=len(paths), desc=title, unit="photo"))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)


def _write_table(path: Path, table: pd.DataFrame) -> None:
    _write(path, table.to_csv(index=False, lineterminator="\n").encode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--raw", type=Path, required=True, help="folder with a folder a source")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--sources", nargs="+", choices=READERS, default=list(READERS))
    options = parser.parse_args()
    main(Config(options.raw, options.out, tuple(options.sources)))
