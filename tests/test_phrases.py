"""Phrases: where a description parts, and what is left of it without one."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dermmm.phrases import MOST_PHRASES, phrases, without


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Itchy, scaly patches on both elbows. They came after a cold and have grown since then.",
         ["Itchy", "scaly patches on both elbows", "They came after a cold",
          "and have grown since then"]),
        ("The edge is uneven; it bled (twice).", ["The edge is uneven", "it bled", "twice"]),
        ("A 3.5 cm mole, seen at 10:30", ["A 3.5 cm mole", "seen at 10:30"]),
        ("On elbows and knees; hands and feet too", ["On elbows and knees", "hands and feet too"]),
        ("They do not itch, flake or hurt. An aunt has it.",
         ["They do not itch, flake or hurt", "An aunt has it"]),
        ("No fever, no scaling", ["No fever", "no scaling"]),
        ("an itchy rash on both arms since May", ["an itchy rash", "on both arms", "since May"]),
        ("rash", []),
        ("rash!!! ...", []),
    ],
)  # fmt: skip
def test_phrases(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in phrases(text)] == expected


def test_many_phrases_are_joined_to_a_few() -> None:
    text = ". ".join(f"part {place} of it" for place in range(40))
    spans = phrases(text)
    assert len(spans) == MOST_PHRASES
    assert (spans[0][0], spans[-1][1]) == (0, len(text))
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


def test_leaving_out_a_phrase_leaves_a_sentence() -> None:
    text = "Red, itchy rash. No fever."
    spans = phrases(text)
    assert [without(text, spans, place) for place in range(3)] == [
        "itchy rash. No fever.", "Red. No fever.", "Red, itchy rash.",
    ]  # fmt: skip
