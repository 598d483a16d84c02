"""What the fusion's training reads, and that its gate learns whom to trust."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from dermmm.checkpoint import Checkpoint
from dermmm.fusion import GatedCrossAttention
from tests.training.test_sources import draw
from training.degrade import KINDS, cut, degrade, poor_view
from training.features import cached_patches, photo_patches
from training.fusion import Batch, FusionConfig, Inputs, gate_loss
from training.loop import LoopConfig, Step
from training.objectives import gate_supervision

LOOP = LoopConfig(epochs=1, batch_size=4, learning_rate=1e-3)
CPU = torch.device("cpu")


@pytest.fixture
def photos() -> np.ndarray:
    """Two photos (2, 32, 32, 3) with detail, one mostly dark and one mostly bright."""
    noise = np.random.default_rng(0).integers(-40, 40, (2, 32, 32, 3))
    return (np.array([90, 170])[:, None, None, None] + noise).astype(np.uint8)


def detail(pixels: np.ndarray) -> float:
    """Mean difference of neighbouring pixels."""
    return float(np.abs(np.diff(pixels.astype(float), axis=2)).mean())


def shades(pixels: np.ndarray) -> int:
    """How many different values there are: more light spreads them before it clips them."""
    return len(np.unique(pixels))


@pytest.mark.parametrize("kind", KINDS)
def test_a_photo_loses_detail_step_by_step(photos: np.ndarray, kind: str) -> None:
    before = photos.copy()
    assert (degrade(photos, kind, 0.0) == photos).all()
    measure = shades if kind == "bright" else detail
    left = [measure(degrade(photos, kind, strength)) for strength in np.linspace(0, 1, 6)]
    assert (np.diff(left) <= 0).all(), left
    assert left[1] < left[0]
    assert left[-1] < 0.1 * left[0]
    assert (photos == before).all()
    assert degrade(photos, kind, 0.5).dtype == np.uint8


def test_what_degrading_refuses(photos: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected one of blur, grey"):
        degrade(photos, "rain", 0.5)
    with pytest.raises(ValueError, match="expected 0"):
        degrade(photos, "blur", 1.5)


def test_a_poor_view_is_its_generators(photos: np.ndarray) -> None:
    views = [poor_view(photos[0], np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert views[0].shape == photos[0].shape
    assert (views[0] == views[1]).all()
    assert (views[0] != views[2]).any()


@pytest.mark.parametrize(
    ("share", "place", "kept"),
    [
        (1.0, 0.5, "one two three four"),
        (0.5, 0.0, "one two"),
        (0.5, 1.0, "three four"),
        (0.0, 0.0, "one"),
    ],
)
def test_cut_keeps_a_run_of_words(share: float, place: float, kept: str) -> None:
    assert cut("one two three four", share, place) == kept


def test_gate_supervision_is_cross_entropy_to_powers_of_the_likelihood() -> None:
    gate, likelihood = (
        torch.tensor([[0.7, 0.3], [0.5, 0.5]]),
        torch.tensor([[0.4, 0.1], [0.2, 0.3]]),
    )
    for sharpness in (0.0, 1.0, 2.0):
        expected = 0.0
        for weights, right in zip(gate.tolist(), likelihood.tolist(), strict=True):
            total = sum(p**sharpness for p in right)
            for weight, p in zip(weights, right, strict=True):
                expected -= p**sharpness / total * np.log(weight) / len(gate)
        found = float(gate_supervision(gate, likelihood, sharpness))
        assert found == pytest.approx(expected, rel=1e-5)


def test_without_cases_the_gate_is_not_supervised() -> None:
    nobody = torch.zeros(0, 2)
    assert float(gate_supervision(nobody, nobody, 1.0)) == 0


def test_patches_are_computed_once_for_a_set_of_weights(
    tiny_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    (tmp_path / "manifest.csv").write_text("id\n", encoding="utf-8")
    names = [f"{number}.jpg" for number in range(3)]
    for number, name in enumerate(names):
        draw(tmp_path / name, seed=number)
    encoder = copy.deepcopy(tiny_checkpoint.model.image_encoder)

    def cached(**how: int) -> np.ndarray:
        return cached_patches(encoder, tmp_path, names, 64, tmp_path / "cache", **how)

    first = cached(views=2)
    assert first.shape == (3, 3, 4, encoder.width)
    (pack,) = (tmp_path / "cache").glob("photos-*.npy")
    assert (first[:, 0] == photo_patches(encoder, np.load(pack), "again")).all()
    assert (first[:, 1] != first[:, 0]).any()
    assert (first[:, 1] != first[:, 2]).any()

    def written() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("patches-*")}

    before = written()
    assert (cached(views=2) == first).all()
    assert written() == before
    cached(views=2, seed=1)
    assert len(written()) == 2
    with torch.no_grad():
        next(encoder.parameters()).mul_(1.01)
    cached(views=2)
    assert len(written()) == 3


def made_inputs(checkpoint: Checkpoint, **settings: float) -> Inputs:
    """Four true pairs, a photo alone and a text alone; the patches of view v are full of v + 1."""
    cases = pd.DataFrame({"photo": [0, 1, 2, 3, 4, -1], "text": [0, 1, 2, 3, -1, 5]})
    patches = np.ones((5, 3, 4, checkpoint.model.image_encoder.width), np.float16)
    patches *= np.arange(1, 4)[None, :, None, None].astype(np.float16)
    return Inputs(
        config=FusionConfig(LOOP, image_size=64, **settings),  # type: ignore[arg-type]
        model=checkpoint.model,
        tokenizer=checkpoint.tokenizer,
        cases=cases,
        targets=torch.eye(6),
        patches=patches,
        place=np.array([0, 1, 2, 3, 4, -1]),
        texts=[["an itchy rash on the arm"]] * 6,
    )


def drawn(inputs: Inputs, seed: int = 0) -> Batch:
    torch.manual_seed(seed)
    return inputs.draw(Step(np.arange(6), 0.0, CPU))


def test_photos_are_shown_as_they_are_or_poor(tiny_checkpoint: Checkpoint) -> None:
    still = {"drop_image": 0.0, "drop_text": 0.0, "cut": 0.0}
    for poor, expected in ((0.0, {1.0}), (1.0, {2.0, 3.0})):
        seen: set[float] = set()
        for seed in range(5):
            looks, _, _, image_present, text_present = drawn(
                made_inputs(tiny_checkpoint, poor=poor, **still), seed
            ).inputs
            assert image_present.tolist() == [True] * 5 + [False]
            assert text_present.tolist() == [True] * 4 + [False, True]
            seen |= {*looks[:5].unique().tolist()}
        assert seen == expected


def test_texts_are_cut_and_modalities_dropped(tiny_checkpoint: Checkpoint) -> None:
    whole = drawn(made_inputs(tiny_checkpoint, cut=0.0)).inputs[2].sum(dim=1)
    shortest = min(
        int(drawn(made_inputs(tiny_checkpoint, cut=1.0), seed).inputs[2].sum(dim=1)[5])
        for seed in range(5)
    )
    assert shortest < int(whole[5])
    everything = drawn(made_inputs(tiny_checkpoint, drop_image=1.0, drop_text=0.0)).inputs
    assert everything[3].tolist() == [False] * 4 + [True, False]  # never the only modality
    assert everything[4].tolist() == [True] * 4 + [False, True]


def test_the_sampler_draws_every_case_once(tiny_checkpoint: Checkpoint) -> None:
    assert sorted(made_inputs(tiny_checkpoint).sampler(LOOP)(0)) == [0, 1, 2, 3, 4, 5]


def made_batch(poor: bool, count: int = 64) -> Batch:
    """Photos tell their condition, or nothing where they are poor; texts tell half of them."""
    conditions, width = 4, 8
    truth = torch.randint(conditions, (count,))
    patches = F.one_hot(truth, width).float()[:, None].repeat(1, 3, 1)
    if poor:
        patches = torch.full_like(patches, 0.3)
    guess = torch.where(torch.rand(count) < 0.5, truth, torch.randint(conditions, (count,)))
    states = F.one_hot(guess, width).float()[:, None].repeat(1, 5, 1)
    patches = patches + 0.1 * torch.randn_like(patches)
    there = torch.ones(count, dtype=torch.bool)
    inputs = (patches, states, torch.ones(count, 5, dtype=torch.bool), there, there)
    return Batch(inputs, F.one_hot(truth, conditions).float())


def test_a_supervised_gate_turns_away_from_poor_photos() -> None:
    torch.manual_seed(0)
    fusion = GatedCrossAttention(8, 8, 4, width=16, heads=2, dropout=0.0)
    with torch.no_grad():
        for head, strength in ((fusion.image_head, 6.0), (fusion.text_head, 2.0)):
            head.linear.weight.copy_(strength * torch.eye(4, 8))
            head.linear.bias.zero_()
            head.dropout.p = 0.0

    def image_gate(poor: bool) -> float:
        with torch.no_grad():
            return float(fusion(*made_batch(poor).inputs).gate[:, 0].mean())

    assert abs(image_gate(False) - image_gate(True)) < 0.1
    optimiser = torch.optim.AdamW(fusion.gate.parameters(), lr=1e-2)
    for step in range(60):
        batch = made_batch(poor=step % 2 == 1)
        loss = gate_loss(fusion(*batch.inputs), batch, sharpness=1.0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert image_gate(False) > image_gate(True) + 0.2


def test_only_cases_with_both_supervise_the_gate() -> None:
    torch.manual_seed(0)
    fusion = GatedCrossAttention(8, 8, 4, width=16, heads=2).eval()
    batch = made_batch(poor=False, count=6)
    patches, states, mask, there, _ = batch.inputs
    partly = Batch(
        (patches, states, mask, there, torch.tensor([True] * 4 + [False] * 2)), batch.targets
    )
    first = Batch((patches[:4], states[:4], mask[:4], there[:4], there[:4]), batch.targets[:4])
    with torch.no_grad():
        found, expected = (gate_loss(fusion(*one.inputs), one, 1.0) for one in (partly, first))
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
