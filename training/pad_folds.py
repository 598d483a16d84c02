"""PAD-UFES-20 by itself, so that it can stand beside the literature.

    python -m training.pad_folds --data runs/first/data --out runs/first

Six classes, every photo of the source answered out of fold: five folds over patients, the same
wherever this runs. The image encoder starts from random weights and learns from the other sources
alone, so it never saw a PAD photo, neither in self-supervision nor with a label. In each fold
everything else is fitted anew on the other four: a linear head on the frozen encoder, a short
fine-tuning of the encoder, a text model, and fusions, which learn from answers to photos that were
held out of an inner fold. The text model is TF-IDF and logistic regression and not the
project's Transformer, which has read PAD texts of the training split and cannot be out of fold.

Writes `OUT/pad_folds/summary.json`. With `--preset cpu` about 10 minutes for the encoder and 25 for
the fine-tunings on two cores; killed, it goes on where it stopped.

Shapes: B cases (photos), K conditions, of which six can be answered, D feature width.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from plotly import graph_objects
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from dermmm.conditions import NAMES
from dermmm.image_encoder import ImageEncoder
from training import image_classifier
from training.dataset import condition_index, pack_photos, read_manifest, read_texts
from training.image_classifier import ImageClassifierConfig
from training.linear import linear_probe, logistic_regression, spread
from training.scoring import balanced_accuracy, paired_difference, score
from training.section import BLUE, Section, table, with_interval
from training.source_shortcut import classify, pooled_features
from training.sources.pad_ufes_20 import SOURCE
from training.stage import MADE, Stage, load_module, run_stage
from training.text_baseline import Settings, fit_baseline

NAME = "pad_folds"
FOLDS, SEED = 5, 0
LEAST = 1e-4  # a smaller probability counts as this one where a logarithm is taken

# What each row of the results is fitted on; the order of the table.
LINEAR, TUNED = "photo, linear head on the frozen encoder", "photo, fine-tuned encoder"
TEXT, FIELDS = "description, TF-IDF and logistic regression", "fields, logistic regression"
STACKED, WITH_FIELDS = "photo and description, stacking", "photo and fields, stacking"
BOOSTED = "photo and fields, gradient boosting"
COMMONEST = "always the commonest class"
ROWS = (LINEAR, TUNED, TEXT, FIELDS, STACKED, WITH_FIELDS, BOOSTED)

# Published balanced accuracies: who, what was given, how its weights began, and the figure.
LITERATURE: tuple[tuple[str, str, str, str], ...] = (
    ("Ou et al. 2022, cross-attention", "photo and fields", "pretrained", "0.775"),
    ("DermaCalibra 2026, the best seen", "photo and fields", "pretrained", "0.842"),
    ("usual range of published models", "photo", "pretrained", "about 0.63–0.65"),
    ("logistic regression, folds by patient", "fields", "no weights to begin with", "about 0.615"),
)


@dataclass(frozen=True)
class PadFoldsConfig:
    image: ImageClassifierConfig  # of the encoder, on all other sources
    tune: ImageClassifierConfig  # of the fine-tuning in each fold; 0 epochs leave it out
    inner: int = 3  # folds within a fold's training patients, for what the fusions learn from
    # Fixed beforehand: the run's own text baseline was chosen on cases that are held out here.
    ngrams: int = 2
    text_strength: float = 3.0  # C of the text model
    head_strength: float = 0.01  # C of the linear head, as in training.probe
    stack_strength: float = 0.1  # C of the stacking
    max_iterations: int = 1000


Answer = dict[str, np.ndarray]  # row of the results -> (B, K) probabilities


# One thread: small linear algebra in two threads that other work interrupts crawls.
@threadpool_limits.wrap(limits=1, user_api="blas")
def main(config: PadFoldsConfig, data: Path, out: Path) -> dict[str, object]:
    manifest = read_manifest(data)
    pad = manifest[(manifest["source"] == SOURCE) & (manifest["condition"] != "")]
    pad = pad.sort_values("id")
    photos = pad[pad["photo"] != ""].reset_index(drop=True)
    folds = patient_folds(photos, FOLDS)
    trained = train_encoder(config, manifest, pad, data, out)
    single = single_models(config, pad, photos, data, out)

    rows: Answer = {}
    for fold in range(FOLDS):
        held, known = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        inner = patient_folds(photos.iloc[known], config.inner)
        inside: Answer = {}
        for part in range(config.inner):
            place = inner == part
            found = single(known[~place], known[place], f"fold-{fold}-inner-{part}")
            for name, values in found.items():
                inside.setdefault(name, np.zeros((len(known), len(NAMES))))[place] = values
        outside = single(known, held, f"fold-{fold}")
        outside |= fuse(config, photos.iloc[known], inside, photos.iloc[held], outside)
        for name, values in outside.items():
            rows.setdefault(name, np.zeros((len(photos), len(NAMES))))[held] = values

    targets, groups = condition_index(photos), photos["group"].to_numpy()
    both, photo = rows[STACKED], rows[TUNED if TUNED in rows else LINEAR]
    return {
        "encoder": {**trained, **_recipe(config.image)},
        "tuning": _recipe(config.tune),
        "patients": len(set(groups)),
        "cases": photos["condition"].value_counts().to_dict(),
        "texts_alone": len(pad) - len(photos),
        "folds": [int((folds == fold).sum()) for fold in range(FOLDS)],
        "folds_sha256": fingerprint(photos, folds),
        "rows": {name: score(values, targets, groups) for name, values in rows.items()},
        "by_fold": {
            name: [
                round(balanced_accuracy(values[one].argmax(axis=1), targets[one]), 4)
                for one in (folds == fold for fold in range(FOLDS))
            ]
            for name, values in rows.items()
        },
        "differences": {
            f"{STACKED}, less the photo alone": paired_difference(both, photo, targets, groups),
            f"{STACKED}, less the description alone": paired_difference(
                both, rows[TEXT], targets, groups
            ),
            f"{WITH_FIELDS}, less the fields alone": paired_difference(
                rows[WITH_FIELDS], rows[FIELDS], targets, groups
            ),
            f"{WITH_FIELDS}, less {BOOSTED}": paired_difference(
                rows[WITH_FIELDS], rows[BOOSTED], targets, groups
            ),
        },
    }


def _recipe(image: ImageClassifierConfig) -> dict[str, int]:
    return {"epochs": image.loop.epochs, "pixels": image.sizes[-1][1]}


def patient_folds(rows: pd.DataFrame, folds: int) -> np.ndarray:
    """(B,) the fold of each row: patients stay whole, classes are spread evenly.

    Which fold a patient is in depends on the rows' ids, patients and classes alone, not on their
    order.
    """
    order = np.argsort(rows["id"].to_numpy(), kind="stable")
    listed = rows.iloc[order]
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=SEED)
    placed = np.zeros(len(rows), dtype=np.int64)
    with warnings.catch_warnings():
        # a rare class has fewer patients than there are folds: it misses some
        warnings.filterwarnings("ignore", message="The least populated class")
        for fold, (_, held) in enumerate(
            splitter.split(listed, listed["condition"], listed["group"])
        ):
            placed[order[held]] = fold
    return placed


def fingerprint(rows: pd.DataFrame, folds: np.ndarray) -> str:
    """SHA-256 of which row is in which fold, so that two results can be seen to share them."""
    lines = sorted(f"{row} {fold}" for row, fold in zip(rows["id"], folds, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def train_encoder(
    config: PadFoldsConfig, manifest: pd.DataFrame, pad: pd.DataFrame, data: Path, out: Path
) -> dict[str, object]:
    """Train ``OUT/pad_folds/encoder`` from random weights, without any PAD photo or copy of one."""
    rows = other_photos(manifest, pad)
    packed = pack_photos(data, list(rows["photo"]), config.image.pack, out / "cache")
    _, said = image_classifier.train(config.image, rows, packed, None, out / NAME / "encoder")
    return {**said, "sources": sorted(set(rows["source"]))}


def other_photos(manifest: pd.DataFrame, pad: pd.DataFrame) -> pd.DataFrame:
    """Training photos with a condition that are neither of PAD nor near-duplicates of its rows."""
    rows = manifest[
        (manifest["photo"] != "") & (manifest["split"] == "train") & (manifest["condition"] != "")
    ]
    return rows[(rows["source"] != SOURCE) & ~rows["group"].isin(set(pad["group"]))]


def single_models(
    config: PadFoldsConfig, pad: pd.DataFrame, photos: pd.DataFrame, data: Path, out: Path
) -> Callable[[np.ndarray, np.ndarray, str], Answer]:
    """The models of one modality: a function that fits them all on some photos to answer others.

    Args:
        pad: all rows; those without a photo teach the text model where their patient may be known.
        photos: the rows with a photo; their places are what the function takes: those to fit on,
            those to answer, and a name for the folder of the fine-tuning.
    """
    weights, encoder = out / NAME / "encoder" / "encoder.safetensors", ImageEncoder()
    load_module(encoder, weights)
    files, size = list(photos["photo"]), config.image.sizes[-1][1]
    shown = pack_photos(data, files, size, out / "cache")
    features = pooled_features(encoder, shown, "features")
    alone = pad[pad["photo"] == ""]
    texts = dict(zip(pad["id"], read_texts(data, pad), strict=True))
    targets, groups = condition_index(photos), photos["group"]

    def fit_and_answer(known: np.ndarray, held: np.ndarray, name: str) -> Answer:
        head = linear_probe(config.head_strength, max_iterations=1000)
        head.fit(features[known], targets[known])
        found = {LINEAR: spread(head, features[held])}
        if config.tune.loop.epochs:
            packed = pack_photos(data, files, config.tune.pack, out / "cache")
            tuned, _ = image_classifier.train(
                config.tune, photos.iloc[known], packed[known], weights, out / NAME / name
            )
            side = config.tune.sizes[-1][1]
            unseen = pack_photos(data, files, side, out / "cache")[held]
            found[TUNED] = classify(tuned, unseen, name)
        # A patient without any photo is held out of nothing.
        free = alone["group"].isin(groups.iloc[known]) | ~alone["group"].isin(groups)
        read = pd.concat([photos.iloc[known], alone[free]])
        settings = Settings(config.ngrams, config.text_strength, synthetic=0)
        wordings = [texts[one] for one in read["id"]]
        words = fit_baseline(read, wordings, settings, config.max_iterations)
        found[TEXT] = spread(words, [texts[one][0] for one in photos["id"].iloc[held]])
        facts = make_pipeline(
            DictVectorizer(sparse=False), StandardScaler(), logistic_regression(1.0)
        )
        facts.fit(read_fields(read), condition_index(read))
        found[FIELDS] = spread(facts, read_fields(photos.iloc[held]))
        shares = np.bincount(targets[known], minlength=len(NAMES)) / len(known)
        found[COMMONEST] = np.tile(shares, (len(held), 1))
        return found

    return fit_and_answer


def read_fields(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The published fields of each row, the age as a number; an unknown one is not there."""
    return [
        {name: float(value) if name == "age" else value for name, value in json.loads(one).items()}
        for one in rows["fields"]
    ]


def fuse(
    config: PadFoldsConfig,
    known: pd.DataFrame,
    inside: Answer,
    held: pd.DataFrame,
    outside: Answer,
) -> Answer:
    """Fit the fusions on one fold's training photos and answer its held-out ones.

    Args:
        known, held: the rows; inside, outside: what the single models say about them. For the
            known rows that is said by models of an inner fold, which did not see them: answers to
            one's own training photos would look surer than answers to new ones.
    """
    targets = condition_index(known)
    classes = np.unique(targets)
    photo = TUNED if TUNED in outside else LINEAR

    def logs(answers: Answer, *names: str) -> np.ndarray:
        return np.log(np.hstack([answers[name][:, classes] for name in names]).clip(min=LEAST))

    found: Answer = {}
    for name, single in ((STACKED, TEXT), (WITH_FIELDS, FIELDS)):
        stack = linear_probe(config.stack_strength, max_iterations=1000)
        stack.fit(logs(inside, photo, single), targets)
        found[name] = spread(stack, logs(outside, photo, single))
    fields = DictVectorizer(sparse=False).fit(read_fields(known))
    trees = HistGradientBoostingClassifier(
        class_weight="balanced", max_iter=100, learning_rate=0.05, random_state=SEED
    )
    trees.fit(np.hstack([fields.transform(read_fields(known)), logs(inside, photo)]), targets)
    seen = np.hstack([fields.transform(read_fields(held)), logs(outside, photo)])
    found[BOOSTED] = spread(trees, seen)
    return found


def section(summary: dict[str, Any]) -> Section:
    """Tables and figure of this stage's summary."""
    found = summary["rows"]
    rows: list[tuple[object, ...]] = [
        (
            name,
            "scratch" if "photo" in name else "",
            *(
                with_interval(found[name][key])
                for key in ("balanced_accuracy", "top1", "macro_f1", "macro_auc")
            ),
            f"{min(summary['by_fold'][name]):.2f} to {max(summary['by_fold'][name]):.2f}",
        )
        for name in (*ROWS, COMMONEST)
        if name in found
    ]
    others: list[tuple[object, ...]] = [
        (f"*{who}*, {given}", start, figure, "", "", "", "")
        for who, given, start, figure in LITERATURE
    ]
    differences: list[tuple[object, ...]] = [
        (name, *(with_interval(one[key], sign="+") for key in ("balanced_accuracy", "top1")))
        for name, one in summary["differences"].items()
    ]
    cases = ", ".join(f"{name} {count}" for name, count in summary["cases"].items())
    encoder, tuning = summary["encoder"], summary["tuning"]
    text = [
        f"Made by `python -m training.pad_folds`. {sum(summary['folds'])} photos of "
        f"{summary['patients']} patients ({cases}), each answered out of fold over {FOLDS} folds "
        f"of patients (SHA-256 of the folds: {summary['folds_sha256'][:12]}). The image encoder "
        f"began at random and learned from {', '.join(encoder['sources'])} ({encoder['photos']} "
        f"photos, {encoder['epochs']} epochs, up to {encoder['pixels']} pixels); fine-tuning: "
        f"{tuning['epochs']} epochs at up to {tuning['pixels']} pixels in each fold. "
        f"{summary['texts_alone']} descriptions without a photo teach the text model in those "
        "folds that hold their patient out of nothing. 95 % intervals from a bootstrap over "
        "patients.",
        table(
            (
                "PAD-UFES-20, out of fold", "weights at the start", "balanced accuracy", "top-1",
                "macro-F1", "macro-AUC", "balanced accuracy of the folds",
            ),
            rows + others,
        ),
        "The lines in italics are published elsewhere. Their folds, and often their photos of one "
        "patient in several folds, differ from ours: they say what is usual, not who is better. "
        "The models on fields can see which fields are empty, and in PAD-UFES-20 that tells part "
        "of the diagnosis. The descriptions hide it, and leave out growth and change in most cases "
        "of every class, so they tell less ([docs/data.md](data.md)).",
        table(("paired difference", "balanced accuracy", "top-1"), differences),
    ]  # fmt: skip
    return Section("PAD-UFES-20 by itself", "\n\n".join(text), {"pad-folds": _figure(found)})


def _figure(found: dict[str, Any]) -> graph_objects.Figure:
    names = [name for name in ROWS if name in found]
    scores = [found[name]["balanced_accuracy"] for name in names]
    figure = graph_objects.Figure(
        graph_objects.Scatter(
            x=[one["value"] for one in scores],
            y=names,
            mode="markers",
            marker={"color": BLUE, "size": 10},
            error_x={
                "array": [one["high"] - one["value"] for one in scores],
                "arrayminus": [one["value"] - one["low"] for one in scores],
            },
        )
    )
    figure.update_layout(
        template="plotly_white",
        title="PAD-UFES-20, six classes, out of fold over patients",
        width=900,
        height=420,
    )
    figure.update_xaxes(title="balanced accuracy, 95 % interval", range=[0, 1])
    figure.update_yaxes(autorange="reversed")
    return figure


STAGE = Stage(NAME, main, reads=MADE)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
