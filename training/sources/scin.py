"""SCIN: cases that the public sent in, with their own answers and dermatologists' labels.

A label is a weighted list by up to three dermatologists. Photos, where they were downloaded, give
one row each; a case without photos gives one row.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from training.sources.layout import photos_by_stem, read_table
from training.sources.row import SKIN_TYPES, Row

SOURCE = "scin"
LICENCE = "SCIN Data Use License"
FIELDS = ("age_group", "sex_at_birth", "related_category", "condition_duration")
FAMILIES = ("textures_", "body_parts_", "condition_symptoms_", "other_symptoms_")
EMPTY = ("", "AGE_UNKNOWN", "UNKNOWN")
GRADABLE = [f"dermatologist_gradable_for_skin_condition_{n}" for n in (1, 2, 3)]
FITZPATRICK = [f"dermatologist_fitzpatrick_skin_type_label_{n}" for n in (1, 2, 3)]
PHOTOS = [f"image_{n}_path" for n in (1, 2, 3)]
WEIGHTS = "weighted_skin_condition_label"
NORMAL = "NO_DISCERNIBLE_PATHOLOGY"


def read(folder: Path) -> Iterator[Row]:
    """One row a photo that is here, else one row a case."""
    cases = read_table(
        folder, "scin_cases.csv", ["case_id", *FIELDS, *PHOTOS, "fitzpatrick_skin_type"]
    )
    labels = read_table(folder, "scin_labels.csv", ["case_id", *GRADABLE, WEIGHTS, FITZPATRICK[0]])
    names = [c for c in cases.columns if c in FIELDS or c.startswith(FAMILIES)]
    photos = photos_by_stem(folder)
    groups = _people(cases[["case_id", *PHOTOS]].to_dict("records"))
    for case in cases.merge(labels, on="case_id", how="left").fillna("").to_dict("records"):
        answers = [case[column] for column in GRADABLE if case[column]]
        weights = _weights(case)
        normal = sum(NORMAL in answer for answer in answers) * 2 > len(answers)
        if normal:
            weights = {NORMAL: 1.0}
        ungradable = all(answer.startswith("NO") for answer in answers)
        identity = f"{SOURCE}:{case['case_id']}"
        found = [photos.get(Path(case[column]).stem) if case[column] else None for column in PHOTOS]
        here = {f"{identity}:{n}": path for n, path in enumerate(found, 1) if path}
        for row_id, photo in here.items() or ((identity, None),):
            yield Row(
                id=row_id,
                source=SOURCE,
                group_id=f"{SOURCE}:{groups[case['case_id']]}",
                photo=photo,
                photo_kind="clinical" if photo else "",
                fields={name: case[name] for name in names if case[name] not in EMPTY},
                text="",
                label=max(weights, key=lambda name: weights[name], default=""),
                label_weights=weights,
                skin_type=_skin_type(case),
                licence=LICENCE,
                unusable="no dermatologist could grade it" if ungradable else "",
            )


def _weights(case: Mapping[Any, str]) -> dict[str, float]:
    """The published weights, as {label: weight}; the first of equals stays first."""
    try:
        weights = ast.literal_eval(case[WEIGHTS] or "{}")
        return {str(label): float(weight) for label, weight in weights.items()}
    except (ValueError, SyntaxError, AttributeError) as error:
        raise ValueError(
            f"got {WEIGHTS} {case[WEIGHTS]!r} in case {case['case_id']}; "
            "expected {'label': weight}; download scin_labels.csv again"
        ) from error


def _skin_type(case: Mapping[Any, str]) -> str:
    """The person's own answer, else the first dermatologist's."""
    told = (case["fitzpatrick_skin_type"], case[FITZPATRICK[0]])  # FST1 to FST6, or something else
    return next((SKIN_TYPES[n] for one in told if (n := one.removeprefix("FST")) in SKIN_TYPES), "")


def _people(cases: Iterable[Mapping[Any, str]]) -> dict[str, str]:
    """case_id -> the first case that shares a photo with it: one person sent it in twice."""
    first_with: dict[str, str] = {}
    leader: dict[str, str] = {}
    for case in cases:
        shared = [case[column] for column in PHOTOS if case[column]]
        earlier = [first_with[path] for path in shared if path in first_with]
        leader[case["case_id"]] = leader[earlier[0]] if earlier else case["case_id"]
        for path in shared:
            first_with.setdefault(path, case["case_id"])
    return leader
