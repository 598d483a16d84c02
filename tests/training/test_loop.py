"""The loop: it learns, and a killed run ends where an unbroken one does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from training.loop import (
    LoopConfig,
    Step,
    by_length,
    fit,
    inverse_class_frequency,
    shuffled,
    weighted,
)

CONFIG = LoopConfig(epochs=4, batch_size=8, learning_rate=1e-2, save_seconds=0)


class Killed(Exception):
    pass


def train(folder: Path, kill_at: int | None = None) -> nn.Module:
    """Fit a small network with dropout and batch statistics; stop dead before step ``kill_at``."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
    inputs = torch.randn(40, 4)
    targets = inputs.sum(dim=1, keepdim=True)
    seen = 0

    def batch_loss(wrapped: nn.Module, step: Step) -> torch.Tensor:
        nonlocal seen
        if seen == kill_at:
            raise Killed
        seen += 1
        noisy = inputs[step.indices] + 0.1 * torch.randn(len(step.indices), 4)
        return (wrapped(noisy) - targets[step.indices]).pow(2).mean()

    fit(folder, module, batch_loss, shuffled(40, seed=0), CONFIG)
    return module


def test_the_loss_falls(tmp_path: Path) -> None:
    train(tmp_path / "run")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == 20
    assert log[-1]["loss"] < log[0]["loss"]


def test_a_killed_run_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "broken", kill_at=13)
    resumed = train(tmp_path / "broken")
    for (name, expected), (_, got) in zip(
        whole.state_dict().items(), resumed.state_dict().items(), strict=True
    ):
        assert torch.equal(expected, got), name
    steps = [
        json.loads(line)["step"]
        for line in (tmp_path / "broken" / "log.jsonl").read_text().splitlines()
    ]
    assert steps == sorted(set(steps))


def test_a_finished_run_is_loaded_and_not_repeated(tmp_path: Path) -> None:
    first = train(tmp_path / "run")
    again = train(tmp_path / "run", kill_at=0)  # would raise if it trained
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    module = nn.Linear(2, 1)

    def batch_loss(wrapped: nn.Module, step: Step) -> torch.Tensor:
        return wrapped(torch.full((1, 2), torch.inf)).sum()

    with pytest.raises(FloatingPointError, match="step 0"):
        fit(tmp_path / "run", module, batch_loss, shuffled(8, 0), replace(CONFIG, epochs=1))


def test_batches_by_length_hold_every_item_once_and_little_padding() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 203)
    sampler = by_length(shuffled(len(lengths), 0), lengths, batch_size=10, seed=0)
    order = sampler(0)
    assert sorted(order) == list(range(203))
    assert (sampler(1) != order).any()

    def padded(indices: np.ndarray) -> int:
        return int(lengths[indices[:200]].reshape(-1, 10).max(axis=1).sum())

    assert padded(order) < 0.75 * padded(shuffled(203, seed=0)(0))


def test_the_weighted_sampler_draws_every_class_equally_often() -> None:
    classes = np.array(["common"] * 950 + ["rare"] * 50)
    sampler = weighted(inverse_class_frequency(classes), seed=0)
    drawn = classes[np.concatenate([sampler(epoch) for epoch in range(20)])]
    assert (drawn == "rare").mean() == pytest.approx(0.5, abs=0.02)
    assert (sampler(0) == sampler(0)).all()
    assert (sampler(0) != sampler(1)).any()
