"""Bad connections, reduced: a few of each kind, on a page of this process."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from benchmarks.connections import (
    Counting,
    answered_though_gone,
    everyone,
    held,
    idle_connections,
    idle_streams,
    leave_in_queue,
    leave_in_stream,
    leave_in_upload,
    settled,
    slow_uploads,
    usual_seconds,
)
from benchmarks.visitor import endpoints
from tests.fakes import FakePredictor
from tests.screenshots import served


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(FakePredictor()) as address:
        usual_seconds(address, endpoints(address), 2)
        yield address


def test_clients_that_hang_up_leave_nothing_open(address: str) -> None:
    known, folder = endpoints(address), Path(os.environ["GRADIO_TEMP_DIR"])
    before = held(os.getpid(), folder)
    everyone(lambda number: leave_in_upload(address, number), 20, at_once=5)
    everyone(lambda number: leave_in_queue(address, known, number), 20, at_once=5)
    everyone(lambda number: leave_in_stream(address, known, number), 10, at_once=5)

    def look() -> object:
        gc.collect()
        usual_seconds(address, known, 1)
        return held(os.getpid(), folder)

    after = settled(look, before)
    assert after.uploads <= before.uploads
    assert after.files <= before.files + 2  # of the test's own event loops


@pytest.mark.parametrize("meanwhile", [slow_uploads, idle_connections, idle_streams])
def test_a_visitor_is_answered_while_others_only_stay(
    meanwhile: Callable[[str, int], AbstractContextManager[None]], address: str
) -> None:
    with meanwhile(address, 20):
        assert usual_seconds(address, endpoints(address), 3) > 0


def test_the_model_does_not_work_for_visitors_who_are_gone() -> None:
    predictor = Counting(FakePredictor(), 0.5)
    with served(predictor) as address:
        assert answered_though_gone(predictor, address, 6, read=True) == 0
