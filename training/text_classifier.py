"""Teach the text encoder to tell conditions from the texts of the training split.

    python -m training.text_classifier --data runs/first/data --out runs/first

Starts from `text_pretraining/encoder.safetensors`. Cross entropy against the annotators' weights
(balanced softmax), a random wording of each case at every draw, word dropout, warm-up and cosine.
Writes `text_classifier/encoder.safetensors` and `head.safetensors`. 13 minutes with
`--preset cpu` on one busy core.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from dermmm.conditions import NAMES
from dermmm.fusion import ModalityHead
from dermmm.text_encoder import TextEncoder
from dermmm.tokenizer import Tokenizer
from training import text_pretraining
from training.dataset import (
    cases_with_text,
    read_manifest,
    read_texts,
    soft_targets,
    with_synthetic,
)
from training.loop import LoopConfig, Step, by_length, fit, weighted
from training.objectives import balanced_softmax
from training.stage import Stage, load_module, read_summary, run_stage, save_module

NAME = "text_classifier"
STARTS = ("text_pretraining", "random")


@dataclass(frozen=True)
class TextClassifierConfig:
    loop: LoopConfig
    start: str = "text_pretraining"  # one of STARTS
    balanced: str = ""  # use only the real cases that DATA/balanced/<this>.csv keeps; "" uses all
    synthetic: int = 150  # synthetic texts a condition
    dropout: float = 0.1
    word_dropout: float = 0.1  # share of tokens hidden behind [MASK]
    # Exponent of a condition's frequency by which its cases are drawn less often: 0 draws all
    # alike, 1 every condition equally often. The prior of the loss follows.
    resampling: float = 0.3
    # Share of each style's prior that is spread evenly over the conditions. Little lets a condition
    # that a style hardly has be answered from it as readily as any other; much makes it rare there.
    smoothing: float = 0.38
    # A condition with fewer training cases than this, real and synthetic, stays out of the text
    # head: it would answer for a condition that it has hardly read about.
    min_cases: int = 5


class TextClassifier(nn.Module):
    """The text encoder under the head that the fused model will use."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = ModalityHead(encoder.width, len(NAMES))

    def forward(self, token_ids: Tensor, token_mask: Tensor) -> Tensor:
        """(B, T) ids and mask to (B, K) logits."""
        _, pooled = self.encoder(token_ids, token_mask)
        return self.head(pooled)


def training_cases(config: TextClassifierConfig, data: Path) -> pd.DataFrame:
    """The real cases of the training split, and so many synthetic texts a condition below them."""
    real = cases_with_text(read_manifest(data), "train")
    if config.balanced:
        kept = pd.read_csv(data / "balanced" / f"{config.balanced}.csv", dtype=str)
        real = real[real["id"].isin(kept["id"])]
    return with_synthetic(real, data, config.synthetic)


STYLES = ("rendered", "free", "synthetic")


def text_styles(rows: pd.DataFrame) -> Tensor:
    """(rows,) int64 index into `STYLES`: rendered from fields, written freely, or synthetic.

    A linear model tells them apart nine times in ten or more (the audit's source test), and each
    has conditions of its own: most tumours are told by rendered fields, and half of the freely
    written questions are about eczema.
    """
    synthetic = rows["source"] == "synthetic"
    free = ~synthetic & (rows["fields"] == "{}")
    return torch.from_numpy(np.select([free, synthetic], [1, 2], 0).astype(np.int64))


def resampling_weights(targets: Tensor, styles: Tensor, exponent: float) -> Tensor:
    """(cases,) how often each case is drawn, relative to the mean of 1 in its style.

    Proportional to the frequency of the case's first condition in its style to the power of
    -``exponent``. The loss alone (balanced softmax) takes frequencies out of the answer, but a
    condition that is hardly ever seen is hardly ever learned from.

    Args:
        targets: (cases, K) weights; styles: (cases,) from `text_styles`; exponent: 0..1.
    """
    label = targets.argmax(dim=1)
    weights = torch.ones(len(targets))
    for style in styles.unique():
        its = styles == style
        share = torch.bincount(label[its], minlength=targets.shape[1])[label[its]]
        drawn = share.double() ** -exponent
        weights[its] = (drawn / drawn.mean()).float()
    return weights


def style_priors(targets: Tensor, styles: Tensor, smoothing: float) -> Tensor:
    """(styles, K) log frequency of each condition among the cases of each style.

    With one prior for all, a text would be taken for a condition that texts of its style are mostly
    of: the style would be read, and not what it says.

    Args:
        targets: (cases, K) weights; styles: (cases,) from `text_styles`; smoothing: 0..1, the share
            that is spread evenly, so that no condition has a frequency of zero.
    """
    counts = torch.zeros(len(STYLES), targets.shape[1]).index_add(0, styles, targets)
    shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1e-12)
    even = torch.full_like(shares, 1 / targets.shape[1])
    return ((1 - smoothing) * shares + smoothing * even).log()


def train(
    config: TextClassifierConfig, data: Path, out: Path, folder: Path
) -> tuple[TextClassifier, Tokenizer, dict[str, object]]:
    """Train on the texts below ``data`` from the pre-training in ``out``; ``folder`` keeps it all.

    Returns:
        the classifier, its tokenizer, and what there is to say of the run.
    """
    rows = training_cases(config, data)
    texts = read_texts(data, rows)
    targets = torch.from_numpy(soft_targets(rows))  # (cases, K)
    covered = torch.bincount(targets.argmax(dim=1), minlength=len(NAMES)) >= config.min_cases
    targets = targets * covered
    kept = torch.nonzero(targets.sum(dim=1) > 0).squeeze(1)
    targets = targets / targets.sum(dim=1, keepdim=True)
    styles = text_styles(rows)
    weights = resampling_weights(targets[kept], styles[kept], config.resampling)
    priors = style_priors(targets[kept] * weights[:, None], styles[kept], config.smoothing)

    torch.manual_seed(config.loop.seed)
    if config.start not in STARTS:
        raise ValueError(f"got start {config.start!r}, expected one of {', '.join(STARTS)}")
    encoder, tokenizer = text_pretraining.load_encoder(out, config.dropout)
    if config.start == "random":
        settings = text_pretraining.read_config(out)
        encoder = text_pretraining.build_encoder(settings, tokenizer.vocabulary, config.dropout)
    model = TextClassifier(encoder)
    model.head.covered.copy_(covered)

    def batch_loss(module: nn.Module, step: Step) -> Tensor:
        chosen = kept[step.indices]
        token_ids, token_mask = tokenizer(
            [texts[case][int(torch.randint(len(texts[case]), ()))] for case in chosen.tolist()]
        )
        hidden = (torch.rand(token_ids.shape) < config.word_dropout) & token_mask
        token_ids = token_ids.masked_fill(hidden, tokenizer.mask_id)
        logits = module(token_ids.to(step.device), token_mask.to(step.device))
        prior = priors[styles[chosen]].to(step.device)
        return balanced_softmax(logits, targets[chosen].to(step.device), prior)

    lengths = np.array([len(texts[case][0]) for case in kept.tolist()])
    drawn = weighted(weights.numpy().astype(np.float64), config.loop.seed)
    sampler = by_length(drawn, lengths, config.loop.batch_size, config.loop.seed)
    minutes = fit(folder, model, batch_loss, sampler, config.loop)
    save_module(model.encoder, folder / "encoder.safetensors")
    save_module(model.head, folder / "head.safetensors")
    said: dict[str, object] = {
        "minutes": minutes,
        "cases": len(kept),
        "synthetic": int((styles[kept] == STYLES.index("synthetic")).sum()),
        "conditions": [name for name, known in zip(NAMES, covered.tolist(), strict=True) if known],
    }
    return model.eval(), tokenizer, said


def main(config: TextClassifierConfig, data: Path, out: Path) -> dict[str, object]:
    return train(config, data, out, out / NAME)[2]


def read_config(out: Path) -> TextClassifierConfig:
    """The configuration with which this stage was run."""
    settings = read_summary(out, NAME)["config"]
    return TextClassifierConfig(**{**settings, "loop": LoopConfig(**settings["loop"])})


def load_classifier(out: Path) -> tuple[TextClassifier, Tokenizer]:
    """The classifier that this stage trained and its tokenizer, ready to use."""
    encoder, tokenizer = text_pretraining.load_encoder(out)
    model = TextClassifier(encoder)
    load_module(model.encoder, out / NAME / "encoder.safetensors")
    load_module(model.head, out / NAME / "head.safetensors")
    return model.eval(), tokenizer


STAGE = Stage(NAME, main)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
