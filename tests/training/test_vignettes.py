"""The vignettes keep their own rules, above all that no text names a condition."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pandas as pd
import pytest

from dermmm.conditions import NAMES, says_a_name_or_code
from dermmm.describe import VOICES
from training.vignettes import COLUMNS, VIGNETTES, read_vignettes

NEAR_COPY = 0.2  # share of the shorter text's 5-grams that the other one has too


@pytest.fixture(scope="module")
def vignettes() -> pd.DataFrame:
    return read_vignettes()


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def shared(first: str, second: str) -> float:
    """Share of the shorter text's word 5-grams that both texts hold, 0..1."""
    grams = [
        {tuple(tokens[i : i + 5]) for i in range(len(tokens) - 4)}
        for tokens in (words(first), words(second))
    ]
    return len(grams[0] & grams[1]) / min(len(gram) for gram in grams)


def test_every_condition_has_four_in_all_three_voices(vignettes: pd.DataFrame) -> None:
    assert tuple(vignettes.columns) == COLUMNS
    assert len(vignettes) >= 100
    assert vignettes.groupby("condition").size().to_dict() == dict.fromkeys(NAMES, 4)
    for name, voices in vignettes.groupby("condition")["voice"]:
        assert set(voices) == set(VOICES), name


def test_ids_and_texts_are_unique(vignettes: pd.DataFrame) -> None:
    assert vignettes["id"].is_unique
    assert vignettes["text"].str.lower().is_unique
    slugs = vignettes["condition"].str.replace(r"[^a-z]+", "-", regex=True)
    assert (vignettes["id"].str.replace(r"-\d$", "", regex=True) == slugs).all()


def test_texts_are_short_plain_lines(vignettes: pd.DataFrame) -> None:
    lengths = vignettes["text"].str.split().str.len()
    assert lengths.between(25, 90).all(), vignettes["id"][~lengths.between(25, 90)].to_list()
    for text in vignettes["text"]:
        assert text.isascii() and text.isprintable(), text  # a newline is not printable
        assert text == " ".join(text.split()), text


def test_no_text_holds_a_name_or_a_code(vignettes: pd.DataFrame) -> None:
    said = vignettes["text"].map(says_a_name_or_code)
    assert not said.any(), vignettes["id"][said].to_list()


def test_no_vignette_nearly_copies_another(vignettes: pd.DataFrame) -> None:
    assert shared("a b c d e f", "x a b c d e") == 0.5
    texts = vignettes["text"].to_list()
    assert max(shared(*pair) for pair in combinations(texts, 2)) < NEAR_COPY


def second_id_again(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(id=[table["id"][0], *table["id"][:-1]])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda table: table.drop(columns="voice"), "got the columns"),
        (lambda table: table.replace("acne", "spots"), "a condition that is none of"),
        (lambda table: table.replace("chart", "novel"), "a voice that is none of"),
        (lambda table: table.assign(text=["", *table["text"][1:]]), "an empty text"),
        (second_id_again, "an id that was used before"),
        (lambda table: table[1:], r"'actinic keratosis': 3.* expected 4"),
        (lambda table: table[table["condition"] != "mpox"], r"'mpox': 0"),
    ],
)
def test_a_broken_file_is_refused(
    damage: Callable[[pd.DataFrame], pd.DataFrame], message: str, tmp_path: Path
) -> None:
    broken = tmp_path / "vignettes.csv"
    damage(pd.read_csv(VIGNETTES, dtype=str)).to_csv(broken, index=False)
    with pytest.raises(ValueError, match=message):
        read_vignettes(broken)
