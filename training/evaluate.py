"""Score the checkpoint on the test split, and publish it.

    python -m training.evaluate --data runs/first/data --out runs/first
    python -m training.evaluate --publish checkpoints --out runs/first
    python -m training.evaluate --write-docs | --check-docs

Reads `OUT/checkpoint` as it ships (half precision), answers the test split through the same
preprocessing as the page, and writes the scores into the checkpoint. The rows: photos alone, real
texts alone, and true photo + description pairs, whole and by source, photo kind and skin type;
nothing synthetic or pseudo-paired is in them. Rows that are no such result are named so: controls
(`training.controls`), pairs matched by label, and the vignettes that `training.vignettes` keeps.
The better single modality, which "both" is compared with, is chosen on validation. 0.9 minutes
on two idle cores with photos of 160 pixels. `--write-docs` renews the tables in README.md,
docs/data.md and checkpoints/README.md from the published checkpoint; `python -m training.results`
makes the results page.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from torch import Tensor

from dermmm import checkpoint
from dermmm.calibration import ANSWERS, probabilities
from dermmm.checkpoint import Checkpoint
from dermmm.conditions import NAMES
from dermmm.predictor import DEFAULT_CHECKPOINTS
from training import controls, text_baseline
from training.answers import MODALITIES, answer_rows, encode_photos
from training.dataset import (
    SKIN_TYPES,
    cases_with_text,
    condition_index,
    read_manifest,
    read_texts,
)
from training.linear import spread
from training.marked_text import between_markers
from training.scoring import (
    MEASURED,
    among,
    balanced_accuracy,
    by_condition,
    expected_calibration_error,
    is_measured,
    most_confident_errors,
    paired_difference,
    recall_gap,
    reliability,
    score,
)
from training.stage import Stage, run, write_whole
from training.vignettes import read_vignettes

NAME = "evaluate"
ROOT = Path(__file__).resolve().parent.parent
USES = {"image": ("image",), "text": ("text",), "fused": MODALITIES}  # of each answer
PHOTO_KINDS = ("clinical", "dermoscopic")
CONTROL = "TF-IDF and logistic regression"
LABEL_MATCHED = "label-matched held-out pairs (the protocol behind the 84 %)"
MEASURED_PAIRS = f"true pairs of conditions with {MEASURED} or more"
ALONE = "pad_ufes_20"  # the source that others report by itself: also scored among its conditions
DIGITS = 5


@dataclass(frozen=True)
class EvaluateConfig:
    split: str = "test"
    probe_photos: int = 1500  # of the training split, for the control with shuffled labels
    seed: int = 0


@dataclass(frozen=True)
class Cases:
    """The labelled cases of a split: with a photo, with a text that can be read, and with both."""

    photos: pd.DataFrame
    texts: pd.DataFrame
    pairs: pd.DataFrame
    unreadable: int  # texts of conditions that the text head never learned

    @property
    def by_answer(self) -> dict[str, pd.DataFrame]:
        """The cases on which each of the three answers is measured."""
        return {"image": self.photos, "text": self.texts, "fused": self.pairs}


@dataclass(frozen=True)
class Said:
    """Calibrated probabilities (B, K) of the three answers, and the photo's gate weight (B,)."""

    image: np.ndarray
    text: np.ndarray
    fused: np.ndarray
    gate: np.ndarray

    def at(self, chosen: np.ndarray) -> Said:
        """What was said about some of the cases, (B,) bool."""
        return Said(self.image[chosen], self.text[chosen], self.fused[chosen], self.gate[chosen])

    def among(self, conditions: np.ndarray) -> Said:
        """The answers given that the condition is one of these, by index; 0 at the others."""
        possible = np.isin(np.arange(len(NAMES)), conditions)
        image, text, fused = (among(getattr(self, name), possible) for name in ANSWERS)
        return Said(image, text, fused, self.gate)


class Reader:
    """Answers manifest rows with a checkpoint; every photo is encoded once."""

    def __init__(self, loaded: Checkpoint, data: Path, photos: Iterable[str]) -> None:
        self.loaded, self.data = loaded, data
        self.patches = encode_photos(loaded.model, data, list(photos))

    def __call__(self, rows: pd.DataFrame, use: tuple[str, ...] = MODALITIES) -> Said:
        model, tokenizer = self.loaded.model, self.loaded.tokenizer
        answers = answer_rows(model, tokenizer, self.data, rows, use, self.patches)

        def calibrated(logits: Tensor, name: str) -> np.ndarray:
            return probabilities(logits, self.loaded.temperatures[name]).double().numpy()

        return Said(
            calibrated(answers.image_logits, "image"),
            calibrated(answers.text_logits, "text"),
            calibrated(answers.fused_logits, "fused"),
            answers.gate[:, 0].double().numpy(),
        )

    def pooled(self, photos: Iterable[str]) -> np.ndarray:
        """(photos, D) pooled image features."""
        return np.stack([self.patches[photo].mean(dim=0).numpy() for photo in photos])


@dataclass
class Scores:
    """What was found, row by row."""

    rows: dict[str, Any] = field(default_factory=dict)
    by_condition: dict[str, Any] = field(default_factory=dict)
    differences: dict[str, Any] = field(default_factory=dict)

    def add(self, row: str, cases: pd.DataFrame, values: np.ndarray) -> None:
        """Score a row. Nothing where there is no case."""
        if len(cases):
            targets, groups = condition_index(cases), cases["group"].to_numpy()
            self.rows[row] = score(values, targets, groups)

    def add_with_conditions(self, row: str, cases: pd.DataFrame, values: np.ndarray) -> None:
        """Score a row, also condition by condition."""
        self.add(row, cases, values)
        if len(cases):
            targets, groups = condition_index(cases), cases["group"].to_numpy()
            self.by_condition[row] = by_condition(values, targets, groups, NAMES)

    def compare(self, name: str, cases: pd.DataFrame, one: np.ndarray, other: np.ndarray) -> None:
        """How much better ``one`` answers the cases than ``other``."""
        if len(cases):
            targets, groups = condition_index(cases), cases["group"].to_numpy()
            self.differences[name] = paired_difference(one, other, targets, groups)


def main(config: EvaluateConfig, data: Path, out: Path) -> dict[str, object]:
    loaded = checkpoint.load(out / "checkpoint")
    manifest = read_manifest(data)
    covered = loaded.model.fusion.text_head.covered.numpy()
    test, val = (cases_of(manifest, split, covered) for split in (config.split, "val"))
    train = manifest[(manifest["split"] == "train") & (manifest["condition"] != "")]
    train_photos = train[train["photo"] != ""]
    probed = train_photos.sample(
        min(config.probe_photos, len(train_photos)), random_state=config.seed
    )
    read = Reader(
        loaded, data, pd.concat([test.photos["photo"], val.photos["photo"], probed["photo"]])
    )
    said, val_said = (
        {answer: read(cases, USES[answer]) for answer, cases in of.by_answer.items()}
        for of in (test, val)
    )
    given = {answer: getattr(said[answer], answer) for answer in ANSWERS}
    val_given = {answer: getattr(val_said[answer], answer) for answer in ANSWERS}
    scores = Scores()
    photo_rows(scores, test.photos, given["image"])
    baseline = text_baseline.load_baseline(data, out)
    wordings = [variants[0] for variants in read_texts(data, test.texts)]
    words = spread(baseline, wordings)
    text_rows(scores, test.texts, given["text"], words, test.unreadable)
    vignette_rows(scores, read, covered, baseline)
    true_pair_rows(scores, test.pairs, said["fused"], val.pairs, val_said["fused"])
    drawn, before = (controls.label_matched(of.photos, of.texts, config.seed) for of in (test, val))
    pair_rows(scores, LABEL_MATCHED, drawn, read(drawn), before, read(before))
    scores.add("fused head, photo alone", test.photos, said["image"].fused)
    scores.add("fused head, text alone", test.texts, said["text"].fused)
    control_rows(scores, test, said["fused"], train, probed, read, config.seed)

    gates = np.quantile(said["fused"].gate, [0.05, 0.5, 0.95])
    metrics = {
        "split": config.split,
        "rows": scores.rows,
        "by_condition": scores.by_condition,
        "differences": scores.differences,
        "texts_by_condition": counts(test.texts),
        "training": training_cases(manifest),
        "measured_from": MEASURED,
        "measured": {
            name: {answer: counts(cases).get(name, 0) for answer, cases in test.by_answer.items()}
            for name in NAMES
        },
        "reliability": {
            answer: reliability(given[answer], condition_index(cases))
            for answer, cases in test.by_answer.items()
        },
        "validation_ece": {
            answer: expected_calibration_error(val_given[answer], condition_index(cases))
            for answer, cases in val.by_answer.items()
        },
        "skin_type_gap": {
            config.split: skin_type_gap(test.photos, given["image"]),
            f"val and {config.split}": skin_type_gap(
                pd.concat([val.photos, test.photos]),
                np.concatenate([val_given["image"], given["image"]]),
            ),
        },
        "errors": {
            answer: errors(cases, given[answer]) for answer, cases in test.by_answer.items()
        },
        "image_gate_on_true_pairs": dict(zip(("p05", "median", "p95"), gates, strict=True)),
    }
    loaded.metrics = rounded(metrics)  # without the studies, which may be of other weights
    sha256 = checkpoint.save(loaded, out / "checkpoint")
    return {
        "sha256": sha256,
        "rows": loaded.metrics["rows"],
        "differences": loaded.metrics["differences"],
    }


def cases_of(manifest: pd.DataFrame, split: str, covered: np.ndarray) -> Cases:
    """The labelled cases of a split; ``covered`` (K,) says what the text head has learned."""
    rows = manifest[(manifest["split"] == split) & (manifest["condition"] != "")]
    photos = rows[rows["photo"] != ""].reset_index(drop=True)
    texts = cases_with_text(manifest, split)
    readable = texts[covered[condition_index(texts)]].reset_index(drop=True)
    pairs = photos[photos["text_path"] != ""].reset_index(drop=True)
    return Cases(photos, readable, pairs, len(texts) - len(readable))


def training_cases(manifest: pd.DataFrame) -> dict[str, dict[str, int]]:
    """How many labelled photos and texts of each source the training split has."""
    rows = manifest[(manifest["split"] == "train") & (manifest["condition"] != "")]
    texts = cases_with_text(manifest, "train")
    return {
        source: {
            "photos": int(((rows["source"] == source) & (rows["photo"] != "")).sum()),
            "texts": int((texts["source"] == source).sum()),
        }
        for source in sorted(set(rows["source"]))
    }


def photo_rows(scores: Scores, photos: pd.DataFrame, values: np.ndarray) -> None:
    """Photos alone: all, and by kind, skin type and source."""
    scores.add_with_conditions("image only", photos, values)
    parts = {f"{kind} photos": photos["photo_kind"] == kind for kind in PHOTO_KINDS}
    parts |= {
        f"skin type {name}": photos["skin_type"].isin(types) for name, types in SKIN_TYPES.items()
    }
    parts |= {source: photos["source"] == source for source in sorted(set(photos["source"]))}
    for part, chosen in parts.items():
        scores.add_with_conditions(f"image only, {part}", photos[chosen], values[chosen])


def text_rows(
    scores: Scores, texts: pd.DataFrame, values: np.ndarray, words: np.ndarray, unreadable: int
) -> None:
    """Real texts alone: measured conditions beside the control's ``words``, all, and by source."""
    measured = is_measured(condition_index(texts))
    some, own, control = texts[measured], values[measured], words[measured]
    scores.add_with_conditions("text only", some, own)
    scores.add_with_conditions(f"{CONTROL}, text only", some, control)
    scores.compare(f"text only less {CONTROL}", some, own, control)
    scores.add_with_conditions("text only, every condition", texts, values)
    scores.rows["text only, every condition"]["left_out"] = unreadable
    for source in sorted(set(texts["source"])):
        chosen = (texts["source"] == source).to_numpy()
        scores.add_with_conditions(f"text only, {source}", texts[chosen], values[chosen])


def vignette_rows(scores: Scores, read: Reader, covered: np.ndarray, baseline: Pipeline) -> None:
    """Our own cases, of no split: the text answer and the control."""
    vignettes = read_vignettes()
    vignettes = vignettes[covered[condition_index(vignettes)]].assign(
        group=lambda table: table["id"], photo="", text_path="vignette"
    )
    if len(vignettes):
        row = "vignettes (not of the test split)"
        scores.add(f"text only, {row}", vignettes, read(vignettes, ("text",)).text)
        words = spread(baseline, list(vignettes["text"]))
        scores.add(f"{CONTROL}, {row}", vignettes, words)


def pair_rows(
    scores: Scores,
    name: str,
    pairs: pd.DataFrame,
    said: Said,
    val_pairs: pd.DataFrame,
    val_said: Said,
) -> None:
    """Both, and either alone, on the same pairs; and both less the better single modality.

    Which one is better, balanced accuracy on the validation pairs of the same kind decides.
    """
    values = {"both": said.fused, "image only": said.image, "text only": said.text}
    for row, answers in values.items():
        full = f"both, {name}" if row == "both" else f"{row}, on the {name}"
        scores.add_with_conditions(full, pairs, answers)
    if len(pairs) and len(val_pairs):
        recalls = {
            answer: balanced_accuracy(
                getattr(val_said, answer).argmax(axis=1), condition_index(val_pairs)
            )
            for answer in MODALITIES
        }
        better = max(MODALITIES, key=lambda answer: recalls[answer])
        difference = f"both less the better single modality, {name}"
        scores.compare(difference, pairs, said.fused, getattr(said, better))
        scores.differences[difference]["better"] = better


def true_pair_rows(
    scores: Scores, pairs: pd.DataFrame, said: Said, val_pairs: pd.DataFrame, val_said: Said
) -> None:
    """True pairs: all, those of measured conditions where some have too few cases, by source, and
    one source with answers among its own conditions alone."""
    pair_rows(scores, "true pairs", pairs, said, val_pairs, val_said)
    enough = is_measured(condition_index(pairs))
    if not enough.all():
        there = val_pairs["condition"].isin(pairs["condition"][enough]).to_numpy()
        answers = (said.at(enough), val_said.at(there))
        pair_rows(scores, MEASURED_PAIRS, pairs[enough], answers[0], val_pairs[there], answers[1])
    for source in sorted(set(pairs["source"])):
        here, there = ((rows["source"] == source).to_numpy() for rows in (pairs, val_pairs))
        name, part = f"true pairs, {source}", (pairs[here], val_pairs[there])
        answers = (said.at(here), val_said.at(there))
        pair_rows(scores, name, part[0], answers[0], part[1], answers[1])
        if source == ALONE:
            own = np.unique(condition_index(part[0]))
            name += f", among its {len(own)} conditions"
            among = [answer.among(own) for answer in answers]
            pair_rows(scores, name, part[0], among[0], part[1], among[1])


def control_rows(
    scores: Scores,
    test: Cases,
    on_pairs: Said,
    train: pd.DataFrame,
    probed: pd.DataFrame,
    read: Reader,
    seed: int,
) -> None:
    """What `training.controls` reaches on the same cases."""
    photos, pairs = test.photos, test.pairs
    train_photos = train[train["photo"] != ""]
    scores.add(
        "always the commonest condition", photos, controls.majority(train_photos, len(photos))
    )
    scores.add("uniform chance", photos, controls.uniform(len(photos), seed))
    features = [read.pooled(rows["photo"]) for rows in (probed, photos)]
    conditions = condition_index(probed)
    for row, shuffle in (("true labels", None), ("shuffled labels", seed)):
        values = controls.probe_answers(features[0], conditions, features[1], shuffle)
        scores.add(f"linear probe on {len(probed)} photos, {row}", photos, values)
    if len(pairs) == 0:
        return
    fields = controls.metadata_only(train_photos[train_photos["text_path"] != ""], pairs)
    scores.add("metadata only, on the true pairs", pairs, fields)
    scores.compare("both less metadata only, true pairs", pairs, on_pairs.fused, fields)
    for source in sorted(set(pairs["source"])):
        chosen = (pairs["source"] == source).to_numpy()
        own, facts, fused = pairs[chosen], fields[chosen], on_pairs.fused[chosen]
        scores.add(f"metadata only, on the true pairs, {source}", own, facts)
        scores.compare(f"both less metadata only, true pairs, {source}", own, fused, facts)
    dealt = read(controls.shuffled_texts(pairs, seed))
    scores.add("both, true pairs with shuffled texts", pairs, dealt.fused)
    scores.add("text only, on the true pairs with shuffled texts", pairs, dealt.text)
    scores.compare(
        "both less both with shuffled texts, true pairs", pairs, on_pairs.fused, dealt.fused
    )


def skin_type_gap(photos: pd.DataFrame, values: np.ndarray) -> dict[str, Any]:
    """Balanced accuracy on skin types I and II less that on V and VI; see `recall_gap`."""
    light, dark = (
        photos["skin_type"].isin(SKIN_TYPES[name]).to_numpy() for name in ("I–II", "V–VI")
    )
    targets, groups = condition_index(photos), photos["group"].to_numpy()
    found = recall_gap(values, targets, groups, light, dark)
    return {
        "conditions": [NAMES[condition] for condition in found["conditions"]],
        "n": [int(light.sum()), int(dark.sum())],
        "gap": found["gap"],
    }


def errors(cases: pd.DataFrame, values: np.ndarray) -> list[dict[str, Any]]:
    """The surest wrong answers, for a failure analysis. They name a case and show none.

    ``label`` is the publisher's word for the truth.
    """
    return [
        {
            "id": cases["id"].iloc[place],
            "source": cases["source"].iloc[place],
            "photo_kind": cases["photo_kind"].iloc[place],
            "skin_type": cases["skin_type"].iloc[place],
            "label": cases["label"].iloc[place],
            "truth": cases["condition"].iloc[place],
            "answer": NAMES[values[place].argmax()],
            "probability": float(values[place].max()),
        }
        for place in most_confident_errors(values, condition_index(cases))
    ]


def counts(cases: pd.DataFrame) -> dict[str, int]:
    """How many cases each condition has."""
    return {str(name): int(n) for name, n in cases["condition"].value_counts().items()}


def rounded(value: Any) -> Any:
    """The same with every float rounded to `DIGITS`, so that a file of scores stays small."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    return round(float(value), DIGITS) if isinstance(value, float) else value


def publish(out: Path, folder: Path) -> None:
    """Copy the evaluated checkpoint of a run to ``folder``, where the page looks for it."""
    loaded = checkpoint.load(out / "checkpoint")
    if not loaded.metrics:
        raise ValueError(f"{out / 'checkpoint'} was never evaluated; run training.evaluate first")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", *loaded.files):
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
    f"both, {MEASURED_PAIRS}",
    "both, true pairs with shuffled texts",
    "metadata only, on the true pairs",
    f"both, {LABEL_MATCHED}",
    "always the commonest condition",
)
HEADLINE = ("image only, clinical photos", "text only", "both, true pairs")
README_DIFFERENCES = (
    f"text only less {CONTROL}",
    "both less the better single modality, true pairs",
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
    for name in (name for name in README_DIFFERENCES if name in metrics["differences"]):
        row = metrics["differences"][name]
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


def identity_table(loaded: Checkpoint) -> str:
    """What a checkpoint is, where it came from, and its headline scores."""
    lines = ["| | |", "|---|---|", f"| SHA-256 | `{loaded.sha256}` |"]
    lines += [f"| version | {loaded.version} |"]
    for name, value in loaded.provenance.items():
        if isinstance(value, dict):  # part -> SHA-256
            value = ", ".join(f"{part} `{one}`" for part, one in value.items()) or "random weights"
        lines.append(f"| {name.replace('_', ' ')} | {value} |")
    for name in HEADLINE:
        if name in loaded.metrics["rows"]:
            recall = loaded.metrics["rows"][name]["balanced_accuracy"]
            value, low, high = (f"{recall[key]:.3f}" for key in ("value", "low", "high"))
            lines.append(f"| balanced accuracy, {name} | {value} ({low}–{high}) |")
    return "\n".join(lines)


# (document, first marker, last marker, what of the checkpoint stands between them)
TABLES: tuple[tuple[Path, str, str, Callable[[Checkpoint], str]], ...] = (
    (
        ROOT / "README.md",
        "<!-- results: written by training.evaluate -->",
        "<!-- end of results -->",
        lambda loaded: results_table(loaded.metrics),
    ),
    (
        ROOT / "docs" / "data.md",
        "<!-- test texts: written by training.evaluate -->",
        "<!-- end of test texts -->",
        lambda loaded: text_table(loaded.metrics),
    ),
    (
        DEFAULT_CHECKPOINTS / "README.md",
        "<!-- identity: written by training.evaluate -->",
        "<!-- end of identity -->",
        identity_table,
    ),
)


STAGE = Stage(NAME, main, measures=True)

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
        published = checkpoint.load(DEFAULT_CHECKPOINTS)
        for document, start, end, table in TABLES:
            current = document.read_text(encoding="utf-8")
            renewed = between_markers(current, start, end, table(published))
            if options.write_docs:
                write_whole(document, renewed)
            elif renewed != current:
                raise SystemExit(f"{document.name} is older than the checkpoint; run --write-docs")
