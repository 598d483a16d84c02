"""What every stage shares: where its result is kept, how it is run alone, how weights are saved.

A stage is `main(config, data, out) -> summary`. Run by `training.reproduce` or alone, it writes
`out/<name>/summary.json` last. A stage whose summary is there is done; one that was begun goes on.
Either must have been with the same configuration and on the same data, or nothing is run. Every
file that a later run reads appears whole or not at all, so a run may be killed anywhere.
"""

from __future__ import annotations

import argparse
import dataclasses
import errno
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from accelerate import PartialState
from torch import nn

from dermmm import checkpoint

MADE = ("manifest.csv", "fingerprint.json")  # by training.clean; the second covers every text
SYNTHETIC = "synthetic/texts.csv"  # by training.synthesize
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what writing to a full disk says


@dataclass(frozen=True)
class Stage:
    """A named step of the training, in `main(config, data, out) -> summary` form.

    ``reads`` are the files below the data folder whose contents it depends on. A stage that
    ``measures`` depends on the weights in `OUT/checkpoint` as well.
    """

    name: str
    main: Callable[[Any, Path, Path], dict[str, Any]]
    reads: tuple[str, ...] = (*MADE, SYNTHETIC)
    measures: bool = False


def run(stage: Stage, config: Any, data: Path, out: Path) -> dict[str, Any]:
    """Run a stage unless it is done already, and return its summary.

    Raises:
        FileNotFoundError: the cleaning of ``data`` was not finished.
        ValueError: it was begun or done with other settings or on other data.
        OSError: the disk is full; what was saved before is as it was.
    """
    folder = out / stage.name
    if processes().is_main_process:
        checkpoint.finish(out / "checkpoint")  # where a run was killed while it wrote it
    for name in MADE:
        if name in stage.reads and not (data / name).is_file():
            raise FileNotFoundError(
                f"no {data / name}, which training.clean writes when it is done; run "
                f"`python -m training.clean --raw RAW --out {data}` first"
            )
    now = {
        "config": json.loads(json.dumps(dataclasses.asdict(config))),
        "inputs": {
            name: hashlib.sha256((data / name).read_bytes()).hexdigest()
            for name in stage.reads
            if (data / name).is_file()
        }
        | (weights(out / "checkpoint") if stage.measures else {}),
    }
    for path in (folder / "summary.json", folder / "begun.json"):
        if path.is_file():
            then = _read_json(path)
            for what, words in (
                ("config", "with other settings"),
                ("inputs", "on other data or weights"),
            ):
                if then[what] != now[what]:
                    raise ValueError(
                        f"{path} was made {words}; remove the folder {folder} and those of the "
                        "stages after it to train anew, or choose another --out"
                    )
            if path.name == "summary.json":
                return then
    with telling_of_a_full_disk(out):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "begun.json", json.dumps(now, indent=1) + "\n")
        summary = {**now, **stage.main(config, data, out)}
        write_whole(folder / "summary.json", json.dumps(summary, indent=1) + "\n")
    return summary


@contextmanager
def telling_of_a_full_disk(folder: Path) -> Iterator[None]:
    """Say what to do where a write fails for want of space: the system's error names no file."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OSError(
            error.errno,
            f"the disk of {folder} is full; make space and run the same command again: it goes on "
            "from what was saved",
        ) from error


def weights(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of weights in a checkpoint's folder, by name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (folder / f"{part}.safetensors" for part in checkpoint.PARTS)
        if path.is_file()
    }


def forget_measurements(out: Path) -> None:
    """Remove the summary of every stage that measured `OUT/checkpoint`, for it is made anew.

    What such a stage trained stays. Where the weights are the same it runs again when it is asked
    for, and where they are others it is refused as ever.
    """
    for path in out.glob("*/summary.json"):
        read = _read_json(path)["inputs"]
        if any(f"{part}.safetensors" in read for part in checkpoint.PARTS):
            path.unlink()


def read_summary(out: Path, name: str) -> dict[str, Any]:
    """The summary of a finished stage. Raises FileNotFoundError where it has not run."""
    path = out / name / "summary.json"
    if not path.is_file():
        raise FileNotFoundError(f"no summary at {path}; run the stage {name} first")
    return _read_json(path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(
            f"{path}: not JSON ({error}), so it was damaged after it was written; remove it and "
            "run the same command again"
        ) from None


def run_stage(stage: Stage, doc: str | None) -> dict[str, Any]:
    """The command line of a single stage. Prints its summary, and returns it."""
    return run_parsed(stage, stage_parser(doc).parse_args())


def stage_parser(doc: str | None) -> argparse.ArgumentParser:
    """The options that every stage has; a stage may add its own before `run_parsed`."""
    from training.presets import PRESETS  # the presets import every stage's config

    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="what training.clean wrote")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    return parser


def run_parsed(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """Run a stage with the preset that the command line chose, print and return its summary."""
    from training.presets import PRESETS

    config = getattr(PRESETS[options.preset], stage.name)
    summary = run(stage, config, options.data, options.out)
    print(json.dumps(summary, indent=1))
    return summary


def processes() -> PartialState:
    """Which of how many processes this is. Without CUDA they talk over gloo."""
    return PartialState(cpu=not torch.cuda.is_available())


def save_module(module: nn.Module, path: Path) -> None:
    """Write a module's weights in full precision, whole or not at all; one process of many does."""
    if not processes().is_main_process:
        return
    # contiguous: convolutions lie channels-last in memory, files do not
    tensors = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    write_whole(path, safetensors.torch.save(tensors))


def load_module(module: nn.Module, path: Path) -> None:
    """Read weights that `save_module` wrote; strict.

    Raises:
        FileNotFoundError: there are none.
        ValueError: the file is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; run the stage {path.parent.name} first")
    try:
        tensors = safetensors.torch.load(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path}: damaged after it was written ({error}); remove "
            f"{path.with_name('summary.json')} and run the stage {path.parent.name} again"
        ) from None
    module.load_state_dict(tensors)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file by `whole`; one process of many does."""
    if not processes().is_main_process:
        return
    with whole(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a name to write to; what is there at the end becomes ``path``, whole or not at all.

    Whatever ends the program on the way, what was at ``path`` is as it was. After an error, such as
    a full disk, the part that was written is removed: it would only take up space.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
