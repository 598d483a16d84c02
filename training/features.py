"""Run frozen encoders over many photos or texts.

Shapes: P photos, V views of each, S pixels, N patches, D width, K conditions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from dermmm.image_encoder import ImageEncoder, grid_side
from dermmm.preprocess import normalise
from dermmm.tokenizer import Tokenizer
from training.dataset import pack_photos, write_array
from training.degrade import poor_view
from training.stage import processes
from training.text_classifier import TextClassifier

BATCH = 64


def photo_patches(encoder: ImageEncoder, photos: np.ndarray, name: str) -> np.ndarray:
    """Encode packed photos (P, S, S, 3) to patches (P, N, D) float16."""
    encoder.eval()
    patches = np.empty(_shape(encoder, photos), np.float16)
    for start in tqdm(range(0, len(photos), BATCH), desc=name, unit="batch"):
        patches[start : start + BATCH] = _encode(encoder, photos[start : start + BATCH])
    return patches


def cached_patches(
    encoder: ImageEncoder,
    data: Path,
    photos: Sequence[str],
    size: int,
    cache: Path,
    views: int = 0,
    seed: int = 0,
) -> np.ndarray:
    """Patches of photos as they are, and of poor views of them, encoded once for a set of weights.

    Args:
        photos: paths relative to ``data``; size: S; cache: the folder that keeps the result.
        views: how many views `training.degrade.poor_view` makes of each photo.
        seed: decides the views, with the photo's place in the list.

    Returns:
        (P, 1 + V, N, D) float16, mapped from a file; view 0 is the photo itself.
    """
    packed = pack_photos(data, photos, size, cache)
    assert isinstance(packed, np.memmap)  # its name stands for the photos and their size
    key = hashlib.sha256(f"{Path(str(packed.filename)).name} {views} {seed}".encode())
    for tensor in encoder.state_dict().values():
        key.update(tensor.contiguous().numpy().tobytes())
    path = cache / f"patches-{size}-{key.hexdigest()[:16]}.npy"
    with processes().main_process_first():  # the others find it done
        if not path.is_file():
            encoder.eval()
            count, *rest = _shape(encoder, packed)

            def encoded(start: int) -> np.ndarray:
                """(B, 1 + V, N, D) of the photos from ``start`` on."""
                pixels = packed[start : start + BATCH]
                looks = [pixels]
                for view in range(1, 1 + views):
                    shown = [
                        poor_view(photo, np.random.default_rng([seed, view, start + place]))
                        for place, photo in enumerate(pixels)
                    ]
                    looks.append(np.stack(shown))
                return np.stack([_encode(encoder, look) for look in looks], axis=1)

            starts = tqdm(range(0, count, BATCH), desc="photo patches", unit="batch")
            write_array(path, (count, 1 + views, *rest), np.float16, map(encoded, starts))
    return np.load(path, mmap_mode="r")


def _shape(encoder: ImageEncoder, photos: np.ndarray) -> tuple[int, int, int]:
    return len(photos), grid_side(photos.shape[1]) ** 2, encoder.width


@torch.inference_mode()
def _encode(encoder: ImageEncoder, pixels: np.ndarray) -> np.ndarray:
    """(B, S, S, 3) uint8 to (B, N, D) float32."""
    with torch.autocast("cpu", torch.bfloat16):
        encoded, _ = encoder(normalise(torch.from_numpy(np.array(pixels))))
    return encoded.float().numpy()


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
