"""Derm1M's layout, read, packed into shards and streamed; every photo and caption is made up."""

from __future__ import annotations

import csv
import json
import os
import tarfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dermmm.conditions import INDEX, says_a_name_or_code
from dermmm.preprocess import open_photo, square
from training import shards, splits
from training.augment import CONTRASTIVE, SUPERVISED, augment
from training.clean import look
from training.shards import UNKNOWN, pack, read_index, stream
from training.sources import derm1m

COLUMNS = ("filename", "caption", "source", "disease_label", "body_location")
LABELS = ("Acne Vulgaris", "Tinea corporis", "psoriasis", "No definitive diagnosis")


def made(folder: Path, count: int, distinct: int = 40) -> Path:
    """``count`` rows and photos, of which ``distinct`` differ."""
    photos = folder / "edu"
    photos.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(min(count, distinct)):
        noise = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        image = Image.fromarray(noise).resize((96, 72), Image.Resampling.BICUBIC)
        image.save(photos / f"{number}_1.jpg", quality=80)
    for number in range(distinct, count):
        os.link(photos / f"{number % distinct}_1.jpg", photos / f"{number}_1.jpg")
    rows = []
    for number in range(count):
        label = LABELS[number % 4]
        rows.append(
            (f"edu/{number}_1.jpg", f"Case {number}: {label} of the arm.", "edu", label, "arm")
        )
    write(folder / derm1m.TABLES["pretrain"], rows)
    return folder


def write(path: Path, rows: list[tuple[str, ...]], columns: tuple[str, ...] = COLUMNS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(columns)
        table.writerows(rows)


# --- the reader -----------------------------------------------------------------------------------


def test_fifty_thousand_rows_are_read_one_by_one(tmp_path: Path) -> None:
    rows = derm1m.read(made(tmp_path, 50_000))
    first = next(rows)
    assert (first.id, first.group_id) == ("derm1m:pretrain:1", "derm1m:edu/0")
    assert first.label == "Acne Vulgaris" and first.text == "Case 0: [condition] of the arm."
    count, ids, labels, photos = 1, {first.id}, {first.label}, int(first.photo is not None)
    for row in rows:
        count += 1
        photos += row.photo is not None
        ids.add(row.id)
        labels.add(row.label)
        if count % 50 < 4:  # looking at every text would take as long as reading it
            assert not says_a_name_or_code(row.text) and "Tinea" not in row.text
    assert count == len(ids) == photos == 50_000
    assert labels == {*LABELS[:3], ""}


def test_both_tables_are_read_and_photos_found_in_either_place(tmp_path: Path) -> None:
    for name in ("edu/1_1.png", "validation_data/edu/2_1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64)).save(tmp_path / name)
    row = ("edu/1_1.png", "red", "edu", "", "")
    write(tmp_path / derm1m.TABLES["pretrain"], [row, ("edu/9_1.png", "", "edu", "", "")])
    columns = ("filename", "truncated_caption", "disease_label")
    write(tmp_path / derm1m.TABLES["validation"], [("edu\\2_1.png", "itchy", "")], columns)
    rows = list(derm1m.read(tmp_path))
    assert [row.id for row in rows] == [
        "derm1m:pretrain:1", "derm1m:pretrain:2", "derm1m:validation:1",
    ]  # fmt: skip
    assert [row.photo and row.photo.name for row in rows] == ["1_1.png", None, "2_1.png"]
    assert [row.text for row in rows] == ["red", "", "itchy"]


@pytest.mark.parametrize(
    ("label", "condition"),
    [
        ("Acne Vulgaris", "acne"),
        ("Melanocytic nevi", "melanocytic nevus"),
        ("allergic contact dermatitis", "eczema"),
        ("nevus of ota", ""),
        ("non-melanoma skin cancer", ""),
        ("eczema herpeticum", ""),
        ("acne, rosacea", ""),
        ("tinea corporis", ""),
        ("", ""),
    ],
)
def test_only_a_label_that_is_nothing_but_a_name_is_a_condition(label: str, condition: str) -> None:
    assert derm1m.condition(label) == condition


def test_groups_and_photos_that_may_be_held_out(tmp_path: Path) -> None:
    names = [
        *("youtube/a_b_frame_12_3.jpg", "youtube/a_b_frame_99_1.jpg"),
        *("IIYI/7_1.png", "IIYI/7_2.png", "public/x.jpg", "edu/_1.png"),
    ]
    write(tmp_path / derm1m.TABLES["pretrain"], [(name, "", "", "", "") for name in names])
    rows = list(derm1m.read(tmp_path))
    assert [row.group_id.removeprefix("derm1m:") for row in rows] == [
        *["youtube/a_b"] * 2, *["IIYI/7"] * 2, "public/x", "edu/_1.png",
    ]  # fmt: skip
    assert [bool(row.unusable) for row in rows] == [False, False, True, True, True, False]


def test_what_is_no_table_of_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected the publisher's files"):
        list(derm1m.read(tmp_path))
    table = tmp_path / derm1m.TABLES["pretrain"]
    for columns in (("filename", "caption"), ("filename", "disease_label")):
        write(table, [], columns)
        with pytest.raises(ValueError, match="download the file again"):
            list(derm1m.read(tmp_path))
    for name in ("../secret.jpg", "/etc/x.jpg", "a/../../x.jpg", "..\\x.jpg", ""):
        write(table, [(name, "", "", "", "")])
        with pytest.raises(ValueError, match="expected one below its folder"):
            list(derm1m.read(tmp_path))


# --- shards ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The raw folder, and the shards of its 100 rows, 12 in each."""
    folder = tmp_path_factory.mktemp("derm1m")
    made(folder / "raw", 100, distinct=100)
    pack(derm1m.read(folder / "raw"), folder / "shards", in_shard=12)
    return folder / "raw", folder / "shards"


def test_shards_hold_every_photo_once_and_no_file_beside(packed: tuple[Path, Path]) -> None:
    _, folder = packed
    index = read_index(folder)
    assert index["samples"] == 100 and len(index["shards"]) == 9
    assert index["conditions"] == {"acne": 25, "psoriasis": 25, "unmapped": 50}
    assert {path.suffix for path in folder.iterdir()} == {".tar", ".json", ".csv"}
    members = []
    for name in index["shards"]:
        with tarfile.open(folder / name) as shard:
            members += [member.name for member in shard]
    assert len(members) == len(set(members)) == 300


def test_the_stream_gives_what_augmentation_takes(packed: tuple[Path, Path]) -> None:
    raw, folder = packed
    seen = {}
    for batch in stream(folder, size=48, batch=20, epoch=0):
        assert batch.pixels.shape == (20, 48, 48, 3) and batch.pixels.dtype == torch.uint8
        for how in (SUPERVISED, CONTRASTIVE):
            images = augment(batch.pixels, 32, how)
            assert images.shape == (20, 3, 32, 32) and images.dtype == torch.float32
        told = zip(batch.pixels, batch.texts, batch.conditions, batch.groups, strict=True)
        for pixels, text, condition, group in told:
            seen[int(group.split("/")[1])] = (pixels, text, int(condition))
    assert sorted(seen) == list(range(100))
    for number, (pixels, text, condition) in seen.items():
        expected = square(open_photo(raw / "edu" / f"{number}_1.jpg"), 48)
        assert np.array_equal(pixels.numpy(), expected)
        label = LABELS[number % 4]
        assert text == f"Case {number}: {'[condition]' if number % 4 < 3 else label} of the arm."
        assert condition == INDEX.get(derm1m.condition(label), UNKNOWN)


def test_an_epoch_has_its_own_order_and_repeats_it(packed: tuple[Path, Path]) -> None:
    _, folder = packed

    def order(epoch: int, **options: int) -> list[str]:
        batches = stream(folder, size=16, batch=10, epoch=epoch, **options)
        return [group for batch in batches for group in batch.groups]

    first = order(0)
    assert first == order(0) != order(1)
    assert sorted(first) == sorted(order(1))
    assert first != order(0, seed=1)
    assert order(0, buffer=0) != first
    numbers = [int(group.split("/")[1]) for group in first]
    adjacent = sum(abs(a - b) == 1 for a, b in pairwise(numbers))
    assert adjacent < 15  # of 99: shuffled within the buffer, too


def test_processes_share_an_epoch_without_overlap(packed: tuple[Path, Path]) -> None:
    _, folder = packed
    parts = [
        {g for batch in stream(folder, 16, 2, 0, process=one, processes=3) for g in batch.groups}
        for one in range(3)
    ]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 100
    with pytest.raises(ValueError, match="10 processes for 9 shards"):
        next(stream(folder, 16, 2, 0, processes=10))


def test_workers_pack_the_same(packed: tuple[Path, Path], tmp_path: Path) -> None:
    raw, folder = packed
    pack(derm1m.read(raw), tmp_path / "shards", in_shard=12, workers=2)
    assert read_index(tmp_path / "shards") == read_index(folder)
    for name in read_index(folder)["shards"]:
        with tarfile.open(folder / name) as one, tarfile.open(tmp_path / "shards" / name) as other:
            for a, b in zip(one, other, strict=True):
                assert a.name == b.name
                assert one.extractfile(a).read() == other.extractfile(b).read()  # type: ignore[union-attr]


def test_what_is_left_out_has_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = made(tmp_path / "raw", 8, distinct=8)
    (raw / "edu" / "1_1.jpg").write_bytes(b"not a photo")
    Image.new("RGB", (96, 96)).save(raw / "edu" / "2_1.jpg")
    (raw / "edu" / "3_1.jpg").unlink()
    Image.new("RGB", (32, 32)).save(raw / "edu" / "4_1.jpg")
    held = splits.read()
    assert held is not None
    held = held.head(1).assign(split="test", sha256=look(raw / "edu" / "5_1.jpg").sha256[:16])
    monkeypatch.setattr(splits, "read", lambda: held)
    index = pack(derm1m.read(raw), tmp_path / "shards")
    assert index["samples"] == 3
    with (tmp_path / "shards" / "dropped.csv").open(newline="", encoding="utf-8") as file:
        reasons = {row["id"].rsplit(":")[-1]: row["reason"] for row in csv.DictReader(file)}
    assert set(reasons) == {"2", "3", "4", "5", "6"}
    assert "not a photo" in reasons["2"] and reasons["3"] == "blank photo"
    assert reasons["4"] == "no photo here" and "tiny" in reasons["5"]
    assert reasons["6"] == "the very pixels of a held-out photo"


def test_a_stopped_run_leaves_nothing_that_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, out = made(tmp_path / "raw", 30), tmp_path / "shards"

    def stop(row: object, held_out: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shards, "_sample", stop)
        with pytest.raises(KeyboardInterrupt):
            pack(derm1m.read(raw), out)
    assert not out.exists()
    with pytest.raises(FileNotFoundError, match="pack with"):
        next(stream(out, 16, 2, 0))
    assert pack(derm1m.read(raw), out)["samples"] == 30  # and the next run goes through
    assert json.loads((out / "index.json").read_text())["shards"] == ["000000.tar"]
    with pytest.raises(FileExistsError, match="is there already"):
        pack(derm1m.read(raw), out)


def test_no_usable_photo_is_told(tmp_path: Path) -> None:
    write(tmp_path / "raw" / derm1m.TABLES["pretrain"], [("edu/1.jpg", "", "", "", "")])
    with pytest.raises(ValueError, match="no photo here"):
        pack(derm1m.read(tmp_path / "raw"), tmp_path / "shards")
