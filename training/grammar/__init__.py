"""Synthetic descriptions of imaginary patients, for conditions that no public text describes.

    python -m training.grammar --condition acne --n 5 --seed 0
    python -m training.grammar --sharing

Two tables hold the knowledge: `findings.csv` says how a patient and a clinician word a finding,
`conditions.csv` how often patients with a condition show it. Conditions that resemble each other
share their findings, so no phrase alone decides (`sharing` measures it). A draft never names a
condition. Person, site, duration and the findings that `dermmm.describe` knows are said by it, so
synthetic text speaks the language of text rendered from real fields. Made in milliseconds on a CPU.

The frequencies are estimates from general dermatology; `reference` names where the picture of the
condition is described, not where a number was read. They are for making text, not for medicine.
"""

from __future__ import annotations

import csv
import hashlib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from dermmm.conditions import NAMES, mask_names
from dermmm.describe import FINDINGS as FACT_FINDINGS
from dermmm.describe import VOICES, Facts, describe
from training.unstructure import facts_as_features

FINDINGS_TABLE = Path(__file__).with_name("findings.csv")
CONDITIONS_TABLE = Path(__file__).with_name("conditions.csv")

# What a clinician sees, and what a clinician is told.
SEEN = ("morphology", "colour", "site", "distribution")
TOLD = ("symptom", "course", "age", "trigger", "history")
# How `conditions.csv` writes what `describe` says, e.g. "site:face". A patient has one of each of
# ONE_OF, and one site where the frequencies of a condition's sites sum to at most 1.
FACT_KINDS = ("age", "sex", "category", "site", "duration", "texture", "fact")
ONE_OF = ("age", "sex", "category", "duration", "texture")

FREQUENCIES = (0.05, 0.95)  # lowest and highest that the table may say
MENTIONED = (2, 9)  # findings that a text mentions, whatever the condition
FEWEST_WORDS = 6  # a shorter text mentions one finding more
MOST_SENTENCES = 5
# Alike in every condition: how often patients have a symptom that the table does not list, a
# symptom they lack is denied, and a site is told by the region of the body.
_BACKGROUND = 0.02
_DENIAL = 0.15
_COARSE = 0.25
_REGIONS = {
    **dict.fromkeys(("face", "scalp", "nose", "ear", "neck"), "head or neck"),
    **dict.fromkeys(("chest", "abdomen", "front of torso", "back"), "trunk"),
    **dict.fromkeys(("arm", "forearm"), "upper limb"),
    **dict.fromkeys(("leg", "thigh"), "lower limb"),
    **dict.fromkeys(
        ("hand", "palm", "back of hand", "foot", "top of foot", "sole"), "hand or foot"
    ),
}
# Textures that settle whether the skin is raised. Among the others "fact:elevation" is as frequent
# as among these, so the table gives raised / (raised + flat).
_RAISED = {"texture:flat": False, "texture:raised or bumpy": True, "texture:fluid-filled": True}


@dataclass(frozen=True)
class Finding:
    """A finding and its wordings.

    ``lay`` wordings are clauses of the patient ("it leaves white flakes when I scratch"), where
    "it" is the skin problem as a whole; ``clinical`` ones are noun phrases ("silvery scale on the
    surface"). ``not_with`` are facts, other findings and topics that it does not stand with: of two
    findings that share a topic, a patient has at most one. ``from_age`` is the youngest age in
    years that may have it.
    """

    name: str
    kind: str
    lay: tuple[str, ...]
    clinical: tuple[str, ...]
    not_with: tuple[str, ...] = ()
    from_age: int = 0


@dataclass(frozen=True)
class Use:
    """The share of patients (0 to 1) with a condition who show a finding, and who describes it.

    In drafts a finding is somewhat rarer, since a patient has no two that contradict each other.
    """

    finding: str
    frequency: float
    reference: str


@dataclass(frozen=True)
class Draft:
    """A synthetic text and the findings that it mentions, and no others.

    What `describe` says is listed in the words of `facts_as_features`, as for rendered texts ("itch
    True", "site head or neck", "decade 6"), what `findings.csv` words by its name there. No finding
    holds a semicolon, so that they can be joined by it.
    """

    condition: str
    voice: str
    findings: tuple[str, ...]
    text: str


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row of a table after where it stands, for messages."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != columns:
            raise ValueError(f"{path.name} has columns {reader.fieldnames}, expected {columns}")
        for row in reader:
            where = f"{path.name}, row {reader.line_num} ({', '.join(map(str, row.values()))[:80]})"
            if None in row or None in row.values():
                raise ValueError(f"{where}: expected {len(columns)} cells; quote cells with commas")
            yield where, row


def _split(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split("|") if part.strip())


@cache
def read_findings(path: Path = FINDINGS_TABLE) -> dict[str, Finding]:
    """Return the findings by name.

    Raises:
        ValueError: a row has an unknown kind, fewer than two wordings of either sort, a wording
            that is no bare clause or phrase or that names a condition, or a name given before.
    """
    findings: dict[str, Finding] = {}
    columns = ("finding", "kind", "not_with", "from_age", "lay", "clinical")
    for where, row in _rows(path, columns):
        if not row["finding"] or row["finding"] in findings or re.search("[:;]", row["finding"]):
            raise ValueError(f"{where}: expected a new name without a colon or semicolon")
        if row["kind"] not in SEEN + TOLD:
            raise ValueError(f"{where}: got kind {row['kind']!r}, expected one of {SEEN + TOLD}")
        if row["from_age"] and not row["from_age"].isdigit():
            raise ValueError(
                f"{where}: got from_age {row['from_age']!r}, expected years or nothing"
            )
        lay, clinical = _split(row["lay"]), _split(row["clinical"])
        if min(len(set(lay)), len(set(clinical))) < 2:
            raise ValueError(f"{where}: expected two different wordings or more, split by |")
        for wording in lay + clinical:
            if mask_names(wording) != wording:
                raise ValueError(f"{where}: {wording!r} names a condition; say what is seen")
            if not re.match(r"I\b|[a-z]", wording) or wording[-1] in ".;,":
                raise ValueError(
                    f"{where}: {wording!r} needs a small first letter and no full stop"
                )
        for rule in _split(row["not_with"]):
            if ":" in rule and not _is_fact(rule.removeprefix("no ")):
                raise ValueError(f"{where}: not_with {rule!r} is no fact; correct its spelling")
        findings[row["finding"]] = Finding(
            row["finding"],
            row["kind"],
            lay,
            clinical,
            _split(row["not_with"]),
            int(row["from_age"] or 0),
        )
    return findings


@cache
def read_conditions(path: Path = CONDITIONS_TABLE) -> dict[str, tuple[Use, ...]]:
    """Return what patients with each condition show, by condition in the order of NAMES.

    Raises:
        ValueError: a row has an unknown or repeated condition and finding, a frequency outside
            FREQUENCIES, or no reference; shares of which a patient has one sum to more than 1;
            or a condition has no row.
    """
    known = read_findings()
    uses: dict[str, dict[str, Use]] = {name: {} for name in NAMES}
    for where, row in _rows(path, ("condition", "finding", "frequency", "reference")):
        condition, finding = row["condition"], row["finding"]
        if condition not in uses:
            raise ValueError(f"{where}: got condition {condition!r}, expected one of {NAMES}")
        if finding not in known and not _is_fact(finding):
            raise ValueError(
                f"{where}: {finding!r} is neither in findings.csv nor said by describe"
            )
        if finding in uses[condition]:
            raise ValueError(f"{where}: {finding!r} is listed twice; drop one")
        try:
            frequency = float(row["frequency"])
        except ValueError:
            frequency = -1.0
        low, high = FREQUENCIES
        if not low <= frequency <= high:
            raise ValueError(
                f"{where}: got frequency {row['frequency']!r}, expected {low} to {high}"
            )
        if not row["reference"].strip():
            raise ValueError(f"{where}: no reference; name the source that describes it")
        uses[condition][finding] = Use(finding, frequency, row["reference"])
        kind = finding.partition(":")[0]
        if kind in ONE_OF and sum(_shares(tuple(uses[condition].values()), kind).values()) > 1.001:
            raise ValueError(f"{where}: the shares of {kind} sum to more than 1; lower them")
    if missing := [name for name in NAMES if not uses[name]]:
        raise ValueError(f"{path.name} has no row for {', '.join(missing)}")
    return {name: tuple(rows.values()) for name, rows in uses.items()}


def _is_fact(finding: str) -> bool:
    kind, _, _ = finding.partition(":")
    try:
        return kind in FACT_KINDS and not _facts([finding], random.Random(0)).is_empty
    except ValueError:
        return False


def _shares(uses: tuple[Use, ...], kind: str) -> dict[str, float]:
    """Return the frequencies of the findings of a kind of FACT_KINDS, e.g. of every "age:"."""
    return {use.finding: use.frequency for use in uses if use.finding.startswith(f"{kind}:")}


def _facts(names: list[str], rng: random.Random) -> Facts:
    """Return what ``names``, e.g. "age:40-49", "site:face" and "no fact:itch", say together."""
    told: dict[str, str] = {}
    sites: list[str] = []
    coarse = rng.random() < _COARSE
    findings: dict[str, bool] = {}
    for name in names:
        kind, _, value = name.partition(":")
        if kind == "site":
            sites.append(_REGIONS.get(value, value) if coarse else value)
        elif kind.endswith("fact"):
            findings[value] = kind == "fact"
        else:
            told[kind] = value
    ages = tuple(int(year) for year in told["age"].split("-")) if "age" in told else ()
    exact = bool(ages) and rng.random() < 0.7
    return Facts(
        age=rng.randint(*ages) if exact else None,
        age_range=(ages[0], ages[1]) if ages and not exact else None,
        sex=told.get("sex"),
        category=told.get("category"),
        sites=tuple(dict.fromkeys(sites)),
        duration=told.get("duration"),
        textures=(told["texture"],) if "texture" in told else (),
        findings=findings,
    )


def _patient(condition: str, rng: random.Random) -> tuple[list[str], list[str]]:
    """Draw a patient: what `describe` says about them, and their findings of `findings.csv`."""
    uses, known = read_conditions()[condition], read_findings()
    facts: list[str] = []
    for kind in ONE_OF:
        facts += _one(_shares(uses, kind), rng)
    sites = _shares(uses, "site")
    if sum(sites.values()) <= 1.001:
        facts += _one(sites, rng)
    else:
        facts += [site for site, frequency in sites.items() if rng.random() < frequency]

    symptoms = {f"fact:{name}": _BACKGROUND for name in FACT_FINDINGS} | _shares(uses, "fact")
    raised = next((_RAISED[fact] for fact in facts if fact in _RAISED), None)
    for name, frequency in symptoms.items():
        present = rng.random() < frequency
        if name == "fact:elevation" and raised is not None:
            present = raised
        facts.append(name if present else f"no {name}")
    taken = set(facts)  # what the patient has; a finding whose ``not_with`` is in it does not fit

    age = next((int(fact[4:].split("-")[0]) for fact in facts if fact.startswith("age:")), 0)
    findings: list[str] = []
    barred: set[str] = set()
    for use in rng.sample(uses, len(uses)):
        finding = known.get(use.finding)
        if finding is None or age < finding.from_age:
            continue
        rules = set(finding.not_with)
        fits = taken.isdisjoint(rules) and finding.name not in barred
        if rng.random() < use.frequency / _eligible(finding, symptoms) and fits:
            taken |= {finding.name, *(rule for rule in rules if _is_topic(rule))}
            barred |= rules
            findings.append(finding.name)
    return facts, findings


def _is_topic(rule: str) -> bool:
    """Whether a rule of ``not_with`` is neither a fact nor a finding."""
    return ":" not in rule and rule not in read_findings()


def _eligible(finding: Finding, symptoms: dict[str, float]) -> float:
    """Return the share of patients whose symptoms do not contradict ``finding``.

    Drawn among them at frequency / share, a finding is as frequent among all as the table says.
    """
    share = 1.0
    for name in finding.not_with:
        if name in symptoms:
            share *= 1 - symptoms[name]
        elif name.removeprefix("no ") in symptoms:
            share *= symptoms[name.removeprefix("no ")]
    return share


def _one(shares: dict[str, float], rng: random.Random) -> list[str]:
    """Draw one of ``shares``, or none as often as they leave open."""
    point = rng.random()
    for name, share in shares.items():
        point -= share
        if point < 0:
            return [name]
    return []


def draft(condition: str, seed: int, voice: str | None = None) -> Draft:
    """Return a text of one to five sentences about an imaginary patient with ``condition``.

    The same condition and seed are the same patient in every voice and process; ``voice`` None
    lets ``seed`` choose. How many findings are mentioned is drawn alike for every condition, and
    which of a patient's are mentioned as well. What a patient has to mention depends on the
    condition all the same, so silence tells a little; `training.audit` measures how much.

    Raises:
        ValueError: the condition or the voice is unknown.
    """
    if condition not in NAMES:
        raise ValueError(f"got condition {condition!r}, expected one of {', '.join(NAMES)}")
    if voice not in (None, *VOICES):
        raise ValueError(f"got voice {voice!r}, expected one of {', '.join(VOICES)} or None")
    # Python's own hash() of a string differs from process to process.
    digest = hashlib.sha256(f"{seed}:{condition}".encode()).digest()
    rng = random.Random(int.from_bytes(digest[:8], "big"))
    facts, findings = _patient(condition, rng)
    # Most patients lack most symptoms; few of those are worth a word.
    facts = [fact for fact in facts if not fact.startswith("no ") or rng.random() < _DENIAL]
    rng.shuffle(facts)
    count = rng.randint(*MENTIONED)
    of_table = min(sum(rng.random() < 0.5 for _ in range(count)), len(findings))
    said, told = findings[:of_table], facts[: count - of_table]
    left = findings[of_table:]
    drawn = rng.choice(VOICES)
    voice, wording = voice or drawn, rng.getrandbits(32)
    while True:
        rng = random.Random(wording)
        known = _facts(told, rng)
        text = _text(known, said, voice, rng)
        if len(text.split()) >= FEWEST_WORDS or not left:
            # The exact age is a number and no finding; its decade is listed.
            features = [name for name in facts_as_features(known) if name != "age"]
            return Draft(condition, voice, (*features, *said), text)
        said = [*said, left.pop()]


def _text(facts: Facts, said: list[str], voice: str, rng: random.Random) -> str:
    """Word ``facts`` by `describe` and ``said`` by the table, in mixed order."""
    described = describe(facts, seed=rng.getrandbits(32), voice=voice)
    # The habits of whoever types: small letters, "i", no full stop at the end.
    small = described[:1].islower() or (
        not described and voice != "referral" and rng.random() < 0.1
    )
    open_end = bool(described) and not described.endswith(".")
    before = described.removesuffix(".").split(". ") if described else []
    room = MOST_SENTENCES - len(before)
    own = _sentences(said, voice, room, rng)
    own = [one if small else one[0].upper() + one[1:] for one in own]
    if small and voice == "patient":
        own = [re.sub(r"\bI\b", "i", one) for one in own]

    person = facts.age or facts.age_range or facts.sex
    opens = person or facts.category or facts.sites or facts.duration
    order = [False] * len(before) + [True] * len(own)
    head = order[:1] if opens and rng.random() < 0.8 else []
    rest = order[len(head) :]
    rng.shuffle(rest)
    described_left, own_left = iter(before), iter(own)
    sentences = [next(own_left if mine else described_left) for mine in head + rest]
    # "It" needs something to point back to.
    at = next((i for i, one in enumerate(sentences) if re.match(r"it\b", one, re.I)), None)
    if at is not None and not any(map(_PROBLEM.search, sentences[:at])):
        subject = rng.choice(("this", "the skin problem", "the affected area"))
        sentences[at] = (subject if small else subject[0].upper() + subject[1:]) + sentences[at][2:]
    return ". ".join(sentences) + ("" if open_end else ".")


_PROBLEM = re.compile(r"(?i)\b(skin|affected|this|there|rash|growth|pigment|nail|hair|bumps?)\b")


def _sentences(said: list[str], voice: str, room: int, rng: random.Random) -> list[str]:
    """Return at most ``room`` sentences, small first letters, that say the findings ``said``."""
    known = read_findings()
    if voice == "patient":
        clauses = [rng.choice(known[name].lay) for name in said]
        return [_clauses(group, rng) for group in _groups(clauses, room, rng)]
    sentences = []
    seen = [rng.choice(known[name].clinical) for name in said if known[name].kind in SEEN]
    heard = [rng.choice(known[name].clinical) for name in said if known[name].kind in TOLD]
    openings = rng.sample(_SEEN_OPENINGS[voice], len(_SEEN_OPENINGS[voice]))
    for group in _groups(seen, room - 1 if heard else room, rng):
        sentences.append(openings.pop() + _phrases(group, voice, rng))
    openings = rng.sample(_TOLD_OPENINGS[voice], len(_TOLD_OPENINGS[voice]))
    for group in _groups(heard, room - len(sentences), rng):
        sentences.append(openings.pop() + _phrases(group, voice, rng))
    rng.shuffle(sentences)
    return sentences if len(sentences) <= room else ["; ".join(sentences)]


def _groups(items: list[str], room: int, rng: random.Random) -> list[list[str]]:
    """Split ``items`` in order into at most ``room`` groups, mostly of one to three."""
    groups: list[list[str]] = []
    while items:
        size = rng.randint(1, 3) if len(groups) + 1 < room else len(items)
        groups.append(items[:size])
        items = items[size:]
    return groups


def _clauses(clauses: list[str], rng: random.Random) -> str:
    """Join clauses as people do who type; more than three need semicolons."""
    if len(clauses) > 3:
        return "; ".join(clauses)
    if len(clauses) == 2:
        return rng.choice((" and ", ", and ", ", ", "; ")).join(clauses)
    last = rng.choice((", and ", " and ", ", "))
    return last.join(part for part in (", ".join(clauses[:-1]), clauses[-1]) if part)


_SEEN_OPENINGS = {
    "referral": (
        "examination shows ",
        "on examination: ",
        "the skin shows ",
        "the findings include ",
        "clinically, we see ",
        "",
    ),
    "chart": ("O/E: ", "o/e ", "exam: ", "", "", "seen: "),
}
_TOLD_OPENINGS = {
    "referral": (
        "the patient reports ",
        "the history includes ",
        "reported: ",
        "history: ",
        "the patient mentions ",
    ),
    "chart": ("hx: ", "Hx ", "history: ", "", "reports "),
}


def _phrases(phrases: list[str], voice: str, rng: random.Random) -> str:
    """Join noun phrases; notes drop their articles."""
    if voice == "chart":
        phrases = [re.sub(r"^(a|an|the) ", "", phrase) for phrase in phrases]
        return rng.choice((", ", ", ", "; ")).join(phrases)
    *first, last = phrases
    return f"{', '.join(first)} and {last}" if first else last


def sharing() -> pd.DataFrame:
    """Return how much each condition shares with the others, one row a condition.

    Columns: ``condition``; ``findings``, their number; ``shared``, the share of them that another
    condition lists too; ``posterior``, the highest probability of the condition given one of its
    findings alone, from the frequencies with the 26 conditions equally likely; ``strongest``, that
    finding.
    """
    uses = pd.DataFrame(
        [
            (condition, use.finding, use.frequency)
            for condition, rows in read_conditions().items()
            for use in rows
        ],
        columns=["condition", "finding", "frequency"],
    )
    by_finding = uses.groupby("finding")["frequency"]
    uses["shared"] = by_finding.transform("size") > 1
    uses["posterior"] = uses["frequency"] / by_finding.transform("sum")
    by_condition = uses.groupby("condition", sort=False)
    strongest = uses.loc[by_condition["posterior"].idxmax()]
    return pd.DataFrame(
        {
            "condition": strongest["condition"].to_numpy(),
            "findings": by_condition.size().to_numpy(),
            "shared": by_condition["shared"].mean().to_numpy(),
            "posterior": strongest["posterior"].to_numpy(),
            "strongest": strongest["finding"].to_numpy(),
        }
    )
