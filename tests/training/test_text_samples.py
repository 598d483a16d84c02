"""The samples of docs/data.md: enough of each, as training makes them, and as the page shows."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable

import pytest

from dermmm.conditions import NAMES, mask_names
from dermmm.describe import BODY_FINDINGS, VOICES
from training import text_samples, unstructure
from training.marked_text import between_markers
from training.text_samples import (
    COUNT,
    DOCS,
    END,
    MADE_UP,
    START,
    rendered,
    samples,
    synthetic,
)
from training.unstructure import facts_of


@pytest.mark.parametrize(
    ("source", "single", "sites", "findings"),
    [
        ("pad_ufes_20", {"age"}, None, unstructure._PAD_FINDINGS.values()),
        ("milk10k", {"age", "sex"}, unstructure._MILK_SITES.values(), []),
        (
            "scin",
            {"age_range", "sex", "category", "duration"},
            unstructure._SCIN_SITES.values(),
            [*unstructure._SCIN_SKIN.values(), *BODY_FINDINGS],
        ),
    ],
)
def test_made_up_rows_tell_what_their_source_can_tell(
    source: str, single: set[str], sites: Iterable[str] | None, findings: Iterable[str]
) -> None:
    _, make = MADE_UP[source]
    rng = random.Random(0)
    told = [facts_of(source, make(rng)) for _ in range(1000)]
    for name in ("age", "age_range", "sex", "category", "duration"):
        assert any(getattr(one, name) is not None for one in told) == (name in single), name
    said = {site for one in told for site in one.sites}
    assert said == set(sites) if sites else len(said) == 14
    assert {name for one in told for name in one.findings} == set(findings)
    answers = {answer for one in told for answer in one.findings.values()}
    assert answers == ({True, False} if findings else set())


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("source", MADE_UP)
def test_rendered_texts_are_enough_and_name_no_condition(source: str, voice: str) -> None:
    texts = rendered(source, voice)
    assert len(texts) == COUNT >= 20
    assert all(texts)
    assert texts == rendered(source, voice)
    assert len(set(texts)) >= 15
    assert [mask_names(text) for text in texts] == texts


def test_synthetic_texts_cover_the_conditions_and_do_not_name_them() -> None:
    told = [pair for voice in VOICES for pair in synthetic(voice)]
    assert len(told) == COUNT * len(VOICES)
    assert {name for name, _ in told} == set(NAMES)
    assert all(text and mask_names(text) == text for _, text in told)


def test_the_page_gets_a_block_for_each_source_and_voice() -> None:
    page = samples()
    titles = re.findall("<summary>(.*?)</summary>", page)
    assert len(titles) == len(set(titles)) == (len(MADE_UP) + 1) * len(VOICES)
    assert page.count("<details>") == page.count("</details>") == len(titles)
    assert len(re.findall(r"^\d+\. ", page, re.MULTILINE)) == COUNT * len(titles)


def test_markdown_shows_the_text_as_it_is() -> None:
    assert text_samples._literal("~3 mm <b>,\n a_b *") == r"\~3 mm \<b\>, a\_b \*"


def test_the_page_is_what_the_code_makes() -> None:
    page = DOCS.read_text(encoding="utf-8")
    assert between_markers(page, START, END, samples()) == page
