"""The phrases of a description, which are taken away one by one to see what the answer owes them.

Spans are pairs (start, end) of places in the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

MOST_PHRASES = 12

# What parts a description: the end of a sentence, other stops, "and" or "but" between clauses.
_STOP = re.compile(r"[.!?;:,]+(?=\s|$)|[()\[\]\n–—]")
_CLAUSE = re.compile(r"\s(?=(?:and|but)\s)", re.IGNORECASE)
_CLAUSE_WORDS = 3  # at least so many stand before such an "and", and after it
# "They do not itch, flake or hurt": without its beginning the rest would say the opposite.
_NEGATION = re.compile(r"\b(?:no|not|never|neither|without|denies)\b|n['’]t\b", re.IGNORECASE)
_LIST_WORDS = 3  # so few after a comma go on with what was negated
# Where all this finds a single clause: what begins a circumstance in it.
_CIRCUMSTANCE = re.compile(
    r"\s(?=(?:after|and|at|but|for|in|on|since|that|when|which|with|without)\s)", re.IGNORECASE
)


def phrases(text: str) -> list[tuple[int, int]]:
    """Where the phrases of a description begin and end, in reading order.

    They are its clauses; of a description that is a single clause, its circumstances ("on both
    arms", "since May"). Each holds a letter or digit. Neighbours are joined until there are at most
    `MOST_PHRASES`. None where there is only one: nothing would be left without it.
    """
    spans: list[tuple[int, int]] = []
    for piece in _pieces(text, _STOP):
        if spans and _still_negated(text, spans[-1], piece):
            spans[-1] = (spans[-1][0], piece[1])
        else:
            spans += _clauses(text, *piece)
    if len(spans) == 1:
        spans = _pieces(text, _CIRCUMSTANCE)
    while len(spans) > MOST_PHRASES:
        lengths = [second[1] - first[0] for first, second in pairwise(spans)]
        shortest = lengths.index(min(lengths))
        spans[shortest : shortest + 2] = [(spans[shortest][0], spans[shortest + 1][1])]
    return spans if len(spans) > 1 else []


def without(text: str, spans: Sequence[tuple[int, int]], gone: int) -> str:
    """The description without a phrase, and without what parted it from the phrase before."""
    if gone == 0:
        return text[spans[1][0] :]
    return text[: spans[gone - 1][1]] + text[spans[gone][1] :]


def _pieces(text: str, parting: re.Pattern[str]) -> list[tuple[int, int]]:
    """What lies between partings, without spaces around it; a piece without a word is left out."""
    borders = [(0, 0), *(match.span() for match in parting.finditer(text)), (len(text), len(text))]
    pieces = [(end, start) for (_, end), (start, _) in pairwise(borders)]
    return [_trimmed(text, piece) for piece in pieces if any(map(str.isalnum, text[slice(*piece)]))]


def _still_negated(text: str, before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Whether a piece after a comma only lists more of what the piece before it denies."""
    first, more = text[slice(*before)], text[slice(*after)]
    return (
        text[before[1] : after[0]].strip() == ","
        and len(more.split()) <= _LIST_WORDS
        and _NEGATION.search(first) is not None
        and _NEGATION.search(more) is None
    )


def _clauses(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """A piece, parted at each "and" or "but" that has a clause on both sides."""
    borders = [start]
    for match in _CLAUSE.finditer(text, start, end):
        before, after = text[borders[-1] : match.start()].split(), text[match.end() : end].split()
        if len(before) >= _CLAUSE_WORDS and len(after) > _CLAUSE_WORDS:  # "and" is one of them
            borders.append(match.start())
    return [_trimmed(text, span) for span in zip(borders, [*borders[1:], end], strict=True)]


def _trimmed(text: str, span: tuple[int, int]) -> tuple[int, int]:
    start, end = span
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())
