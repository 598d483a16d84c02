"""Command line: predict one case, answer a table of cases, or tell about the model.

Exit status 0, or 2 with one line on stderr for bad input.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import NoReturn

from dermmm import NOTICE, __version__, batch, load
from dermmm.prediction import CAUTIONS


class Parser(argparse.ArgumentParser):
    """Tells about a wrong argument in one line, as about any other bad input."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser(prog="python -m dermmm", description=__doc__, epilog=NOTICE)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)

    predict = commands.add_parser("predict", help="answer one case", epilog=NOTICE)
    predict.add_argument("--image", metavar="FILE", help="a photo")
    predict.add_argument("--text", help="a description")
    predict.add_argument("--json", action="store_true", help="print one JSON object")
    predict.add_argument("--explain", action="store_true", help="add where the model looked")
    predict.set_defaults(run=run_predict)

    table = commands.add_parser("batch", help="answer a CSV of cases", epilog=NOTICE)
    table.add_argument("cases", metavar="CASES.csv", help=f"columns {', '.join(batch.COLUMNS)}")
    table.add_argument("--out", required=True, metavar="OUT.csv", help="one row a case")
    table.add_argument(
        "--ray", action="store_true", help="in several processes, with constant memory"
    )
    table.add_argument("--workers", type=int, metavar="N", help="with --ray; default: the cores")
    table.set_defaults(run=run_batch)

    info = commands.add_parser("info", help="conditions, sizes, metrics, hashes, licences")
    info.set_defaults(run=run_info)

    for command in (predict, table, info):
        command.add_argument("--checkpoints", metavar="DIR", help="default: the repository's")

    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError) as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    return 0


def run_predict(options: argparse.Namespace) -> None:
    if options.image is None and options.text is None:
        raise ValueError("got neither --image nor --text; give at least one of them")
    predictor = load(options.checkpoints)
    prediction = predictor.predict(options.image, options.text, options.explain)
    if options.json:
        effects = predictor.effects(options.image, options.text) if options.explain else None
        print(json.dumps(prediction.to_dict(effects)))
        return
    for reason in prediction.cautions:
        print(f"caution: {CAUTIONS[reason]}")
    if prediction.abstains:
        print("The model abstains; what it would answer:")
    for name, probability in prediction.top(3):
        print(f"{probability:6.1%}  {name}")
    if prediction.set_coverage is not None:
        names = ", ".join(prediction.prediction_set)
        print(f"with {prediction.set_coverage:.0%} coverage: {names}")
    print(f"gate: photo {prediction.gate.image:.0%}, description {prediction.gate.text:.0%}")
    if prediction.explanation is not None and prediction.explanation.words:
        words = sorted(prediction.explanation.words, key=lambda word: -word.weight)[:8]
        print("words: " + ", ".join(f"{word.text} {word.weight:.0%}" for word in words))
    print(prediction.notice)


def run_batch(options: argparse.Namespace) -> None:
    cases, out = Path(options.cases), Path(options.out)
    if options.workers is not None and not (options.ray and options.workers > 0):
        raise ValueError(f"got --workers {options.workers}; give 1 or more, together with --ray")
    temporary = out.with_name(out.name + ".tmp")
    with cases.open(newline="", encoding="utf-8-sig") as table:
        if options.ray:
            ray_answers(options, batch.each_case(table, str(cases)), cases, temporary)
        else:
            answers(options, batch.read_cases(table, str(cases)), cases, temporary)
    temporary.replace(out)


def answers(options: argparse.Namespace, rows: Sequence[batch.Row], cases: Path, out: Path) -> None:
    """Answer rows in this process and write them to ``out``."""
    from tqdm import tqdm

    predictor = load(options.checkpoints, onnx=True)
    found = chain.from_iterable(batch.answers(predictor, rows, lambda name: cases.parent / name))
    with out.open("w", newline="", encoding="utf-8") as file:
        told = tqdm(found, desc="cases", unit="case", total=len(rows))
        batch.write(file, predictor.conditions, told)


def ray_answers(
    options: argparse.Namespace, rows: Iterable[batch.Row], cases: Path, out: Path
) -> None:
    """The same with Ray, which reads the table again; here it is only counted and checked."""
    from tqdm import tqdm

    from dermmm import ray_batch

    total = sum(1 for _ in rows)
    conditions = load(options.checkpoints).conditions  # a broken checkpoint is told before Ray runs
    workers = options.workers or os.cpu_count() or 1
    with out.open("w", newline="", encoding="utf-8") as file:
        batch.write(file, conditions, ())
        with tqdm(desc="cases", unit="case", total=total) as bar:
            for count, lines in ray_batch.lines(cases.resolve(), options.checkpoints, workers):
                file.write(lines)
                bar.update(count)


def run_info(options: argparse.Namespace) -> None:
    predictor = load(options.checkpoints)
    checkpoint = predictor.checkpoint
    print(
        json.dumps(
            {
                "version": checkpoint.version,
                "sha256": checkpoint.sha256,
                "conditions": list(checkpoint.conditions),
                **predictor.card,
                "abstention": checkpoint.abstention.to_json() if checkpoint.abstention else None,
                "metrics": checkpoint.metrics,
                "notice": NOTICE,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
