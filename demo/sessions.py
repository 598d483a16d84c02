"""What the server remembers of its visitors: little, and not for long.

Left alone, Gradio keeps for each of the last 10,000 visitors, and a program's every request is one,
the settings of all components with the values last shown, photos included. That takes 0.3 MB and
more time than an answer. It also keeps messages that nobody came to fetch, and a table of all
events, summed up anew after each. A server that runs for weeks needs none of this.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from typing import Any, Literal

import gradio as gr
from gradio.queueing import Event, Queue
from gradio.routes import App
from gradio.state_holder import SessionState, StateHolder

from demo import content
from demo.uploads import KEPT_SECONDS

# How long an answer waits for a client that did not come to fetch it, at least; twice that at most.
SWEEP_SECONDS = 60


class Session(SessionState):
    """A visitor's `gr.State` values and changed components, without what Gradio only needs for
    links to a visitor's page."""

    def __init__(self, blocks: gr.Blocks, kept_seconds: int) -> None:
        # Not Gradio's own steps: they are what takes the memory and the time.
        self.blocks_config = blocks.default_config  # all sessions', until one changes it
        self.config_values: dict[int, Any] = {}
        self.state_data: dict[int, Any] = {}
        self._state_ttl: dict[int, Any] = {}
        self.is_closed = False
        self.STATE_TTL_WHEN_CLOSED = kept_seconds  # Gradio's is an hour
        self._default = blocks.default_config

    def __setitem__(self, key: int, value: Any) -> None:
        is_state = isinstance(self.blocks_config.blocks.get(key), gr.State)
        if not is_state and self.blocks_config is self._default:
            self.blocks_config = copy(self._default)
        super().__setitem__(key, value)
        self.config_values.clear()

    def _update_config(self, key: int) -> None:
        """Nothing: no settings are kept."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Nothing: what was shown is not kept."""


class Sessions(StateHolder):
    """The visitors' sessions."""

    def __init__(self, blocks: gr.Blocks, kept_seconds: int) -> None:
        super().__init__()
        self.kept_seconds = kept_seconds
        self.set_blocks(blocks)

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = Session(self.blocks, self.kept_seconds)
        return super().__getitem__(session_id)

    def forget(self, session_id: str) -> None:
        """Drop a session and all that it holds."""
        self.session_data.pop(session_id, None)
        self.time_last_used.pop(session_id, None)


class WaitingLine(Queue):
    """The cases that wait for the model: ``max_size`` of them, more are turned away."""

    def __init__(self, blocks: gr.Blocks, max_size: int) -> None:
        super().__init__(
            live_updates=True,
            concurrency_count=blocks.max_threads,
            update_intervals=1,
            max_size=max_size,
            blocks=blocks,
            # The next case is made ready, and the last one drawn, while the model answers another.
            default_concurrency_limit=2,
        )
        self.ANALYTICS_MAX_EVENTS = 1
        self._unread: dict[str, Any] = {}  # session: the message that the last sweep found waiting

    async def push(
        self, *args: Any, **kwargs: Any
    ) -> tuple[
        bool,
        str | list[dict[str, Any]],
        Literal["success", "error", "queue_full", "validator_error"],
    ]:
        """Let an event wait, or turn it away in our words (status 503)."""
        accepted, said, state = await super().push(*args, **kwargs)
        return accepted, content.BUSY if state == "queue_full" else said, state

    def send_message(self, event: Event, event_message: Any) -> None:
        """Put a message where the event's client reads it; none where that was swept away."""
        if event.session_hash in self.pending_messages_per_session:
            super().send_message(event, event_message)

    def compute_analytics_summary(self, records: Any) -> dict[str, Any]:
        """Nothing: Gradio's table of events is not used."""
        return {}

    async def process_events(self, events: list[Event], *args: Any, **kwargs: Any) -> None:
        """Answer the events; a program's single request leaves no session behind."""
        try:
            await super().process_events(events, *args, **kwargs)
        finally:
            for event in events:
                if event.session_hash == event._id and self.server_app is not None:
                    self.server_app.state_holder.forget(event._id)

    def sweep(self) -> None:
        """Drop the messages of events that are over, once nobody read them for a whole interval."""
        waiting = [
            event for line in self.event_queue_per_concurrency_id.values() for event in line.queue
        ]
        running = [event for job in self.active_jobs for event in job or ()]
        busy = {event.session_hash for event in waiting + running}
        unread = {}
        for session, messages in list(self.pending_messages_per_session.items()):
            if session in busy:
                continue
            first = None if messages.empty() else messages._queue[0]
            if first is None or first is self._unread.get(session):
                del self.pending_messages_per_session[session]
            else:
                unread[session] = first
        for session in set(self.pending_event_ids_session) - busy - set(unread):
            del self.pending_event_ids_session[session]
        self._unread = unread


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    """Give the server its `Sessions`, and sweep each minute while it runs."""
    blocks = app.get_blocks()
    line = blocks._queue
    assert isinstance(line, WaitingLine)
    app.state_holder = Sessions(blocks, KEPT_SECONDS)
    task = asyncio.create_task(_sweep(line))
    try:
        yield
    finally:
        task.cancel()


async def _sweep(line: WaitingLine) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        line.sweep()
