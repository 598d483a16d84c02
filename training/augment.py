"""Augmentation of whole batches at once, each photo with its own random draw.

One affine map (crop, aspect ratio, flip, rotation) and one colour matrix (brightness, contrast,
saturation, hue) a photo: two tensor operations a batch, on whatever device the batch lies.
Shapes: B batch, P pixels of the packed photo, S pixels of the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dermmm.preprocess import normalise
from dermmm.torchvision_import import torchvision_models

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
    style: float = 0.0  # probability of each trace of another camera or website; see `restyle`


SUPERVISED = Augmentation(style=0.15)
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
    with torch.autocast(pixels.device.type, enabled=False):  # full precision: pixels, not features
        return _augment(pixels, size, how)


def _augment(pixels: Tensor, size: int, how: Augmentation) -> Tensor:
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
    return restyle(images, how.style) if how.style > 0 else images


def restyle(images: Tensor, share: float) -> Tensor:
    """Give photos the traces of another camera, clinic or website.

    Conditions come mostly from one source each, so a model can read the source instead of the skin.
    Each photo gets each of these with probability ``share``, by its own draw: fewer pixels, JPEG
    blocks, another white balance, dark corners, a plain border or banner.

    Args:
        images: (B, 3, S, S) normalised, S a multiple of 8.
    """
    batch, _, size, _ = images.shape

    def chosen() -> Tensor:
        return (torch.rand(batch) < share).to(images.device)

    few = max(8, int(size * float(_uniform(1, 0.35, 0.8))))
    coarse = F.interpolate(images, size=(few, few), mode="bilinear", antialias=True)
    coarse = F.interpolate(coarse, size=(size, size), mode="bilinear")
    images = torch.where(chosen()[:, None, None, None], coarse, images)
    who = chosen()
    if who.any():
        images = images.index_put((who,), _jpeg(images[who], _uniform(int(who.sum()), 0.04, 0.25)))
    gain = 1 + chosen()[:, None].cpu() * _uniform(3 * batch, -0.12, 0.12).view(batch, 3)
    images = (images + 1) * gain.to(images)[
        :, :, None, None
    ] - 1  # light multiplies 0..2, not -1..1
    across = torch.linspace(-1, 1, size)
    corner = (across[:, None] ** 2 + across[None, :] ** 2) / 2  # 0 in the middle, 1 in the corners
    dark = chosen().cpu() * _uniform(batch, 0.2, 0.8)
    images = (images + 1) * (1 - dark[:, None, None] * corner).to(images)[:, None] - 1
    place = torch.arange(size)
    low, high = (_uniform(4 * batch, 0, 0.12) * size * chosen().cpu().repeat(4)).view(2, 2, batch)
    inside = [(place >= low[i, :, None]) & (place < size - high[i, :, None]) for i in range(2)]
    frame = ~(inside[0][:, :, None] & inside[1][:, None, :])  # (B, S, S)
    shade = torch.where(torch.rand(batch) < 0.5, -1.0, 1.0)[:, None, None, None]
    return torch.where(frame[:, None].to(images.device), shade.to(images), images)


def trivial_augment() -> Callable[[Tensor], Tensor]:
    """TrivialAugment (arXiv:2103.10158): one change of random strength, on a uint8 (3, P, P)."""
    torchvision_models()  # let the guarded import of torchvision go first
    from torchvision.transforms import v2

    return v2.TrivialAugmentWide()


def _jpeg(images: Tensor, step: Tensor) -> Tensor:
    """What coarse JPEG leaves: 8 x 8 cosine blocks (B, 3, S, S) rounded to steps of (B,)."""
    k = torch.arange(8.0)
    basis = torch.cos((2 * k[None, :] + 1) * k[:, None] * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)  # orthonormal rows: the DCT-II of JPEG (ITU-T T.81, A.3.3)
    basis = basis.to(images)
    batch, _, size, _ = images.shape
    blocks = images.view(batch, 3, size // 8, 8, size // 8, 8).permute(0, 1, 2, 4, 3, 5)
    waves = basis @ blocks @ basis.T
    steps = step.to(images).view(-1, 1, 1, 1, 1, 1) * (1 + k[:, None] + k[None, :]).to(images)
    rounded = (waves / steps).round() * steps
    rounded[..., 0, 0] = waves[..., 0, 0]  # the blocks' mean colour stays
    return (basis.T @ rounded @ basis).permute(0, 1, 2, 4, 3, 5).reshape(images.shape)


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
