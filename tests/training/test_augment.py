"""Augmentation: what it may do to a photo, and that each photo has its own draw."""

from __future__ import annotations

import pytest
import torch

from dermmm.preprocess import normalise
from training.augment import CONTRASTIVE, SUPERVISED, Augmentation, augment, restyle

NOTHING_BUT_FLIPS = Augmentation(
    scale=(1.0, 1.0), ratio=1.0, rotation=0, brightness=0, contrast=0, saturation=0, hue=0
)


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randint(0, 255, (16, 24, 24, 3), generator=torch.Generator().manual_seed(0)).byte()


@pytest.mark.parametrize("how", [SUPERVISED, CONTRASTIVE], ids=["supervised", "contrastive"])
@pytest.mark.parametrize("size", [8, 16, 24])
def test_it_gives_the_asked_size_and_repeats_itself(
    pixels: torch.Tensor, size: int, how: Augmentation
) -> None:
    made = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        made.append(augment(pixels, size, how))
    assert made[0].shape == (16, 3, size, size)
    assert torch.isfinite(made[0]).all()
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_with_all_else_off_a_photo_is_flipped_or_as_it_was(pixels: torch.Tensor) -> None:
    torch.manual_seed(0)
    made, given = augment(pixels, 24, NOTHING_BUT_FLIPS), normalise(pixels)
    seen = set()
    for after, before in zip(made, given, strict=True):
        flips = {(): before, (1,): before.flip(1), (2,): before.flip(2), (1, 2): before.flip(1, 2)}
        same = [axes for axes, one in flips.items() if torch.allclose(after, one, atol=1e-4)]
        assert len(same) == 1
        seen.update(same)
    assert len(seen) == 4  # each photo draws its own


def test_grey_photos_have_three_equal_channels(pixels: torch.Tensor) -> None:
    always = Augmentation(grey=1.0)
    made = augment(pixels, 16, always)
    assert torch.allclose(made[:, 0], made[:, 1], atol=2e-2)
    assert torch.allclose(made[:, 0], made[:, 2], atol=2e-2)
    coloured = augment(pixels, 16, Augmentation(grey=0.0))
    assert not torch.allclose(coloured[:, 0], coloured[:, 1], atol=2e-2)


def test_hue_leaves_skin_a_skin_colour() -> None:
    """The strongest turn keeps red above green above blue."""
    skin = torch.tensor([224, 172, 150], dtype=torch.uint8).expand(64, 16, 16, 3)
    only_hue = Augmentation(brightness=0, contrast=0, saturation=0, hue=CONTRASTIVE.hue)
    torch.manual_seed(0)
    red, green, blue = augment(skin, 8, only_hue).mean(dim=(0, 2, 3))
    assert red > green > blue


def test_restyling_leaves_a_share_of_photos_alone(pixels: torch.Tensor) -> None:
    images = normalise(pixels)

    def changed(share: float) -> float:
        torch.manual_seed(0)
        # To within rounding: light is multiplied and shifted back.
        moved = (restyle(images, share) - images).abs().amax(dim=(1, 2, 3))
        return float((moved > 1e-5).float().mean())

    assert changed(0.0) == 0
    assert 0 < changed(0.15) < 1
    assert changed(1.0) == 1
