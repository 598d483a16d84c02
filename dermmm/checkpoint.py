"""The one checkpoint format: a folder that is sufficient by itself.

`config.json` holds the architecture, the conditions, the preprocessing, the calibration, the
data fingerprint and the SHA-256 of every other file; its own `sha256` covers all of that and is
the identity of the model. Weights are safetensors in half precision, one file a part, each under
10 MB. Nothing is pickled. Loading is strict: what does not fit is refused by its field's name.

Format 2 knows when the model abstains: the field `abstention` and the file of `OUTSIDE`. Where that
was never fitted the field is null and there is no such file. Format 1 had neither and is read so.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from dermmm import outside
from dermmm.calibration import ANSWERS, SET_METHODS
from dermmm.model import DermModel, ModelConfig
from dermmm.outside import Abstention, Familiar
from dermmm.preprocess import MEAN, STD
from dermmm.tokenizer import Tokenizer

FORMAT, READABLE = 2, (1, 2)
MAX_FILE_BYTES = 10_000_000
PARTS = ("image_encoder", "text_encoder", "fusion")
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
    """Write the checkpoint and return its SHA-256. Each file appears whole or not at all.

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
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        _write_whole(folder / name, content)
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
    _write_whole(folder / "config.json", (json.dumps(config, indent=1) + "\n").encode())
    return checkpoint.sha256


def load(folder: str | os.PathLike[str]) -> Checkpoint:
    """Read and verify a checkpoint folder. The model is in evaluation mode, in float32.

    Raises:
        FileNotFoundError: the folder or one of its files is missing.
        ValueError: a field is missing or unfit, or a file is not the one that was saved.
    """
    folder = Path(folder)
    config = _read_config(folder)
    names = (*FILES, *([OUTSIDE] if config["abstention"] else []))
    contents = {name: _read_verified(folder, name, config["files"]) for name in names}
    model_config = ModelConfig(**config["architecture"])
    try:
        tokenizer = Tokenizer.from_json(contents[TOKENIZER].decode(), model_config.max_tokens)
    except ValueError as error:
        raise ValueError(f"{folder / TOKENIZER}: {error}") from None
    for field, got, expected in (
        ("conditions", len(config["conditions"]), model_config.conditions),
        ("architecture.vocabulary", model_config.vocabulary, tokenizer.vocabulary),
    ):
        if got != expected:
            raise ValueError(
                f"{folder / 'config.json'}: field '{field}' says {got}, expected {expected}"
            )
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
        metrics=json.loads(contents[METRICS]),
        sha256=config["sha256"],
        licence=config["licence"],
        abstention=abstention,
    )


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {folder}: {path.name} is missing")
    try:
        config = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error}); get the file again") from None
    if not isinstance(config, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(config).__name__}")
    for field, kind in FIELDS.items():
        if field not in config:
            raise ValueError(f"{path}: field '{field}' is missing; get the checkpoint again")
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
    sizes = [field.name for field in dataclasses.fields(ModelConfig)]
    _check_numbers(path, "architecture", config["architecture"], sizes, int)
    for part in ("text", "fusion"):
        width, heads = (config["architecture"][f"{part}_{what}"] for what in ("width", "heads"))
        if width % heads:
            raise ValueError(
                f"{path}: field 'architecture.{part}_heads' is {heads}, "
                f"expected a divisor of {part}_width {width}"
            )
    temperatures = config["calibration"].get("temperature")
    _check_numbers(path, "calibration.temperature", temperatures, ANSWERS, (int, float))
    if "abstention" not in config:
        raise ValueError(f"{path}: field 'abstention' is missing; get the checkpoint again")
    if config["abstention"] is not None:
        _check_abstention(path, "abstention", config["abstention"], _ABSTENTION)
    return config


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
            state = "missing; get the checkpoint again" if name in names else "unknown"
            raise ValueError(f"{path}: field '{field}.{name}' is {state}")
        value = got[name]
        if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value < math.inf:
            raise ValueError(f"{path}: field '{field}.{name}' is {value!r}, expected a number > 0")


def _share(value: Any) -> bool:
    return _number(value) and 0 < value < 1


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


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
            state = "missing; get the checkpoint again" if name in expected else "unknown"
            raise ValueError(f"{path}: field '{field}.{name}' is {state}")
        _check_abstention(path, f"{field}.{name}", got[name], expected[name])


def _load_familiar(content: bytes, width: int, path: Path) -> Familiar:
    try:
        loaded = safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: {error}") from None
    names = [field.name for field in dataclasses.fields(Familiar)]
    for name in sorted({*names, *loaded}):
        if name not in loaded or name not in names:
            where = "missing" if name not in loaded else "unknown"
            raise ValueError(f"{path}: tensor '{name}' is {where}")
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
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{path}: tensor '{name}' is not finite; fit the abstention anew")
    return Familiar(**arrays)


def _read_verified(folder: Path, name: str, files: dict[str, Any]) -> bytes:
    path = folder / name
    for key in ("sha256", "bytes"):
        if not isinstance(files.get(name), dict) or key not in files[name]:
            raise ValueError(f"{folder / 'config.json'}: field 'files.{name}.{key}' is missing")
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint file {path} is missing; get the checkpoint again")
    if path.stat().st_size != files[name]["bytes"]:
        raise ValueError(f"{path}: does not match 'files.{name}.bytes'; it was altered or cut off")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != files[name]["sha256"]:
        raise ValueError(f"{path}: does not match 'files.{name}.sha256'; it was altered or cut off")
    return content


def _load_part(model: DermModel, part: str, content: bytes, folder: Path) -> None:
    module = getattr(model, part)
    try:
        loaded = safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{folder / part}.safetensors: {error}") from None
    expected = module.state_dict()
    for name in sorted(expected.keys() | loaded.keys()):
        if name not in loaded or name not in expected:
            where = "missing" if name not in loaded else "unknown"
            raise ValueError(f"{folder / part}.safetensors: tensor '{name}' is {where}")
        if loaded[name].shape != expected[name].shape:
            raise ValueError(
                f"{folder / part}.safetensors: tensor '{name}' has shape "
                f"{tuple(loaded[name].shape)}, expected {tuple(expected[name].shape)}"
            )
    module.load_state_dict(loaded)  # copies into the module's own float32


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


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
