"""A six-layer pre-norm Transformer encoder (Vaswani et al. 2017, arXiv:1706.03762).

Shapes: B batch, T tokens, D width, H heads.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu, linear


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
            activation=gelu,
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
        for layer in self.layers.layers:  # what `self.layers` does, in steps that ONNX knows
            normed = layer.norm1(states)
            attended, _ = attend(layer.self_attn, normed, normed, token_mask)
            states = states + layer.dropout1(attended)
            hidden = layer.dropout(gelu(layer.linear1(layer.norm2(states))))
            states = states + layer.dropout2(layer.linear2(hidden))
        assert self.layers.norm is not None
        states = self.layers.norm(states)  # (B, T, D)
        return states, masked_mean(states, token_mask)


def attend(
    attention: nn.MultiheadAttention, query: Tensor, memory: Tensor, memory_mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Multi-head attention from ``query`` (B, Q, D) to ``memory`` (B, M, D).

    It is what ``attention`` itself does, written out: its own code fixes the number of tokens when
    it is exported to ONNX (`dermmm.onnx_model`).

    Args:
        memory_mask: (B, M) bool, True where there is something to attend to.

    Returns:
        the result (B, Q, D), and the attention averaged over heads (B, Q, M).
    """
    batch, width, heads = query.shape[0], attention.embed_dim, attention.num_heads
    weight, bias = attention.in_proj_weight, attention.in_proj_bias

    def by_head(vectors: Tensor) -> Tensor:  # (B, ., D) to (B, H, ., D / H)
        return vectors.reshape(batch, -1, heads, width // heads).transpose(1, 2)

    queries = by_head(linear(query, weight[:width], bias[:width]))
    keys, values = map(by_head, linear(memory, weight[width:], bias[width:]).chunk(2, dim=-1))
    scores = queries @ keys.transpose(2, 3) / math.sqrt(width // heads)  # (B, H, Q, M)
    weights = scores.masked_fill(~memory_mask[:, None, None], -torch.inf).softmax(dim=-1)
    mixed = dropout(weights, attention.dropout, attention.training) @ values  # (B, H, Q, D / H)
    result = attention.out_proj(mixed.transpose(1, 2).reshape(batch, -1, width))
    return result, weights.mean(dim=1)


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean over dim 1 of ``states`` (B, T, D) where ``mask`` (B, T) is True: (B, D)."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
