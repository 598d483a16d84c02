"""Train the tokenizer, and teach the text encoder to fill in hidden words.

    python -m training.masked_language --data runs/first/data --out runs/first

Reads every text of the training split, real, rendered and synthetic, and no label. Masked-language
modelling as in BERT (Devlin et al. 2019, arXiv:1810.04805), from random weights, with the output
layer tied to the embeddings. Writes `masked_language/tokenizer.json` and `encoder.safetensors`.
About 6 minutes with `--preset cpu`; expect the loss to fall from log(vocabulary) to below 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermmm.text_encoder import TextEncoder
from dermmm.tokenizer import Tokenizer
from training.dataset import cases_with_text, read_manifest, read_synthetic, read_texts
from training.loop import LoopConfig, Step, by_length, fit, shuffled
from training.stage import Stage, load_module, read_summary, run_stage, save_module, write_whole

NAME = "masked_language"


@dataclass(frozen=True)
class MaskedLanguageConfig:
    loop: LoopConfig
    vocabulary: int = 3000
    max_tokens: int = 128
    width: int = 192
    layers: int = 6
    heads: int = 6
    dropout: float = 0.1
    hidden: float = 0.15  # share of tokens to predict


class MaskedLanguageModel(nn.Module):
    """The encoder under a layer that names the hidden tokens."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.transform = nn.Sequential(
            nn.Linear(encoder.width, encoder.width), nn.GELU(), nn.LayerNorm(encoder.width)
        )
        self.bias = nn.Parameter(torch.zeros(encoder.tokens.num_embeddings))

    def forward(self, token_ids: Tensor, token_mask: Tensor, hidden: Tensor) -> Tensor:
        """(B, T) ids, mask and hidden places to (hidden tokens, vocabulary) logits."""
        states, _ = self.encoder(token_ids, token_mask)
        return self.transform(states[hidden]) @ self.encoder.tokens.weight.T + self.bias


def hide(
    token_ids: Tensor, token_mask: Tensor, share: float, mask_id: int, vocabulary: int
) -> tuple[Tensor, Tensor]:
    """Choose tokens to predict: of ten, eight become [MASK], one another token, one stays.

    Args:
        token_ids, token_mask: (B, T) as the tokenizer gives them.
        share: of the real tokens, 0..1; at least one of the batch is chosen.

    Returns:
        (B, T) the ids to read, and (B, T) bool, True where a token is to be predicted.
    """
    hidden = (torch.rand(token_ids.shape) < share) & token_mask
    if not hidden.any():
        hidden[0, 0] = True
    how = torch.rand(token_ids.shape)
    read = token_ids.masked_fill(hidden & (how < 0.8), mask_id)
    other = torch.randint(vocabulary, token_ids.shape)
    return torch.where(hidden & (how >= 0.8) & (how < 0.9), other, read), hidden


def build_encoder(config: MaskedLanguageConfig, vocabulary: int, dropout: float) -> TextEncoder:
    """A random encoder of the configured size."""
    return TextEncoder(
        vocabulary, config.width, config.layers, config.heads, config.max_tokens, dropout
    )


def main(config: MaskedLanguageConfig, data: Path, out: Path) -> dict[str, object]:
    rows = cases_with_text(read_manifest(data), "train")
    texts = read_texts(data, rows) + read_texts(data, read_synthetic(data))
    tokenizer = Tokenizer.train(
        (text for variants in texts for text in variants), config.vocabulary, config.max_tokens
    )
    (out / NAME).mkdir(parents=True, exist_ok=True)
    write_whole(out / NAME / "tokenizer.json", tokenizer.to_json())
    torch.manual_seed(config.loop.seed)
    model = MaskedLanguageModel(build_encoder(config, tokenizer.vocabulary, config.dropout))

    def batch_loss(module: nn.Module, step: Step) -> Tensor:
        token_ids, token_mask = tokenizer([draw(texts[case]) for case in step.indices.tolist()])
        read, hidden = hide(
            token_ids, token_mask, config.hidden, tokenizer.mask_id, tokenizer.vocabulary
        )
        logits = module(*(part.to(step.device) for part in (read, token_mask, hidden)))
        return F.cross_entropy(logits.float(), token_ids[hidden].to(step.device))

    lengths = np.array([len(variants[0]) for variants in texts])
    sampler = by_length(
        shuffled(len(texts), config.loop.seed), lengths, config.loop.batch_size, config.loop.seed
    )
    minutes = fit(out / NAME, model, batch_loss, sampler, config.loop)
    save_module(model.encoder, out / NAME / "encoder.safetensors")
    return {"minutes": minutes, "texts": len(texts), "vocabulary": tokenizer.vocabulary}


def draw(wordings: list[str]) -> str:
    """One of the wordings, by torch's random state."""
    return wordings[int(torch.randint(len(wordings), ()))]


def read_config(out: Path) -> MaskedLanguageConfig:
    """The configuration with which this stage was run."""
    settings = read_summary(out, NAME)["config"]
    return MaskedLanguageConfig(**{**settings, "loop": LoopConfig(**settings["loop"])})


def load_encoder(out: Path, dropout: float = 0.0) -> tuple[TextEncoder, Tokenizer]:
    """The encoder and the tokenizer that this stage trained."""
    config = read_config(out)
    text = (out / NAME / "tokenizer.json").read_text(encoding="utf-8")
    tokenizer = Tokenizer.from_json(text, config.max_tokens)
    encoder = build_encoder(config, tokenizer.vocabulary, dropout)
    load_module(encoder, out / NAME / "encoder.safetensors")
    return encoder, tokenizer


STAGE = Stage(NAME, main)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
