"""Reduced forms of `benchmarks.scale`: constant memory, equal answers with Ray, the estimates."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import scale
from dermmm.__main__ import main
from training.loop import Step, shuffled

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed; see requirements-dev.txt"
)


def test_reading_and_streaming_take_constant_memory(tmp_path: Path) -> None:
    found = scale.memory(tmp_path, (500, 5_000), (2_500, 7_500), made=2_500)
    assert [count for count, _, _ in found["reader"]] == [500, 5_000]
    assert [count for count, _, _ in found["stream"]] == [2_500, 7_500]
    for name, measured in found.items():
        assert scale.growth(measured) <= scale.CONSTANT, (name, measured)


@needs_ray
def test_ray_answers_as_the_plain_command_does(
    checkpoint_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = tmp_path / "cases.csv"
    scale.write_cases(cases, 600)  # more than a block, so that both workers answer
    outs = [tmp_path / "plain.csv", tmp_path / "ray.csv"]
    for out, options in zip(outs, ([], ["--ray", "--workers", "2"]), strict=True):
        told = ["batch", str(cases), "--out", str(out), "--checkpoints", str(checkpoint_folder)]
        assert main([*told, *options]) == 0, capsys.readouterr().err
    rows, most = scale.difference(*outs)
    assert rows == 0 and most <= 1e-4
    lines = outs[1].read_text(encoding="utf-8").splitlines()
    assert len(lines) == 601 and sum("no photo at" in line for line in lines) == 12
    assert sorted(path.name for path in tmp_path.glob("*.csv*")) == [
        "cases.csv", "plain.csv", "ray.csv",
    ]  # fmt: skip


def test_a_bad_table_is_refused_before_ray_starts(
    checkpoint_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases, out = tmp_path / "cases.csv", tmp_path / "out.csv"
    told = ["batch", str(cases), "--out", str(out), "--checkpoints", str(checkpoint_folder)]
    for content, options, message in (
        (b"case_id,text\n", ["--ray"], "column image is missing"),
        (b"case_id,image,text\n1,,\xff\n", ["--ray"], "not a CSV in UTF-8"),
        (b"case_id,image,text\n", ["--workers", "2"], "together with --ray"),
        (b"case_id,image,text\n", ["--ray", "--workers", "0"], "give 1 or more"),
    ):
        cases.write_bytes(content)
        assert main([*told, *options]) == 2
        assert message in capsys.readouterr().err
        assert not out.exists()


def test_without_ray_the_command_says_what_to_install(
    checkpoint_folder: Path, tmp_path: Path
) -> None:
    cases = tmp_path / "cases.csv"
    cases.write_text("case_id,image,text\n1,,rash\n")
    program = (
        "import sys; sys.modules['ray'] = None\n"
        "from dermmm.__main__ import main\n"
        f"sys.exit(main(['batch', {str(cases)!r}, '--out', {str(tmp_path / 'out.csv')!r},"
        f" '--ray', '--checkpoints', {str(checkpoint_folder)!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=scale.ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2 and "pip install '.[ray]'" in done.stderr


def test_the_difference_of_two_tables_is_found(tmp_path: Path) -> None:
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    one.write_text("case_id,top1,p:acne,error\n1,acne,0.5,\n2,,,broken\n")
    two.write_text("case_id,top1,p:acne,error\n1,acne,0.4,\n2,,,other\n")
    assert scale.difference(one, one) == (0, 0.0)
    rows, most = scale.difference(one, two)
    assert rows == 1 and most == pytest.approx(0.1)


def test_rates_of_a_step_its_model_and_its_data() -> None:
    module = nn.Linear(8, 4)

    def loss(model: nn.Module, step: Step) -> torch.Tensor:
        return model(torch.randn(len(step.indices), 8)).float().square().mean()

    rates = scale.fit_rates(module, loss, shuffled(20, 0), batch=6, steps=2)
    assert len(rates) == 3 and all(rate > 0 for rate in rates)


def test_hours_follow_from_operations_and_assumptions() -> None:
    few, many = scale.operations(64, 8), scale.operations(128, 8)
    assert 3 < many["photo"] / few["photo"] < 5  # four times the pixels
    assert few["text"] == pytest.approx(many["text"])
    assert few["all"] == pytest.approx(few["photo"] + few["text"] + few["fusion"])
    assert all(value > 0 for value in few.values())
    one = scale.hours(1e9, 0.02, 1)
    assert one == pytest.approx(scale.PAIRS * scale.EPOCHS * 1e9 / (989e12 * 0.02) / 3600)
    assert np.isclose(one / scale.hours(1e9, 0.02, 8), 8 * scale.TOGETHER)
