"""No file makes the decoder fail but as it promises: mutations, bombs, properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.photos import (
    BOMB,
    FORMATS,
    KEPT,
    bombs,
    encoded,
    examine,
    exif,
    mutated,
    no_photos,
    outcome,
    seeds,
    summary,
    tasks,
)
from dermmm.preprocess import DISPLAY_SIDE, MIN_SIDE, open_photo

SOUND = seeds()
FILES = 2_100

# The same examples in every run; a slow machine is no failure.
STEADY = settings(
    derandomize=True, deadline=None, max_examples=60, suppress_health_check=list(HealthCheck)
)

pytestmark = pytest.mark.filterwarnings("ignore")


def test_mutated_files_bombs_and_what_is_no_photo() -> None:
    """In a process that a file may end, as in the full run."""
    given_ = [*tasks(FILES, FORMATS), *((name, BOMB, content) for name, content in bombs(False))]
    found = list(examine(iter(given_), workers=2))
    assert len(found) == len(given_) > FILES
    assert [one for one in found if one.outcome not in KEPT] == []
    photos = {one.form for one in found if one.outcome == "photo"}
    assert photos >= {*FORMATS, BOMB}  # not everything is refused
    rows, _ = summary(found)
    assert [row.passed for row in rows] == [False, True, True, None]  # too few files for the first


def test_files_that_are_no_photos_are_refused() -> None:
    assert {outcome(content) for content in no_photos().values()} == {"refused"}


def test_the_same_file_is_made_again() -> None:
    assert mutated(7, "PNG", SOUND) == mutated(7, "PNG", seeds())


@pytest.mark.parametrize("form", FORMATS)
@STEADY
@given(data=st.data())
def test_any_change_of_a_file_is_read_or_refused(form: str, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(SOUND[form])))
    places = st.integers(0, len(content) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=12)):
        content[at] = value
    assert outcome(bytes(content[: data.draw(places) + 1])) in KEPT
    assert outcome(bytes(content)) in KEPT


@STEADY
@given(
    width=st.integers(1, 1500),
    height=st.integers(1, 1500),
    mode=st.sampled_from(("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F")),
    form=st.sampled_from(FORMATS),
    orientation=st.integers(0, 9),
)
def test_a_sound_photo_is_read_whatever_its_size_and_kind(
    width: int, height: int, mode: str, form: str, orientation: int
) -> None:
    try:
        content = encoded(Image.new(mode, (width, height)), form, exif=exif(orientation))
    except (OSError, KeyError, ValueError, TypeError):
        return  # this format has no such photos
    if min(width, height) < MIN_SIDE:
        with pytest.raises(ValueError, match="expected at least"):
            open_photo(content)
        return
    photo = open_photo(content)
    scale = min(1, DISPLAY_SIDE / max(width, height))
    sides = sorted((width * scale, height * scale))  # not every format can say how it was held
    assert sorted(photo.size) == pytest.approx(sides, abs=1)
    assert photo.mode == "RGB" and photo.info == {}


@STEADY
@given(
    top=st.floats(-0.5, 1.5), left=st.floats(0, 1), bottom=st.floats(0, 1), right=st.floats(0, 1)
)
def test_any_part_is_cut_out_or_refused(
    top: float, left: float, bottom: float, right: float
) -> None:
    photo = np.zeros((90, 120, 3), np.uint8)
    try:
        part = open_photo(photo, (top, left, bottom, right))
    except ValueError as error:
        assert "expected" in str(error)
    else:
        assert min(part.size) >= MIN_SIDE
