"""What the server remembers of its visitors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr
import httpx
import pytest

from benchmarks.visitor import Visitor, endpoints
from demo.sessions import Session, Sessions, WaitingLine
from demo.ui import build_demo, launch_settings
from demo.uploads import KEPT_SECONDS
from tests.fakes import FakePredictor

TEXT = "an itchy red patch on the arm"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        demo = build_demo(FakePredictor())
        demo.launch(prevent_thread_lock=True, quiet=True, **launch_settings())
        yield demo
        demo.close(verbose=False)


@pytest.fixture
def line(page: Any) -> WaitingLine:
    assert isinstance(page._queue, WaitingLine)
    return page._queue


def visit(page: Any) -> Visitor:
    return Visitor(page.local_url, endpoints(page.local_url))


def sessions(page: Any) -> Sessions:
    assert isinstance(page.app.state_holder, Sessions)
    return page.app.state_holder


def test_a_session_keeps_nothing_that_was_shown(page: Any) -> None:
    with visit(page) as visitor:
        visitor.join("examine", None, TEXT)
        assert visitor.read()
    session = sessions(page)[visitor.session]
    assert not session.config_values
    kept = [type(value).__name__ for value in session.state_data.values()]
    assert kept == ["Wish", "Answered"]
    assert session.STATE_TTL_WHEN_CLOSED == KEPT_SECONDS


def test_a_program_that_asks_once_leaves_no_session(page: Any) -> None:
    before = set(sessions(page).session_data)
    api = f"{page.local_url}gradio_api/call/predict"
    event = httpx.post(api, json={"data": [None, TEXT]}).json()["event_id"]
    answer = httpx.get(f"{api}/{event}").text
    assert answer.startswith("event: complete")
    assert set(sessions(page).session_data) == before


def test_a_component_that_changes_does_so_for_its_own_session() -> None:
    with gr.Blocks() as demo:
        box, state = gr.Textbox("one"), gr.State(0)
    first, second = Session(demo, 1), Session(demo, 1)
    first[state._id] = 5
    assert first.blocks_config is demo.default_config
    first[box._id] = gr.Textbox("two", render=False)
    assert first[box._id].value == "two"
    assert second[box._id].value == "one" and demo.blocks[box._id].value == "one"
    assert first[state._id] == 5 and second[state._id] == 0


def test_answers_that_nobody_fetches_are_swept_away(page: Any, line: WaitingLine) -> None:
    with visit(page) as gone, visit(page) as here:
        gone.join("predict", None, TEXT)
        here.ask("predict", None, TEXT)  # it waits behind the other, which is over by now
        here.ask("predict", None, TEXT)
        assert gone.session in line.pending_messages_per_session
        line.sweep()
        assert here.session not in line.pending_messages_per_session
        assert gone.session in line.pending_messages_per_session
        line.sweep()
    assert gone.session not in line.pending_messages_per_session
    assert gone.session not in line.pending_event_ids_session


def test_an_answer_can_be_fetched_after_a_sweep(page: Any, line: WaitingLine) -> None:
    with visit(page) as late:
        late.join("predict", None, TEXT)
        line.sweep()
        answer = late.read()[0]
    assert answer["conditions"]


def test_events_are_not_counted(page: Any, line: WaitingLine) -> None:
    with visit(page) as visitor:
        for _ in range(3):
            visitor.ask("predict", None, TEXT)
    assert len(line.event_analytics) <= 1
    assert line.compute_analytics_summary([{"function": "predict"}]) == {}
