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
        if images is None and token_ids is None:
            raise ValueError("got neither photos nor text; give at least one of them")
        given = images if images is not None else token_ids
        assert given is not None
        batch, device = given.shape[0], given.device
        if images is not None:
            patches, _ = self.image_encoder(channels_last(images))
        else:
            patches = torch.zeros(batch, 1, self.image_encoder.width, device=device)
        if token_ids is not None:
            assert token_mask is not None
            states, _ = self.text_encoder(token_ids, token_mask)
        else:
            states = torch.zeros(batch, 1, self.text_encoder.width, device=device)
            token_mask = torch.ones(batch, 1, dtype=torch.bool, device=device)
        return self.fusion(
            patches,
            states,
            token_mask,
            torch.full((batch,), images is not None, device=device),
            torch.full((batch,), token_ids is not None, device=device),
        )
