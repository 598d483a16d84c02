"""SimCLR: teach the image encoder what stays the same when a photo is cropped and recoloured.

    python -m training.simclr --data runs/first/data --out runs/first

Reads the photos of the training split, with and without a condition, and never a label other than
to draw every published label equally often. Writes `simclr/encoder.safetensors`, a log and the
loss curve. About 20 minutes with `--preset cpu`; expect the loss to fall from log(2 * batch) to
roughly a third of it. Method: Chen et al. 2020, arXiv:2002.05709.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from dermmm.image_encoder import ImageEncoder, channels_last
from training.augment import CONTRASTIVE, augment
from training.dataset import pack_photos, read_manifest
from training.loop import LoopConfig, Step, fit, inverse_class_frequency, weighted
from training.objectives import nt_xent
from training.stage import MADE, Stage, run_stage, save_module

NAME = "simclr"


@dataclass(frozen=True)
class SimclrConfig:
    loop: LoopConfig
    size: int  # pixels of a view
    pack: int  # pixels at which photos are kept
    temperature: float = 0.1
    projection: int = 128


class SimclrModel(nn.Module):
    """The encoder with the projector 1280 -> 1280 -> 128 that is thrown away afterwards."""

    def __init__(self, projection: int) -> None:
        super().__init__()
        # No stochastic depth: two views must differ by augmentation alone.
        self.encoder = ImageEncoder(stochastic_depth=0.0)
        width = self.encoder.width
        self.projector = nn.Sequential(
            nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, projection)
        )

    def forward(self, views: Tensor) -> Tensor:
        """(2B, 3, S, S) views to (2B, projection)."""
        _, pooled = self.encoder(channels_last(views))
        return self.projector(pooled)


def training_photos(manifest: pd.DataFrame) -> pd.DataFrame:
    """Photos that self-supervision may see: the training split, with or without a condition."""
    return manifest[(manifest["photo"] != "") & (manifest["split"] == "train")]


def main(config: SimclrConfig, data: Path, out: Path) -> dict[str, object]:
    rows = training_photos(read_manifest(data))
    photos = pack_photos(data, list(rows["photo"]), config.pack, out / "cache")
    # Photos without a condition are sampled by their published label, as diverse as they are.
    other = rows["source"] + "/" + rows["label"]
    classes = rows["condition"].where(rows["condition"] != "", other).to_numpy()
    sampler = weighted(inverse_class_frequency(classes), config.loop.seed)
    torch.manual_seed(config.loop.seed)
    model = SimclrModel(config.projection)

    def batch_loss(module: nn.Module, step: Step) -> Tensor:
        pixels = torch.from_numpy(photos[step.indices]).to(step.device)
        views = torch.cat([augment(pixels, config.size, CONTRASTIVE) for _ in range(2)])
        first, second = module(views).chunk(2)
        return nt_xent(first, second, config.temperature)

    minutes = fit(out / NAME, model, batch_loss, sampler, config.loop)
    save_module(model.encoder, out / NAME / "encoder.safetensors")
    return {"minutes": minutes, "photos": len(rows), "classes": len(set(classes))}


STAGE = Stage(NAME, main, reads=MADE)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
