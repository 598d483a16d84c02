"""What a synthetic text must pass before anything learns from it.

``FILTERS`` lists the filters in order. Each is a small function of a candidate and of what is known
so far, and returns why it drops the text, or "". The first reason counts.

The thresholds were chosen on the drafts of the offline generator and on the real training texts.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline

from dermmm import describe
from dermmm.conditions import says_a_name_or_code
from training.text_baseline import tfidf_classifier

TERMS = Path(__file__).with_name("medical_terms.txt")

# The themes of the list whose words tell a finding, and not only a person, a site or a duration.
TELLING = (
    "findings on the skin",
    "colour",
    "shape, size, texture",
    "what is felt, and the rest of the body",
    "course",
)

MIN_WORDS, MAX_WORDS = 6, 120
MIN_KNOWN = 0.6  # of the words with a meaning; measured once, 99 % of the real texts have 0.7
NGRAM = 3  # words
# The offline drafts know no seed and share phrases by chance alone: `dropped_by_condition` in the
# summary of training.synthesize tells how few of them reach these.
SEED_CONTAINED = 0.6  # share of a text's n-grams that one real text holds
SAME_SYNTHETIC = 0.6  # Jaccard similarity of n-grams
MIN_JUDGED_GROUPS = 30  # of real cases that tell a finding; conditions with fewer: no judge
JUDGE_FOLDS = 5
JUDGE_PASSES = 0.95  # share of the real texts, each held out, that must pass the judge

_LEFTOVERS = re.compile(r"\[condition\]|[\[{]\s*\"", re.IGNORECASE)  # a mask, or torn JSON
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


@dataclass(frozen=True)
class Case:
    """All wordings of one real case; cases of one ``group``, e.g. a patient, are never split."""

    group: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """A text that claims to describe ``condition``, one of `dermmm.conditions.NAMES`."""

    condition: str
    text: str


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without numbers and signs."""
    return _WORD.findall(text.lower())


@cache
def listed_terms() -> dict[str, frozenset[str]]:
    """Theme -> words, as the list beside this file groups them."""
    themes: dict[str, list[str]] = {}
    theme: list[str] = []
    for line in TERMS.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            theme = themes.setdefault(line.removeprefix("## "), [])
        elif not line.startswith("#"):
            theme += words_of(line)
    return {name: frozenset(words) for name, words in themes.items()}


@cache
def medical_terms() -> frozenset[str]:
    """Every known word: the list beside this file, and the words of `dermmm.describe`'s tables."""
    tables = (describe.SITES, describe.CATEGORIES, describe.TEXTURES)
    wordings = [one for table in tables for said in table.values() for one in said]
    told = {word for one in (*wordings, *describe.FINDINGS) for word in words_of(one)}
    return (told - ENGLISH_STOP_WORDS).union(*listed_terms().values())


def tells_a_finding(text: str) -> bool:
    """Whether a text tells more than who has something where: how it looks, feels or behaves."""
    return any(
        _is_term(word, listed_terms()[theme]) for word in words_of(text) for theme in TELLING
    )


def known_share(text: str) -> float:
    """Share of the words with a meaning of their own that are medical terms, 0 to 1.

    Function words ("the", "isn't") and single letters are not counted, unless they are terms as
    well ("back").
    """
    terms = medical_terms()
    known = rest = 0
    for word in words_of(text):
        if _is_term(word, terms):
            known += 1
        elif len(word) > 1 and word not in ENGLISH_STOP_WORDS and not re.search("['’]", word):
            rest += 1
    return known / max(1, known + rest)


def _is_term(word: str, terms: frozenset[str]) -> bool:
    return any(word.removesuffix(ending) in terms for ending in ("", "s", "es", "'s", "’s"))


def ngrams(text: str) -> frozenset[tuple[str, ...]]:
    """The word n-grams of a text, numbers counted as words; a shorter text is one n-gram."""
    words = re.findall(r"\w+", text.lower())
    return frozenset(tuple(words[i : i + NGRAM]) for i in range(max(1, len(words) - NGRAM + 1)))


class NgramIndex:
    """Texts by their n-grams. Finds shared n-grams exactly, without comparing every pair."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._sizes: list[int] = []
        self._holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        for gram in ngrams(text):
            self._holders[gram].append(len(self._sizes))
        self._sizes.append(len(ngrams(text)))

    def containment(self, text: str) -> float:
        """The largest share of the n-grams of ``text`` that a single text here holds, 0 to 1."""
        return max(self._shared(text).values(), default=0) / len(ngrams(text))

    def similarity(self, text: str) -> float:
        """The highest Jaccard similarity of n-grams with a text here, 0 to 1."""
        size = len(ngrams(text))
        return max(
            (
                shared / (size + self._sizes[other] - shared)
                for other, shared in self._shared(text).items()
            ),
            default=0.0,
        )

    def _shared(self, text: str) -> Counter[int]:
        """How many n-grams ``text`` shares with each text here that shares any."""
        return Counter(other for gram in ngrams(text) for other in self._holders.get(gram, ()))


@dataclass(frozen=True)
class Judge:
    """A classifier trained on real text alone, and the worst rank at which it lets a label pass.

    ``allowed_rank`` counts from 1, the classifier's first choice.
    """

    classifier: Pipeline
    allowed_rank: int

    @property
    def conditions(self) -> tuple[str, ...]:
        return tuple(map(str, self.classifier.classes_))

    def ranks(self, texts: Sequence[str], labels: Sequence[str]) -> np.ndarray:
        """(texts,) the rank of each label, 1 for the first choice; the labels must be known."""
        scores = self.classifier.decision_function(texts)
        return _ranks(scores, np.searchsorted(self.classifier.classes_, labels))


def _ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) rank of each label, 1 for the highest score; scores (N, K), or (N,) of two classes."""
    if scores.ndim == 1:  # of two classes only the second is scored
        scores = np.column_stack([-scores, scores])
    own = scores[np.arange(len(labels)), labels]
    return 1 + (scores > own[:, None]).sum(axis=1)


def train_judge(cases: Mapping[str, Sequence[Case]]) -> Judge | None:
    """Fit TF-IDF and logistic regression on real training texts, and set the rank they must reach.

    Only texts that tell a finding count: from the others it would learn who has a condition, and
    then drop whatever is told of somebody else. The allowed rank is the lowest that
    ``JUDGE_PASSES`` of the texts reach in a cross-validation over groups, so that nothing but the
    training split decides what is trained on.

    Args:
        cases: condition -> its cases. Conditions with fewer than ``MIN_JUDGED_GROUPS`` groups that
            tell a finding are left out.

    Returns:
        None where fewer than two conditions have enough text.
    """
    rows = [
        (text, name, case.group)
        for name, told in cases.items()
        for case in told
        for text in filter(tells_a_finding, case.texts)
    ]
    groups_of = {name: len({group for _, label, group in rows if label == name}) for name in cases}
    enough = [row for row in rows if groups_of[row[1]] >= MIN_JUDGED_GROUPS]
    if len({name for _, name, _ in enough}) < 2:
        return None
    texts, labels, groups = zip(*enough, strict=True)
    classifier = tfidf_classifier(ngrams=2, strength=1.0)
    scores = cross_val_predict(
        classifier, texts, labels, groups=groups, method="decision_function",
        cv=StratifiedGroupKFold(JUDGE_FOLDS, shuffle=True, random_state=0),
    )  # fmt: skip
    ranks = _ranks(scores, np.unique(labels, return_inverse=True)[1])
    allowed = int(np.quantile(ranks, JUDGE_PASSES, method="higher"))
    return Judge(classifier.fit(texts, labels), allowed)


@dataclass
class Known:
    """What candidates are held against. ``seeds`` and ``accepted`` are by condition."""

    judge: Judge | None
    seeds: dict[str, NgramIndex]
    accepted: dict[str, NgramIndex] = field(default_factory=lambda: defaultdict(NgramIndex))

    def judges(self, condition: str) -> bool:
        return self.judge is not None and condition in self.judge.conditions


def length(candidate: Candidate, known: Known) -> str:
    words = len(candidate.text.split())
    return "" if MIN_WORDS <= words <= MAX_WORDS else f"{words} words"


def medical(candidate: Candidate, known: Known) -> str:
    share = known_share(candidate.text)
    return "" if share >= MIN_KNOWN else f"only {share:.0%} medical terms"


def prose(candidate: Candidate, known: Known) -> str:
    return "holds a mask or JSON" if _LEFTOVERS.search(candidate.text) else ""


def unnamed(candidate: Candidate, known: Known) -> str:
    return "says a name or a code" if says_a_name_or_code(candidate.text) else ""


def not_a_seed(candidate: Candidate, known: Known) -> str:
    seeds = known.seeds.get(candidate.condition, NgramIndex())
    return "copies a real text" if seeds.containment(candidate.text) >= SEED_CONTAINED else ""


def not_a_repeat(candidate: Candidate, known: Known) -> str:
    similarity = known.accepted[candidate.condition].similarity(candidate.text)
    return "repeats a synthetic text" if similarity >= SAME_SYNTHETIC else ""


def label(candidate: Candidate, known: Known) -> str:
    if known.judge is None or not known.judges(candidate.condition):
        return ""
    rank = int(known.judge.ranks([candidate.text], [candidate.condition])[0])
    return "" if rank <= known.judge.allowed_rank else f"label only at rank {rank}"


Filter = Callable[[Candidate, Known], str]
FILTERS: tuple[Filter, ...] = (length, prose, medical, unnamed, not_a_seed, not_a_repeat, label)


class Validator:
    """Takes candidates one after the other, and counts what each filter drops.

    Args:
        seeds: condition -> the real texts that no candidate may copy.
        judge: None where there is not enough real text to train one.

    ``dropped`` maps each condition to a count by filter; ``not_judged`` counts the accepted texts
    whose label no judge has seen, for want of real text.
    """

    def __init__(self, seeds: Mapping[str, Iterable[str]], judge: Judge | None) -> None:
        self._known = Known(judge, {name: NgramIndex(texts) for name, texts in seeds.items()})
        self.dropped: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.not_judged = 0

    def reason(self, candidate: Candidate) -> str:
        """Why ``candidate`` is dropped, e.g. "length: 3 words"; "" where it is accepted.

        An accepted text is remembered: the next one of its condition must differ from it.
        """
        for one in FILTERS:
            if reason := one(candidate, self._known):
                self.dropped[candidate.condition][one.__name__] += 1
                return f"{one.__name__}: {reason}"
        self._known.accepted[candidate.condition].add(candidate.text)
        self.not_judged += not self._known.judges(candidate.condition)
        return ""
