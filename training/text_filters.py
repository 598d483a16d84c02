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
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from dermmm import describe
from dermmm.conditions import CONDITIONS, mask_names

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
MIN_KNOWN = 0.6  # of the words with a meaning; 99 % of the real texts have 0.7 and more
NGRAM = 3  # words
# Of the offline drafts, which know no seed and share phrases by chance alone, fewer than 1 in 50
# of any condition reach these.
SEED_CONTAINED = 0.6  # share of a text's n-grams that one real text holds
SAME_SYNTHETIC = 0.6  # Jaccard similarity of n-grams
MIN_JUDGED_CASES = 30  # real training cases that tell a finding; conditions with fewer: no judge
JUDGE_PASSES = 0.95  # share of the real validation texts that must pass the judge

# With a dot any code, e.g. "L40.0"; without one only ours, or vitamin B12 would be a code.
_OURS = "|".join(sorted({one.icd10.split(".")[0] for one in CONDITIONS if one.icd10}))
_ICD10 = re.compile(rf"\b(?:[A-TV-Z]\d\d\.\d{{1,4}}|{_OURS})\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


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
        if scores.ndim == 1:  # of two conditions only the second is scored
            scores = np.column_stack([-scores, scores])
        own = scores[np.arange(len(texts)), np.searchsorted(self.classifier.classes_, labels)]
        return 1 + (scores > own[:, None]).sum(axis=1)


def train_judge(
    train: Mapping[str, Sequence[Sequence[str]]], validation: Mapping[str, Sequence[str]]
) -> Judge | None:
    """Fit TF-IDF and logistic regression on real text, and set its rank on other real text.

    Only texts that tell a finding count: from the others it would learn who has a condition, and
    then drop whatever is told of somebody else. The allowed rank is the lowest that
    ``JUDGE_PASSES`` of the validation texts reach.

    Args:
        train: condition -> cases -> wordings of a case. Conditions with fewer than
            ``MIN_JUDGED_CASES`` cases that tell a finding are left out.
        validation: condition -> texts.

    Returns:
        None where fewer than two conditions have enough text, or none of them a validation text.
    """
    telling = {
        name: [texts for case in cases if (texts := [*filter(tells_a_finding, case)])]
        for name, cases in train.items()
    }
    enough = {name: cases for name, cases in telling.items() if len(cases) >= MIN_JUDGED_CASES}
    held_out = [
        (text, name)
        for name in enough
        for text in validation.get(name, ())
        if tells_a_finding(text)
    ]
    if len(enough) < 2 or not held_out:
        return None
    rows = [(text, name) for name, cases in enough.items() for case in cases for text in case]
    classifier = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(class_weight="balanced", max_iter=1000),
    )
    classifier.fit([text for text, _ in rows], [name for _, name in rows])
    ranks = Judge(classifier, 0).ranks(
        [text for text, _ in held_out], [name for _, name in held_out]
    )
    return Judge(classifier, int(np.quantile(ranks, JUDGE_PASSES, method="higher")))


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


def unnamed(candidate: Candidate, known: Known) -> str:
    text = candidate.text
    return "names a condition" if mask_names(text) != text or _ICD10.search(text) else ""


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
FILTERS: tuple[Filter, ...] = (length, medical, unnamed, not_a_seed, not_a_repeat, label)


class Validator:
    """Takes candidates one after the other, and counts what each filter drops.

    Args:
        seeds: condition -> the real texts that no candidate may copy.
        judge: None where there is not enough real text to train one.

    ``dropped`` maps the name of each filter to a count; ``not_judged`` counts the accepted texts
    whose label no judge has seen, for want of real text.
    """

    def __init__(self, seeds: Mapping[str, Iterable[str]], judge: Judge | None) -> None:
        self._known = Known(judge, {name: NgramIndex(texts) for name, texts in seeds.items()})
        self.dropped: Counter[str] = Counter({one.__name__: 0 for one in FILTERS})
        self.not_judged = 0

    def reason(self, candidate: Candidate) -> str:
        """Why ``candidate`` is dropped, e.g. "length: 3 words"; "" where it is accepted.

        An accepted text is remembered: the next one of its condition must differ from it.
        """
        for one in FILTERS:
            if reason := one(candidate, self._known):
                self.dropped[one.__name__] += 1
                return f"{one.__name__}: {reason}"
        self._known.accepted[candidate.condition].add(candidate.text)
        self.not_judged += not self._known.judges(candidate.condition)
        return ""
