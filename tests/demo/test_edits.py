"""Edits of a photo: each against what it says it does."""

from __future__ import annotations

import numpy as np
import pytest

from demo.edits import (
    GRID,
    MAX_BLUR,
    MAX_STOPS,
    Edits,
    blurred,
    brighten,
    covered,
    cropped,
    edited,
    mirrored,
)

HEIGHT, WIDTH = 50, 77  # neither is a multiple of the grid


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def test_no_edit_gives_the_same_photo(photo: np.ndarray) -> None:
    assert not Edits().any
    assert np.array_equal(edited(photo, Edits()), photo)


@pytest.mark.parametrize(
    "edits",
    [
        Edits(cells=(0, 7)),
        Edits(cells=(0, 7), use="keep"),
        Edits(cells=(0, 7), use="crop"),
        Edits(stops=1),
        Edits(blur=1),
        Edits(mirror=True),
    ],
)
def test_every_edit_gives_another_photo_and_leaves_the_given_one(
    photo: np.ndarray, edits: Edits
) -> None:
    before = photo.copy()
    after = edited(photo, edits)
    assert edits.any
    assert after.dtype == np.uint8
    assert after.ndim == 3
    assert not np.array_equal(after, photo)
    assert np.array_equal(photo, before)


def test_covering_hides_the_cell_and_only_it(photo: np.ndarray) -> None:
    mean = photo.reshape(-1, 3).mean(axis=0).round()
    after = covered(photo, [GRID + 2])  # second row, third column
    rows, columns = (
        slice(HEIGHT // GRID, 2 * HEIGHT // GRID),
        slice(2 * WIDTH // GRID, 3 * WIDTH // GRID),
    )
    assert (after[rows, columns] == mean).all()
    after[rows, columns] = photo[rows, columns]
    assert np.array_equal(after, photo)


def test_the_cells_tile_the_photo(photo: np.ndarray) -> None:
    after = covered(photo, range(GRID * GRID))
    assert (after == after[0, 0]).all()


def test_keeping_covers_the_rest(photo: np.ndarray) -> None:
    cells = (3, 4, 20)
    rest = set(range(GRID * GRID)) - set(cells)
    assert np.array_equal(
        edited(photo, Edits(cells=cells, use="keep")), edited(photo, Edits(cells=tuple(rest)))
    )


def test_cropping_keeps_the_rectangle_around_the_cells(photo: np.ndarray) -> None:
    last = GRID * GRID - 1
    assert np.array_equal(cropped(photo, [0, last]), photo)
    corner = cropped(photo, [last])
    assert np.array_equal(corner, photo[HEIGHT * 5 // GRID :, WIDTH * 5 // GRID :])
    assert cropped(photo, [0, GRID + 1]).shape == (2 * HEIGHT // GRID, 2 * WIDTH // GRID, 3)


def test_mirroring_twice_gives_it_back(photo: np.ndarray) -> None:
    assert np.array_equal(mirrored(photo)[:, 0], photo[:, -1])
    assert np.array_equal(mirrored(mirrored(photo)), photo)


def test_a_stop_halves_the_light_of_a_mid_grey() -> None:
    # sRGB 188 is half of full light, 137 a quarter (IEC 61966-2-1).
    white = np.full((2, 2, 3), 255, np.uint8)
    assert (brighten(white, -1) == 188).all()
    assert (brighten(white, -2) == 137).all()
    assert (brighten(np.full((2, 2, 3), 188, np.uint8), 1) >= 254).all()
    assert (brighten(np.zeros((2, 2, 3), np.uint8), 2) == 0).all()


def test_brightness_keeps_the_order_of_tones() -> None:
    tones = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert np.array_equal(brighten(tones, 0), tones)
    for stops in (-2, -0.5, 0.5, 2):
        assert (np.diff(brighten(tones, stops)[0, :, 0].astype(int)) >= 0).all()


def test_blur_lowers_contrast_and_keeps_the_mean(photo: np.ndarray) -> None:
    some, much = blurred(photo, 1), blurred(photo, MAX_BLUR)
    assert photo.std() > some.std() > much.std()
    assert abs(float(much.mean()) - float(photo.mean())) < 3


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (Edits(stops=MAX_STOPS + 0.1), "stops"),
        (Edits(blur=-1), "blur"),
        (Edits(blur=float("nan")), "blur"),
        (Edits(cells=(GRID * GRID,)), "cell 36"),
        (Edits(cells=(-1,), use="crop"), "cell -1"),
        (Edits(use="paint"), "use of the cells"),  # type: ignore[arg-type]
    ],
)
def test_what_is_out_of_range_is_refused(photo: np.ndarray, edits: Edits, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        edited(photo, edits)


def test_cropping_needs_a_cell(photo: np.ndarray) -> None:
    with pytest.raises(ValueError, match="at least one"):
        cropped(photo, [])
