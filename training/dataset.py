"""What every training stage reads: the cleaned manifest, photos packed in memory, and texts.

Photos are decoded once at the size a stage needs and kept as bytes in one memory-mapped array, so
that the model and not the loader is the limit. Shapes: P photos, S pixels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from dermmm.conditions import INDEX, NAMES
from dermmm.preprocess import open_photo, square
from training.stage import processes, whole

# Fitzpatrick's skin types in the groups that results are told for.
SKIN_TYPES = {"I–II": ("I", "II"), "III–IV": ("III", "IV"), "V–VI": ("V", "VI")}


def read_manifest(data: Path) -> pd.DataFrame:
    """Read the manifest that `training.clean` wrote: one row a case, every cell a string.

    Raises:
        FileNotFoundError: ``data`` holds no manifest; says which command makes it.
    """
    path = data / "manifest.csv"
    if not path.is_file():
        raise FileNotFoundError(
            f"no manifest at {path}; run `python -m training.clean --raw RAW --out {data}` first"
        )
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def fingerprint(data: Path, name: str = "manifest.csv") -> str:
    """SHA-256 of a file of the data, "" where there is none.

    That of the manifest says which photos and facts, in which splits, a model was trained on.
    """
    path = data / name
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def condition_index(rows: pd.DataFrame) -> np.ndarray:
    """(rows,) int64 index of each row's condition, -1 where its label maps to none."""
    return np.array([INDEX.get(name, -1) for name in rows["condition"]], dtype=np.int64)


def soft_targets(rows: pd.DataFrame) -> np.ndarray:
    """(rows, K) float32: how the annotators' weight is spread over conditions; sums to 1."""
    targets = np.zeros((len(rows), len(NAMES)), dtype=np.float32)
    for row, (condition, weights) in enumerate(
        zip(rows["condition"], rows["targets"], strict=True)
    ):
        for name, weight in (json.loads(weights) or {condition: 1.0}).items():
            targets[row, INDEX[name]] = weight
    return targets / targets.sum(axis=1, keepdims=True)


def read_photo(path: Path) -> Image.Image:
    """A photo of the cleaned data as the model sees it, upright and RGB.

    Raises:
        ValueError: it is gone or damaged. No other picture ever stands in for it.
    """
    try:
        return open_photo(path)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path}: {error}. training.clean has read it before: put it back, or remove "
            "fingerprint.json there and run training.clean again"
        ) from None


def write_array(
    path: Path, shape: tuple[int, ...], kind: type[np.generic], parts: Iterable[np.ndarray]
) -> None:
    """Write a large array part by part to an .npy file that appears whole or not at all.

    By plain writes: where the disk is full they fail with an error, and a memory map with a signal.
    """
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(kind)),
        "fortran_order": False,
        "shape": shape,
    }
    with whole(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(part, kind).tobytes())


def pack_photos(data: Path, photos: Sequence[str], size: int, cache: Path) -> np.ndarray:
    """Decode photos to one array (P, S, S, 3) uint8, kept on disk in ``cache`` and mapped.

    Args:
        photos: paths relative to ``data``, as in the manifest.
        size: S; the photos are scaled as `dermmm.preprocess.square` does for the model.

    Raises:
        ValueError: a photo is gone or damaged; it is named.
    """
    key = hashlib.sha256("\n".join([fingerprint(data), str(size), *photos]).encode()).hexdigest()
    path = cache / f"photos-{size}-{key[:16]}.npy"
    with processes().main_process_first():  # the others find it done
        if not path.is_file():
            cache.mkdir(parents=True, exist_ok=True)
            with ThreadPoolExecutor(2) as pool:
                pixels = pool.map(lambda name: square(read_photo(data / name), size), photos)
                shown = tqdm(pixels, total=len(photos), desc=f"pack {size} px", unit="photo")
                write_array(path, (len(photos), size, size, 3), np.uint8, shown)
    return np.load(path, mmap_mode="r")


def cases_with_text(manifest: pd.DataFrame, split: str) -> pd.DataFrame:
    """The cases of a split that have a condition and a description.

    Both photos of a lesion carry the same facts: one row a lesion stands for its description.
    """
    chosen = manifest[
        (manifest["split"] == split) & (manifest["condition"] != "") & (manifest["text_path"] != "")
    ]
    told_before = (chosen["fields"] != "{}") & chosen.duplicated(["group", "fields"])
    told_before |= (chosen["fields"] == "{}") & chosen.duplicated(["group"])
    return chosen[~told_before]


def read_synthetic(data: Path) -> pd.DataFrame:
    """The synthetic texts in the manifest's columns; none before they are made.

    Two columns are their own: ``text``, and ``findings`` joined by "; ".

    All are of the training split, and each is a group of its own.
    """
    path = data / "synthetic" / "texts.csv"
    columns = ["id", "condition", "findings", "text"]
    made = pd.DataFrame(columns=columns, dtype=str)
    if path.is_file():
        made = pd.read_csv(path, dtype=str, keep_default_na=False)[columns]
    return made.assign(
        source="synthetic", group=made["id"], split="train", modality="text_only",
        photo="", fields="{}", targets="{}", text_path="",
    )  # fmt: skip


def with_synthetic(real: pd.DataFrame, data: Path, count: int) -> pd.DataFrame:
    """``real`` rows, and below them the first ``count`` synthetic texts of each condition."""
    made = read_synthetic(data).groupby("condition").head(count)
    return pd.concat([real, made], ignore_index=True).fillna("")


def read_texts(data: Path, rows: pd.DataFrame) -> list[list[str]]:
    """The text variants of each row, [] where it has none; a synthetic row carries its own."""
    own = list(rows["text"]) if "text" in rows else [""] * len(rows)
    return [
        [text] if text else (data / path).read_text(encoding="utf-8").splitlines() if path else []
        for text, path in zip(own, rows["text_path"], strict=True)
    ]
