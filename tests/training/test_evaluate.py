"""What evaluation asks, its controls, and the tables that it writes into documents."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from dermmm.checkpoint import Checkpoint
from dermmm.conditions import INDEX, NAMES
from dermmm.predictor import Predictor
from training import controls
from training.answers import answer_rows, encode_photos
from training.evaluate import (
    MEASURED_PAIRS,
    README_DIFFERENCES,
    TABLES,
    Said,
    Scores,
    errors,
    identity_table,
    pair_rows,
    photo_rows,
    results_table,
    rounded,
    text_table,
    training_cases,
    true_pair_rows,
)


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05}


def metrics() -> dict[str, object]:
    row = {"n": 40, "conditions": 4, "chance": 0.25, "ece": 0.1}
    row |= {name: interval(0.5) for name in ("balanced_accuracy", "top1", "top3")}
    found = {"eczema": {"n": 30, "recall": 0.4, "top3": 0.7}}
    return {
        "split": "test",
        "rows": {"text only": row},
        "by_condition": {"text only": found},
        "texts_by_condition": {"eczema": 30, "acne": 9},
        "differences": {
            README_DIFFERENCES[0]: {
                name: interval(-0.02) for name in ("balanced_accuracy", "top1", "top3")
            }
        },
    }


def test_fewer_than_ten_texts_are_not_measured() -> None:
    lines = {line.split(" | ")[0].strip("| "): line for line in text_table(metrics()).splitlines()}
    assert set(NAMES) < set(lines)
    assert lines["eczema"] == "| eczema | 30 | 0.40 | 0.70 |"
    assert lines["acne"] == "| acne | 9 | not measured | not measured |"
    assert lines["measles"] == "| measles | 0 | not measured | not measured |"


def test_the_results_show_differences_with_their_sign() -> None:
    table = results_table(metrics())
    assert "| text only | 40 | 4 | 25.0 | 50.0 (45.0–55.0) |" in table
    assert f"{README_DIFFERENCES[0]}, paired" in table and "−2.0 (−7.0–+3.0)" in table


def test_the_identity_tells_where_a_checkpoint_came_from(tiny_checkpoint: Checkpoint) -> None:
    known = {"commit": "abc", "started_from": {"image_encoder": "d658"}}
    recall = {"both, true pairs": {"balanced_accuracy": interval(0.6)}}
    told = replace(tiny_checkpoint, sha256="1234", provenance=known, metrics={"rows": recall})
    table = identity_table(told).splitlines()
    assert "| SHA-256 | `1234` |" in table
    assert "| started from | image_encoder `d658` |" in table
    assert "| balanced accuracy, both, true pairs | 0.600 (0.550–0.650) |" in table
    first = replace(told, provenance={"started_from": {}})
    assert "| started from | random weights |" in identity_table(first).splitlines()


def test_the_surest_errors_come_first_with_what_an_analysis_needs() -> None:
    rows = cases(("acne", "acne", "eczema"), label="as published")
    values = sure("eczema", "acne", "acne")
    values[0] = 0.9 * values[0] + 0.1 / len(NAMES)  # surely wrong, but less so than the third
    found = errors(rows, values)
    assert [one["id"] for one in found] == ["case 2", "case 0"]
    assert found[0]["truth"] == "eczema" and found[0]["answer"] == "acne"
    assert {"source", "photo_kind", "skin_type", "label", "probability"} < set(found[0])


def test_every_document_has_its_markers() -> None:
    for document, start, end, _ in TABLES:
        text = document.read_text(encoding="utf-8")
        assert text.count(start) == text.count(end) == 1, document.name


def cases(conditions: tuple[str, ...], **columns: object) -> pd.DataFrame:
    """Manifest rows of invented cases, each a group of its own."""
    count = len(conditions)
    table = {
        "id": [f"case {number}" for number in range(count)],
        "group": [f"group {number}" for number in range(count)],
        "condition": conditions,
        "source": ["one", "two"] * (count // 2) + ["one"] * (count % 2),
        "text_path": [f"{number}.txt" for number in range(count)],
        "skin_type": "",
        "photo_kind": "clinical",
        "fields": "{}",
    }
    return pd.DataFrame({**table, **columns})


def sure(*answers: str) -> np.ndarray:
    return np.eye(len(NAMES))[[INDEX[name] for name in answers]]


def test_patches_that_are_there_give_the_answers_of_the_page(
    tiny_checkpoint: Checkpoint, photo: Image.Image, tmp_path: Path
) -> None:
    photo.save(tmp_path / "photo.png")
    (tmp_path / "text.txt").write_text("An itchy red rash.\n", encoding="utf-8")
    rows = pd.DataFrame(
        {"id": ["both", "photo", "text"], "photo": ["photo.png", "photo.png", ""],
         "text_path": ["text.txt", "", "text.txt"]}
    )  # fmt: skip
    model, tokenizer = tiny_checkpoint.model, tiny_checkpoint.tokenizer
    patches = encode_photos(model, tmp_path, ["photo.png", "photo.png"])
    assert list(patches) == ["photo.png"]
    answers = answer_rows(model, tokenizer, tmp_path, rows, patches=patches)
    again = answer_rows(model, tokenizer, tmp_path, rows)
    assert torch.equal(answers.fused_logits, again.fused_logits)
    predictor = Predictor(tiny_checkpoint)
    said = predictor.predict(tmp_path / "photo.png", "An itchy red rash.", explain=False)
    for place, name, logits in (
        (0, "fused", answers.fused_logits),
        (1, "image", answers.image_logits),
        (2, "text", answers.text_logits),
    ):
        values = (logits[place] / tiny_checkpoint.temperatures[name]).softmax(dim=0).numpy()
        expected = said.by_modality[name]
        assert expected is not None
        assert values == pytest.approx(np.nan_to_num(expected), abs=1e-5)
    assert float(answers.gate[0, 0]) == pytest.approx(said.gate.image, abs=1e-5)
    assert answers.gate[1].tolist() == [1, 0] and answers.gate[2].tolist() == [0, 1]


def test_photos_are_scored_by_kind_skin_type_and_source() -> None:
    photos = cases(("acne",) * 4, skin_type=["I", "II", "VI", ""])
    scores = Scores()
    photo_rows(scores, photos, sure("acne", "acne", "eczema", "acne"))
    found = {row: (one["n"], one["top1"]["value"]) for row, one in scores.rows.items()}
    assert found == {
        "image only": (4, 0.75),
        "image only, clinical photos": (4, 0.75),
        "image only, skin type I–II": (2, 1.0),
        "image only, skin type V–VI": (1, 0.0),
        "image only, one": (2, 0.5),
        "image only, two": (2, 1.0),
    }


def test_the_better_single_modality_is_chosen_on_validation() -> None:
    pairs = cases(("acne", "eczema"))
    right, wrong = sure("acne", "eczema"), sure("eczema", "acne")
    gate = np.full(2, 0.5)
    scores = Scores()
    said, before = Said(right, wrong, right, gate), Said(wrong, right, right, gate)
    pair_rows(scores, "true pairs", pairs, said, pairs, before)
    difference = scores.differences["both less the better single modality, true pairs"]
    assert difference["better"] == "text"  # though the photo is better on these pairs
    assert difference["top1"]["value"] == 1


def test_pairs_of_conditions_with_few_cases_are_also_left_out() -> None:
    pairs = cases(("acne",) * 10 + ("eczema",) * 10 + ("keloid",))
    answers = sure(*["acne"] * 10 + ["eczema"] * 10 + ["acne"])
    said = Said(answers, answers, answers, np.full(21, 0.5))
    scores = Scores()
    true_pair_rows(scores, pairs, said, pairs, said)
    every, measured = scores.rows["both, true pairs"], scores.rows[f"both, {MEASURED_PAIRS}"]
    assert (every["n"], every["conditions"]) == (21, 3)
    assert (measured["n"], measured["conditions"]) == (20, 2)
    assert measured["balanced_accuracy"]["value"] == 1
    assert f"image only, on the {MEASURED_PAIRS}" in scores.rows
    scores = Scores()
    true_pair_rows(scores, pairs[:20], said.at(np.arange(21) < 20), pairs, said)
    assert f"both, {MEASURED_PAIRS}" not in scores.rows  # the same row twice


def test_answers_among_some_conditions_sum_to_one() -> None:
    values = np.full((1, len(NAMES)), 1 / len(NAMES))
    among = Said(values, values, values, np.ones(1)).among(np.array([0, 3]))
    assert among.image[0, [0, 3]].tolist() == [0.5, 0.5] and among.fused.sum() == 1


def test_rounding_reaches_every_float_and_stays_json() -> None:
    found = rounded({"a": [np.float64(0.123456789), (1, None, "x")]})
    assert json.loads(json.dumps(found)) == {"a": [0.12346, [1, None, "x"]]}


def test_shuffled_texts_stay_within_their_source() -> None:
    rows = cases(("acne",) * 20)
    dealt = controls.shuffled_texts(rows)
    assert list(dealt["text_path"]) != list(rows["text_path"])
    for source in ("one", "two"):
        own = (rows["source"] == source).to_numpy()
        assert set(dealt["text_path"][own]) == set(rows["text_path"][own])


def test_label_matched_pairs_have_a_text_of_their_condition() -> None:
    photos, texts = cases(("acne", "eczema", "mpox")), cases(("eczema", "acne", "acne"))
    pairs = controls.label_matched(photos, texts)
    assert list(pairs["condition"]) == ["acne", "eczema"]  # no text tells of the third
    assert (
        pairs["text_path"].iloc[0] in {"1.txt", "2.txt"} and pairs["text_path"].iloc[1] == "0.txt"
    )


def test_metadata_answers_from_fields_and_in_age_bands() -> None:
    young, old = '{"age": "31", "sex": "male"}', '{"age_approx": "72.0", "sex": "male"}'
    train = cases(("acne", "melanoma") * 5, fields=[young, old] * 5)
    asked = cases(("acne", "melanoma"), fields=['{"age": "38"}', '{"age_approx": "70"}'])
    values = controls.metadata_only(train, asked)
    assert [NAMES[place] for place in values.argmax(axis=1)] == ["acne", "melanoma"]
    assert values.sum(axis=1) == pytest.approx(1)


def test_a_probe_on_shuffled_labels_learns_nothing() -> None:
    rng = np.random.default_rng(0)
    conditions = rng.integers(0, 4, 400)
    features = np.eye(4)[conditions] + 0.1 * rng.normal(size=(400, 4))
    right = [
        (
            controls.probe_answers(features, conditions, features, shuffle).argmax(axis=1)
            == conditions
        )
        for shuffle in (None, 0)
    ]
    assert right[0].mean() > 0.95 and right[1].mean() < 0.45


def test_uniform_chance_prefers_no_condition() -> None:
    values = controls.uniform(2600)
    counts = np.bincount(values.argmax(axis=1), minlength=len(NAMES))
    assert values == pytest.approx(1 / len(NAMES), rel=1e-5)
    assert counts.min() > 60 and counts.max() < 140


def test_training_cases_are_counted_by_source() -> None:
    columns = ("source", "split", "condition", "photo", "text_path", "group", "fields")
    rows = [
        ("a", "train", "acne", "1.jpg", "1.txt", "x", '{"age": "30"}'),
        ("a", "train", "acne", "2.jpg", "1.txt", "x", '{"age": "30"}'),  # the same description
        ("a", "train", "", "3.jpg", "", "y", "{}"),  # no label
        ("a", "test", "acne", "4.jpg", "", "z", "{}"),
        ("b", "train", "eczema", "", "5.txt", "w", "{}"),
    ]
    assert training_cases(pd.DataFrame(rows, columns=columns)) == {
        "a": {"photos": 2, "texts": 1},
        "b": {"photos": 0, "texts": 1},
    }
