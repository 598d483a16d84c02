"""The two studies of faithfulness: exact small parts, and both stages on made-up data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dermmm.checkpoint import Checkpoint
from dermmm.conditions import NAMES
from dermmm.image_encoder import ImageEncoder
from dermmm.predictor import Predictor
from dermmm.preprocess import normalise
from dermmm.tokenizer import Tokenizer
from tests.training.made_data import make_raw
from training import attention_faithfulness, clean, gate_faithfulness, stage
from training.attention_faithfulness import (
    ATTENTION,
    EVIDENCE,
    RANDOM,
    Asked,
    AttentionFaithfulnessConfig,
    Cases,
    area_under,
    cell_of_pixels,
    compare,
    grad_cam,
    photo_maps,
    random_model,
    removal_masks,
    removal_order,
    remove_words,
    word_weights,
)
from training.faithfulness import (
    fuse_all,
    mean_interval,
    rank_correlation,
    spread_over_conditions,
)
from training.gate_faithfulness import expected, first_words, tells_who_is_right
from training.presets import SMOKE
from training.section import Section

TEXTS = ["itchy, red rash", "A brown mole of 6 mm on the back that has changed its colour."]
GROUPS = np.array(["a", "b"])


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def run(checkpoint_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    clean.main(clean.Config(make_raw(folder / "raw"), folder / "data", workers=1))
    shutil.copytree(checkpoint_folder, folder / "checkpoint")
    return folder


# --- what both share ------------------------------------------------------------------------------


def test_rows_are_spread_over_conditions() -> None:
    rows = pd.DataFrame({"condition": ["a"] * 8 + ["b"] * 2 + ["c"] * 5, "id": range(15)})
    few = spread_over_conditions(rows, 8, seed=0)
    assert few["condition"].value_counts().to_dict() == {"a": 3, "c": 3, "b": 2}
    assert few["id"].is_monotonic_increasing and list(few.index) == list(range(8))
    assert len(spread_over_conditions(rows, 99, seed=0)) == 15


def test_whole_groups_make_the_interval() -> None:
    groups = np.array(["a", "b"]).repeat(2)
    assert mean_interval(np.array([0.0, 1.0, 0.0, 1.0]), groups) == {
        "value": 0.5, "low": 0.5, "high": 0.5,
    }  # fmt: skip
    wide = mean_interval(np.array([0.0, 0.0, 1.0, 1.0]), groups)
    assert (wide["low"], wide["high"]) == (0, 1)


def test_what_does_not_vary_follows_nothing() -> None:
    assert rank_correlation([0, 1, 2], np.array([0.9, 0.5, 0.1])) == -1
    assert rank_correlation([0, 1, 2], np.array([0.5, 0.5, 0.5])) == 0


@pytest.mark.parametrize(("photo", "text"), [(True, True), (True, False), (False, True)])
def test_fuse_is_the_model_after_its_encoders(
    tiny_checkpoint: Checkpoint, photo: bool, text: bool
) -> None:
    model = tiny_checkpoint.model
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    token_ids, token_mask = tiny_checkpoint.tokenizer(TEXTS)
    with torch.inference_mode():
        patches, states = model.image_encoder(images)[0], model.text_encoder(token_ids, token_mask)
        got = model.fuse(
            patches if photo else None,
            states[0] if text else None,
            token_mask if text else None,
        )
        whole = model(
            images if photo else None, token_ids if text else None, token_mask if text else None
        )
    for name, expected_tensor in vars(whole).items():
        torch.testing.assert_close(getattr(got, name), expected_tensor, rtol=1e-3, atol=1e-3)


# --- the gate -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "cut"),
    [(1.0, "itchy, red rash."), (0.7, "itchy, red"), (0.3, "itchy"), (0.0, "itchy")],
)
def test_texts_are_cut_after_words(tokenizer: Tokenizer, share: float, cut: str) -> None:
    assert first_words("itchy, red rash.", tokenizer, share) == cut


def test_a_gate_that_knows_who_is_right_has_the_whole_area() -> None:
    image_right = np.array([True, False, True] * 12)
    text_right = np.array([False, True, True] * 12)  # both are right: says nothing
    groups = np.arange(36).astype(str)
    knows = tells_who_is_right(image_right + 0.0, image_right, text_right, groups)
    assert knows["auroc"] == {"value": 1, "low": 1, "high": 1}
    wrong = tells_who_is_right(1.0 - image_right, image_right, text_right, groups)
    assert wrong["auroc"]["value"] == 0
    few = tells_who_is_right(image_right[:6], image_right[:6], text_right[:6], groups[:6])
    assert few["auroc"] == "not measured"
    assert few["photo alone is right"] == few["text alone is right"] == 2


def test_expectations_can_fail() -> None:
    assert expected("x", "at most", -0.8, -0.9)["holds"]
    assert not expected("x", "at most", -0.8, -0.7)["holds"]
    assert expected("x", "at least", 0.2, 0.2)["holds"]
    assert not expected("x", "at least", 0.2, 0.1)["holds"]


# --- maps and their removal -----------------------------------------------------------------------


def test_parts_go_in_the_order_of_their_weight() -> None:
    rng = np.random.default_rng(0)
    assert list(removal_order(np.array([0.1, 0.7, 0.2]), rng)) == [1, 2, 0]
    ties = {tuple(removal_order(np.array([0.0, 1.0, 0.0]), rng)) for _ in range(20)}
    assert ties == {(1, 0, 2), (1, 2, 0)}


def test_masks_grow_to_all_of_a_cases_own_parts() -> None:
    masks = removal_masks([np.array([2, 0, 1]), np.array([1, 0])], np.array([0.0, 0.5, 1.0]))
    assert masks.astype(int).tolist() == [
        [[0, 0, 0], [0, 0, 0]],
        [[1, 0, 1], [0, 1, 0]],
        [[1, 1, 1], [1, 1, 0]],
    ]


def test_the_area_is_that_of_trapezoids() -> None:
    shares = np.array([0.0, 0.5, 1.0])
    curves = np.array([[1.0, 0.8], [0.5, 0.2], [0.0, 0.0]])  # (L, B)
    assert area_under(curves, shares) == pytest.approx([0.5, 0.3])


def test_cells_cover_the_photo_row_by_row() -> None:
    cells = cell_of_pixels(64)
    assert cells[0, 0] == cells[31, 31] == 0
    assert cells[31, 32] == 1 and cells[32, 31] == 2 and cells[63, 63] == 3


def test_only_a_true_map_beats_random_order() -> None:
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(9, 0.5), size=30)  # (B, N) what each part really carries

    def remove(masks: np.ndarray) -> np.ndarray:
        return 1 - (masks * weights).sum(axis=2)

    maps = {
        "true": list(weights),
        "reversed": list(weights.max() - weights),
        "any": list(rng.random(weights.shape)),
    }
    config = AttentionFaithfulnessConfig(steps=9, random_orders=5)
    found = compare(maps, remove, np.arange(30).astype(str), config, rng)
    judged = found["maps"]
    for way in ("deletion", "insertion"):
        assert judged["true"][way]["beats random"]
        assert not judged["reversed"][way]["beats random"]
    assert not any(judged["any"][way]["beats random"] for way in ("deletion", "insertion"))
    assert found[RANDOM]["area"]["value"] == pytest.approx(0.5, abs=0.03)
    first, last = judged["true"]["insertion"]["curve"][0], judged["true"]["insertion"]["curve"][-1]
    assert (first["value"], last["value"]) == (pytest.approx(0), 1)


def test_grad_cam_of_a_photo_alone_is_the_map_of_the_raw_logit(
    tiny_checkpoint: Checkpoint, photos: np.ndarray
) -> None:
    asked = Asked(tiny_checkpoint.model, tiny_checkpoint.tokenizer, Cases(GROUPS, photos))
    assert asked.patches is not None
    weights = tiny_checkpoint.model.fusion.image_head.linear.weight.detach()[asked.first]
    patches = torch.from_numpy(asked.patches).float()
    exact = torch.einsum("bnd,bd->bn", patches, weights).clamp(min=0) / patches.shape[1]
    torch.testing.assert_close(torch.from_numpy(grad_cam(asked, asked.first)), exact)


@pytest.mark.parametrize("with_photo", [False, True])
def test_word_weights_are_those_of_the_page(
    predictor: Predictor,
    photos: np.ndarray,
    with_photo: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attention_faithfulness, "photo_patches", exact_patches)
    model, tokenizer = predictor.checkpoint.model, predictor.checkpoint.tokenizer
    asked = Asked(model, tokenizer, Cases(GROUPS, photos if with_photo else None, TEXTS))
    weights = word_weights(asked, asked.first)[ATTENTION if with_photo else EVIDENCE]
    for case, text in enumerate(TEXTS):
        shown = predictor.predict(photos[case] if with_photo else None, text).explanation
        assert shown is not None
        page = np.array([word.weight for word in shown.words])
        read = len(weights[case])
        assert (page[read:] == 0).all()
        assert weights[case] == pytest.approx(page[:read], abs=1e-4)


@pytest.mark.parametrize("texts", [None, TEXTS])
def test_photo_maps_are_those_of_the_page(
    predictor: Predictor,
    photos: np.ndarray,
    texts: list[str] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The study encodes photos in bfloat16; here as exactly as the page.
    monkeypatch.setattr(attention_faithfulness, "photo_patches", exact_patches)
    model, tokenizer = predictor.checkpoint.model, predictor.checkpoint.tokenizer
    asked = Asked(model, tokenizer, Cases(GROUPS, photos, texts))
    maps = photo_maps(asked, asked.first)[EVIDENCE if texts is None else ATTENTION]
    for case, photo in enumerate(photos):
        shown = predictor.predict(photo, texts[case] if texts else None).explanation
        assert shown is not None and shown.attention is not None
        assert maps[case] == pytest.approx(shown.attention.ravel(), abs=1e-4)


@torch.inference_mode()
def exact_patches(encoder: ImageEncoder, photos: np.ndarray, name: str) -> np.ndarray:
    return encoder(normalise(torch.from_numpy(photos)))[0].numpy()


def test_removed_words_are_masked_tokens(tiny_checkpoint: Checkpoint) -> None:
    model, tokenizer = tiny_checkpoint.model, tiny_checkpoint.tokenizer
    asked = Asked(model, tokenizer, Cases(GROUPS, None, TEXTS))
    remove = remove_words(asked)
    assert remove is not None
    sizes = [len(one) for one in word_weights(asked, asked.first)[EVIDENCE]]
    masks = removal_masks([np.arange(size) for size in sizes], np.array([0.0, 1.0]))
    whole, none = remove(masks)
    assert whole == pytest.approx(asked.probability())
    token_ids, token_mask = tokenizer(TEXTS)
    for case, text in enumerate(TEXTS):
        _, owner = tokenizer.words(text)
        owned = torch.tensor([word >= 0 for word in owner])
        hidden = token_ids[case : case + 1, : len(owner)].masked_fill(owned, tokenizer.mask_id)
        with torch.inference_mode():
            states, _ = model.text_encoder(hidden, token_mask[case : case + 1, : len(owner)])
        logits = fuse_all(model, None, states.numpy(), token_mask[case : case + 1, : len(owner)])
        probability = logits.text_logits.softmax(dim=1)[0, asked.first[case]]
        assert none[case] == pytest.approx(float(probability), abs=1e-5)


def test_random_models_differ_by_their_seed_alone(
    tiny_checkpoint: Checkpoint, photos: np.ndarray
) -> None:
    one, again, other = (
        random_model(tiny_checkpoint.model, photos, seed).text_encoder.positions
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, again) and not torch.equal(one, other)


# --- both stages ----------------------------------------------------------------------------------


def check_section(summary: dict[str, Any], section: Callable[[dict[str, Any]], Section]) -> Section:
    """The section needs the summary alone, as it is kept."""
    made = section(json.loads(json.dumps(summary)))
    assert f"python -m {section.__module__}" in made.text
    assert all(len(drawing.data) > 1 for drawing in made.figures.values())
    return made


def test_the_gate_is_followed(run: Path) -> None:
    summary = stage.run(gate_faithfulness.STAGE, SMOKE.gate_faithfulness, run / "data", run)
    assert 0 < summary["cases"] <= SMOKE.gate_faithfulness.pairs
    assert summary["cases"] <= summary["range"]["cases"]
    assert set(summary["kinds"]) == {"blur", "text cut"}
    assert set(summary["never_met"]) == {"centre covered", "noise"}
    for kind in (*summary["kinds"].values(), *summary["never_met"].values()):
        assert len(kind["gate"]) == len(summary["strengths"])
        assert kind["changed"][0]["value"] == pytest.approx(0, abs=1e-4)
        assert kind["changed"][-1]["value"] > 0
        moved = kind["gate"][-1]["value"] - kind["gate"][0]["value"]
        assert kind["moved"]["value"] == pytest.approx(moved, abs=2e-4)
        assert abs(kind["rank"]) == 1  # two steps rise or fall
    holds = [one["holds"] for one in summary["expectations"]]
    assert list(summary["page"].values()) == [all(holds[:2]), all(holds[2:4]), holds[4]]
    made = check_section(summary, gate_faithfulness.section)
    assert "| noise (never trained on) |" in made.text
    del summary["never_met"]  # as the first checkpoints' summaries
    earlier = check_section(summary, gate_faithfulness.section)
    assert "(never trained on)" not in earlier.text
    assert "a kind that it never met is not tested" in earlier.text


@pytest.mark.parametrize("worsen", gate_faithfulness.NEVER_MET.values())
def test_what_the_fusion_never_met_takes_a_photo_away_in_steps(
    photos: np.ndarray, worsen: Callable[..., np.ndarray]
) -> None:
    before = photos.copy()
    assert (worsen(photos, strength=0.0) == photos).all()
    half, none = (worsen(photos, strength=strength) for strength in (0.5, 1.0))
    assert half.shape == photos.shape and half.dtype == np.uint8
    assert 0.4 < np.corrcoef(half.ravel(), photos.ravel())[0, 1] < 0.9
    assert (none == worsen(255 - photos, strength=1.0)).all()  # of the photo nothing is left
    assert (photos == before).all()


def test_every_map_is_compared_with_random_order(run: Path) -> None:
    config = SMOKE.attention_faithfulness
    summary = stage.run(attention_faithfulness.STAGE, config, run / "data", run)
    assert set(summary["questions"]) == set(attention_faithfulness.SHOWN)
    for question in summary["questions"].values():
        assert question["shares"] == [0, 0.5, 1]
        for one in question["maps"].values():
            curve = one["deletion"]["curve"]
            assert len(curve) == 3
            # The two ends are those of every order.
            assert curve[0] == question[RANDOM]["curve"][0] == one["insertion"]["curve"][-1]
            assert curve[0]["value"] > 1 / len(NAMES)  # a first choice
        for name in question["maps"]:
            assert -1 <= question["random weights"][name]["value"] <= 1
    made = check_section(summary, attention_faithfulness.section)
    for name, (shown, claim) in attention_faithfulness.SHOWN.items():
        beats = summary["questions"][name]["maps"][shown]["deletion"]["beats random"]
        assert summary["page"][claim] == beats
    assert ("**does not beat random order**" in made.text) or all(summary["page"].values())
