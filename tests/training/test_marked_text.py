"""What stands between the markers is replaced, and nothing else."""

from __future__ import annotations

import pytest

from training.marked_text import between_markers

START, END = "<!-- made -->", "<!-- end of made -->"


@pytest.mark.parametrize("old", ["\n", "\nold\n", "\nmany\n\nlines\n"])
def test_only_what_lies_between_is_replaced(old: str) -> None:
    text = f"# Page\n\n{START}{old}{END}\nmore\n"
    renewed = between_markers(text, START, END, "new\nlines")
    assert renewed == f"# Page\n\n{START}\nnew\nlines\n{END}\nmore\n"
    assert between_markers(renewed, START, END, "new\nlines") == renewed


@pytest.mark.parametrize("text", ["", START, END, f"{END}\n{START}"])
def test_missing_marker_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="end of made"):
        between_markers(text, START, END, "new")
