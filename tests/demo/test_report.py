"""The report of a case: complete, self-contained, escaped."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from demo.content import keep as content
from demo.examples import EXAMPLES
from demo.render.pieces import percent, sentence
from demo.render.report import BARS, report
from dermmm import NOTICE, Explanation, ModelIdentity, Phrase, Word
from dermmm.prediction import CAUTIONS
from tests.fakes import FakePredictor

PHOTO = Path(str(EXAMPLES[0].path)).read_bytes()
TEXT = "A dark spot that has grown, and it bled."
MOMENT = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
VOID = {"meta", "img", "br", "rect", "circle", "input"}


def made(photo: bytes | None = PHOTO, text: str | None = TEXT, effects: bool = True) -> str:
    fake = FakePredictor()
    found = fake.effects(photo, text) if effects else None
    return report(fake.predict(photo, text), found, fake.metrics, MOMENT)


class Page(HTMLParser):
    """Collects tags and addresses; every tag that opens must close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("effects", [False, True])
@pytest.mark.parametrize(("photo", "text"), [(PHOTO, TEXT), (PHOTO, None), (None, TEXT)])
def test_it_needs_nothing_else(photo: bytes | None, text: str | None, effects: bool) -> None:
    html = made(photo, text, effects)
    page = Page(html)
    assert page.open == []
    assert not page.tags & {"script", "link", "iframe", "object", "form"}
    assert page.handlers == []
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert len(page.addresses) == (0 if photo is None else 2)
    assert not re.search(r"https?:|url\(|@import", html)


def test_it_holds_the_whole_case() -> None:
    fake = FakePredictor()
    prediction = fake.predict(PHOTO, TEXT)
    effects = fake.effects(PHOTO, TEXT)
    html = report(prediction, effects, fake.metrics, MOMENT)
    top = prediction.top(len(prediction.conditions))
    for name, p in top[:BARS]:
        assert sentence(name) in html and escape(percent(p)) in html
    assert all(name in html for name, _ in top[BARS:])
    assert prediction.model.version in html and prediction.model.sha256 in html
    assert html.count(escape(NOTICE)) == 2
    assert "2026-03-04 05:06 UTC" in html
    assert all(escape(phrase.text) in html for phrase in effects.phrases)
    assert html.count("<td>", html.index(content.EFFECTS_REGIONS)) >= len(effects.regions)
    words = re.sub(r"<[^>]+>", "", html)
    assert TEXT in words
    assert content.OVERLAY in html


def test_without_effects_it_has_no_place_for_them() -> None:
    assert content.EFFECTS not in made(effects=False)


def test_an_answer_never_measured_says_so() -> None:
    fake = FakePredictor({})
    html = report(fake.predict(PHOTO, TEXT), None, fake.metrics, MOMENT)
    assert "Not validated" in html
    assert "test cases scored like this" not in html


def test_it_pushes_no_ranking_where_the_model_abstains() -> None:
    fake = FakePredictor()
    prediction = dataclasses.replace(fake.predict(PHOTO, TEXT), cautions=("blur", "dark"))
    html = report(prediction, None, fake.metrics, MOMENT)
    assert f"<h2>{content.ANSWER}</h2>" not in html
    assert html.index(CAUTIONS["dark"]) < html.index(content.WOULD_ANSWER)
    assert "coverage" not in html


def test_what_a_modality_never_learned_has_no_bar() -> None:
    fake = FakePredictor()
    prediction = fake.predict(PHOTO, TEXT)
    by_image = prediction.by_modality["image"]
    assert by_image is not None
    by_image[prediction.conditions.index(prediction.top(1)[0][0])] = float("nan")
    html = report(prediction, None, fake.metrics, MOMENT)
    assert content.NOT_LEARNED in html and "nan%" not in html


def test_everything_is_escaped() -> None:
    evil = "<script>alert(1)</script> \"><img src=x onerror=alert(2)> it's & </style>"
    fake = FakePredictor()
    prediction = fake.predict(text="x")
    given = Explanation(None, None, evil, (Word(evil[:8], 0, 8, 1.0),))
    prediction = dataclasses.replace(
        prediction,
        conditions=(evil, *prediction.conditions[1:]),
        explanation=given,
        model=ModelIdentity(evil, evil),
        notice=evil,
    )
    effects = dataclasses.replace(
        fake.effects(text="x"), condition=evil, phrases=(Phrase(evil, 0, 8, 0.1),)
    )
    html = report(prediction, effects, fake.metrics, MOMENT)
    page = Page(html)
    assert page.open == [] and page.handlers == []
    assert not page.tags & {"script", "img"}
    assert html.count("</style>") == 1
