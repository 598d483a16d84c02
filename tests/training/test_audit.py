"""The leak audit on made-up rows: it passes clean data, and each bound catches a planted leak."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from dermmm.describe import Facts
from training import audit
from training.audit import (
    BOUNDS,
    MODEL_WRITTEN,
    REQUIRED,
    SYNTHETIC,
    AuditConfig,
    AuditFailed,
    Corpus,
    Figure,
    check,
    empty_text,
    facts_mentioned,
    grouped_folds,
    guess,
    judge,
    kind_of,
    kinds_mentioned,
    page_with_table,
    problems,
    read_figures,
    shuffled_labels,
    swapped_texts,
    told_apart,
    which_source,
)
from training.grammar import draft, read_findings
from training.sources.row import Row
from training.unstructure import facts_as_features, texts

CONFIG = AuditConfig(permutations=4)
CONDITIONS = ("actinic keratosis", "basal cell carcinoma")
PAGE = f"Before.\n\n{audit.START}\n{audit.END}\n\nAfter.\n"

Fields = dict[str, str]


def made_fields(condition: str, rng: random.Random) -> Fields:
    """Fields as of PAD-UFES-20; what they say depends on the condition, and which are there not."""
    often = 0.75 if condition == CONDITIONS[0] else 0.25
    fields = {"age": str(rng.randint(40, 90)), "region": rng.choice(("FACE", "ARM", "CHEST"))}
    for name in ("itch", "hurt", "bleed", "elevation"):
        fields[name] = str(rng.random() < often)
    return {name: value for name, value in fields.items() if rng.random() < 0.8}


def make_data(
    folder: Path,
    change_fields: Callable[[str, Fields], Fields] = lambda condition, fields: fields,
    change_text: Callable[[str, str], str] = lambda condition, text: text,
    rows: int = 400,
) -> Path:
    """Write a manifest and its texts, as training.clean does, with a leak planted or none."""
    rng = random.Random(0)
    table = []
    (folder / "texts").mkdir(parents=True)
    for number in range(rows):
        condition = CONDITIONS[number % 2]
        fields = change_fields(condition, made_fields(condition, rng))
        split = ("train", "train", "train", "val", "test")[number % 5]
        row = Row(f"pad:{number}", "pad_ufes_20", f"pad:{number // 4}", None, "", fields, "", "")
        told = texts(row, n=4 if split == "train" else 1) or [""]
        told = [change_text(condition, text) for text in told if change_text(condition, text)]
        if split == "test":  # a leak that nobody may see
            told = [f"{condition} {text}" for text in told]
        path = f"texts/{number}.txt" if told else ""
        if told:
            (folder / path).write_text("".join(f"{text}\n" for text in told), encoding="utf-8")
        table.append(
            {
                "id": row.id,
                "source": row.source,
                "group": row.group_id,
                "split": split,
                "condition": condition,
                "photo": f"{number}.jpg",
                "fields": json.dumps(fields),
                "text_path": path,
            }
        )
    pd.DataFrame(table).to_csv(folder / "manifest.csv", index=False)
    return folder


def broken_in(figures: list[Figure]) -> set[str]:
    return {figure.test for figure in figures if figure.passed is False}


@pytest.fixture(scope="module")
def clean_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("clean") / "data")


@pytest.fixture(scope="module")
def passed(clean_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The figures of clean data, as `main` wrote them."""
    out = tmp_path_factory.mktemp("passed")
    summary = audit.main(CONFIG, clean_data, out)
    assert summary["bounds"] == sum("pad_ufes_20" in rule.sources for rule in BOUNDS.values())
    return out / "audit" / "audit.json"


def test_clean_data_passes_every_bound(passed: Path) -> None:
    figures, left_out = read_figures(passed)
    assert set(left_out) == {"milk10k", "scin", "dermavqa_iiyi", SYNTHETIC, MODEL_WRITTEN}
    assert "texts.csv" in left_out[SYNTHETIC]
    by_test = {figure.test: figure for figure in figures}
    assert by_test["all facts"].value > by_test["facts said"].value > by_test["text"].value > 0.6
    assert by_test["empty text"].value == pytest.approx(0.5, abs=0.05)
    assert by_test["empty text"].passed is None
    assert by_test["different answers to an empty text"].n == CONFIG.folds
    assert by_test["texts of rows without facts"].passed
    for figure in figures:
        if figure.low is not None and figure.high is not None:
            assert figure.low <= figure.value <= figure.high
    # four of five splits are not test; the names in its texts are not seen
    assert by_test["text"].n == sum(number % 5 != 4 for number in range(400))


def test_the_same_seed_gives_the_same_figures(clean_data: Path, passed: Path) -> None:
    assert audit.measure(CONFIG, clean_data)[0] == read_figures(passed)[0]


def test_a_planted_word_stops_the_audit_after_the_figures_are_written(tmp_path: Path) -> None:
    words = dict(zip(CONDITIONS, ("indeed", "perhaps"), strict=True))
    data = make_data(tmp_path / "data", change_text=lambda name, text: f"{text} {words[name]}")
    with pytest.raises(AuditFailed, match="pad_ufes_20: text is") as failed:
        audit.main(CONFIG, data, tmp_path)
    assert "not as rendered" in str(failed.value)
    figures, _ = read_figures(tmp_path / "audit" / "audit.json")
    assert broken_in(figures) == {"text", "facts said and text", "texts not as rendered"}


def test_a_planted_name_is_found(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", change_text=lambda name, text: f"{text} Maybe a {name}.")
    figures, _ = audit.measure(CONFIG, data)
    counted = next(figure for figure in figures if figure.test == "texts with a name or code")
    assert counted.value == counted.n > 0
    assert "texts with a name or code" in broken_in(figures)


def test_silence_tied_to_the_label_is_found(tmp_path: Path) -> None:
    """One condition's record lacks the age: no word says so, and every text is as rendered."""

    def silent(condition: str, fields: Fields) -> Fields:
        return {k: v for k, v in fields.items() if k != "age" or condition == CONDITIONS[0]}

    figures, _ = audit.measure(CONFIG, make_data(tmp_path / "data", change_fields=silent))
    # the texts are shorter too, and still say no more than their facts
    assert broken_in(figures) == {"kinds of facts mentioned", "facts mentioned", "text length"}


def test_length_tied_to_the_label_is_found(tmp_path: Path) -> None:
    def longer(condition: str, text: str) -> str:
        return text + " It is so." * 6 * (condition == CONDITIONS[0])

    figures, _ = audit.measure(CONFIG, make_data(tmp_path / "data", change_text=longer))
    assert "text length" in broken_in(figures)


def test_a_text_without_facts_is_found(tmp_path: Path) -> None:
    data = make_data(
        tmp_path / "data",
        change_fields=lambda condition, fields: {} if fields.get("age", "0") > "80" else fields,
        change_text=lambda condition, text: text or "Nothing to say.",
    )
    figures, _ = audit.measure(CONFIG, data)
    assert broken_in(figures) == {"texts of rows without facts"}


def test_rows_without_facts_have_no_text(tmp_path: Path) -> None:
    data = make_data(
        tmp_path / "data",
        change_fields=lambda condition, fields: {} if fields.get("age", "0") > "80" else fields,
    )
    figures, left_out = audit.measure(CONFIG, data)
    assert problems(figures, left_out) == []


def test_the_command_exits_with_1_on_a_leak(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", change_text=lambda name, text: f"{text} {name}", rows=100)
    command = [sys.executable, "-m", "training.audit", "--data", str(data), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "texts with a name or code is" in done.stderr
    assert "| balanced accuracy from | pad_ufes_20 |" in done.stdout


# one test each -----------------------------------------------------------------------------------


def made_corpus(
    conditions: list[str], groups: list[str], told: list[str], known: list[Facts], **more: object
) -> Corpus:
    labels, owners = np.array(conditions, dtype=object), np.array(groups, dtype=object)
    corpus = Corpus(
        "pad_ufes_20",
        labels,
        owners,
        grouped_folds(labels, owners, CONFIG),
        np.ones(len(told), dtype=bool),
        np.arange(len(told)),
        told,
        {"all facts": [facts_as_features(facts) for facts in known]},
        told,
    )
    return replace(corpus, **more)  # type: ignore[arg-type]


def test_facts_become_features() -> None:
    facts = Facts(age=62, sites=("arm", "face"), findings={"itch": True, "fever": False})
    assert facts_as_features(facts) == {
        "age": 6.2, "decade 6": 1, "site arm": 1, "site face": 1, "itch True": 1, "fever False": 1,
    }  # fmt: skip
    kinds = kinds_mentioned(facts_as_features(facts))
    assert kinds == {"age": 1, "site": 1, "skin": 1, "body": 1}
    assert facts_mentioned(facts).items() >= {"itch": 1, "fever": 1, "sites": 2}.items()
    # what is mentioned does not tell what is said
    denied = replace(facts, age=9, findings={"itch": False, "fever": True})
    assert facts_mentioned(denied) == facts_mentioned(facts)
    assert kinds_mentioned(facts_as_features(Facts())) == {}


def test_rendered_and_synthetic_texts_have_the_same_kinds_of_facts() -> None:
    everything = Facts(
        age_range=(18, 29),
        sex="male",
        category="growth",
        sites=("head or neck",),
        duration="over 1 year",
        textures=("flat",),
        findings={"growth": True, "bothersome appearance": False, "joint pain": False},
    )
    assert kinds_mentioned(facts_as_features(everything)) == dict.fromkeys(
        ("age", "sex", "category", "site", "duration", "texture", "skin", "body"), 1
    )
    assert kinds_mentioned(["itch False", "rim of scale", "many of them"]) == {
        "skin": 1, "table": 1, "table 2": 1,
    }  # fmt: skip
    assert {kind_of(name) for name in read_findings()} == {"table"}


def test_each_case_is_guessed_without_its_group_from_its_first_text() -> None:
    groups = np.repeat(np.arange(30), 4)
    labels = np.where(groups % 2, "b", "a").astype(object)
    folds = grouped_folds(labels, groups, CONFIG)
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
    assert set(folds) == set(range(CONFIG.folds))
    # two texts a case: the first tells the label, the second a label that is wrong
    case = np.repeat(np.arange(len(labels)), 2)
    right = (labels[case] == "a") ^ (np.arange(len(case)) % 2 == 1)
    alone = csr_matrix(right[::2, None].astype(float))
    assert (guess(alone, np.arange(len(labels)), labels, folds) == labels).all()
    both = csr_matrix(np.c_[right, np.arange(len(case)) % 2, right * (np.arange(len(case)) % 2)])
    assert (guess(both.astype(float), case, labels, folds) == labels).all()


def test_shuffled_labels_find_groups_in_two_folds() -> None:
    """Four lesions a patient, whose word names the patient: labels are chance only by group."""
    groups = [f"p{number // 4}" for number in range(200)]
    conditions = [CONDITIONS[(number // 4) % 2] for number in range(200)]
    told = [f"patient{group} skin" for group in groups]
    corpus = made_corpus(conditions, groups, told, [Facts(age=5)] * 200)
    assert judge(shuffled_labels(corpus, CONFIG))[0].passed
    leaking = replace(corpus, folds=np.arange(200) % 5)
    figure = judge(shuffled_labels(leaking, CONFIG))[0]
    assert figure.passed is False
    assert figure.value > 0.95


def test_shuffled_labels_have_the_chance_of_the_labels_that_are_shuffled() -> None:
    """A third condition is always a group's second lesion, so that it is never drawn."""
    groups = [f"p{number // 2}" for number in range(120)]
    conditions = ["acne" if number % 2 else CONDITIONS[number // 2 % 2] for number in range(120)]
    corpus = made_corpus(conditions, groups, ["itchy skin", "dry skin"] * 60, [Facts(age=5)] * 120)
    (figure,) = shuffled_labels(corpus, CONFIG)
    assert (figure.classes, figure.chance) == (2, 0.5)


def test_an_empty_text_has_one_answer_a_fold() -> None:
    conditions = [CONDITIONS[number % 2] for number in range(100)]
    told = [f"{'itchy' if number % 2 else 'sore'} skin" for number in range(100)]
    corpus = made_corpus(conditions, list(map(str, range(100))), told, [Facts(age=5)] * 100)
    guessed, answers = empty_text(corpus, CONFIG)
    assert guessed.value == 0.5
    assert 1 <= answers.value <= answers.n == CONFIG.folds


def test_a_strangers_text_gives_the_label_away_beside_the_facts() -> None:
    """Two signs, each right 7 times in 10, are right together as often; four are in 78 of 100."""
    rng = random.Random(0)
    conditions = [CONDITIONS[number % 2] for number in range(1200)]
    known, told = [], []
    for condition in conditions:
        often = 0.7 if condition == CONDITIONS[0] else 0.3
        itches, hurts = rng.random() < often, rng.random() < often
        known.append(Facts(findings={"itch": itches, "pain": hurts}))
        told.append(f"{'itching' if itches else 'itchless'} {'painful' if hurts else 'painless'}")
    corpus = made_corpus(conditions, [str(n) for n in range(1200)], told, known)
    own, swapped = swapped_texts(corpus, CONFIG)
    assert (own.test, swapped.test) == ("facts and own text", "facts and swapped text")
    assert own.value == pytest.approx(0.7, abs=0.03)
    assert swapped.value == pytest.approx(0.784, abs=0.03)
    nobody = replace(corpus, photographed=np.zeros(1200, dtype=bool))
    assert swapped_texts(nobody, CONFIG) == []


def test_sources_are_told_apart_within_a_condition() -> None:
    conditions = [CONDITIONS[number % 2] for number in range(80)]
    groups = [f"g{number}" for number in range(80)]
    here = made_corpus(conditions, groups, ["an itchy spot"] * 80, [])
    there = replace(here, source="scin", texts=["a sore patch"] * 80)
    alike = replace(here, source="scin")
    few = replace(there, source="milk10k", conditions=np.array(["acne"] * 80, dtype=object))
    figures = which_source([here, there, few], CONFIG)
    assert [figure.note for figure in figures] == [f"within {name}" for name in CONDITIONS]
    assert {figure.value for figure in figures} == {1.0}
    assert {figure.source for figure in figures} == {"pad_ufes_20 / scin"}
    assert which_source([here, alike], CONFIG)[0].value == pytest.approx(0.5, abs=0.2)
    assert which_source([here], CONFIG) == []


def test_labels_of_few_groups_are_not_told_apart() -> None:
    """Of a voice that one patient has, a fold would hold all texts and the rest would be alike."""
    labels = np.array(["chart"] * 40 + ["patient"] * 40, dtype=object)
    told = np.array(["seen: scale", "it itches"] * 40, dtype=object)
    one = np.array([f"g{number}" for number in range(40)] + ["same"] * 40, dtype=object)
    assert told_apart("voice", labels, told, one, "acne", CONFIG) == []
    few = np.where(one == "same", [f"h{number % CONFIG.min_groups}" for number in range(80)], one)
    (figure,) = told_apart("voice", labels, told, few, "acne", CONFIG)
    assert (figure.n, figure.groups, figure.classes) == (80, 50, 2)
    third = np.append(labels, ["referral"] * 9)
    more = np.append(few, [f"i{number}" for number in range(9)])
    said = np.append(told, ["the patient reports"] * 9)
    assert told_apart("voice", third, said, more, "acne", CONFIG) == [figure]


def test_synthetic_texts_are_audited(tmp_path: Path, clean_data: Path) -> None:
    rng = random.Random(0)
    rows = []
    for number in range(120):
        condition = CONDITIONS[number % 2]
        findings = [f"sign {rng.randint(1, 3)}", "itch True"]
        rows.append(
            {
                "id": f"synthetic:{number}",
                "condition": condition,
                "source": "grammar",
                "voice": ("patient", "clinician")[number // 2 % 2],
                "cluster": "0",
                "findings": "; ".join(findings),
                "prompt": "",
                "text": f"{('I have', 'shows')[number // 2 % 2]} {findings[0]} and itching",
            }
        )
    data = tmp_path / "data"
    (data / "synthetic").mkdir(parents=True)
    (data / "manifest.csv").write_bytes((clean_data / "manifest.csv").read_bytes())
    (data / "texts").symlink_to(clean_data / "texts")

    def figures_of() -> dict[str, Figure]:
        pd.DataFrame(rows).to_csv(data / "synthetic" / "texts.csv", index=False)
        figures, left_out = audit.measure(CONFIG, data)
        assert "synthetic" not in left_out
        return {one.test: one for one in figures if one.source == "synthetic"}

    sound = figures_of()
    assert sound["voice"].value == 1.0
    assert sound["text"].passed
    assert sound["kinds of facts mentioned"].passed
    assert sound["text length"].passed
    for row in rows:
        row["text"] += " truly" if row["condition"] == CONDITIONS[0] else ""
    assert figures_of()["text"].passed is False
    for row in rows:
        row["text"] += " it is so it is so" if row["condition"] == CONDITIONS[0] else ""
        row["findings"] += "; rim of scale" if row["condition"] == CONDITIONS[0] else ""
    tied = figures_of()
    assert tied["kinds of facts mentioned"].passed is False
    assert tied["text length"].passed is False


def test_texts_of_a_model_are_audited_without_their_facts(tmp_path: Path, clean_data: Path) -> None:
    rows = []
    for number in range(160):
        condition = CONDITIONS[number % 2]
        made = draft(condition, number)
        known = {"source": "grammar", "findings": "; ".join(made.findings)}
        model = {"source": "a-model", "findings": ""}
        rows.append(
            {"id": f"s{number}", "condition": condition, "voice": made.voice, "text": made.text}
            | (model if number // 2 % 2 else known)
        )
    data = tmp_path / "data"
    (data / "synthetic").mkdir(parents=True)
    (data / "manifest.csv").write_bytes((clean_data / "manifest.csv").read_bytes())
    (data / "texts").symlink_to(clean_data / "texts")

    def figures_of() -> dict[str, Figure]:
        pd.DataFrame(rows).to_csv(data / "synthetic" / "texts.csv", index=False)
        figures, left_out = audit.measure(CONFIG, data)
        assert not {SYNTHETIC, MODEL_WRITTEN} & set(left_out)
        drafted = {one.test: one for one in figures if one.source == SYNTHETIC}
        assert drafted["facts said"].n == 80
        return {one.test: one for one in figures if one.source == MODEL_WRITTEN}

    sound = figures_of()
    assert sound["texts with a name or code"].n == sound["text"].n == 80
    assert not {"facts said", "kinds of facts mentioned", "texts not as rendered"} & set(sound)
    bounded = {test for test, one in sound.items() if one.passed is not None}
    assert bounded == {"text length", "shuffled labels", "texts with a name or code"}
    assert sound["texts with a name or code"].passed
    for row in rows:
        if not row["findings"]:
            row["text"] += " Perhaps L57.0." if row["condition"] == CONDITIONS[0] else ""
            row["text"] += " And so it went on." * 9 if row["condition"] == CONDITIONS[0] else ""
    leaking = figures_of()
    assert leaking["texts with a name or code"].value == 40
    assert leaking["text length"].passed is False


def test_in_scin_the_findings_mentioned_are_not_bounded() -> None:
    facts = Figure("scin", "facts said", 100, 0.9, 100, 2, 0.5, 0.85, 0.95)
    ticked = replace(facts, test="facts mentioned")
    kinds = replace(facts, test="kinds of facts mentioned")
    assert [one.passed for one in judge([facts, ticked, kinds])] == [None, None, False]


# what is committed -------------------------------------------------------------------------------


@pytest.fixture
def committed(passed: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Figures of every required source, which are those of clean data, and a page with them."""
    figures, page = tmp_path / "text-audit.json", tmp_path / "data.md"
    audited = json.loads(passed.read_text(encoding="utf-8"))
    measured, left_out = read_figures(passed)
    copied = [
        replace(one, source=source)
        for source in REQUIRED
        for one in measured
        if one.source == "pad_ufes_20"
    ]
    audited["figures"] = [asdict(one) for one in judge(copied)]
    audited["left_out"] = {
        source: why for source, why in left_out.items() if source not in REQUIRED
    }
    figures.write_text(json.dumps(audited), encoding="utf-8")
    page.write_text(page_with_table(PAGE, *read_figures(figures)), encoding="utf-8")
    return figures, page


def test_what_was_published_passes(committed: tuple[Path, Path]) -> None:
    assert check(*committed) == []
    page = committed[1].read_text(encoding="utf-8")
    assert page.startswith("Before.\n\n")
    assert page.endswith("\n\nAfter.\n")
    assert "| texts of rows without facts | 0 of " in page
    assert "Left out: dermavqa_iiyi (fewer than two conditions have 10 groups" in page
    assert page_with_table(page, *read_figures(committed[0])) == page


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda one: one.update(value=0.99), "text is 0.99, at most"),
        (lambda one: one.update(bound=1.0), "judged by other bounds"),
        (lambda one: one.update(note="so it is"), ""),  # shown nowhere
        (lambda one: one.update(n=7), "older than text-audit.json"),
        (lambda one: one.update(test="another"), "text was not measured"),
    ],
)
def test_tampered_figures_are_found(
    committed: tuple[Path, Path], change: Callable[[dict[str, object]], None], problem: str
) -> None:
    audited = json.loads(committed[0].read_text(encoding="utf-8"))
    change(next(one for one in audited["figures"] if one["test"] == "text"))
    committed[0].write_text(json.dumps(audited), encoding="utf-8")
    found = "\n".join(check(*committed))
    assert (problem in found) if problem else (found == "")


@pytest.mark.parametrize("source", REQUIRED)
def test_figures_without_a_required_source_are_found(
    committed: tuple[Path, Path], source: str
) -> None:
    audited = json.loads(committed[0].read_text(encoding="utf-8"))
    audited["figures"] = [one for one in audited["figures"] if one["source"] != source]
    committed[0].write_text(json.dumps(audited), encoding="utf-8")
    assert f"{source}: shuffled labels was not measured" in check(*committed)
    audited["left_out"][source] = "not fetched"
    committed[0].write_text(json.dumps(audited), encoding="utf-8")
    found = "\n".join(check(*committed))
    assert f"text-audit.json leaves out {source} (not fetched); audit data" in found


def test_figures_that_leave_out_everything_are_found(committed: tuple[Path, Path]) -> None:
    nothing = {"figures": [], "left_out": dict.fromkeys(audit.SOURCES, "not fetched")}
    committed[0].write_text(json.dumps(nothing), encoding="utf-8")
    committed[1].write_text(page_with_table(PAGE, *read_figures(committed[0])), encoding="utf-8")
    found = check(*committed)
    assert [problem.split()[3] for problem in found] == [*REQUIRED]


def test_without_committed_figures_the_check_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"training.audit --data DATA --out OUT"):
        check(tmp_path / "text-audit.json", tmp_path / "data.md")
