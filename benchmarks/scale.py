"""Training at scale: the stages' rates, a million pairs from shards, hours on GPUs, a large batch.

    python -m benchmarks.scale              all of it, about 15 minutes on two idle cores
    python -m benchmarks.scale --only memory

Rates: each stage of the training runs on made data with the settings of the preset `cpu`, but for
fewer synthetic texts. Its own steps are timed; then its model alone, forward and backward on the
last inputs that the stage gave it; then its data path alone, up to where the model is called.

Memory: the peak of a fresh process that reads a table, or streams shards and augments nothing, for
ever more samples. The million is 50,000 made samples listed 20 times: each listing is read, decoded
and batched anew.

Hours: of the arithmetic that one pair costs (counted by torch) and assumptions that are named; no
GPU was used.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
import webdataset
from PIL import Image
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import dermmm
from benchmarks.record import Row, Table, save
from benchmarks.training_step import photos_per_second
from dermmm.batch import COLUMNS
from dermmm.model import DermModel, ModelConfig
from dermmm.preprocess import open_photo, square
from training import (
    corpus,
    fusion,
    image_classifier,
    pairing,
    shards,
    simclr,
    text_classifier,
    text_pretraining,
)
from training.loop import BatchLoss, LoopConfig, Sampler, Step, keep_freed_memory
from training.presets import CPU, SMOKE, Preset
from training.sources import derm1m
from training.stage import Stage, run

ROOT = Path(__file__).parents[1]
READ = (5_000, 50_000, 200_000)  # rows; masking captions takes a third of a millisecond each
STREAMED = (5_000, 50_000, 1_000_000)  # pairs, of which the first two are made, the last listed
DISTINCT = 200  # made photos
CONSTANT = 1.1  # the peak of the most samples against that of the fewest
TIMED: tuple[Stage, ...] = (
    simclr.STAGE,
    image_classifier.STAGE,
    text_pretraining.STAGE,
    text_classifier.STAGE,
    fusion.STAGE,
)

# What one H100 is taken to do. Its peak is dense bf16 (NVIDIA's data sheet). EfficientNet-B0 is
# bound by memory, not arithmetic: NVIDIA's own 2,489 photos a second of training on an A100 are
# under 2 % of that GPU's peak, so that is the middle of the range. Prices are of November 2026 by
# memory, not quoted by anybody: put in your own.
PEAK = 989e12  # operations a second
UTILISATION = (0.01, 0.02, 0.05)
DOLLARS = (2.0, 4.0)  # an hour and GPU
TOGETHER = 0.9  # of 8 GPUs' added rates
PAIRS, EPOCHS, WORDS = 1_029_761, 30, 41  # Derm1M's pairs and mean words (its authors)


# --- rates of the stages --------------------------------------------------------------------------


def stage_rates(folder: Path, preset: Preset, steps: int) -> list[tuple[str, float, float, float]]:
    """Items a second of each stage, of its bare model, and of its data path, on made data."""
    from tests.training.made_data import make_raw

    raw, out = make_raw(folder / "raw"), folder / "run"
    corpus.main(raw, out, SMOKE)
    found: list[tuple[str, float, float, float]] = []

    def timed(
        kept: Path,
        module: nn.Module,
        loss: BatchLoss,
        sampler: Sampler,
        config: LoopConfig,
        *_: Any,
    ) -> float:
        kept.mkdir(parents=True, exist_ok=True)
        found.append((kept.name, *fit_rates(module, loss, sampler, config.batch_size, steps)))
        print("  {}: {:.0f}, bare {:.0f}, data {:.0f} a second".format(*found[-1]), flush=True)
        return 0.0

    keep_freed_memory()
    for stage in (*TIMED[:-1], pairing.STAGE, TIMED[-1]):
        module = sys.modules[stage.main.__module__]
        measured = stage in TIMED
        with mock.patch.object(module, "fit", timed) if measured else nullcontext():
            run(stage, getattr(preset, stage.name), out / "data", out)
    return found


def fit_rates(
    module: nn.Module, loss: BatchLoss, sampler: Sampler, batch: int, steps: int
) -> tuple[float, float, float]:
    """Items a second of a stage's steps, of its bare model, and of its data path."""
    order = sampler(0)
    indices = np.resize(order, batch)
    optimiser = torch.optim.AdamW([w for w in module.parameters() if w.requires_grad])
    seen: dict[str, Any] = {}
    hook = module.register_forward_pre_hook(lambda _, inputs: seen.update(inputs=inputs))
    step = Step(indices, 0.9, torch.device("cpu"))
    module.train()

    def learn(make: Callable[[], Tensor]) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            value = make()
        value.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    whole = photos_per_second(lambda: learn(lambda: loss(module, step)), batch, steps)
    hook.remove()
    inputs = tuple(one.detach() for one in seen["inputs"])
    bare = photos_per_second(lambda: learn(lambda: _total(module(*inputs))), batch, steps)

    def stop(*_: Tensor) -> Tensor:
        raise _Prepared

    def prepare() -> None:
        with suppress(_Prepared), torch.autocast("cpu", torch.bfloat16):
            loss(stop, step)  # type: ignore[arg-type]  # it is only called

    return whole, bare, photos_per_second(prepare, batch, steps)


class _Prepared(Exception):
    """The data path is at its end: the model would be called now."""


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    parts = output if isinstance(output, tuple) else vars(output).values()
    return [one for one in parts if isinstance(one, Tensor)]


def _total(output: Any) -> Tensor:
    """A loss that asks every output for its gradient."""
    floats = [one for one in _tensors(output) if one.requires_grad]
    return torch.stack([one.float().masked_fill(one.isinf(), 0).sum() for one in floats]).sum()


# --- two processes against one --------------------------------------------------------------------


def process_rates(folder: Path, steps: int, batch: int = 64, size: int = 64) -> tuple[float, float]:
    """Photos a second of the image classifier's loop by one process and by two, a thread each."""
    rates = []
    for count in (1, 2):
        kept = folder / f"by-{count}"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc_per_node", str(count), "-m", "benchmarks.scale", "--train", str(kept)]
        command += [str(steps), str(batch), str(size)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True)
        lines = [json.loads(line) for line in (kept / "log.jsonl").read_text().splitlines()]
        first, last = lines[0], lines[-1]
        rates.append((last["step"] - first["step"]) * batch / (last["seconds"] - first["seconds"]))
    return rates[0], rates[1]


def train(folder: Path, steps: int, batch: int, size: int) -> None:
    """What each process of `process_rates` runs: the image classifier on noise."""
    names = list(dermmm.conditions.NAMES)
    rows = pd.DataFrame({"condition": [names[n % len(names)] for n in range(steps * batch)]})
    pixels = np.random.default_rng(0).integers(0, 256, (64, size, size, 3), dtype=np.uint8)
    photos = np.broadcast_to(pixels[None], (steps * batch // 64 + 1, *pixels.shape))
    loop = LoopConfig(epochs=1, batch_size=batch, learning_rate=1e-3, save_seconds=1e9)
    config = image_classifier.ImageClassifierConfig(loop, sizes=((1.0, size),), pack=size)
    image_classifier.train(config, rows, photos.reshape(-1, size, size, 3), None, folder)


# --- a million pairs ------------------------------------------------------------------------------


def make_table(folder: Path, count: int) -> None:
    """A table in Derm1M's layout that lists ``count`` made photos."""
    (folder / "edu").mkdir(parents=True)
    for number, content in enumerate(made_photos()):
        (folder / "edu" / f"{number}_1.jpg").write_bytes(content)
    labels = ("Acne Vulgaris", "Tinea corporis", "psoriasis", "No definitive diagnosis")
    with (folder / derm1m.TABLES["pretrain"]).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("filename", "caption", "disease_label"))
        for number in range(count):
            label = labels[number % 4]
            words = f"Case {number}: scaly {label} on the arm for {number % 9} weeks."
            table.writerow((f"edu/{number % DISTINCT}_1.jpg", words, label))


def made_photos() -> list[bytes]:
    """`DISTINCT` JPEGs of noise, 64 pixels, as bytes."""
    rng, photos = np.random.default_rng(0), []
    for _ in range(DISTINCT):
        noise = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        content = io.BytesIO()
        Image.fromarray(noise).resize((64, 64), Image.Resampling.BICUBIC).save(content, "JPEG")
        photos.append(content.getvalue())
    return photos


def make_shards(folder: Path, count: int) -> None:
    """``count`` made samples as `training.shards.pack` lays them out."""
    folder.mkdir()
    photos = made_photos()
    with webdataset.ShardWriter(f"{folder}/%06d.tar", maxcount=2_500, verbose=0) as writer:
        for number in range(count):
            told = {"id": f"{number}", "group": f"made:{number}", "condition": "acne"}
            sample = {"jpg": photos[number % DISTINCT], "txt": f"Case {number}.", "json": told}
            writer.write({"__key__": f"{number:09d}", **sample})
    write_index(folder, count, 1)


def write_index(folder: Path, count: int, times: int) -> None:
    """List the shards of ``count`` samples ``times`` times."""
    names = sorted(path.name for path in folder.glob("*.tar")) * times
    index = {"samples": count * times, "shards": names, "conditions": {}, "dropped": {}}
    (folder / shards.INDEX_FILE).write_text(json.dumps(index), encoding="utf-8")


def read_all(folder: str, most: int) -> int:
    """Read a table row by row; returns how many."""
    return sum(1 for _, _ in zip(range(most), derm1m.read(Path(folder)), strict=False))


def stream_all(folder: str, most: int) -> int:
    """Stream shards batch by batch; returns how many samples came."""
    return sum(len(batch.texts) for batch in shards.stream(Path(folder), 32, 250, epoch=0))


def peak(work: Callable[[str, int], int], folder: Path, most: int) -> tuple[int, float, float]:
    """What ``work`` returns, its process' peak memory in MiB, and its seconds."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_watched, (work, str(folder), most))


def _watched(work: Callable[[str, int], int], folder: str, most: int) -> tuple[int, float, float]:
    started = time.perf_counter()
    count = work(folder, most)
    seconds = time.perf_counter() - started
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return count, int(found[1]) / 1024, seconds


def memory(
    folder: Path, read: tuple[int, ...], streamed: tuple[int, ...], made: int
) -> dict[str, list[tuple[int, float, float]]]:
    """(rows or pairs, peak in MiB, seconds) of the reader and of the stream, by their number.

    Args:
        made: samples that are written; more are listed several times.
    """
    found: dict[str, list[tuple[int, float, float]]] = {"reader": [], "stream": []}
    make_table(folder / "table", read[-1])
    for count in read:
        found["reader"].append(peak(read_all, folder / "table", count))
        print("  reader: {} rows, {:.0f} MiB, {:.0f} s".format(*found["reader"][-1]), flush=True)
    make_shards(folder / "few", streamed[0])
    make_shards(folder / "many", made)
    for count in streamed:
        place = folder / ("few" if count == streamed[0] else "many")
        if count > streamed[0]:
            write_index(place, made, count // made)
        found["stream"].append(peak(stream_all, place, count))
        print("  stream: {} pairs, {:.0f} MiB, {:.0f} s".format(*found["stream"][-1]), flush=True)
    return found


def growth(found: list[tuple[int, float, float]]) -> float:
    """The last peak against the first."""
    return found[-1][1] / found[0][1]


# --- hours on GPUs --------------------------------------------------------------------------------


def operations(size: int = 224, tokens: int = 56) -> dict[str, float]:
    """Floating-point operations of training on one pair, by part: three times those forward.

    Backward is taken to cost twice forward, as usual: torch's own count of it is wrong for
    depthwise convolutions.

    Args:
        size: pixels; tokens: of the text, by default `WORDS` words of 1.37 tokens.
    """
    config = ModelConfig(conditions=26, vocabulary=4000, image_size=size, max_tokens=128)
    model = DermModel(config).train()
    images, ids = torch.randn(2, 3, size, size), torch.randint(5, 4000, (2, tokens))
    mask = torch.ones(2, tokens, dtype=torch.bool)

    def counted(work: Callable[[], object]) -> float:
        with FlopCounterMode(display=False) as counter:
            work()
        return 3 * counter.get_total_flops() / 2  # a pair of the two

    photo = counted(lambda: model.image_encoder(images))
    text = counted(lambda: model.text_encoder(ids, mask))
    everything = counted(lambda: model(images, ids, mask))
    return {"photo": photo, "text": text, "fusion": everything - photo - text, "all": everything}


def hours(flops: float, utilisation: float, gpus: int) -> float:
    """Hours of `EPOCHS` epochs over `PAIRS` pairs on ``gpus`` H100."""
    rate = PEAK * utilisation * (1 if gpus == 1 else gpus * TOGETHER)
    return PAIRS * EPOCHS * flops / rate / 3600


def decoding_rate(seconds: float = 5) -> float:
    """Photos of 224 pixels a second that one core decodes for a batch."""
    noise = np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).resize((224, 224), Image.Resampling.BICUBIC).save(
        content, "JPEG", quality=95
    )
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        square(open_photo(content.getvalue()), 224)
        count += 1
    return count / (time.perf_counter() - started)


# --- a large batch with Ray -----------------------------------------------------------------------


def write_cases(path: Path, count: int) -> None:
    """A table of cases: photos and texts, alone and together, and rows that cannot be answered."""
    photos = [f"{number}.jpg" for number in range(8)]
    for name, content in zip(photos, made_photos(), strict=False):
        (path.parent / name).write_bytes(content)
    words = ("an itchy red rash", 'a dark spot,\nsaid "to grow"', "")
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for number in range(count):
            photo = photos[number % 8] if number % 5 in (0, 3) else ""
            photo = "not there.jpg" if number % 50 == 7 else photo
            table.writerow((f"={number}", photo, words[number % 3]))


def batch(cases: Path, out: Path, *options: str) -> tuple[float, float]:
    """Run `python -m dermmm batch`; returns its seconds and all its processes' peak in MiB."""
    command = [sys.executable, "-m", "dermmm", "batch", str(cases), "--out", str(out), *options]
    started, most = time.perf_counter(), 0.0
    with open_process(command) as process:
        while process.poll() is None:
            most = max(most, memory_of(process.pid))
            time.sleep(0.5)
        if process.returncode:
            raise RuntimeError(f"{' '.join(options)}: {process.communicate()[1][-2000:]}")
    return time.perf_counter() - started, most


@contextmanager
def open_process(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process whose last words are kept in a file, so that it never waits for a reader."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said, text=True)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
            elif process.returncode:
                said.seek(0)
                print(said.read()[-2000:])


def memory_of(pid: int) -> float:
    """MiB of a process and all below it; what several share is counted once."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    total, left = 0.0, [pid]
    while left:
        one = left.pop()
        left += children.get(one, [])
        try:
            shares = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        found = re.search(r"(?m)^Pss:\s+(\d+) kB", shares)
        total += int(found[1]) / 1024 if found else 0
    return total


def difference(plain: Path, other: Path) -> tuple[int, float]:
    """Rows of two tables of answers that say something else, and the most that a number differs."""
    with plain.open(newline="") as one, other.open(newline="") as two:
        left, right = list(csv.DictReader(one)), list(csv.DictReader(two))
    if len(left) != len(right):
        return max(len(left), len(right)), float("inf")
    rows, most = 0, 0.0
    for a, b in zip(left, right, strict=True):
        numbers = [name for name in a if name.startswith(("p:", "gate_"))]
        most = max([most, *(abs(float(a[n] or 0) - float(b[n] or 0)) for n in numbers)])
        rows += any(a[name] != b[name] for name in a if name not in numbers)
    return rows, most


# --- the whole ------------------------------------------------------------------------------------


def rates_part(folder: Path) -> tuple[list[Row], list[Table]]:
    found = stage_rates(folder, CPU, steps=4)
    one, two = process_rates(folder, steps=40)
    slowest = min(found, key=lambda rate: rate[1] / rate[2])
    threads = torch.get_num_threads()
    table = Table(
        "Items a second of each stage",
        ("stage", "whole step", "bare model", "share", "data path alone"),
        tuple(
            (name, f"{whole:.0f}", f"{bare:.0f}", f"{whole / bare:.0%}", f"{data:.0f}")
            for name, whole, bare, data in found
        ),
        f"{threads} threads, bf16, settings of the preset cpu; photos of simclr count once though "
        "two views are made. Fusion reads photos that were encoded before, and its data path runs "
        "the frozen text encoder.",
    )
    rows = [
        Row(
            "A stage's steps against its bare model",
            "",
            f"{slowest[1] / slowest[2]:.0%} in the slowest of {len(found)} ({slowest[0]})",
            None,
        ),
        Row(
            "Two processes against one, a thread each",
            "",
            f"{two / one:.2f} times the photos a second ({one:.0f}, {two:.0f})",
            None,
        ),
    ]
    return rows, [table]


def memory_part(folder: Path) -> tuple[list[Row], list[Table]]:
    found = memory(folder, READ, STREAMED, made=STREAMED[1])
    rows = []
    for name, what, sizes in (
        ("reader", "Reading a table of Derm1M", READ),
        ("stream", "Streaming shards", STREAMED),
    ):
        count, most, _ = found[name][-1]
        rows.append(
            Row(
                f"{what} takes constant memory",
                f"at most {CONSTANT} times from {sizes[0]:,} to {sizes[-1]:,}",
                f"{growth(found[name]):.2f} times, {most:.0f} MiB at {count:,}",
                growth(found[name]) <= CONSTANT and count == sizes[-1],
            )
        )
    table = Table(
        "Memory by number of made pairs",
        ("", "pairs", "peak MiB", "pairs a second"),
        tuple(
            (name, f"{count:,}", f"{most:.0f}", f"{count / seconds:.0f}")
            for name, measured in found.items()
            for count, most, seconds in measured
        ),
        "Of a fresh process with torch. The stream decodes photos of 64 pixels to 32.",
    )
    return rows, [table]


def hours_part(folder: Path) -> tuple[list[Row], list[Table]]:
    flops = operations()
    decoded = decoding_rate()
    lines = []
    for utilisation in UTILISATION:
        for gpus in (1, 8):
            time_needed = hours(flops["all"], utilisation, gpus)
            photos = PAIRS * EPOCHS / time_needed / 3600
            low, high = (price * gpus * time_needed for price in DOLLARS)
            cores = photos / decoded
            lines.append(
                (f"{utilisation:.0%}", str(gpus), f"{time_needed:.1f}", f"{low:.0f} to {high:.0f}",
                 f"{photos:.0f}", f"{cores:.0f}")
            )  # fmt: skip
    table = Table(
        f"{EPOCHS} epochs over {PAIRS:,} pairs at 224 pixels: estimated, not measured",
        ("share of the peak", "H100", "hours", "dollars", "pairs a second", "cores that decode"),
        tuple(lines),
        f"Counted: {flops['photo'] / 1e9:.2f} GFLOP a photo, {flops['text'] / 1e9:.2f} a text, "
        f"{flops['fusion'] / 1e9:.2f} in fusion, forward three times. Assumed: "
        f"{PEAK / 1e12:.0f} TFLOP/s at the peak, {TOGETHER:.0%} of 8 GPUs' added rates, "
        f"{DOLLARS[0]:.0f} to {DOLLARS[1]:.0f} dollars an hour and GPU, the shares of the peak. "
        f"Cores: at {decoded:.0f} photos a second, as measured here on one.",
    )
    middle = [hours(flops["all"], UTILISATION[1], gpus) for gpus in (1, 8)]
    row = Row(
        "A million pairs on 1 and 8 H100, from counted operations and assumptions",
        "",
        f"{middle[0]:.1f} and {middle[1]:.1f} hours for {EPOCHS} epochs",
        None,
    )
    return [row], [table]


def ray_part(folder: Path, sizes: tuple[int, int] = (500, 3_000)) -> tuple[list[Row], list[Table]]:
    folder.mkdir(exist_ok=True)
    lines, peaks = [], []
    for count in sizes:
        cases = folder / f"{count}.csv"
        write_cases(cases, count)
        for name, options in (("plain", ()), ("Ray", ("--ray", "--workers", "2"))):
            seconds, most = batch(cases, folder / f"{count}-{name}.csv", *options)
            lines.append((name, f"{count:,}", f"{seconds:.0f}", f"{most:.0f}"))
            print("  {}: {} rows, {} s, {} MiB".format(*lines[-1]), flush=True)
            if options:
                peaks.append(most)
    other, most = difference(folder / f"{sizes[1]}-plain.csv", folder / f"{sizes[1]}-Ray.csv")
    rows = [
        Row(
            "batch --ray answers as batch does, errors included",
            "no other row, 1e-4",
            f"{other} of {sizes[1]:,} rows, {most:.1e} at most, two workers",
            other == 0 and most <= 1e-4,
        ),
        Row(
            "batch --ray takes constant memory",
            f"at most {CONSTANT} times from {sizes[0]:,} to {sizes[1]:,} rows",
            f"{peaks[1] / peaks[0]:.2f} times, {peaks[1]:.0f} MiB of all its processes",
            peaks[1] / peaks[0] <= CONSTANT,
        ),
    ]
    table = Table(
        "A table of cases, plain and with Ray",
        ("", "rows", "seconds", "peak MiB"),
        tuple(lines),
        "Two workers. Seconds with the start of the program, of Ray and of its workers.",
    )
    return rows, [table]


PARTS = {"rates": rates_part, "memory": memory_part, "hours": hours_part, "ray": ray_part}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, help="print these, and store nothing")
    parser.add_argument("--train", nargs=4, help=argparse.SUPPRESS)  # a process of `process_rates`
    options = parser.parse_args()
    if options.train:
        train(Path(options.train[0]), *map(int, options.train[1:]))
        return
    started = time.perf_counter()
    rows: list[Row] = []
    tables: list[Table] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only or PARTS:
            print(f"== {name}", flush=True)
            more, shown = PARTS[name](Path(folder) / name)
            rows, tables = rows + more, tables + shown
    minutes = (time.perf_counter() - started) / 60
    if not options.only:
        save("scale", "python -m benchmarks.scale", rows, tables, minutes)
    for row in rows:
        print(f"{row.point}: {row.measured}")
    print(f"{minutes:.1f} minutes")


if __name__ == "__main__":
    main()
