"""Command line: predict one case, answer a table of cases, or tell about the model.

Exit status 0, or 2 with one line on stderr for bad input.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from dermmm import NOTICE, __version__, load
from dermmm.prediction import CAUTIONS, Prediction

COLUMNS = ("case_id", "image", "text")


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

    batch = commands.add_parser("batch", help="answer a CSV of cases", epilog=NOTICE)
    batch.add_argument("cases", metavar="CASES.csv", help=f"columns {', '.join(COLUMNS)}")
    batch.add_argument("--out", required=True, metavar="OUT.csv", help="one row a case")
    batch.set_defaults(run=run_batch)

    info = commands.add_parser("info", help="conditions, sizes, metrics, hashes, licences")
    info.set_defaults(run=run_info)

    for command in (predict, batch, info):
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
    prediction = load(options.checkpoints).predict(options.image, options.text, options.explain)
    if options.json:
        print(json.dumps(prediction.to_dict()))
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
    rows = list(_read_cases(cases))
    predictor = load(options.checkpoints)
    names = list(predictor.conditions)
    columns = [
        *("case_id", "top1", "top2", "top3"),
        *(f"p:{name}" for name in names),
        *("gate_image", "gate_text", "prediction_set", "cautions", "error"),
    ]
    out = Path(options.out)
    temporary = out.with_name(out.name + ".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row in tqdm(rows, desc="cases", unit="case"):
            image = cases.parent / row["image"] if row["image"] else None
            result: dict[str, Any] = {"case_id": _inert(row["case_id"])}
            try:
                prediction = predictor.predict(image, row["text"] or None, explain=False)
                result |= _batch_row(prediction)
            except (ValueError, OSError) as error:
                result["error"] = _inert(str(error))
            writer.writerow(result)
    temporary.replace(out)


def _read_cases(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        try:
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(
                    f"{path}: column {', '.join(missing)} is missing; expected {', '.join(COLUMNS)}"
                )
            for row in reader:
                yield {name: (row[name] or "").strip() for name in COLUMNS}
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not a CSV in UTF-8 ({error}); save it as one") from None


def _batch_row(prediction: Prediction) -> dict[str, Any]:
    tops = {f"top{rank}": name for rank, (name, _) in enumerate(prediction.top(3), start=1)}
    values = zip(prediction.conditions, prediction.probabilities, strict=True)
    return {
        **tops,
        **{f"p:{name}": f"{value:.6f}" for name, value in values},
        "gate_image": f"{prediction.gate.image:.6f}",
        "gate_text": f"{prediction.gate.text:.6f}",
        "prediction_set": "; ".join(prediction.prediction_set),
        "cautions": "; ".join(prediction.cautions),
    }


def _inert(value: str) -> str:
    """Keep a spreadsheet from running the value as a formula; a plain negative number stays."""
    if value.startswith(tuple("=+-@\t\r")) and not re.fullmatch(r"-[0-9]+(\.[0-9]+)?", value):
        return "'" + value
    return value


def run_info(options: argparse.Namespace) -> None:
    predictor = load(options.checkpoints)
    checkpoint = predictor.checkpoint
    parts = {
        name: sum(weight.numel() for weight in module.parameters())
        for name, module in checkpoint.model.named_children()
    }
    print(
        json.dumps(
            {
                "version": checkpoint.version,
                "sha256": checkpoint.sha256,
                "licence": {"code": "Apache-2.0", "weights": checkpoint.licence},
                "conditions": list(checkpoint.conditions),
                "parameters": parts,
                "image_size": checkpoint.model.config.image_size,
                "temperatures": checkpoint.temperatures,
                "abstention": checkpoint.abstention.to_json() if checkpoint.abstention else None,
                "provenance": checkpoint.provenance,
                "metrics": checkpoint.metrics,
                "notice": NOTICE,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
