"""No mix-ups, reduced: some cases at once against the tiny model's serial answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from benchmarks.answers import (
    alone,
    case,
    difference,
    differences,
    ranked,
    row,
    together,
    windows,
)
from dermmm.predictor import Predictor
from tests.chromium import CHROMIUM_ARGUMENTS, chromium
from tests.fakes import FakePredictor
from tests.screenshots import served

INFINITE = float("inf")


@pytest.fixture(scope="module")
def address(cautious_predictor: Predictor) -> Iterator[str]:
    with served(cautious_predictor) as address:
        yield address


def test_no_two_cases_are_the_same_and_every_kind_comes() -> None:
    cases = [case(number) for number in range(30)]
    assert len(set(cases)) == 30
    kinds = {(photo is None, text is None) for photo, text in cases}
    assert kinds == {(False, False), (False, True), (True, False)}


def test_visitors_at_once_get_their_own_answers(
    address: str, cautious_predictor: Predictor
) -> None:
    cases = [case(number) for number in range(36)]
    expected = [alone(cautious_predictor, one) for one in cases]
    assert len({json.dumps(answer) for answer in expected}) == len(cases)
    assert max(differences(expected, together(address, cases, visitors=12))) <= 1e-5


def test_visitors_at_once_get_their_own_effects(
    address: str, cautious_predictor: Predictor
) -> None:
    cases = [case(number) for number in range(6)]
    expected = [alone(cautious_predictor, one, effects=True) for one in cases]
    got = together(address, cases, visitors=6, endpoint="explain")
    assert all("effects" in answer for answer in got)
    assert max(differences(expected, got)) <= 1e-5


@pytest.mark.browser
@pytest.mark.skipif(chromium() is None, reason="no Chromium on the path, and CHROMIUM names none")
def test_two_windows_save_their_own_answers() -> None:
    playwright_api = pytest.importorskip("playwright.sync_api")
    predictor = FakePredictor()
    with served(predictor) as address, playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=list(CHROMIUM_ARGUMENTS)
        )
        found = windows(browser, address, 2, lambda text: alone(predictor, (None, text)))
        browser.close()
    assert found == [0.0] * 4


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"a": [0.25, "x", None]}, {"a": [0.25, "x", None]}, 0),
        ({"a": [0.25, 0.5]}, {"a": [0.5, 0.5]}, 0.25),
        ({"a": 0.5}, {"b": 0.5}, INFINITE),
        ([0.5], [0.5, 0.5], INFINITE),
        ("eczema", "psoriasis", INFINITE),
        (True, False, INFINITE),
        (None, 0.5, INFINITE),
        ({}, {}, 0),
    ],
)
def test_difference(one: Any, other: Any, expected: float) -> None:
    assert difference(one, other) == expected


def test_a_mix_up_is_found_and_said(cautious_predictor: Predictor) -> None:
    first, second = islice((alone(cautious_predictor, case(number)) for number in (0, 3)), 2)
    assert difference(ranked(first), ranked(second)) > 1e-5
    said = row("own answers", differences([first, second], [second, second]), "cases")
    assert said.passed is False and "1 off" in said.measured
