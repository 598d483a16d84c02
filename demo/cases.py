"""Teaching cases: a folder with `cases.csv` and photos, read and checked before the page starts.

Columns: image, text, condition, credit, licence; optional: set, id, point. A row is a case and has
an image, a text, or both. `image` is a path below the folder, JPEG, PNG or WebP; with one, credit
and licence are needed, because the page shows them beside it. `condition` is a name of
`dermmm.conditions`. `set` is a title that learners choose, `point` what the case teaches. Cases are
shown in the order of the rows. The cases of the repository are such a folder: `demo/examples`.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from demo.examples import FOLDER
from dermmm.conditions import NAMES, names_in

TABLE = "cases.csv"
NEEDED = ("image", "text", "condition", "credit", "licence")
OPTIONAL = ("set", "id", "point")
OWN_SET = "Our cases"  # of a row that names no set
FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 100_000_000
SHOWN_SIDE = 1024  # longest side of a photo on the page, in pixels
FAULTS_TOLD = 10

# Both stand in links and in the learner's table: no slash, and nothing that starts a formula.
SET = re.compile(r"[^\W_][\w .,()'&-]{0,59}")
ID = re.compile(r"[A-Za-z0-9][\w.-]{0,59}", re.ASCII)


@dataclass(frozen=True)
class Case:
    """One case. ``image`` or ``text`` may be None, not both; ``condition`` is the truth.

    ``made_up`` marks the drawings and written cases of the repository.
    """

    id: str
    set: str
    image: Path | None
    text: str | None
    condition: str
    point: str
    credit: str
    licence: str
    made_up: bool = False

    def photo(self) -> bytes | None:
        """The photo's file as it is, for the model."""
        return None if self.image is None else self.image.read_bytes()

    def picture(self) -> np.ndarray | None:
        """The photo for the page: (H, W, 3) uint8, upright, bounded, rebuilt from its pixels."""
        if self.image is None:
            return None
        with Image.open(self.image, formats=FORMATS) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        upright.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
        return np.asarray(upright)


Library = Mapping[str, tuple[Case, ...]]


def library(folder: Path | None = None) -> Library:
    """All sets by title, in the order in which they are offered: those of ``folder`` come first.

    Raises:
        FileNotFoundError, ValueError: as `read_cases`; or a set has a title of the repository's.
    """
    own = {} if folder is None else _by_set(read_cases(folder))
    ours = _by_set(read_cases(FOLDER, made_up=True))
    if taken := sorted(own.keys() & ours.keys()):
        raise ValueError(
            f"{folder}/{TABLE}: the set {taken[0]!r} has the title of a set of this page; "
            "give it another in the column 'set'"
        )
    return own | ours


def read_cases(folder: Path, made_up: bool = False) -> tuple[Case, ...]:
    """Read a folder of cases, in the order of its rows.

    Raises:
        FileNotFoundError: the folder holds no `cases.csv`.
        ValueError: the table is at fault; names each row (as a spreadsheet counts, the header is
            row 1), what it has and what is expected.
    """
    path = folder / TABLE
    if not path.is_file():
        raise FileNotFoundError(
            f"no teaching cases at {path}; expected a table with the columns "
            f"{', '.join(NEEDED)} (and, if you like, {', '.join(OPTIONAL)})"
        )
    cases: list[Case] = []
    faults: list[str] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(_rows(path), start=2):
        case, wrong = _case(folder, row, made_up)
        if case is not None and case.id in seen:
            wrong.append(
                f"the same case, or the same id {case.id!r}, as row {seen[case.id]}; "
                "each needs an id of its own"
            )
        faults += [f"row {number}: {fault}" for fault in wrong]
        if case is not None:
            seen.setdefault(case.id, number)
            cases.append(case)
    if not cases and not faults:
        faults = ["it has no row below the header; give each case a row"]
    if faults:
        more = len(faults) - FAULTS_TOLD
        told = faults[:FAULTS_TOLD] + ([f"and {more} more"] if more > 0 else [])
        raise ValueError("\n  ".join([f"{path} cannot be used:", *told]))
    return tuple(cases)


def _rows(path: Path) -> list[dict[str, str]]:
    """The table's rows with every column, "" where a row has none."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets write a mark
            reader = csv.DictReader(file, strict=True)
            columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            rows = list(reader)
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8; save it as “CSV UTF-8”") from None
    except csv.Error as error:
        raise ValueError(f"{path} is no table separated by commas: {error}") from None
    missing = [name for name in NEEDED if name not in columns]
    unknown = [name for name in columns if name not in NEEDED + OPTIONAL]
    if missing or unknown:
        raise ValueError(
            f"{path} has the columns {', '.join(columns) or 'none'}; expected, separated by "
            f"commas, {', '.join(NEEDED)}, and nothing else but {', '.join(OPTIONAL)}"
        )
    for number, row in enumerate(rows, start=2):
        if None in row:
            raise ValueError(
                f"{path}, row {number}: more cells than the header has; put a text with commas "
                'between double quotes "…"'
            )
    empty = dict.fromkeys(NEEDED + OPTIONAL, "")
    return [empty | {name: (cell or "").strip() for name, cell in row.items()} for row in rows]


def _case(folder: Path, row: Mapping[str, str], made_up: bool) -> tuple[Case | None, list[str]]:
    """A row as a case, None if it cannot be one, and all that is wrong with it."""
    wrong: list[str] = []
    if not row["image"] and not row["text"]:
        wrong.append("neither image nor text; expected one of them, or both")
    if row["condition"] not in NAMES:
        wrong.append(_unknown(row["condition"]))
    if row["image"]:
        wrong += _image_faults(folder, row["image"])
        wrong += [
            f"no {name}; it is shown beside the photo, so it is needed"
            for name in ("credit", "licence")
            if not row[name]
        ]
    title = row["set"] or OWN_SET
    if not SET.fullmatch(title):
        wrong.append(
            f"set {title!r}; expected at most 60 letters, digits, spaces and . , ( ) ' & -, "
            "the first a letter or digit"
        )
    # Without an id of its own a case is known by what it shows.
    shown = "\n".join((title, row["image"], row["text"]))
    id_ = row["id"] or hashlib.sha256(shown.encode()).hexdigest()[:12]
    if not ID.fullmatch(id_):
        wrong.append(
            f"id {id_!r}; expected at most 60 letters, digits and . _ -, "
            "the first a letter or digit"
        )
    if wrong:
        return None, wrong
    return Case(
        id=id_,
        set=title,
        image=folder / row["image"] if row["image"] else None,
        text=row["text"] or None,
        condition=row["condition"],
        point=row["point"],
        credit=row["credit"],
        licence=row["licence"],
        made_up=made_up,
    ), []


def _unknown(condition: str) -> str:
    """Why a condition is not taken, with the name that was probably meant."""
    meant = sorted(names_in(condition)) or difflib.get_close_matches(condition.lower(), NAMES)
    hint = f"did you mean {meant[0]!r}?" if meant else f"expected one of: {'; '.join(NAMES)}"
    return f"condition {condition!r} is none of the {len(NAMES)} of this model; {hint}"


def _image_faults(folder: Path, image: str) -> list[str]:
    """What is wrong with a photo's path or file; its header is read and nothing more."""
    path = (folder / image).resolve()  # follows links too
    if not path.is_relative_to(folder.resolve()):
        return [f"image {image!r} lies outside {folder}; expected a path below it"]
    if not path.is_file():
        return [f"image {image!r} is not there; expected a file below {folder}"]
    try:
        with Image.open(path, formats=FORMATS) as photo:
            width, height = photo.size
    except (OSError, Image.DecompressionBombError):
        return [f"image {image!r} cannot be read; expected {', '.join(FORMATS)}"]
    if width * height > MAX_PIXELS:
        return [f"image {image!r} has over {MAX_PIXELS // 1_000_000} megapixels; make it smaller"]
    return []


def _by_set(cases: tuple[Case, ...]) -> dict[str, tuple[Case, ...]]:
    titles = dict.fromkeys(case.set for case in cases)
    return {title: tuple(case for case in cases if case.set == title) for title in titles}
