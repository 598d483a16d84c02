"""Score the checkpoint on the test split, and publish it.

    python -m training.evaluate --data runs/first/data --out runs/first
    python -m training.evaluate --publish checkpoints --out runs/first
    python -m training.evaluate --write-docs | --check-docs

Reads `OUT/checkpoint` as it ships (half precision), answers the test split through the same
preprocessing as the page, and writes the scores into the checkpoint. The rows: photos alone, real
texts alone, and true photo + description pairs; nothing synthetic or pseudo-paired is in them. One
row is no test split: the vignettes that `training.vignettes` keeps, named as such. `--write-docs`
renews the tables in README.md and docs/data.md from the published checkpoint.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dermmm import checkpoint
from dermmm.calibration import probabilities
from dermmm.conditions import NAMES
from dermmm.predictor import DEFAULT_CHECKPOINTS
from training import text_baseline
from training.answers import answer_rows
from training.dataset import cases_with_text, condition_index, read_manifest, read_texts
from training.marked_text import between_markers
from training.scoring import (
    MEASURED,
    is_measured,
    paired_difference,
    recall_by_condition,
    score,
)
from training.stage import Stage, run, write_whole
from training.vignettes import read_vignettes

NAME = "evaluate"
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class EvaluateConfig:
    split: str = "test"


def main(config: EvaluateConfig, data: Path, out: Path) -> dict[str, object]:
    loaded = checkpoint.load(out / "checkpoint")
    manifest = read_manifest(data)
    rows = manifest[(manifest["split"] == config.split) & (manifest["condition"] != "")]
    photos = rows[rows["photo"] != ""].reset_index(drop=True)
    pairs = photos[photos["text_path"] != ""].reset_index(drop=True)
    texts = cases_with_text(manifest, config.split).reset_index(drop=True)
    covered = loaded.model.fusion.text_head.covered.numpy()
    readable = texts[covered[condition_index(texts)]].reset_index(drop=True)
    baseline = text_baseline.load_baseline(data, out)

    def answer(cases: pd.DataFrame, use: tuple[str, ...] = ("image", "text")) -> Any:
        return answer_rows(loaded.model, loaded.tokenizer, data, cases, use)

    def calibrated(logits: Tensor, name: str) -> np.ndarray:
        return probabilities(logits, loaded.temperatures[name]).numpy()

    metrics: dict[str, Any] = {"split": config.split, "rows": {}, "by_condition": {}}

    def add(row: str, cases: pd.DataFrame, values: np.ndarray) -> None:
        targets, groups = condition_index(cases), cases["group"].to_numpy()
        metrics["rows"][row] = score(values, targets, groups)
        metrics["by_condition"][row] = recall_by_condition(values, targets, NAMES)

    by_photo = calibrated(answer(photos, ("image",)).image_logits, "image")
    add("image only", photos, by_photo)
    clinical = (photos["photo_kind"] == "clinical").to_numpy()
    add("image only, clinical photos", photos[clinical], by_photo[clinical])
    for source in sorted(set(photos["source"])):
        chosen = (photos["source"] == source).to_numpy()
        add(f"image only, {source}", photos[chosen], by_photo[chosen])
    by_text = calibrated(answer(readable, ("text",)).text_logits, "text")
    by_words = text_baseline.answer(baseline, [said[0] for said in read_texts(data, readable)])
    measured = is_measured(condition_index(readable))
    add("text only", readable[measured], by_text[measured])
    add("TF-IDF and logistic regression, text only", readable[measured], by_words[measured])
    add("text only, every condition", readable, by_text)
    metrics["rows"]["text only, every condition"]["left_out"] = len(texts) - len(readable)
    metrics["texts_by_condition"] = texts["condition"].value_counts().to_dict()
    metrics["differences"] = {
        "text only less TF-IDF and logistic regression": paired_difference(
            by_text[measured],
            by_words[measured],
            condition_index(readable[measured]),
            readable[measured]["group"].to_numpy(),
        )
    }
    for source in sorted(set(readable["source"])):
        chosen = (readable["source"] == source).to_numpy()
        add(f"text only, {source}", readable[chosen], by_text[chosen])
    vignettes = read_vignettes()
    vignettes = vignettes[covered[condition_index(vignettes)]].assign(
        group=lambda table: table["id"], photo="", text_path="vignette"
    )
    if len(vignettes):
        told = calibrated(answer(vignettes, ("text",)).text_logits, "text")
        add("text only, vignettes (not of the test split)", vignettes, told)
        words = text_baseline.answer(baseline, list(vignettes["text"]))
        add("TF-IDF and logistic regression, vignettes (not of the test split)", vignettes, words)

    both = answer(pairs)
    add("both, true pairs", pairs, calibrated(both.fused_logits, "fused"))
    add("image only, on the true pairs", pairs, calibrated(both.image_logits, "image"))
    add("text only, on the true pairs", pairs, calibrated(both.text_logits, "text"))
    for source in sorted(set(pairs["source"])):
        chosen = (pairs["source"] == source).to_numpy()
        add(
            f"both, true pairs, {source}",
            pairs[chosen],
            calibrated(both.fused_logits[torch.from_numpy(chosen)], "fused"),
        )
    fused_photo = calibrated(answer(photos, ("image",)).fused_logits, "fused")
    add("fused head, photo alone", photos, fused_photo)
    fused_text = calibrated(answer(readable, ("text",)).fused_logits, "fused")
    add("fused head, text alone", readable, fused_text)
    add("always the commonest condition", photos, _majority(manifest, len(photos)))
    gate = both.gate[:, 0].numpy()
    metrics["image_gate_on_true_pairs"] = {
        name: float(value)
        for name, value in zip(
            ("p05", "median", "p95"), np.quantile(gate, [0.05, 0.5, 0.95]), strict=True
        )
    }
    loaded.metrics = metrics
    sha256 = checkpoint.save(loaded, out / "checkpoint")
    return {"sha256": sha256, "rows": metrics["rows"], "differences": metrics["differences"]}


def _majority(manifest: pd.DataFrame, count: int) -> np.ndarray:
    """(count, K) a control that always ranks conditions by their share of the training photos."""
    train = manifest[
        (manifest["split"] == "train") & (manifest["photo"] != "") & (manifest["condition"] != "")
    ]
    shares = np.bincount(condition_index(train), minlength=len(NAMES)) / len(train)
    return np.tile(shares, (count, 1))


def publish(out: Path, folder: Path) -> None:
    """Copy the evaluated checkpoint of a run to ``folder``, where the page looks for it."""
    loaded = checkpoint.load(out / "checkpoint")
    if not loaded.metrics:
        raise ValueError(f"{out / 'checkpoint'} was never evaluated; run training.evaluate first")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", *checkpoint.FILES):
        shutil.copyfile(out / "checkpoint" / name, folder / name)


README_ROWS = (
    "image only",
    "image only, clinical photos",
    "text only",
    "TF-IDF and logistic regression, text only",
    "text only, vignettes (not of the test split)",
    "TF-IDF and logistic regression, vignettes (not of the test split)",
    "both, true pairs",
    "image only, on the true pairs",
    "text only, on the true pairs",
    "always the commonest condition",
)


def results_table(metrics: dict[str, Any]) -> str:
    """The README's results as Markdown, each score in per cent with its 95 % interval."""

    def cell(interval: dict[str, float], sign: str = "") -> str:
        value, low, high = (100 * interval[key] for key in ("value", "low", "high"))
        return f"{value:{sign}.1f} ({low:{sign}.1f}–{high:{sign}.1f})".replace("-", "−")

    lines = [
        f"| {metrics['split']} split | cases | conditions | chance "
        "| balanced accuracy | top-1 | top-3 | ECE |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in (name for name in README_ROWS if name in metrics["rows"]):
        row = metrics["rows"][name]
        scores = " | ".join(cell(row[key]) for key in ("balanced_accuracy", "top1", "top3"))
        lines.append(
            f"| {name} | {row['n']} | {row['conditions']} | {100 * row['chance']:.1f} "
            f"| {scores} | {row['ece']:.3f} |"
        )
    for name, row in metrics["differences"].items():
        scores = " | ".join(cell(row[key], "+") for key in ("balanced_accuracy", "top1", "top3"))
        lines.append(f"| {name}, paired | | | | {scores} | |")
    return "\n".join(lines)


def text_table(metrics: dict[str, Any]) -> str:
    """For each condition how many real test texts there are, and recall where it is measured."""
    counts, found = metrics["texts_by_condition"], metrics["by_condition"]["text only"]
    lines = ["| condition | real test texts | recall | in the first three |", "|---|---|---|---|"]
    for name in NAMES:
        count, result = counts.get(name, 0), "not measured | not measured"
        if name in found and count >= MEASURED:
            result = f"{found[name]['recall']:.2f} | {found[name]['top3']:.2f}"
        lines.append(f"| {name} | {count} | {result} |")
    return "\n".join(lines)


# (document, first marker, last marker, what stands between them)
TABLES = (
    (
        ROOT / "README.md",
        "<!-- results: written by training.evaluate -->",
        "<!-- end of results -->",
        results_table,
    ),
    (
        ROOT / "docs" / "data.md",
        "<!-- test texts: written by training.evaluate -->",
        "<!-- end of test texts -->",
        text_table,
    ),
)


STAGE = Stage(NAME, main)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="what training.clean wrote: score the test split")
    parser.add_argument("--out", type=Path, help="the run's folder")
    parser.add_argument("--publish", type=Path, metavar="DIR", help="copy OUT/checkpoint there")
    parser.add_argument("--write-docs", action="store_true", help="renew the documents' tables")
    parser.add_argument("--check-docs", action="store_true", help="exit 1 if a table is old")
    options = parser.parse_args()
    if (options.data or options.publish) and not options.out:
        parser.error("--data and --publish need --out")
    if options.data:
        print(json.dumps(run(STAGE, EvaluateConfig(), options.data, options.out), indent=1))
    if options.publish:
        publish(options.out, options.publish)
    if options.write_docs or options.check_docs:
        metrics = checkpoint.load(DEFAULT_CHECKPOINTS).metrics
        for document, start, end, table in TABLES:
            current = document.read_text(encoding="utf-8")
            renewed = between_markers(current, start, end, table(metrics))
            if options.write_docs:
                write_whole(document, renewed)
            elif renewed != current:
                raise SystemExit(f"{document.name} is older than the checkpoint; run --write-docs")
