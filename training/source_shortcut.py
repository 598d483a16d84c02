"""Does the model read the skin, or the camera, clinic or website that a photo is from?

    python -m training.source_shortcut --data runs/first/data --out runs/first [--minutes 60]

Tumours come mostly from two clinics, rashes from an atlas, poxes from the web: who knows the source
knows half of the answer, and fails on a phone photo. Three measurements:

* within one condition, how well the features of `OUT/checkpoint` tell the source (a linear probe);
* inside each source, the checkpoint's score, and its score when it may answer only with conditions
  that the source has. Where both are alike, the model has already ruled out the others;
* leave one source out: small encoders trained without a source and scored on its photos, next to
  the same training with it. Each arm changes one thing about the training (`ARMS`).

The first two take about 5 minutes on two cores. The third trains (arms) x (1 + left-out sources)
encoders of about 6 minutes each with `--preset cpu`. None is begun once `minutes` are used up;
those are listed as not run. The same command with more `--minutes` goes on: every training is a
stage of its own in `OUT/source_shortcut`. No test photo chooses an arm: validation does.

Shapes: B cases, K conditions, D feature width, S sources.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate.utils import broadcast_object_list
from plotly import graph_objects

from dermmm import checkpoint
from dermmm.calibration import probabilities
from dermmm.conditions import CONDITIONS, NAMES
from dermmm.image_encoder import ImageEncoder
from training import image_classifier, simclr
from training.answers import answer_rows
from training.dataset import condition_index, pack_photos, read_manifest
from training.features import cached_patches, photo_patches
from training.image_classifier import ImageClassifier, ImageClassifierConfig
from training.linear import linear_probe
from training.scoring import MEASURED, among, paired_difference, score
from training.section import BLUE, ORANGE, Section, table, with_interval
from training.sources import READERS
from training.stage import MADE, Stage, processes, run, run_parsed, stage_parser

NAME = "source_shortcut"
COMMAND = "python -m training.source_shortcut"

SOURCES = tuple(READERS)
GROUPS = ("tumour", "inflammatory", "infectious", "none")
GROUP_OF = np.array([GROUPS.index(condition.group) for condition in CONDITIONS])  # (K,)
THUMBNAIL = 8  # pixels; the probe's control sees no more of a photo


@dataclass(frozen=True)
class Arm:
    """What one arm of the leave-one-source-out training does against the shortcut."""

    style: float = 0.0  # probability of each trace of another camera; `training.augment.restyle`
    balance: float = 0.0  # draws go with the size of a source's condition to the power of -balance
    # Balanced softmax with log p(condition | source) in place of log p(condition): what the source
    # alone tells is already paid for in the loss, so that learning it gains nothing.
    domain_prior: bool = False


ARMS: dict[str, Arm] = {
    "plain": Arm(),
    "style 0.3": Arm(style=0.3),
    "domain prior": Arm(domain_prior=True),
    "source x condition batches": Arm(balance=0.5),
    "style 0.15": Arm(style=0.15),
    "all three": Arm(style=0.15, balance=0.5, domain_prior=True),
}
PLAIN = "plain"
# The share of the conditions' overall frequencies in p(condition | source): a source may yet have
# any condition, so none gets a probability of 0.
DOMAIN_SMOOTHING = 0.1


@dataclass(frozen=True)
class SourceShortcutConfig:
    image: ImageClassifierConfig  # of every small training; the arm sets style and resampling
    arms: tuple[str, ...] = tuple(ARMS)
    left_out: tuple[str, ...] = ("pad_ufes_20", "milk10k", "fitzpatrick17k")
    minutes: float = 60  # of all small trainings together
    # "simclr" starts from OUT/simclr, which saw photos of every source; "random" saw none.
    start: str = "random"
    probe_photos: int = 200  # training photos of a source and condition, for the probe
    min_photos: int = MEASURED  # of a source and condition, where they are to be measured


def main(config: SourceShortcutConfig, data: Path, out: Path) -> dict[str, object]:
    loaded = checkpoint.load(out / "checkpoint")
    manifest = read_manifest(data)
    photos = manifest[(manifest["photo"] != "") & (manifest["condition"] != "")]
    train, test = (photos[photos["split"] == split] for split in ("train", "test"))
    logits = answer_rows(loaded.model, loaded.tokenizer, data, test, ("image",)).image_logits
    answers = probabilities(logits, loaded.temperatures["image"]).numpy()
    encoder, size = loaded.model.image_encoder, loaded.model.config.image_size
    return {
        "checkpoint": loaded.sha256,
        "within_one_condition": within_conditions(config, encoder, size, photos, data, out),
        "inside_each_source": inside_sources(answers, test, train),
        "left_out": leave_sources_out(config, data, out),
    }


# --- within one condition ---------------------------------------------------------------------


def within_conditions(
    config: SourceShortcutConfig,
    encoder: ImageEncoder,
    size: int,
    photos: pd.DataFrame,
    data: Path,
    out: Path,
) -> dict[str, object]:
    """How well a linear probe tells the source of photos that show the same condition.

    Clinical photos alone, so that dermoscopy does not decide. The probe is fitted on training
    photos and scored on test photos, on the encoder's pooled features (D) and, as a control, on
    thumbnails of a few pixels. A condition counts where two sources have ``min_photos`` each.
    """
    clinical = photos[photos["photo_kind"] == "clinical"]
    train, test = (clinical[clinical["split"] == split] for split in ("train", "test"))
    sources_of = {}
    for name in NAMES:
        counts = test.loc[test["condition"] == name, "source"].value_counts()
        known = set(train.loc[train["condition"] == name, "source"])
        enough = sorted(known & set(counts[counts >= config.min_photos].index))
        if len(enough) > 1:
            sources_of[name] = enough
    if not sources_of:
        return {}
    wanted = pd.Series(list(zip(clinical["condition"], clinical["source"], strict=True)))
    chosen = clinical[wanted.isin([(c, s) for c in sources_of for s in sources_of[c]]).to_numpy()]
    few = chosen[chosen["split"] == "train"]
    few = few.groupby(["condition", "source"]).head(config.probe_photos)
    cases = pd.concat([few, chosen[chosen["split"] == "test"]], ignore_index=True)
    files = list(cases["photo"])
    patches = cached_patches(encoder, data, files, size, out / "cache")[:, 0]
    views = {
        "encoder": patches.astype(np.float32).mean(axis=1),
        "thumbnail": thumbnails(pack_photos(data, files, size, out / "cache")),
    }
    found: dict[str, object] = {}
    for name, sources in sources_of.items():
        of_condition = (cases["condition"] == name).to_numpy()
        fitted, held = (
            of_condition & (cases["split"] == one).to_numpy() for one in ("train", "test")
        )
        found[name] = {
            "sources": {one: int((cases["source"][held] == one).sum()) for one in sources},
            **{
                view: probe_source(features, cases["source"].to_numpy(), fitted, held, cases)
                for view, features in views.items()
            },
        }
    return found


def pooled_features(encoder: ImageEncoder, packed: np.ndarray, name: str) -> np.ndarray:
    """Packed photos (B, S, S, 3) to the mean of their patch vectors (B, D) float32."""
    return photo_patches(encoder, packed, name).astype(np.float32).mean(axis=1)


def thumbnails(packed: np.ndarray) -> np.ndarray:
    """Packed photos (B, S, S, 3) to the mean colours of an even grid, (B, 3 * `THUMBNAIL`^2)."""
    side = packed.shape[1] // THUMBNAIL * THUMBNAIL
    blocks = np.asarray(packed[:, :side, :side]).reshape(
        len(packed), THUMBNAIL, side // THUMBNAIL, THUMBNAIL, side // THUMBNAIL, 3
    )
    return blocks.mean(axis=(2, 4)).reshape(len(packed), -1)


def probe_source(
    features: np.ndarray,
    sources: np.ndarray,
    fitted: np.ndarray,
    held: np.ndarray,
    cases: pd.DataFrame,
) -> dict[str, float]:
    """Balanced accuracy with interval of a linear classifier of the source.

    Args:
        features: (B, D); sources: (B,) names; fitted, held: (B,) bool, which cases teach and which
            are scored.
    """
    probe = linear_probe(max_iterations=1000).fit(features[fitted], sources[fitted])
    told = np.zeros((held.sum(), len(SOURCES)))
    told[:, [SOURCES.index(source) for source in probe.classes_]] = probe.predict_proba(
        features[held]
    )
    targets = np.array([SOURCES.index(source) for source in sources[held]])
    return score(told, targets, cases["group"].to_numpy()[held])["balanced_accuracy"]


# --- inside each source -----------------------------------------------------------------------


def inside_sources(
    answers: np.ndarray, test: pd.DataFrame, train: pd.DataFrame
) -> dict[str, object]:
    """What the checkpoint scores inside each source, free and told what the source can hold.

    Args:
        answers: (B, K) probabilities for the rows of ``test``, which all have photo and condition.
        train: the training photos; they say which conditions a source has.
    """
    targets, groups = condition_index(test), test["group"].to_numpy()
    sources, kinds = test["source"].to_numpy(), test["photo_kind"].to_numpy()
    shares = condition_shares(train)
    allowed = {source: share > 0 for source, share in shares.items()}
    guess = answers.argmax(axis=1)

    def compare(chosen: np.ndarray, possible: np.ndarray) -> dict[str, Any]:
        told = among(answers[chosen], possible)
        return {
            "free": _short(score(answers[chosen], targets[chosen], groups[chosen])),
            "told": _short(score(told, targets[chosen], groups[chosen])),
            "gain": paired_difference(told, answers[chosen], targets[chosen], groups[chosen])[
                "balanced_accuracy"
            ],
        }

    rows: dict[str, Any] = {}
    confusion: dict[str, Any] = {}
    recall: dict[str, Any] = {}
    of_source = np.stack([allowed[source] for source in sources])  # (B, K)
    for source in sorted(allowed.keys() & set(sources)):
        inside = sources == source
        for kind in sorted(set(kinds[inside])):
            rows[f"{source}, {kind}"] = {
                "conditions": int(allowed[source].sum()),
                **compare(inside & (kinds == kind), of_source[inside & (kinds == kind)]),
                "outside": float((~allowed[source][guess[inside & (kinds == kind)]]).mean()),
                "outside_elsewhere": _mean(~allowed[source][guess[~inside]]),
            }
        confusion[source] = {
            group: np.bincount(
                GROUP_OF[guess[inside & (GROUP_OF[targets] == place)]], minlength=len(GROUPS)
            ).tolist()
            for place, group in enumerate(GROUPS)
            if (inside & (GROUP_OF[targets] == place)).any()
        }
    clinical = kinds == "clinical"
    for place, name in enumerate(NAMES):
        by_source = {
            source: {"n": int(here.sum()), "recall": float((guess == place)[here].mean())}
            for source in sorted(set(sources))
            if (here := clinical & (sources == source) & (targets == place)).sum() >= MEASURED
        }
        if len(by_source) > 1:
            recall[name] = by_source
    blind = np.stack([shares[source] for source in sources])
    return {
        "rows": rows,
        "all": compare(np.ones(len(test), dtype=bool), of_source),
        "source_alone": _short(score(blind, targets, groups)),
        "groups": confusion,
        "recall": recall,
    }


def condition_shares(train: pd.DataFrame) -> dict[str, np.ndarray]:
    """source -> (K,) the share of each condition among its training photos."""
    return {
        str(source): np.bincount(condition_index(rows), minlength=len(NAMES)) / len(rows)
        for source, rows in train.groupby("source")
    }


def _short(scores: dict[str, Any]) -> dict[str, Any]:
    return {
        key: scores[key]
        for key in ("n", "conditions", "chance", "balanced_accuracy", "top1", "top3")
    }


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


# --- leave one source out ---------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """One small training: an arm, and the source whose photos it never sees ("" for none)."""

    arm: Arm
    without: str
    image: ImageClassifierConfig
    start: str


def training_stage(arm: str, without: str) -> Stage:
    """A training as a stage of its own, so that it is resumed, and not repeated once it is done.

    Beside the weights it keeps ``val.npy`` and ``test.npy``: probabilities (B, K) for
    `held_out_photos`.
    """
    name = f"{arm} without {without or 'nothing'}".replace(" ", "-")

    def train(config: Training, data: Path, out: Path) -> dict[str, object]:
        manifest = read_manifest(data)
        rows = simclr.training_photos(manifest)
        rows = rows[rows["condition"] != ""]  # all sources, whoever is left out: one pack for all
        packed = pack_photos(data, list(rows["photo"]), config.image.pack, out.parent / "cache")
        # a photo without a condition is never drawn
        seen = rows.assign(condition=rows["condition"].where(rows["source"] != config.without, ""))
        draws = cell_draws(seen, config.arm.balance) if config.arm.balance else None
        prior = None
        if config.arm.domain_prior:
            prior = domain_log_prior(seen, np.ones(len(seen)) if draws is None else draws)
        model, said = image_classifier.train(
            replace(config.image, style=config.arm.style, resampling=0.0),
            seen,
            packed,
            start_weights(config.start, out.parent),
            out / name,
            draws,
            prior,
        )
        size = config.image.sizes[-1][1]
        for split in ("val", "test"):
            cases = held_out_photos(manifest, split)
            pixels = pack_photos(data, list(cases["photo"]), size, out.parent / "cache")
            answers = classify(model, pixels, f"{name}, {split}")
            if processes().is_main_process:
                np.save(out / name / f"{split}.npy", answers.astype(np.float32))
        return said

    return Stage(name, train, reads=MADE)


def start_weights(start: str, out: Path) -> Path | None:
    """Where a small training starts: None for random weights.

    Raises:
        ValueError: ``start`` is neither "random" nor "simclr".
        FileNotFoundError: OUT/simclr has no encoder.
    """
    if start == "random":
        return None
    if start != simclr.NAME:
        raise ValueError(f"got the start {start!r}, expected 'random' or {simclr.NAME!r}")
    path = out / simclr.NAME / "encoder.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"no encoder at {path}; run training.simclr, or start at random")
    return path


def held_out_photos(manifest: pd.DataFrame, split: str) -> pd.DataFrame:
    """The clinical photos of a split that have a condition."""
    return manifest[
        (manifest["split"] == split)
        & (manifest["photo_kind"] == "clinical")
        & (manifest["condition"] != "")
    ]


@torch.inference_mode()
def classify(model: ImageClassifier, packed: np.ndarray, name: str) -> np.ndarray:
    """Packed photos (B, S, S, 3) to probabilities (B, K), 0 where the model was taught nothing."""
    pooled = pooled_features(model.encoder, packed, name)
    return model.head(torch.from_numpy(pooled)).softmax(dim=1).numpy()


def cell_draws(rows: pd.DataFrame, balance: float) -> np.ndarray:
    """(B,) how often each row is drawn: its source's count of its condition ^ -``balance``."""
    return rows.groupby(["source", "condition"])["id"].transform("size").to_numpy() ** -balance


def domain_log_prior(rows: pd.DataFrame, draws: np.ndarray) -> torch.Tensor:
    """(B, K) log p(condition | the row's source) as they are drawn, 0 at conditions without rows.

    Args:
        rows: a row without a condition counts for nothing.
        draws: (B,) how often each row is drawn.
    """
    conditions, sources = condition_index(rows), rows["source"].to_numpy()
    overall = np.zeros(len(NAMES))
    np.add.at(overall, conditions[conditions >= 0], draws[conditions >= 0])
    overall /= overall.sum()
    prior = np.zeros((len(rows), len(NAMES)))
    for source in np.unique(sources):
        here = (sources == source) & (conditions >= 0)
        drawn = np.bincount(conditions[here], draws[here], minlength=len(NAMES))
        own = drawn / drawn.sum() if here.any() else overall
        share = (1 - DOMAIN_SMOOTHING) * own + DOMAIN_SMOOTHING * overall
        prior[sources == source] = np.log(share, out=np.zeros_like(share), where=share > 0)
    return torch.from_numpy(prior).float()


def leave_sources_out(config: SourceShortcutConfig, data: Path, out: Path) -> dict[str, object]:
    """Run the trainings that the budget allows, and compare the arms."""
    done: dict[tuple[str, str], dict[str, Any]] = {}
    not_run = []
    for arm in config.arms:
        for without in ("", *config.left_out):
            stage = training_stage(arm, without)
            finished = (out / NAME / stage.name / "summary.json").is_file()
            # Processes time themselves: the first one's clock decides for all.
            (used,) = broadcast_object_list([sum(one["minutes"] for one in done.values())])
            if not finished and used >= config.minutes:
                not_run.append([arm, without])
                continue
            training = Training(ARMS[arm], without, config.image, config.start)
            done[arm, without] = run(stage, training, data, out / NAME)
            processes().wait_for_everyone()  # before anyone reads what the first one wrote
    manifest = read_manifest(data)
    train = held_out_photos(manifest, "train")
    splits = {}
    for split in ("val", "test"):
        cases = held_out_photos(manifest, split)
        answers = {
            key: np.load(out / NAME / training_stage(*key).name / f"{split}.npy") for key in done
        }
        splits[split] = compare_arms(config, cases, train, answers)
    complete = [arm for arm in config.arms if "left_out" in splits["val"].get(arm, {})]
    return {
        "start": config.start,
        "epochs": config.image.loop.epochs,
        "pixels": config.image.sizes[-1][1],
        "trainings": [
            {
                "arm": arm,
                "without": without,
                "minutes": round(said["minutes"], 2),
                "photos": said["photos"],
                "photos_per_second": _rate(said, config.image),
            }
            for (arm, without), said in done.items()
        ],
        "not_run": not_run,
        **splits,
        "best_on_validation": max(
            complete,
            key=lambda arm: splits["val"][arm]["left_out"]["balanced_accuracy"]["value"],
            default=None,
        ),
    }


def _rate(said: dict[str, Any], image: ImageClassifierConfig) -> float:
    return round(said["photos"] * image.loop.epochs / max(60 * said["minutes"], 1e-9), 1)


def shared_cases(
    cases: pd.DataFrame, train: pd.DataFrame, source: str, least: int = MEASURED
) -> np.ndarray:
    """(B,) bool: the source's photos of conditions that can be learned from the other sources.

    Args:
        cases: held-out photos; train: clinical training photos.
        least: photos of a condition that the other sources and the held-out photos need.
    """
    elsewhere = train.loc[train["source"] != source, "condition"].value_counts()
    here = (cases["source"] == source).to_numpy()
    held = cases.loc[here, "condition"].value_counts()
    shared = set(elsewhere[elsewhere >= least].index) & set(held[held >= least].index)
    return here & cases["condition"].isin(shared).to_numpy()


def compare_arms(
    config: SourceShortcutConfig,
    cases: pd.DataFrame,
    train: pd.DataFrame,
    answers: dict[tuple[str, str], np.ndarray],
) -> dict[str, Any]:
    """Scores of the arms on the held-out clinical photos of one split.

    Args:
        cases: the photos; answers: (arm, left-out source) -> (B, K) probabilities for them.

    Returns:
        for each arm, as far as it was trained: ``in_source``, trained on all sources, all photos;
        ``sources``, for each source the photos of shared conditions answered ``with`` and
        ``without`` its photos in the training; ``seen`` and ``left_out``, the same over all
        sources together; and their paired differences from the plain arm.
    """
    targets, groups = condition_index(cases), cases["group"].to_numpy()
    shared = {one: shared_cases(cases, train, one, config.min_photos) for one in config.left_out}
    shared = {source: chosen for source, chosen in shared.items() if chosen.any()}
    of_two = sorted({int(target) for chosen in shared.values() for target in targets[chosen]})
    possible = np.isin(np.arange(len(NAMES)), of_two)
    scores: dict[str, Any] = {}
    pooled: dict[str, dict[str, np.ndarray]] = {}
    for arm in dict.fromkeys(arm for arm, _ in answers):
        found: dict[str, Any] = {}
        every = answers.get((arm, ""))
        if every is not None:
            found["in_source"] = _short(score(every, targets, groups))
        apart = np.zeros((len(cases), len(NAMES)))
        for source, chosen in shared.items():
            alone = answers.get((arm, source))
            if alone is None or every is None:
                continue
            apart[chosen] = alone[chosen]
            at, of = targets[chosen], groups[chosen]
            found.setdefault("sources", {})[source] = {
                "with": _short(score(every[chosen], at, of)),
                "without": _short(score(alone[chosen], at, of)),
                "without, shared conditions alone": _short(
                    score(among(alone[chosen], possible), at, of)
                ),
                "loss": paired_difference(alone[chosen], every[chosen], at, of)[
                    "balanced_accuracy"
                ],
            }
        if shared and every is not None and set(found.get("sources", {})) == set(shared):
            anywhere = np.any(list(shared.values()), axis=0)
            pooled[arm] = {"seen": every[anywhere], "left_out": apart[anywhere]}
            at, of = targets[anywhere], groups[anywhere]
            for name, values in pooled[arm].items():
                found[name] = _short(score(values, at, of))
                if arm != PLAIN and PLAIN in pooled:
                    found[f"{name}_less_plain"] = paired_difference(
                        values, pooled[PLAIN][name], at, of
                    )["balanced_accuracy"]
        scores[arm] = found
    return scores


# --- what it says -----------------------------------------------------------------------------


def section(summary: dict[str, Any]) -> Section:
    """Tables and figures of this stage's summary."""
    parts = [
        f"Made by `{COMMAND}`; scores are balanced accuracies with 95 % intervals from a bootstrap "
        "over patients, lesions or near-duplicates, on the test split where nothing else is said.",
        "**Within one condition.** A linear probe is asked for the source of a clinical photo "
        f"whose condition is known. The control sees {THUMBNAIL} x {THUMBNAIL} pixels.",
        _probe_table(summary["within_one_condition"]),
        "**Inside each source.** *Told the source*: the same answers, the conditions that the "
        "source has no training photo of ruled out. *Outside*: the share of first choices that "
        "the source does not have, and beside it the same share among photos of other sources. A "
        "model blind to the source would gain much when told, and would have both shares alike.",
        _inside_table(summary["inside_each_source"]),
        "What was answered, by group of conditions (all photos of the source):",
        _group_table(summary["inside_each_source"]["groups"]),
        f"Recall of one condition by source, clinical photos, where two sources have {MEASURED} "
        "test photos or more:",
        _recall_table(summary["inside_each_source"]["recall"]),
        f"**One source left out.** Small encoders ({_recipe(summary['left_out'])}), each scored on "
        "the clinical photos of a source that it never saw, over the conditions that the other "
        "sources teach, and answering among all 26.",
        _arm_table(summary["left_out"]),
        _source_table(summary["left_out"]),
        _costs(summary["left_out"]),
    ]
    figures = {}
    if summary["within_one_condition"]:
        figures["source-within-condition"] = _probe_figure(summary["within_one_condition"])
    if summary["left_out"]["best_on_validation"]:
        figures["leave-one-source-out"] = _arm_figure(summary["left_out"])
    return Section("The source shortcut", "\n\n".join(filter(None, parts)), figures)


def _recipe(found: dict[str, Any]) -> str:
    start = {
        "random": "random weights at the start",
        simclr.NAME: "from SimCLR, which has seen photos of every source, the left-out one too",
    }[found["start"]]
    return f"{found['pixels']} pixels, {found['epochs']} epochs, {start}"


def _probe_table(found: dict[str, Any]) -> str:
    if not found:
        return "Not measured: no condition has enough test photos of two sources."
    return table(
        ("condition", "test photos by source", "chance", "encoder's features", "thumbnail"),
        [
            (
                name,
                ", ".join(f"{source} {count}" for source, count in one["sources"].items()),
                f"{1 / len(one['sources']):.2f}",
                with_interval(one["encoder"]),
                with_interval(one["thumbnail"]),
            )
            for name, one in found.items()
        ],
    )


def _inside_table(found: dict[str, Any]) -> str:
    def cells(name: str, one: dict[str, Any]) -> tuple[object, ...]:
        elsewhere = one.get("outside_elsewhere")
        return (
            name,
            one["free"]["n"],
            one.get("conditions", len(NAMES)),
            with_interval(one["free"]["balanced_accuracy"]),
            with_interval(one["told"]["balanced_accuracy"]),
            with_interval(one["gain"], sign="+"),
            f"{one['outside']:.2f}" if "outside" in one else "",
            "" if elsewhere is None else f"{elsewhere:.2f}",
        )

    rows = [cells(name, one) for name, one in found["rows"].items()]
    rows.append(cells("all", found["all"]))
    blind = found["source_alone"]
    told = with_interval(blind["balanced_accuracy"])
    rows.append(("the source and no photo", blind["n"], len(NAMES), "", told, "", "", ""))
    header = ("photos", "cases", "conditions of the source", "free", "told the source")
    return table((*header, "told less free, paired", "outside", "outside, other sources"), rows)


def _group_table(found: dict[str, Any]) -> str:
    rows = [
        (source, truth, sum(counts), *(f"{count / sum(counts):.2f}" for count in counts))
        for source, groups in found.items()
        for truth, counts in groups.items()
    ]
    return table(("source", "photos of", "cases", *(f"called {group}" for group in GROUPS)), rows)


def _recall_table(found: dict[str, Any]) -> str:
    sources = sorted({source for by_source in found.values() for source in by_source})
    if not found:
        return "Not measured."
    rows: list[tuple[object, ...]] = [
        (
            name,
            *(
                f"{by_source[one]['recall']:.2f} (n = {by_source[one]['n']})"
                if one in by_source
                else "not measured"
                for one in sources
            ),
        )
        for name, by_source in found.items()
    ]
    return table(("condition", *sources), rows)


def _cell(scores: dict[str, Any], name: str) -> str:
    if name not in scores:
        return "not run"
    given = scores[name]
    if "balanced_accuracy" in given:
        return with_interval(given["balanced_accuracy"])
    return with_interval(given, sign="+")


def _arm_table(found: dict[str, Any]) -> str:
    columns = {
        "in_source": "trained on all, all clinical photos",
        "seen": "trained on all, shared conditions",
        "left_out": "source left out, shared conditions",
        "left_out_less_plain": "left out: less plain, paired",
    }
    rows = []
    for arm, scores in found["test"].items():
        cells = [
            "" if arm == PLAIN and name.endswith("_plain") else _cell(scores, name)
            for name in columns
        ]
        rows.append((arm, *cells, _cell(found["val"][arm], "left_out")))
    if not rows:
        return "Not run yet."
    return table(("arm", *columns.values(), "left out, validation"), rows)


def _source_table(found: dict[str, Any]) -> str:
    rows: list[tuple[object, ...]] = [
        (
            arm,
            source,
            one["with"]["n"],
            one["with"]["conditions"],
            _cell(one, "with"),
            _cell(one, "without"),
            _cell(one, "loss"),
            _cell(one, "without, shared conditions alone"),
        )
        for arm, scores in found["test"].items()
        for source, one in scores.get("sources", {}).items()
    ]
    if not rows:
        return ""
    header = ("arm", "source", "cases", "conditions", "seen in training", "left out")
    return table((*header, "left out less seen, paired", "left out, among shared conditions"), rows)


def _costs(found: dict[str, Any]) -> str:
    lines = []
    if found["best_on_validation"]:
        lines.append(
            "On validation the left-out photos are answered best by "
            f"*{found['best_on_validation']}*."
        )
    if found["trainings"]:
        minutes: dict[str, float] = {}
        for one in found["trainings"]:
            minutes[one["arm"]] = minutes.get(one["arm"], 0) + one["minutes"]
        cost = ", ".join(f"{arm} {spent:.0f}" for arm, spent in minutes.items())
        rates = sorted(one["photos_per_second"] for one in found["trainings"])
        lines.append(
            f"Minutes of training: {cost} ({rates[0]:.0f} to {rates[-1]:.0f} photos a second)."
        )
    if found["not_run"]:
        missing: dict[str, list[str]] = {}
        for arm, source in found["not_run"]:
            missing.setdefault(arm, []).append(source or "none")
        told = "; ".join(f"{arm} ({', '.join(left)})" for arm, left in missing.items())
        lines.append(f"Not run, for want of time, by arm and left-out source: {told}.")
    return " ".join(lines)


def _bars(name: str, places: Sequence[str], scores: Sequence[dict[str, float]], colour: str) -> Any:
    values = [one["value"] for one in scores]
    spread = {
        "array": [one["high"] - one["value"] for one in scores],
        "arrayminus": [one["value"] - one["low"] for one in scores],
    }
    return graph_objects.Bar(
        name=name, x=list(places), y=values, marker_color=colour, error_y=spread
    )


def _figure(bars: list[Any], title: str, across: str) -> graph_objects.Figure:
    figure = graph_objects.Figure(bars)
    figure.update_layout(
        template="plotly_white", title=title, width=900, height=450, barmode="group"
    )
    figure.update_xaxes(title=across)
    figure.update_yaxes(title="balanced accuracy", range=[0, 1])
    return figure


def _probe_figure(found: dict[str, Any]) -> graph_objects.Figure:
    bars = [
        _bars(name, list(found), [one[view] for one in found.values()], colour)
        for name, view, colour in (
            ("encoder's features", "encoder", BLUE),
            ("thumbnail", "thumbnail", ORANGE),
        )
    ]
    chance = graph_objects.Scatter(
        name="chance",
        x=list(found),
        y=[1 / len(one["sources"]) for one in found.values()],
        mode="markers",
        marker={"symbol": "line-ew-open", "size": 40, "color": "black"},
    )
    title = "How well a photo's features tell its source, within one condition"
    return _figure([*bars, chance], title, "condition of the photo")


def _arm_figure(found: dict[str, Any]) -> graph_objects.Figure:
    arms = [arm for arm, scores in found["test"].items() if "left_out" in scores]
    bars = [
        _bars(name, arms, [found["test"][arm][key]["balanced_accuracy"] for arm in arms], colour)
        for name, key, colour in (
            ("source seen in training", "seen", BLUE),
            ("source left out", "left_out", ORANGE),
        )
    ]
    title = "The same test photos, with their source in the training and without it"
    return _figure(bars, title, "arm of the training")


STAGE = Stage(NAME, main, reads=MADE, measures=True)


def go_on(config: SourceShortcutConfig, data: Path, out: Path) -> dict[str, Any]:
    """Run the stage anew with another budget; the small trainings that are done stay."""
    with processes().main_process_first():
        if processes().is_main_process:
            for name in ("summary.json", "begun.json"):
                (out / NAME / name).unlink(missing_ok=True)
    return run(STAGE, config, data, out)


def run_with_budget(options: argparse.Namespace) -> None:
    """Run the stage with the preset and the ``--minutes`` of the command line."""
    from training.presets import PRESETS  # the presets import this stage's config

    settings = replace(PRESETS[options.preset].source_shortcut, minutes=options.minutes)
    print(json.dumps(go_on(settings, options.data, options.out), indent=1))


if __name__ == "__main__":
    parser = stage_parser(__doc__)
    parser.add_argument("--minutes", type=float, help="go on with this budget for small trainings")
    options = parser.parse_args()
    if options.minutes is None:
        run_parsed(STAGE, options)
    else:
        run_with_budget(options)
