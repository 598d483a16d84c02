"""Speed as ratios within one run, so that they hold on other machines.

    python -m benchmarks.speed            about four minutes
    python -m benchmarks.speed --quick    a look, in one minute; saves nothing

Every ratio is of medians of interleaved repeats: what is compared takes turns. The input is a
640x480 JPEG and a description of 30 words. It needs an otherwise idle machine, writes
`benchmarks/results/speed.json`, and holds the comparison of `benchmarks.comparison`.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the page does (`demo/__init__.py`)
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import argparse
import io
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import onnxruntime
import psutil
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

import dermmm
from benchmarks import comparison
from benchmarks.record import Row, Table, save
from benchmarks.visitor import TEXT, drawing, serving
from dermmm import batch, occlusion
from dermmm.model import DermModel
from dermmm.onnx_model import OnnxModel, exported
from dermmm.predictor import Predictor
from dermmm.preprocess import normalise, open_photo, square

CORES = len(os.sched_getaffinity(0))
ROOT = Path(__file__).parents[1]
# What the page's program is compared with. Where torchvision needs our help to be imported
# (`dermmm.torchvision_import`), it gets it here too.
IMPORTS = """
import sys, torch
try:
    import torchvision
except RuntimeError:
    from dermmm.torchvision_import import torchvision_models
    torchvision_models()
import gradio
print("imported", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Times:
    """Seconds of one action in each of its repeats."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def told(self) -> str:
        """Median and quartiles in milliseconds."""
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return f"{1e3 * self.median:.1f} ms ({1e3 * low:.1f}–{1e3 * high:.1f})"


def interleaved(actions: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Times]:
    """Time each action once in each round.

    Just before, it is done once untimed: else what it costs to fetch its weights from memory, and
    threads of the action before that have not come to rest, would count for one and not another.
    """
    found: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, action in actions.items():
            action()
            started = time.perf_counter()
            action()
            found[name].append(time.perf_counter() - started)
    return {name: Times(tuple(seconds)) for name, seconds in found.items()}


# --- an answer and its explanations ---------------------------------------------------------------


def bare(model: DermModel, threads: int) -> Callable[[Tensor, Tensor, Tensor], list[np.ndarray]]:
    """The forward passes of a model's parts in ONNX Runtime, one after another, and no more.

    Args:
        threads: of each part; 0 leaves it to ONNX Runtime.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    image_encoder, text_encoder, fusion = (
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        for content in exported(model).values()
    )
    present = np.ones(1, dtype=bool)

    def run(images: Tensor, token_ids: Tensor, token_mask: Tensor) -> list[np.ndarray]:
        mask = token_mask.numpy()
        patches = image_encoder.run(None, {"images": images.numpy()})[0]
        states = text_encoder.run(None, {"token_ids": token_ids.numpy(), "token_mask": mask})[0]
        given = (patches, states, mask, present, present)
        names = [one.name for one in fusion.get_inputs()]
        found: list[np.ndarray] = fusion.run(None, dict(zip(names, given, strict=True)))
        return found

    return run


def on_threads(count: int, action: Callable[[], object]) -> Callable[[], object]:
    """The action with so many threads of torch."""

    def run() -> object:
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            return action()
        finally:
            torch.set_num_threads(before)

    return run


def one_case(fast: Predictor, plain: Predictor, repeats: int) -> dict[str, Times]:
    """An answer and all explanations against the bare passes, and the same without ONNX Runtime."""
    photo = drawing(0)
    size = plain.model.config.image_size
    images = normalise(torch.from_numpy(square(open_photo(photo), size)[None].copy())).contiguous()
    tokens = plain.checkpoint.tokenizer([TEXT])
    by_default, single = (bare(plain.model, threads) for threads in (0, 1))
    return interleaved(
        {
            "bare, one thread": lambda: single(images, *tokens),
            "bare, ONNX Runtime's default threads": lambda: by_default(images, *tokens),
            "answer": lambda: fast.predict(photo, TEXT, explain=False),
            "answer with maps and word weights": lambda: fast.predict(photo, TEXT),
            "effects of phrases and regions": lambda: fast.effects(photo, TEXT),
            "answer, torch": on_threads(CORES, lambda: plain.predict(photo, TEXT, explain=False)),
            "effects, torch": on_threads(CORES, lambda: plain.effects(photo, TEXT)),
        },
        repeats,
    )


def rows_of_one_case(found: Mapping[str, Times]) -> list[Row]:
    passes = min((t for name, t in found.items() if "bare" in name), key=lambda t: t.median)
    answer = found["answer"]
    everything = found["answer with maps and word weights"].median
    everything += found["effects of phrases and regions"].median
    return [
        ratio("answer against the bare forward passes", answer.median / passes.median, 3, 1.3),
        ratio("answer with all explanations against it", everything / answer.median, 10, 4),
    ]


# --- a table of cases -----------------------------------------------------------------------------


def table(fast: Predictor, cases: int, repeats: int) -> dict[str, Times]:
    """``cases`` photos with descriptions through `batch`, against bare passes of decoded ones."""
    photos = {f"{seed}.jpg": drawing(seed) for seed in range(cases)}
    rows = [batch.Row(name, name, f"{TEXT} {place}") for place, name in enumerate(photos)]
    size = fast.model.config.image_size
    pixels = np.stack([square(open_photo(photo), size) for photo in photos.values()])
    images = normalise(torch.from_numpy(pixels)).contiguous()
    token_ids, token_mask = fast.checkpoint.tokenizer([row.text for row in rows])

    def loop(at_once: int) -> None:
        with torch.inference_mode():
            for start in range(0, cases, at_once):
                part = slice(start, start + at_once)
                fast.model(images[part], token_ids[part], token_mask[part])

    def answered() -> None:
        chunks = batch.answers(fast, rows, photos.__getitem__)
        found = (answer for chunk in chunks for answer in chunk)
        batch.write(io.StringIO(newline=""), fast.conditions, found)

    return interleaved(
        {
            "bare, 8 at once": lambda: loop(8),
            "bare, 16 at once": lambda: loop(16),
            "batch": answered,
        },
        repeats,
    )


# --- start and memory -----------------------------------------------------------------------------


def start(repeats: int) -> tuple[dict[str, Times], dict[str, list[float]]]:
    """Seconds, and resident MiB when idle, of the imports in a fresh process and of app.py."""
    seconds: dict[str, list[float]] = {"imports": [], "app.py": []}
    memory: dict[str, list[float]] = {"imports": [], "app.py": []}
    for turn in range(-1, repeats):  # the first fills the caches of the disk
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", IMPORTS],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        imported = time.perf_counter() - began, resident(process.pid)
        process.communicate()
        began = time.perf_counter()
        with serving() as program:
            httpx.get(program.address, timeout=60, trust_env=False).raise_for_status()
            served = time.perf_counter() - began
            time.sleep(2)
            page = served, resident(program.process)
        if turn >= 0:
            for name, (took, held) in (("imports", imported), ("app.py", page)):
                seconds[name].append(took)
                memory[name].append(held)
    return {name: Times(tuple(values)) for name, values in seconds.items()}, memory


def resident(process: int) -> float:
    """MiB of physical memory that a process holds."""
    return float(psutil.Process(process).memory_info().rss) / 2**20


# --- what was tried -------------------------------------------------------------------------------


def folded(encoder: nn.Module) -> nn.Module:
    """The image encoder with each BatchNorm folded into the convolution before it."""
    encoder = deepcopy(encoder)
    for module in encoder.modules():
        if isinstance(module, nn.Sequential) and len(module) > 1:
            first, second = module[0], module[1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                module[0], module[1] = fuse_conv_bn_eval(first, second), nn.Identity()
    return encoder


def trials(plain: Predictor, fast: Predictor, repeats: int) -> Table:
    """Ways to run the image encoder, by which nearly all the time goes."""
    encoder, head = plain.model.image_encoder, plain.model.fusion.image_head
    size = plain.model.config.image_size
    pixels = np.stack([square(open_photo(drawing(seed)), size) for seed in range(8)])
    images = normalise(torch.from_numpy(pixels)).contiguous(memory_format=torch.channels_last)
    rows_first = deepcopy(encoder).to(memory_format=torch.contiguous_format)
    without_norm = folded(encoder)
    with torch.no_grad():
        traced = torch.jit.freeze(torch.jit.trace(without_norm, images[:1]))

    def half(photos: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return encoder(photos)[0].float()

    ways: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
        "torch, channels last": ("where ONNX is not installed", lambda x: encoder(x)[0]),
        "torch, channels first": ("no", lambda x: rows_first(x.contiguous())[0]),
        "torch, BatchNorm folded": ("no", lambda x: without_norm(x)[0]),
        "torch, folded, traced and frozen": ("no", lambda x: traced(x)[0]),
        "torch, bfloat16": ("no", half),
        "ONNX Runtime": ("yes", lambda x: fast.model.image_encoder(x)[0]),
    }
    with torch.inference_mode():
        expected = head(encoder(images)[0].mean(1)).softmax(1)
        actions, differ = {}, {}
        for name, (_, way) in ways.items():
            differ[name] = float((head(way(images).mean(1)).softmax(1) - expected).abs().max())
            for count in (1, 8):
                given = images[:count]
                action = inferring(lambda way=way, given=given: way(given))
                threads = 1 if "ONNX" in name else CORES
                actions[f"{name}/{count}"] = on_threads(threads, action)
    found = interleaved(actions, repeats)
    return Table(
        "What was tried for the image encoder",
        ("how", "one photo", "eight photos", "probabilities differ by at most", "kept"),
        tuple(
            (name, found[f"{name}/1"].told(), found[f"{name}/8"].told(), f"{differ[name]:.1e}", use)
            for name, (use, _) in ways.items()
        ),
        f"Medians and quartiles of {repeats} interleaved repeats. torch has all cores, ONNX "
        "Runtime one. bfloat16 changes answers by far more than the 1e-4 that is allowed. "
        "torch.compile was not tried: it needs a C++ compiler where the page runs, and a minute "
        "at each start. Threads within ONNX Runtime gain little on one photo and keep a core busy "
        "while they wait, so each part has one thread, and batches are shared out.",
    )


def inferring(action: Callable[[], object]) -> Callable[[], object]:
    def run() -> object:
        with torch.inference_mode():
            return action()

    return run


# --- the page of results --------------------------------------------------------------------------


def ratio(point: str, value: float, most: float, goal: float) -> Row:
    """A ratio that is better the smaller it is."""
    return Row(
        point,
        f"at most {most:g} times, goal {goal:g}",
        f"{value:.2f} times",
        value <= most,
        "met" if value <= goal else "missed",
    )


def times_table(title: str, found: Mapping[str, Times], note: str) -> Table:
    rows = tuple((name, times.told(), str(len(times.seconds))) for name, times in found.items())
    return Table(title, ("what", "median (quartiles)", "repeats"), rows, note)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a fifth of the repeats; not saved")
    quick = 5 if parser.parse_args().quick else 1
    began = time.perf_counter()
    torch.set_num_threads(CORES)
    plain = dermmm.load()
    fast = Predictor(plain.checkpoint, OnnxModel(plain.model, CORES))
    torch.set_num_threads(1)  # as `dermmm.load(onnx=True)` does
    cases = 64

    print("start and memory", flush=True)
    started, memory = start(max(2, 6 // quick))
    print("one case", flush=True)
    case = one_case(fast, plain, 60 // quick)
    print("a table of cases", flush=True)
    many = table(fast, cases, 10 // quick)
    loop = min(times.median for name, times in many.items() if "bare" in name)
    share = loop / many["batch"].median
    held = {name: statistics.median(values) for name, values in memory.items()}
    rows = [
        *rows_of_one_case(case),
        Row(
            "photos a second of `batch` against a bare batched loop on decoded photos",
            "at least 50 %, goal 90 %",
            f"{share:.0%} ({cases / many['batch'].median:.0f} of {cases / loop:.0f} a second)",
            share >= 0.5,
            "met" if share >= 0.9 else "missed",
        ),
        ratio(
            "`python app.py` to the first answered request against importing torch, torchvision "
            "and gradio",
            started["app.py"].median / started["imports"].median,
            3,
            1.5,
        ),
        ratio(
            "memory of the idle page against that import",
            held["app.py"] / held["imports"],
            1.6,
            1.25,
        ),
    ]
    for row in rows:
        print(f"{row.point}: {row.measured} ({row.target})", flush=True)
    print("what was tried", flush=True)
    tried = trials(plain, fast, 40 // quick)
    print("what a user would pick instead", flush=True)
    instead = comparison.compare(fast, CORES, 20 // quick)
    passes = occlusion.REGIONS**2 + (occlusion.STEPS - 1) * (1 + occlusion.RANDOM_ORDERS) + 1
    tables = [
        times_table(
            "One case: a 640x480 JPEG and 30 words, from the file to probabilities",
            case,
            f"The effects take {passes} passes of the photo through the model; they were 29 once. "
            "The answer is compared with the faster of the two bare rows.",
        ),
        times_table(f"{cases} cases with photo and description", many, ""),
        Table(
            "Start and idle memory",
            ("what", "seconds to the first answer", "resident memory"),
            tuple(
                (name, f"{times.median:.1f} s", f"{held[name]:.0f} MiB")
                for name, times in started.items()
            ),
            f"Medians of {len(started['app.py'].seconds)} starts of each in turn.",
        ),
        tried,
        instead,
    ]
    for one in tables:
        print("\n" + one.title, *(" | ".join(row) for row in one.rows), sep="\n", flush=True)
    if quick == 1:
        minutes = (time.perf_counter() - began) / 60
        save("speed", "python -m benchmarks.speed", rows, tables, minutes)


if __name__ == "__main__":
    main()
