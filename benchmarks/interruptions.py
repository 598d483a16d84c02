"""Interrupted training: killed anywhere, out of disk, photos that break on the way.

    python -m benchmarks.interruptions

Trains the whole project small, on made data, once undisturbed and stage by stage. Then each stage
is disturbed in a process of its own, run again in the same way until it is done, and what it leaves
is compared with the undisturbed result: every tensor bit for bit, every table and summary but for
the minutes that it took. Disturbed means:

* SIGKILL from outside after a random time;
* SIGKILL from inside just before one of its steps on files (open to write, rename, remove, mkdir),
  counted by an audit hook of Python;
* death in the middle of a write, after a random number of bytes (a file-size limit of the kernel);
* a full disk: the same limit as an error, and, where this may mount one, a real small tmpfs;
* a photo removed, cut off or overwritten before a run and while it reads.

Stages are killed in turn until `--minutes` are over; with the rest it takes twice as long.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot  # noqa: F401  (so that no child has to)
import numpy as np
import safetensors.torch
import torch
import torch.distributed.fsdp
from tqdm import tqdm

from benchmarks import record
from dermmm.torchvision_import import torchvision_models
from tests.training.made_data import make_raw
from training import clean, corpus, reproduce
from training.loop import LoopConfig
from training.presets import SMOKE
from training.stage import run

COMMAND = "python -m benchmarks.interruptions"
CLEANING = "clean"
STAGES = {one.name: one for one in (*corpus.STAGES, *reproduce.STAGES)}
ORDER = (CLEANING, *STAGES)
# Trained step by step.
LOOPS = ("simclr", "image_classifier", "text_pretraining", "text_classifier", "fusion")
# Those that write what later ones read. The others make one small table or none.
DISTURBED = (CLEANING, "synthesize", *LOOPS, "calibrate", "abstention", "evaluate")
PATIENTS = 60
PATIENCE = 600  # seconds after which a child hangs
END = "END "  # begins the line in which a child says how it ended
_LOOP = LoopConfig(epochs=2, batch_size=24, learning_rate=1e-3, save_seconds=0)
PRESET = replace(  # saves after every step, and is as small as it can be
    SMOKE,
    simclr=replace(SMOKE.simclr, loop=_LOOP, queue=16),
    image_classifier=replace(SMOKE.image_classifier, loop=replace(_LOOP, ema=0.9)),
    text_pretraining=replace(
        SMOKE.text_pretraining, loop=replace(_LOOP, epochs=1, batch_size=64), layers=1
    ),
    text_classifier=replace(SMOKE.text_classifier, loop=replace(_LOOP, batch_size=64)),
    fusion=replace(SMOKE.fusion, loop=_LOOP),
)
# What a child does when its time has come.
KILL, TEAR, FULL, SPOIL = "kill", "tear", "full", "spoil"
SPOILS = ("removed", "cut off", "overwritten")


@dataclass(frozen=True)
class Fuse:
    """Does something at the ``at``-th step on the run's files."""

    what: str
    at: int
    size: int = 0  # bytes of a file after which writing ends, for TEAR and FULL
    photo: Path | None = None  # for SPOIL
    how: str = ""  # one of SPOILS


@dataclass
class Tally:
    """Trials of one kind, and those that broke the promise."""

    trials: int = 0
    disturbed: int = 0  # times that a child really died or stopped
    wrong: list[str] = field(default_factory=list)

    def add(self, disturbed: int, wrong: list[str], what: str) -> None:
        self.trials += 1
        self.disturbed += disturbed
        if wrong:
            self.wrong.append(f"{what}: {'; '.join(wrong[:3])}")


# a child -----------------------------------------------------------------------------------------

CONTEXT = multiprocessing.get_context("forkserver")  # imports torch once, for all children
CONTEXT.set_forkserver_preload(["benchmarks.interruptions"])
torchvision_models()


@dataclass(frozen=True)
class End:
    """How a child ended."""

    code: int  # 0 done, 1 an error, below 0 the signal that ended it
    said: str  # "done", the error in one line, or "died"
    steps: int  # on files, where it ended by itself
    seconds: float


def train(
    names: tuple[str, ...],
    raw: Path,
    out: Path,
    fuse: Fuse | None = None,
    kill_after: float | None = None,
) -> End:
    """Run stages in a process of its own, to the end or to what ``fuse`` or the time does to it."""
    said = out.with_name(out.name + ".txt")
    said.write_text("")
    child = CONTEXT.Process(target=_child, args=(names, raw, out, fuse, said))
    started = time.monotonic()
    child.start()
    child.join(PATIENCE if kill_after is None else kill_after)
    if child.is_alive():
        child.kill()
        child.join()
        if kill_after is None:
            raise TimeoutError(f"{names} hung for {PATIENCE} s with {fuse}")
    seconds = time.monotonic() - started
    lines = said.read_text(errors="replace").splitlines()  # progress bars among them
    told = [line.removeprefix(END) for line in lines if line.startswith(END)]
    steps, _, last = (told or ["0 died"])[-1].partition(" ")
    assert child.exitcode is not None
    return End(child.exitcode, last, int(steps), seconds)


def _child(names: tuple[str, ...], raw: Path, out: Path, fuse: Fuse | None, said: Path) -> None:
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    told = os.open(said, os.O_WRONLY | os.O_TRUNC)
    os.dup2(told, 1)
    os.dup2(told, 2)
    watch = _Watch(out, fuse)
    sys.addaudithook(watch)
    try:
        for name in names:
            stage(name, raw, out)
        print(f"\n{END}{watch.steps} done", flush=True)
    except Exception as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        message = " ".join(str(error).split())
        print(f"\n{END}{watch.steps} {type(error).__name__}: {message}", flush=True)
        sys.exit(1)


def stage(name: str, raw: Path, out: Path) -> None:
    """One stage, as `training.reproduce` runs it."""
    if name == CLEANING:
        clean.main(clean.Config(raw, out / "data", workers=1))
    else:
        run(STAGES[name], getattr(PRESET, name), out / "data", out)


class _Watch:
    """Counts the steps on files below a folder, and burns the fuse at its step."""

    def __init__(self, folder: Path, fuse: Fuse | None) -> None:
        self.folder, self.fuse, self.steps = str(folder), fuse, 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            counts = isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        else:
            counts = event in ("os.rename", "os.remove", "os.mkdir")
        if not counts or not str(arguments[0]).startswith(self.folder):
            return
        self.steps += 1
        if self.fuse is not None and self.steps == self.fuse.at:
            _burn(self.fuse)


def _burn(fuse: Fuse) -> None:
    if fuse.what == KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    elif fuse.what == SPOIL:
        assert fuse.photo is not None
        spoil(fuse.photo, fuse.how)
    else:
        # Past the limit the kernel sends SIGXFSZ. Python ignores it, and the write is an error.
        if fuse.what == TEAR:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (fuse.size, resource.RLIM_INFINITY))


def spoil(photo: Path, how: str) -> None:
    """Break a photo, as somebody or a disk does it."""
    content = photo.read_bytes()
    photo.unlink()
    if how == "cut off":
        photo.write_bytes(content[: len(content) // 2])
    elif how == "overwritten":
        photo.write_bytes(bytes(len(content)))


# the undisturbed run -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Reference:
    """The undisturbed run: what there was before each stage, what after, and how it went."""

    raw: Path
    before: dict[str, Path]
    after: dict[str, Path]
    ends: dict[str, End]


def undisturbed(
    folder: Path, names: tuple[str, ...] = ORDER, patients: int = PATIENTS
) -> Reference:
    """Run the stages one after the other, keeping what lies there in between."""
    raw, out = make_raw(folder / "raw", patients), folder / "reference"
    out.mkdir()
    reference = Reference(raw, {}, {}, {})
    for name in names:
        reference.before[name] = linked(out, folder / "before" / name)
        end = train((name,), raw, out)
        if end.code:
            raise RuntimeError(f"{name} failed undisturbed: {end.said}")
        reference.ends[name] = end
        reference.after[name] = linked(out, folder / "after" / name)
    return reference


def linked(folder: Path, copy: Path) -> Path:
    """A copy by hard links: a stage replaces files and never writes into those of another one."""
    shutil.copytree(folder, copy, copy_function=os.link)
    return copy


def differences(one: Path, two: Path) -> list[str]:
    """Files that differ, by name; times apart. [] for equal results."""
    names = [
        {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        for folder in (one, two)
    ]
    found = [f"only one has {name}" for name in sorted(names[0] ^ names[1])]
    for name in sorted(names[0] & names[1]):
        if not _same(one / name, two / name):
            found.append(f"{name} differs")
    return found


def _same(one: Path, two: Path) -> bool:
    if one.read_bytes() == two.read_bytes():
        return True
    if one.suffix == ".safetensors":  # the state's header holds the seconds
        left, right = (safetensors.torch.load(path.read_bytes()) for path in (one, two))
        return left.keys() == right.keys() and all(
            left[name].numpy().tobytes() == right[name].numpy().tobytes() for name in left
        )
    if one.suffix in (".json", ".jsonl"):
        left, right = (
            [_timeless(json.loads(part)) for part in _parts(path)] for path in (one, two)
        )
        return left == right
    return False


def _parts(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return text.splitlines() if path.suffix == ".jsonl" else [text]


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: one for name, one in value.items() if name not in ("minutes", "seconds")}
        return {name: _timeless(one) for name, one in kept.items()}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


# disturbed ---------------------------------------------------------------------------------------


def killed(
    reference: Reference, name: str, fuses: list[Fuse | float], scratch: Path
) -> tuple[int, list[str]]:
    """Run a stage that dies again and again, then undisturbed to its end.

    Args:
        fuses: each is one death; a number is the seconds after which SIGKILL comes from outside.

    Returns:
        how often it died, and what is wrong with what it left.
    """
    out = linked(reference.before[name], scratch / "out")
    deaths = 0
    try:
        for fuse in fuses:
            if isinstance(fuse, Fuse):
                end = train((name,), reference.raw, out, fuse)
            else:
                end = train((name,), reference.raw, out, kill_after=fuse)
            deaths += end.code < 0
            if end.code > 0:
                return deaths, [f"could not go on: {end.said}"]
        end = train((name,), reference.raw, out)
        if end.code:
            return deaths, [f"could not go on: {end.said}"]
        return deaths, differences(reference.after[name], out)
    finally:
        shutil.rmtree(out)


def out_of_space(
    reference: Reference, name: str, fuse: Fuse, scratch: Path
) -> tuple[int, list[str]]:
    """Run a stage whose files cannot grow past a size, then one with space."""
    out = linked(reference.before[name], scratch / "out")
    try:
        end = train((name,), reference.raw, out, fuse)
        if end.code == 0:  # no file was that large
            return 0, differences(reference.after[name], out)
        return 1, _after_full(reference, name, out, end)
    finally:
        shutil.rmtree(out)


def _after_full(reference: Reference, name: str, out: Path, end: End) -> list[str]:
    wrong = []
    if end.code != 1 or "is full; make space and run the same command again" not in end.said:
        wrong.append(f"no clear error: {end.code} {end.said}")
    left = [path.name for path in out.rglob("*.tmp")]
    wrong += [f"left {one} behind" for one in left]
    end = train((name,), reference.raw, out)
    if end.code:
        return [*wrong, f"could not go on: {end.said}"]
    return wrong + differences(reference.after[name], out)


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A file system of so many bytes at ``folder``; needs the right to mount.

    Raises:
        PermissionError: there is no such right.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _mount(["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)])
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _mount(arguments: list[str]) -> None:
    try:
        subprocess.run(["mount", *arguments], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise PermissionError("this user may not mount a small disk") from error


def on_a_small_disk(
    reference: Reference, name: str, share: float, scratch: Path
) -> tuple[int, list[str]]:
    """Run a stage on a disk that holds a ``share`` of what it writes; then the disk grows."""
    before, after = (_bytes(one[name]) for one in (reference.before, reference.after))
    disk = scratch / "disk"
    with small_disk(disk, 4096 * 2 + before + int(share * (after - before))):
        out = disk / "out"
        shutil.copytree(reference.before[name], out)
        end = train((name,), reference.raw, out)
        _mount(["-o", f"remount,size={2**31}", str(disk)])
        if end.code == 0:
            return 0, differences(reference.after[name], out)
        return 1, _after_full(reference, name, out, end)


def _bytes(folder: Path) -> int:
    """What a folder takes on a file system of 4 KiB pages."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*"))


def photo_spoilt_in_the_data(
    reference: Reference, name: str, how: str, at: int, scratch: Path
) -> tuple[int, list[str]]:
    """Break a cleaned photo before (``at`` 0) or while a stage reads; then put it back."""
    out = scratch / "out"
    shutil.copytree(reference.before[name], out)
    try:
        photo = _photos(out / "data")[-1]
        content = photo.read_bytes()
        fuse = Fuse(SPOIL, at, photo=photo, how=how) if at else None
        if not at:
            spoil(photo, how)
        end = train((name,), reference.raw, out, fuse)
        if photo.is_file() and photo.read_bytes() == content:
            return 0, [f"step {at} never came"]
        wrong = []
        if end.code != 1 or photo.name not in end.said:
            wrong.append(f"no error that names the photo: {end.code} {end.said}")
        photo.write_bytes(content)
        end = train((name,), reference.raw, out)
        if end.code:
            return 1, [*wrong, f"could not go on: {end.said}"]
        return 1, wrong + differences(reference.after[name], out)
    finally:
        shutil.rmtree(out)


def photo_spoilt_in_the_raw_folder(
    reference: Reference, how: str, at: int, scratch: Path
) -> tuple[int, list[str]]:
    """Break a raw photo before (``at`` 0) or during the cleaning, then clean again.

    Before: it is left out and listed with its reason. During: nothing counts as clean, and the next
    run leaves it out. Either way what is left equals the cleaning of a folder that was so at once.
    """
    raw, out = scratch / "spoilt", scratch / "out"
    shutil.copytree(reference.raw, raw)
    photo = sorted((raw / "fitzpatrick17k").glob("*.jpg"))[-1]
    try:
        wrong = []
        fuse = Fuse(SPOIL, at, photo=photo, how=how) if at else None
        if not at:
            spoil(photo, how)
        end = train((CLEANING,), raw, out, fuse)
        if at:
            named = photo.name in end.said or "changed while they were read" in end.said
            if end.code != 1 or not named:
                wrong.append(f"no error that says so: {end.code} {end.said}")
            if (out / "data" / "fingerprint.json").exists():
                wrong.append("counts as clean")
            end = train((CLEANING,), raw, out)
        if end.code:
            return 1, [*wrong, f"could not go on: {end.said}"]
        dropped = (out / "data" / "dropped.csv").read_text()
        kept = [path.name for path in _photos(out / "data")]
        if any(photo.stem in name for name in kept):
            wrong.append("is still among the photos")
        if how != "removed" and f"{photo.stem},filter,unreadable" not in dropped:
            wrong.append("is not listed as left out")
        return 1, wrong
    finally:
        shutil.rmtree(raw)
        shutil.rmtree(out)


def _photos(data: Path) -> list[Path]:
    return sorted(data.rglob("train/*/*.jpg"))


# the whole ---------------------------------------------------------------------------------------


def deaths(end: End, trial: int, rng: np.random.Generator) -> list[Fuse | float]:
    """How a stage dies in a trial: by turns at a step, in a write, by time; sometimes twice."""
    found: list[Fuse | float] = []
    for _ in range(1 + (trial % 4 == 3)):
        at = int(rng.integers(1, end.steps + 1))
        size = int(rng.choice([0, 1, 100, 5000, 200_000]))
        by_time = float(rng.uniform(0.05, 1.0) * end.seconds)
        found.append((Fuse(KILL, at), Fuse(TEAR, at, size), by_time)[trial % 3])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=6, help="of killing (default: 6)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.monotonic()
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        print("undisturbed", flush=True)
        reference = undisturbed(scratch)
        photos = spoil_all(reference, scratch)
        full, mounted = fill_all(reference, rng, scratch)
        kills = kill_all(reference, options.minutes, rng, scratch)
    rows, tables = report(reference, kills, full, mounted, photos)
    record.save("interruptions", COMMAND, rows, tables, (time.monotonic() - started) / 60)
    for row in rows:
        print(f"{row.point}: {row.measured}")


def kill_all(
    reference: Reference, minutes: float, rng: np.random.Generator, scratch: Path
) -> dict[str, Tally]:
    """Every stage killed in every way, and again until the minutes are over; by stage."""
    tallies = {name: Tally() for name in DISTURBED}
    end, trial = time.monotonic() + 60 * minutes, 0
    while trial < 3 or time.monotonic() < end:
        for name, tally in tqdm(tallies.items(), unit="stage", desc=f"killed, round {trial + 1}"):
            fuses = deaths(reference.ends[name], trial, rng)
            tally.add(*killed(reference, name, fuses, scratch), str(fuses))
        trial += 1
    return tallies


def fill_all(
    reference: Reference, rng: np.random.Generator, scratch: Path
) -> tuple[dict[str, Tally], bool]:
    """Every stage out of space, by stage; and whether a small disk could be mounted."""
    tallies, mounted = {name: Tally() for name in DISTURBED}, True
    for name, tally in tqdm(tallies.items(), unit="stage", desc="full"):
        size = int(rng.choice([0, 1000]))
        fuse = Fuse(FULL, int(rng.integers(1, reference.ends[name].steps + 1)), size)
        tally.add(*out_of_space(reference, name, fuse, scratch), str(fuse))
        share = float(rng.uniform(0.1, 0.9))
        try:
            tally.add(*on_a_small_disk(reference, name, share, scratch), f"{share:.2f} of the disk")
        except PermissionError:
            mounted = False
    return tallies, mounted


def spoil_all(reference: Reference, scratch: Path) -> dict[str, Tally]:
    """Photos broken before and during the cleaning, before and during the packing."""
    tallies = {
        "raw, before cleaning": Tally(),
        "raw, during cleaning": Tally(),
        "cleaned, before packing": Tally(),
        "cleaned, during packing": Tally(),
    }
    steps = reference.ends[CLEANING].steps
    for how in tqdm(SPOILS, desc="spoilt", unit="way"):
        for at, tally in zip((0, steps // 2), list(tallies.values())[:2], strict=True):
            tally.add(*photo_spoilt_in_the_raw_folder(reference, how, at, scratch), how)
        # the first steps of SimCLR: its folder, its begun.json, the cache, the pack's own file
        for at, tally in zip((0, 3), list(tallies.values())[2:], strict=True):
            tally.add(*photo_spoilt_in_the_data(reference, "simclr", how, at, scratch), how)
    return tallies


def report(
    reference: Reference,
    kills: dict[str, Tally],
    full: dict[str, Tally],
    mounted: bool,
    photos: dict[str, Tally],
) -> tuple[list[record.Row], list[record.Table]]:
    """Rows, and tables by stage."""

    def row(point: str, target: str, tallies: list[Tally], unit: str) -> record.Row:
        trials, times = (sum(getattr(t, n) for t in tallies) for n in ("trials", "disturbed"))
        wrong = [one for tally in tallies for one in tally.wrong]
        said = f"{trials - len(wrong)} of {trials} trials, {times} {unit}"
        if wrong:
            said += f"; not: {'; '.join(wrong[:3])}"
        return record.Row(point, target, said, not wrong)

    same = "the same result, bit for bit"
    disk = "file-size limit and a real small disk" if mounted else "file-size limit; may not mount"
    rows = [
        row(
            "A stage that trains step by step is killed and run again",
            same,
            [tally for name, tally in kills.items() if name in LOOPS],
            "deaths",
        ),
        row(
            "Another stage (cleaning, calibration, evaluation ...) is killed and run again",
            same,
            [tally for name, tally in kills.items() if name not in LOOPS],
            "deaths",
        ),
        row(
            f"The disk is full ({disk})",
            f"an error that says so, no part of a file left, then {same}",
            list(full.values()),
            "stops",
        ),
        row(
            "A raw photo breaks before or while it is cleaned",
            "left out and listed, or the run stops and the next one leaves it out",
            [tally for name, tally in photos.items() if name.startswith("raw")],
            "broken photos",
        ),
        row(
            "A cleaned photo breaks before or while it is packed",
            f"an error that names it, no other picture in its place; put back, {same}",
            [tally for name, tally in photos.items() if name.startswith("cleaned")],
            "broken photos",
        ),
    ]
    lines = tuple(
        (
            name,
            f"{reference.ends[name].seconds:.1f}",
            str(reference.ends[name].steps),
            f"{kills[name].trials - len(kills[name].wrong)}/{kills[name].trials}",
            str(kills[name].disturbed),
            f"{full[name].trials - len(full[name].wrong)}/{full[name].trials}",
            str(full[name].disturbed),
        )
        for name in DISTURBED
    )
    columns = (
        *("stage", "seconds undisturbed", "steps on files"),
        *("killed: equal", "deaths", "disk full: equal", "stops"),
    )
    counted = Counter({name: tally.trials - len(tally.wrong) for name, tally in photos.items()})
    spoilt = tuple((name, f"{counted[name]}/{tally.trials}") for name, tally in photos.items())
    return rows, [
        record.Table("Stages disturbed and run again", columns, lines),
        record.Table("Photos broken", ("photo and time", "as promised"), spoilt),
    ]


if __name__ == "__main__":
    main()
