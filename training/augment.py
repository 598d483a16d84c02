"""Augmentation of whole batches at once, each photo with its own random draw.

One affine map (crop, aspect ratio, flip, rotation) and one colour matrix (brightness, contrast,
saturation, hue) a photo: two tensor operations a batch, on whatever device the batch lies.
Shapes: B batch, P pixels of the packed photo, S pixels of the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dermmm.preprocess import normalise

# RGB <-> YIQ: saturation scales the I and Q axes, hue turns them.
_TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@dataclass(frozen=True)
class Augmentation:
    """How strongly to change a photo. Hue stays small: the colour of skin disease is a finding."""

    scale: tuple[float, float] = (0.35, 1.0)  # share of the photo's area that is kept
    ratio: float = 4 / 3  # the kept part's aspect ratio lies in 1/ratio..ratio
    rotation: float = 20.0  # degrees either way
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.02  # share of a full turn
    grey: float = 0.0  # probability of losing all colour
    blur: float = 0.0  # probability of a blur


SUPERVISED = Augmentation()
# SimCLR (Chen et al. 2020, arXiv:2002.05709) with its colour distortion tamed for skin.
CONTRASTIVE = Augmentation(
    scale=(0.2, 1.0), brightness=0.4, contrast=0.4, saturation=0.4, hue=0.04, grey=0.1, blur=0.3
)


def augment(pixels: Tensor, size: int, how: Augmentation) -> Tensor:
    """Randomly crop, turn, flip and recolour photos.

    Args:
        pixels: (B, P, P, 3) uint8.
        size: S.

    Returns:
        (B, 3, S, S) float32, normalised as `dermmm.preprocess.normalise` does.
    """
    images = normalise(pixels)  # (B, 3, P, P)
    while images.shape[-1] >= 2 * size:
        images = F.avg_pool2d(images, 2)  # bilinear sampling alone would alias
    grid = F.affine_grid(
        _affine(len(images), how).to(images.device), [len(images), 3, size, size], False
    )
    images = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    matrix, offset = _colour(len(images), how)
    images = torch.einsum("bij,bjhw->bihw", matrix.to(images), images)
    images = images + offset.to(images)[:, None, None, None]
    if how.blur > 0:
        amount = torch.rand(len(images)) * (torch.rand(len(images)) < how.blur)
        amount = amount.to(images)[:, None, None, None]
        smooth = F.avg_pool2d(F.pad(images, (2, 2, 2, 2), mode="reflect"), 5, stride=1)
        images = images + amount * (smooth - images)
    return images


def _uniform(count: int, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(count)


def _affine(count: int, how: Augmentation) -> Tensor:
    """(B, 2, 3) maps from the result's coordinates to the photo's, both in -1..1."""
    area = _uniform(count, *how.scale)
    ratio = torch.exp(_uniform(count, -math.log(how.ratio), math.log(how.ratio)))
    width = (area * ratio).sqrt().clamp(max=1)
    height = (area / ratio).sqrt().clamp(max=1)
    shift_x = (1 - width) * _uniform(count, -1, 1)
    shift_y = (1 - height) * _uniform(count, -1, 1)
    flip_x = torch.randint(0, 2, (count,)) * 2 - 1
    flip_y = torch.randint(0, 2, (count,)) * 2 - 1
    angle = _uniform(count, -1, 1) * math.radians(how.rotation)
    cos, sin = angle.cos(), angle.sin()
    row_x = torch.stack([width * flip_x * cos, -width * sin * flip_y, shift_x], dim=1)
    row_y = torch.stack([height * sin * flip_x, height * flip_y * cos, shift_y], dim=1)
    return torch.stack([row_x, row_y], dim=1)


def _colour(count: int, how: Augmentation) -> tuple[Tensor, Tensor]:
    """(B, 3, 3) colour matrices and (B,) offsets for normalised RGB."""
    saturation = 1 + _uniform(count, -how.saturation, how.saturation)
    saturation = saturation * (torch.rand(count) >= how.grey)
    turn = _uniform(count, -how.hue, how.hue) * 2 * math.pi
    cos, sin = saturation * turn.cos(), saturation * turn.sin()
    zero, one = torch.zeros(count), torch.ones(count)
    chroma = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], dim=1)
    matrix = torch.linalg.inv(_TO_YIQ) @ chroma.view(count, 3, 3) @ _TO_YIQ
    contrast = 1 + _uniform(count, -how.contrast, how.contrast)
    brightness = _uniform(count, -how.brightness, how.brightness)
    return matrix * contrast[:, None, None], brightness * 2  # 2: from 0..1 to normalised units
