"""Load, reduced: a few users for two seconds, and more cases at once than may wait."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import pytest

from benchmarks.connections import Counting
from benchmarks.load import Level, level, memory, percentile, plot, rows
from benchmarks.visitor import TEXT, Busy, Visitor, endpoints
from demo import content
from demo.ui import QUEUE_SIZE
from tests.fakes import FakePredictor
from tests.screenshots import served


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(Counting(FakePredictor(), 0.1)) as address:
        yield address


# Found and not imported: Locust changes the sockets of the process that imports it.
@pytest.mark.skipif(find_spec("locust") is None, reason="Locust is not installed")
def test_a_few_users_are_all_answered(address: str) -> None:
    found = level(address, users=3, seconds=4)
    if not found.answered:  # on a machine with much else to do
        found = level(address, users=3, seconds=40)
    assert found.answered and not found.busy and not found.errors
    assert 0 < found.p50 <= found.p95 <= found.p99
    assert found.recovery > 0


def test_too_many_cases_are_turned_away_in_our_words_and_the_rest_is_answered(address: str) -> None:
    known = endpoints(address)

    def ask(number: int) -> str:
        with Visitor(address, known) as visitor:
            try:
                visitor.ask("predict", None, f"{TEXT} {number}")
            except Busy as busy:
                return str(busy)
            return "answered"

    with ThreadPoolExecutor(QUEUE_SIZE + 20) as pool:
        ends = list(pool.map(ask, range(QUEUE_SIZE + 20)))
    assert set(ends) == {"answered", content.BUSY}
    assert ends.count("answered") >= QUEUE_SIZE
    assert ask(0) == "answered"


def test_memory_is_looked_at_after_each_count(address: str) -> None:
    held = memory(address, os.getpid(), (3, 6))
    assert len(held) == 2 and min(held) > 0


def test_percentiles() -> None:
    times = {10.0: 98, 20.0: 1, 30.0: 1}
    assert [percentile(times, share) for share in (0.5, 0.98, 0.99, 1)] == [10, 10, 20, 30]
    assert percentile({}, 0.5) != percentile({}, 0.5)  # no time


def test_a_bound_that_is_not_kept_is_said() -> None:
    levels = [
        Level(users, 10.0, 100, 200, 300, 100, users, {"Failed: status 500": 1}, 3.0)
        for users in (1, 10)
    ]
    found = {row.point: row for row in rows(levels, [100.0, 110.0, 120.0], serial=0.05)}
    assert [row.passed for row in found.values()] == [False, False, None, False, False, None]
    assert (
        "10.0 a second" in found["cases a second with 10 users, against 1 / serial time"].measured
    )
    assert len(plot(levels).data) == 3
