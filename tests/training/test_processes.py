"""Two processes train together through the same code as one, and come to the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.training import small_fits
from tests.training.made_data import make_raw
from training import clean


def launch(module: str, *arguments: str) -> str:
    """Run a module in two processes that talk over gloo, and return what they printed.

    By torchrun: `accelerate launch` starts several processes on a CPU through MPI only.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node", "2", "-m", module, *arguments]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def losses(folder: Path) -> np.ndarray:
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return np.array([json.loads(line)["loss"] for line in lines])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of the same fits by one process, and by two."""
    folder = tmp_path_factory.mktemp("fits")
    small_fits.main(folder / "one")
    launch("tests.training.small_fits", str(folder / "two"))
    return folder / "one", folder / "two"


@pytest.mark.parametrize("way", small_fits.WAYS)
def test_two_processes_have_the_loss_curve_of_one(both: tuple[Path, Path], way: str) -> None:
    one, two = (losses(folder / way) for folder in both)
    assert len(one) == 2 * (small_fits.ITEMS // small_fits.WAYS[way])
    assert one[-5:].mean() < 0.95 * one[:5].mean()  # it learns: equal curves are not flat ones
    np.testing.assert_allclose(two, one, rtol=1e-4)


def test_two_processes_train_and_write_once(tmp_path: Path) -> None:
    clean.main(clean.Config(make_raw(tmp_path / "raw"), tmp_path / "data"))
    options = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "run")]
    printed = launch("training.simclr", "--preset", "smoke", *options)
    assert printed.count('"photos"') == 2  # both processes ran
    log = (tmp_path / "run" / "simclr" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [9]  # one of them logged
    monitor = (tmp_path / "run" / "simclr" / "monitor.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in monitor] == [1]  # and watched
    assert (tmp_path / "run" / "simclr" / "encoder.safetensors").is_file()
    assert not list((tmp_path / "run").rglob("*.tmp"))
