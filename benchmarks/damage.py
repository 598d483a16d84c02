"""Damaged checkpoints: each is refused with a reason that names the file, or does no harm.

    python -m benchmarks.damage

Takes the shipped checkpoint (`--checkpoint` for another), damages a copy of it in some 5,000 ways,
and starts the command line on each. *As it is*: bytes changed, cut off, swapped or gone, as a bad
disk or download does it. *Resealed*: the hashes were made to fit again, as only somebody does who
means to; then what is refused is what does not fit together, and what is left is another model
under another SHA-256, which has to answer a case. Three minutes on one core.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import hashlib
import io
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import dermmm
from benchmarks import record
from dermmm import checkpoint as checkpoints
from dermmm.__main__ import main as command_line
from dermmm.checkpoint import OUTSIDE, PARTS
from tests.test_imports import FOLDERS, violations

ROOT = Path(__file__).parents[1]
COMMAND = "python -m benchmarks.damage"
WEIGHTS = (*(f"{part}.safetensors" for part in PARTS), OUTSIDE)
CONFIG = "config.json"
NAMES = (*WEIGHTS, checkpoints.TOKENIZER, checkpoints.METRICS, CONFIG)
REFUSED, SAME, ANOTHER = "refused", "same model", "another model, another SHA-256"
SECONDS = 5.0  # that a refusal may take
MEMORY = 300  # MiB that a damaged checkpoint may cost more than a whole one
READERS = ("pickle", "dill", "joblib", "shelve", "marshal", "torch.load", "jit.load", "torch.hub")
# Suffixes of files that are pickles, or may hold one.
UNPICKLED = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".joblib", ".npz", ".npy")


@dataclass(frozen=True)
class Damage:
    """One way to break a folder. ``apply`` writes whole new files: the old ones are hard links."""

    kind: str
    file: str  # that the refusal has to name, "" where any of the checkpoint's may be at fault
    apply: Callable[[Path], None]


@dataclass
class Counts:
    """What became of the trials of one kind."""

    outcomes: Counter[str] = field(default_factory=Counter)
    worst: float = 0.0  # seconds
    wrong: list[str] = field(default_factory=list)  # what broke the promise


# what is done to a folder ------------------------------------------------------------------------


def replace(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def reseal(folder: Path) -> None:
    """Make every hash and size fit the files, where the config can be read at all."""
    path = folder / CONFIG
    config = json.loads(path.read_bytes())
    for name in config["files"]:
        if (folder / name).is_file():
            content = (folder / name).read_bytes()
            said = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            config["files"][name] = said
    seal(folder, config)


def seal(folder: Path, config: dict[str, Any]) -> None:
    """Write a config with the hash that fits it."""
    covered = {name: value for name, value in config.items() if name != "sha256"}
    content = json.dumps(covered, sort_keys=True).encode()
    config["sha256"] = hashlib.sha256(content).hexdigest()
    replace(folder / CONFIG, json.dumps(config).encode())


def sealed(damage: Damage) -> Damage:
    """The same damage by someone who has made the hashes fit."""

    def apply(folder: Path) -> None:
        damage.apply(folder)
        reseal(folder)

    return Damage(f"{damage.kind}, resealed", "", apply)


def flip(kind: str, name: str, place: int, bit: int) -> Damage:
    def apply(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[place] ^= 1 << bit
        replace(folder / name, bytes(content))

    return Damage(kind, name, apply)


def rewrite(kind: str, name: str, content: Callable[[bytes], bytes]) -> Damage:
    return Damage(kind, name, lambda f: replace(f / name, content((f / name).read_bytes())))


def change(
    kind: str, path: tuple[str | int, ...], to: Callable[[Any], Any] | None, resealed: bool
) -> Damage:
    """Put another value at ``path`` of the config; None for ``to`` takes it away."""

    def apply(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_bytes())
        inner = config
        for key in path[:-1]:
            inner = inner[key]
        if to is None:
            del inner[path[-1]]
        else:
            inner[path[-1]] = to(inner[path[-1]])
        if resealed:
            seal(folder, config)
        else:
            replace(folder / CONFIG, json.dumps(config).encode())

    return Damage(kind, "" if resealed else CONFIG, apply)


# the kinds of damage -----------------------------------------------------------------------------


def all_damage(
    folder: Path, other: Path, most: int | None = None, seed: int = 0
) -> Iterator[Damage]:
    """Every damage of a full run, or at most so many of each kind.

    Args:
        folder: the checkpoint to damage; other: a checkpoint whose files are put in its place.
    """
    rng = np.random.default_rng(seed)
    by_kind: dict[str, list[Damage]] = defaultdict(list)
    for make in (flips, headers, keys, lengths, gone, foreign, hostile):
        for damage in make(folder, other, rng):
            by_kind[damage.kind].append(damage)
    for found in by_kind.values():
        chosen = rng.permutation(len(found))[:most]
        yield from (found[place] for place in sorted(chosen))


def flips(folder: Path, other: Path, rng: np.random.Generator) -> Iterator[Damage]:
    """One bit: in each tensor at three places, in each header, and all over the JSON files."""
    for name in WEIGHTS:
        content = (folder / name).read_bytes()
        size = int.from_bytes(content[:8], "little")
        for place in range(8):
            yield flip("a bit of a header's length", name, place, int(rng.integers(8)))
        for place in rng.integers(size, size=32):
            yield flip("a bit of a header", name, 8 + int(place), int(rng.integers(8)))
        for tensor, said in json.loads(content[8 : 8 + size]).items():
            start, end = said["data_offsets"] if tensor != "__metadata__" else (0, 0)
            for place in {int(rng.integers(start, end)), end - 1} if end > start else ():
                yield flip("bits of each tensor", name, 8 + size + place, int(rng.integers(8)))
    for name in (checkpoints.TOKENIZER, checkpoints.METRICS):
        for place in rng.integers((folder / name).stat().st_size, size=100):
            yield flip("a bit of tokenizer or metrics", name, int(place), int(rng.integers(8)))
    for place in range(0, (folder / CONFIG).stat().st_size, 4):
        yield flip("a bit of each fourth byte of the config", CONFIG, place, int(rng.integers(8)))


def headers(folder: Path, other: Path, rng: np.random.Generator) -> Iterator[Damage]:
    """Bits of headers, tokenizer and metrics again, with hashes that fit: the readers' own care."""
    for name in (*WEIGHTS, checkpoints.TOKENIZER, checkpoints.METRICS):
        content = (folder / name).read_bytes()
        size = int.from_bytes(content[:8], "little") + 8 if name in WEIGHTS else len(content)
        kind = "a bit of a header" if name in WEIGHTS else f"a bit of {name}"
        for place in rng.integers(size, size=25):
            yield sealed(flip(kind, name, int(place), int(rng.integers(8))))


def keys(folder: Path, other: Path, rng: np.random.Generator) -> Iterator[Damage]:
    """Each key of the config taken away or given another value, as it is and resealed."""
    values: dict[str, Callable[[Any], Any] | None] = {
        "taken away": None,
        "set to null": lambda _: None,
        "set to a text": lambda _: "other",
        "set to -1": lambda _: -1,
        "set to a huge number": lambda _: 10**12,
        "set to a list": lambda _: [[]],
    }
    config = json.loads((folder / CONFIG).read_bytes())
    paths = list(_paths(config))
    for path in paths:
        for said, to in values.items():
            for resealed in (True, False):
                if path == ("sha256",) and resealed:
                    continue  # sealing is what writes it
                if not resealed and to is not None and len(path) > 1:
                    continue  # without the seal one way is like another
                if path[0] in ("provenance", "version", "licence") and resealed:
                    kind = "what a config tells about itself"  # read by people alone
                else:
                    kind = f"each key of the config {said}"
                kind += ", resealed" if resealed else ""
                yield change(kind, path, to, resealed)
    for wrong in (0, 3, 10**6, 2.5, True):
        for resealed in (False, True):
            kind = "another version of the format" + (", resealed" if resealed else "")
            yield change(kind, ("format",), lambda _, wrong=wrong: wrong, resealed)
    swapped = [*config["conditions"][1::-1], *config["conditions"][2:]]
    for resealed in (False, True):
        kind = "conditions in another order" + (", resealed" if resealed else "")
        yield change(kind, ("conditions",), lambda _: swapped, resealed)


def lengths(folder: Path, other: Path, rng: np.random.Generator) -> Iterator[Damage]:
    """Files emptied, cut off, with something behind the end, or larger than any is."""
    for name in NAMES:
        yield rewrite("emptied", name, lambda _: b"")
        for share in (0.0001, 0.1, 0.5, 0.9, 0.9999):
            cut = rewrite("cut off", name, lambda c, share=share: c[: int(share * len(c))])
            yield cut
            if name != CONFIG:
                yield sealed(cut)
        more = rewrite("with bytes behind the end", name, lambda c: c + b"more")
        yield more
        if name in WEIGHTS:
            yield sealed(more)
        yield Damage("of 1 TB", name, lambda f, name=name: _sparse(f / name, 10**12))


def gone(folder: Path, other: Path, rng: np.random.Generator) -> Iterator[Damage]:
    """Files missing, in each other's place, or folders."""
    for name in NAMES:
        missing = Damage("missing", name, lambda f, name=name: (f / name).unlink())
        yield missing
        if name != CONFIG:
            yield sealed(missing)
        yield Damage("a folder in its place", name, lambda f, name=name: _folder(f / name))
    for one in NAMES:
        for two in NAMES:
            if one < two:
                swap = Damage("two swapped", "", lambda f, a=one, b=two: _swap(f / a, f / b))
                yield swap
                if CONFIG not in (one, two):
                    yield sealed(swap)


def foreign(folder: Path, other: Path, rng: np.random.Generator) -> Iterator[Damage]:
    """Files of another checkpoint, and what else is found under such a name."""
    found = {
        "a pickle": b"cposix\nsystem\n(S'touch unpickled'\ntR.",
        "a zip, as torch.save writes": b"PK\x03\x04" + bytes(200),
        "a web page": b"<!doctype html><title>404</title>",
        "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "text in UTF-16": "{}".encode("utf-16"),
        "zeros": bytes(10_000),
    }
    for name in NAMES:
        if (other / name).is_file():
            content = (other / name).read_bytes()
            one = rewrite("from another checkpoint", name, lambda _, c=content: c)
            yield one
            if name not in (CONFIG, checkpoints.METRICS):
                yield sealed(one)
        for what, content in found.items():
            one = rewrite(f"{what} under its name", name, lambda _, c=content: c)
            yield one
            if name != CONFIG:
                yield sealed(one)


def hostile(folder: Path, other: Path, rng: np.random.Generator) -> Iterator[Damage]:
    """What only malice writes, all of it resealed."""
    for name in WEIGHTS:
        for length in (0, 2**24, 10**8, 10**8 + 1, 2**31, 2**63, 2**64 - 1):
            yield sealed(
                rewrite(
                    "a header of huge or no length",
                    name,
                    lambda c, n=length: n.to_bytes(8, "little") + c[8:],
                )
            )
        for what, tensor in _tensor_lies().items():
            yield sealed(rewrite(what, name, lambda c, lie=tensor: _with_header(c, lie)))
        for value in (b"\x00\x7e", b"\x00\x7c"):  # NaN and infinity in half precision
            yield sealed(
                rewrite("a weight that is no number", name, lambda c, v=value: _last(c, v))
            )
    deep = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    yield sealed(rewrite("JSON of 50,000 levels", checkpoints.METRICS, lambda _: deep))
    yield rewrite("JSON of 50,000 levels", CONFIG, lambda _: deep)
    huge = b'{"rows": ' + b"9" * 100_000 + b"}"
    yield sealed(rewrite("a number of 100,000 digits", checkpoints.METRICS, lambda _: huge))
    for size in dermmm.checkpoint.SIZES:
        for value in (1, 31, 2**16, 2**31, 10**15):
            yield change(
                "each size small or huge, resealed",
                ("architecture", size),
                lambda _, v=value: v,
                True,
            )
    for answer in ("image", "text", "fused"):
        for value in (1e-300, 1e300, 10**400, 5e-324):
            yield change(
                "a temperature out of all bounds, resealed",
                ("calibration", "temperature", answer),
                lambda _, v=value: v,
                True,
            )
    vocabulary = json.loads((folder / checkpoints.TOKENIZER).read_bytes())
    lies: dict[str, Callable[[dict[str, Any]], Any]] = {
        "an id beyond the vocabulary": lambda t: t["model"]["vocab"].update(
            {next(reversed(t["model"]["vocab"])): 10**6}
        ),
        "a negative id": lambda t: t["model"]["vocab"].update(
            {next(reversed(t["model"]["vocab"])): -1}
        ),
        "no padding token": lambda t: t.update(added_tokens=t["added_tokens"][1:]),
        "merges of unknown tokens": lambda t: t["model"].update(merges=[["x\u0000", "y\u0000"]]),
        "another kind of model": lambda t: t["model"].update(type="WordPiece"),
        "no model": lambda t: t.pop("model"),
    }
    for what, lie in lies.items():
        said = copy.deepcopy(vocabulary)
        lie(said)
        content = json.dumps(said).encode()
        yield sealed(rewrite(f"tokenizer: {what}", checkpoints.TOKENIZER, lambda _, c=content: c))


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where each key and each list entry of a JSON value is."""
    inner: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, one in inner:
        yield (*path, key)
        yield from _paths(one, (*path, key))


def _tensor_lies() -> dict[str, Callable[[dict[str, Any]], None]]:
    def each(header: dict[str, Any], **said: Any) -> None:
        name = next(name for name in header if name != "__metadata__")
        header[name] |= said

    return {
        "a tensor of a huge shape": lambda h: each(h, shape=[2**40, 2**40]),
        "a tensor of a negative shape": lambda h: each(h, shape=[-1]),
        "a tensor beyond the end": lambda h: each(h, data_offsets=[0, 2**50]),
        "a tensor of no bytes": lambda h: each(h, data_offsets=[0, 0]),
        "a tensor that ends before it starts": lambda h: each(h, data_offsets=[100, 0]),
        "a tensor of unknown type": lambda h: each(h, dtype="F13"),
        "a tensor of another type": lambda h: each(h, dtype="I16"),
        "an empty header": lambda h: h.clear(),
    }


def _with_header(content: bytes, lie: Callable[[dict[str, Any]], Any]) -> bytes:
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    lie(header)
    written = json.dumps(header).encode()
    return len(written).to_bytes(8, "little") + written + content[8 + size :]


def _last(content: bytes, value: bytes) -> bytes:
    """Put a value in place of the last number of the last tensor of half precision."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    end = max(
        said["data_offsets"][1]
        for name, said in header.items()
        if name != "__metadata__" and said["dtype"] == "F16"
    )
    return content[: 8 + size + end - 2] + value + content[8 + size + end :]


def _sparse(path: Path, size: int) -> None:
    path.unlink()
    with path.open("wb") as file:
        file.truncate(size)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _swap(one: Path, two: Path) -> None:
    kept = one.with_name("kept")
    one.replace(kept)
    two.replace(one)
    kept.replace(two)


# what becomes of it ------------------------------------------------------------------------------


def outcome(folder: Path, expected: str, whole: str) -> tuple[str, str, float]:
    """Start the command line on a folder; ``whole`` is the SHA-256 of what it was before.

    Returns:
        what came of it, what is wrong with that or "", and the seconds it took.
    """
    started = time.monotonic()
    became, wrong = _told(folder, expected, whole)
    took = time.monotonic() - started
    if became == ANOTHER:
        wrong = _answers(folder)
    return became, wrong or (f"took {took:.1f} s" if took > SECONDS else ""), took


def _told(folder: Path, expected: str, whole: str) -> tuple[str, str]:
    said, errors = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
            status = command_line(["info", "--checkpoints", str(folder)])
    except BaseException as error:  # a panic of a library is no Exception
        return "traceback", f"{type(error).__name__}: {error}"
    message = errors.getvalue().replace(f"{folder}/", "")
    if status == 2:
        reason = message.removeprefix("error: ")
        if reason == message or reason.count("\n") != 1:
            return REFUSED, f"not one line of reason: {message[:200]!r}"
        if not any(name in reason for name in ([expected] if expected else NAMES)):
            return REFUSED, f"does not name {expected or 'a file'}: {reason[:200]!r}"
        if "again" not in reason:
            return REFUSED, f"does not say what to do: {reason[:200]!r}"
        return REFUSED, ""
    if status != 0:
        return "other", f"exit status {status}"
    identity = json.loads(said.getvalue())["sha256"]
    return (SAME, "") if identity == whole else (ANOTHER, "")


def _answers(folder: Path) -> str:
    """What goes wrong when a model that was loaded answers a case; "" if nothing."""
    try:
        predictor = dermmm.load(folder)
        grey = np.full((64, 64, 3), 128, np.uint8)
        prediction = predictor.predict(grey, "an itchy patch")
    except BaseException as error:
        return f"loads, then {type(error).__name__}: {error}"
    total = float(np.nansum(prediction.probabilities))
    return "" if abs(total - 1) < 1e-3 else f"loads, then probabilities that sum to {total}"


def run_all(
    checkpoint: Path, trials: Iterable[Damage], show: bool = True
) -> tuple[dict[str, Counts], float]:
    """Try each damage on a copy of a checkpoint. Returns counts by kind, and MiB at the peak.

    The memory is what the worst trial took beyond what a whole checkpoint had taken.
    """
    whole = checkpoints.load(checkpoint).sha256
    assert not _answers(checkpoint)
    before = _peak()
    counts: dict[str, Counts] = defaultdict(Counts)
    with tempfile.TemporaryDirectory() as name:
        for damage in tqdm(list(trials), unit="damage", disable=not show):
            folder = Path(name) / "checkpoint"
            shutil.copytree(checkpoint, folder, copy_function=_link)
            damage.apply(folder)
            became, wrong, took = outcome(folder, damage.file, whole)
            if "resealed" not in damage.kind and became != REFUSED and not wrong:
                wrong = f"{became}, though the hash cannot fit"
                if _same_content(checkpoint, folder):
                    wrong = ""
            of = counts[damage.kind]
            of.outcomes[became] += 1
            of.worst = max(of.worst, took)
            if wrong:
                of.wrong.append(f"{damage.file}: {wrong}")
            shutil.rmtree(folder)
        if Path("unpickled").exists():
            counts["a pickle under its name"].wrong.append("it was run")
    return dict(counts), (_peak() - before)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def _same_content(one: Path, two: Path) -> bool:
    """Whether two configs say the same: a change in white space is none."""
    read = [json.loads((folder / CONFIG).read_bytes()) for folder in (one, two)]
    return read[0] == read[1]


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# no pickle, and only the files of the checkpoint --------------------------------------------------

WATCHED = """
import json, sys
opened, unpickled = [], []

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str | bytes):
        opened.append([str(arguments[0]), str(arguments[1])])
    elif event == "pickle.find_class":
        unpickled.append(".".join(map(str, arguments)))

import numpy as np
import dermmm
with_page = len(sys.argv) > 2
if with_page:
    import demo.ui
sys.addaudithook(watch)
predictor = dermmm.load(sys.argv[1])
if with_page:
    demo.ui.build_demo(predictor)
predictor.predict(np.full((64, 64, 3), 128, np.uint8), "an itchy patch", explain=True)
print(json.dumps([opened, unpickled]))
"""


def opened_by_the_app(checkpoint: Path, page: bool = True) -> tuple[list[str], list[str]]:
    """Which files the app opens in the checkpoint's folder, and what else is wrong.

    The model is loaded, the ``page`` built, and a case explained, under an audit hook of Python.
    """
    run = subprocess.run(
        [sys.executable, "-c", WATCHED, str(checkpoint), *(["page"] if page else [])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    opened, unpickled = json.loads(run.stdout.splitlines()[-1])
    wrong = [f"unpickles {name}" for name in unpickled]
    wrong += [f"opens {Path(name).name}" for name, _ in opened if name.endswith(UNPICKLED)]
    inside = [(Path(name), mode) for name, mode in opened if checkpoint in Path(name).parents]
    wrong += [f"writes {path.name}" for path, mode in inside if mode not in ("r", "rb")]
    return sorted({path.name for path, _ in inside}), wrong


def unpicklers() -> tuple[int, list[str]]:
    """How many files of code there are, and those that could read a pickle."""
    found = {path: path.read_text(encoding="utf-8") for path in _sources()}
    for path in sorted((ROOT / "training" / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        found[path] = re.sub(r"(?m)^(\s*)[%!].*", r"\1pass", "\n".join(code))  # shell commands
    wrong = [
        f"{path.relative_to(ROOT)} {one}"
        for path in found
        for one in violations(found[path])
        if any(reader in one for reader in READERS)  # the others are about pretrained weights
    ]
    return len(found), wrong


def _sources() -> list[Path]:
    folders = (*FOLDERS, "benchmarks")
    return [ROOT / "app.py", *(p for one in folders for p in sorted((ROOT / one).rglob("*.py")))]


def programs(checkpoint: Path, damages: dict[str, Damage]) -> list[str]:
    """Start the real programs on damaged folders; what is wrong with how they end."""
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        for what, damage in damages.items():
            folder = Path(name) / "checkpoint"
            shutil.copytree(checkpoint, folder)
            damage.apply(folder)
            for program in (["-m", "dermmm", "info"], ["app.py"]):
                run = subprocess.run(
                    [sys.executable, *program, "--checkpoints", str(folder)],
                    cwd=ROOT,
                    capture_output=True,
                    text=True,
                    timeout=300,
                    check=False,
                )
                lines = run.stderr.splitlines()
                if run.returncode != 2 or len(lines) != 1 or not lines[0].startswith("error: "):
                    wrong.append(f"{program[-1]}, {what}: {run.returncode}, {run.stderr[-200:]!r}")
            shutil.rmtree(folder)
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "checkpoints")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        other = another(options.checkpoint, Path(name))
        trials = list(all_damage(options.checkpoint, other))
        counts, memory = run_all(options.checkpoint, trials)
    names, wrong_open = opened_by_the_app(options.checkpoint)
    scanned, readers = unpicklers()
    ends = programs(
        options.checkpoint,
        {
            "a flipped bit": flip("", WEIGHTS[0], 5_000_000, 0),
            "a file missing": Damage("", WEIGHTS[1], lambda f: (f / WEIGHTS[1]).unlink()),
            "a web page": rewrite("", CONFIG, lambda _: b"<!doctype html>"),
        },
    )
    rows, tables = report(counts, memory)
    expected = sorted(NAMES)
    rows += [
        record.Row(
            "`app.py` and the command line on damaged weights, as programs",
            "one line, exit status 2",
            f"6 starts, {len(ends)} otherwise {'; '.join(ends)}".rstrip(),
            not ends,
        ),
        record.Row(
            "The app opens of a checkpoint only safetensors and JSON, and unpickles nothing",
            "the 7 named files, by an audit hook",
            ", ".join(names) + "".join(f"; {one}" for one in wrong_open),
            names == expected and not wrong_open,
        ),
        record.Row(
            "No code that could read a pickle, training included",
            "none",
            f"{len(readers)} of {scanned} files {', '.join(readers)}".rstrip(),
            not readers,
        ),
    ]
    minutes = (time.monotonic() - started) / 60
    record.save("damage", COMMAND, rows, tables, minutes)
    for row in rows:
        print(f"{row.point}: {row.measured}")


def another(checkpoint: Path, folder: Path) -> Path:
    """A checkpoint of the same shape with other weights, texts and scores."""
    loaded = checkpoints.load(checkpoint)
    for part in PARTS:
        for weight in getattr(loaded.model, part).parameters():
            weight.data.mul_(0.5)
    loaded.metrics = {}
    checkpoints.save(loaded, folder / "another")
    return folder / "another"


def report(counts: dict[str, Counts], memory: float) -> tuple[list[record.Row], list[record.Table]]:
    """Rows and the table by kind."""
    rows = []
    for point, target, chosen in (
        (
            "A checkpoint damaged by accident is refused",
            "all, in one line that names the file and says what to do; or its content is the same",
            {kind: of for kind, of in counts.items() if "resealed" not in kind},
        ),
        (
            "A checkpoint changed on purpose, its hashes made to fit",
            "refused in the same way, or a working model under another SHA-256",
            {kind: of for kind, of in counts.items() if "resealed" in kind},
        ),
    ):
        became = sum((of.outcomes for of in chosen.values()), Counter[str]())
        wrong = [one for of in chosen.values() for one in of.wrong]
        said = ", ".join(f"{count:,} {name}" for name, count in became.most_common())
        examples = f"; {len(wrong)} wrongly: {'; '.join(wrong[:3])}" if wrong else ""
        trials = f"{became.total():,} trials of {len(chosen)} kinds: {said}"
        rows.append(record.Row(point, target, trials + examples, not wrong))
    worst = max(of.worst for of in counts.values())
    rows += [
        record.Row(
            "Time to refuse", f"≤ {SECONDS:.0f} s", f"{worst:.2f} s at most", worst <= SECONDS
        ),
        record.Row(
            "Memory beyond that of a whole checkpoint",
            f"≤ {MEMORY} MiB",
            f"{memory:.0f} MiB at most",
            memory <= MEMORY,
        ),
    ]
    names = (REFUSED, SAME, ANOTHER)
    lines = [
        (
            kind,
            str(of.outcomes.total()),
            *(str(of.outcomes[name]) for name in names),
            f"{of.worst:.2f}",
            "; ".join(of.wrong[:2]) or "none",
        )
        for kind, of in sorted(counts.items())
    ]
    columns = ("damage", "trials", *names, "longest, s", "broken promises")
    note = (
        "*Same model*: the change is none, such as a space in the JSON. *Another model*: whoever "
        "makes the hashes fit makes a checkpoint of their own, and its SHA-256 says so."
    )
    return rows, [record.Table("Damage by kind", columns, tuple(lines), note)]


if __name__ == "__main__":
    main()
