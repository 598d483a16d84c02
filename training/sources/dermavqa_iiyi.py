"""DermaVQA (iiyi): questions put to a forum of doctors, and the doctors' replies, in English.

Group is the encounter. The label is one of ``dermmm.conditions.NAMES`` already and needs no map:
the replies name it, and it counts only where doctors agree (``agreed``). The question is kept with
all condition names masked, since some ask "is this vitiligo?".
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dermmm.conditions import mask_names, names_in
from training.sources.layout import photos_by_stem
from training.sources.row import Row

SOURCE = "dermavqa_iiyi"
LICENCE = "CC BY 4.0"
MASK = "[condition]"
MIN_WORDS = 4
NO_MAJORITY = "no clear majority among the replies"
NO_CONTENT = "text without content"
COLUMNS = ("encounter_id", "image_ids", "query_title_en", "query_content_en", "responses")

# A clause with one of these mentions a condition without proposing it.
DOUBT = re.compile(
    r"(?i)\b(?:no|not|never|cannot|exclud\w+|rul\w+ out|unlike|except|secondary to|history of|"
    r"differ\w+ from|differential|differentiat\w+|distinguish\w*|rather than|had)\b|n['’]t\b"
)


def read(folder: Path) -> Iterator[Row]:
    """One row a photo that is here, else one row an encounter.

    Raises:
        FileNotFoundError: no such folder, or none of train, valid and test .json in it.
        ValueError: an encounter lacks one of COLUMNS.
    """
    photos = photos_by_stem(folder)
    for encounter in _encounters(folder):
        identity = f"{SOURCE}:{encounter['encounter_id']}"
        text = mask_names(_question(encounter), MASK)
        label = agreed([(r["author_id"], r["content_en"]) for r in encounter["responses"]])
        words = re.findall(r"[a-zA-Z]+", text.replace(MASK, ""))
        unusable = "" if label else NO_MAJORITY
        if len(words) < MIN_WORDS:
            unusable = NO_CONTENT
        here = [photos[stem] for stem in map(_stem, encounter["image_ids"]) if stem in photos]
        for number, photo in enumerate(here or [None], 1):
            yield Row(
                id=f"{identity}:{number}" if photo else identity,
                source=SOURCE,
                group_id=identity,
                photo=photo,
                photo_kind="clinical" if photo else "",
                fields={},
                text=text,
                label=label,
                licence=LICENCE,
                unusable=unusable,
            )


def agreed(replies: Sequence[tuple[str, str]]) -> str:
    """Return the one condition that most authors of (author, text) replies name, or "".

    At least two authors must name it and no other, and they must be more than half of all who
    replied: where many reply without naming a condition of ours, it is often another disease.
    """
    votes = list(proposals(replies).values())
    counts = Counter(next(iter(names)) for names in votes if len(names) == 1)
    name, count = counts.most_common(1)[0] if counts else ("", 0)
    return name if count >= 2 and 2 * count > len(votes) else ""


def proposals(replies: Sequence[tuple[str, str]]) -> dict[str, set[str]]:
    """Return author -> the conditions that the author proposes, without those put in doubt."""
    proposed: dict[str, set[str]] = {}
    for author, text in replies:
        names = proposed.setdefault(author, set())
        for clause in re.split(r"[.,;:?!\n]|\bbut\b", text):
            if not DOUBT.search(clause):
                names |= names_in(clause)
    return proposed


def _encounters(folder: Path) -> Iterator[dict[str, Any]]:
    names = ("train.json", "valid.json", "test.json")
    paths = [path for name in names for path in sorted(folder.rglob(name))]
    if not paths:
        raise FileNotFoundError(
            f"got none of {names} in {folder}; expected the publisher's files of these names; "
            "unpack the download there, or leave this source out"
        )
    for path in paths:
        for encounter in json.loads(path.read_text(encoding="utf-8")):
            missing = [column for column in COLUMNS if column not in encounter]
            if missing:
                raise ValueError(
                    f"got an encounter without {missing} in {path}; expected {list(COLUMNS)}; "
                    "download the file again from its publisher"
                )
            yield encounter


def _question(encounter: dict[str, Any]) -> str:
    parts = (encounter["query_title_en"].strip(), encounter["query_content_en"].strip())
    return " ".join(
        part if part.endswith((".", "?", "!")) else f"{part}." for part in parts if part
    )


def _stem(name: str) -> str:
    return Path(name).stem
