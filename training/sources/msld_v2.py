"""MSLD v2.0: mpox, chickenpox, measles, cowpox, hand-foot-mouth disease and healthy skin.

A photo is ``<class folder>/<class code>_<patient>_<photo>.jpg``. Class code and patient together
are the patient: ``MKP_60`` and ``CHP_60`` are two people. Its own train and test folders put
patients on both sides and are ignored; its folders of augmented copies are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training.sources.layout import find_photos
from training.sources.row import Row

SOURCE = "msld_v2"
LICENCE = "CC BY-NC; photos were gathered from the web by the dataset's authors"
CLASSES = ("Monkeypox", "Chickenpox", "Cowpox", "Measles", "HFMD", "Healthy")


def read(folder: Path) -> Iterator[Row]:
    """One row a photo in a class folder; a photo listed in several folds is read once.

    Raises:
        FileNotFoundError: no photo in a folder named after a class.
        ValueError: a file name that does not tell the patient.
    """
    seen: set[str] = set()
    for photo in find_photos(folder):
        below = photo.relative_to(folder).parts
        if photo.parent.name not in CLASSES or any("augmented" in part.lower() for part in below):
            continue
        if photo.stem in seen:
            continue
        seen.add(photo.stem)
        code, _, rest = photo.stem.partition("_")
        patient = rest.partition("_")[0]
        if not patient.isdigit():
            raise ValueError(
                f"got the photo {photo}; expected a name such as MKP_60_02.jpg, which tells the "
                "patient; restore the publisher's file names"
            )
        yield Row(
            id=f"{SOURCE}:{photo.stem}",
            source=SOURCE,
            group_id=f"{SOURCE}:{code}_{patient}",
            photo=photo,
            photo_kind="clinical",
            fields={},
            text="",
            label=photo.parent.name,
            licence=LICENCE,
        )
    if not seen:
        raise FileNotFoundError(
            f"got no photo in {folder}; expected folders named {', '.join(CLASSES)} with photos; "
            "unpack the download there, or leave this source out"
        )
