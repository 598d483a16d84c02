"""The label space and finding its names in text."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from dermmm.conditions import (
    CONDITIONS,
    INDEX,
    LOOK_ALIKES,
    NAMES,
    mask_names,
    names_in,
    says_a_name_or_code,
)

GROUPS = {"tumour": 10, "inflammatory": 10, "infectious": 5, "none": 1}


def test_label_space_has_26_conditions_in_four_groups() -> None:
    assert len(CONDITIONS) == len(set(NAMES)) == 26
    assert Counter(condition.group for condition in CONDITIONS) == GROUPS
    assert [INDEX[name] for name in NAMES] == list(range(26))
    assert (NAMES[0], NAMES[-1]) == ("actinic keratosis", "healthy skin")


def test_every_condition_is_described() -> None:
    for condition in CONDITIONS:
        assert condition.description.endswith(".")
        assert condition.synonyms
        if condition.group == "none":
            assert condition.icd10 == ""
        else:
            assert re.fullmatch(r"[A-Z]\d\d(\.\d{1,2})?", condition.icd10), condition


def test_no_synonym_means_two_things() -> None:
    phrases = [p.lower() for c in CONDITIONS for p in (c.name, *c.synonyms)]
    phrases += [phrase.lower() for phrase in LOOK_ALIKES]
    assert [phrase for phrase, count in Counter(phrases).items() if count > 1] == []


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.name)
def test_every_name_is_found_and_masked(condition) -> None:  # type: ignore[no-untyped-def]
    for phrase in (condition.name, *condition.synonyms):
        text = f"This may be {phrase}, I think."
        assert names_in(text) == {condition.name}, phrase
        assert mask_names(text) == "This may be [condition], I think.", phrase


@pytest.mark.parametrize(
    ("text", "names", "masked"),
    [
        ("PSORIASIS?", {"psoriasis"}, "X?"),
        ("psoriatic plaques", {"psoriasis"}, "X plaques"),
        ("three moles, two nevi", {"melanocytic nevus"}, "three X, two X"),
        ("seborrhoeic keratoses", {"benign keratosis"}, "X"),
        ("solar lentigines", {"benign keratosis"}, "X"),
        ("haemangiomata", {"vascular lesion"}, "X"),
        ("basal-cell carcinomas (BCCs)", {"basal cell carcinoma"}, "X (X)"),
        ("a bcc", {"basal cell carcinoma"}, "a X"),
        ("Bowen’s disease", {"squamous cell carcinoma"}, "X"),
        ("monkeypox or chicken-pox", {"mpox", "chickenpox"}, "X or X"),
        ("Hand, Foot, and Mouth Disease", {"hand, foot and mouth disease"}, "X"),
        ("hand-foot-mouth disease", {"hand, foot and mouth disease"}, "X"),
        # the longest name wins
        ("lichen planus-like keratosis", {"benign keratosis"}, "X"),
        ("malignant mole", {"melanoma"}, "X"),
        ("spider nevus", {"vascular lesion"}, "X"),
        # two letters are a name only in capitals
        ("SK, not sk", {"benign keratosis"}, "X, not sk"),
        ("le LE", {"lupus erythematosus"}, "le X"),
        # look-alikes are masked, but name nothing
        ("papular urticaria", set(), "X"),
        ("German measles", set(), "X"),
        ("perioral dermatitis", set(), "perioral X"),
        ("sebaceous nevus", set(), "X"),
        # parts of words and other diseases stay
        ("molecule, hivesque, smole", set(), "molecule, hivesque, smole"),
        ("athlete's foot and a wart", set(), "athlete's foot and a wart"),
        ("sore mouth, hand and foot", set(), "sore mouth, hand and foot"),
        ("", set(), ""),
    ],
)
def test_names_in_and_mask(text: str, names: set[str], masked: str) -> None:
    assert names_in(text) == names
    assert mask_names(text, mask="X") == masked


def test_masking_leaves_nothing_to_find() -> None:
    text = " and ".join((*NAMES, *LOOK_ALIKES))
    assert names_in(mask_names(text)) == set()
    assert set(mask_names(text).split(" and ")) == {"[condition]"}


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.name)
def test_every_own_name_and_code_is_said(condition) -> None:  # type: ignore[no-untyped-def]
    code = condition.icd10
    for said in (condition.name, *condition.synonyms, *filter(None, (code, code.replace(".", "")))):
        assert says_a_name_or_code(f"Seen for {said}."), said
        assert says_a_name_or_code(f"Seen for {said.upper()}, again."), said


@pytest.mark.parametrize(
    "said",
    [
        *("L40.0", "l20.9", "J45.1", "C4A.9", "L40.50", "(C44.9192)"),  # ICD-10
        *("L40", "l40", "C4491", "L409"),  # ours, without a dot
        *("EA80.0", "EA90", "ea80", "2C30", "1E70", "2C3Z", "LC50.1", "EB40.Z", "4A40"),  # ICD-11
        *("German measles", "papular urticaria", "PSORIATIC"),
    ],
)
def test_names_and_codes_are_said(said: str) -> None:
    assert says_a_name_or_code(said)
    assert says_a_name_or_code(f"It was {said}, they say")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I had a [condition] before; it itches.",
        "She takes vitamin B12 and B6, SPF50 and 2x10 mg.",
        "A patch of 2.5 cm, 3x4 cm, on T10 for 1h30, in 2019; I am 25F.",
        "CD30 was not asked. An A4 page. Seen at 10a.m. by me.",
        "A molecule of hand cream.",
    ],
)
def test_plain_words_and_numbers_are_no_names_or_codes(text: str) -> None:
    assert not says_a_name_or_code(text)
