"""Train the tokenizer, and teach the text encoder to read before it learns any condition.

    python -m training.text_pretraining --data runs/first/data --out runs/first

Reads every text of the training split, real, rendered and synthetic, and no label. Two tasks from
random weights: fill in hidden words (masked-language modelling as in BERT, Devlin et al. 2019,
arXiv:1810.04805, the output layer tied to the embeddings), and name the facts that a text was
rendered from, which the renderer and the grammar know. Writes `text_pretraining/tokenizer.json` and
`encoder.safetensors`. 15 minutes with `--preset cpu` on one busy core.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.feature_extraction import DictVectorizer
from torch import Tensor, nn
from torch.nn import functional as F

from dermmm import checkpoint
from dermmm.text_encoder import TextEncoder
from dermmm.tokenizer import Tokenizer
from training.dataset import cases_with_text, read_manifest, read_synthetic, read_texts
from training.loop import LoopConfig, Step, by_length, fit, shuffled
from training.stage import Stage, load_module, read_summary, run_stage, save_module, write_whole
from training.unstructure import facts_as_features, mentioned_in

NAME = "text_pretraining"


@dataclass(frozen=True)
class TextPretrainingConfig:
    loop: LoopConfig
    vocabulary: int = 4000  # what training.tokenizer_comparison chose
    max_tokens: int = 128
    width: int = 128
    layers: int = 6
    heads: int = 4
    dropout: float = 0.1
    hidden: float = 0.15  # share of tokens to predict
    facts: float = 1.0  # weight of the second task; 0 leaves it out


class Reader(nn.Module):
    """The encoder under a layer that names hidden tokens and one that names facts."""

    def __init__(self, encoder: TextEncoder, facts: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.transform = nn.Sequential(
            nn.Linear(encoder.width, encoder.width), nn.GELU(), nn.LayerNorm(encoder.width)
        )
        self.bias = nn.Parameter(torch.zeros(encoder.tokens.num_embeddings))
        self.facts = nn.Linear(encoder.width, facts)

    def forward(
        self, token_ids: Tensor, token_mask: Tensor, hidden: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, T) ids, mask and hidden places to (hidden tokens, vocabulary) and (B, F) logits."""
        states, pooled = self.encoder(token_ids, token_mask)
        words = self.transform(states[hidden]) @ self.encoder.tokens.weight.T + self.bias
        return words, self.facts(pooled)


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


def facts_told(rows: pd.DataFrame, texts: list[list[str]]) -> list[list[dict[str, float]]]:
    """For each wording of each row the facts that it says, {} where nobody knows them.

    Args:
        rows: as `read_manifest` and `read_synthetic` give them; texts: their wordings.
    """
    told: list[list[dict[str, float]]] = []
    cells = rows[["id", "source", "fields", "findings"]].itertuples(index=False)
    for (name, source, fields, findings), wordings in zip(cells, texts, strict=True):
        if findings:
            told.append([dict.fromkeys(findings.split("; "), 1.0)])
        elif fields != "{}":
            said = mentioned_in(name, source, fields, len(wordings))
            told.append([facts_as_features(facts) for facts, _ in said])
        else:
            told.append([{} for _ in wordings])
    return told


def facts_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross entropy over facts (B, F) for each fact that is told, texts without any apart.

    Dividing by the told ones and not by all keeps the task from drowning in what is not told.
    """
    known = targets.any(dim=1)
    if not known.any():
        return logits.sum() * 0.0
    loss = F.binary_cross_entropy_with_logits(logits[known], targets[known], reduction="sum")
    return loss / targets[known].sum().clamp(min=1)


def build_encoder(config: TextPretrainingConfig, vocabulary: int, dropout: float) -> TextEncoder:
    """A random encoder of the configured size."""
    return TextEncoder(
        vocabulary, config.width, config.layers, config.heads, config.max_tokens, dropout
    )


def main(config: TextPretrainingConfig, data: Path, out: Path) -> dict[str, object]:
    real = cases_with_text(read_manifest(data), "train")
    rows = pd.concat([real.assign(findings=""), read_synthetic(data)], ignore_index=True)
    rows = rows.fillna("")
    texts = read_texts(data, rows)
    tokenizer = Tokenizer.train(
        (text for variants in texts for text in variants), config.vocabulary, config.max_tokens
    )
    (out / NAME).mkdir(parents=True, exist_ok=True)
    write_whole(out / NAME / "tokenizer.json", tokenizer.to_json())

    told = facts_told(rows, texts)
    vectorizer = DictVectorizer(dtype=np.float32)
    # Present or not: the decade says enough of an age.
    facts = vectorizer.fit_transform([one for variants in told for one in variants]).sign().tocsr()
    first = np.cumsum([0, *(len(variants) for variants in texts)])  # a row's first wording
    torch.manual_seed(config.loop.seed)
    encoder = build_encoder(config, tokenizer.vocabulary, config.dropout)
    model = Reader(encoder, facts.shape[1])

    def batch_loss(module: nn.Module, step: Step) -> Tensor:
        drawn = [int(torch.randint(len(texts[case]), ())) for case in step.indices.tolist()]
        wordings = [
            texts[case][which] for case, which in zip(step.indices.tolist(), drawn, strict=True)
        ]
        token_ids, token_mask = tokenizer(wordings)
        read, hidden = hide(
            token_ids, token_mask, config.hidden, tokenizer.mask_id, tokenizer.vocabulary
        )
        words, named = module(*(part.to(step.device) for part in (read, token_mask, hidden)))
        targets = torch.from_numpy(facts[first[step.indices] + drawn].toarray()).to(step.device)
        loss = F.cross_entropy(words.float(), token_ids[hidden].to(step.device))
        return loss + config.facts * facts_loss(named.float(), targets)

    lengths = np.array([len(variants[0]) for variants in texts])
    sampler = by_length(
        shuffled(len(texts), config.loop.seed), lengths, config.loop.batch_size, config.loop.seed
    )
    minutes = fit(out / NAME, model, batch_loss, sampler, config.loop)
    save_module(model.encoder, out / NAME / "encoder.safetensors")
    return {
        "minutes": minutes,
        "texts": len(texts),
        "vocabulary": tokenizer.vocabulary,
        "facts": facts.shape[1],
    }


def read_config(out: Path) -> TextPretrainingConfig:
    """The configuration with which this stage was run."""
    settings = read_summary(out, NAME)["config"]
    return TextPretrainingConfig(**{**settings, "loop": LoopConfig(**settings["loop"])})


def load_encoder(out: Path, dropout: float = 0.0) -> tuple[TextEncoder, Tokenizer]:
    """The encoder and the tokenizer that this stage trained."""
    config = read_config(out)
    text = (out / NAME / "tokenizer.json").read_text(encoding="utf-8")
    tokenizer = Tokenizer.from_json(text, config.max_tokens)
    encoder = build_encoder(config, tokenizer.vocabulary, dropout)
    load_module(encoder, out / NAME / "encoder.safetensors")
    return encoder, tokenizer


def take_from(folder: Path) -> Stage:
    """This stage for a run that goes on from the text encoder of a published checkpoint.

    Its tokenizer stays, and the encoder has learned conditions already: what follows is one more
    round. The checkpoint holds half precision.
    """

    def take(config: TextPretrainingConfig, data: Path, out: Path) -> dict[str, object]:
        loaded = checkpoint.load(folder)
        model = loaded.model
        has = {
            "max_tokens": model.config.max_tokens,
            "width": model.config.text_width,
            "layers": model.config.text_layers,
            "heads": model.config.text_heads,
        }
        for name, got in has.items():
            if got != getattr(config, name):
                raise ValueError(
                    f"{folder} has {name} {got}, the preset {getattr(config, name)}; choose a "
                    "preset of the same size, or train from random weights"
                )
        write_whole(out / NAME / "tokenizer.json", loaded.tokenizer.to_json())
        save_module(model.text_encoder, out / NAME / "encoder.safetensors")
        return {"taken_from": loaded.sha256, "vocabulary": loaded.tokenizer.vocabulary}

    return Stage(NAME, take)


STAGE = Stage(NAME, main)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
