"""Running a stage: once, and never on with what does not fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from training.dataset import read_photo, write_array
from training.stage import MADE, Stage, load_module, read_summary, run, save_module, whole


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


def test_data_whose_cleaning_was_not_finished_is_refused(data: Path, tmp_path: Path) -> None:
    (data / "fingerprint.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"fingerprint\.json.* run `python -m training\.cl"):
        run(counting([]), Config(), data, tmp_path)


def test_a_full_disk_is_told_with_what_to_do(data: Path, tmp_path: Path) -> None:
    def full(config: Config, data: Path, out: Path) -> dict[str, object]:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="is full; make space and run the same command again") as told:
        run(Stage("counted", full), Config(), data, tmp_path)
    assert told.value.errno == 28


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), whole(path) as temporary:
        temporary.write_text("half")
        raise OSError("full")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_an_array_is_written_part_by_part(tmp_path: Path) -> None:
    array = np.arange(60, dtype=np.uint8).reshape(5, 4, 3)
    write_array(tmp_path / "a.npy", array.shape, np.uint8, iter([array[:2], array[2:]]))
    assert (np.load(tmp_path / "a.npy", mmap_mode="r") == array).all()

    def broken() -> object:
        yield array[:2]
        raise ValueError("a photo is damaged")

    with pytest.raises(ValueError, match="a photo is damaged"):
        write_array(tmp_path / "b.npy", array.shape, np.uint8, broken())  # type: ignore[arg-type]
    assert [one.name for one in tmp_path.iterdir()] == ["a.npy"]


@pytest.mark.parametrize("content", [None, b"", b"no photo"])
def test_a_photo_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "lesion.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"lesion\.jpg: .* run training\.clean again"):
        read_photo(path)


def test_damaged_weights_and_summaries_are_named(tmp_path: Path) -> None:
    (tmp_path / "counted").mkdir()
    weights, summary = (tmp_path / "counted" / name for name in ("a.safetensors", "summary.json"))
    module = nn.Linear(2, 2)
    save_module(module, weights)
    weights.write_bytes(weights.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"a\.safetensors: damaged .* run the stage counted again"):
        load_module(module, weights)
    summary.write_text('{"config"')
    with pytest.raises(ValueError, match=r"summary\.json: not JSON .* remove it and run"):
        read_summary(tmp_path, "counted")
