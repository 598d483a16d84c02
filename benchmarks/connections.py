"""Bad connections: clients that hang up, dawdle, or only stay. Afterwards all must be as before.

    python -m benchmarks.connections

Hundreds of clients of the real page break off in the middle of an upload, while they wait, or while
they read the answer; others send ten bytes a second, or nothing. Before, during and after that a
normal visitor asks, and the program's threads, open files, memory and uploads are counted. Takes
four minutes; writes `benchmarks/results/connections.json`.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil

import dermmm
from benchmarks.record import Row, save
from benchmarks.visitor import TEXT, Busy, Program, Visitor, drawing, endpoints, serving
from demo.panels import Predictor
from demo.ui import build_demo, launch_settings
from dermmm import Prediction

CLIENTS = 300  # of each kind that hangs up
WAITING = 12  # in the queue when they hang up
SLOW, IDLE = 20, 100
SECONDS = 20  # for which the slow and the idle ones stay
SETTLED = 15  # seconds after which the program must be as before; unused threads end after ten
HEAD = (
    "POST /gradio_api/upload HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n"
    "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
)
PART = b'--b\r\nContent-Disposition: form-data; name="files"; filename="photo.jpg"\r\n\r\n'


@dataclass(frozen=True)
class Held:
    """What a program holds."""

    threads: int
    files: int  # open files and connections
    megabytes: float  # of memory, in MiB
    uploads: int  # files in its temporary folder


def held(process: int, folder: Path) -> Held:
    """What a running program holds, with its temporary files in ``folder``."""
    program = psutil.Process(process)
    return Held(
        program.num_threads(),
        program.num_fds(),
        program.memory_info().rss / 2**20,
        sum(path.is_file() for path in folder.rglob("*")),
    )


@contextmanager
def half_upload(address: str, photo: bytes, abort: bool = False) -> Iterator[socket.socket]:
    """A connection that has sent the first half of a photo; ``abort`` ends it with a reset."""
    place = urlsplit(address)
    assert place.hostname is not None and place.port is not None
    with socket.create_connection((place.hostname, place.port), timeout=60) as line:
        length = len(PART) + len(photo) + 7
        line.sendall(HEAD.format(host=place.netloc, length=length).encode())
        line.sendall(PART + photo[: len(photo) // 2])
        yield line
        if abort:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def leave_in_upload(address: str, number: int) -> None:
    """Hang up in the middle of an upload."""
    with half_upload(address, drawing(number % 10), abort=number % 2 == 0):
        time.sleep(0.01)


def leave_in_queue(address: str, known: dict[str, int], number: int) -> None:
    """Take a place in the queue and hang up: before the stream is opened, or while waiting."""
    with Visitor(address, known) as visitor:
        join_patiently(visitor, "predict", number)
        if number % 2:
            messages = visitor.messages()
            next(messages)
            messages.close()


def leave_in_stream(address: str, known: dict[str, int], number: int) -> None:
    """Press Analyse, and hang up when the first part of the page has come."""
    with Visitor(address, known) as visitor:
        join_patiently(visitor, "examine", number)
        messages = visitor.messages()
        next(message for message in messages if message["msg"] == "process_generating")
        messages.close()


def join_patiently(visitor: Visitor, endpoint: str, number: int) -> None:
    """Take a place in the queue, as soon as there is one."""
    while True:
        try:
            visitor.join(endpoint, None, f"{TEXT} {number}")
            return
        except Busy:
            time.sleep(0.2)


@contextmanager
def slow_uploads(address: str, clients: int) -> Iterator[None]:
    """Meanwhile so many clients upload a photo with ten bytes a second."""
    over, photo = threading.Event(), drawing(0)

    def dawdle() -> None:
        with half_upload(address, photo) as line:
            for byte in photo[len(photo) // 2 :]:
                line.sendall(bytes([byte]))
                if over.wait(0.1):
                    break

    with ThreadPoolExecutor(clients) as pool:
        done = [pool.submit(dawdle) for _ in range(clients)]
        yield
        over.set()
    for one in done:
        one.result()


@contextmanager
def idle_connections(address: str, clients: int) -> Iterator[None]:
    """Meanwhile so many connections are open that say nothing."""
    place = urlsplit(address)
    with ExitStack() as stack:
        for _ in range(clients):
            stack.enter_context(socket.create_connection((place.hostname, place.port)))
        yield


@contextmanager
def idle_streams(address: str, clients: int) -> Iterator[None]:
    """Meanwhile so many pages are open: each holds a stream that tells the server it is there."""
    with ExitStack() as stack:
        limits = httpx.Limits(max_connections=None)
        http = stack.enter_context(httpx.Client(base_url=address, limits=limits, timeout=60))
        for number in range(clients):
            stream = stack.enter_context(http.stream("GET", f"gradio_api/heartbeat/idle{number}"))
            lines = stream.iter_bytes()
            next(lines)
            stack.callback(lines.close)
        yield


def everyone(leave: Callable[[int], None], clients: int, at_once: int = 20) -> None:
    """Let so many clients come and go, some at once."""
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(leave, range(clients)))


def usual_seconds(address: str, known: dict[str, int], times: int = 15) -> float:
    """How long a normal visitor waits for an answer: the median of some."""

    def once() -> float:
        start = time.perf_counter()
        with Visitor(address, known) as visitor:
            visitor.ask("predict", drawing(0), TEXT)
        return time.perf_counter() - start

    return statistics.median(once() for _ in range(times))


def settled(look: Callable[[], Held], before: Held | None = None) -> Held:
    """What ``look`` finds once that is no more than before, or when `SETTLED` has passed.

    It has to ask for an answer each time: threads with nothing to do end when there is work again.
    """
    end = time.monotonic() + SETTLED
    while True:
        now = look()
        if before is not None and (
            now.threads <= before.threads
            and now.files <= before.files
            and now.uploads <= before.uploads
        ):
            return now
        if time.monotonic() > end:
            return now
        time.sleep(1)


class Counting:
    """A predictor that takes its time over an answer, and counts its cases."""

    def __init__(self, predictor: Predictor, seconds: float) -> None:
        self._predictor, self._seconds = predictor, seconds
        self.answered = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._predictor, name)

    def predict(self, *args: Any, **kwargs: Any) -> Prediction:
        """As the predictor, but slowly."""
        self.answered += 1
        time.sleep(self._seconds)
        return self._predictor.predict(*args, **kwargs)


def answered_though_gone(predictor: Counting, address: str, clients: int, read: bool) -> int:
    """How many cases are answered of clients that took a place behind others and hung up.

    Args:
        predictor: of the page, slow enough that all of them still wait when they go.
        read: they had opened their stream, as the page does at once, before they went.
    """
    known = endpoints(address)
    with Visitor(address, known) as first, Visitor(address, known) as second, ExitStack() as stack:
        for one in (first, second):  # these two keep the model busy
            one.join("predict", None, TEXT)
        for _ in range(clients):
            gone = stack.enter_context(Visitor(address, known))
            gone.join("predict", None, TEXT)
            if read:
                messages = gone.messages()
                next(messages)
                messages.close()
        stack.close()
        first.read(), second.read()
        with Visitor(address, known) as last:  # when it has its answer, nobody waits before it
            last.ask("predict", None, TEXT)
    return predictor.answered - 3


def gone() -> Row:
    """Whether the model works for clients that are gone, on a page of this process."""
    found = []
    for read in (True, False):
        predictor = Counting(dermmm.load(), 1.0)
        with tempfile.TemporaryDirectory() as uploads:
            os.environ["GRADIO_TEMP_DIR"] = uploads
            page = build_demo(predictor)
            _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, **launch_settings())
            found.append(answered_though_gone(predictor, address, WAITING, read))
            page.close(verbose=False)
    return Row(
        "the model does not work for visitors of the page who are gone",
        "no case of them is answered",
        f"{found[0]} of {WAITING} that had hung up while they waited; a program that has not yet "
        f"asked for its answer may come for it later: {found[1]} of {WAITING}",
        found[0] == 0,
    )


def rows(program: Program) -> list[Row]:
    """Let the clients of each kind come and go, and say what became of the program."""
    address, known = program.address, endpoints(program.address)

    def now() -> Held:
        usual_seconds(address, known, 1)
        return held(program.process, program.folder)

    everyone(lambda _: usual_seconds(address, known, 2), 20)  # all memory has been used once
    before, usual = settled(now), usual_seconds(address, known)
    print(f"usually {usual:.3f} s; {before}", flush=True)
    kinds: dict[str, Callable[[int], None]] = {
        "in the middle of an upload": lambda number: leave_in_upload(address, number),
        "while they wait": lambda number: leave_in_queue(address, known, number),
        "while the model answers": lambda number: leave_in_stream(address, known, number),
    }
    found = []
    for kind, leave in kinds.items():
        everyone(leave, CLIENTS)
        after, lasting = settled(now, before), usual_seconds(address, known)
        whole = after.threads <= before.threads and after.files <= before.files
        found.append(
            Row(
                f"{CLIENTS} clients hang up {kind}",
                f"nothing is left after {SETTLED} s; an answer takes at most twice as long",
                f"threads {before.threads} → {after.threads}, open files {before.files} → "
                f"{after.files}, uploads left {after.uploads - before.uploads}; an answer "
                f"{1000 * usual:.0f} → {1000 * lasting:.0f} ms",
                whole and after.uploads <= before.uploads and lasting <= 2 * usual,
            )
        )
        print(found[-1].measured, flush=True)
    stays = {
        f"{SLOW} uploads of 10 bytes a second": slow_uploads(address, SLOW),
        f"{IDLE} connections that say nothing": idle_connections(address, IDLE),
        f"{IDLE} open pages that ask nothing": idle_streams(address, IDLE),
    }
    for kind, meanwhile in stays.items():
        with meanwhile:
            time.sleep(SECONDS)
            lasting, open_files = usual_seconds(address, known), now().files
        after = settled(now, before)
        found.append(
            Row(
                kind,
                "an answer takes at most twice as long; nothing is left open after them",
                f"after {SECONDS} s an answer {1000 * usual:.0f} → {1000 * lasting:.0f} ms; open "
                f"files {before.files} → {open_files} → {after.files}",
                lasting <= 2 * usual and after.files <= before.files,
            )
        )
        print(found[-1].measured, flush=True)
    end = now()
    growth = end.megabytes / before.megabytes - 1
    found.append(
        Row(
            "memory after all of them",
            "within 5 % of that before",
            f"{growth:+.1%}: {before.megabytes:.0f} MiB, then {end.megabytes:.0f} MiB",
            growth <= 0.05,
        )
    )
    log = program.log.read_text()
    found.append(Row("none of them is in the log", "0 lines", f"{len(log.splitlines())}", not log))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    start = time.perf_counter()
    with serving() as program:
        found = rows(program)
    found.append(gone())
    minutes = (time.perf_counter() - start) / 60
    save("connections", "python -m benchmarks.connections", found, [], minutes)


if __name__ == "__main__":
    main()
