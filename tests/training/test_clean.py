"""Each cleaning step by an input and output table, then the whole on a made-up download."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter, ImageOps

from tests.training.test_sources import (
    GRADABLE,
    PAD_COLUMNS,
    SCIN_CASES,
    SCIN_LABELS,
    SUFFICIENT,
    draw,
    table,
)
from training import clean, splits
from training.clean import Config, Item, Photo
from training.sources.row import Row

CONFIG = Config(Path("raw"), Path("out"), workers=1)
GOOD = Photo(Path("a.jpg"), side=200, contrast=40.0, sha256="aa", hash="0" * 16, mirrored="0" * 16)


def row(name: str, **values: object) -> Row:
    defaults = Row(name, "pad_ufes_20", f"g{name}", None, "", {}, "", "BCC")
    return replace(defaults, **values)  # type: ignore[arg-type]


def looked_at(path: Path, name: str, condition: str = "acne", **values: object) -> Item:
    values = {"photo": path, "photo_kind": "clinical", **values}
    return Item(row(name, **values), clean.look(path), condition=condition)


def near(path: Path, to: Path, **save: int) -> Path:
    """A smaller, recompressed, slightly brighter copy."""
    with Image.open(path) as image:
        shrunk = image.resize((image.width * 4 // 5, image.height * 4 // 5))
        shrunk.point(lambda value: min(255, value + 12)).save(to, quality=60)
    return to


# filter ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (Item(row("1"), GOOD), ""),
        (Item(row("1", fields={"age": "9"})), ""),
        (Item(row("1", text="itches")), ""),
        (Item(row("1")), "neither photo nor words"),
        (Item(row("1"), replace(GOOD, error="broken")), "unreadable: broken"),
        (Item(row("1"), replace(GOOD, side=63)), "tiny: short side below 64 pixels"),
        (Item(row("1"), replace(GOOD, contrast=0.5)), "blank photo"),
        (Item(row("1", unusable="qc"), GOOD), "called unusable: qc"),
    ],
)
def test_filter(item: Item, reason: str) -> None:
    kept, dropped = clean.filter_items([item], CONFIG)
    assert [entry.reason for entry in dropped] == ([reason] if reason else [])
    assert len(kept) + len(dropped) == 1


def test_look_notes_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a photo")
    cut = draw(tmp_path / "cut.jpg")
    cut.write_bytes(cut.read_bytes()[:800])
    Image.new("RGB", (90, 90), "white").save(tmp_path / "white.png")
    assert clean.look(tmp_path / "text.jpg").error
    assert clean.look(cut).error
    assert clean.look(tmp_path / "white.png").contrast == 0


# normalise ---------------------------------------------------------------------------------------

MAP = {("s", "a"): "acne", ("s", "a2"): "acne", ("s", "e"): "eczema"}


@pytest.mark.parametrize(
    ("published", "condition", "targets"),
    [
        ({"a": 1.0}, "acne", {"acne": 1.0}),
        ({"other": 1.0}, "", {}),
        ({"": 1.0}, "", {}),
        ({"e": 0.4, "a": 0.3, "a2": 0.3}, "acne", {"eczema": 0.4, "acne": 0.6}),
        ({"a": 0.41, "e": 0.41, "other": 0.18}, "acne", {"acne": 0.5, "eczema": 0.5}),
        ({"e": 0.41, "a": 0.41, "other": 0.18}, "eczema", {"eczema": 0.5, "acne": 0.5}),
        ({"a": 0.5, "other": 0.5}, "", {"acne": 1.0}),  # not more than half
    ],
)
def test_condition_of(
    published: dict[str, float], condition: str, targets: dict[str, float]
) -> None:
    found, weights = clean.condition_of("s", published, MAP)
    assert (found, weights) == (condition, pytest.approx(targets))
    assert list(weights) == list(targets)


def test_normalise_repairs_text_and_drops_words_without_condition() -> None:
    items = [
        Item(row("1", text="It\u00e2\u20ac\u2122s  itchy\n now ")),
        Item(row("2", label="unheard of", text="hm")),
        Item(row("3", label="unheard of"), GOOD),
        Item(row("4", label_weights={"BCC": 0.3, "unheard of": 0.7}), GOOD),
    ]
    kept, dropped = clean.normalise(items, CONFIG)
    assert [(item.id, item.condition) for item in kept] == [
        ("1", "basal cell carcinoma"),
        ("3", ""),
    ]
    assert kept[0].text == "It's itchy now"
    assert {entry.id: entry.reason for entry in dropped} == {
        "2": "no condition, and no photo to learn from without one",
        "4": "labels disagree: conditions hold at most half of the weight",
    }


@pytest.mark.parametrize(
    ("size", "expected"),
    [((448, 896), (224, 448)), ((300, 200), (300, 200)), ((230, 225), (229, 224))],
)
def test_bounded_only_shrinks(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert clean.bounded(Image.new("RGB", size)).size == expected


def test_label_map_names_known_conditions_and_readers() -> None:
    table = pd.read_csv(clean.LABEL_MAP, dtype=str)
    assert set(table["condition"]) <= set(clean.NAMES)
    assert set(table["source"]) <= set(clean.READERS)
    assert not table.duplicated(["source", "source_label"]).any()


# deduplicate -------------------------------------------------------------------------------------


def test_close_hashes_against_a_literal_loop() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**63, 700, dtype=np.uint64)
    base[600:] = base[:100] ^ np.uint64(0b1011)
    mirrored = rng.permutation(base)
    expected = {
        (i, j, m)
        for m, others in ((0, base), (1, mirrored))
        for i in range(len(base))
        for j in range(i + 1, len(base))
        if (int(base[i]) ^ int(others[j])).bit_count() <= clean.HASH_DISTANCE
    }
    assert {tuple(map(int, found)) for found in clean.close_hashes(base, mirrored)} == expected
    assert len(expected) > 100


def test_near_copies_join_and_look_alikes_do_not(tmp_path: Path) -> None:
    original = draw(tmp_path / "a.jpg", seed=1)
    with Image.open(original) as image:
        ImageOps.mirror(image).save(tmp_path / "mirror.jpg", quality=80)
        # the same large shapes on other skin: what the perceptual hash alone takes for a copy
        grain = np.random.default_rng(5).normal(0, 20, (image.height, image.width, 3))
        shapes = np.asarray(image.filter(ImageFilter.GaussianBlur(4)), dtype=float)
        alike = Image.fromarray(np.clip(shapes + grain, 0, 255).astype(np.uint8))
        alike.save(tmp_path / "alike.jpg")
    paths = [
        original,
        near(original, tmp_path / "copy.jpg"),
        tmp_path / "mirror.jpg",
        draw(tmp_path / "other.jpg", seed=2),
        tmp_path / "alike.jpg",
    ]
    items = [looked_at(path, path.stem) for path in paths]
    hashes = [int(item.photo.hash, 16) for item in items if item.photo]
    assert (hashes[0] ^ hashes[4]).bit_count() <= clean.HASH_DISTANCE
    kept, dropped = clean.deduplicate(items, CONFIG)
    assert dropped == []
    assert [item.group for item in kept] == ["ga", "ga", "ga", "gother", "galike"]


def test_identical_photos_leave_one_in_any_order(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.jpg")
    items = [looked_at(path, name) for name in ("2", "1", "3")]
    for order in (items, items[::-1]):
        kept, dropped = clean.deduplicate(order, CONFIG)
        assert [item.id for item in kept] == ["1"]
        assert {entry.reason for entry in dropped} == {"the same photo or text as 1"}


@pytest.mark.parametrize(
    ("labels", "conditions", "left"),
    [
        (["x", "y"], ["acne", "eczema"], 0),
        (["x", "y"], ["acne", "acne"], 2),
        (["x", "y"], ["acne", ""], 0),  # a published label that means none of our conditions
        (["x", ""], ["acne", ""], 2),  # no published label contradicts nothing
    ],
)
def test_contradicting_copies_are_dropped(
    tmp_path: Path, labels: list[str], conditions: list[str], left: int
) -> None:
    original = draw(tmp_path / "a.jpg")
    paths = [original, near(original, tmp_path / "b.jpg")]
    items = [
        looked_at(path, path.stem, condition, label=label)
        for path, label, condition in zip(paths, labels, conditions, strict=True)
    ]
    kept, dropped = clean.deduplicate(items, CONFIG)
    assert len(kept) == left
    assert all("labelled as different conditions" in entry.reason for entry in dropped)


def test_published_groups_chain_with_copies_but_do_not_contradict(tmp_path: Path) -> None:
    original = draw(tmp_path / "a.jpg", seed=1)
    items = [
        looked_at(original, "1", group_id="p1"),
        looked_at(near(original, tmp_path / "b.jpg"), "2", group_id="p2"),
        looked_at(draw(tmp_path / "c.jpg", seed=3), "3", "eczema", group_id="p2"),
        Item(row("4", group_id="p3", fields={"age": "9"}), condition="acne"),
    ]
    kept, dropped = clean.deduplicate(items, CONFIG)
    assert dropped == []
    assert [item.group for item in kept] == ["p1", "p1", "p1", "p3"]


def test_near_texts_join_and_equal_texts_leave_one() -> None:
    said = "Itchy red patches on both elbows for three weeks, worse at night, no fever at all."
    texts = {"1": said, "2": said.replace("fever", "fevers"), "3": said, "4": "A mole on my back."}
    items = [Item(row(name), text=text, condition="acne") for name, text in texts.items()]
    kept, dropped = clean.deduplicate(items, CONFIG)
    assert {item.id: item.group for item in kept} == {"1": "g1", "2": "g1", "4": "g4"}
    assert [(entry.id, entry.reason) for entry in dropped] == [("3", "the same photo or text as 1")]


def test_equal_fields_are_different_patients() -> None:
    items = [Item(row(n, fields={"age": "9"}), condition="acne") for n in ("1", "2")]
    kept, _ = clean.deduplicate(items, CONFIG)
    assert [item.group for item in kept] == ["g1", "g2"]


# validate ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"condition": "plague"}, "condition"),
        ({"split": "future"}, "split"),
        ({"condition": "", "split": "test"}, "unmapped rows are not tested on"),
        ({"split": "near_ood"}, "near_ood"),
        ({"row": row("1", photo_kind="clinical", skin_type="VII")}, "skin_type"),
        ({"photo": None}, "photo"),
    ],
)
def test_validate_names_the_broken_rule(
    tmp_path: Path, change: dict[str, object], rule: str
) -> None:
    path = draw(tmp_path / "a.jpg")
    item = looked_at(path, "1")
    item = replace(item, group="g1", split="train")
    assert clean.validate([item], CONFIG) == ([item], [])
    with pytest.raises(ValueError, match=rule):
        clean.validate([replace(item, **change)], CONFIG)  # type: ignore[arg-type]


def test_validate_finds_leaks_and_lost_photos(tmp_path: Path) -> None:
    item = replace(looked_at(draw(tmp_path / "a.jpg"), "1"), group="g", split="train")
    other = replace(looked_at(draw(tmp_path / "b.jpg", 7), "2"), group="g", split="test")
    with pytest.raises(ValueError, match="group g is in test and train"):
        clean.validate([item, other], CONFIG)
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(ValueError, match="photo of 1 is gone"):
        clean.validate([item], CONFIG)


# the whole ---------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Two tumour patients with photos (one sideways, one as published), one without, one case."""
    pad = tmp_path / "raw" / "pad_ufes_20"
    told = {"age": "61", "region": "CHEST", "itch": "True", "diagnostic": "BCC"}
    table(
        pad / "metadata.csv",
        PAD_COLUMNS,
        {**told, "patient_id": "PAT_1", "img_id": "PAT_1_1_1.png"},
        {**told, "patient_id": "PAT_2", "img_id": "PAT_2_1_2.png", "diagnostic": "NEV"},
        {**told, "patient_id": "PAT_3", "img_id": "PAT_3_1_3.png"},
        {"patient_id": "PAT_4", "img_id": "PAT_4_1_4.png", "diagnostic": "ACK"},
    )
    draw(pad / "images" / "PAT_1_1_1.jpg", seed=1)
    sideways = Image.open(draw(pad / "images" / "PAT_2_1_2.png", seed=2, size=(900, 600)))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"  # rotate by 90 degrees; maker
    sideways.save(pad / "images" / "PAT_2_1_2.png", exif=exif)
    folder = tmp_path / "raw" / "scin"
    case = {"case_id": "-5", "textures_flat": "YES", "condition_symptoms_itching": "YES"}
    table(folder / "scin_cases.csv", SCIN_CASES, case)
    weights = {"weighted_skin_condition_label": "{'Acne': 0.5, 'Eczema': 0.5}"}
    table(
        folder / "scin_labels.csv",
        SCIN_LABELS,
        {"case_id": "-5", f"{GRADABLE}1": SUFFICIENT, **weights},
    )
    return Config(tmp_path / "raw", tmp_path / "data", frozen=tmp_path / "splits.csv", workers=1)


def read_manifest(config: Config) -> pd.DataFrame:
    path = config.out / "manifest.csv"
    return pd.read_csv(path, dtype=str, keep_default_na=False).set_index("id")


def test_main_writes_what_the_manifest_says(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    clean.main(config)
    printed = capsys.readouterr().out
    assert "milk10k: no folder" in printed
    manifest = read_manifest(config)
    assert list(manifest["modality"]) == ["img_text", "img_text", "text_only", "text_only"]
    for _, entry in manifest.iterrows():
        lines = (config.out / entry["text_path"]).read_text().splitlines()
        assert len(lines) == int(entry["n_texts"]) == (6 if entry["split"] == "train" else 1)
        assert entry["condition"].replace(" ", "-") in entry["text_path"]
        assert not entry["photo"] or (config.out / entry["photo"]).is_file()
    assert json.loads(manifest.loc["scin:-5", "targets"]) == {"acne": 0.5, "eczema": 0.5}
    dropped = pd.read_csv(config.out / "dropped.csv")
    assert dropped.to_dict("records") == [
        {"id": "pad_ufes_20:PAT_4_1_4", "step": "filter", "reason": "neither photo nor words"}
    ]
    sheet = json.loads((config.out / "datasheet.json").read_text())
    assert sum(sheet["Photos by source and split"]["pad_ufes_20"].values()) == 2
    assert "basal cell carcinoma" in (config.out / "datasheet.md").read_text()
    assert not list(config.out.rglob("*.tmp"))
    assert (config.out / "synthetic" / "README.md").is_file()


def test_photos_are_upright_bounded_and_without_metadata(config: Config) -> None:
    clean.main(config)
    manifest = read_manifest(config)
    with Image.open(config.out / manifest.loc["pad_ufes_20:PAT_2_1_2", "photo"]) as made:
        assert (made.size, made.mode, made.format) == ((224, 336), "RGB", "JPEG")
        assert not made.getexif()
    copied = config.out / manifest.loc["pad_ufes_20:PAT_1_1_1", "photo"]
    published = config.raw / "pad_ufes_20" / "images" / "PAT_1_1_1.jpg"
    assert copied.read_bytes() == published.read_bytes()


def test_second_run_does_nothing_and_a_change_is_noticed(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = clean.main(config)
    first = manifest.read_bytes()
    made = manifest.stat().st_mtime_ns
    assert clean.main(config) == manifest
    assert manifest.stat().st_mtime_ns == made

    gone = read_manifest(config).loc["pad_ufes_20:PAT_1_1_1", "photo"]
    (config.raw / "pad_ufes_20" / "images" / "PAT_1_1_1.jpg").unlink()
    # photos that did not change are not looked at again
    monkeypatch.setattr(clean, "look", lambda path: pytest.fail(f"looked at {path}"))
    clean.main(config)
    assert manifest.read_bytes() != first
    assert not (config.out / gone).exists()
    assert read_manifest(config).loc["pad_ufes_20:PAT_1_1_1", "modality"] == "text_only"


def test_frozen_splits_hold_when_photos_come(config: Config) -> None:
    clean.main(config)
    before = splits.read(config.frozen)
    placed = read_manifest(config)["split"]
    for number, name in enumerate(("PAT_3_1_3", "PAT_4_1_4")):
        draw(config.raw / "pad_ufes_20" / "images" / f"{name}.jpg", seed=30 + number)
    clean.main(config)
    after = splits.read(config.frozen)
    assert before is not None and before.equals(after)
    now = read_manifest(config)["split"]
    assert placed.to_dict().items() <= now.to_dict().items()
    assert "pad_ufes_20:PAT_4_1_4" in now


def test_no_source_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="got no source"):
        clean.main(Config(tmp_path, tmp_path / "out"))
