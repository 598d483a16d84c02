"""Every promise about robustness, privacy, load and speed, with the figure measured for it.

    python -m benchmarks.reliability            write docs/reliability.md and benchmarks/results.md
    python -m benchmarks.reliability --check    fail where they differ from the stored results
    python -m benchmarks.reliability --all      run every part in full first (an hour or two)
    python -m benchmarks.reliability --run speed load

The parts are scripts of this folder. Each can be run by itself and stores its figures in
`benchmarks/results/`. The tests in `tests/reliability` run a reduced form of each.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS

ROOT = Path(__file__).parents[1]
PAGE, FIGURES = ROOT / "docs" / "reliability.md", ROOT / "benchmarks" / "results.md"

# script: (heading, what it is about)
PARTS = {
    "photos": ("Photos that are no photos", "Files of every kind, mutated, given to the decoder."),
    "texts_and_tables": ("Texts, tables and zips", "Hostile text wherever it is shown or saved."),
    "damage": ("Damaged checkpoints", "Weights and settings changed, missing or swapped."),
    "interruptions": ("Interrupted training", "Killed, out of disk, a photo broken on the way."),
    "privacy": ("Privacy", "What is left of a case, and what leaves the machine."),
    "access": ("Access", "What a stranger can read, reach or upload."),
    "dependencies": ("Dependencies", "Known weaknesses in what is installed."),
    "load": ("Load", "Users at the same time, and the memory that they cost."),
    "answers": ("No mix-ups", "Concurrent answers against serial ones."),
    "connections": ("Bad connections", "Clients that hang up, dawdle or only stay."),
    "speed": ("Speed", "Ratios within one run, so that they hold on other machines."),
    "scale": ("Training at scale", "Rates, streams and large tables."),
}
INTRODUCTION = """# Reliability

Education and research only; not for any patient's care.

Every point is a promise with the figure that was measured for it and the command that measures it
again. Failures stay in the table. This page is written by `python -m benchmarks.reliability` from
`benchmarks/results/`; `python -m benchmarks.reliability --all` runs everything anew. The tests in
`tests/reliability` run a reduced form of each part on every change.
"""


def page(results: dict[str, dict[str, Any]]) -> str:
    """`docs/reliability.md`."""
    counted = [row for result in results.values() for row in result["rows"]]
    bounds = [row for row in counted if row["passed"] is not None]
    failed = [row for row in bounds if not row["passed"]]
    lines = [INTRODUCTION, f"{len(bounds) - len(failed)} of {len(bounds)} bounds are kept."]
    if failed:
        lines.append(
            "Not kept: " + "; ".join(f"{row['point']} ({row['measured']})" for row in failed) + "."
        )
    for name, (title, about) in PARTS.items():
        lines += ["", f"## {title}", "", about, ""]
        if name not in results:
            lines.append("Not measured.")
            continue
        result = results[name]
        lines += ["| promise | bound | measured | |", "| --- | --- | --- | --- |"]
        lines += [_line(row) for row in result["rows"]]
        lines += ["", _made(result)]
    return "\n".join(lines) + "\n"


def figures(results: dict[str, dict[str, Any]]) -> str:
    """`benchmarks/results.md`: the tables behind the promises."""
    lines = [
        "# Results of the benchmarks",
        "",
        "Written by `python -m benchmarks.reliability` from `benchmarks/results/`.",
    ]
    for name, (title, _) in PARTS.items():
        tables = results.get(name, {}).get("tables", [])
        if not tables:
            continue
        lines += ["", f"## {title}", "", _made(results[name])]
        for table in tables:
            lines += ["", f"**{table['title']}**", ""]
            lines.append("| " + " | ".join(table["columns"]) + " |")
            lines.append("| " + " | ".join("---" for _ in table["columns"]) + " |")
            lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in table["rows"]]
            if table["note"]:
                lines += ["", table["note"]]
        if (ROOT / "docs" / "figures" / f"{name}.png").is_file():
            lines += ["", f"![{title}](../docs/figures/{name}.png)"]
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any]) -> str:
    verdict = {True: "kept", False: "**not kept**", None: ""}[row["passed"]]
    if row["goal"]:
        verdict += f", goal {row['goal']}"
    cells = (row["point"], row["target"], row["measured"], verdict)
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _made(result: dict[str, Any]) -> str:
    return (
        f"`{result['command']}`, {result['minutes']:g} minutes, {result['date']}, "
        f"{result['machine']}."
    )


def read() -> dict[str, dict[str, Any]]:
    """The stored results, by part."""
    return {
        name: json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        for name in PARTS
        if (RESULTS / f"{name}.json").is_file()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    parser.add_argument("--all", action="store_true", help="run every part in full first")
    parser.add_argument("--run", nargs="+", choices=PARTS, default=[], help="run these first")
    options = parser.parse_args()
    broke = []
    for name in PARTS if options.all else options.run:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT).returncode:
            broke.append(name)
    results = read()
    wanted = {PAGE: page(results), FIGURES: figures(results)}
    if options.check:
        old = [p for p, text in wanted.items() if not p.is_file() or p.read_text("utf-8") != text]
        if old:
            names = ", ".join(str(path.relative_to(ROOT)) for path in old)
            sys.exit(
                f"{names} differ from benchmarks/results; run python -m benchmarks.reliability"
            )
    else:
        for path, text in wanted.items():
            path.write_text(text, encoding="utf-8")
    if broke:
        sys.exit(f"did not finish: {', '.join(broke)}")


if __name__ == "__main__":
    main()
