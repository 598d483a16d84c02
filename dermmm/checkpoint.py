"""The one checkpoint format: a folder that is sufficient by itself.

`config.json` holds the architecture, the conditions, the preprocessing, the calibration, the
data fingerprint and the SHA-256 of every other file; its own `sha256` covers all of that and is
the identity of the model. Weights are safetensors in half precision, one file a part, each under
10 MB. Nothing is pickled. Loading is strict: what does not fit is refused by its field's name.
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

import safetensors
import safetensors.torch
import torch

from dermmm.calibration import ANSWERS
from dermmm.model import DermModel, ModelConfig
from dermmm.preprocess import MEAN, STD
from dermmm.tokenizer import Tokenizer

FORMAT = 1
MAX_FILE_BYTES = 10_000_000
PARTS = ("image_encoder", "text_encoder", "fusion")
TOKENIZER = "tokenizer.json"
METRICS = "metrics.json"
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
    contents = {name: _read_verified(folder, name, config["files"]) for name in FILES}
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
    if config["format"] != FORMAT:
        raise ValueError(
            f"{path}: field 'format' is {config['format']}, this version reads {FORMAT}"
        )
    if config["sha256"] != _identity(config):
        raise ValueError(f"{path}: field 'sha256' does not match the content; it was altered")
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
