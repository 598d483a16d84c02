"""EfficientNet-B0 (Tan & Le 2019, arXiv:1905.11946) as a grid of patch vectors.

Shapes: B batch, H x W pixels, N = (H/32) * (W/32) patches, D = 1280 channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dermmm.torchvision_import import torchvision_models

WIDTH = 1280
STRIDE = 32


class ImageEncoder(nn.Module):
    """Photo to patch vectors. The weights start at random: nothing pretrained is ever loaded."""

    width = WIDTH

    def __init__(self, stochastic_depth: float = 0.2) -> None:
        super().__init__()
        self.features = (
            torchvision_models()
            .efficientnet_b0(weights=None, stochastic_depth_prob=stochastic_depth)
            .features.to(memory_format=torch.channels_last)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a batch of photos.

        Args:
            images: (B, 3, H, W) float, normalised by `dermmm.preprocess.normalise`.

        Returns:
            patches (B, N, D) in row-major order of the (H/32, W/32) grid, and pooled (B, D).
        """
        grid = self.features(images)  # (B, D, H/32, W/32)
        patches = grid.flatten(2).transpose(1, 2)  # (B, N, D)
        return patches, patches.mean(dim=1)


def grid_side(image_size: int) -> int:
    """Cells along one side of the patch grid for a square photo of ``image_size`` pixels."""
    return -(-image_size // STRIDE)


def channels_last(images: Tensor) -> Tensor:
    """The memory layout in which convolutions are fastest on CPU and on tensor cores."""
    return images.contiguous(memory_format=torch.channels_last)
