"""What a learner answered case by case, and the scores of a session: no page, no model.

A round is kept in the learner's own browser as ids and answers. What comes back from there is
read like anything else that a stranger sends: what does not fit is left out.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from demo.cases import Case, Library
from dermmm.conditions import NAMES

MAX_CHOICES = 3
CONFIDENCES = (10, 30, 50, 70, 90)  # per cent; few levels, so that a short session fills them
MODEL_BINS = 5  # equal parts of 0..1, as many as the learner's levels

CSV_COLUMNS = (
    "set", "case", "truth", "first_1", "first_2", "first_3", "confidence_percent", "final_1",
    "final_2", "final_3", "model_1", "model_2", "model_3", "model_probability", "model_abstained",
)  # fmt: skip


@dataclass(frozen=True)
class Round:
    """One answered case. Answers are condition names, likeliest first, one to three of them.

    ``first`` was given before the model was seen, with ``confidence`` in per cent (one of
    `CONFIDENCES`) that its first is right; ``final`` after it, the same where nothing was changed.
    ``probability`` (0..1) is the model's for its first; ``abstained``: it would rather not rank.
    """

    case: Case
    first: tuple[str, ...]
    confidence: int
    final: tuple[str, ...]
    model: tuple[str, ...]
    probability: float
    abstained: bool

    def right(self, who: str, among: int = 1) -> bool:
        """Whether the answer of ``who`` (first, final or model) has the truth ``among`` its top."""
        return self.case.condition in getattr(self, who)[:among]

    def changed_to(self, answer: Sequence[str]) -> Round:
        """The same round with another final answer. Raises ValueError like `checked`."""
        return replace(self, final=checked(answer))


@dataclass(frozen=True)
class Progress:
    """All rounds of this browser, and the set that was open last (None: none yet)."""

    set: str | None = None
    rounds: tuple[Round, ...] = ()

    def of(self, title: str) -> tuple[Round, ...]:
        """The rounds of one set, in the order in which they were answered."""
        return tuple(one for one in self.rounds if one.case.set == title)

    def with_round(self, new: Round) -> Progress:
        """Add a round, in the place of an earlier one of the same case."""
        rounds = {(one.case.set, one.case.id): one for one in self.rounds}
        rounds[new.case.set, new.case.id] = new
        return Progress(new.case.set, tuple(rounds.values()))

    def without(self, title: str) -> Progress:
        """Forget a set's rounds."""
        return replace(self, rounds=tuple(one for one in self.rounds if one.case.set != title))

    def to_json(self) -> dict[str, Any]:
        """What the browser keeps: ids and answers, no photo and no text."""
        return {
            "set": self.set,
            "rounds": [
                {
                    "set": one.case.set,
                    "case": one.case.id,
                    "first": list(one.first),
                    "confidence": one.confidence,
                    "final": list(one.final),
                    "model": list(one.model),
                    "probability": one.probability,
                    "abstained": one.abstained,
                }
                for one in self.rounds
            ],
        }


def read_progress(stored: Any, library: Library) -> Progress:
    """Read what a browser kept. Rounds of cases that are gone, or that make no sense, are left out.

    Args:
        stored: what `Progress.to_json` once gave, or anything else.
    """
    if not isinstance(stored, dict):
        return Progress()
    progress = Progress()
    rounds = stored.get("rounds")
    for entry in rounds if isinstance(rounds, list) else ():
        try:
            probability = float(entry["probability"])
            cases = {case.id: case for case in library[entry["set"]]}
            one = Round(
                case=cases[entry["case"]],
                first=checked(entry["first"]),
                confidence=checked_confidence(entry["confidence"]),
                final=checked(entry["final"]),
                model=checked(entry["model"]),
                probability=probability,
                abstained=bool(entry["abstained"]),
            )
        except (KeyError, TypeError, ValueError):
            continue
        if 0 <= probability <= 1:
            progress = progress.with_round(one)
    title = stored.get("set")
    known = title if isinstance(title, str) and title in library else None
    return replace(progress, set=known)


def checked(answer: Any) -> tuple[str, ...]:
    """An answer from outside: one to three different condition names. Raises ValueError."""
    if not isinstance(answer, list | tuple) or not 1 <= len(answer) <= MAX_CHOICES:
        raise ValueError(f"expected a list of 1 to {MAX_CHOICES} conditions, got {answer!r:.80}")
    if any(name not in NAMES for name in answer) or len(set(answer)) < len(answer):
        raise ValueError(f"expected different names of dermmm.conditions, got {answer!r:.80}")
    return tuple(answer)


def checked_confidence(confidence: Any) -> int:
    """A confidence from outside, one of `CONFIDENCES`. Raises ValueError."""
    if confidence not in CONFIDENCES:
        raise ValueError(f"expected a confidence of {CONFIDENCES}, got {confidence!r:.80}")
    return int(confidence)


@dataclass(frozen=True)
class Score:
    """Counts over rounds: how many have the truth first, and among the first three."""

    rounds: int
    top1: int
    top3: int


def score(rounds: Sequence[Round], who: str) -> Score:
    """The score of ``who``: first, final or model."""
    return Score(
        len(rounds),
        sum(one.right(who) for one in rounds),
        sum(one.right(who, MAX_CHOICES) for one in rounds),
    )


@dataclass(frozen=True)
class Sway:
    """Where learner and model named different firsts: how many, and how many took the model's."""

    cases: int = 0
    taken: int = 0


@dataclass(frozen=True)
class Influence:
    """What the model's answer did to the learner's, by who of them was right at first.

    `misled` is automation bias: the learner was right, the model wrong, and the learner followed.
    """

    helped: Sway = field(default_factory=Sway)  # the model was right, the learner was not
    misled: Sway = field(default_factory=Sway)  # the learner was right, the model was not
    neither: Sway = field(default_factory=Sway)  # both were wrong, each in its own way
    agreed: int = 0


def influence(rounds: Sequence[Round]) -> Influence:
    """Count how often the learner went over to the model's first condition."""
    cases: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    for one in rounds:
        if one.first[0] == one.model[0]:
            cases["agreed"] += 1
            continue
        kind = "helped" if one.right("model") else "misled" if one.right("first") else "neither"
        cases[kind] += 1
        taken[kind] += one.final[0] == one.model[0]
    sways = {kind: Sway(cases[kind], taken[kind]) for kind in ("helped", "misled", "neither")}
    return Influence(**sways, agreed=cases["agreed"])


@dataclass(frozen=True)
class Point:
    """Rounds of about one confidence (0..1, their mean): the share (0..1) that was right, of n."""

    confidence: float
    right: float
    n: int


def learner_calibration(rounds: Sequence[Round]) -> list[Point]:
    """Of the learner's first answers: a point for each level of confidence that was used."""
    return _points([(one.confidence / 100, one.right("first"), one.confidence) for one in rounds])


def model_calibration(rounds: Sequence[Round]) -> list[Point]:
    """Of the model's answers: a point for each fifth of the probabilities that holds any."""
    return _points(
        [
            (
                one.probability,
                one.right("model"),
                min(int(MODEL_BINS * one.probability), MODEL_BINS - 1),
            )
            for one in rounds
        ]
    )


def confusions(rounds: Sequence[Round], who: str) -> list[tuple[str, str, int]]:
    """(truth, answer, how often), the most frequent first, where ``who`` was wrong."""
    wrong = Counter(
        (one.case.condition, getattr(one, who)[0]) for one in rounds if not one.right(who)
    )
    return [(truth, answer, n) for (truth, answer), n in wrong.most_common()]


def to_csv(rounds: Sequence[Round]) -> str:
    """A session as CSV with `CSV_COLUMNS`, a row a case; an answer that was not used is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    for one in rounds:
        writer.writerow(
            [
                one.case.set, one.case.id, one.case.condition, *_three(one.first), one.confidence,
                *_three(one.final), *_three(one.model), f"{one.probability:.4f}",
                "yes" if one.abstained else "no",
            ]
        )  # fmt: skip
    return text.getvalue()


def _three(answer: tuple[str, ...]) -> list[str]:
    return [*answer, *[""] * (MAX_CHOICES - len(answer))]


def _points(answers: Sequence[tuple[float, bool, int]]) -> list[Point]:
    """Points of (confidence, right, bin) triples, by bin."""
    points = []
    for bin_ in sorted({bin_ for _, _, bin_ in answers}):
        inside = [(p, right) for p, right, of in answers if of == bin_]
        n = len(inside)
        points.append(Point(sum(p for p, _ in inside) / n, sum(r for _, r in inside) / n, n))
    return points
