"""Run frozen encoders over many photos or texts. Shapes: N patches, D width, K conditions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from dermmm.image_encoder import ImageEncoder, grid_side
from dermmm.preprocess import normalise
from dermmm.tokenizer import Tokenizer
from training.text_classifier import TextClassifier

BATCH = 64


@torch.inference_mode()
def photo_patches(
    encoder: ImageEncoder, photos: np.ndarray, name: str, path: Path | None = None
) -> np.ndarray:
    """Encode packed photos (P, S, S, 3) to patches (P, N, D) float16.

    With ``path`` the result lies in that file, memory-mapped, instead of in memory.
    """
    shape = (len(photos), grid_side(photos.shape[1]) ** 2, encoder.width)
    patches = (
        np.empty(shape, np.float16)
        if path is None
        else np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    )
    encoder.eval()
    for start in tqdm(range(0, len(photos), BATCH), desc=name, unit="batch"):
        pixels = torch.from_numpy(np.asarray(photos[start : start + BATCH]))
        with torch.autocast("cpu", torch.bfloat16):
            encoded, _ = encoder(normalise(pixels))
        patches[start : start + BATCH] = encoded.float().numpy()
    return patches


@torch.inference_mode()
def text_logits(
    model: TextClassifier, tokenizer: Tokenizer, texts: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Encode texts to logits (texts, K), -inf where not covered, and pooled vectors (texts, D)."""
    logits, pooled = [], []
    for start in range(0, len(texts), BATCH):
        _, vector = model.encoder(*tokenizer(texts[start : start + BATCH]))
        pooled.append(vector.numpy())
        logits.append(model.head(vector).numpy())
    return np.concatenate(logits), np.concatenate(pooled)
