"""The examples: drawings of our own, and what the shipped weights answer to them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.cases import library
from demo.content.examine import EXAMPLES_HELP
from demo.examples import EXAMPLES, FOLDER, Example
from demo.examples.draw import DRAWINGS, sign
from dermmm.conditions import names_in

CHECKPOINT = Path(__file__).parents[2] / "checkpoints" / "config.json"
DRAWN = {case.image: case.condition for case in library()["Drawings"]}
DISAGREE = EXAMPLES[-1]


def kinds(case: Example) -> tuple[bool, bool]:
    return case.drawing is not None, case.text is not None


def test_examples_are_drawings_and_name_no_condition() -> None:
    assert {kinds(case) for case in EXAMPLES} == {(True, True), (True, False), (False, True)}
    assert "Drawings and texts of our own" in EXAMPLES_HELP
    for case in EXAMPLES:
        assert names_in(f"{case.label} {case.text or ''}") == set()
        assert case.drawing is None or (case.drawing in DRAWINGS and "drawing" in case.caption)


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_picture_is_what_the_program_draws(name: str) -> None:
    draw, seed = DRAWINGS[name]
    drawn = np.asarray(sign(draw(np.random.default_rng(seed))), dtype=float)
    with Image.open(FOLDER / name) as image:
        kept = np.asarray(image, dtype=float)
    assert np.abs(drawn - kept).mean() < 3  # of 255: JPEG loses a little
    word = kept[-35:, -90:].min(axis=2)  # "drawing", in white with a dark rim
    assert word.max() > 230 and word.min() < 70
    assert (FOLDER / name).stat().st_size < 60_000


def test_there_is_no_other_picture() -> None:
    assert {path.name for path in FOLDER.glob("*.jpg")} == set(DRAWINGS)


@cache
def model():  # type: ignore[no-untyped-def]
    import dermmm

    return dermmm.load()


@pytest.mark.skipif(not CHECKPOINT.is_file(), reason="no checkpoint in the repository")
@pytest.mark.parametrize("case", EXAMPLES, ids=[case.label for case in EXAMPLES])
def test_each_example_shows_the_state_that_it_is_there_for(case: Example) -> None:
    """With other weights, choose other examples: the first shall be an answer, the last none."""
    prediction = model().predict(case.path, case.text, explain=False)
    if case is DISAGREE:
        assert "disagree" in case.label and prediction.cautions == ("modalities disagree",)
        return
    assert prediction.cautions == ()
    if case.drawing is not None:
        assert DRAWN[case.path] == prediction.top(1)[0][0]
