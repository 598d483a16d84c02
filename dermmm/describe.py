"""Facts about a skin problem -> a short English description, in many voices and wordings.

Training renders the structured fields of public data with it, and the page renders what a visitor
ticks, so both speak the same language. It knows no source and no condition, and says only facts.

>>> facts = Facts(age=62, sex="female", sites=("arm",), findings={"itch": True})
>>> describe(facts, seed=235, voice="patient")
'I am a 62-year-old woman and I have got a skin concern on my arm. It itches.'
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

VOICES = ("patient", "referral", "chart")
SEXES = ("female", "male")

# Site -> wordings; "{}" takes "my" or "the".
SITES: dict[str, tuple[str, ...]] = {
    "head or neck": ("{} head or neck", "{} head/neck area", "{} head or neck area"),
    "face": ("{} face", "{} facial skin"),
    "scalp": ("{} scalp", "the skin of {} scalp"),
    "nose": ("{} nose", "the skin of {} nose"),
    "ear": ("{} ear", "the skin of {} ear"),
    "lip": ("{} lip", "the skin of {} lip"),
    "neck": ("{} neck", "{} neck area"),
    "trunk": ("{} trunk", "the skin of {} trunk"),
    "front of torso": ("the front of {} torso", "{} front torso", "the front of {} body"),
    "chest": ("{} chest", "{} chest area"),
    "abdomen": ("{} abdomen", "{} belly", "{} stomach area"),
    "back": ("{} back", "the skin of {} back"),
    "upper limb": ("{} upper limb", "{} upper extremity"),
    "arm": ("{} arm", "the skin of {} arm"),
    "forearm": ("{} forearm", "{} lower arm"),
    "hand": ("{} hand", "the skin of {} hand"),
    "palm": ("the palm of {} hand", "{} palm"),
    "back of hand": ("the back of {} hand", "the top of {} hand"),
    "lower limb": ("{} lower limb", "{} lower extremity"),
    "leg": ("{} leg", "the skin of {} leg"),
    "thigh": ("{} thigh", "{} upper leg"),
    "foot": ("{} foot", "the skin of {} foot"),
    "top of foot": ("the top or side of {} foot", "the upper side of {} foot"),
    "sole": ("the sole of {} foot", "{} sole"),
    "hand or foot": ("{} hand or foot", "{} hand/foot"),
    "genitals or groin": ("{} genitals or groin", "{} genital or groin area", "{} groin area"),
    "mouth or genitals": ("{} mouth or genitals", "{} mouth or genital area"),
    "buttocks": ("{} buttocks", "{} bottom", "{} buttock area"),
}

CATEGORIES: dict[str, tuple[str, ...]] = {
    "rash": ("a rash", "a skin rash", "some kind of rash", "a rash of some sort"),
    "growth": ("a growth", "a skin growth", "some kind of growth", "a growth of some sort"),
    "pigment": (
        "a pigment problem",
        "a skin pigment issue",
        "a pigmentation problem",
        "some kind of pigment problem",
    ),
    "nail": ("a nail problem", "a nail issue", "nail trouble", "some kind of nail problem"),
    "hair loss": ("hair loss", "loss of hair", "some hair loss", "a hair loss problem"),
    "hair": ("a hair problem", "a hair issue", "hair trouble", "some kind of hair problem"),
}
# Said where the category is unknown: words that tell nothing.
_SOMETHING = ("a skin problem", "a skin issue", "a skin concern", "a skin complaint")

DURATIONS: dict[str, tuple[str, ...]] = {
    "1 day": ("for one day", "for 1 day", "for a day", "for about a day"),
    "under 1 week": (
        "for less than a week",
        "for under a week",
        "for less than 1 week",
        "for not quite a week",
    ),
    "1-4 weeks": (
        "for one to four weeks",
        "for 1-4 weeks",
        "for 1 to 4 weeks",
        "for between one and four weeks",
    ),
    "1-3 months": (
        "for one to three months",
        "for 1-3 months",
        "for 1 to 3 months",
        "for between one and three months",
    ),
    "3-12 months": (
        "for three to twelve months",
        "for 3-12 months",
        "for 3 to 12 months",
        "for between three and twelve months",
    ),
    "over 1 year": (
        "for more than a year",
        "for over a year",
        "for more than one year",
        "for over 1 year",
    ),
    "over 5 years": (
        "for more than five years",
        "for over five years",
        "for more than 5 years",
        "for over 5 years",
    ),
    "since childhood": (
        "since childhood",
        "ever since childhood",
        "since being a child",
        "from childhood on",
    ),
}

TEXTURES: dict[str, tuple[str, ...]] = {
    "raised or bumpy": ("raised or bumpy", "bumpy or raised", "bumpy", "raised/bumpy"),
    "flat": ("flat", "flat to the touch", "flat on the skin", "level with the skin"),
    "rough or flaky": ("rough or flaky", "flaky or rough", "rough/flaky", "rough and/or flaky"),
    "fluid-filled": ("fluid-filled", "filled with fluid", "full of fluid", "fluid filled"),
}


@dataclass(frozen=True)
class _Words:
    """How to say one finding.

    ``yes`` and ``no`` follow "it"; ``nouns`` follow "there is" and "no"; ``terms`` are the nouns
    that only a doctor would use.
    """

    yes: tuple[str, ...]
    no: tuple[str, ...]
    nouns: tuple[str, ...]
    terms: tuple[str, ...] = ()


_SKIN: dict[str, _Words] = {
    "itch": _Words(
        ("itches", "is itchy", "has been itching", "feels itchy"),
        ("does not itch", "is not itchy", "has not been itching", "does not feel itchy"),
        ("itching", "itch", "itchiness"),
        ("pruritus",),
    ),
    "pain": _Words(
        ("hurts", "is painful", "is sore", "has been hurting", "feels painful"),
        ("does not hurt", "is not painful", "is not sore", "has not been hurting"),
        ("pain", "soreness"),
    ),
    "bleeding": _Words(
        ("bleeds", "has bled", "has been bleeding", "is bleeding"),
        ("does not bleed", "has not bled", "has not been bleeding", "is not bleeding"),
        ("bleeding",),
    ),
    "growth": _Words(
        ("has grown", "is getting bigger", "has become larger", "has been increasing in size"),
        ("has not grown", "is not getting bigger", "has not become larger", "stays the same size"),
        ("growth in size", "enlargement", "increasing size"),
    ),
    "change": _Words(
        ("has changed", "looks different than before", "has been changing", "keeps changing"),
        ("has not changed", "looks the same as before", "has not been changing", "is unchanged"),
        ("visible change", "change in appearance", "altered appearance"),
    ),
    "elevation": _Words(
        ("is raised", "is elevated", "sticks up from the skin", "stands above the skin"),
        ("is not raised", "is not elevated", "does not stick up", "does not stand above the skin"),
        ("raised skin",),
        ("elevation", "elevated skin"),
    ),
    "burning": _Words(
        ("burns", "is burning", "has a burning feel", "has been burning"),
        ("does not burn", "is not burning", "has no burning feel", "has not been burning"),
        ("burning", "burning discomfort"),
    ),
    "darkening": _Words(
        ("is getting darker", "has darkened", "has become darker", "has been darkening"),
        ("is not getting darker", "has not darkened", "is no darker", "has not been darkening"),
        ("darkening", "darkening of the skin", "darkening colour"),
    ),
    "bothersome appearance": _Words(
        ("looks concerning", "looks worrying", "has a bothersome look", "looks bothersome"),
        ("does not look concerning", "does not look worrying", "has no bothersome look"),
        ("concern about its looks", "worry about its looks", "concern about its appearance"),
    ),
}

_BODY: dict[str, tuple[str, ...]] = {
    "fever": ("fever", "fevers", "fever spells", "feverish spells"),
    "chills": ("chills", "shivering", "shivers", "cold shivers"),
    "fatigue": ("fatigue", "tiredness", "exhaustion", "lack of energy"),
    "joint pain": ("joint pain", "painful joints", "aching joints", "sore joints"),
    "mouth sores": ("mouth sores", "sores in the mouth", "oral sores", "sores inside the mouth"),
    "shortness of breath": (
        "shortness of breath",
        "breathlessness",
        "trouble breathing",
        "difficulty breathing",
    ),
}
# Said where all of the body's symptoms are denied at once.
_WELL = {
    "patient": ("I feel well otherwise", "otherwise I am well", "apart from that I feel well"),
    "referral": ("otherwise well", "the patient is otherwise well", "no general symptoms"),
    "chart": ("otherwise well", "no general symptoms", "general symptoms: none"),
}

SKIN_FINDINGS: tuple[str, ...] = tuple(_SKIN)
BODY_FINDINGS: tuple[str, ...] = tuple(_BODY)
FINDINGS: tuple[str, ...] = SKIN_FINDINGS + BODY_FINDINGS


@dataclass(frozen=True)
class Facts:
    """What is known about a skin problem; whatever is left out is unknown, not absent.

    ``age`` is in years, 1 to 120 (1 for an infant), or ``age_range`` gives the first and last
    year. ``sex`` is one of SEXES, ``category`` a key of CATEGORIES, ``duration`` of DURATIONS;
    ``sites`` and ``textures`` are keys of SITES and TEXTURES. ``findings`` maps keys of FINDINGS
    to True (present) or False (denied).

    Raises:
        ValueError: a value is not in its table, or both ages are given.
    """

    age: int | None = None
    age_range: tuple[int, int] | None = None
    sex: str | None = None
    category: str | None = None
    sites: tuple[str, ...] = ()
    duration: str | None = None
    textures: tuple[str, ...] = ()
    findings: Mapping[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.age is not None and self.age_range is not None:
            raise ValueError(
                f"got age {self.age} and age_range {self.age_range}, expected at most one; drop one"
            )
        ages = self.age_range or ((self.age, self.age) if self.age is not None else (1, 1))
        if not 1 <= ages[0] <= ages[1] <= 120:
            raise ValueError(f"got age {ages}, expected 1 to 120 in order; correct or leave it out")
        for what, values, table in (
            ("sex", [self.sex], SEXES),
            ("category", [self.category], CATEGORIES),
            ("sites", self.sites, SITES),
            ("duration", [self.duration], DURATIONS),
            ("textures", self.textures, TEXTURES),
            ("findings", self.findings, FINDINGS),
        ):
            for value in values:
                if value is not None and value not in table:
                    raise ValueError(
                        f"got {what} {value!r}, expected one of {', '.join(table)}; "
                        "leave it out where none fits"
                    )

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known at all."""
        return self == Facts()


def describe(facts: Facts, seed: int, voice: str | None = None) -> str:
    """Return one to four English sentences that say exactly ``facts``, "" where there are none.

    ``voice`` is one of VOICES; None lets ``seed`` choose. The same facts, seed and voice give the
    same text in every process.

    Raises:
        ValueError: the voice is unknown.
    """
    if voice not in (None, *VOICES):
        raise ValueError(f"got voice {voice!r}, expected one of {', '.join(VOICES)} or None")
    if facts.is_empty:
        return ""
    rng = random.Random(seed)
    voice = voice or rng.choice(VOICES)
    intro = _intro(facts, voice, rng)
    details = [one for one in (_textures(facts, rng), _skin(facts, voice, rng)) if one]
    rng.shuffle(details)
    body = _body(facts, voice, rng)
    if details and not _has_problem(facts):
        # "It" needs something to point back to.
        subject = rng.choice(("this", "the skin problem", "the affected skin", "the affected area"))
        details[0] = re.sub(r"^it\b", subject, details[0])
    sentences = [sentence for sentence in (intro, *details, body) if sentence]
    return _typed(sentences, voice, rng)


def _has_problem(facts: Facts) -> bool:
    """Whether the first sentence can name the problem, beyond the person."""
    return bool(facts.category or facts.sites or facts.duration)


def _intro(facts: Facts, voice: str, rng: random.Random) -> str:
    """Return the sentence about the person, the problem, its site and its duration, or ""."""
    what = _what(facts, voice, rng)
    who = _who(facts, voice, rng)
    if voice == "patient":
        had = "I have had" if facts.duration else rng.choice(("I have", "I have got"))
        there = "there has been" if facts.duration else "there is"
        if not who:
            return what and rng.choice((f"{had} {what}", f"{there} {what}", _bare(what)))
        if not what:
            return f"I am {who}"
        return rng.choice(
            (
                f"I am {who} with {what}",
                f"I am {who} and {had} {what}",
                f"I am {who} and {there} {what}",
                f"{_bare(who)} with {what}",
                f"{had} {what}; I am {who}",
            )
        )
    if voice == "referral":
        if not what:
            patient = rng.choice(("the patient", "this patient", "our patient", "the person seen"))
            return who and f"{patient} is {who}"
        verb = rng.choice(("presents with", "reports", "comes with", "is seen for"))
        patient = f"the patient, {who}," if who else "the patient"
        if who.startswith(("a ", "an ")) and rng.random() < 0.7:
            patient = f"{who}," if "," in who else who
        return f"{patient} {verb} {what}"
    comma = rng.choice((", ", "; ", " - "))
    return comma.join(part for part in (_bare(who), _bare(what)) if part)


def _who(facts: Facts, voice: str, rng: random.Random) -> str:
    """Return the person as it follows "I am", e.g. "a 62-year-old woman", or ""."""
    years = f"{facts.age}" if facts.age else ""
    if facts.age_range:
        low, high = facts.age_range
        years = rng.choice((f"{low}-{high}", f"{low} to {high}", f"between {low} and {high}"))
    unit = "year" if facts.age == 1 else "years"
    old = rng.choice((f"{years} {unit} old", f"aged {years}", f"{years} {unit} of age"))
    if not facts.sex:
        return years and old
    # Below 18, and at any unknown age, "woman" and "man" might be wrong.
    adult = (facts.age or (facts.age_range or (0,))[0]) >= 18
    grown = {"female": "woman", "male": "man"}[facts.sex]
    noun = rng.choice((grown, facts.sex)) if adult else facts.sex
    if not years:
        return facts.sex
    if facts.age is None:
        return rng.choice((f"a {noun} aged {years}", f"a {noun} of {years}"))
    if voice == "chart" and rng.random() < 0.5:
        letter = facts.sex[0].upper()
        return rng.choice((f"{years}{letter}", f"{years} {letter}", f"{years}yo {facts.sex}"))
    # "an" stands before eight, eleven, eighteen and eighty to eighty-nine.
    article = "an" if years in ("8", "11", "18") or years.startswith("8") else "a"
    return rng.choice(
        (
            f"{article} {years}-year-old {noun}",
            f"{article} {years} y/o {noun}",
            f"{article} {years} year old {noun}",
            f"a {noun} aged {years}",
        )
    )


def _what(facts: Facts, voice: str, rng: random.Random) -> str:
    """Return the problem, its site and its duration, e.g. "a rash on my arm for a day", or ""."""
    if not _has_problem(facts):
        return ""
    noun = rng.choice(CATEGORIES[facts.category] if facts.category else _SOMETHING)
    owner = "my" if voice == "patient" else "the"
    sites = [rng.choice(SITES[site]).format(owner) for site in _shuffled(facts.sites, rng)]
    place = ""
    if sites:
        on = rng.choice(("on", "on", "affecting", "located on"))
        place = f" {on} {_join(sites, 'and')}"
    if not facts.duration:
        return noun + place
    since = rng.choice(DURATIONS[facts.duration])
    if voice == "chart" and rng.random() < 0.5:
        return f"{noun}{place}, " + re.sub("^for ", "duration ", since)
    return f"{noun}{place} {since}"


def _textures(facts: Facts, rng: random.Random) -> str:
    """Return the sentence about how the skin feels, or ""."""
    if not facts.textures:
        return ""
    feels = [rng.choice(TEXTURES[texture]) for texture in _shuffled(facts.textures, rng)]
    verb = rng.choice(("it is", "it feels", "the surface is", "the skin there is"))
    return f"{verb} {_join(feels, 'and')}"


def _skin(facts: Facts, voice: str, rng: random.Random) -> str:
    """Return the sentence about the findings on the skin, present before denied, or ""."""
    known = _shuffled([name for name in facts.findings if name in _SKIN], rng)
    if voice != "chart" and rng.random() < 0.6:
        yes = [rng.choice(_SKIN[name].yes) for name in known if facts.findings[name]]
        no = [rng.choice(_SKIN[name].no) for name in known if not facts.findings[name]]
        halves = [_join(half, "and") for half in (yes, no) if half]
        return f"it {' but '.join(halves)}" if halves else ""
    nouns = {
        name: _SKIN[name].nouns + (() if voice == "patient" else _SKIN[name].terms)
        for name in known
    }
    return _listed(facts, nouns, "there is", voice, rng)


def _body(facts: Facts, voice: str, rng: random.Random) -> str:
    """Return the sentence about the rest of the body, or ""."""
    known = _shuffled([name for name in facts.findings if name in _BODY], rng)
    if len(known) == len(_BODY) and not any(facts.findings[name] for name in known):
        return rng.choice(_WELL[voice])
    opening = "I have" if voice == "patient" else "with"
    return _listed(facts, {name: _BODY[name] for name in known}, opening, voice, rng)


def _listed(
    facts: Facts, nouns: Mapping[str, tuple[str, ...]], opening: str, voice: str, rng: random.Random
) -> str:
    """Return the findings of ``nouns`` as a list of nouns, e.g. "there is itching but no pain"."""
    said = {name: rng.choice(words) for name, words in nouns.items()}
    yes = [noun for name, noun in said.items() if facts.findings[name]]
    no = [noun for name, noun in said.items() if not facts.findings[name]]
    if voice == "chart":
        style = rng.randrange(3)
        if style == 0:
            return ", ".join([f"{noun} +" for noun in yes] + [f"{noun} -" for noun in no])
        if style == 1:
            return ", ".join([f"{noun}: yes" for noun in yes] + [f"{noun}: no" for noun in no])
    openings = [(opening, "no"), ("with", "no")]
    if voice != "patient":
        openings += [("reports", "denies"), ("positive for", "no")]
    has, lacks = rng.choice(openings)
    parts = [f"{has} {_join(yes, 'and')}"] if yes else []
    if no:
        parts.append(f"{lacks} {_join(no, 'or')}")
    but = " and " if lacks == "denies" else rng.choice((" but ", "; "))
    return but.join(parts)


def _shuffled(items: Iterable[str], rng: random.Random) -> list[str]:
    # Sorted first, so that the order in which a mapping was filled changes nothing.
    items = sorted(items)
    rng.shuffle(items)
    return items


def _join(items: list[str], word: str) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return f" {word} ".join(part for part in (", ".join(items[:-1]), *items[-1:]) if part)


def _bare(noun: str) -> str:
    return re.sub(r"^(a|an|some) (?!kind)", "", noun)


_SHORT = (
    (r"\b([Ii]) am\b", r"\1'm"),
    (r"\b([Ii]) have (?=had|noticed|got)", r"\1've "),
    (r"\b(does|is|has) not\b", r"\1n't"),
    (r"(?<!skin )\b(there) is\b", r"\1's"),
)


def _typed(sentences: list[str], voice: str, rng: random.Random) -> str:
    """Return the sentences as one text, with contractions and the habits of someone who types."""
    habits = {"patient": 0.25, "referral": 0.0, "chart": 0.15}[voice]
    if voice != "chart" and rng.random() < (0.6 if voice == "patient" else 0.2):
        for long, short in _SHORT:
            sentences = [re.sub(long, short, sentence) for sentence in sentences]
        if rng.random() < habits:
            sentences = [sentence.replace("n't", "nt") for sentence in sentences]
    if rng.random() < habits:
        sentences = [re.sub(r"\byear(s?)\b", r"yr\1", sentence) for sentence in sentences]
    if rng.random() >= habits:
        sentences = [sentence[0].upper() + sentence[1:] for sentence in sentences]
    elif voice == "patient":
        sentences = [re.sub(r"\bI\b", "i", sentence) for sentence in sentences]
    text = ". ".join(sentences)
    return text if rng.random() < habits else f"{text}."
