"""What the whole model says about many manifest rows, with the evaluation preprocessing.

Shapes: B cases, N patches, D the image encoder's width, K conditions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from dermmm.image_encoder import channels_last
from dermmm.model import DermModel
from dermmm.preprocess import to_input
from dermmm.tokenizer import Tokenizer
from training.dataset import read_photo, read_texts

BATCH = 64
MODALITIES = ("image", "text")


@dataclass(frozen=True)
class Answers:
    """Uncalibrated logits (B, K) of the three heads and the gate (B, 2), in the rows' order."""

    image_logits: Tensor
    text_logits: Tensor
    fused_logits: Tensor
    gate: Tensor


@torch.inference_mode()
def encode_photos(model: DermModel, data: Path, photos: Sequence[str]) -> dict[str, Tensor]:
    """The patches (N, D) of each photo, for `answer_rows` to use more than once.

    Args:
        photos: paths relative to ``data``, as in the manifest; one named twice is encoded once.
    """
    named, size = list(dict.fromkeys(photos)), model.config.image_size
    patches: dict[str, Tensor] = {}
    starts = range(0, len(named), BATCH)
    for start in tqdm(starts, desc="photos", unit="batch", leave=False, disable=len(starts) < 2):
        batch = named[start : start + BATCH]
        pixels = torch.cat([to_input(read_photo(data / photo), size) for photo in batch])
        encoded, _ = model.image_encoder(channels_last(pixels))
        patches.update(zip(batch, encoded, strict=True))
    return patches


@torch.inference_mode()
def answer_rows(
    model: DermModel,
    tokenizer: Tokenizer,
    data: Path,
    rows: pd.DataFrame,
    use: Collection[str] = MODALITIES,
    patches: Mapping[str, Tensor] | None = None,
) -> Answers:
    """Answer manifest rows, each with the modalities that it has and ``use`` names.

    With ``patches`` from `encode_photos` no photo is read; every row's must be among them.

    Raises:
        ValueError: a row has none of them.
    """
    has_photo = (rows["photo"] != "").to_numpy() & ("image" in use)
    has_text = (rows["text_path"] != "").to_numpy() & ("text" in use)
    if not (has_photo | has_text).all():
        row_id = rows["id"].to_numpy()[~(has_photo | has_text)][0]
        raise ValueError(f"row {row_id} has none of {', '.join(use)}; leave it out")
    texts = read_texts(data, rows)
    photos = rows["photo"].to_numpy()
    answers: dict[int, tuple[Tensor, ...]] = {}
    for with_photo, with_text in ((True, True), (True, False), (False, True)):
        # A batch must be of one kind: the model decides once what is absent.
        kind = [
            i for i in range(len(rows)) if (has_photo[i], has_text[i]) == (with_photo, with_text)
        ]
        label = " + ".join(
            n for n, given in zip(MODALITIES, (with_photo, with_text), strict=True) if given
        )
        for start in tqdm(range(0, len(kind), BATCH), desc=label, unit="batch", leave=False):
            batch = kind[start : start + BATCH]
            looks = states = token_mask = None
            if with_photo:
                paths = [photos[i] for i in batch]
                known = encode_photos(model, data, paths) if patches is None else patches
                looks = torch.stack([known[path] for path in paths])
            if with_text:
                token_ids, token_mask = tokenizer([texts[i][0] for i in batch])
                states, _ = model.text_encoder(token_ids, token_mask)
            output = model.fuse(looks, states, token_mask)
            for place, i in enumerate(batch):
                answers[i] = (
                    output.image_logits[place],
                    output.text_logits[place],
                    output.fused_logits[place],
                    output.gate[place],
                )
    ordered = [answers[i] for i in range(len(rows))]
    return Answers(*(torch.stack(column) for column in zip(*ordered, strict=True)))
