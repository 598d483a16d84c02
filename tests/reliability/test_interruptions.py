"""Interrupted training, in a reduced form: cleaning and SimCLR, one trial of each kind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from benchmarks import interruptions
from benchmarks.interruptions import CLEANING, FULL, KILL, TEAR, Fuse, Reference

SIMCLR = "simclr"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("interruptions")


@pytest.fixture(scope="module")
def reference(scratch: Path) -> Reference:
    return interruptions.undisturbed(scratch, (CLEANING, SIMCLR), patients=30)


def test_a_stage_that_dies_twice_ends_as_if_undisturbed(
    reference: Reference, scratch: Path
) -> None:
    steps = reference.ends[SIMCLR].steps
    assert steps > 10
    fuses: list[Fuse | float] = [Fuse(KILL, steps // 2), Fuse(TEAR, 2, 1000)]
    assert interruptions.killed(reference, SIMCLR, fuses, scratch) == (2, [])


def test_a_full_disk_is_told_and_leaves_what_was_saved(reference: Reference, scratch: Path) -> None:
    fuse = Fuse(FULL, reference.ends[SIMCLR].steps // 2, 1000)
    assert interruptions.out_of_space(reference, SIMCLR, fuse, scratch) == (1, [])


def test_a_photo_that_breaks_while_it_is_packed_is_named(
    reference: Reference, scratch: Path
) -> None:
    spoilt = interruptions.photo_spoilt_in_the_data
    assert spoilt(reference, SIMCLR, "cut off", 3, scratch) == (1, [])


def test_a_photo_that_breaks_while_it_is_cleaned_is_left_out(
    reference: Reference, scratch: Path
) -> None:
    spoilt = interruptions.photo_spoilt_in_the_raw_folder
    at = reference.ends[CLEANING].steps // 2
    assert spoilt(reference, "overwritten", at, scratch) == (1, [])


def test_a_difference_is_found_and_a_time_is_none(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, minutes in ((one, 1.0), (two, 2.0)):
        folder.mkdir()
        (folder / "summary.json").write_text(json.dumps({"minutes": minutes, "photos": 3}))
        (folder / "log.jsonl").write_text(json.dumps({"seconds": minutes, "loss": 0.5}) + "\n")
        weights = {"weight": torch.ones(3)}
        content = safetensors.torch.save(weights, metadata={"seconds": str(minutes)})
        (folder / "state.safetensors").write_bytes(content)
    assert interruptions.differences(one, two) == []
    (two / "summary.json").write_text(json.dumps({"minutes": 1.0, "photos": 4}))
    (two / "state.safetensors").write_bytes(safetensors.torch.save({"weight": torch.zeros(3)}))
    (two / "left.tmp").touch()
    assert interruptions.differences(one, two) == [
        "only one has left.tmp",
        "state.safetensors differs",
        "summary.json differs",
    ]


def test_deaths_come_in_every_way() -> None:
    end = interruptions.End(0, "done", steps=20, seconds=3.0)
    rng = np.random.default_rng(0)
    drawn = [interruptions.deaths(end, trial, rng) for trial in range(6)]
    first = [getattr(fuses[0], "what", "time") for fuses in drawn]
    assert first == [KILL, TEAR, "time"] * 2
    assert [len(fuses) for fuses in drawn] == [1, 1, 1, 2, 1, 1]
    assert all(1 <= one.at <= 20 for fuses in drawn for one in fuses if isinstance(one, Fuse))
