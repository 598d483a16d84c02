"""A six-layer pre-norm Transformer encoder (Vaswani et al. 2017, arXiv:1706.03762).

Shapes: B batch, T tokens, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TextEncoder(nn.Module):
    """Token ids to token states and one pooled vector."""

    def __init__(
        self,
        vocabulary: int,
        width: int = 192,
        layers: int = 6,
        heads: int = 6,
        max_tokens: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.width = width
        self.max_tokens = max_tokens
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.zeros(max_tokens, width))
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.02)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            width,
            heads,
            dim_feedforward=4 * width,
            dropout=dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(
            layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )

    def forward(self, token_ids: Tensor, token_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a batch of descriptions.

        Args:
            token_ids: (B, T) int64 with T <= ``max_tokens``.
            token_mask: (B, T) bool, True at real tokens; every row has at least one.

        Returns:
            states (B, T, D) and pooled (B, D), the mean of the states over real tokens.
        """
        states = self.dropout(self.tokens(token_ids) + self.positions[: token_ids.shape[1]])
        states = self.layers(states, src_key_padding_mask=~token_mask)  # (B, T, D)
        return states, masked_mean(states, token_mask)


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean over dim 1 of ``states`` (B, T, D) where ``mask`` (B, T) is True: (B, D)."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
