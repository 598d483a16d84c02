"""Users at the same time: how many cases a second, how long each takes, and what is turned away.

    python -m benchmarks.load                    1, 10, 50 and 200 users, two minutes each
    python -m benchmarks.load --seconds 20       a quick look

It runs the real page with the repository's weights, and its users on the same cores. Takes nine
minutes, writes `benchmarks/results/load.json` and the plot `docs/figures/load.png`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go
import psutil

import dermmm
from benchmarks.record import Row, Table, save
from benchmarks.visitor import TEXT, Visitor, drawing, endpoints, serving

USERS = (1, 10, 50, 200)
USER = Path(__file__).with_name("load_user.py")
PLOT = Path(__file__).parents[1] / "docs" / "figures" / "load.png"
EXPLAINED = 40  # in the measurement of memory, every so many cases ask for the effects too
RECOVERY = 2.0  # seconds in which a normal case is answered after an overload


@dataclass(frozen=True)
class Level:
    """What so many users found; times in milliseconds."""

    users: int
    rate: float  # cases answered a second
    p50: float
    p95: float
    p99: float
    answered: int
    busy: int  # turned away
    errors: dict[str, int]  # by kind
    recovery: float  # seconds from the end of the load to a normal answer

    @property
    def shed(self) -> float:
        """The share of cases that were turned away, 0..1."""
        return self.busy / max(1, self.busy + self.answered)


def level(address: str, users: int, seconds: float) -> Level:
    """Let ``users`` ask for ``seconds``, then one more who asks at once when they have gone.

    Raises:
        RuntimeError: Locust did not run; the message is its own.
    """
    settings = f"--headless --json -L WARNING -u {users} -r {users} -t {seconds}s --host {address}"
    command = [sys.executable, "-m", "locust", "-f", str(USER), *settings.split()]
    done = subprocess.run(command, cwd=USER.parents[1], capture_output=True, text=True)
    recovery = answer_seconds(address)
    if done.returncode:
        raise RuntimeError(f"Locust did not run: {done.stderr}")
    entries = {entry["name"]: entry for entry in json.loads(done.stdout)}
    answered = entries.pop("answered", {"response_times": {}, "num_requests": 0})
    busy = entries.pop("busy", {"num_requests": 0})["num_requests"]
    times = {float(ms): count for ms, count in answered["response_times"].items()}
    count = answered["num_requests"]
    return Level(
        users,
        count / seconds,
        *(percentile(times, share) for share in (0.5, 0.95, 0.99)),
        answered=count,
        busy=busy,
        errors={name: entry["num_requests"] for name, entry in entries.items()},
        recovery=recovery,
    )


def percentile(times: dict[float, int], share: float) -> float:
    """The time that ``share`` of the cases did not exceed; ``times`` maps each to its count."""
    passed = 0
    for value in sorted(times):
        passed += times[value]
        if passed >= share * sum(times.values()):
            return value
    return float("nan")


def answer_seconds(address: str) -> float:
    """How long a single visitor waits for an answer."""
    start = time.perf_counter()
    with Visitor(address, endpoints(address)) as visitor:
        visitor.ask("predict", drawing(0), TEXT)
    return time.perf_counter() - start


def memory(address: str, process: int, counts: tuple[int, ...], clients: int = 4) -> list[float]:
    """MiB that the program holds after so many cases in all, of every kind, from a few clients."""
    known, photos = endpoints(address), [drawing(seed) for seed in range(20)]

    def ask(number: int) -> None:
        photo = None if number % 3 == 0 else photos[number % len(photos)]
        text = None if number % 3 == 1 else f"{TEXT} {number}"
        with Visitor(address, known) as visitor:
            visitor.ask("predict" if number % EXPLAINED else "explain", photo, text)

    held, asked = [], 0
    for count in counts:
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(ask, range(asked, count)))
        asked = count
        held.append(psutil.Process(process).memory_info().rss / 2**20)
        print(f"{count} cases: {held[-1]:.0f} MiB", flush=True)
    return held


def serial_seconds(repeats: int = 60) -> float:
    """The median time of one answer without page or network, in a process with nothing else."""
    predictor, photo = dermmm.load(onnx=True), drawing(0)  # as app.py does
    times = []
    for _ in range(repeats + 10):
        start = time.perf_counter()
        predictor.predict(photo, TEXT)
        times.append(time.perf_counter() - start)
    return statistics.median(times[10:])


def plot(levels: list[Level]) -> go.Figure:
    """Latency by users, on logarithmic axes."""
    figure = go.Figure()
    for name, dash in (("p50", "solid"), ("p95", "dash"), ("p99", "dot")):
        figure.add_scatter(
            x=[level.users for level in levels],
            y=[getattr(level, name) / 1000 for level in levels],
            mode="lines+markers",
            name=name,
            line={"dash": dash, "color": "#0f766e"},
        )
    figure.update_layout(
        template="plotly_white",
        font={"size": 15},
        margin={"l": 70, "r": 20, "t": 20, "b": 60},
        legend={"x": 0.02, "y": 0.98},
    )
    users = [level.users for level in levels]
    figure.update_xaxes(type="log", title="users at the same time", tickvals=users, ticktext=users)
    figure.update_yaxes(type="log", title="seconds to an answer", dtick="D2")
    return figure


def rows(levels: list[Level], held: list[float], serial: float) -> list[Row]:
    """The promises."""
    ten, most = levels[1], levels[-1]
    share, growth = ten.rate * serial, held[1] / held[0] - 1
    errors = sum(sum(level.errors.values()) for level in levels)
    cases = sum(level.answered + level.busy for level in levels)
    slowest = max(level.recovery for level in levels)
    return [
        Row(
            f"cases a second with {ten.users} users, against 1 / serial time",
            "≥ 60 %; goal ≥ 90 %",
            f"{share:.0%}: {ten.rate:.1f} a second; an answer takes {1000 * serial:.1f} ms "
            "without page and network",
            share >= 0.6,
            "met" if share >= 0.9 else "missed",
        ),
        Row(
            "every case is answered or turned away",
            "no error",
            f"{errors} errors in {cases} cases of up to {most.users} users",
            errors == 0,
        ),
        Row(
            "what is too much is turned away with a clear message",
            "",
            f"{most.shed:.0%} of the cases of {most.users} users, with status 503 and our words",
            None,
        ),
        Row(
            "recovery after an overload",
            f"an answer within {RECOVERY:g} s",
            f"at most {slowest:.2f} s after the users had gone",
            slowest <= RECOVERY,
        ),
        Row(
            "memory after 2,000 cases against that after 200",
            "within 5 %",
            f"{growth:+.1%}: {held[0]:.0f} MiB, then {held[1]:.0f} MiB",
            abs(growth) <= 0.05,
        ),
        Row(
            "memory after the users of all levels had gone",
            "",
            f"{held[2]:.0f} MiB",
            None,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=120, help="for each number of users")
    options = parser.parse_args()
    start = time.perf_counter()
    os.environ.pop("OMP_NUM_THREADS", None)  # the page and the answers by themselves: all cores
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        serial = pool.apply(serial_seconds)
    print(f"one answer by itself: {1000 * serial:.1f} ms", flush=True)
    with serving() as program:
        address, process = program.address, program.process
        held = memory(address, process, (200, 2000))
        levels = []
        for users in USERS:
            levels.append(level(address, users, options.seconds))
            print(levels[-1], flush=True)
        held.append(psutil.Process(process).memory_info().rss / 2**20)
    table = Table(
        f"Users at the same time, {options.seconds} s each, without a pause between cases",
        ("users", "answers/s", "p50", "p95", "p99", "answered", "busy", "errors", "recovery"),
        tuple(
            (
                str(found.users),
                f"{found.rate:.1f}",
                *(f"{ms / 1000:.2f} s" for ms in (found.p50, found.p95, found.p99)),
                str(found.answered),
                f"{found.busy} ({found.shed:.0%})",
                "; ".join(f"{n} {kind}" for kind, n in found.errors.items()) or "none",
                f"{found.recovery:.2f} s",
            )
            for found in levels
        ),
        "A case is a 640x480 JPEG and 30 words: uploaded, queued, answered by `/predict`. A user "
        "who is turned away asks again after 5 s. The users run on the same cores as the page.",
    )
    PLOT.parent.mkdir(exist_ok=True)
    plot(levels).write_image(PLOT, width=760, height=440, scale=2)
    minutes = (time.perf_counter() - start) / 60
    save("load", "python -m benchmarks.load", rows(levels, held, serial), [table], minutes)


if __name__ == "__main__":
    main()
