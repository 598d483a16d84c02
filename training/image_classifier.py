"""Fine-tune the whole image encoder on photos with a condition.

    python -m training.image_classifier --data runs/first/data --out runs/first

Starts from `simclr/encoder.safetensors`, trains with balanced softmax at growing photo sizes and
writes `image_classifier/encoder.safetensors` and `head.safetensors`. About 30 minutes with
`--preset cpu`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dermmm import checkpoint
from dermmm.conditions import NAMES
from dermmm.fusion import ModalityHead
from dermmm.image_encoder import ImageEncoder, channels_last
from training import simclr
from training.augment import SUPERVISED, augment
from training.dataset import condition_index, pack_photos, read_manifest
from training.loop import LoopConfig, Step, fit, shuffled
from training.objectives import balanced_softmax, log_prior
from training.stage import MADE, Stage, load_module, run_stage, save_module

NAME = "image_classifier"


@dataclass(frozen=True)
class ImageClassifierConfig:
    loop: LoopConfig
    sizes: tuple[tuple[float, int], ...]  # (share of the run at which it ends, pixels), rising
    pack: int  # pixels at which photos are kept


class ImageClassifier(nn.Module):
    """The image encoder under the head that the fused model will use."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = ImageEncoder()
        self.head = ModalityHead(self.encoder.width, len(NAMES))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, K) logits."""
        _, pooled = self.encoder(channels_last(images))
        return self.head(pooled)


def main(config: ImageClassifierConfig, data: Path, out: Path) -> dict[str, object]:
    rows = simclr.training_photos(read_manifest(data))
    # The same pack as SimCLR's: photos without a condition are there and never drawn.
    photos = pack_photos(data, list(rows["photo"]), config.pack, out / "cache")
    conditions = torch.from_numpy(condition_index(rows))
    labelled = torch.nonzero(conditions >= 0).squeeze(1)
    counts = torch.bincount(conditions[labelled], minlength=len(NAMES))
    prior = log_prior(counts.float())

    torch.manual_seed(config.loop.seed)
    model = ImageClassifier()
    load_module(model.encoder, out / simclr.NAME / "encoder.safetensors")
    model.head.covered.copy_(counts > 0)

    def batch_loss(module: nn.Module, step: Step) -> Tensor:
        chosen = labelled[step.indices]
        size = next(size for end, size in config.sizes if step.progress < end)
        images = augment(torch.from_numpy(photos[chosen.numpy()]).to(step.device), size, SUPERVISED)
        targets = conditions[chosen].to(step.device)
        return balanced_softmax(module(images), targets, prior.to(step.device))

    sampler = shuffled(len(labelled), config.loop.seed)
    minutes = fit(out / NAME, model, batch_loss, sampler, config.loop)
    save_module(model.encoder, out / NAME / "encoder.safetensors")
    save_module(model.head, out / NAME / "head.safetensors")
    return {"minutes": minutes, "photos": len(labelled)}


def load_classifier(out: Path) -> ImageClassifier:
    """The classifier that this stage trained, ready to use."""
    model = ImageClassifier()
    load_module(model.encoder, out / NAME / "encoder.safetensors")
    load_module(model.head, out / NAME / "head.safetensors")
    return model.eval()


def take_from(folder: Path) -> Stage:
    """This stage for a run that keeps the image encoder and head of a published checkpoint.

    So text and fusion can be trained anew where the photos' part shall stay as it is. The
    checkpoint holds half precision, and so does what the new run publishes.
    """

    def take(config: ImageClassifierConfig, data: Path, out: Path) -> dict[str, object]:
        loaded = checkpoint.load(folder)
        save_module(loaded.model.image_encoder, out / NAME / "encoder.safetensors")
        save_module(loaded.model.fusion.image_head, out / NAME / "head.safetensors")
        return {"taken_from": loaded.sha256}

    return Stage(NAME, take)


STAGE = Stage(NAME, main, reads=MADE)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
