"""Running a stage: once, and never on with what does not fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from training.stage import MADE, Stage, run


@dataclass(frozen=True)
class Config:
    size: int = 1


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "synthetic").mkdir(parents=True)
    for name in (*MADE, "synthetic/texts.csv"):
        (tmp_path / "data" / name).write_text("first")
    return tmp_path / "data"


def counting(calls: list[int], **more: object) -> Stage:
    def main(config: Config, data: Path, out: Path) -> dict[str, object]:
        calls.append(config.size)
        return {"result": len(calls)}

    return Stage("counted", main, **more)  # type: ignore[arg-type]


def test_a_finished_stage_is_not_run_again(data: Path, tmp_path: Path) -> None:
    calls: list[int] = []
    first = run(counting(calls), Config(), data, tmp_path)
    assert run(counting(calls), Config(), data, tmp_path) == first
    assert calls == [1]


def test_other_settings_are_refused(data: Path, tmp_path: Path) -> None:
    run(counting([]), Config(), data, tmp_path)
    with pytest.raises(ValueError, match="with other settings; remove the folder"):
        run(counting([]), Config(size=2), data, tmp_path)


@pytest.mark.parametrize("changed", ["manifest.csv", "fingerprint.json", "synthetic/texts.csv"])
def test_other_data_is_refused(data: Path, tmp_path: Path, changed: str) -> None:
    run(counting([]), Config(), data, tmp_path)
    (data / changed).write_text("second")
    with pytest.raises(ValueError, match="on other data"):
        run(counting([]), Config(), data, tmp_path)


def test_what_a_stage_does_not_read_may_change(data: Path, tmp_path: Path) -> None:
    calls: list[int] = []
    run(counting(calls, reads=MADE), Config(), data, tmp_path)
    (data / "synthetic/texts.csv").write_text("second")
    run(counting(calls, reads=MADE), Config(), data, tmp_path)
    assert calls == [1]


def test_a_stage_that_was_killed_goes_on_only_with_what_it_began(
    data: Path, tmp_path: Path
) -> None:
    def killed(config: Config, data: Path, out: Path) -> dict[str, object]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Stage("counted", killed), Config(), data, tmp_path)
    with pytest.raises(ValueError, match=r"begun\.json was made with other settings"):
        run(counting([]), Config(size=2), data, tmp_path)
    calls: list[int] = []
    run(counting(calls), Config(), data, tmp_path)
    assert calls == [1]
