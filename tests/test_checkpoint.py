"""The checkpoint folder: what was saved comes back, and anything else is refused by its name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from dermmm import checkpoint as checkpoints
from dermmm.checkpoint import FIELDS, MAX_FILE_BYTES, OUTSIDE, Checkpoint
from dermmm.model import ModelConfig
from dermmm.outside import Abstention

FILES = (*checkpoints.FILES, OUTSIDE)

Config = dict[str, Any]


@pytest.fixture
def folder(cautious_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may break: write whole new files, the old ones are shared links."""
    shutil.copytree(cautious_folder, tmp_path / "copy", copy_function=os.link)
    return tmp_path / "copy"


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def read_config(folder: Path) -> Config:
    return json.loads((folder / "config.json").read_bytes())


def reseal(folder: Path, config: Config) -> None:
    """Write the config as someone would who also recomputes its SHA-256."""
    config = {key: value for key, value in config.items() if key != "sha256"}
    identity = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    replace(folder / "config.json", json.dumps({**config, "sha256": identity}).encode())


def reseal_file(folder: Path, name: str, content: bytes) -> None:
    replace(folder / name, content)
    config = read_config(folder)
    config["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    reseal(folder, config)


def test_round_trip_equals_half_precision(
    tiny_checkpoint: Checkpoint, checkpoint_folder: Path
) -> None:
    loaded = checkpoints.load(checkpoint_folder)
    saved = tiny_checkpoint.model.state_dict()
    for name, tensor in loaded.model.state_dict().items():
        expected = saved[name].half().float() if saved[name].is_floating_point() else saved[name]
        assert tensor.dtype == expected.dtype, name
        assert torch.equal(tensor, expected), name
    assert not loaded.model.training
    assert loaded.model.config == tiny_checkpoint.model.config
    assert loaded.tokenizer.to_json() == tiny_checkpoint.tokenizer.to_json()
    for field in ("conditions", "temperatures", "version", "provenance", "metrics", "licence"):
        assert getattr(loaded, field) == getattr(tiny_checkpoint, field), field
    assert loaded.sha256 == tiny_checkpoint.sha256 == read_config(checkpoint_folder)["sha256"]
    assert loaded.abstention is None
    assert {path.name for path in checkpoint_folder.iterdir()} == {*loaded.files, "config.json"}
    assert OUTSIDE not in loaded.files


def test_when_to_abstain_comes_back(cautious_folder: Path, abstention: Abstention) -> None:
    loaded = checkpoints.load(cautious_folder)
    assert loaded.abstention is not None
    assert loaded.abstention.to_json() == abstention.to_json()
    assert loaded.abstention.sets == abstention.sets
    assert loaded.abstention.limits == abstention.limits
    for name, array in vars(abstention.familiar).items():
        got = getattr(loaded.abstention.familiar, name)
        assert got.dtype == np.float32 and np.array_equal(got, array), name


def test_format_1_is_read_as_a_model_that_never_abstains(
    checkpoint_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(checkpoint_folder, tmp_path / "old", copy_function=os.link)
    config = read_config(tmp_path / "old")
    del config["abstention"]
    reseal(tmp_path / "old", {**config, "format": 1})
    assert checkpoints.load(tmp_path / "old").abstention is None


def test_saving_what_was_loaded_gives_the_same_files(cautious_folder: Path, tmp_path: Path) -> None:
    loaded = checkpoints.load(cautious_folder)
    assert checkpoints.save(loaded, tmp_path / "a" / "b") == loaded.sha256
    assert set(loaded.files) == set(FILES)
    for name in (*FILES, "config.json"):
        assert (tmp_path / "a" / "b" / name).read_bytes() == (cautious_folder / name).read_bytes()


def test_folder_holds_the_named_files_small_and_without_pickles(
    cautious_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {path.name for path in cautious_folder.iterdir()} == {*FILES, "config.json"}
    for path in cautious_folder.iterdir():
        content = path.read_bytes()
        assert len(content) < MAX_FILE_BYTES
        if path.suffix == ".safetensors":  # 8 bytes of length, then a JSON header
            assert json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        else:
            assert json.loads(content)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was unpickled")

    for module, name in ((torch, "load"), (pickle, "load"), (pickle, "loads")):
        monkeypatch.setattr(module, name, refuse)
    checkpoints.load(cautious_folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_one_flipped_bit_is_found(folder: Path, name: str, where: float) -> None:
    content = bytearray((folder / name).read_bytes())
    content[int(where * (len(content) - 1))] ^= 1
    replace(folder / name, bytes(content))
    with pytest.raises(ValueError, match=rf"{name}: does not match 'files\.{name}\.sha256'"):
        checkpoints.load(folder)


def test_any_flipped_bit_of_the_config_is_found(folder: Path) -> None:
    path = folder / "config.json"
    content = path.read_bytes()
    replace(path, content)  # from here on a file of its own
    for position in range(len(content)):
        altered = bytearray(content)
        altered[position] ^= 1
        path.write_bytes(altered)
        with pytest.raises(ValueError, match=r"config\.json: (not JSON|field ')"):
            checkpoints.load(folder)


@pytest.mark.parametrize("name", FILES)
def test_file_that_is_cut_off_or_missing(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    replace(folder / name, content[:-1])
    with pytest.raises(ValueError, match=f"{name}: does not match 'files.{name}.bytes'"):
        checkpoints.load(folder)
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is missing; get the checkpoint again"):
        checkpoints.load(folder)


def test_missing_config_or_folder(tmp_path: Path) -> None:
    for nowhere in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            FileNotFoundError, match=r"no checkpoint at .*: config\.json is missing"
        ):
            checkpoints.load(nowhere)


@pytest.mark.parametrize("content", [b"[]", b"null", b'"text"', b"{", b"\xff\xfe", b""])
def test_config_that_is_no_object(folder: Path, content: bytes) -> None:
    replace(folder / "config.json", content)
    with pytest.raises(ValueError, match=r"config\.json: (not JSON|expected a JSON object)"):
        checkpoints.load(folder)


@pytest.mark.parametrize("resealed", [False, True], ids=["as it is", "sha256 recomputed"])
@pytest.mark.parametrize("field", FIELDS)
def test_missing_field_is_named(folder: Path, field: str, resealed: bool) -> None:
    config = read_config(folder)
    del config[field]
    if resealed and field != "sha256":
        reseal(folder, config)
    else:
        replace(folder / "config.json", json.dumps(config).encode())
    with pytest.raises(ValueError, match=f"field '{field}' is missing"):
        checkpoints.load(folder)


@pytest.mark.parametrize("field", FIELDS)
def test_field_of_the_wrong_kind_is_named(folder: Path, field: str) -> None:
    config = read_config(folder)
    config[field] = None
    replace(folder / "config.json", json.dumps(config).encode())
    with pytest.raises(ValueError, match=f"field '{field}' is NoneType, expected"):
        checkpoints.load(folder)


def test_every_part_of_the_config_counts_also_when_resealed(folder: Path) -> None:
    complete = read_config(folder)
    removed = [
        *(("architecture", field.name) for field in dataclasses.fields(ModelConfig)),
        *(("preprocessing", name) for name in complete["preprocessing"]),
        ("calibration", "temperature"),
        *(("calibration", "temperature", name) for name in ("image", "text", "fused")),
        *(("files", name) for name in FILES),
        *(("files", name, key) for name in FILES for key in ("sha256", "bytes")),
        ("abstention",),
        *(("abstention", name) for name in complete["abstention"]),
        *(
            ("abstention", name, inner)
            for name, said in complete["abstention"].items()
            if isinstance(said, dict)
            for inner in said
        ),
        ("abstention", "sets", "text", "method"),
        ("abstention", "limits", "words unknown", "value"),
    ]
    for path in removed:
        config = json.loads(json.dumps(complete))
        inner = config
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        reseal(folder, config)
        named = path[0] if path[0] == "preprocessing" else ".".join(path)
        with pytest.raises(ValueError, match=f"field '{named}"):
            checkpoints.load(folder)


UNFIT: dict[str, tuple[Callable[[Config], Any], str]] = {
    "format of another version": (lambda c: c.update(format=3), "field 'format' is 3"),
    "one condition too few": (lambda c: c["conditions"].pop(), "field 'conditions' says 25"),
    "other preprocessing": (lambda c: c["preprocessing"].update(mean=0.4), "field 'preproc.*0.4"),
    "other vocabulary": (
        lambda c: c["architecture"].update(vocabulary=7),
        "field 'architecture.vocabulary' says 7",
    ),
    "wider": (
        lambda c: c["architecture"].update(text_width=52),
        r"text_encoder\.safetensors: tensor '.*' has shape",
    ),
    "unknown size": (lambda c: c["architecture"].update(depth=2), "architecture.depth' is unknown"),
    "size as text": (lambda c: c["architecture"].update(image_size="64"), "image_size' is '64'"),
    "no size": (lambda c: c["architecture"].update(image_size=0), "image_size' is 0"),
    "heads that do not fit": (
        lambda c: c["architecture"].update(fusion_heads=5),
        "field 'architecture.fusion_heads' is 5, expected a divisor",
    ),
    "no temperatures": (lambda c: c.update(calibration={}), "field 'calibration.temperature'"),
    "temperature 0": (
        lambda c: c["calibration"]["temperature"].update(text=0),
        "field 'calibration.temperature.text' is 0",
    ),
    "temperature NaN": (
        lambda c: c["calibration"]["temperature"].update(fused=float("nan")),
        "field 'calibration.temperature.fused' is nan",
    ),
    "coverage above 1": (
        lambda c: c["abstention"].update(coverage=1.5),
        "field 'abstention.coverage' is 1.5",
    ),
    "unknown way to make sets": (
        lambda c: c["abstention"]["sets"]["image"].update(method="guess"),
        "field 'abstention.sets.image.method' is 'guess'",
    ),
    "limit as text": (
        lambda c: c["abstention"]["limits"]["blur"].update(value="3"),
        "field 'abstention.limits.blur.value' is '3'",
    ),
    "unknown limit": (
        lambda c: c["abstention"]["limits"].update(noise={"value": 1, "rate": 0.1}),
        "field 'abstention.limits.noise' is unknown",
    ),
    "unknown score": (
        lambda c: c["abstention"]["parts"].update({"not skin-like": ["guess"]}),
        "field 'abstention.parts.not skin-like' is",
    ),
    "no spread": (
        lambda c: c["abstention"]["standard"]["energy"].update(spread=0),
        "field 'abstention.standard.energy.spread' is 0",
    ),
    "abstention that is a list": (lambda c: c.update(abstention=[1]), "field 'abstention' is no"),
    "file entry of the wrong kind": (
        lambda c: c["files"].update({"metrics.json": 3}),
        "field 'files.metrics.json.sha256' is missing",
    ),
}


@pytest.mark.parametrize("what", UNFIT)
def test_unfit_value_is_named_also_when_resealed(folder: Path, what: str) -> None:
    change, message = UNFIT[what]
    config = read_config(folder)
    change(config)
    reseal(folder, config)
    with pytest.raises(ValueError, match=message):
        checkpoints.load(folder)


@pytest.mark.parametrize("how", ["missing", "unknown", "has shape"])
def test_tensor_that_does_not_fit_is_named(folder: Path, how: str) -> None:
    name = "fusion.safetensors"
    tensors = safetensors.torch.load((folder / name).read_bytes())
    if how == "missing":
        del tensors["absent_text"]
    elif how == "unknown":
        tensors["absent_text_"] = tensors["absent_text"].clone()
    else:
        tensors["absent_text"] = torch.zeros(47, dtype=torch.float16)
    reseal_file(folder, name, safetensors.torch.save(tensors))
    with pytest.raises(ValueError, match=rf"{name}: tensor 'absent_text_?'.* {how}"):
        checkpoints.load(folder)


@pytest.mark.parametrize(
    ("how", "change"),
    [
        ("missing", lambda t: t.pop("neighbours")),
        ("unknown", lambda t: t.update(more=torch.zeros(2))),
        ("has shape", lambda t: t.update(class_means=torch.zeros(3, 9).half())),
        ("has shape", lambda t: t.update(neighbours=torch.zeros(0, 4).half())),
        ("has shape", lambda t: t.update(feature_mean=torch.zeros(7).half())),
        ("not finite", lambda t: t.update(statistic_mean=t["statistic_mean"] / 0)),
    ],
)
def test_tensor_of_the_abstention_that_does_not_fit_is_named(
    folder: Path, how: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    tensors = safetensors.torch.load((folder / OUTSIDE).read_bytes())
    change(tensors)
    reseal_file(folder, OUTSIDE, safetensors.torch.save(tensors))
    with pytest.raises(ValueError, match=rf"{OUTSIDE}: tensor '\w+'.* {how}"):
        checkpoints.load(folder)


@pytest.mark.parametrize("name", ["text_encoder.safetensors", "tokenizer.json", OUTSIDE])
def test_file_of_another_format_is_named_also_when_resealed(folder: Path, name: str) -> None:
    reseal_file(folder, name, b"{}")
    with pytest.raises(ValueError, match=name):
        checkpoints.load(folder)


@pytest.mark.parametrize("renames", range(len(FILES) + 1))
def test_a_save_that_is_killed_among_its_renames_is_finished(
    cautious_folder: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    old, new = checkpoints.load(folder), checkpoints.load(folder)
    new.metrics = {"changed": True}
    done, rename = 0, Path.replace

    def killed(path: Path, target: Path) -> Path:
        nonlocal done
        if done == renames:
            raise KeyboardInterrupt
        done += 1
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.save(new, folder)
    checkpoints.finish(folder)
    found = checkpoints.load(folder)
    assert found.metrics == {"changed": True} and found.sha256 != old.sha256
    assert {path.name for path in folder.iterdir()} == {*FILES, "config.json"}


def test_a_save_that_is_killed_before_leaves_the_old_checkpoint(folder: Path) -> None:
    before = checkpoints.load(folder)
    for content in (b"", b"{", (folder / "config.json").read_bytes()[:-3], b'{"files": {}}'):
        (folder / "config.json.tmp").write_bytes(content)
        (folder / "metrics.json.tmp").write_bytes(b"{")
        checkpoints.finish(folder)
        assert checkpoints.load(folder).sha256 == before.sha256
    before.metrics = {"changed": True}
    checkpoints.save(before, folder)  # what was left behind is in nobody's way
    assert checkpoints.load(folder).metrics == {"changed": True}


def test_a_full_disk_leaves_the_old_checkpoint_and_no_part_of_the_new(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == "tokenizer.json.tmp":
            write(path, content[:10])
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(checkpoints.load(folder), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


HOSTILE: dict[str, tuple[Callable[[Config], Any], str]] = {
    "layers without end": (
        lambda c: c["architecture"].update(text_layers=10**9),
        "field 'architecture.text_layers' is 1000000000, expected a number from 1 to 100",
    ),
    "a photo of gigabytes": (
        lambda c: c["architecture"].update(image_size=10**5),
        "field 'architecture.image_size' is 100000, expected a number from 32",
    ),
    "conditions in another order": (
        lambda c: c["conditions"].reverse(),
        "field 'conditions' has 'healthy skin' at place 0, this version has 'actinic",
    ),
    "a number that is no float": (
        lambda c: c["calibration"]["temperature"].update(image=10**400),
        "field 'calibration.temperature.image' is 1000",
    ),
    "a temperature that levels all": (
        lambda c: c["calibration"]["temperature"].update(image=1e9),
        "field 'calibration.temperature.image' is 1000000000.0, expected a number from 0.001",
    ),
    "a limit that is no float": (
        lambda c: c["abstention"]["limits"]["blur"].update(value=10**400),
        "field 'abstention.limits.blur.value' is 1000",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_value_is_refused_before_it_costs_anything(folder: Path, what: str) -> None:
    change, message = HOSTILE[what]
    config = read_config(folder)
    change(config)
    reseal(folder, config)
    with pytest.raises(ValueError, match=message):
        checkpoints.load(folder)


def test_weights_that_are_no_numbers_or_of_another_type_are_named(folder: Path) -> None:
    name = "fusion.safetensors"
    whole = safetensors.torch.load((folder / name).read_bytes())
    for changed, message in (
        (whole["absent_text"] / 0, "is not finite"),
        (whole["absent_text"].float(), "is torch.float32, expected torch.float16"),
    ):
        reseal_file(folder, name, safetensors.torch.save({**whole, "absent_text": changed}))
        with pytest.raises(ValueError, match=f"{name}: tensor 'absent_text' {message}"):
            checkpoints.load(folder)


@pytest.mark.parametrize("content", [b"[]", b"no", b'{"a":' * 50_000])
def test_metrics_that_are_no_object_are_named(folder: Path, content: bytes) -> None:
    reseal_file(folder, "metrics.json", content)
    with pytest.raises(ValueError, match=r"metrics\.json: (not JSON|expected a JSON object)"):
        checkpoints.load(folder)


def test_a_file_of_many_gigabytes_is_not_read(folder: Path) -> None:
    for name in ("fusion.safetensors", "config.json"):
        (folder / name).unlink()
        with (folder / name).open("wb") as file:
            file.truncate(10**11)
        with pytest.raises(ValueError, match=f"{name}: has 100000000000 bytes, expected under"):
            checkpoints.load(folder)


def test_token_ids_beyond_the_vocabulary_are_refused(folder: Path) -> None:
    tokens = json.loads((folder / "tokenizer.json").read_bytes())
    vocabulary = tokens["model"]["vocab"]
    vocabulary[next(reversed(vocabulary))] = 10**6
    reseal_file(folder, "tokenizer.json", json.dumps(tokens).encode())
    with pytest.raises(ValueError, match=r"tokenizer\.json: has token ids beyond"):
        checkpoints.load(folder)


def test_file_limit_leaves_the_old_files_alone(
    tiny_checkpoint: Checkpoint, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    limit = (folder / "image_encoder.safetensors").stat().st_size
    monkeypatch.setattr(checkpoints, "MAX_FILE_BYTES", limit)
    changed = dataclasses.replace(tiny_checkpoint, metrics={"changed": True})
    with pytest.raises(ValueError, match=f"image_encoder.safetensors would have {limit} bytes"):
        checkpoints.save(changed, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_weight_that_does_not_fit_in_half_precision_is_named(
    tiny_checkpoint: Checkpoint, tmp_path: Path, value: float
) -> None:
    weight = tiny_checkpoint.model.fusion.absent_text
    kept = weight.detach().clone()
    try:
        weight.data[0] = value
        with pytest.raises(ValueError, match=r"weight 'fusion\.absent_text' is not finite"):
            checkpoints.save(tiny_checkpoint, tmp_path / "new")
    finally:
        weight.data.copy_(kept)
    assert not (tmp_path / "new").exists()
