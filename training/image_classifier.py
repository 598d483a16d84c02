"""Fine-tune the whole image encoder on photos with a condition.

    python -m training.image_classifier --data runs/first/data --out runs/first
    torchrun --nproc_per_node 2 -m training.image_classifier --data ... --start-from checkpoints

Starts from `simclr/encoder.safetensors`, or from the encoder of a published checkpoint, trains with
balanced softmax at growing photo sizes and writes `image_classifier/encoder.safetensors` and
`head.safetensors`. About 90 minutes with `--preset cpu` on two idle cores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermmm import checkpoint
from dermmm.conditions import NAMES
from dermmm.fusion import ModalityHead
from dermmm.image_encoder import ImageEncoder, channels_last
from training import simclr
from training.augment import SUPERVISED, augment, trivial_augment
from training.dataset import condition_index, pack_photos, read_manifest
from training.loop import LoopConfig, Step, fit, shuffled, weighted
from training.objectives import classification_loss, effective_number_weights, log_prior
from training.stage import MADE, Stage, load_module, run_parsed, save_module, stage_parser

NAME = "image_classifier"


LONG_TAIL = ("balanced_softmax", "weighted_sampler", "effective_number", "none")


@dataclass(frozen=True)
class ImageClassifierConfig:
    loop: LoopConfig
    sizes: tuple[tuple[float, int], ...]  # (share of the run at which it ends, pixels), rising
    pack: int  # pixels at which photos are kept
    long_tail: str = "balanced_softmax"  # how rare conditions are made to count; see `LONG_TAIL`
    resampling: float = 0.0  # draws go with a condition's frequency to the power of -resampling
    smoothing: float = 0.0  # label smoothing, share of the target spread over all conditions
    mixup: float = 0.0  # alpha of mixup's Beta distribution; 0 mixes nothing
    trivial: bool = False  # TrivialAugment before our own augmentation
    style: float = SUPERVISED.style  # see `training.augment.restyle`


class ImageClassifier(nn.Module):
    """The image encoder under the head that the fused model will use."""

    def __init__(self, stochastic_depth: float = 0.2) -> None:
        super().__init__()
        self.encoder = ImageEncoder(stochastic_depth)
        self.head = ModalityHead(self.encoder.width, len(NAMES))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, K) logits."""
        _, pooled = self.encoder(channels_last(images))
        return self.head(pooled)


def train(
    config: ImageClassifierConfig,
    rows: pd.DataFrame,
    photos: np.ndarray,
    start: Path | None,
    folder: Path,
    draws: np.ndarray | None = None,
    prior_of: Tensor | None = None,
    stochastic_depth: float = 0.2,
) -> tuple[ImageClassifier, dict[str, object]]:
    """Train on the rows with a condition, from the encoder weights at ``start``.

    Args:
        rows: manifest rows; photos: (rows, P, P, 3) uint8, packed in the same order.
        start: None for random weights.
        folder: keeps the state, the log and the result.
        draws: (rows,) how often each row is drawn, up to a factor; None for what ``config`` says.
        prior_of: (rows, K) log prior of balanced softmax for each row; None for one that all share.
        stochastic_depth: how likely the last block is left out in a step; earlier ones less.

    Returns:
        the classifier, and what there is to say of the run.

    Raises:
        ValueError: ``config.long_tail`` is none of `LONG_TAIL`, or ``prior_of`` is given with
            another than balanced softmax or with mixup, whose photos have two rows each.
    """
    if config.long_tail not in LONG_TAIL:
        raise ValueError(f"got {config.long_tail!r}, expected one of {', '.join(LONG_TAIL)}")
    if prior_of is not None and (config.mixup or config.long_tail != "balanced_softmax"):
        raise ValueError(
            f"got a prior for each row with {config.long_tail} and mixup {config.mixup}; expected "
            "balanced_softmax without mixup"
        )
    conditions = torch.from_numpy(condition_index(rows))
    labelled = torch.nonzero(conditions >= 0).squeeze(1)
    counts = torch.bincount(conditions[labelled], minlength=len(NAMES))
    exponent = 1.0 if config.long_tail == "weighted_sampler" else config.resampling
    each = counts[conditions[labelled]].double() ** -exponent
    if draws is not None:
        each = torch.from_numpy(draws).double()[labelled]
    drawn = torch.zeros(len(NAMES)).index_add(0, conditions[labelled], each.float())
    prior, weights = torch.zeros(len(NAMES)), None
    if config.long_tail == "balanced_softmax":
        prior = log_prior(drawn)
    elif config.long_tail == "effective_number":
        weights = effective_number_weights(counts.float())
    how = replace(SUPERVISED, style=config.style)
    varied = trivial_augment() if config.trivial else None

    torch.manual_seed(config.loop.seed)
    model = ImageClassifier(stochastic_depth)
    if start is not None:
        load_module(model.encoder, start)
    model.head.covered.copy_(counts > 0)

    def batch_loss(module: nn.Module, step: Step) -> Tensor:
        chosen = labelled[step.indices]
        size = next(size for end, size in config.sizes if step.progress < end)
        pixels = torch.from_numpy(photos[chosen.numpy()]).to(step.device)
        if varied is not None:
            pixels = torch.stack([varied(one) for one in pixels.permute(0, 3, 1, 2)])
            pixels = pixels.permute(0, 2, 3, 1)
        images = augment(pixels, size, how)
        targets = F.one_hot(conditions[chosen], len(NAMES)).float().to(step.device)
        if config.mixup:
            share = float(torch.distributions.Beta(config.mixup, config.mixup).sample())
            other = torch.randperm(len(images)).to(step.device)
            images = share * images + (1 - share) * images[other]
            targets = share * targets + (1 - share) * targets[other]
        return classification_loss(
            module(images),
            targets,
            (prior if prior_of is None else prior_of[chosen]).to(step.device),
            weights,
            config.smoothing,
        )

    alike = exponent == 0 and draws is None
    seed = config.loop.seed
    sampler = shuffled(len(labelled), seed) if alike else weighted(each.numpy(), seed)
    minutes = fit(folder, model, batch_loss, sampler, config.loop)
    save_module(model.encoder, folder / "encoder.safetensors")
    save_module(model.head, folder / "head.safetensors")
    return model.eval(), {"minutes": minutes, "photos": len(labelled)}


def main(
    config: ImageClassifierConfig, data: Path, out: Path, start: Path | None = None
) -> dict[str, object]:
    rows = simclr.training_photos(read_manifest(data))
    # The same pack as SimCLR's: photos without a condition are there and never drawn.
    photos = pack_photos(data, list(rows["photo"]), config.pack, out / "cache")
    start = start or out / simclr.NAME / "encoder.safetensors"
    return train(config, rows, photos, start, out / NAME)[1]


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


def start_from(folder: Path) -> Stage:
    """This stage for a run that trains the image encoder of a published checkpoint further.

    One more round of the same training: the first rounds cost hours, and their result is kept in
    the checkpoint, in half precision.
    """

    def go_on(config: ImageClassifierConfig, data: Path, out: Path) -> dict[str, object]:
        loaded = checkpoint.load(folder)
        weights = out / NAME / "start.safetensors"
        save_module(loaded.model.image_encoder, weights)
        return {"started_from": loaded.sha256, **main(config, data, out, weights)}

    return Stage(NAME, go_on, reads=MADE)


STAGE = Stage(NAME, main, reads=MADE)

if __name__ == "__main__":
    parser = stage_parser(__doc__)
    parser.add_argument(
        "--start-from", type=Path, metavar="DIR", help="train the encoder of this checkpoint on"
    )
    options = parser.parse_args()
    run_parsed(start_from(options.start_from) if options.start_from else STAGE, options)
