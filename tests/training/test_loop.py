"""The loop: it learns, and a killed run ends where an unbroken one does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
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


def train(
    folder: Path,
    kill_at: int | None = None,
    config: LoopConfig = CONFIG,
    each_epoch: Callable[[int, nn.Module], None] | None = None,
) -> nn.Module:
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

    look = (lambda epoch: each_epoch(epoch, module)) if each_epoch else None
    fit(folder, module, batch_loss, shuffled(40, seed=0), config, look)
    return module


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_loss_falls(tmp_path: Path) -> None:
    train(tmp_path / "run")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == 20
    assert log[-1]["loss"] < log[0]["loss"]


@pytest.mark.parametrize("ema", [0.0, 0.9], ids=["last weights", "running mean"])
def test_a_killed_run_ends_like_an_unbroken_one(tmp_path: Path, ema: float) -> None:
    config = replace(CONFIG, ema=ema)
    whole = train(tmp_path / "whole", config=config)
    with pytest.raises(Killed):
        train(tmp_path / "broken", kill_at=13, config=config)
    assert same(train(tmp_path / "broken", config=config), whole)
    steps = [
        json.loads(line)["step"]
        for line in (tmp_path / "broken" / "log.jsonl").read_text().splitlines()
    ]
    assert steps == sorted(set(steps))


def test_a_killed_run_logs_what_an_unbroken_one_does(tmp_path: Path) -> None:
    train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "broken", kill_at=13)  # three losses after the last line of the log
    train(tmp_path / "broken")
    whole, broken = (
        [json.loads(line) | {"seconds": 0} for line in path.read_text().splitlines()]
        for path in (tmp_path / "whole" / "log.jsonl", tmp_path / "broken" / "log.jsonl")
    )
    assert whole == broken


def test_a_run_that_was_killed_before_its_picture_draws_it(tmp_path: Path) -> None:
    train(tmp_path / "run")
    (tmp_path / "run" / "loss.png").unlink()
    train(tmp_path / "run", kill_at=0)
    assert (tmp_path / "run" / "loss.png").stat().st_size > 1000


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    train(tmp_path / "run")
    state = tmp_path / "run" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"state\.safetensors: damaged .* remove it to train run"):
        train(tmp_path / "run")


def test_a_finished_run_is_loaded_and_not_repeated(tmp_path: Path) -> None:
    first = train(tmp_path / "run")
    again = train(tmp_path / "run", kill_at=0)  # would raise if it trained
    assert same(first, again)


def test_the_running_mean_of_the_weights_is_kept(tmp_path: Path) -> None:
    """One weight that each step moves, and its mean counted by hand."""
    module = nn.Linear(1, 1, bias=False)
    seen: list[float] = []

    def batch_loss(wrapped: nn.Module, step: Step) -> torch.Tensor:
        seen.append(module.weight.item())
        return (wrapped(torch.ones(8, 1)) - 3).pow(2).mean()

    config = replace(CONFIG, ema=0.5)
    fit(tmp_path / "run", module, batch_loss, shuffled(40, 0), config)
    state = safetensors.torch.load((tmp_path / "run" / "state.safetensors").read_bytes())
    seen.append(state["module.weight"].item())
    mean = seen[1]  # the first step's weights are copied, later ones mixed in
    for weight in seen[2:]:
        mean = 0.5 * mean + 0.5 * weight
    assert module.weight.item() == pytest.approx(mean, rel=1e-5)
    assert module.weight.item() != pytest.approx(seen[-1], rel=1e-3)


@pytest.mark.parametrize(
    ("begun", "now", "said"),
    [(0.9, 0.0, "has a running mean .* ask for none"), (0.0, 0.9, "has no running mean .* one")],
)
def test_a_state_with_another_running_mean_is_refused(
    tmp_path: Path, begun: float, now: float, said: str
) -> None:
    train(tmp_path / "run", config=replace(CONFIG, ema=begun))
    with pytest.raises(ValueError, match=said):
        train(tmp_path / "run", config=replace(CONFIG, ema=now))


def test_a_look_after_each_epoch_changes_nothing(tmp_path: Path) -> None:
    epochs = []

    def look(epoch: int, module: nn.Module) -> None:
        assert not module.training
        module(torch.randn(5, 4))  # draws, and would move batch statistics while training
        epochs.append(epoch)

    watched = train(tmp_path / "watched", each_epoch=look)
    assert epochs == [1, 2, 3, 4]
    assert same(watched, train(tmp_path / "alone"))


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
