"""What each part of the image training is worth: small runs, each with one thing changed.

    python -m training.image_ablation --data runs/first/data --out runs/first [--minutes 60]
    python -m training.image_ablation --data ... --out ... --preset further --start-from checkpoints

Every arm changes one thing in the settings of the arm "balanced softmax": how rare conditions are
made to count, or how photos are varied and weights are kept. All start from the same encoder, with
a new head, and train for about as many steps at a small photo size. The encoder is that of
`--start-from`, else that of `training.simclr` where the run has one, else random. A short run from
random weights hardly learns, so that its arms cannot differ: the second command asks which change
helps one more round instead. Scored on the clinical photos of the validation split, with a
paired bootstrap against the common arm. Nothing here is shipped, and with one seed an arm and a
short run a small difference says little.

Arms run one after another and each goes on where it was killed. `--minutes` begins no arm after
that time: the others are listed as not run, and the same command goes on with them later.
`OUT/image_ablation/summary.json` holds the scores, and the command prints them as a table. With
`--preset cpu` an estimated 6 minutes an arm on two idle cores, 80 for all.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate.utils import broadcast
from plotly import graph_objects as go

from dermmm import checkpoint
from training import image_classifier, simclr
from training.dataset import condition_index, pack_photos, read_manifest
from training.image_classifier import ImageClassifierConfig
from training.loop import LoopConfig
from training.scoring import paired_difference, score
from training.section import BLUE, ORANGE, Section, table, with_interval
from training.source_shortcut import classify
from training.stage import (
    MADE,
    Stage,
    processes,
    run_parsed,
    save_module,
    stage_parser,
    write_whole,
)

NAME = "image_ablation"
SCORES = ("balanced_accuracy", "top1", "top3")
COMMON = "balanced softmax"


@dataclass(frozen=True)
class Arm:
    """What one run changes."""

    changes: dict[str, Any] = field(default_factory=dict)  # of `ImageClassifierConfig`
    averaged: bool = True  # keeps the running mean of the weights, not the last ones
    growing: bool = False  # the first half at three quarters of the size
    stochastic_depth: float = 0.2


ARMS = {
    COMMON: Arm(),
    # the long tail
    "plain cross entropy": Arm({"long_tail": "none"}),
    "weighted sampler": Arm({"long_tail": "weighted_sampler"}),
    "effective-number weights": Arm({"long_tail": "effective_number"}),
    "balanced softmax, resampling 0.4": Arm({"resampling": 0.4}),
    # how photos are varied
    "restyling 0.15": Arm({"style": 0.15}),
    "restyling 0.3": Arm({"style": 0.3}),
    "TrivialAugment": Arm({"trivial": True}),
    "mixup 0.2": Arm({"mixup": 0.2}),
    # how the network is held back, and what is kept
    "label smoothing 0.1": Arm({"smoothing": 0.1}),
    "last weights": Arm(averaged=False),
    "no stochastic depth": Arm(stochastic_depth=0.0),
    "progressive resizing": Arm(growing=True),
}


@dataclass(frozen=True)
class ImageAblationConfig:
    steps: int = 640  # of each arm
    size: int = 64  # pixels, of training and scoring
    pack: int = 192  # pixels at which photos are kept; as for the stage that they are shared with
    batch_size: int = 96
    learning_rate: float = 1.5e-3
    ema: float = 0.99  # short runs: a longer memory would keep the beginning
    seed: int = 0
    arms: tuple[str, ...] = tuple(ARMS)


def settings(config: ImageAblationConfig, arm: Arm, epochs: int) -> ImageClassifierConfig:
    """The image training of an arm."""
    loop = LoopConfig(
        epochs,
        config.batch_size,
        config.learning_rate,
        ema=config.ema if arm.averaged else 0.0,
        seed=config.seed,
    )
    sizes: tuple[tuple[float, int], ...] = ((1.0, config.size),)
    if arm.growing:
        sizes = ((0.5, config.size * 3 // 4), *sizes)
    common = ImageClassifierConfig(loop, sizes, config.pack, style=0.0)
    return replace(common, **arm.changes)


def main(
    config: ImageAblationConfig,
    data: Path,
    out: Path,
    minutes: float = math.inf,
    start_from: Path | None = None,
) -> dict[str, object]:
    started = time.monotonic()
    start, origin = starting_weights(out, start_from)
    manifest = read_manifest(data)
    rows = simclr.training_photos(manifest)
    photos = pack_photos(data, list(rows["photo"]), config.pack, out / "cache")
    held = held_out(manifest)
    shown = pack_photos(data, list(held["photo"]), config.size, out / "cache")
    labelled = int((rows["condition"] != "").sum())
    an_epoch = max(1, labelled // config.batch_size)
    epochs = max(1, round(config.steps / an_epoch))

    found: dict[str, np.ndarray] = {}
    for name in config.arms:
        folder = out / NAME / name.replace(" ", "-").replace(",", "").lower()
        path = folder / "validation.npy"  # the arm's answers; its weights are not kept
        if not path.is_file():
            if _minutes_since(started) >= minutes:
                continue
            arm = ARMS[name]
            model, _ = image_classifier.train(
                settings(config, arm, epochs),
                rows,
                photos,
                start,
                folder,
                stochastic_depth=arm.stochastic_depth,
            )
            answers = classify(model, shown, name)
            if processes().is_main_process:
                np.save(folder / "validation.tmp.npy", answers)
                (folder / "validation.tmp.npy").replace(path)
                for weights in folder.glob("*.safetensors"):
                    weights.unlink()
            processes().wait_for_everyone()
        found[name] = np.load(path)

    targets, groups = condition_index(held), held["group"].to_numpy()
    arms: dict[str, dict[str, object]] = {}
    for name, answers in found.items():
        whole = score(answers, targets, groups)
        arms[name] = {one: whole[one] for one in SCORES}
        if name != COMMON and COMMON in found:
            arms[name]["difference"] = paired_difference(answers, found[COMMON], targets, groups)
    return {
        "arms": arms,
        "not_run": [name for name in config.arms if name not in found],
        "start": origin,
        "steps": epochs * an_epoch,
        "photos": labelled,
        "scored_on": {"photos": len(held), "conditions": len(set(targets))},
    }


def starting_weights(out: Path, start_from: Path | None) -> tuple[Path | None, str]:
    """The encoder that every arm starts from (None: random weights), and what it is, in words.

    Raises:
        ValueError: arms in ``out`` were started from another encoder.
    """
    trained = out / simclr.NAME / "encoder.safetensors"
    start, origin = (
        (trained, f"the encoder of {simclr.NAME}")
        if trained.is_file()
        else (None, "random weights")
    )
    if start_from is not None:
        loaded = checkpoint.load(start_from)
        weights = out / NAME / "start.safetensors"
        weights.parent.mkdir(parents=True, exist_ok=True)
        save_module(loaded.model.image_encoder, weights)
        processes().wait_for_everyone()
        start, origin = weights, f"the encoder of {loaded.sha256[:12]}"
    told = out / NAME / "start.txt"
    then = told.read_text(encoding="utf-8") if told.is_file() else origin
    if then != origin:
        raise ValueError(
            f"the arms in {out / NAME} started from {then}, these would from {origin}; give the "
            "same --start-from, or remove the folder to train all arms anew"
        )
    told.parent.mkdir(parents=True, exist_ok=True)
    write_whole(told, origin)
    return start, origin


def _minutes_since(started: float) -> float:
    """By the clock of the main process: all must begin the same arms."""
    seconds = torch.tensor(time.monotonic() - started, device=processes().device)
    return float(broadcast(seconds)) / 60


def held_out(manifest: pd.DataFrame) -> pd.DataFrame:
    """The clinical photos of the validation split that have a condition."""
    return manifest[
        (manifest["split"] == "val")
        & (manifest["photo_kind"] == "clinical")
        & (manifest["condition"] != "")
    ]


def section(summary: dict[str, Any]) -> Section:
    """The arms as a table and as bars."""
    arms, config = summary["arms"], summary["config"]
    lines: list[tuple[object, ...]] = []
    for name, row in arms.items():
        scores = [with_interval(row[one]) for one in SCORES]
        change = ""
        if "difference" in row:
            change = with_interval(row["difference"]["balanced_accuracy"], sign="+")
        lines.append((name, *scores, change))
    lines += [(name, "not run", "", "", "") for name in summary["not_run"]]
    scored = summary["scored_on"]
    text = (
        f"Short trainings of about {summary['steps']} steps on {summary['photos']} photos at "
        f"{config['size']} pixels, from {summary['start']}. Each differs in one thing from "
        f'"{COMMON}". Scores are on the {scored["photos"]} clinical photos of the validation '
        f"split, {scored['conditions']} conditions (chance {1 / scored['conditions']:.3f}), with "
        "95 % intervals "
        f'from a bootstrap over groups; the difference is that to "{COMMON}" in balanced accuracy, '
        "paired. One seed an arm: an interval holds what other photos would "
        "change, not what another seed would.\n\n"
        + table(
            ("arm", "balanced accuracy", "top-1", "top-3", "difference"),
            lines,
        )
        + f"\n\nMade by `python -m training.{NAME}`."
    )
    return Section("Image training, one change at a time", text, {NAME: _bars(arms)})


def _bars(arms: dict[str, Any]) -> go.Figure:
    figure = go.Figure(layout={"template": "plotly_white", "width": 900})
    for name, label, colour in (
        ("balanced_accuracy", "balanced accuracy", BLUE),
        ("top3", "top-3", ORANGE),
    ):
        found = [row[name] for row in arms.values()]
        figure.add_bar(
            y=list(arms),
            x=[one["value"] for one in found],
            error_x={
                "type": "data",
                "array": [one["high"] - one["value"] for one in found],
                "arrayminus": [one["value"] - one["low"] for one in found],
            },
            name=label,
            orientation="h",
            marker_color=colour,
        )
    figure.update_layout(
        title="Image training, one change at a time (clinical validation photos)",
        height=160 + 45 * max(1, len(arms)),
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )
    figure.update_xaxes(title="score, 0 to 1, with 95 % interval", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def within(minutes: float, start_from: Path | None = None) -> Stage:
    """This stage, beginning no arm after ``minutes``, from a checkpoint's encoder or as usual."""
    return Stage(NAME, partial(main, minutes=minutes, start_from=start_from), reads=MADE)


STAGE = within(math.inf)

if __name__ == "__main__":
    parser = stage_parser(__doc__)
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="begin no arm after this time"
    )
    parser.add_argument(
        "--start-from", type=Path, metavar="DIR", help="start every arm from this checkpoint"
    )
    options = parser.parse_args()
    done = options.out / NAME / "summary.json"
    if done.is_file() and json.loads(done.read_text(encoding="utf-8"))["not_run"]:
        done.unlink()  # so that the stage goes on with the arms that were not run
    print(section(run_parsed(within(options.minutes, options.start_from), options)).text)
