"""The renderer, read back by rules of its own."""

from __future__ import annotations

import random
import re
import subprocess
import sys

import pytest

from dermmm.conditions import mask_names
from dermmm.describe import (
    CATEGORIES,
    DURATIONS,
    FINDINGS,
    SEXES,
    SITES,
    TEXTURES,
    VOICES,
    Facts,
    describe,
)

# What a reader looks for. Order matters: the first pattern takes its words away from the rest.
SITE_RULES = (
    ("top of foot", r"(?:top or side|upper side) of \w+ foot"),
    ("sole", r"sole(?: of \w+ foot)?"),
    ("hand or foot", r"hand(?: or |/)foot"),
    ("back of hand", r"(?:back|top) of \w+ hand"),
    ("palm", r"palm(?: of \w+ hand)?"),
    ("front of torso", r"front of \w+ (?:torso|body)|front torso"),
    ("mouth or genitals", r"mouth or genital(?:s| area)"),
    ("genitals or groin", r"genitals? or groin(?: area)?|groin area"),
    ("head or neck", r"head(?: or |/)neck(?: area)?"),
    ("upper limb", r"upper (?:limb|extremity)"),
    ("lower limb", r"lower (?:limb|extremity)"),
    ("forearm", r"forearm|lower arm"),
    ("thigh", r"thigh|upper leg"),
    ("abdomen", r"abdomen|belly|stomach area"),
    ("buttocks", r"buttocks?(?: area)?|bottom"),
    ("face", r"face|facial skin"),
    *((site, site) for site in ("scalp", "nose", "ear", "lip", "neck", "trunk", "chest")),
    *((site, site) for site in ("back", "arm", "hand", "leg", "foot")),
)
CATEGORY_RULES = (
    ("rash", "rash"),
    ("growth", "growth(?! in size)"),
    ("pigment", "pigment(?:ation)?"),
    ("nail", "nail"),
    ("hair loss", "hair loss|loss of hair"),
    ("hair", "hair"),
)
DURATION_RULES = (
    ("1 day", r"(?:one|1|a|about a) day"),
    ("under 1 week", r"(?:less than|under|not quite) (?:a|1) week"),
    ("1-4 weeks", r"(?:one|1)(?: to |-| and )(?:four|4) weeks"),
    ("1-3 months", r"(?:one|1)(?: to |-| and )(?:three|3) months"),
    ("3-12 months", r"(?:three|3)(?: to |-| and )(?:twelve|12) months"),
    ("over 1 year", r"(?:more than|over) (?:a|one|1) year"),
    ("over 5 years", r"(?:more than|over) (?:five|5) years"),
    ("since childhood", r"childhood|being a child"),
)
TEXTURE_RULES = (
    ("raised or bumpy", r"raised(?: or |/)bumpy|bumpy(?: or raised)?"),
    ("flat", r"flat(?: to the touch| on the skin)?|level with the skin"),
    ("rough or flaky", r"rough(?: or |/| and/or )flaky|flaky or rough"),
    ("fluid-filled", r"fluid.filled|(?:filled with|full of) fluid"),
)
FINDING_RULES = (
    ("mouth sores", r"(?:mouth|oral) sores|sores (?:in|inside) the mouth"),
    ("joint pain", r"joint pain|(?:painful|aching|sore) joints"),
    ("shortness of breath", r"breath"),
    ("fever", r"fever"),
    ("chills", r"chill|shiver"),
    ("fatigue", r"fatigue|tired|exhaust|energy"),
    ("bothersome appearance", r"concern|worry|bother"),
    ("itch", r"itch|prurit"),
    ("pain", r"pain|hurt|sore"),
    ("bleeding", r"bleed|bled"),
    ("growth", r"size|enlarge|grown|bigger|larger"),
    ("change", r"chang|alter|as before|than before"),
    ("elevation", r"raised|elevat|stick|stand"),
    ("burning", r"burn"),
    ("darkening", r"dark"),
)
BODY = ("fever", "chills", "fatigue", "joint pain", "mouth sores", "shortness of breath")
DENIES = r"\b(?:not?|denies|same|unchanged)\b|(?: -|: no)$"


def understand(text: str) -> Facts:
    """Read a description back by rules."""
    text = re.sub(r"\b(do|does|is|has)n['’]?t\b", r"\1 not", text.lower())
    text = text.replace("yr", "year").replace("yo ", " y/o ")

    def take(pattern: str) -> list[str]:
        nonlocal text
        found = [match.group(0) for match in re.finditer(pattern, text)]
        text = re.sub(pattern, "~", text)
        return found

    def taken(rules: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
        return tuple(name for name, pattern in rules if take(rf"\b(?:{pattern})\b"))

    durations = taken(DURATION_RULES)
    ranges = take(r"\b\d+(?:-| to | and )\d+\b")
    ages = take(
        r"\b\d+(?=[ -]?(?:year|y/o|f\b|m\b|[.,;]|$| -| with| and| is| ~| pres| rep| comes))"
    )
    sexes = [
        sex
        for sex, pattern in (("female", r"female|woman|~ ?f"), ("male", r"male|man|~ ?m"))
        if take(rf"(?<!\w)(?:{pattern})\b")
    ]
    sites = taken(SITE_RULES)
    textures = taken(TEXTURE_RULES)
    text = re.sub(r"skin (?:problem|issue|concern|complaint)", "~", text)
    text = re.sub(r"\b(?:itching|affected) (?:skin|area)", "~", text)
    categories = taken(CATEGORY_RULES)
    findings: dict[str, bool] = {}
    if take(r"general symptoms|\bwell\b"):
        findings |= dict.fromkeys(BODY, False)
        text = re.sub(r"no ~|~: none", "~", text)
    for sentence in re.split(r"[.;]", text):
        present = True
        for chunk in re.split(r",| and | or | but ", sentence):
            if re.search(DENIES, chunk):
                present = False
            elif re.search(r" \+$|: yes$", chunk):
                present = True
            for name, pattern in FINDING_RULES:
                if re.search(pattern, chunk):
                    findings[name] = present
                    break
    return Facts(
        age=int(ages[0]) if ages else None,
        age_range=tuple(map(int, re.findall(r"\d+", ranges[0]))) if ranges else None,  # type: ignore[arg-type]
        sex=sexes[0] if sexes else None,
        category=categories[0] if categories else None,
        sites=tuple(sorted(sites)),
        duration=durations[0] if durations else None,
        textures=tuple(sorted(textures)),
        findings=findings,
    )


def random_facts(rng: random.Random) -> Facts:
    """Made-up facts; every field is often missing."""

    def some(table: object, most: int) -> tuple[str, ...]:
        names = list(table)  # type: ignore[call-overload]
        return tuple(sorted(rng.sample(names, rng.randint(0, most))))

    def one(table: object) -> str | None:
        return rng.choice([None, *table])  # type: ignore[misc]

    low = rng.randint(1, 80)
    ages: dict[str, object] = rng.choice(
        ({}, {"age": rng.randint(1, 120)}, {"age_range": (low, low + 9)})
    )
    return Facts(
        **ages,  # type: ignore[arg-type]
        sex=one(SEXES),
        category=one(CATEGORIES),
        sites=some(SITES, 3),
        duration=one(DURATIONS),
        textures=some(TEXTURES, 2),
        findings={name: rng.random() < 0.5 for name in some(FINDINGS, 6)},
    )


@pytest.mark.parametrize("voice", [*VOICES, None])
def test_round_trip(voice: str | None) -> None:
    rng = random.Random(f"round trip {voice}")
    for seed in range(700):
        facts = random_facts(rng)
        text = describe(facts, seed, voice)
        assert understand(text) == facts, text


@pytest.mark.parametrize("voice", VOICES)
def test_single_facts_round_trip(voice: str) -> None:
    singles = [
        *(Facts(age=age) for age in (1, 8, 11, 18, 45, 80, 110)),
        Facts(age_range=(18, 29)),
        *(Facts(sex=sex) for sex in SEXES),
        *(Facts(category=category) for category in CATEGORIES),
        *(Facts(sites=(site,)) for site in SITES),
        *(Facts(duration=duration) for duration in DURATIONS),
        *(Facts(textures=(texture,)) for texture in TEXTURES),
        *(Facts(findings={name: present}) for name in FINDINGS for present in (True, False)),
    ]
    for facts in singles:
        said = {describe(facts, seed, voice) for seed in range(60)}
        assert {understand(text) == facts for text in said} == {True}, said
        assert len(said) >= 4, said


def test_denying_every_symptom_of_the_body_is_short() -> None:
    facts = Facts(findings=dict.fromkeys(BODY, False))
    for seed in range(100):
        text = describe(facts, seed)
        assert understand(text) == facts, text
        assert len(text.split()) <= 7, text


def test_language() -> None:
    rng = random.Random("language")
    for seed in range(2000):
        facts = random_facts(rng)
        text = describe(facts, seed)
        assert not re.search(r"  | [.,;]|[,;]\.|\.\.|~|\{|\}|None|True|False", text), text
        assert not re.search(r"\b[Aa] (?:8|11|18)\b|\b[Aa] 8\d|\ban [2-79]", text), text
        assert not re.search(
            r"\b1 years\b|\ba (?:loss|hair loss(?! problem))|\b(\w+) \1\b", text
        ), text
        assert len(re.findall(r"\.(?=\s|$)", text.rstrip("."))) < 4, text
        assert text.strip() == text
        # no condition may be named, whatever the facts
        assert mask_names(text) == text, text


def test_children_are_no_men_or_women() -> None:
    for seed in range(200):
        text = describe(Facts(age=17, sex="female"), seed)
        assert "woman" not in text
        assert not re.search(r"\bman\b", describe(Facts(sex="male", category="rash"), seed))


def test_empty_facts_say_nothing() -> None:
    assert Facts().is_empty
    assert [describe(Facts(), seed, voice) for seed in range(5) for voice in VOICES] == [""] * 15
    assert not Facts(findings={"itch": False}).is_empty


def test_same_seed_same_text() -> None:
    facts = random_facts(random.Random(3))
    assert [describe(facts, seed) for seed in range(50)] == [describe(facts, s) for s in range(50)]
    assert len({describe(facts, seed) for seed in range(50)}) > 40


def test_order_of_given_facts_changes_nothing() -> None:
    one = Facts(sites=("arm", "leg"), findings={"itch": True, "pain": False})
    two = Facts(sites=("leg", "arm"), findings={"pain": False, "itch": True})
    assert [describe(one, seed) for seed in range(50)] == [describe(two, s) for s in range(50)]


def test_same_text_in_another_process() -> None:
    code = (
        "from dermmm.describe import *;"
        "print(describe(Facts(age=40, sites=('arm', 'leg'), findings={'itch': True}), 5))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    facts = Facts(age=40, sites=("arm", "leg"), findings={"itch": True})
    assert said.stdout.strip() == describe(facts, 5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"age": 0}, "1 to 120"),
        ({"age_range": (30, 20)}, "1 to 120"),
        ({"age": 20, "age_range": (18, 29)}, "at most one"),
        ({"sex": "F"}, "female, male"),
        ({"sites": ("elbow",)}, "forearm"),
        ({"findings": {"nausea": True}}, "itch"),
    ],
)
def test_unknown_facts_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Facts(**wrong)  # type: ignore[arg-type]


def test_unknown_voice_is_refused() -> None:
    with pytest.raises(ValueError, match="patient, referral, chart"):
        describe(Facts(age=40), 1, voice="poet")
