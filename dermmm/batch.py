"""A table of cases in, a table of answers out: what the command line and the page share.

The table is a CSV with the columns `COLUMNS`. A row names a photo, holds a description, or both. A
row that cannot be answered has an error instead and stops nothing.
"""

from __future__ import annotations

import csv
import io
import re
import stat
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Protocol

from dermmm.prediction import Prediction

if TYPE_CHECKING:
    from dermmm.preprocess import Photo

COLUMNS = ("case_id", "image", "text")
TOP = 3  # conditions that are named in the table of answers; all have their probability
CHUNK = 8  # rows answered together: progress is told after each chunk
AT_ONCE = 2  # chunks: the photos of one are decoded while the model answers another
MAX_ENTRIES = 5_000  # of a zip
MAX_UNPACKED = 1_000_000_000  # bytes of a zip, all files together
_FORMULA = re.compile(r"(^|[;\t\r\n])(?=\s*[=+\-@＝＋－＠])")
_ENTRY = b"PK\x01\x02"  # with which a zip's list of files names each


class Predictor(Protocol):
    """What answers the rows: `dermmm.Predictor`."""

    @property
    def conditions(self) -> Sequence[str]: ...

    def predict_many(
        self, images: Sequence[Photo | None], texts: Sequence[str | None]
    ) -> Sequence[Prediction | ValueError | OSError]: ...


@dataclass(frozen=True)
class Row:
    """A case as the table has it; ``image`` and ``text`` are empty where it has none."""

    case_id: str
    image: str
    text: str


@dataclass(frozen=True)
class Answer:
    """A row's prediction, or else why there is none."""

    row: Row
    prediction: Prediction | None
    error: str = ""


def read_cases(file: Iterable[str], name: str, most: int | None = None) -> list[Row]:
    """Read a table of cases.

    Args:
        file: its lines, opened with ``newline=""``; name: what messages call it.
        most: rows that are taken; any number without it.

    Raises:
        ValueError: it is not a CSV in UTF-8, a column is missing, or it has too many rows.
    """
    return list(each_case(file, name, most))


def each_case(file: Iterable[str], name: str, most: int | None = None) -> Iterator[Row]:
    """As `read_cases`, a row at a time."""
    try:
        lines = csv.reader(file, strict=True)
        header = next(lines, [])
        missing = [column for column in COLUMNS if column not in header]
        if missing:
            raise ValueError(
                f"{name}: column {', '.join(missing)} is missing; expected {', '.join(COLUMNS)}"
            )
        places = [header.index(column) for column in COLUMNS]
        for number, cells in enumerate(filter(None, lines)):  # without empty lines
            if number == most:
                raise ValueError(
                    f"{name}: there are more than {most} rows, the most that are answered at "
                    "once; split the table"
                )
            if any(cell.strip() for cell in cells[len(header) :]):  # else a text would be cut
                raise ValueError(
                    f"{name}, line {lines.line_num}: more cells than the header has; put a text "
                    'with commas between double quotes "…"'
                )
            yield Row(*(cells[at].strip() if at < len(cells) else "" for at in places))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: not a CSV in UTF-8 ({error}); save it as one") from None


class Photos:
    """Photos by the names that a table may call them, each read when it is asked for.

    A name is the path of a file within a zip, or just the file's name where only one file is called
    so. Capitals do not matter, since not every system keeps them.
    """

    def __init__(self) -> None:
        self._by_path: dict[str, list[Callable[[], bytes]]] = {}
        self._by_name: dict[str, list[Callable[[], bytes]]] = {}

    def add(self, name: str, read: Callable[[], bytes]) -> None:
        """Add a photo that ``read`` returns, a file's bytes."""
        path = _plain(name)
        self._by_path.setdefault(path, []).append(read)
        self._by_name.setdefault(PurePosixPath(path).name, []).append(read)

    def add_zip(self, content: bytes, name: str) -> None:
        """Add all files of a zip. They are unpacked in memory, one when it is asked for.

        Links and names that lead out of the zip are left out.

        Raises:
            ValueError: it is not a zip, or it has more files or would unpack to more bytes than a
                zip of photos.
        """
        if content.count(_ENTRY) > MAX_ENTRIES:  # before any of them is read
            raise ValueError(f"{name}: the zip has more than {MAX_ENTRIES} files; split it")
        try:
            packed = zipfile.ZipFile(io.BytesIO(content))
        except Exception:  # damaged zips raise many types
            raise ValueError(f"{name}: not a zip that can be read; pack the photos again") from None
        entries = packed.infolist()
        if sum(entry.file_size for entry in entries) > MAX_UNPACKED:
            raise ValueError(
                f"{name}: the zip would unpack to more than {MAX_UNPACKED // 1_000_000} MB; pack "
                "fewer or smaller photos"
            )
        for entry in entries:
            link = stat.S_ISLNK(entry.external_attr >> 16)
            inside = not {"", "..", "__macosx"} & set(_plain(entry.filename).split("/"))
            if inside and not (entry.is_dir() or link):
                self.add(entry.filename, _unpacking(packed, entry))

    def __call__(self, name: str) -> bytes:
        """A photo's bytes.

        Raises:
            ValueError: there is no such photo, several are called so, or it cannot be unpacked.
        """
        path = _plain(name)
        found = self._by_path.get(path) or self._by_name.get(path, [])
        if not found:
            raise ValueError(f"no photo called {name!r} was given; check the name, or add it")
        if len(found) > 1:
            raise ValueError(f"{len(found)} photos are called {name!r}; give each its own name")
        return found[0]()


def answers(
    predictor: Predictor, rows: Sequence[Row], photo: Callable[[str], Photo]
) -> Iterator[list[Answer]]:
    """Answer rows in their order, `CHUNK` at a time.

    Args:
        photo: the photo that a row names, in a form that `Predictor.predict` reads. Its ValueError
            or OSError becomes the row's error. It is called from `AT_ONCE` threads.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun: deque[Future[list[Answer]]] = deque()
        for start in range(0, len(rows), CHUNK):
            begun.append(pool.submit(_answered, predictor, rows[start : start + CHUNK], photo))
            if len(begun) == AT_ONCE:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


def columns(conditions: Sequence[str]) -> list[str]:
    """The columns of the table of answers."""
    return [
        "case_id",
        *(f"top{rank}" for rank in range(1, TOP + 1)),
        *(f"p:{name}" for name in conditions),
        *("gate_image", "gate_text", "prediction_set", "cautions", "error"),
    ]


def write(
    file: IO[str], conditions: Sequence[str], answered: Iterable[Answer], header: bool = True
) -> None:
    """Write the table of answers: a CSV with `columns`, a line a row, safe in a spreadsheet."""
    writer = csv.DictWriter(file, columns(conditions))
    if header:
        writer.writeheader()
    for answer in answered:
        writer.writerow(_line(answer))


def _answered(
    predictor: Predictor, rows: Sequence[Row], photo: Callable[[str], Photo]
) -> list[Answer]:
    images: list[Photo | None] = []
    errors: dict[int, str] = {}
    for place, row in enumerate(rows):
        try:
            images.append(photo(row.image) if row.image else None)
        except (ValueError, OSError) as error:
            images.append(None)
            errors[place] = str(error)
    sound = [place for place in range(len(rows)) if place not in errors]
    found = predictor.predict_many(
        [images[place] for place in sound], [rows[place].text or None for place in sound]
    )
    results = dict(zip(sound, found, strict=True))
    return [
        Answer(row, result)
        if isinstance(result := results.get(place), Prediction)
        else Answer(row, None, errors.get(place, str(result)))
        for place, row in enumerate(rows)
    ]


def _line(answer: Answer) -> Mapping[str, Any]:
    line: dict[str, Any] = {"case_id": inert(answer.row.case_id), "error": inert(answer.error)}
    prediction = answer.prediction
    if prediction is None:
        return line
    tops = enumerate(prediction.top(TOP), start=1)
    values = zip(prediction.conditions, prediction.probabilities, strict=True)
    return {
        **line,
        **{f"top{rank}": name for rank, (name, _) in tops},
        **{f"p:{name}": f"{value:.6f}" for name, value in values},
        "gate_image": f"{prediction.gate.image:.6f}",
        "gate_text": f"{prediction.gate.text:.6f}",
        "prediction_set": "; ".join(prediction.prediction_set),
        "cautions": "; ".join(prediction.cautions),
    }


def inert(value: str) -> str:
    """Keep a spreadsheet from running the value as a formula; a plain negative number stays.

    Not every spreadsheet parts cells at commas: to some, a line's end or a semicolon begins one.
    """
    if re.fullmatch(r"-[0-9]+(\.[0-9]+)?", value):
        return value
    return _FORMULA.sub(r"\1'", value)


def _plain(name: str) -> str:
    """A file's path with forward slashes, without capitals and without "./"."""
    return name.replace("\\", "/").removeprefix("./").casefold()


def _unpacking(packed: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        from dermmm.preprocess import (
            MAX_BYTES,
        )  # here, because it loads torch and the page must not

        if entry.file_size > MAX_BYTES:
            raise ValueError(
                f"the photo file has {entry.file_size / 1e6:.0f} MB; at most "
                f"{MAX_BYTES // 1_000_000} MB are read, make it smaller first"
            )
        if entry.flag_bits & 1:
            raise ValueError("the photo is encrypted; pack it without a password")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # Others may ask for gigabytes before they give a byte.
            raise ValueError("the photo is packed in an unusual way; pack it as an ordinary zip")
        try:
            with packed.open(entry) as file:
                # Not more than the zip itself says there is, whatever it holds.
                return file.read(entry.file_size)
        except Exception as error:  # decoders raise many types on damaged files
            raise ValueError(
                f"the photo cannot be unpacked ({type(error).__name__}); pack it again"
            ) from None

    return read
