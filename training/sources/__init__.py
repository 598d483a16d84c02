"""One reader a public dataset: its layout as published -> rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from training.sources import dermavqa_iiyi, fitzpatrick17k, milk10k, msld_v2, pad_ufes_20, scin
from training.sources.row import Row

READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "pad_ufes_20": pad_ufes_20.read,
    "milk10k": milk10k.read,
    "fitzpatrick17k": fitzpatrick17k.read,
    "msld_v2": msld_v2.read,
    "scin": scin.read,
    "dermavqa_iiyi": dermavqa_iiyi.read,
}
