"""Structured fields -> text, on made-up rows."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from dermmm.conditions import NAMES, mask_names
from dermmm.describe import BODY_FINDINGS, FINDINGS, Facts
from training.sources.row import Row
from training.unstructure import drop_facts, facts_of, texts

PAD = {
    "age": "62",
    "region": "FOREARM",
    "itch": "True",
    "grew": "UNK",
    "hurt": "False",
    "bleed": "True",
    "elevation": "False",
}
MILK = {"age_approx": "70.0", "sex": "male", "anatom_site_general": "lower extremity"}
SCIN = {
    "age_group": "AGE_18_TO_29",
    "sex_at_birth": "FEMALE",
    "textures_raised_or_bumpy": "YES",
    "body_parts_torso_back": "YES",
    "body_parts_foot_sole": "YES",
    "body_parts_other": "YES",
    "condition_symptoms_itching": "YES",
    "condition_symptoms_increasing_size": "YES",
    "other_symptoms_no_relevant_symptoms": "YES",
    "related_category": "RASH",
    "condition_duration": "ONE_TO_FOUR_WEEKS",
}


def made_row(source: str, fields: dict[str, str], label: str = "", text: str = "") -> Row:
    return Row(f"{source}:1", source, f"{source}:1", None, "", fields, text, label)


@pytest.mark.parametrize(
    ("source", "fields", "facts"),
    [
        (
            "pad_ufes_20",
            PAD,
            Facts(
                age=62,
                sites=("forearm",),
                findings={"itch": True, "pain": False, "bleeding": True, "elevation": False},
            ),
        ),
        (
            "pad_ufes_20",
            {"grew": "True", "changed": "False"},
            Facts(findings={"growth": True, "change": False}),
        ),
        ("milk10k", MILK, Facts(age=70, sex="male", sites=("lower limb",))),
        (
            "milk10k",
            {"anatom_site_general": "upper extremity", "anatom_site_special": "acral NOS"},
            Facts(sites=("hand or foot",)),
        ),
        (
            "scin",
            SCIN,
            Facts(
                age_range=(18, 29),
                sex="female",
                category="rash",
                sites=("back", "sole"),
                duration="1-4 weeks",
                textures=("raised or bumpy",),
                findings={"itch": True, "growth": True, **dict.fromkeys(BODY_FINDINGS, False)},
            ),
        ),
        # what means "unknown", or would name a condition, is no fact
        ("pad_ufes_20", {"age": "UNK", "itch": "UNK"}, Facts()),
        ("milk10k", {"age_approx": "0.0"}, Facts()),
        ("scin", {"age_group": "AGE_UNKNOWN", "sex_at_birth": "OTHER_OR_UNSPECIFIED"}, Facts()),
        ("scin", {"related_category": "ACNE"}, Facts()),
        ("scin", {"related_category": "LOOKS_HEALTHY"}, Facts()),
        ("scin", {"body_parts_other": "YES", "condition_duration": "UNKNOWN"}, Facts()),
        # a contradiction: what was ticked counts
        (
            "scin",
            {
                "condition_symptoms_pain": "YES",
                "condition_symptoms_no_relevant_experience": "YES",
            },
            Facts(findings={"pain": True}),
        ),
        # fields that are the label, or leak it, are not read
        ("pad_ufes_20", {"diagnostic": "BCC", "biopsed": "True", "smoke": "True"}, Facts()),
        ("milk10k", {"diagnosis_3": "Nevus", "concomitant_biopsy": "True"}, Facts()),
        ("fitzpatrick17k", {"label": "acne"}, Facts()),
    ],
)
def test_facts_of(source: str, fields: dict[str, str], facts: Facts) -> None:
    assert facts_of(source, fields) == facts


@pytest.mark.parametrize(
    ("source", "fields"), [("pad_ufes_20", PAD), ("milk10k", MILK), ("scin", SCIN)]
)
def test_texts_are_blind_to_the_label(source: str, fields: dict[str, str]) -> None:
    rows = [made_row(source, fields, label=name) for name in ("", *NAMES)]
    rows += [replace(row, label_weights={"Eczema": 1.0}) for row in rows]
    told = [texts(row, n=5, seed=1) for row in rows]
    assert all(one == told[0] for one in told)
    for text in told[0]:
        assert mask_names(text) == text


def test_texts_vary_within_a_row_and_with_its_id_and_the_seed() -> None:
    row = made_row("scin", SCIN)
    assert len(set(texts(row, n=20, seed=0))) == 20
    assert texts(row, n=20, seed=0)[:3] == texts(row, n=3, seed=0)
    assert texts(row, n=3, seed=0) != texts(row, n=3, seed=1)
    assert texts(row, n=3, seed=0) != texts(replace(row, id="scin:2"), n=3, seed=0)


def test_texts_are_the_same_in_another_process() -> None:
    code = (
        "from training.sources.row import Row; from training.unstructure import texts;"
        f"print(*texts(Row('scin:1', 'scin', 'g', None, '', {SCIN!r}, '', ''), 3), sep='|')"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip().split("|") == texts(made_row("scin", SCIN), 3)


def test_free_text_stays_and_silence_stays_silent() -> None:
    assert texts(made_row("dermavqa_iiyi", {}, text="A red patch."), n=3) == ["A red patch."]
    for source in ("pad_ufes_20", "milk10k", "scin", "fitzpatrick17k"):
        assert texts(made_row(source, {}, label="acne"), n=3) == []
    assert texts(made_row("scin", {"related_category": "ACNE"}), n=3) == []


def test_drop_facts_keeps_a_part_and_never_nothing() -> None:
    facts = facts_of("scin", SCIN)
    for seed in range(300):
        rng = random.Random(seed)
        kept = drop_facts(facts, rng, rate=rng.choice((0.3, 0.9, 1.0)))
        assert not kept.is_empty
        assert set(kept.sites) <= set(facts.sites)
        assert kept.findings.items() <= facts.findings.items()
        assert kept.age_range in (None, facts.age_range)
        # "otherwise well" is one statement
        assert len(set(kept.findings) & set(BODY_FINDINGS)) in (0, len(BODY_FINDINGS))
    assert drop_facts(facts, random.Random(0), rate=0) == facts
    assert drop_facts(Facts(), random.Random(0)) == Facts()
    with pytest.raises(ValueError, match="0 to 1"):
        drop_facts(facts, random.Random(0), rate=1.5)


def test_missing_answers_tell_little_about_the_class() -> None:
    """As in PAD-UFES-20: one class lacks two answers in every third row, the other never."""
    rng = random.Random(0)
    rows, classes = [], []
    for number in range(4000):
        carcinoma = number % 2 == 1
        asked = ["itch", "grew", "hurt", "changed", "bleed", "elevation"]
        fields = {name: rng.choice(("True", "False")) for name in asked}
        if carcinoma and rng.random() < 0.35:
            fields["grew"] = fields["changed"] = "UNK"
        rows.append({"age": "60", "region": "FACE", **fields})
        classes.append(carcinoma)

    def by_mention(facts: list[Facts]) -> float:
        said = np.array([[name in one.findings for name in FINDINGS] for one in facts], float)
        model = LogisticRegression(class_weight="balanced").fit(said[::2], classes[::2])
        return balanced_accuracy_score(classes[1::2], model.predict(said[1::2]))

    # half of each class in either half
    order = list(range(len(rows)))
    rng.shuffle(order)
    rows, classes = [rows[i] for i in order], [classes[i] for i in order]
    known = [facts_of("pad_ufes_20", fields) for fields in rows]
    assert by_mention(known) > 0.65
    assert by_mention([drop_facts(facts, rng) for facts in known]) < 0.60
