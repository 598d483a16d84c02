"""What a benchmark or a full reliability run leaves behind: `benchmarks/results/NAME.json`.

Each run of a script overwrites its own file. `benchmarks.reliability` turns all of them into
`docs/reliability.md` and `benchmarks/results.md`, so that no figure is typed by hand.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Row:
    """One promise and what was measured of it."""

    point: str  # what is promised, in a few words
    target: str  # the bound, in words; empty where the figure is for information
    measured: str  # the figure with its unit and its number of trials
    passed: bool | None  # None: no bound
    goal: str = ""  # a second, harder bound where there is one: "met" or "missed"


@dataclass(frozen=True)
class Table:
    """Figures that are worth more than a row: `benchmarks/results.md` shows them."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def save(
    name: str, command: str, rows: list[Row], tables: list[Table] | None = None, minutes: float = 0
) -> Path:
    """Write what a run measured, with the machine and the day.

    Args:
        name: of the script, without `.py`; the part of `benchmarks.reliability` it fills.
        command: what makes these figures again, as typed in the repository's folder.
        minutes: how long the run took.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    found = {
        "command": command,
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "minutes": round(minutes, 1),
        "rows": [asdict(row) for row in rows],
        "tables": [asdict(table) for table in tables or []],
    }
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)
    return path


def machine() -> str:
    """The kind of this machine, never its name: cores, processor, memory, Python."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {model}, {memory:.0f} GiB, Python {platform.python_version()}"
