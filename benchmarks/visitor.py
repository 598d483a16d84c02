"""The page's visitor, without a browser: uploads, waits in the queue and reads the event stream.

What goes over the wire is what the page itself sends. `benchmarks.load`, `benchmarks.answers` and
`benchmarks.connections` are made of it, and of `serving`, which runs the real program.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any

import httpx
import numpy as np
from PIL import Image

APP = Path(__file__).parents[1] / "app.py"
# Thirty words, with a 640x480 JPEG the input of every measurement of time.
TEXT = (
    "An itchy dark spot on the left forearm that has grown over the last three months, with an "
    "uneven border, two shades of brown, and it bled once after I scratched"
)
TIMEOUT = 120  # seconds; a hang, never a slow answer


class Busy(Exception):
    """The page turned the case away; the message is what it said."""


class Failed(Exception):
    """The page answered with an error; the message is what it said."""


class Visitor:
    """One visitor of a page: a session of its own, and connections of its own.

    Args:
        address: of the page, such as ``http://127.0.0.1:7860/``.
        endpoints: what `endpoints` returned for it.
    """

    def __init__(self, address: str, endpoints: dict[str, int]) -> None:
        self.endpoints = endpoints
        self.session = uuid.uuid4().hex
        self.http = httpx.Client(
            base_url=f"{address}gradio_api/",
            timeout=TIMEOUT,
            verify=False,  # plain HTTP; it would read a list of certificates for each visitor
            trust_env=False,
        )

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def ask(self, endpoint: str, photo: bytes | None, text: str | None) -> dict[str, Any]:
        """Upload, wait and return the JSON answer of ``endpoint``, "predict" or "explain".

        Raises:
            Busy: too many cases wait.
            Failed: there is no answer.
        """
        self.join(endpoint, photo, text)
        answer: list[dict[str, Any]] = self.read()
        return answer[0]

    def join(self, endpoint: str, photo: bytes | None, text: str | None) -> str:
        """Upload and take a place in the queue; returns the event's id. Raises as `ask` does."""
        case = [None if photo is None else self.upload(photo), text]
        # The session's own values, which some events read, have a place that stays empty.
        hidden = [None] * (endpoint == "examine")
        body = {
            "data": case + hidden,
            "fn_index": self.endpoints[endpoint],
            "session_hash": self.session,
        }
        response = self.http.post("queue/join", json=body)
        if response.status_code == 503:
            raise Busy(response.json()["detail"])
        event: str = _checked(response).json()["event_id"]
        return event

    def upload(self, photo: bytes) -> dict[str, Any]:
        """Upload a file; returns how an argument names it."""
        response = self.http.post("upload", files={"files": ("photo.jpg", photo, "image/jpeg")})
        return {"path": _checked(response).json()[0], "meta": {"_type": "gradio.FileData"}}

    def read(self) -> list[Any]:
        """Read the session's stream until its event is over; returns the event's outputs."""
        for message in self.messages():
            if message["msg"] == "process_completed":
                if not message["success"]:
                    raise Failed(message["output"].get("error") or "no reason given")
                outputs: list[Any] = message["output"]["data"]
                return outputs
        raise Failed("the stream ended without an answer")

    def messages(self) -> Iterator[dict[str, Any]]:
        """The messages of the session's stream, until the server closes it."""
        address = f"queue/data?session_hash={self.session}"
        with self.http.stream("GET", address) as stream:
            if stream.status_code != 200:
                raise Failed(f"status {stream.status_code} of the stream")
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line[5:])


def endpoints(address: str) -> dict[str, int]:
    """The numbers of the page's endpoints, by name."""
    config = httpx.get(f"{address}config", timeout=TIMEOUT, verify=False, trust_env=False).json()
    return {entry["api_name"]: entry["id"] for entry in config["dependencies"] if entry["api_name"]}


def _checked(response: httpx.Response) -> httpx.Response:
    if response.status_code != 200:
        raise Failed(f"status {response.status_code}")
    return response


def drawing(seed: int, size: tuple[int, int] = (640, 480)) -> bytes:
    """A JPEG of skin with a dark spot; each seed another one, ``size`` is width and height."""
    rng = np.random.default_rng(seed)
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    centre, radius = rng.uniform(0.3, 0.7, 2), rng.uniform(0.08, 0.25)
    spot = np.hypot(x / width - centre[0], y / height - centre[1]) < radius
    pixels = np.where(spot[..., None], rng.uniform(40, 120, 3), rng.uniform(150, 230, 3))
    pixels = pixels + rng.normal(0, 8, (height, width, 1))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


@dataclass(frozen=True)
class Program:
    """app.py, running."""

    address: str  # such as http://127.0.0.1:7860/
    process: int  # its id
    folder: Path  # of its temporary files, uploads among them
    log: Path  # what it has written to its standard error


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[Program]:
    """Run app.py with these arguments and variables, and stop it by a signal at the end.

    Raises:
        RuntimeError: it does not start; the message holds what it says.
    """
    with TemporaryDirectory() as folder, NamedTemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, str(APP), *arguments],
            env={**os.environ, "TMPDIR": folder, **environment},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert process.stdout is not None
            address = re.search(r"http://\S+", process.stdout.readline())
            if address is None:
                raise RuntimeError(f"app.py did not start: {Path(log.name).read_text()}")
            yield Program(address[0], process.pid, Path(folder), Path(log.name))
        finally:
            process.terminate()
            process.communicate(timeout=TIMEOUT)
