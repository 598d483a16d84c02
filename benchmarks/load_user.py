"""Locust's user: gives the page one case after another, and waits a moment where it is busy.

    locust -f benchmarks/load_user.py --headless -u 10 -r 10 -t 30s --host http://127.0.0.1:7860/

`benchmarks.load` runs it. Locust's list has a line for each way a case can end: "answered", "busy"
(turned away), or the kind of error.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import gevent
from locust import User, task

from benchmarks.visitor import TEXT, Busy, Visitor, drawing, endpoints

PAUSE = 5  # seconds; the page says to try again in a few
PHOTOS = [drawing(seed) for seed in range(20)]
numbers = itertools.count()


class PageUser(User):  # type: ignore[misc]
    """Someone who wants an answer, and asks again as soon as there is one."""

    def on_start(self) -> None:
        """Open the page; each user has another photo and another text."""
        number = next(numbers)
        self.case: tuple[str, bytes, str] = (
            "predict",
            PHOTOS[number % len(PHOTOS)],
            f"{TEXT} {number}",
        )
        self.visitor = Visitor(self.host, endpoints(self.host))

    @task  # type: ignore[untyped-decorator]
    def ask(self) -> None:
        """One case."""
        start = time.perf_counter()
        outcome = "answered"
        try:
            self.visitor.ask(*self.case)
        except Busy:
            outcome = "busy"
        except Exception as error:  # every kind is counted by its name
            outcome = f"{type(error).__name__}: {error}"
        self._tell(outcome, 1000 * (time.perf_counter() - start))
        if outcome != "answered":
            gevent.sleep(PAUSE)

    def _tell(self, outcome: str, milliseconds: float) -> None:
        told: dict[str, Any] = {"request_type": "case", "name": outcome, "response_length": 0}
        self.environment.events.request.fire(response_time=milliseconds, exception=None, **told)
