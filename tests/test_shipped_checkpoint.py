"""The checkpoint in the repository, as the app loads it."""

from __future__ import annotations

import pytest
from PIL import Image

import dermmm
from dermmm.checkpoint import FILES, MAX_FILE_BYTES
from dermmm.conditions import NAMES
from dermmm.predictor import DEFAULT_CHECKPOINTS, Predictor

pytestmark = pytest.mark.skipif(
    not (DEFAULT_CHECKPOINTS / "config.json").is_file(),
    reason="no trained model in checkpoints/; `python -m training.reproduce` makes one",
)

TEXT = "An itchy, scaly red patch on the elbow for three months."


@pytest.fixture(scope="module")
def shipped() -> Predictor:
    return dermmm.load()


def test_every_file_is_below_10_mb() -> None:
    assert {path.name for path in DEFAULT_CHECKPOINTS.iterdir()} >= {*FILES, "config.json"}
    for path in DEFAULT_CHECKPOINTS.rglob("*"):
        assert path.stat().st_size < MAX_FILE_BYTES == 10_000_000, path.name


def test_conditions_are_the_label_space(shipped: Predictor) -> None:
    assert tuple(shipped.conditions) == NAMES


@pytest.mark.parametrize(("with_photo", "with_text"), [(True, False), (False, True), (True, True)])
def test_answers(shipped: Predictor, photo: Image.Image, with_photo: bool, with_text: bool) -> None:
    prediction = shipped.predict(photo if with_photo else None, TEXT if with_text else None)
    assert prediction.probabilities.sum() == pytest.approx(1)
    assert prediction.probabilities.min() >= 0
    gate = prediction.gate
    assert gate.image + gate.text == 1
    assert (gate.image > 0, gate.text > 0) == (with_photo, with_text)
    assert (prediction.by_modality["image"] is None) != with_photo
    assert (prediction.by_modality["text"] is None) != with_text
    explanation = prediction.explanation
    assert explanation is not None
    if with_photo:
        assert explanation.attention is not None
        assert explanation.attention.sum() == pytest.approx(1)
    if with_text:
        assert sum(word.weight for word in explanation.words) == pytest.approx(1)
