"""The case's inputs as plain functions: the photo's surroundings, the form and its sentences."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from demo.content import inputs as content
from demo.panels.form import facts_of, write
from demo.render import form, photo
from demo.ui import launch_settings
from dermmm import describe, preprocess
from dermmm.describe import Facts

OURS = "I am a 62-year-old woman with a rash on my arm. It itches."
OTHER = "I am 62 years old. It hurts."


@pytest.mark.parametrize(
    ("text", "old", "new", "expected"),
    [
        ("", "", OURS, OURS),
        ("Mine.", "", OURS, f"Mine.\n{OURS}"),
        (OURS, OURS, OTHER, OTHER),
        (f"Mine.\n{OURS}", OURS, OTHER, f"Mine.\n{OTHER}"),
        (f"{OURS} Mine.", OURS, OTHER, f"{OTHER} Mine."),
        (f"Before. {OURS} After.", OURS, "", "Before.  After."),
        (OURS, OURS, "", ""),
        # One sentence was changed by the user: it stays, the other is replaced.
        (
            "I am a 62-year-old woman with a rash on my arm. It itches at night.",
            OURS,
            OTHER,
            f"{OTHER} It itches at night.",
        ),
        # Nothing of ours is left.
        ("All my own words.", OURS, OTHER, f"All my own words.\n{OTHER}"),
        ("All my own words.", OURS, "", "All my own words."),
        ("", OURS, OTHER, OTHER),
    ],
)
def test_only_what_the_form_wrote_is_replaced(text: str, old: str, new: str, expected: str) -> None:
    assert form.rewritten(text, old, new) == expected


def test_whatever_is_filled_in_what_the_user_wrote_stays() -> None:
    text, written = "Grandmother had it too.", ""
    for seed in range(30):
        facts = Facts(age=20 + seed, findings={"itch": seed % 2 == 0, "pain": seed % 3 == 0})
        new = describe.describe(facts, seed)
        text, written = form.rewritten(text, written, new), new
        assert text == f"Grandmother had it too.\n{new}"
    assert form.rewritten(text, written, "") == "Grandmother had it too."


def filled(**fields: Any) -> dict[str, Any]:
    """What the form sends; empty where nothing is named."""
    empty = {"age": "", "sex": "", "category": "", "duration": "", "sites": ["", ""]}
    return {**empty, "textures": [], "findings": {}, **fields}


def test_fields_become_facts() -> None:
    assert facts_of(filled()).is_empty
    facts = facts_of(
        filled(
            age="62",
            sex="female",
            category="rash",
            duration="1-4 weeks",
            sites=["arm", "arm"],
            textures=["flat"],
            findings={"itch": True, "fever": False},
        )
    )
    assert facts == Facts(
        age=62,
        sex="female",
        category="rash",
        duration="1-4 weeks",
        sites=("arm",),
        textures=("flat",),
        findings={"itch": True, "fever": False},
    )


@pytest.mark.parametrize("age", ["0", "121", "-4", "6.5", "old"])
def test_an_age_that_is_none_is_refused(age: str) -> None:
    with pytest.raises(ValueError, match="age"):
        facts_of(filled(age=age))


def sent(facts: dict[str, Any], voice: str = "patient", wording: int = 0) -> Any:
    return SimpleNamespace(facts=facts, voice=voice, wording=wording)


def test_the_form_writes_by_the_renderer_that_training_uses() -> None:
    facts = filled(age="62", findings={"itch": True})
    expected = describe.describe(Facts(age=62, findings={"itch": True}), 3, "chart")
    text, written, status = write("Mine.", "", sent(facts, "chart", 3))
    assert (text, written) == (f"Mine.\n{expected}", expected)
    assert content.FORM_WROTE in status
    text, written, status = write(text, written, sent(filled()))
    assert (text, written) == ("Mine.", "")
    assert content.FORM_EMPTY in status


def test_a_form_that_makes_no_sense_changes_nothing() -> None:
    text, written, status = write(OURS, OURS, sent(filled(age="150")))
    assert (text, written) == (OURS, OURS)
    assert "150" in status and "dm-trouble" in status
    text, _, status = write(OURS, OURS, sent(filled(sex="<b>x</b>")))
    assert text == OURS and "<b>" not in status
    assert write(OURS, OURS, sent(filled(), voice="nobody"))[0] == OURS


def test_the_form_offers_all_that_the_renderer_knows() -> None:
    html = form.form()
    options = set(re.findall(r'<option value="([^"]+)"', html))
    assert options == {
        *describe.SEXES,
        *describe.CATEGORIES,
        *describe.DURATIONS,
        *describe.SITES,
    }
    assert set(re.findall(r'name="finding ([^"]+)"', html)) == set(describe.FINDINGS)
    assert set(re.findall(r'name="texture" value="([^"]+)"', html)) == set(describe.TEXTURES)
    assert set(re.findall(r'name="voice" value="([^"]+)"', html)) == set(describe.VOICES)


@pytest.mark.parametrize("shape", [(60, 90, 3), (90, 60, 3), (50, 50, 3)])
def test_the_cropper_starts_with_a_square_in_the_middle(shape: tuple[int, ...]) -> None:
    html = photo.cropper(np.full(shape, 128, np.uint8))
    x, y, side = (
        float(value)
        for name in ("x", "y", "side")
        for value in re.findall(rf'data-{name}="([\d.]+)"', html)
    )
    height, width = shape[:2]
    assert (side * width) == pytest.approx(photo.START * min(height, width), abs=0.01)
    assert x + side / 2 == pytest.approx(0.5, abs=1e-5)
    assert y + side * width / height / 2 == pytest.approx(0.5, abs=1e-5)
    assert 'alt="' in html and "data:image/jpeg" in html


def test_what_is_said_of_a_file_is_escaped() -> None:
    html = photo.trouble("got <script>x</script>; expected a photo.")
    assert "<script" not in html
    assert html.count(".") == 1


def test_advice_states_the_limits_as_they_are() -> None:
    assert f"{preprocess.MAX_BYTES // 10**6} MB" in content.ADVICE_SOURCE
    assert f"{preprocess.MAX_PIXELS // 10**6} megapixels" in content.ADVICE_SOURCE
    assert launch_settings()["max_file_size"] == f"{preprocess.MAX_BYTES // 10**6}mb"


def test_advice_names_what_matters() -> None:
    html = photo.advice().lower()
    for word in ("light", "focus", "distance", "ruler", "pen marks", "hair", "background"):
        assert word in html
