"""Gated cross-attention: the gate, missing modalities, attention, conditions never taught."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dermmm.fusion import FusionOutput, GatedCrossAttention, ModalityHead
from dermmm.predictor import Predictor

IMAGE_WIDTH, TEXT_WIDTH, CONDITIONS, PATCHES, TOKENS = 12, 8, 5, 4, 6
BOTH, IMAGE_ONLY, TEXT_ONLY = range(3)
IMAGE_PRESENT = torch.tensor([True, True, False])
TEXT_PRESENT = torch.tensor([True, False, True])


@pytest.fixture(scope="module")
def fusion() -> GatedCrossAttention:
    torch.manual_seed(0)
    module = GatedCrossAttention(IMAGE_WIDTH, TEXT_WIDTH, CONDITIONS, width=16, heads=4).eval()
    module.image_head.covered[1] = False
    module.text_head.covered[[0, 3]] = False
    return module


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    """One case with both, one with a photo only, one with a text only; texts of unlike length."""
    generator = torch.Generator().manual_seed(1)
    patches = torch.randn(3, PATCHES, IMAGE_WIDTH, generator=generator)
    states = torch.randn(3, TOKENS, TEXT_WIDTH, generator=generator)
    token_mask = torch.ones(3, TOKENS, dtype=torch.bool)
    token_mask[BOTH, 4:] = False
    return patches, states, token_mask


@pytest.fixture
def output(fusion: GatedCrossAttention, batch: tuple[Tensor, Tensor, Tensor]) -> FusionOutput:
    with torch.inference_mode():
        return fusion(*batch, IMAGE_PRESENT, TEXT_PRESENT)


def test_gate_sums_to_1_and_is_exactly_0_for_what_is_absent(output: FusionOutput) -> None:
    torch.testing.assert_close(output.gate.sum(dim=1), torch.ones(3))
    assert output.gate[IMAGE_ONLY].tolist() == [1.0, 0.0]
    assert output.gate[TEXT_ONLY].tolist() == [0.0, 1.0]
    assert 0 < output.gate[BOTH, 0] < 1


def test_what_lies_behind_an_absent_modality_does_not_matter(
    fusion: GatedCrossAttention, batch: tuple[Tensor, Tensor, Tensor], output: FusionOutput
) -> None:
    patches, states, token_mask = (part.clone() for part in batch)
    patches[TEXT_ONLY] = 1e4
    states[IMAGE_ONLY] = -1e4
    token_mask[IMAGE_ONLY, 2:] = False
    with torch.inference_mode():
        changed = fusion(patches, states, token_mask, IMAGE_PRESENT, TEXT_PRESENT)
    assert torch.equal(changed.fused_logits, output.fused_logits)
    assert torch.equal(changed.gate, output.gate)
    assert torch.equal(changed.image_logits[IMAGE_ONLY], output.image_logits[IMAGE_ONLY])
    assert torch.equal(changed.text_logits[TEXT_ONLY], output.text_logits[TEXT_ONLY])
    # The same values do matter where the modality is there.
    patches[BOTH] += torch.randn(PATCHES, IMAGE_WIDTH)
    with torch.inference_mode():
        moved = fusion(patches, states, token_mask, IMAGE_PRESENT, TEXT_PRESENT)
    assert not torch.allclose(moved.fused_logits[BOTH], output.fused_logits[BOTH])


def test_attention_rows_sum_to_1_and_masked_tokens_get_0(output: FusionOutput) -> None:
    assert output.words_on_patches.shape == (3, TOKENS, PATCHES)
    assert output.patches_on_words.shape == (3, PATCHES, TOKENS)
    torch.testing.assert_close(output.words_on_patches.sum(dim=-1), torch.ones(3, TOKENS))
    torch.testing.assert_close(output.patches_on_words.sum(dim=-1), torch.ones(3, PATCHES))
    assert (output.patches_on_words[BOTH, :, 4:] == 0).all()
    assert (output.patches_on_words[BOTH, :, :4] > 0).all()


def test_mixed_batch_gives_what_each_case_gives_alone(
    fusion: GatedCrossAttention, batch: tuple[Tensor, Tensor, Tensor], output: FusionOutput
) -> None:
    patches, states, _ = batch
    absent_image, absent_text = torch.zeros(1, IMAGE_WIDTH), torch.zeros(1, TEXT_WIDTH)
    alone = (
        (patches[BOTH], states[BOTH, :4]),
        (patches[IMAGE_ONLY], absent_text),  # as `DermModel` stands in for a missing modality
        (absent_image, states[TEXT_ONLY]),
    )
    for row, (one_photo, one_text) in enumerate(alone):
        with torch.inference_mode():
            single = fusion(
                one_photo[None],
                one_text[None],
                torch.ones(1, len(one_text), dtype=torch.bool),
                IMAGE_PRESENT[row : row + 1],
                TEXT_PRESENT[row : row + 1],
            )
        torch.testing.assert_close(
            single.fused_logits[0], output.fused_logits[row], atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(single.gate[0], output.gate[row], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(  # the last one is the text alone
        single.text_logits[0], output.text_logits[TEXT_ONLY], atol=1e-5, rtol=1e-5
    )


def test_conditions_never_taught_have_no_logit_and_neutral_evidence(
    fusion: GatedCrossAttention, output: FusionOutput
) -> None:
    assert output.image_logits.isneginf().any(dim=0).tolist() == [False, True, False, False, False]
    assert output.text_logits.isneginf().any(dim=0).tolist() == [True, False, False, True, False]
    assert torch.isfinite(output.fused_logits).all()
    evidence = fusion.text_head.evidence(output.text_logits)
    assert (evidence[:, [0, 3]] == 0).all()
    covered = output.text_logits[:, [1, 2, 4]]
    torch.testing.assert_close(
        evidence[:, [1, 2, 4]], covered - covered.mean(dim=1, keepdim=True), atol=1e-6, rtol=1e-5
    )


def test_head_that_was_taught_nothing_stays_neutral() -> None:
    head = ModalityHead(TEXT_WIDTH, CONDITIONS).eval()
    head.covered[:] = False
    assert torch.equal(head.evidence(head(torch.randn(2, TEXT_WIDTH))), torch.zeros(2, CONDITIONS))


def test_gradients_stay_finite_and_reach_the_absent_tokens(
    fusion: GatedCrossAttention, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    fusion(*batch, IMAGE_PRESENT, TEXT_PRESENT).fused_logits.square().sum().backward()
    for name, parameter in fusion.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    assert fusion.absent_image.grad.abs().sum() > 0  # type: ignore[union-attr]
    assert fusion.absent_text.grad.abs().sum() > 0  # type: ignore[union-attr]
    fusion.zero_grad()


def test_neither_photo_nor_text_is_refused(predictor: Predictor) -> None:
    with pytest.raises(ValueError, match="give at least one"):
        predictor.checkpoint.model()
