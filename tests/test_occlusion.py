"""What the answer owes to parts of the input: each change is what predicting without it gives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from dermmm import Effects
from dermmm.occlusion import (
    RANDOM_ORDERS,
    REGIONS,
    STEPS,
    area_under,
    blurred,
    cell_of_pixels,
    deletion,
    deletion_masks,
    removal_masks,
    removal_order,
)
from dermmm.phrases import MOST_PHRASES, phrases, without
from dermmm.predictor import Predictor
from dermmm.preprocess import square

TEXT = "Itchy, scaly patches on both elbows. They came after a cold and have grown since then."
GIVEN = ("photo", "text", "both")


def case(photo: Image.Image, given: str) -> tuple[Image.Image | None, str | None]:
    return None if given == "text" else photo, None if given == "photo" else TEXT


@pytest.fixture(scope="module")
def found(predictor: Predictor, photo: Image.Image) -> dict[str, Effects]:
    return {given: predictor.effects(*case(photo, given)) for given in GIVEN}


def test_the_condition_followed_is_the_first_of_the_answer(
    predictor: Predictor, photo: Image.Image, found: dict[str, Effects]
) -> None:
    for given in GIVEN:
        name, probability = predictor.predict(*case(photo, given)).top(1)[0]
        assert found[given].condition == name
        assert found[given].probability == pytest.approx(probability, abs=1e-6)


def probability_of(
    predictor: Predictor, effects: Effects, image: object, text: str | None
) -> float:
    prediction = predictor.predict(image, text, explain=False)  # type: ignore[arg-type]
    return dict(prediction.top(len(prediction.conditions)))[effects.condition]


@pytest.mark.parametrize("given", ["text", "both"])
def test_a_phrases_change_is_that_of_predicting_without_it(
    predictor: Predictor, photo: Image.Image, found: dict[str, Effects], given: str
) -> None:
    effects = found[given]
    spans = phrases(TEXT)
    assert [(phrase.start, phrase.end) for phrase in effects.phrases] == spans
    for place, phrase in enumerate(effects.phrases):
        assert phrase.text == TEXT[phrase.start : phrase.end]
        image = photo if given == "both" else None
        left = probability_of(predictor, effects, image, without(TEXT, spans, place))
        assert phrase.change == pytest.approx(left - effects.probability, abs=1e-5)
    assert any(abs(phrase.change) > 1e-4 for phrase in effects.phrases)


@pytest.mark.parametrize("given", ["photo", "both"])
def test_a_regions_change_is_that_of_predicting_with_it_covered(
    predictor: Predictor, photo: Image.Image, found: dict[str, Effects], given: str
) -> None:
    effects = found[given]
    # a photo that is square already, so that covering it here is covering what the model sees
    size = predictor.checkpoint.model.config.image_size
    pixels = square(photo, size)
    gone = blurred(pixels[None])[0]
    assert len(effects.regions) == REGIONS**2
    places = [(region.top, region.left) for region in effects.regions]
    assert places == sorted(places)
    for region in effects.regions:
        rows = slice(round(region.top * size), round(region.bottom * size))
        columns = slice(round(region.left * size), round(region.right * size))
        covered = pixels.copy()
        covered[rows, columns] = gone[rows, columns]
        left = probability_of(predictor, effects, covered, TEXT if given == "both" else None)
        assert region.change == pytest.approx(left - effects.probability, abs=1e-5)
    area = sum((one.bottom - one.top) * (one.right - one.left) for one in effects.regions)
    assert area == pytest.approx(1)


def test_what_was_not_given_has_no_effects(found: dict[str, Effects]) -> None:
    assert found["photo"].phrases == () and found["photo"].words_deletion is None
    assert found["text"].regions == () and found["text"].photo_deletion is None
    for given, deletions in (
        ("photo", [found["photo"].photo_deletion]),
        ("text", [found["text"].words_deletion]),
        ("both", [found["both"].photo_deletion, found["both"].words_deletion]),
    ):
        for one in deletions:
            assert one is not None, given
            assert 0 < one.by_map < 1 and 0 < one.at_random < 1


def test_twice_gives_the_same(
    predictor: Predictor, photo: Image.Image, found: dict[str, Effects]
) -> None:
    assert predictor.effects(photo, TEXT) == found["both"]


def test_bad_input_is_refused_as_by_predict(predictor: Predictor) -> None:
    for arguments in ((), (b"no photo", None), (None, " "), (b"", "rash")):
        with pytest.raises(ValueError) as expected:
            predictor.predict(*arguments)
        with pytest.raises(ValueError) as refused:
            predictor.effects(*arguments)
        assert str(refused.value) == str(expected.value)


@pytest.mark.parametrize("text", ["rash", "?" * 60 + " rash", "word " * 400, "a, b. " * 90])
def test_any_text_has_effects(predictor: Predictor, text: str) -> None:
    effects = predictor.effects(text=text)
    assert len(effects.phrases) <= MOST_PHRASES
    assert all(-1 <= phrase.change <= 1 for phrase in effects.phrases)


# --- removal --------------------------------------------------------------------------------------


def test_cells_lie_over_the_pixels_they_see() -> None:
    cells = cell_of_pixels(64)
    assert cells.shape == (64, 64)
    assert [cells[0, 0], cells[0, 63], cells[63, 0], cells[32, 32]] == [0, 1, 2, 3]


def test_blur_takes_nothing_at_0_and_nearly_all_at_1(photo: Image.Image) -> None:
    pixels = square(photo, 64)[None]
    assert (blurred(pixels, 0.0) == pixels).all()
    assert blurred(pixels).astype(float).std(axis=(1, 2)).max() < pixels.std(axis=(1, 2)).max() / 4


def test_order_of_removal() -> None:
    rng = np.random.default_rng(0)
    assert list(removal_order(np.array([0.1, 0.7, 0.2]), rng)) == [1, 2, 0]
    firsts = {int(removal_order(np.ones(3), rng)[0]) for _ in range(40)}
    assert firsts == {0, 1, 2}
    masks = removal_masks([np.array([2, 0, 1])], np.array([0.0, 1 / 3, 1.0]))
    assert masks[:, 0].tolist() == [[False] * 3, [False, False, True], [True] * 3]


def test_deletion_compares_the_map_with_chance() -> None:
    weights = np.array([0.0, 0.0, 0.0, 1.0])  # all that matters lies in the last part
    masks = deletion_masks(weights)
    assert masks.shape == ((STEPS - 1) * (1 + RANDOM_ORDERS) + 1, 4)
    assert masks[-1].all() and masks[0].tolist() == [False, False, False, True]
    good = deletion(0.8, np.where(masks[:, 3], 0.1, 0.8))
    half = 1 / STEPS / 2  # of the first step
    assert good.by_map == pytest.approx(0.8 * half + 0.1 * (1 - half))
    assert good.by_map < good.at_random and good.faithful
    masks = deletion_masks(1 - weights)
    bad = deletion(0.8, np.where(masks[:, 3], 0.1, 0.8))
    assert bad.by_map > bad.at_random and not bad.faithful
    assert dataclasses.replace(bad, by_map=bad.at_random).faithful is False


def test_area_under_a_line() -> None:
    shares = np.array([0.0, 0.5, 1.0])
    curves = np.array([[1.0, 0.0], [0.5, 0.4], [0.0, 0.4]])
    assert area_under(curves, shares) == pytest.approx([0.5, 0.3])
