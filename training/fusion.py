"""Train the gated cross-attention on frozen encoders.

    python -m training.fusion --data runs/first/data --out runs/first

A case is a true pair, a pseudo-pair from `training.pairing`, a photo alone or a text alone. Pairs
lose a modality at random (modality dropout), so that the model learns to do without either. The
encoders and their two heads stay as the earlier stages left them. Patches are computed once;
about 5 minutes with `--preset cpu`. Writes `fusion/fusion.safetensors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from dermmm.conditions import NAMES
from dermmm.model import DermModel, ModelConfig
from dermmm.tokenizer import Tokenizer
from training import image_classifier, text_classifier, text_pretraining
from training.dataset import (
    pack_photos,
    read_manifest,
    read_synthetic,
    read_texts,
    soft_targets,
)
from training.features import photo_patches
from training.loop import LoopConfig, Step, fit, shuffled
from training.objectives import balanced_softmax, log_prior
from training.stage import Stage, load_module, read_summary, run_stage, save_module

NAME = "fusion"
PLACEHOLDER = "."  # stands where a text is absent; masked, so never read


@dataclass(frozen=True)
class FusionConfig:
    loop: LoopConfig
    image_size: int
    rule: str = "quantile"  # which pseudo-pairs of training.pairing to use, or "none"
    drop_image: float = 0.2  # share of pairs that lose their photo
    drop_text: float = 0.2  # share of pairs that lose their text
    width: int = 192
    heads: int = 6


def build_model(config: FusionConfig, out: Path) -> tuple[DermModel, Tokenizer]:
    """The whole model with the trained encoders and heads, and a fusion that is still random."""
    photos = image_classifier.load_classifier(out)
    texts, tokenizer = text_classifier.load_classifier(out)
    settings = text_pretraining.read_config(out)
    model = DermModel(
        ModelConfig(
            conditions=len(NAMES),
            vocabulary=tokenizer.vocabulary,
            image_size=config.image_size,
            max_tokens=settings.max_tokens,
            text_width=settings.width,
            text_layers=settings.layers,
            text_heads=settings.heads,
            fusion_width=config.width,
            fusion_heads=config.heads,
        )
    )
    model.image_encoder.load_state_dict(photos.encoder.state_dict())
    model.text_encoder.load_state_dict(texts.encoder.state_dict())
    model.fusion.image_head.load_state_dict(photos.head.state_dict())
    model.fusion.text_head.load_state_dict(texts.head.state_dict())
    return model, tokenizer


def load_model(out: Path) -> tuple[DermModel, Tokenizer]:
    """The whole model as this stage left it."""
    settings = read_summary(out, NAME)["config"]
    config = FusionConfig(**{**settings, "loop": LoopConfig(**settings["loop"])})
    model, tokenizer = build_model(config, out)
    load_module(model.fusion, out / NAME / "fusion.safetensors")
    return model.eval(), tokenizer


def training_cases(train: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Which photo goes with which text.

    Args:
        train: manifest rows of the training split that have a condition, and the synthetic rows
            that a pair names, indexed from 0.
        pairs: pseudo-pairs (row ids); a photo that is in one is not used alone as well.

    Returns:
        a table with the columns photo and text (positions in ``train``, or -1), row (the position
        whose label counts) and kind.
    """
    position = {row_id: index for index, row_id in enumerate(train["id"])}
    here = np.arange(len(train))
    own = pd.DataFrame(
        {
            "photo": np.where(train["photo"] != "", here, -1),
            "text": np.where(train["text_path"] != "", here, -1),
            "row": here,
        }
    )
    own["kind"] = np.select(
        [own["text"] < 0, own["photo"] < 0], ["photo alone", "text alone"], "true pair"
    )
    own = own[~train["id"].isin({*pairs["photo"]})]
    own = own[(own["photo"] >= 0) | (own["text"] >= 0)]  # a synthetic text is there for its pair
    photo = np.array([position[row_id] for row_id in pairs["photo"]], dtype=np.int64)
    text = np.array([position[row_id] for row_id in pairs["text"]], dtype=np.int64)
    pseudo = pd.DataFrame({"photo": photo, "text": text, "row": photo, "kind": "pseudo-pair"})
    return pd.concat([own, pseudo], ignore_index=True)


def main(config: FusionConfig, data: Path, out: Path) -> dict[str, object]:
    manifest = read_manifest(data)
    train = manifest[(manifest["split"] == "train") & (manifest["condition"] != "")]
    pairs = pd.read_csv(data / "synthetic" / "pairs.csv", dtype=str)
    synthetic = read_synthetic(data)
    paired = synthetic[synthetic["id"].isin(pairs["text"])]  # the others stay unread here
    train = pd.concat([train, paired], ignore_index=True).fillna("")
    cases = training_cases(train, pairs[pairs["rule"] == config.rule])
    photo_of, text_of, row_of = (cases[name].to_numpy() for name in ("photo", "text", "row"))
    targets = torch.from_numpy(soft_targets(train))[row_of]
    prior = log_prior(targets.sum(dim=0))

    torch.manual_seed(config.loop.seed)
    model, tokenizer = build_model(config, out)
    model.requires_grad_(False)
    with_photo = train[train["photo"] != ""]
    place = np.full(len(train) + 1, -1)  # the last place answers -1, a case without photo
    place[with_photo.index] = np.arange(len(with_photo))
    packed = pack_photos(data, list(with_photo["photo"]), config.image_size, out / "cache")
    patches = photo_patches(
        model.image_encoder, packed, "photo patches", out / "cache" / "patches.npy"
    )
    texts = read_texts(data, train)
    model.text_encoder.eval()

    def batch_loss(module: nn.Module, step: Step) -> Tensor:
        photo, text = photo_of[step.indices], text_of[step.indices]
        drop = torch.rand(len(photo)).numpy()
        both = (photo >= 0) & (text >= 0)
        photo = np.where(both & (drop < config.drop_image), -1, photo)
        text = np.where(both & (drop > 1 - config.drop_text), -1, text)
        image_present, text_present = torch.from_numpy(photo >= 0), torch.from_numpy(text >= 0)
        looks = np.zeros((len(photo), *patches.shape[1:]), np.float32)
        looks[photo >= 0] = patches[place[photo[photo >= 0]]]
        wordings = [
            texts[case][int(torch.randint(len(texts[case]), ()))] if case >= 0 else PLACEHOLDER
            for case in text.tolist()
        ]
        token_ids, token_mask = (part.to(step.device) for part in tokenizer(wordings))
        with torch.no_grad():
            states, _ = model.text_encoder.to(step.device)(token_ids, token_mask)
        output = module(
            torch.from_numpy(looks).to(step.device),
            states,
            token_mask,
            image_present.to(step.device),
            text_present.to(step.device),
        )
        chosen = targets[step.indices].to(step.device)
        return balanced_softmax(output.fused_logits, chosen, prior.to(step.device))

    # The heads stay frozen: they are what the other two answers are made of.
    model.fusion.requires_grad_(True)
    model.fusion.image_head.requires_grad_(False)
    model.fusion.text_head.requires_grad_(False)
    sampler = shuffled(len(cases), config.loop.seed)
    minutes = fit(out / NAME, model.fusion, batch_loss, sampler, config.loop)
    save_module(model.fusion, out / NAME / "fusion.safetensors")
    kinds = cases["kind"].value_counts()
    return {"minutes": minutes, "cases": {str(kind): int(n) for kind, n in kinds.items()}}


STAGE = Stage(NAME, main)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
