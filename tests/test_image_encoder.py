"""The image encoder: shapes, the order of the patches, random weights."""

from __future__ import annotations

import pytest
import torch

from dermmm.image_encoder import ImageEncoder, channels_last, grid_side


@pytest.fixture(scope="module")
def encoder() -> ImageEncoder:
    torch.manual_seed(0)
    return ImageEncoder().eval()


def test_patches_are_the_rows_of_the_grid_one_after_another(encoder: ImageEncoder) -> None:
    images = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        grid = encoder.features(images)  # (2, 1280, 2, 3)
        patches, pooled = encoder(images)
    assert patches.shape == (2, 6, encoder.width)
    for row in range(2):
        for column in range(3):
            assert torch.equal(patches[:, row * 3 + column], grid[:, :, row, column])
    torch.testing.assert_close(pooled, grid.mean(dim=(2, 3)))


@pytest.mark.parametrize("size", [32, 64, 65])
def test_grid_side_is_what_the_encoder_returns(encoder: ImageEncoder, size: int) -> None:
    with torch.inference_mode():
        patches, _ = encoder(torch.zeros(1, 3, size, size))
    assert patches.shape[1] == grid_side(size) ** 2


def test_weights_are_random_and_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("tried to download weights")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    first, second, again = (_first_weight(seed) for seed in (1, 2, 1))
    assert not torch.equal(first, second)
    assert torch.equal(first, again)


def _first_weight(seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return next(ImageEncoder().parameters()).detach()


def test_channels_last_changes_the_layout_only() -> None:
    images = torch.randn(2, 3, 4, 4)
    moved = channels_last(images)
    assert torch.equal(moved, images)
    assert moved.is_contiguous(memory_format=torch.channels_last)
    assert not images.is_contiguous(memory_format=torch.channels_last)
