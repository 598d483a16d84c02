"""Whatever makes answers faster leaves them as they were. Nothing here is timed."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

import dermmm
from benchmarks.speed import bare, folded, interleaved, ratio, rows_of_one_case
from benchmarks.visitor import TEXT, drawing
from dermmm import batch
from dermmm.predictor import Predictor
from dermmm.preprocess import open_photo, to_input

SAME = 1e-4  # the most by which a probability may differ


@pytest.fixture(scope="module")
def plain() -> Predictor:
    """The published model in torch."""
    return dermmm.load()


@pytest.fixture(scope="module")
def fast() -> Predictor:
    """The published model as the page runs it."""
    return dermmm.load(onnx=True)


@pytest.mark.parametrize("given", ["photo", "text", "both"])
def test_the_fast_answer_is_the_plain_one(plain: Predictor, fast: Predictor, given: str) -> None:
    for seed in range(3):
        photo = None if given == "text" else drawing(seed)
        text = None if given == "photo" else f"{TEXT}, {seed} times"
        expected, got = plain.predict(photo, text), fast.predict(photo, text)
        assert got.probabilities == pytest.approx(expected.probabilities, abs=SAME)
        assert (got.cautions, got.prediction_set) == (expected.cautions, expected.prediction_set)
        for modality, values in expected.by_modality.items():
            assert (got.by_modality[modality] is None) == (values is None)
            if values is not None:
                assert got.by_modality[modality] == pytest.approx(values, abs=SAME, nan_ok=True)
        assert got.explanation is not None and expected.explanation is not None
        if photo is not None:
            assert got.explanation.attention == pytest.approx(
                expected.explanation.attention, abs=SAME
            )
        weights = [
            [w.weight for w in p.explanation.words] for p in (got, expected) if p.explanation
        ]
        assert weights[0] == pytest.approx(weights[1], abs=SAME)


def test_the_fast_effects_are_the_plain_ones(plain: Predictor, fast: Predictor) -> None:
    expected, got = (predictor.effects(drawing(0), TEXT) for predictor in (plain, fast))

    def numbers(effects: dermmm.Effects) -> list[float]:
        parts = [*effects.phrases, *effects.regions]
        tests = [effects.photo_deletion, effects.words_deletion]
        areas = [(one.by_map, one.at_random) for one in tests if one is not None]
        return [effects.probability, *(part.change for part in parts), *np.ravel(areas)]

    assert got.condition == expected.condition
    assert numbers(got) == pytest.approx(numbers(expected), abs=SAME)
    assert 4 <= len(got.regions) <= 16


def test_a_table_is_answered_as_case_by_case(fast: Predictor) -> None:
    rows = [batch.Row(str(place), str(place), TEXT) for place in range(batch.CHUNK + 2)]
    chunks = batch.answers(fast, rows, lambda name: drawing(int(name)))
    for row, answer in zip(rows, (one for chunk in chunks for one in chunk), strict=True):
        alone = fast.predict(drawing(int(row.image)), TEXT, explain=False)
        assert answer.prediction is not None and answer.row == row
        assert answer.prediction.probabilities == pytest.approx(alone.probabilities, abs=1e-5)


def test_what_is_compared_gives_the_same(plain: Predictor) -> None:
    model, tokens = plain.model, plain.checkpoint.tokenizer([TEXT])
    images = to_input(open_photo(drawing(1)), model.config.image_size).contiguous()
    expected = model(images, *tokens)
    found = bare(model, 1)(images, *tokens)
    assert found[2] == pytest.approx(expected.fused_logits.detach().numpy(), abs=1e-3)
    patches = folded(model.image_encoder)(images)[0].detach().numpy()
    assert patches == pytest.approx(model.image_encoder(images)[0].detach().numpy(), abs=1e-3)


def test_ratios_are_of_medians_and_failures_are_told() -> None:
    order: list[str] = []
    times = interleaved({name: lambda name=name: order.append(name) for name in "ab"}, 3)
    assert order == ["a", "a", "b", "b"] * 3 and all(
        len(one.seconds) == 3 for one in times.values()
    )
    kept, missed, failed = (ratio("p", value, 3, 1.3) for value in (1.2, 2.9, 3.1))
    assert (kept.passed, kept.goal) == (True, "met")
    assert (missed.passed, missed.goal) == (True, "missed")
    assert (failed.passed, failed.goal) == (False, "missed")
    names = ("bare, one thread", "answer", "answer with maps and word weights")
    found = dict.fromkeys((*names, "effects of phrases and regions"), times["a"])
    assert len(json.dumps([row.point for row in rows_of_one_case(found)])) > 0
