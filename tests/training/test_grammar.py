"""Synthetic descriptions: the tables of knowledge and the texts drawn from them."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from dermmm.conditions import NAMES, mask_names, names_in
from dermmm.describe import CATEGORIES, DURATIONS, SITES, TEXTURES, VOICES
from dermmm.describe import FINDINGS as FACT_FINDINGS
from training.grammar import (
    CONDITIONS_TABLE,
    FINDINGS_TABLE,
    Draft,
    draft,
    read_conditions,
    read_findings,
    sharing,
)


@cache
def drafts(condition: str) -> tuple[Draft, ...]:
    return tuple(draft(condition, seed) for seed in range(700))


def test_every_condition_has_many_findings_of_its_own_table_and_of_describe() -> None:
    conditions = read_conditions()
    assert tuple(conditions) == NAMES
    for condition, uses in conditions.items():
        told = [use.finding for use in uses if ":" in use.finding]
        assert len(uses) - len(told) >= 25, condition
        assert {"age", "sex", "site", "duration", "category", "texture", "fact"} == {
            finding.split(":")[0] for finding in told
        }, condition
        assert all(use.reference.strip() for use in uses)


def test_every_finding_is_used_and_none_by_a_single_condition() -> None:
    users = Counter(use.finding for uses in read_conditions().values() for use in uses)
    assert set(read_findings()) <= set(users)
    assert min(users.values()) >= 2


def test_sharing_leaves_no_finding_that_decides_alone() -> None:
    table = sharing().set_index("condition")
    assert list(table.index) == list(NAMES)
    assert (table["findings"] >= 25).all()
    assert (table["shared"] >= 0.6).all()
    # At 0.7, the most telling finding of all still belongs to someone with another condition
    # three times in ten, so a model must weigh findings together to be surer than that.
    assert (table["posterior"] <= 0.7).all()
    assert (table["posterior"] > 1 / len(NAMES)).all()


def test_sharing_agrees_with_a_literal_count() -> None:
    conditions = read_conditions()
    row = sharing().set_index("condition").loc["psoriasis"]
    given = {
        use.finding: use.frequency
        / sum(u.frequency for uses in conditions.values() for u in uses if u.finding == use.finding)
        for use in conditions["psoriasis"]
    }
    assert row["findings"] == len(given)
    assert row["posterior"] == pytest.approx(max(given.values()))
    assert given[row["strongest"]] == max(given.values())


def test_no_wording_names_a_condition() -> None:
    for finding in read_findings().values():
        for wording in (*finding.lay, *finding.clinical):
            assert mask_names(wording) == wording


@pytest.mark.parametrize("condition", NAMES)
def test_texts_name_no_condition_and_are_many_and_of_moderate_length(condition: str) -> None:
    made = drafts(condition)
    for one in made[:200]:
        assert mask_names(one.text) == one.text
        assert names_in(one.text) == set()
    assert len({one.text for one in made}) >= 500
    words = [len(one.text.split()) for one in made]
    assert 6 <= min(words) <= 12
    assert 45 <= max(words) <= 110
    assert max(len(one.text.split(". ")) for one in made) <= 5
    assert {one.voice for one in made} == set(VOICES)


def test_texts_of_all_conditions_are_alike_in_length() -> None:
    mean = {name: sum(len(one.text.split()) for one in drafts(name)) / 700 for name in NAMES}
    assert max(mean.values()) - min(mean.values()) < 4


@pytest.mark.parametrize("voice", VOICES)
def test_a_text_says_the_findings_it_lists_and_no_others(voice: str) -> None:
    known = read_findings()
    for condition in ("psoriasis", "melanoma", "chickenpox"):
        for one in (draft(condition, seed, voice) for seed in range(100)):
            text = one.text.lower()
            # A first "it" may have become "this" or "the skin problem", and notes drop articles.
            said = {
                name
                for name, finding in known.items()
                for wording in (finding.lay if voice == "patient" else finding.clinical)
                if re.search(rf"\b{re.escape(re.sub('^(it|an?|the) ', '', wording.lower()))}", text)
            }
            assert said == {name for name in one.findings if name in known}, one


FACTS = {
    **{
        f"{kind} {name}": wordings
        for kind, table in (
            ("site", SITES), ("category", CATEGORIES), ("duration", DURATIONS),
            ("texture", TEXTURES),
        )
        for name, wordings in table.items()
    },
    "sex female": ("woman", "female", "f"),
    "sex male": ("man", "male", "m"),
}  # fmt: skip


@pytest.mark.parametrize("voice", VOICES)
def test_a_text_says_the_facts_it_lists(voice: str) -> None:
    """In the words of `facts_as_features`, as rendered texts list them."""
    listed: Counter[str] = Counter()
    for one in (draft(name, seed, voice) for name in NAMES for seed in range(20)):
        facts = [name for name in one.findings if name not in read_findings()]
        listed.update(fact.split()[0] for fact in facts)
        text = re.sub(r"\byr", "year", one.text.lower())
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        assert not any(";" in name for name in one.findings)
        for fact in facts:
            if fact in FACTS:
                bare = (re.sub(r"^(for|an?|some) (?!kind)", "", word) for word in FACTS[fact])
                pattern = "|".join(map(re.escape, bare)).replace(r"\{\}", "(my|the)")
                assert re.search(rf"(\b|\d)({pattern})\b", text), one
            elif fact.startswith("decade"):
                assert int(fact.split()[1]) in {number // 10 for number in numbers}, one
            elif fact.startswith("age_range"):
                assert set(map(int, re.findall(r"\d+", fact))) <= set(numbers), one
            else:
                assert re.fullmatch(f"({'|'.join(FACT_FINDINGS)}) (True|False)", fact), one
    assert {"site", "category", "duration", "texture", "sex", "decade", "age_range"} <= set(listed)


def test_frequent_findings_are_drawn_more_often_than_rare_ones() -> None:
    mentioned = Counter(name for one in drafts("psoriasis") for name in one.findings)
    assert mentioned["silvery scale"] > 3 * mentioned["around the eyes"]
    assert mentioned["silvery scale"] > 3 * mentioned["yellow crust"]
    assert mentioned["fever False"] > mentioned["fever True"]


def feature(rule: str) -> str:
    """How a draft lists what a rule of ``not_with`` is about, e.g. "no fact:itch"."""
    kind, _, value = rule.partition(":")
    if kind.endswith("fact"):
        return f"{value} {kind == 'fact'}"
    return rule.replace(":", " ")


@pytest.mark.parametrize("condition", ["measles", "folliculitis", "healthy skin"])
def test_a_patient_has_no_two_findings_that_contradict_each_other(condition: str) -> None:
    known = read_findings()
    for one in drafts(condition):
        for name in one.findings:
            rules = {feature(rule) for rule in known[name].not_with} if name in known else set()
            assert not rules & set(one.findings), one
        ages = [re.findall(r"\d+", name)[-1] for name in one.findings if name.startswith("age_")]
        ages += [f"{name[7:]}9" for name in one.findings if name.startswith("decade ")]
        oldest = min(map(int, ages), default=120)
        assert all(known[name].from_age <= oldest for name in one.findings if name in known), one


def test_the_same_seed_gives_the_same_text_in_every_process() -> None:
    code = (
        "from training.grammar import draft\n"
        "for seed in range(20): print(draft('mpox', seed).text)\n"
        "print(draft('mpox', 3, 'chart').text)"
    )
    fresh = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    here = [draft("mpox", seed).text for seed in range(20)]
    assert fresh == [*here, draft("mpox", 3, "chart").text]
    assert len(set(here)) > 15


def test_a_voice_that_the_seed_would_choose_changes_nothing() -> None:
    one = draft("acne", 5)
    assert draft("acne", 5, one.voice) == one
    others = [draft("acne", 5, voice).text for voice in VOICES if voice != one.voice]
    assert one.text not in others


def test_unknown_condition_and_voice_are_refused() -> None:
    with pytest.raises(ValueError, match="got condition 'warts', expected one of actinic"):
        draft("warts", 0)
    with pytest.raises(ValueError, match="got voice 'poet', expected one of patient"):
        draft("acne", 0, "poet")


def broken(table: Path, tmp_path: Path, row: dict[str, str]) -> Path:
    """A copy of ``table`` with one more row, and the rest of it from the first row."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    path = tmp_path / table.name
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows([*rows, rows[0] | row])
    return path


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({}, "listed twice"),
        ({"condition": "warts"}, "got condition 'warts'"),
        ({"finding": "nonsense"}, "'nonsense' is neither in findings.csv nor said by describe"),
        ({"finding": "site:moon"}, "'site:moon' is neither"),
        ({"finding": "age:young"}, "'age:young' is neither"),
        ({"finding": "weeping", "frequency": "often"}, "got frequency 'often'"),
        ({"finding": "weeping", "frequency": "0.99"}, "got frequency '0.99'"),
        ({"finding": "weeping", "reference": " "}, "no reference"),
        ({"finding": "age:1-4", "frequency": "0.9"}, "the shares of age sum to more than 1"),
    ],
)
def test_a_broken_row_of_conditions_is_named(
    tmp_path: Path, row: dict[str, str], problem: str
) -> None:
    path = broken(CONDITIONS_TABLE, tmp_path, row)
    last = len(CONDITIONS_TABLE.read_text(encoding="utf-8").splitlines()) + 1
    with pytest.raises(ValueError, match=rf"conditions.csv, row {last} .*{problem}"):
        read_conditions(path)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({}, "expected a new name"),
        ({"finding": "new", "kind": "smell"}, "got kind 'smell'"),
        ({"finding": "new", "lay": "it is red"}, "expected two different wordings"),
        ({"finding": "new", "clinical": "redness | a mole"}, "'a mole' names a condition"),
        ({"finding": "new", "lay": "it is red | It is pink."}, "small first letter"),
        ({"finding": "new", "not_with": "fact:itchy"}, "not_with 'fact:itchy' is no fact"),
        ({"finding": "new", "from_age": "old"}, "got from_age 'old'"),
    ],
)
def test_a_broken_row_of_findings_is_named(
    tmp_path: Path, row: dict[str, str], problem: str
) -> None:
    path = broken(FINDINGS_TABLE, tmp_path, row)
    last = len(FINDINGS_TABLE.read_text(encoding="utf-8").splitlines()) + 1
    with pytest.raises(ValueError, match=rf"findings.csv, row {last} .*{problem}"):
        read_findings(path)


def test_missing_cells_columns_and_conditions_are_named(tmp_path: Path) -> None:
    path = tmp_path / "conditions.csv"
    path.write_text("condition,finding,frequency,reference\nacne,weeping\n")
    with pytest.raises(ValueError, match=r"row 2 .*expected 4 cells"):
        read_conditions(path)
    path = tmp_path / "columns.csv"
    path.write_text("condition,finding\n")
    with pytest.raises(ValueError, match="has columns"):
        read_conditions(path)
    path = tmp_path / "short.csv"
    path.write_text("condition,finding,frequency,reference\nacne,weeping,0.1,A book\n")
    with pytest.raises(ValueError, match="no row for actinic keratosis"):
        read_conditions(path)


def test_command_line_prints_drafts_and_the_table() -> None:
    command = [sys.executable, "-m", "training.grammar"]
    said = subprocess.run(
        [*command, "--condition", "acne", "--n", "3"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [line.split("\t")[2] for line in said] == [draft("acne", seed).text for seed in range(3)]
    table = subprocess.run(
        [*command, "--sharing"], capture_output=True, text=True, check=True
    ).stdout
    assert len(table.splitlines()) == 1 + len(NAMES)
