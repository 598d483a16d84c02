"""The two tokenizers on made text, and the rule that chooses between them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.made_data import make_raw
from training import clean
from training.marked_text import between_markers
from training.tokenizer_comparison import (
    DOCS,
    DRUGS,
    END,
    HARD,
    KINDS,
    START,
    SYMPTOMS,
    VOCABULARIES,
    Lengths,
    Measured,
    compare,
    lengths,
    measure,
    report,
    round_trip_rate,
    train_bpe,
    train_wordpiece,
    unknown_rate,
    winner,
)

TEXTS = ["An itchy red rash on both arms, 2.5 cm wide.", "it does not hurt at all"] * 5
SAVED = Measured(
    kind="byte-level BPE",
    asked=2000,
    learned=2000,
    validation=Lengths(1.5, 2.0, 0.0),
    questions=None,
    unknown={"validation": 0.0},
    round_trip=1.0,
    exact=1.0,
)


def made(kind: str, asked: int, mean: float, **other: object) -> Measured:
    return replace(
        SAVED, kind=kind, asked=asked, learned=asked, validation=Lengths(mean, 2.0, 0.0), **other
    )


def test_word_lists_are_long_enough_and_different() -> None:
    for words, least in ((SYMPTOMS.split(), 60), (DRUGS.split(), 40)):
        assert len(words) == len(set(words)) >= least
    assert len(HARD) == len(set(HARD))


def test_bpe_brings_every_hard_string_back() -> None:
    backend = train_bpe(TEXTS, 300)
    backend.no_padding()
    assert round_trip_rate(backend, HARD) == round_trip_rate(backend, HARD, exact=True) == 1
    assert unknown_rate(backend, SYMPTOMS.split() + DRUGS.split() + ["皮疹"]) == 0


def test_wordpiece_keeps_case_and_does_not_know_new_letters() -> None:
    backend = train_wordpiece(["Raised RAISED raised é"] * 5, 200)
    assert backend.encode("Raised RAISED raised é e\u0301").tokens == [
        "Raised", "RAISED", "raised", "é", "é",
    ]  # fmt: skip
    assert unknown_rate(backend, ["Raised", "皮疹", "raised", "Q"]) == 0.5
    assert round_trip_rate(backend, ["Raised é", "Raised 皮疹"]) == 0.5


def test_white_space_counts_only_where_exact() -> None:
    backend = train_wordpiece(TEXTS, 200)
    assert round_trip_rate(backend, ["2.5 cm"]) == 1
    assert round_trip_rate(backend, ["2.5 cm"], exact=True) == 0


def test_lengths_count_tokens_a_word() -> None:
    backend = train_wordpiece(["rash"] * 5, 200)
    got = lengths(backend, ["rash", "rash rash.", "rash " * 129])
    assert got.mean == pytest.approx((1 + 3 + 129) / (1 + 2 + 129))
    assert got.p95 == pytest.approx(1.45)
    assert got.too_long == pytest.approx(1 / 3)


def test_a_larger_vocabulary_must_pay() -> None:
    small = made("a", 2000, 1.50)
    assert winner([small, made("a", 4000, 1.48)]) == small
    assert winner([made("a", 4000, 1.46), small]).asked == 4000
    # the step to 4000 does not pay, so 8000 is not looked at
    assert winner([small, made("a", 4000, 1.49), made("a", 8000, 1.30)]) == small


def test_fewest_tokens_win_among_those_that_keep_everything() -> None:
    sound, shorter = made("a", 2000, 1.5), made("b", 2000, 1.4)
    assert winner([sound, shorter]) == shorter
    assert winner([sound, replace(shorter, round_trip=0.9)]) == sound
    assert winner([sound, replace(shorter, unknown={"drugs": 0.01})]) == sound
    assert winner([sound, replace(shorter, exact=0.5)]).kind == "b"
    with pytest.raises(ValueError, match="falls back to bytes"):
        winner([replace(sound, round_trip=0.9)])


def test_measured_on_made_data(tmp_path: Path) -> None:
    clean.main(clean.Config(make_raw(tmp_path / "raw"), tmp_path / "data", workers=1))
    measured, told = compare(tmp_path / "data")
    assert [(one.kind, one.asked) for one in measured] == [
        (kind, vocabulary) for kind in KINDS for vocabulary in VOCABULARIES
    ]
    assert winner(measured).kind == "byte-level BPE"
    assert all(one.questions is None and one.learned <= one.asked for one in measured)
    page = report(measured, told)
    assert page.startswith("Learned from ")
    assert len([line for line in page.splitlines() if line.startswith("|")]) == 2 + len(measured)
    assert page.splitlines()[-1].startswith("Winner: byte-level BPE")


def test_free_questions_are_measured_apart() -> None:
    got = measure("byte-level BPE", 300, TEXTS, TEXTS, ["zzzz zzzz"])
    assert got.questions is not None
    assert got.questions.mean > got.validation.mean


def test_the_page_has_the_place_of_the_table() -> None:
    page = DOCS.read_text(encoding="utf-8")
    assert "new table" in between_markers(page, START, END, "new table")
