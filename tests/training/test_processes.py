"""Two processes train a stage together, through the same code as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.training.made_data import make_raw
from training import clean


def test_two_processes_train_and_write_once(tmp_path: Path) -> None:
    clean.main(clean.Config(make_raw(tmp_path / "raw"), tmp_path / "data"))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node", "2", "-m", "training.simclr", "--preset", "smoke"]
    command += ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "run")]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count('"photos"') == 2  # both processes ran
    log = (tmp_path / "run" / "simclr" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [9]  # one of them logged
    assert (tmp_path / "run" / "simclr" / "encoder.safetensors").is_file()
    assert not list((tmp_path / "run").rglob("*.tmp"))
