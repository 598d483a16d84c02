"""The one checkpoint format: a folder that is sufficient by itself.

`config.json` holds the architecture, the conditions, the preprocessing, the calibration, the
data fingerprint and the SHA-256 of every other file; its own `sha256` covers all of that and is
the identity of the model. Weights are safetensors in half precision, one file a part, each under
10 MB. Nothing is pickled. Loading is strict: what does not fit is refused by its field's name, and
before anything of a size that a file declares is asked of memory.

Format 2 knows when the model abstains: the field `abstention` and the file of `OUTSIDE`. Where that
was never fitted the field is null and there is no such file. Format 1 had neither and is read so.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from dermmm import outside
from dermmm.calibration import ANSWERS, SET_METHODS
from dermmm.conditions import NAMES
from dermmm.image_encoder import STRIDE
from dermmm.model import DermModel, ModelConfig
from dermmm.outside import Abstention, Familiar
from dermmm.preprocess import MEAN, STD
from dermmm.tokenizer import Tokenizer

FORMAT, READABLE = 2, (1, 2)
MAX_FILE_BYTES = 10_000_000
PARTS = ("image_encoder", "text_encoder", "fusion")
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
METRICS = "metrics.json"
OUTSIDE = "outside.safetensors"  # only where abstention was fitted
FILES = (*(f"{part}.safetensors" for part in PARTS), TOKENIZER, METRICS)
PREPROCESSING = {"resize": "square, bicubic", "mean": MEAN, "std": STD}
FIELDS = {
    "format": int,
    "version": str,
    "licence": str,
    "architecture": dict,
    "conditions": list,
    "preprocessing": dict,
    "calibration": dict,
    "provenance": dict,
    "files": dict,
    "sha256": str,
}
REMEDY = "get the checkpoint again, or use it with the version of this program that made it"
HUGE = 1e30  # no number of a config comes near; NaN and what is no float are not below it either
HOTTEST = 1000.0  # temperature; beyond, or below its inverse, probabilities say nothing
# The sizes that are read. No model whose files stay under 10 MB comes near the upper ends, and a
# made-up size must not cost hours or all of the memory.
SIZES = {field.name: (1, 100_000) for field in dataclasses.fields(ModelConfig)} | {
    "image_size": (STRIDE, 1024),
    "text_layers": (1, 100),
}


@dataclass
class Checkpoint:
    """A model with everything that is needed to use it and to tell where it came from."""

    model: DermModel
    tokenizer: Tokenizer
    conditions: tuple[str, ...]
    temperatures: dict[str, float]  # keys: ANSWERS
    version: str
    provenance: dict[str, Any]  # data fingerprint, commit, preset
    metrics: dict[str, Any]
    sha256: str = ""  # set by `save` and `load`
    licence: str = "CC-BY-NC-SA-4.0"
    abstention: Abstention | None = None  # None: never fitted

    @property
    def files(self) -> tuple[str, ...]:
        """The files of its folder beside `config.json`."""
        return (*FILES, *([OUTSIDE] if self.abstention else []))


def save(checkpoint: Checkpoint, folder: str | os.PathLike[str]) -> str:
    """Write the checkpoint and return its SHA-256.

    All files are written under other names first and renamed at the end, `config.json` last. What
    was there stays whole until then, and a program that is killed among the renames leaves what
    `finish` needs to do the rest.

    Raises:
        ValueError: a file would be 10 MB or larger, or a weight does not fit in half precision.
    """
    folder = Path(folder)
    contents: dict[str, bytes] = {}
    for part in PARTS:
        contents[f"{part}.safetensors"] = safetensors.torch.save(
            {
                name: _half(f"{part}.{name}", tensor)
                for name, tensor in getattr(checkpoint.model, part).state_dict().items()
            }
        )
    contents[TOKENIZER] = checkpoint.tokenizer.to_json().encode()
    contents[METRICS] = (json.dumps(checkpoint.metrics, indent=1) + "\n").encode()
    if checkpoint.abstention:
        familiar = vars(checkpoint.abstention.familiar)
        contents[OUTSIDE] = safetensors.torch.save(
            {name: _half(name, torch.from_numpy(array)) for name, array in familiar.items()}
        )
    for name, content in contents.items():
        if len(content) >= MAX_FILE_BYTES:
            raise ValueError(f"{name} would have {len(content)} bytes; make the model narrower")
    config: dict[str, Any] = {
        "format": FORMAT,
        "version": checkpoint.version,
        "licence": checkpoint.licence,
        "architecture": dataclasses.asdict(checkpoint.model.config),
        "conditions": list(checkpoint.conditions),
        "preprocessing": PREPROCESSING,
        "calibration": {"temperature": checkpoint.temperatures},
        "abstention": checkpoint.abstention.to_json() if checkpoint.abstention else None,
        "provenance": checkpoint.provenance,
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in contents.items()
        },
    }
    config["sha256"] = checkpoint.sha256 = _identity(config)
    contents[CONFIG] = (json.dumps(config, indent=1) + "\n").encode()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for name in reversed(contents):  # an older config must not stand for newer files
            _unfinished(folder / name).unlink(missing_ok=True)
        for name, content in contents.items():
            _unfinished(folder / name).write_bytes(content)
    except OSError:  # such as a full disk
        for name in contents:
            _unfinished(folder / name).unlink(missing_ok=True)
        raise
    finish(folder)
    return checkpoint.sha256


def finish(folder: Path) -> None:
    """Do what is left of a `save` that was killed among its renames; else nothing."""
    sealed = _unfinished(folder / CONFIG)
    if not sealed.is_file():
        return
    try:
        config = _parse(sealed, _read_bytes(sealed))
    except ValueError:
        return  # killed before: the old files are all there
    if config.get("sha256") != _identity(config):
        return
    for name in (*config["files"], CONFIG):
        if (new := _unfinished(folder / name)).is_file():
            new.replace(folder / name)


def load(folder: str | os.PathLike[str]) -> Checkpoint:
    """Read and verify a checkpoint folder. The model is in evaluation mode, in float32.

    Raises:
        FileNotFoundError: the folder or one of its files is missing.
        ValueError: a field is missing or unfit, or a file is not the one that was saved.
    """
    try:
        return _load(Path(folder))
    except ValueError as error:
        raise ValueError(f"{error}; {REMEDY}") from None


def _load(folder: Path) -> Checkpoint:
    config = _read_config(folder)
    names = (*FILES, *([OUTSIDE] if config["abstention"] else []))
    contents = {name: _read_verified(folder, name, config["files"]) for name in names}
    model_config = ModelConfig(**config["architecture"])
    try:
        tokenizer = Tokenizer.from_json(contents[TOKENIZER].decode(), model_config.max_tokens)
    except ValueError as error:
        raise ValueError(f"{folder / TOKENIZER}: {error}") from None
    if model_config.vocabulary != tokenizer.vocabulary:
        raise ValueError(
            f"{folder / CONFIG}: field 'architecture.vocabulary' says "
            f"{model_config.vocabulary}, expected {tokenizer.vocabulary}"
        )
    if max(tokenizer.backend.get_vocab().values()) >= model_config.vocabulary:
        raise ValueError(f"{folder / TOKENIZER}: has token ids beyond its vocabulary")
    metrics = _parse(folder / METRICS, contents[METRICS])
    with torch.device("meta"):  # names and shapes alone: no memory, no random numbers
        model = DermModel(model_config)
    for part in PARTS:
        _load_part(model, part, contents[f"{part}.safetensors"], folder)
    abstention = None
    if config["abstention"]:
        width = model.image_encoder.width
        familiar = _load_familiar(contents[OUTSIDE], width, folder / OUTSIDE)
        abstention = Abstention.from_json(config["abstention"], familiar)
    return Checkpoint(
        model=model.eval(),
        tokenizer=tokenizer,
        conditions=tuple(config["conditions"]),
        temperatures=config["calibration"]["temperature"],
        version=config["version"],
        provenance=config["provenance"],
        metrics=metrics,
        sha256=config["sha256"],
        licence=config["licence"],
        abstention=abstention,
    )


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(
            f"no checkpoint at {folder}: {path.name} is missing; name another folder, or get the "
            "checkpoint again"
        )
    config = _parse(path, _read_bytes(path))
    for field, kind in FIELDS.items():
        if field not in config:
            raise ValueError(f"{path}: field '{field}' is missing")
        if not isinstance(config[field], kind):
            got = type(config[field]).__name__
            raise ValueError(f"{path}: field '{field}' is {got}, expected {kind.__name__}")
    if config["format"] not in READABLE:
        raise ValueError(
            f"{path}: field 'format' is {config['format']}, this version reads "
            f"{' and '.join(map(str, READABLE))}"
        )
    if config["sha256"] != _identity(config):
        raise ValueError(f"{path}: field 'sha256' does not match the content; it was altered")
    if config["format"] == 1:
        config["abstention"] = None
    if config["preprocessing"] != PREPROCESSING:
        raise ValueError(
            f"{path}: field 'preprocessing' is {config['preprocessing']}, "
            f"this version does {PREPROCESSING}"
        )
    _check_numbers(path, "architecture", config["architecture"], list(SIZES), int)
    for name, (smallest, largest) in SIZES.items():
        if not smallest <= (size := config["architecture"][name]) <= largest:
            raise ValueError(
                f"{path}: field 'architecture.{name}' is {size}, "
                f"expected a number from {smallest} to {largest}"
            )
    _check_conditions(path, config)
    for part in ("text", "fusion"):
        width, heads = (config["architecture"][f"{part}_{what}"] for what in ("width", "heads"))
        if width % heads:
            raise ValueError(
                f"{path}: field 'architecture.{part}_heads' is {heads}, "
                f"expected a divisor of {part}_width {width}"
            )
    temperatures = config["calibration"].get("temperature")
    _check_numbers(path, "calibration.temperature", temperatures, ANSWERS, (int, float))
    for name, value in temperatures.items():
        if not 1 / HOTTEST <= value <= HOTTEST:
            raise ValueError(
                f"{path}: field 'calibration.temperature.{name}' is {value}, "
                f"expected a number from {1 / HOTTEST} to {HOTTEST}"
            )
    if "abstention" not in config:
        raise ValueError(f"{path}: field 'abstention' is missing")
    if config["abstention"] is not None:
        _check_abstention(path, "abstention", config["abstention"], _ABSTENTION)
    return config


def _check_conditions(path: Path, config: dict[str, Any]) -> None:
    """An index means the same condition everywhere, so the list must be the one known here."""
    names, expected = config["conditions"], config["architecture"]["conditions"]
    if len(names) != expected:
        raise ValueError(f"{path}: field 'conditions' says {len(names)}, expected {expected}")
    for place, (got, known) in enumerate(zip_longest(names, NAMES)):
        if got != known:
            raise ValueError(
                f"{path}: field 'conditions' has {got!r} at place {place}, "
                f"this version has {known!r}"
            )


def _check_numbers(
    path: Path,
    field: str,
    got: Any,
    names: Sequence[str],
    kind: type[int] | tuple[type[int], type[float]],
) -> None:
    """Every one of the ``names`` must be there and be a number above 0, and nothing else."""
    if not isinstance(got, dict):
        raise ValueError(f"{path}: field '{field}' is missing or no object of {', '.join(names)}")
    for name in sorted({*names, *got}):
        if name not in got or name not in names:
            state = "missing" if name in names else "unknown"
            raise ValueError(f"{path}: field '{field}.{name}' is {state}")
        value = got[name]
        if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value < HUGE:
            raise ValueError(f"{path}: field '{field}.{name}' is {value!r}, expected a number > 0")


def _share(value: Any) -> bool:
    return _number(value) and 0 < value < 1


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < HUGE


def _positive(value: Any) -> bool:
    return _number(value) and value > 0


def _score_names(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(n in outside.SCORES for n in value)


# The fields of `abstention`, each with what its value must satisfy.
_ABSTENTION: dict[str, Any] = {
    "coverage": _share,
    "sets": {
        answer: {"method": lambda value: value in SET_METHODS, "threshold": _number}
        for answer in ANSWERS
    },
    "limits": {name: {"value": _number, "rate": _share} for name in outside.LIMITED},
    "parts": dict.fromkeys(outside.STRANGE, _score_names),
    "standard": {name: {"median": _number, "spread": _positive} for name in outside.SCORES},
}


def _check_abstention(path: Path, field: str, got: Any, expected: Any) -> None:
    if not isinstance(expected, dict):
        if not expected(got):
            raise ValueError(f"{path}: field '{field}' is {got!r}, which does not fit")
        return
    if not isinstance(got, dict):
        raise ValueError(f"{path}: field '{field}' is no object of {', '.join(expected)}")
    for name in sorted({*expected, *got}):
        if name not in got or name not in expected:
            state = "missing" if name in expected else "unknown"
            raise ValueError(f"{path}: field '{field}.{name}' is {state}")
        _check_abstention(path, f"{field}.{name}", got[name], expected[name])


def _load_familiar(content: bytes, width: int, path: Path) -> Familiar:
    names = [field.name for field in dataclasses.fields(Familiar)]
    loaded = _tensors(path, content, dict.fromkeys(names, torch.float16))
    arrays = {name: loaded[name].float().numpy() for name in names}
    directions = arrays["feature_map"].shape[-1]
    for name, expected in {
        "feature_mean": (width,),
        "feature_map": (width, directions),
        "class_means": (None, directions),
        "neighbours": (None, directions),
        "statistic_mean": (outside.STATISTICS,),
        "statistic_map": (outside.STATISTICS, outside.STATISTICS),
    }.items():
        shape = arrays[name].shape
        if len(shape) != len(expected) or any(
            size != want if want is not None else size == 0
            for size, want in zip(shape, expected, strict=True)
        ):
            raise ValueError(
                f"{path}: tensor '{name}' has shape {shape}, expected {expected}".replace(
                    "None", "any"
                )
            )
    return Familiar(**arrays)


def _read_verified(folder: Path, name: str, files: dict[str, Any]) -> bytes:
    path = folder / name
    for key in ("sha256", "bytes"):
        if not isinstance(files.get(name), dict) or key not in files[name]:
            raise ValueError(f"{folder / CONFIG}: field 'files.{name}.{key}' is missing")
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint file {path} is missing; get the checkpoint again")
    content = _read_bytes(path)
    for key, got in (("bytes", len(content)), ("sha256", hashlib.sha256(content).hexdigest())):
        if got != files[name][key]:
            raise ValueError(
                f"{path}: does not match 'files.{name}.{key}' of config.json; one of the two was "
                "altered or cut off"
            )
    return content


def _read_bytes(path: Path) -> bytes:
    if (size := path.stat().st_size) >= MAX_FILE_BYTES:
        raise ValueError(f"{path}: has {size} bytes, expected under {MAX_FILE_BYTES}")
    return path.read_bytes()


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error})") from None
    if not isinstance(parsed, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(parsed).__name__}")
    return parsed


def _tensors(path: Path, content: bytes, types: dict[str, torch.dtype]) -> dict[str, torch.Tensor]:
    """Read a file of tensors that must be these, by name, of these types, and finite."""
    try:
        loaded = safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: no safetensors ({error})") from None
    for name in sorted(types.keys() | loaded.keys()):
        if name not in loaded or name not in types:
            where = "missing" if name not in loaded else "unknown"
            raise ValueError(f"{path}: tensor '{name}' is {where}")
        if loaded[name].dtype != types[name]:
            raise ValueError(
                f"{path}: tensor '{name}' is {loaded[name].dtype}, expected {types[name]}"
            )
        if not torch.isfinite(loaded[name]).all():
            raise ValueError(f"{path}: tensor '{name}' is not finite")
    return loaded


def _load_part(model: DermModel, part: str, content: bytes, folder: Path) -> None:
    module = getattr(model, part)
    path = folder / f"{part}.safetensors"
    expected = module.state_dict()
    half = {
        name: torch.float16 if tensor.is_floating_point() else tensor.dtype
        for name, tensor in expected.items()
    }
    loaded = _tensors(path, content, half)
    for name, tensor in loaded.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"{path}: tensor '{name}' has shape {tuple(tensor.shape)}, "
                f"expected {tuple(expected[name].shape)}"
            )
    # Every name is there, so nothing of the memory stays as it was found.
    module.to_empty(device="cpu").load_state_dict(loaded)  # copies into the module's own float32


def _half(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_floating_point():
        return tensor.contiguous()
    half = tensor.detach().half().contiguous()
    if not torch.isfinite(half).all():
        raise ValueError(f"weight '{name}' is not finite in half precision; training diverged?")
    return half


def _identity(config: dict[str, Any]) -> str:
    covered = {field: value for field, value in config.items() if field != "sha256"}
    return hashlib.sha256(json.dumps(covered, sort_keys=True).encode()).hexdigest()


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")
