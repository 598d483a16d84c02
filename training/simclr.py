"""SimCLR: teach the image encoder what stays the same when a photo is cropped and recoloured.

    python -m training.simclr --data runs/first/data --out runs/first

Reads the photos of the training split, with and without a condition, and never a label other than
to draw every published label equally often. Writes `simclr/encoder.safetensors`, a log and the
loss curve, and while it runs the probes of `training.monitor`, which do read labels but teach
nothing. About 20 minutes with `--preset cpu`; expect the loss to fall from log(2 * batch) to
roughly a third of it. Method: Chen et al. 2020, arXiv:2002.05709.

Options of `SimclrConfig` on the same loss (`training.objectives.contrastive`), all off by default:
the two views may be of two photos of one lesion, photos of one condition may be drawn together,
hard negatives may count more, and projections of past batches may serve as further negatives.

Shapes: B photos of a batch, S pixels of a view, D width of the projection, Q queue.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermmm.image_encoder import ImageEncoder, channels_last
from training.augment import CONTRASTIVE, augment
from training.dataset import condition_index, pack_photos, read_manifest
from training.loop import LoopConfig, Step, fit, inverse_class_frequency, weighted
from training.monitor import Monitor, read_photos
from training.objectives import contrastive, distinct_ids, gather
from training.stage import MADE, Stage, processes, run_stage, save_module

NAME = "simclr"

# What the loss draws together besides the two views of a photo.
POSITIVES = ("views", "lesion", "label")
NEVER = -1  # id of a past projection that is a negative to all


@dataclass(frozen=True)
class SimclrConfig:
    loop: LoopConfig
    size: int  # pixels of a view
    pack: int  # pixels at which photos are kept
    temperature: float = 0.1
    projection: int = 128
    # "views": nothing. "lesion": the views are of two photos of one lesion where there are two
    # (MICLe, arXiv:2101.05224). "label": all photos of one condition; a photo without one stands
    # alone (supervised contrastive learning, arXiv:2004.11362).
    positives: str = "views"
    hardness: float = 0.0  # beta of hard-negative weighting, see `contrastive`; 0 is off
    queue: int = 0  # projections of past batches that are further negatives; 0 is off
    probe_every: int = 0  # epochs between two looks of `training.monitor`; 0 is off


class Queue(nn.Module):
    """The last Q projections and their ids; kept with the model, so that a killed run goes on.

    The encoder moves slowly, so a few batches' worth of them are still comparable without MoCo's
    second encoder (cross-batch memory, Wang et al. 2020, arXiv:1912.06798).
    """

    rows: Tensor
    ids: Tensor
    filled: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(size, width))
        self.register_buffer("ids", torch.full((size,), NEVER))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    def held(self) -> tuple[Tensor, Tensor]:
        """(q, D) normalised projections and (q,) ids, newest first; q grows from 0 to Q."""
        count = int(self.filled)
        return self.rows[:count].clone(), self.ids[:count].clone()

    def push(self, projections: Tensor, ids: Tensor) -> None:
        """Put the rows (B, D) of all processes in front; the oldest fall off the end."""
        size = len(self.rows)
        with torch.no_grad():
            new = gather(F.normalize(projections.detach().float(), dim=1))
            self.rows.copy_(torch.cat([new, self.rows])[:size])
            self.ids.copy_(torch.cat([gather(ids), self.ids])[:size])
            self.filled.copy_((self.filled + len(new)).clamp(max=size))


class SimclrModel(nn.Module):
    """The encoder with the projector 1280 -> 1280 -> 128 that is thrown away afterwards."""

    def __init__(self, projection: int, queue: int = 0) -> None:
        super().__init__()
        # No stochastic depth: two views must differ by augmentation alone.
        self.encoder = ImageEncoder(stochastic_depth=0.0)
        width = self.encoder.width
        self.projector = nn.Sequential(
            nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, projection)
        )
        self.queue = Queue(queue, projection) if queue else None

    def forward(self, views: Tensor) -> Tensor:
        """(2B, 3, S, S) views to (2B, projection)."""
        _, pooled = self.encoder(channels_last(views))
        return self.projector(pooled)


def training_photos(manifest: pd.DataFrame) -> pd.DataFrame:
    """Photos that self-supervision may see: the training split, with or without a condition."""
    return manifest[(manifest["photo"] != "") & (manifest["split"] == "train")]


def identities(rows: pd.DataFrame, positives: str) -> np.ndarray:
    """(rows,) int64: photos that share one are drawn together.

    A lesion is a group with one published label, for a group can be a patient with several.

    Raises:
        ValueError: ``positives`` is none of `POSITIVES`.
    """
    if positives not in POSITIVES:
        raise ValueError(f"got positives {positives!r}, expected one of {', '.join(POSITIVES)}")
    if positives == "views":
        return np.arange(len(rows))
    if positives == "lesion":
        return rows.groupby(["group", "label"]).ngroup().to_numpy()
    conditions = condition_index(rows)
    return np.where(conditions >= 0, conditions, conditions.max() + 1 + np.arange(len(rows)))


def another_photo(ids: np.ndarray, indices: np.ndarray, draw: np.ndarray) -> np.ndarray:
    """(B,) for each photo of ``indices`` another one with the same id, or itself where none is.

    Args:
        ids: (rows,) from `identities`.
        draw: (B,) uniform in 0..1, which chooses among the others.
    """
    order = np.argsort(ids, kind="stable")
    place = np.argsort(order)  # of each row within `order`
    _, starts, inverse, counts = np.unique(
        ids[order], return_index=True, return_inverse=True, return_counts=True
    )
    of = inverse[place[indices]]
    others = counts[of] - 1
    onwards = np.minimum(1 + (draw * others).astype(np.int64), np.maximum(others, 1))
    turned = (place[indices] - starts[of] + onwards) % counts[of]
    return order[starts[of] + turned]


def main(config: SimclrConfig, data: Path, out: Path) -> dict[str, object]:
    rows = training_photos(read_manifest(data))
    ids = identities(rows, config.positives)
    batch = min(config.loop.batch_size, len(rows))
    if batch % processes().num_processes:
        raise ValueError(
            f"got {batch} photos a batch for {processes().num_processes} processes; expected a "
            "multiple, for each compares its own with those of the others"
        )
    photos = pack_photos(data, list(rows["photo"]), config.pack, out / "cache")
    # Photos without a condition are sampled by their published label, as diverse as they are.
    other = rows["source"] + "/" + rows["label"]
    classes = rows["condition"].where(rows["condition"] != "", other).to_numpy()
    sampler = weighted(inverse_class_frequency(classes), config.loop.seed)
    torch.manual_seed(config.loop.seed)
    model = SimclrModel(config.projection, config.queue)

    def batch_loss(module: nn.Module, step: Step) -> Tensor:
        second = step.indices
        if config.positives == "lesion":
            draw = torch.rand(len(second), dtype=torch.float64).numpy()
            second = another_photo(ids, second, draw)
        shown = (torch.from_numpy(photos[one]).to(step.device) for one in (step.indices, second))
        views = torch.cat([augment(pixels, config.size, CONTRASTIVE) for pixels in shown])
        projections = module(views)
        # Of views alone, a photo that is drawn twice is two photos, as in SimCLR.
        alone = config.positives == "views"
        own = distinct_ids(len(second)) if alone else torch.from_numpy(ids[step.indices])
        both = own.repeat(2).to(step.device)
        past = model.queue.held() if model.queue else None
        loss = contrastive(projections, both, config.temperature, config.hardness, past)
        if model.queue:
            model.queue.push(projections, torch.full_like(both, NEVER) if alone else both)
        return loss

    monitor = None
    if config.probe_every:
        monitor = Monitor(
            out / NAME,
            model.encoder,
            *read_photos(data, config.size, out / "cache"),
            every=config.probe_every,
        )
    minutes = fit(out / NAME, model, batch_loss, sampler, config.loop, monitor)
    save_module(model.encoder, out / NAME / "encoder.safetensors")
    return {"minutes": minutes, "photos": len(rows), "classes": len(set(classes))}


STAGE = Stage(NAME, main, reads=MADE)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
