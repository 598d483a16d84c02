"""The one shape in which every source's rows enter the cleaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Fitzpatrick's skin types: as most publishers number them, and as a row holds them.
SKIN_TYPES = {"1": "I", "2": "II", "3": "III", "4": "IV", "5": "V", "6": "VI"}


@dataclass(frozen=True)
class Row:
    """One photo, one description, or one photo with its description, as published.

    ``id`` and ``group_id`` carry the source's name, so that they are unique over all sources;
    rows of one patient, lesion or case share the ``group_id``.
    """

    id: str
    source: str
    group_id: str
    photo: Path | None
    photo_kind: str  # "clinical", "dermoscopic", or "" without photo
    fields: Mapping[str, str]  # allowed fields, published names and values; empty ones left out
    text: str  # free text, "" where the source has none
    label: str  # as published
    label_weights: Mapping[str, float] = field(default_factory=dict)  # when annotators disagree
    skin_type: str = ""  # Fitzpatrick "I".."VI"
    licence: str = ""
    unusable: str = ""  # why the publisher or its annotators call it unusable, "" otherwise
