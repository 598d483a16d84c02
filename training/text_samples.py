"""Samples of our own texts in docs/data.md, for a reader to judge.

    python -m training.text_samples --write-docs | --check

20 texts of each voice and source: rendered as training renders them, from made-up rows in the
fields of PAD-UFES-20, MILK10k and SCIN, and synthetic ones from the offline grammar. No published
row is read: values are drawn one by one from the published value sets, so that a made-up row may
hold together less well than a real one. `--check` exits with 1 where the page is not what this
module writes.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path

from dermmm.conditions import NAMES
from dermmm.describe import VOICES, describe
from training.grammar import draft
from training.marked_text import between_markers
from training.stage import write_whole
from training.unstructure import drop_facts, facts_of

DOCS = Path(__file__).resolve().parent.parent / "docs" / "data.md"
START = "<!-- samples: written by training.text_samples -->"
END = "<!-- end of samples -->"
COUNT = 20  # texts a voice and source
SEED = 0

_ANSWERS = ("True", "False", "UNK")
_PAD: dict[str, tuple[str, ...]] = {
    "age": tuple(str(years) for years in range(6, 95)),
    "region": (
        "ABDOMEN", "ARM", "BACK", "CHEST", "EAR", "FACE", "FOOT", "FOREARM", "HAND", "LIP", "NECK",
        "NOSE", "SCALP", "THIGH",
    ),
    "itch": _ANSWERS,
    "grew": _ANSWERS,
    "hurt": _ANSWERS,
    "changed": _ANSWERS,
    "bleed": _ANSWERS,
    "elevation": _ANSWERS,
}  # fmt: skip
_MILK: dict[str, tuple[str, ...]] = {
    "age_approx": tuple(f"{years}.0" for years in range(5, 90, 5)),
    "sex": ("female", "male"),
    "anatom_site_general": (
        "", "head/neck", "trunk", "upper extremity", "lower extremity", "oral/genital",
    ),
    "anatom_site_special": (*[""] * 8, "acral NOS", "oral or genital"),  # mostly empty
}  # fmt: skip
_SCIN: dict[str, tuple[str, ...]] = {
    "age_group": (
        "AGE_UNKNOWN", "AGE_18_TO_29", "AGE_30_TO_39", "AGE_40_TO_49", "AGE_50_TO_59",
        "AGE_60_TO_69", "AGE_70_TO_79", "AGE_80_OR_ABOVE",
    ),
    "sex_at_birth": ("FEMALE", "MALE", "OTHER_OR_UNSPECIFIED"),
    "related_category": (
        "RASH", "GROWTH_OR_MOLE", "PIGMENTARY_PROBLEM", "NAIL_PROBLEM", "HAIR_LOSS",
        "OTHER_HAIR_PROBLEM", "ACNE", "LOOKS_HEALTHY", "OTHER_ISSUE_DESCRIPTION",
    ),
    "condition_duration": (
        "ONE_DAY", "LESS_THAN_ONE_WEEK", "ONE_TO_FOUR_WEEKS", "ONE_TO_THREE_MONTHS",
        "THREE_TO_TWELVE_MONTHS", "MORE_THAN_ONE_YEAR", "MORE_THAN_FIVE_YEARS", "SINCE_CHILDHOOD",
        "UNKNOWN",
    ),
}  # fmt: skip
# SCIN's tick boxes, each family a question with several answers.
_SCIN_BOXES: dict[str, tuple[str, ...]] = {
    "textures": ("raised_or_bumpy", "flat", "rough_or_flaky", "fluid_filled"),
    "body_parts": (
        "head_or_neck", "arm", "palm", "back_of_hand", "torso_front", "torso_back",
        "genitalia_or_groin", "buttocks", "leg", "foot_top_or_side", "foot_sole", "other",
    ),
    "condition_symptoms": (
        "bothersome_appearance", "bleeding", "increasing_size", "darkening", "itching", "burning",
        "pain", "no_relevant_experience",
    ),
    "other_symptoms": (
        "fever", "chills", "fatigue", "joint_pain", "mouth_sores", "shortness_of_breath",
        "no_relevant_symptoms",
    ),
}  # fmt: skip


def _one_of_each(values: dict[str, tuple[str, ...]], rng: random.Random) -> dict[str, str]:
    return {name: rng.choice(published) for name, published in values.items()}


def pad_fields(rng: random.Random) -> dict[str, str]:
    """A made-up row in PAD-UFES-20's fields."""
    return _one_of_each(_PAD, rng)


def milk_fields(rng: random.Random) -> dict[str, str]:
    """A made-up row in MILK10k's fields."""
    return _one_of_each(_MILK, rng)


def scin_fields(rng: random.Random) -> dict[str, str]:
    """A made-up row in SCIN's fields, with up to two ticks a question."""
    ticked = {
        f"{family}_{box}": "YES"
        for family, boxes in _SCIN_BOXES.items()
        for box in rng.sample(boxes, rng.randrange(3))
    }
    return _one_of_each(_SCIN, rng) | ticked


MADE_UP: dict[str, tuple[str, Callable[[random.Random], dict[str, str]]]] = {
    "pad_ufes_20": ("PAD-UFES-20", pad_fields),
    "milk10k": ("MILK10k", milk_fields),
    "scin": ("SCIN", scin_fields),
}


def rendered(source: str, voice: str) -> list[str]:
    """COUNT texts in one voice, rendered as for training from made-up rows of one source."""
    rng = random.Random(f"{SEED}:{source}:{voice}")
    _, make = MADE_UP[source]
    made = (facts_of(source, make(rng)) for _ in count())
    facts = (one for one in made if not one.is_empty)
    return [
        describe(drop_facts(one, rng), seed=rng.getrandbits(32), voice=voice)
        for one in islice(facts, COUNT)
    ]


def synthetic(voice: str) -> list[tuple[str, str]]:
    """COUNT pairs of a condition and a text of the offline grammar; the voices share all NAMES."""
    first = VOICES.index(voice) * COUNT
    numbers = range(first, first + COUNT)
    return [
        (name, draft(name, number, voice).text)
        for name, number in ((NAMES[number % len(NAMES)], number) for number in numbers)
    ]


def samples() -> str:
    """All samples as Markdown, a folded block for each source and voice."""
    blocks = []
    for source, (title, _) in MADE_UP.items():
        for voice in VOICES:
            lines = [_literal(text) for text in rendered(source, voice)]
            blocks.append(_folded(f"Made-up rows in the fields of {title}, {voice}", lines))
    for voice in VOICES:
        lines = [f"*{name}*: {_literal(text)}" for name, text in synthetic(voice)]
        blocks.append(_folded(f"Synthetic, from the offline grammar, {voice}", lines))
    return "\n\n".join(blocks)


def _folded(title: str, lines: list[str]) -> str:
    numbered = "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))
    return f"<details><summary>{title}</summary>\n\n{numbered}\n\n</details>"


def _literal(text: str) -> str:
    """The text so that Markdown shows it as it is, on one line."""
    return re.sub(r"([\\`*_~<>\[\]#&|])", r"\\\1", " ".join(text.split()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--write-docs", action="store_true", help="renew the samples")
    task.add_argument("--check", action="store_true", help="exit 1 if the samples are old")
    options = parser.parse_args()
    current = DOCS.read_text(encoding="utf-8")
    renewed = between_markers(current, START, END, samples())
    if options.write_docs:
        write_whole(DOCS, renewed)
    elif renewed != current:
        raise SystemExit("docs/data.md is not what the code makes; run --write-docs")
