"""Train the tokenizer and the text encoder on the texts of the training split.

    python -m training.text_classifier --data runs/first/data --out runs/first

Cross entropy against the annotators' weights (balanced softmax), a random wording of each case at
every draw, word dropout, warm-up and cosine. Writes `text_classifier/tokenizer.json`,
`encoder.safetensors` and `head.safetensors`. About 5 minutes with `--preset cpu`.
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
from training.dataset import read_manifest, read_texts, soft_targets
from training.loop import LoopConfig, Step, by_length, fit
from training.objectives import balanced_softmax, log_prior
from training.stage import Stage, load_module, read_summary, run_stage, save_module, write_whole

NAME = "text_classifier"


@dataclass(frozen=True)
class TextClassifierConfig:
    loop: LoopConfig
    vocabulary: int = 3000
    max_tokens: int = 128
    width: int = 192
    layers: int = 6
    heads: int = 6
    dropout: float = 0.2
    word_dropout: float = 0.1  # share of tokens hidden behind [MASK]
    # A condition with fewer training cases than this stays out of the text head: it would answer
    # for a condition that it has hardly read about.
    min_cases: int = 5


class TextClassifier(nn.Module):
    """The text encoder under the head that the fused model will use."""

    def __init__(self, config: TextClassifierConfig, vocabulary: int) -> None:
        super().__init__()
        self.encoder = TextEncoder(
            vocabulary, config.width, config.layers, config.heads, config.max_tokens, config.dropout
        )
        self.head = ModalityHead(config.width, len(NAMES))

    def forward(self, token_ids: Tensor, token_mask: Tensor) -> Tensor:
        """(B, T) ids and mask to (B, K) logits."""
        _, pooled = self.encoder(token_ids, token_mask)
        return self.head(pooled)


def cases_with_text(manifest: pd.DataFrame, split: str) -> pd.DataFrame:
    """The cases of a split that have a condition and a description.

    Both photos of a lesion carry the same facts: one row a lesion stands for its description.
    """
    chosen = manifest[
        (manifest["split"] == split) & (manifest["condition"] != "") & (manifest["text_path"] != "")
    ]
    told_before = (chosen["fields"] != "{}") & chosen.duplicated(["group", "fields"])
    told_before |= (chosen["fields"] == "{}") & chosen.duplicated(["group"])
    return chosen[~told_before]


def main(config: TextClassifierConfig, data: Path, out: Path) -> dict[str, object]:
    rows = cases_with_text(read_manifest(data), "train")
    texts = read_texts(data, rows)
    targets = torch.from_numpy(soft_targets(rows))  # (cases, K)
    covered = torch.bincount(targets.argmax(dim=1), minlength=len(NAMES)) >= config.min_cases
    targets = targets * covered
    kept = torch.nonzero(targets.sum(dim=1) > 0).squeeze(1)
    targets = targets / targets.sum(dim=1, keepdim=True)
    prior = log_prior(targets[kept].sum(dim=0))

    tokenizer = Tokenizer.train(
        (text for variants in texts for text in variants), config.vocabulary, config.max_tokens
    )
    (out / NAME).mkdir(parents=True, exist_ok=True)
    write_whole(out / NAME / "tokenizer.json", tokenizer.to_json())
    mask_id = tokenizer.mask_id
    torch.manual_seed(config.loop.seed)
    model = TextClassifier(config, tokenizer.vocabulary)
    model.head.covered.copy_(covered)

    def batch_loss(module: nn.Module, step: Step) -> Tensor:
        chosen = kept[step.indices]
        wordings = [texts[case][_draw(len(texts[case]))] for case in chosen.tolist()]
        token_ids, token_mask = tokenizer(wordings)
        hidden = (torch.rand(token_ids.shape) < config.word_dropout) & token_mask
        token_ids = token_ids.masked_fill(hidden, mask_id)
        logits = module(token_ids.to(step.device), token_mask.to(step.device))
        return balanced_softmax(logits, targets[chosen].to(step.device), prior.to(step.device))

    lengths = np.array([len(texts[case][0]) for case in kept.tolist()])
    sampler = by_length(lengths, config.loop.batch_size, config.loop.seed)
    minutes = fit(out / NAME, model, batch_loss, sampler, config.loop)
    save_module(model.encoder, out / NAME / "encoder.safetensors")
    save_module(model.head, out / NAME / "head.safetensors")
    return {
        "minutes": minutes,
        "cases": len(kept),
        "vocabulary": tokenizer.vocabulary,
        "conditions": [name for name, known in zip(NAMES, covered.tolist(), strict=True) if known],
    }


def read_config(out: Path) -> TextClassifierConfig:
    """The configuration with which this stage was run."""
    settings = read_summary(out, NAME)["config"]
    return TextClassifierConfig(**{**settings, "loop": LoopConfig(**settings["loop"])})


def load_classifier(out: Path) -> tuple[TextClassifier, Tokenizer]:
    """The classifier and the tokenizer that this stage trained, ready to use."""
    config = read_config(out)
    text = (out / NAME / "tokenizer.json").read_text(encoding="utf-8")
    tokenizer = Tokenizer.from_json(text, config.max_tokens)
    model = TextClassifier(config, tokenizer.vocabulary)
    load_module(model.encoder, out / NAME / "encoder.safetensors")
    load_module(model.head, out / NAME / "head.safetensors")
    return model.eval(), tokenizer


def _draw(count: int) -> int:
    return int(torch.randint(count, ()))


STAGE = Stage(NAME, main)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
