"""Teach one image encoder what several know together: distil an ensemble into the B0 that ships.

    python -m training.distil --data runs/first/data --out runs/first --teachers DIR DIR

A teacher is a folder that `training.image_classifier` wrote, or a published checkpoint; without
`--teachers` the run's own classifier is the only one. All were trained here from random weights,
on the same training split. Each photo of it is shown to every teacher as it is and flipped, and
the mean of their probabilities is what the student learns, beside the label where there is one
(Hinton et al. 2015, arXiv:1503.02531). The student starts as the teacher that is best on the
clinical photos of the validation split.

Writes `distil/encoder.safetensors` and `head.safetensors`, laid out as those of
`training.image_classifier`, and to its summary the scores on validation of every teacher, of the
ensemble and of the student. Whether it pays is to be read there: `student less best teacher`.
With `--preset cpu` an estimated 35 minutes on two idle cores for 5 epochs at 160 pixels, and 4 more
for each teacher.

The teachers answer each photo once, as a whole. To let them see every crop that the student sees
(Beyer et al. 2022, arXiv:2106.05237) would be better and cost each of them a pass in every step.

Shapes: P photos, S pixels, K conditions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plotly import graph_objects as go
from torch import Tensor, nn

from dermmm import checkpoint
from dermmm.conditions import NAMES
from training import image_classifier, simclr
from training.augment import SUPERVISED, augment
from training.dataset import condition_index, pack_photos, read_manifest
from training.image_ablation import SCORES, held_out
from training.image_classifier import ImageClassifier
from training.loop import LoopConfig, Step, fit, weighted
from training.objectives import balanced_softmax, distillation, log_prior
from training.scoring import paired_difference, score
from training.section import BLUE, Section, table, with_interval
from training.source_shortcut import classify
from training.stage import MADE, Stage, load_module, processes, run, save_module, stage_parser

NAME = "distil"


@dataclass(frozen=True)
class DistilConfig:
    loop: LoopConfig
    size: int  # pixels, of the student's photos and the teachers'
    pack: int  # pixels at which the student's photos are kept
    temperature: float = 2.0  # of both answers in the soft part of the loss
    soft: float = 0.7  # share of the soft part
    resampling: float = 0.4  # draws go with a condition's frequency to the power of -resampling
    teachers: tuple[str, ...] = ()  # hashes of their weights; set by `distil_from`


def read_teacher(folder: Path) -> ImageClassifier:
    """A classifier from `training.image_classifier`'s folder, or from a published checkpoint.

    Raises:
        FileNotFoundError: the folder holds neither.
    """
    model = ImageClassifier()
    if (folder / "config.json").is_file():
        loaded = checkpoint.load(folder).model
        model.encoder.load_state_dict(loaded.image_encoder.state_dict())
        model.head.load_state_dict(loaded.fusion.image_head.state_dict())
    else:
        load_module(model.encoder, folder / "encoder.safetensors")
        load_module(model.head, folder / "head.safetensors")
    return model.eval()


def answers(model: ImageClassifier, photos: np.ndarray, name: str) -> np.ndarray:
    """(P, S, S, 3) photos to (P, K) probabilities, the mean of each photo's and its mirror's."""
    views = (photos, photos[:, :, ::-1])
    return np.mean([classify(model, view, name) for view in views], axis=0)


def main(
    config: DistilConfig, data: Path, out: Path, folders: Sequence[Path] = ()
) -> dict[str, object]:
    teachers = [read_teacher(folder) for folder in folders or (out / image_classifier.NAME,)]
    manifest = read_manifest(data)
    rows, held = simclr.training_photos(manifest), held_out(manifest)
    cache = out / "cache"
    shown = pack_photos(data, list(held["photo"]), config.size, cache)
    targets, groups = condition_index(held), held["group"].to_numpy()

    alone = [classify(one, shown, f"teacher {place + 1}") for place, one in enumerate(teachers)]
    found = [score(one, targets, groups) for one in alone]
    best = int(np.argmax([one["balanced_accuracy"]["value"] for one in found]))
    together = np.mean([answers(one, shown, "ensemble") for one in teachers], axis=0)

    wanted = (
        torch.from_numpy(_taught(config, teachers, data, list(rows["photo"]), out)).log().float()
    )
    student, minutes = _train(config, teachers[best], wanted, data, out)
    after = classify(student, shown, "student")
    names = [f"teacher {place + 1}" for place in range(len(teachers))]
    everyone = {
        **dict(zip(names, found, strict=True)),
        "ensemble, with mirrored photos": score(together, targets, groups),
        "student": score(after, targets, groups),
    }
    kept = ("n", "conditions", "chance", *SCORES)
    return {
        "minutes": minutes,
        "photos": len(rows),
        "started_as": names[best],
        "rows": {name: {one: row[one] for one in kept} for name, row in everyone.items()},
        "differences": {
            "student less best teacher": paired_difference(after, alone[best], targets, groups),
            "ensemble less best teacher": paired_difference(together, alone[best], targets, groups),
        },
    }


def _taught(
    config: DistilConfig, teachers: list[ImageClassifier], data: Path, photos: list[str], out: Path
) -> np.ndarray:
    """(P, K) what the teachers answer together to the training photos; kept in the stage's folder,
    so that a killed run goes on without asking them again."""
    path = out / NAME / "taught.npy"
    if not path.is_file():
        packed = pack_photos(data, photos, config.size, out / "cache")
        told = np.mean(
            [answers(one, packed, f"ask {place + 1}") for place, one in enumerate(teachers)], axis=0
        )
        if processes().is_main_process:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path.with_name("taught.tmp.npy"), told)
            path.with_name("taught.tmp.npy").replace(path)
        processes().wait_for_everyone()
    return np.load(path)


def _train(
    config: DistilConfig, student: ImageClassifier, wanted: Tensor, data: Path, out: Path
) -> tuple[ImageClassifier, float]:
    """Train ``student`` in place on labels and on ``wanted`` (P, K) log probabilities."""
    rows = simclr.training_photos(read_manifest(data))
    photos = pack_photos(data, list(rows["photo"]), config.pack, out / "cache")
    conditions = torch.from_numpy(condition_index(rows))
    labelled = conditions >= 0
    counts = torch.bincount(conditions[labelled], minlength=len(NAMES))
    # A photo without a condition has the teachers' word alone, and is drawn as a common one.
    often = counts[conditions.clamp(min=0)].double()
    draws = torch.where(labelled, often, often[labelled].max()) ** -config.resampling
    drawn = torch.zeros(len(NAMES)).index_add(0, conditions[labelled], draws[labelled].float())
    prior = log_prior(drawn)
    student.head.covered |= counts > 0

    def batch_loss(module: nn.Module, step: Step) -> Tensor:
        pixels = torch.from_numpy(photos[step.indices]).to(step.device)
        logits = module(augment(pixels, config.size, SUPERVISED)).float()
        told = wanted[step.indices].to(step.device)
        loss = config.soft * distillation(logits, told, config.temperature)
        known = labelled[step.indices].to(step.device)
        if known.any():
            truth = conditions[step.indices].to(step.device)[known]
            hard = balanced_softmax(logits[known], truth, prior.to(step.device))
            loss = loss + (1 - config.soft) * hard * known.float().mean()
        return loss

    torch.manual_seed(config.loop.seed)
    sampler = weighted(draws.numpy(), config.loop.seed)
    minutes = fit(out / NAME, student, batch_loss, sampler, config.loop)
    save_module(student.encoder, out / NAME / "encoder.safetensors")
    save_module(student.head, out / NAME / "head.safetensors")
    return student.eval(), minutes


def section(summary: dict[str, Any]) -> Section:
    """The teachers, their ensemble and the student, as a table and as bars."""
    rows = summary["rows"]
    lines: list[tuple[object, ...]] = [
        (name, *(with_interval(row[one]) for one in SCORES)) for name, row in rows.items()
    ]
    lines += [
        (f"{name}, paired", *(with_interval(row[one], sign="+") for one in SCORES))
        for name, row in summary["differences"].items()
    ]
    one = next(iter(rows.values()))
    gain = summary["differences"]["student less best teacher"]["balanced_accuracy"]
    verdict = (
        "The student is better than the best teacher: the interval of the difference is above 0."
        if gain["low"] > 0
        else "It is not shown that the student is better than the best teacher: the interval of "
        "the difference holds 0."
        if gain["high"] >= 0
        else "The student is worse than the best teacher: distillation did not pay."
    )
    text = (
        f"One encoder learned what {len(rows) - 2} answered together on {summary['photos']} "
        f"training photos; it started as {summary['started_as']}, the best on validation. Scores "
        f"are on the {one['n']} clinical photos of the validation split ({one['conditions']} "
        f"conditions, chance {one['chance']:.3f}), which chose that teacher too. {verdict}\n\n"
        + table(("", "balanced accuracy", "top-1", "top-3"), lines)
        + f"\n\nMade by `python -m training.{NAME}`."
    )
    return Section("Distilling an ensemble into one encoder", text, {NAME: _bars(rows)})


def _bars(rows: dict[str, Any]) -> go.Figure:
    found = [row["balanced_accuracy"] for row in rows.values()]
    figure = go.Figure(layout={"template": "plotly_white", "width": 900, "height": 380})
    figure.add_bar(
        x=list(rows),
        y=[one["value"] for one in found],
        error_y={
            "type": "data",
            "array": [one["high"] - one["value"] for one in found],
            "arrayminus": [one["value"] - one["low"] for one in found],
        },
        marker_color=BLUE,
    )
    figure.update_layout(title="Teachers, ensemble and student (clinical validation photos)")
    figure.update_yaxes(title="balanced accuracy, with 95 % interval", rangemode="tozero")
    return figure


def distil_from(config: DistilConfig, folders: Sequence[Path]) -> tuple[Stage, DistilConfig]:
    """This stage with those teachers, and its settings with their hashes.

    So a run that was begun with other teachers is not gone on with.
    """
    hashes = []
    for folder in folders:
        told = hashlib.sha256()
        for tensor in read_teacher(folder).state_dict().values():
            told.update(tensor.contiguous().numpy().tobytes())
        hashes.append(told.hexdigest())
    stage = Stage(NAME, partial(main, folders=tuple(folders)), reads=MADE)
    return stage, replace(config, teachers=tuple(hashes))


STAGE = Stage(NAME, main, reads=MADE)

if __name__ == "__main__":
    from training.presets import PRESETS  # the presets import this stage's config

    parser = stage_parser(__doc__)
    parser.add_argument(
        "--teachers", type=Path, nargs="+", default=(), metavar="DIR", help="see above"
    )
    options = parser.parse_args()
    stage, config = distil_from(PRESETS[options.preset].distil, options.teachers)
    print(json.dumps(run(stage, config, options.data, options.out), indent=1))
