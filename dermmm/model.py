"""The whole model: two encoders and the fusion, composed.

Shapes: B batch, N image patches, T tokens, K conditions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dermmm.fusion import FusionOutput, GatedCrossAttention
from dermmm.image_encoder import ImageEncoder, channels_last
from dermmm.text_encoder import TextEncoder


@dataclass(frozen=True)
class ModelConfig:
    """Everything that decides the model's shape. Only `DermModel` takes it; its parts take ints."""

    conditions: int
    vocabulary: int
    image_size: int = 224
    max_tokens: int = 128
    text_width: int = 192
    text_layers: int = 6
    text_heads: int = 6
    fusion_width: int = 192
    fusion_heads: int = 6


class DermModel(nn.Module):
    """Photo and/or description to logits, gate and attention."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = ImageEncoder()
        self.text_encoder = TextEncoder(
            config.vocabulary,
            config.text_width,
            config.text_layers,
            config.text_heads,
            config.max_tokens,
        )
        self.fusion = GatedCrossAttention(
            self.image_encoder.width,
            self.text_encoder.width,
            config.conditions,
            config.fusion_width,
            config.fusion_heads,
        )

    def forward(
        self,
        images: Tensor | None = None,
        token_ids: Tensor | None = None,
        token_mask: Tensor | None = None,
    ) -> FusionOutput:
        """Answer a batch in which every case has the same modalities.

        Args:
            images: (B, 3, H, W) from `dermmm.preprocess.normalise`, or None without photos.
            token_ids, token_mask: (B, T) from `dermmm.tokenizer.Tokenizer`, or None without text.

        Raises:
            ValueError: neither photos nor text were given.
        """
        return self.fuse(*self.encode(images, token_ids, token_mask), token_mask)

    def encode(
        self, images: Tensor | None, token_ids: Tensor | None, token_mask: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Patches (B, N, D) of the photos and states (B, T, D) of the texts, None for None."""
        patches = states = None
        if images is not None:
            patches, _ = self.image_encoder(channels_last(images))
        if token_ids is not None:
            assert token_mask is not None
            states, _ = self.text_encoder(token_ids, token_mask)
        return patches, states

    def fuse(
        self,
        patches: Tensor | None = None,
        states: Tensor | None = None,
        token_mask: Tensor | None = None,
    ) -> FusionOutput:
        """What the model says after its encoders, of a batch that has been encoded already.

        Args:
            patches: (B, N, D) from the image encoder, or None without photos.
            states, token_mask: (B, T, D) from the text encoder and (B, T), or None without text.

        Raises:
            ValueError: neither patches nor states were given.
        """
        given = patches if patches is not None else states
        if given is None:
            raise ValueError("got neither photos nor text; give at least one of them")
        batch, device = given.shape[0], given.device
        present = [torch.full((batch,), it is not None, device=device) for it in (patches, states)]
        if patches is None:
            patches = torch.zeros(batch, 1, self.image_encoder.width, device=device)
        if states is None or token_mask is None:
            states = torch.zeros(batch, 1, self.text_encoder.width, device=device)
            token_mask = torch.ones(batch, 1, dtype=torch.bool, device=device)
        return self.fusion(patches, states, token_mask, *present)
