"""Gated cross-attention (GCA): words look at the photo, the photo at the words, a gate weighs.

Shapes: B batch, N image patches, T tokens, D fusion width, K conditions.

Either modality may be missing. That is decided here and nowhere else: the missing one is replaced
by a learned "absent" token, its gate weight is masked to exactly 0, and so is its evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dermmm.text_encoder import attend, masked_mean


@dataclass(frozen=True)
class FusionOutput:
    """What the model says about a batch. Logits are uncalibrated."""

    image_logits: Tensor  # (B, K); -inf at conditions that photos never taught
    text_logits: Tensor  # (B, K); -inf at conditions that texts never taught
    fused_logits: Tensor  # (B, K)
    gate: Tensor  # (B, 2) image and text weight, each in 0..1, summing to 1
    words_on_patches: Tensor  # (B, T, N) where each word looks on the photo; rows sum to 1
    patches_on_words: Tensor  # (B, N, T) which words each patch looks at; rows sum to 1
    patch_evidence: Tensor  # (B, N, K) each patch's part of the image head's evidence, their mean
    token_evidence: Tensor  # (B, T, K) each token's part of the text head's evidence, their mean
    pooled_image: Tensor  # (B, image_width) the patches' mean, which the image head reads


class ModalityHead(nn.Module):
    """A linear classifier that knows which conditions its modality has ever been taught.

    Some conditions have photos but no texts. ``covered`` (K,) bool marks those with training data:
    elsewhere the logits are -inf (this modality cannot speak) and the evidence is neutral.
    """

    covered: Tensor

    def __init__(self, width: int, conditions: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, conditions)
        self.register_buffer("covered", torch.ones(conditions, dtype=torch.bool))

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, width) to (B, K) logits, -inf where the condition is not covered."""
        logits = self.linear(self.dropout(pooled))
        return logits.masked_fill(~self.covered, -torch.inf)

    def evidence(self, logits: Tensor) -> Tensor:
        """Logits centred over the covered conditions, 0 (neutral) at the others: (B, K), finite."""
        finite = logits.masked_fill(~self.covered, 0.0)
        mean = finite.sum(dim=-1, keepdim=True) / self.covered.sum().clamp(min=1)
        return (finite - mean).masked_fill(~self.covered, 0.0)


class CrossAttention(nn.Module):
    """One modality's tokens query the other's: multi-head attention, residual, feed-forward."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm_query = nn.LayerNorm(width)
        self.norm_memory = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, query: Tensor, memory: Tensor, memory_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Attend from ``query`` (B, Q, D) to ``memory`` (B, M, D) where ``memory_mask`` (B, M).

        Returns:
            the updated query (B, Q, D), and the attention averaged over heads (B, Q, M).
        """
        normed = self.norm_memory(memory)
        attended, weights = attend(self.attention, self.norm_query(query), normed, memory_mask)
        query = query + attended
        return query + self.feed_forward(query), weights


class GatedCrossAttention(nn.Module):
    """Fuse patch vectors and token states into one differential.

    The fused logits are the gate-weighted evidence of the two modality heads plus what a third
    head reads from the gate-weighted, cross-attended features. So a gate weight is literally how
    much that modality's own answer counts, and the third head adds what only both together tell.
    """

    def __init__(
        self,
        image_width: int,
        text_width: int,
        conditions: int,
        width: int = 192,
        heads: int = 6,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.project_image = nn.Sequential(nn.LayerNorm(image_width), nn.Linear(image_width, width))
        self.project_text = nn.Sequential(nn.LayerNorm(text_width), nn.Linear(text_width, width))
        self.absent_image = nn.Parameter(0.02 * torch.randn(width))
        self.absent_text = nn.Parameter(0.02 * torch.randn(width))
        self.text_to_image = CrossAttention(width, heads, dropout)
        self.image_to_text = CrossAttention(width, heads, dropout)
        self.gate = nn.Sequential(
            nn.LayerNorm(2 * width), nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, 2)
        )
        self.image_head = ModalityHead(image_width, conditions)
        self.text_head = ModalityHead(text_width, conditions)
        self.fused_head = nn.Sequential(
            nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, conditions)
        )

    def forward(
        self,
        patches: Tensor,
        states: Tensor,
        token_mask: Tensor,
        image_present: Tensor,
        text_present: Tensor,
    ) -> FusionOutput:
        """Fuse a batch.

        Args:
            patches: (B, N, image_width); any finite values where the photo is absent.
            states: (B, T, text_width); any finite values where the text is absent.
            token_mask: (B, T) bool, True at real tokens.
            image_present, text_present: (B,) bool; at least one is True in every row.
        """
        pooled_image = patches.mean(dim=1)
        image_logits = self.image_head(pooled_image)  # (B, K)
        text_logits = self.text_head(masked_mean(states, token_mask))  # (B, K)

        image_mask = image_present[:, None].expand(-1, patches.shape[1])  # (B, N)
        text_mask = token_mask & text_present[:, None]  # (B, T)
        image = torch.where(
            image_mask[..., None], self.project_image(patches), self.absent_image
        )  # (B, N, D)
        text = torch.where(text_mask[..., None], self.project_text(states), self.absent_text)
        # An absent modality is all absent tokens: any of them may be attended to.
        image_mask = image_mask | ~image_present[:, None]
        text_mask = text_mask | ~text_present[:, None]

        words, words_on_patches = self.text_to_image(
            text, image, image_mask
        )  # (B, T, D), (B, T, N)
        regions, patches_on_words = self.image_to_text(image, text, text_mask)
        image_vector = masked_mean(regions, image_mask)  # (B, D)
        text_vector = masked_mean(words, text_mask)  # (B, D)

        present = torch.stack([image_present, text_present], dim=1)  # (B, 2)
        scores = self.gate(torch.cat([image_vector, text_vector], dim=1))
        gate = scores.float().masked_fill(~present, -torch.inf).softmax(dim=1)  # (B, 2)

        fused_logits = (
            gate[:, :1] * self.image_head.evidence(image_logits)
            + gate[:, 1:] * self.text_head.evidence(text_logits)
            + self.fused_head(gate[:, :1] * image_vector + gate[:, 1:] * text_vector)
        )
        return FusionOutput(
            image_logits=image_logits,
            text_logits=text_logits,
            fused_logits=fused_logits,
            gate=gate,
            words_on_patches=words_on_patches,
            patches_on_words=patches_on_words,
            # The heads are linear in a mean, so these parts are exact and not an estimate.
            patch_evidence=self.image_head.evidence(self.image_head.linear(patches)),
            token_evidence=self.text_head.evidence(self.text_head.linear(states)),
            pooled_image=pooled_image,
        )
