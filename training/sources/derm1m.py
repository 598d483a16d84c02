"""Derm1M: a million photos with captions, from papers, videos, lectures and forums.

A CSV names each photo's file, its caption and its disease; the photos lie in folders below it. The
CSV is read line by line, so that a million rows take no memory. It is not among the sources that
`training.clean` reads, since that keeps every row: `training.shards` packs it.

We never saw the gated download. Where its publisher tells no more, this is assumed: the columns
(from public code that reads them), and that ``CASE_NUMBER.png`` and ``VIDEO_frame_NUMBER.jpg`` are
photos of one case or video, which is the group. Photos that belong together under other names are
not joined, and nothing tells clinical from dermoscopic photos.

Its photos of public datasets (``public``) and of the forum iiyi may be in our frozen test split, in
another encoding, so both folders are called unusable. A caption has every condition's name and the
photo's own disease masked.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from dermmm.conditions import mask_names, names_in
from training.sources.dermavqa_iiyi import MASK
from training.sources.layout import find_table
from training.sources.row import Row

SOURCE = "derm1m"
LICENCE = "CC BY-NC 4.0"
TABLES = {"pretrain": "Derm1M_v2_pretrain.csv", "validation": "Derm1M_v2_validation.csv"}
COLUMNS = ("filename", "disease_label")
CAPTIONS = ("caption", "truncated_caption")  # the first that a table has
NO_LABEL = ("", "no definitive diagnosis")
SHARED = {"public": "a public dataset", "iiyi": "the forum of dermavqa_iiyi"}
VALIDATION_FOLDER = "validation_data"  # below which some downloads keep the second table's photos


def read(folder: Path) -> Iterator[Row]:
    """One row a line of the tables, in their order; ``photo`` is None where the file is not here.

    The label is as published; `condition` tells what it means.

    Raises:
        FileNotFoundError: none of the tables is in ``folder``.
        ValueError: a table lacks a column, or a file name leads out of ``folder``.
    """
    here = {part: find_table(folder, name) for part, name in TABLES.items()}
    if not any(here.values()):
        raise FileNotFoundError(
            f"got none of {', '.join(TABLES.values())} in {folder}; expected the publisher's "
            "files of these names; unpack the download there, or leave this source out"
        )
    for part, table in here.items():
        if table is not None:
            yield from _read_table(part, table)


def condition(label: str) -> str:
    """The one of ``dermmm.conditions.NAMES`` that a published label is a name of, or "".

    Only where it is nothing but that name: "nevus" is one, "nevus of Ota" and "non-melanoma skin
    cancer" are not.
    """
    names = names_in(label)
    return names.pop() if len(names) == 1 and not mask_names(label, "").strip(" .,") else ""


def masked(caption: str, label: str) -> str:
    """The caption without the names of conditions, and without the photo's own disease."""
    if label.lower() not in NO_LABEL:
        caption = re.sub(rf"(?i)(?<!\w){re.escape(label)}(?!\w)", MASK, caption)
    return mask_names(caption, MASK)


def _read_table(part: str, path: Path) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        columns = table.fieldnames or ()
        caption = next((column for column in CAPTIONS if column in columns), None)
        missing = [column for column in COLUMNS if column not in columns]
        if missing or caption is None:
            raise ValueError(
                f"got {path} with the columns {list(columns)}; expected {list(COLUMNS)} and one of "
                f"{list(CAPTIONS)}; download the file again from its publisher"
            )
        for number, line in enumerate(table, 1):
            told, label, words = (
                (line[column] or "").strip() for column in (*COLUMNS, caption)
            )  # None where a line is short
            name = PurePosixPath(told.replace("\\", "/"))
            if not name.name or name.is_absolute() or ".." in name.parts:
                raise ValueError(
                    f"got the file name {told!r} in row {number} of {path}; expected one below its "
                    "folder; download the file again from its publisher"
                )
            places = (path.parent / name, path.parent / VALIDATION_FOLDER / name)
            photo = next((place for place in places if place.is_file()), None)
            owner = SHARED.get(name.parts[0].lower())
            yield Row(
                id=f"{SOURCE}:{part}:{number}",
                source=SOURCE,
                group_id=f"{SOURCE}:{_group(name)}",
                photo=photo,
                photo_kind="",
                fields={},
                text=masked(words, label),
                label="" if label.lower() in NO_LABEL else label,
                licence=LICENCE,
                unusable=f"may be a held-out photo, from {owner}" if owner else "",
            )


def _group(name: PurePosixPath) -> str:
    """What photos of one video or case share: the path without the frame or the photo's number."""
    case = re.sub(r"_frame_.*$|_\d+$", "", name.stem)
    return str(name.with_name(case)) if case else str(name)
