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
    # Cases added to each condition's count in the prior. Few let a condition that real texts hardly
    # have be answered from real-sounding text as readily as any other; many make it rarer there.
    smoothing: float = 150.0
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


def resampling_weights(targets: Tensor, is_synthetic: Tensor, exponent: float) -> Tensor:
    """(cases,) how often each case is drawn, relative to the mean of 1 in its domain.

    Proportional to the frequency of the case's first condition in its domain, real or synthetic, to
    the power of -``exponent``. The loss alone (balanced softmax) takes frequencies out of the
    answer, but a condition that is hardly ever seen is hardly ever learned from.

    Args:
        targets: (cases, K) weights; is_synthetic: (cases,) bool; exponent: 0..1.
    """
    label = targets.argmax(dim=1)
    weights = torch.ones(len(targets))
    for domain in (is_synthetic, ~is_synthetic):
        if domain.any():
            share = torch.bincount(label[domain], minlength=targets.shape[1])[label[domain]]
            drawn = share.double() ** -exponent
            weights[domain] = (drawn / drawn.mean()).float()
    return weights


def domain_priors(targets: Tensor, is_synthetic: Tensor, smoothing: float) -> Tensor:
    """(2, K) log frequency of each condition among real and among synthetic cases.

    Synthetic texts come equally from every condition, real ones do not. With one prior for both, a
    text that reads like a real one would be taken for a condition that real texts are mostly of.

    Args:
        targets: (cases, K) weights; is_synthetic: (cases,) bool; smoothing: > 0, so that no
            condition has a frequency of zero.
    """
    counts = torch.stack([targets[~is_synthetic].sum(dim=0), targets[is_synthetic].sum(dim=0)])
    counts = counts + smoothing
    return (counts / counts.sum(dim=1, keepdim=True)).log()


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
    domain = torch.tensor((rows["source"] == "synthetic").tolist())  # True where synthetic
    weights = resampling_weights(targets[kept], domain[kept], config.resampling)
    priors = domain_priors(targets[kept] * weights[:, None], domain[kept], config.smoothing)

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
        prior = priors[domain[chosen].long()].to(step.device)
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
        "synthetic": int(domain[kept].sum()),
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
