"""Structured fields of a row -> natural descriptions, blind to the label.

    python -m training.unstructure --raw DIR --n 3 --limit 5

prints descriptions to look at. Takes seconds on a CPU. The label is never read: rows that differ
only in label get the same texts. Silence must tell nothing either, so known facts are left out at
random, in every class alike.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from dermmm.describe import BODY_FINDINGS, Facts, describe
from training.sources import READERS
from training.sources.row import Row

# How often a known fact is left out. People do not tell everything, but every fact lost is lost to
# the model as well; the audit shows what it costs.
DROP_RATE = 0.05
# In PAD-UFES-20, growth and change are unknown in a third of the carcinomas and almost never in
# keratoses: their silence would tell. Both are left out together this often, in all classes, before
# the rate above. No other field's absence tells as much.
_OFTEN_SILENT = ("growth", "change")
_SILENCE_RATE = 0.7

_PAD_FINDINGS = {
    "itch": "itch",
    "grew": "growth",
    "hurt": "pain",
    "changed": "change",
    "bleed": "bleeding",
    "elevation": "elevation",
}
_MILK_SITES = {
    "head/neck": "head or neck",
    "trunk": "trunk",
    "upper extremity": "upper limb",
    "lower extremity": "lower limb",
    "oral/genital": "mouth or genitals",
    "acral NOS": "hand or foot",
    "oral or genital": "mouth or genitals",
}
_SCIN_SITES = {
    "head_or_neck": "head or neck",
    "arm": "arm",
    "palm": "palm",
    "back_of_hand": "back of hand",
    "torso_front": "front of torso",
    "torso_back": "back",
    "genitalia_or_groin": "genitals or groin",
    "buttocks": "buttocks",
    "leg": "leg",
    "foot_top_or_side": "top of foot",
    "foot_sole": "sole",
}  # "other" says nothing
_SCIN_TEXTURES = {
    "raised_or_bumpy": "raised or bumpy",
    "flat": "flat",
    "rough_or_flaky": "rough or flaky",
    "fluid_filled": "fluid-filled",
}
_SCIN_SKIN = {
    "bothersome_appearance": "bothersome appearance",
    "bleeding": "bleeding",
    "increasing_size": "growth",
    "darkening": "darkening",
    "itching": "itch",
    "burning": "burning",
    "pain": "pain",
}
_SCIN_BODY = {name.replace(" ", "_"): name for name in BODY_FINDINGS}
# ACNE names a condition and LOOKS_HEALTHY all but names one, so neither is said.
_SCIN_CATEGORIES = {
    "RASH": "rash",
    "GROWTH_OR_MOLE": "growth",
    "PIGMENTARY_PROBLEM": "pigment",
    "NAIL_PROBLEM": "nail",
    "HAIR_LOSS": "hair loss",
    "OTHER_HAIR_PROBLEM": "hair",
}
_SCIN_DURATIONS = {
    "ONE_DAY": "1 day",
    "LESS_THAN_ONE_WEEK": "under 1 week",
    "ONE_TO_FOUR_WEEKS": "1-4 weeks",
    "ONE_TO_THREE_MONTHS": "1-3 months",
    "THREE_TO_TWELVE_MONTHS": "3-12 months",
    "MORE_THAN_ONE_YEAR": "over 1 year",
    "MORE_THAN_FIVE_YEARS": "over 5 years",
    "SINCE_CHILDHOOD": "since childhood",
}


def facts_of(source: str, fields: Mapping[str, str]) -> Facts:
    """Return the facts in the published fields of one row; an unknown source has none.

    Values that mean "unknown" (UNK, empty, AGE_UNKNOWN) and values that would name a condition
    give no fact. In SCIN an unticked box says nothing; only "none of these" denies its list.
    """
    if source == "pad_ufes_20":
        return _pad(fields)
    if source == "milk10k":
        return _milk(fields)
    if source == "scin":
        return _scin(fields)
    return Facts()


def _pad(fields: Mapping[str, str]) -> Facts:
    answers = {"True": True, "False": False}
    region = fields.get("region", "").lower()
    return Facts(
        age=_age(fields.get("age", "")),
        sites=(region,) if region else (),
        findings={
            finding: answers[fields[name]]
            for name, finding in _PAD_FINDINGS.items()
            if fields.get(name) in answers
        },
    )


def _milk(fields: Mapping[str, str]) -> Facts:
    names = ("anatom_site_special", "anatom_site_general")  # the more exact one first
    sites = [_MILK_SITES[fields[name]] for name in names if fields.get(name) in _MILK_SITES]
    return Facts(
        age=_age(fields.get("age_approx", "")),
        sex=fields.get("sex") or None,
        sites=tuple(sites[:1]),
    )


def _scin(fields: Mapping[str, str]) -> Facts:
    def ticked(prefix: str, meanings: Mapping[str, str]) -> list[str]:
        return [
            value for name, value in meanings.items() if fields.get(f"{prefix}_{name}") == "YES"
        ]

    skin = dict.fromkeys(ticked("condition_symptoms", _SCIN_SKIN), True)
    if not skin and fields.get("condition_symptoms_no_relevant_experience") == "YES":
        skin = dict.fromkeys(_SCIN_SKIN.values(), False)
    body = dict.fromkeys(ticked("other_symptoms", _SCIN_BODY), True)
    if not body and fields.get("other_symptoms_no_relevant_symptoms") == "YES":
        body = dict.fromkeys(_SCIN_BODY.values(), False)
    years = [int(part) for part in fields.get("age_group", "").split("_") if part.isdigit()]
    sex = fields.get("sex_at_birth", "").lower()
    return Facts(
        age_range=(years[0], years[1]) if len(years) == 2 else None,
        sex=sex if sex in ("female", "male") else None,
        category=_SCIN_CATEGORIES.get(fields.get("related_category", "")),
        sites=tuple(ticked("body_parts", _SCIN_SITES)),
        duration=_SCIN_DURATIONS.get(fields.get("condition_duration", "")),
        textures=tuple(ticked("textures", _SCIN_TEXTURES)),
        findings=skin | body,
    )


def _age(published: str) -> int | None:
    """Return "70.0" as 70, and None where there is no age that can be said."""
    age = int(float(published)) if published.replace(".", "", 1).isdigit() else 0
    return age if 1 <= age <= 120 else None


def drop_facts(facts: Facts, rng: random.Random, rate: float = DROP_RATE) -> Facts:
    """Return ``facts`` with each one left out with probability ``rate``, but never all of them.

    ``rate`` is from 0 (keep all) to 1 (keep one). The denial of every body symptom is one
    statement ("otherwise well") and stays or goes as a whole.

    Raises:
        ValueError: ``rate`` is outside 0 to 1.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"got rate {rate}, expected 0 to 1")
    known = _statements(facts)
    silent = _OFTEN_SILENT if rate > 0 and rng.random() < _SILENCE_RATE else ()
    kept = [one for one in known if one[1] not in silent and rng.random() >= rate]
    if known and not kept:
        kept = [rng.choice(known)]
    return _only(facts, set(kept))


_WELL = ("findings", "otherwise well")


def _statements(facts: Facts) -> list[tuple[str, str]]:
    """Return what can be left out, each as (field of Facts, value; "" for a single value)."""
    single = ("age", "age_range", "sex", "category", "duration")
    known = [(name, "") for name in single if getattr(facts, name) is not None]
    known += [("sites", site) for site in facts.sites]
    known += [("textures", texture) for texture in facts.textures]
    findings = list(facts.findings)
    if _is_well(facts):
        known.append(_WELL)
        findings = [name for name in findings if name not in BODY_FINDINGS]
    return known + [("findings", name) for name in findings]


def _is_well(facts: Facts) -> bool:
    return all(facts.findings.get(name) is False for name in BODY_FINDINGS)


def _only(facts: Facts, kept: set[tuple[str, str]]) -> Facts:
    """Return the facts of ``kept`` alone."""
    body = BODY_FINDINGS if _is_well(facts) else ()
    return replace(
        facts,
        age=facts.age if ("age", "") in kept else None,
        age_range=facts.age_range if ("age_range", "") in kept else None,
        sex=facts.sex if ("sex", "") in kept else None,
        category=facts.category if ("category", "") in kept else None,
        duration=facts.duration if ("duration", "") in kept else None,
        sites=tuple(site for site in facts.sites if ("sites", site) in kept),
        textures=tuple(texture for texture in facts.textures if ("textures", texture) in kept),
        findings={
            name: present
            for name, present in facts.findings.items()
            if (_WELL if name in body else ("findings", name)) in kept
        },
    )


def mentioned(row: Row, n: int, seed: int = 0) -> list[tuple[Facts, int]]:
    """Return the facts that each of ``n`` descriptions says, with the seed of its wording.

    Reads ``id``, ``source`` and ``fields`` of the row, and never its label. A row without facts
    has no descriptions.
    """
    facts = facts_of(row.source, row.fields)
    if facts.is_empty:
        return []
    # Python's own hash() of a string differs from process to process.
    digest = hashlib.sha256(f"{seed}:{row.id}".encode()).digest()
    rng = random.Random(int.from_bytes(digest[:8], "big"))
    return [(drop_facts(facts, rng), rng.getrandbits(32)) for _ in range(n)]


def mentioned_in(row_id: str, source: str, fields: str, n: int) -> list[tuple[Facts, int]]:
    """Return what `mentioned` returns, for a row of the manifest.

    ``fields`` is the manifest's JSON; ``n`` the number of the row's texts. The first of them says
    the first of the facts.
    """
    return mentioned(Row(row_id, source, "", None, "", json.loads(fields), "", ""), n)


def texts(row: Row, n: int, seed: int = 0) -> list[str]:
    """Return ``n`` descriptions of a structured row, the text of a free-text row, or nothing.

    Reads the row's ``text`` and what `mentioned` reads.
    """
    if row.text:
        return [row.text]
    return [describe(facts, seed=wording) for facts, wording in mentioned(row, n, seed)]


def facts_as_features(facts: Facts) -> dict[str, float]:
    """One feature a fact, for simple models: 1, or the age in decades; age as its decade as well.

    >>> facts_as_features(Facts(age=62, findings={"itch": False}))
    {'age': 6.2, 'decade 6': 1.0, 'itch False': 1.0}
    """
    found: dict[str, float] = {}
    if facts.age is not None:
        found |= {"age": facts.age / 10, f"decade {facts.age // 10}": 1.0}
    for name in ("age_range", "sex", "category", "duration"):
        if (value := getattr(facts, name)) is not None:
            found[f"{name} {value}"] = 1.0
    found |= {f"site {site}": 1.0 for site in facts.sites}
    found |= {f"texture {texture}": 1.0 for texture in facts.textures}
    return found | {f"{name} {present}": 1.0 for name, present in facts.findings.items()}


def main(raw: Path, n: int, limit: int) -> None:
    """Print ``n`` descriptions of the first ``limit`` rows of each structured source in ``raw``."""
    for source in ("pad_ufes_20", "milk10k", "scin"):
        told = ((row, texts(row, n)) for row in READERS[source](raw / source))
        for row, described in islice((pair for pair in told if pair[1]), limit):
            for text in described:
                print(f"{row.id}\t{text}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print descriptions of structured rows.")
    parser.add_argument("--raw", type=Path, required=True, help="folder with a folder a source")
    parser.add_argument("--n", type=int, default=3, help="descriptions a row")
    parser.add_argument("--limit", type=int, default=5, help="rows a source")
    arguments = parser.parse_args()
    main(arguments.raw, arguments.n, arguments.limit)
