"""Text between two marker lines of a document, written by a command and checked by CI."""

from __future__ import annotations


def between_markers(text: str, start: str, end: str, new: str) -> str:
    """Return ``text`` with whatever lies between the two markers replaced by the lines of ``new``.

    Raises:
        ValueError: a marker is missing, or the end stands before the start.
    """
    before, found_start, rest = text.partition(start)
    _, found_end, after = rest.partition(end)
    if not (found_start and found_end):
        raise ValueError(
            f"got a text without {start!r} and after it {end!r}; add both lines where the "
            "written part belongs"
        )
    return f"{before}{start}\n{new}\n{end}{after}"
