"""Command line: predict one case, answer a table of cases, or tell about the model.

Exit status 0, or 2 with one line on stderr for bad input.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
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
    from tqdm import tqdm

    cases = Path(options.cases)
    with cases.open(newline="", encoding="utf-8-sig") as table:
        rows = batch.read_cases(table, str(cases))
    predictor = load(options.checkpoints)
    answers = chain.from_iterable(batch.answers(predictor, rows, lambda name: cases.parent / name))
    out = Path(options.out)
    temporary = out.with_name(out.name + ".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        told = tqdm(answers, desc="cases", unit="case", total=len(rows))
        batch.write(file, predictor.conditions, told)
    temporary.replace(out)


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
