"""The leak audit: does a text tell more of its label than the facts that it may say?

    python -m training.audit --data runs/first/data --out runs/first
    python -m training.audit --out runs/first --publish docs/text-audit.json --write-docs
    python -m training.audit --check

Simple models (TF-IDF of the text, or facts, then logistic regression) guess the condition of every
described case. Each guess comes from a model that has not seen the case's group: a grouped
cross-validation over the training and validation splits together, because the validation split of
one source alone is small. The test split is never read: the audit may be run often, and decisions
hang on it. Intervals are 95 %, by a bootstrap over groups.

Writes `OUT/audit/audit.json`, then stops with exit status 1 where a bound of ``BOUNDS`` is broken.
``--check`` applies the bounds anew to the committed figures; it needs no data, so CI runs it.
Measured once: 2 min 45 s of one core (9 minutes beside other work on two cores).
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack
from scipy.stats import t as student
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from dermmm.conditions import NAMES, says_a_name_or_code
from dermmm.describe import BODY_FINDINGS, SKIN_FINDINGS, VOICES, Facts, describe
from training.dataset import cases_with_text, read_manifest, read_texts
from training.linear import logistic_regression
from training.marked_text import between_markers
from training.scoring import balanced_accuracy, score
from training.stage import Stage, write_whole
from training.text_baseline import tfidf_vectorizer
from training.unstructure import facts_as_features, facts_of, mentioned_in

NAME = "audit"
RENDERED = ("pad_ufes_20", "milk10k", "scin")  # made from fields by training.unstructure
FREE = ("dermavqa_iiyi",)  # written by people
# The two sorts of DATA/synthetic/texts.csv: with the findings that a text mentions, and without,
# since nobody knows what a language model mentions.
SYNTHETIC, MODEL_WRITTEN = "synthetic", "synthetic, model-written"
SOURCES = (*RENDERED, *FREE, SYNTHETIC, MODEL_WRITTEN)
REQUIRED = (*RENDERED, SYNTHETIC)  # committed figures must have them

DOCS = Path(__file__).resolve().parent.parent / "docs"
COMMITTED, PAGE = DOCS / "text-audit.json", DOCS / "data.md"
START, END = "<!-- audit: written by training.audit -->", "<!-- end of audit -->"


@dataclass(frozen=True)
class AuditConfig:
    seed: int = 0
    folds: int = 5
    permutations: int = 10  # of the labels
    wordings: int = 4  # of a case, that models learn from; texts are counted over all wordings
    min_groups: int = 10  # a condition with fewer groups in a source is left out: two a fold
    min_texts: int = 30  # of a source in a condition, where sources are told apart
    synthetic: int = 150  # texts a condition, the first ones: as the text classifier takes them


class AuditFailed(ValueError):
    """A bound is broken; the message names each."""


@dataclass(frozen=True)
class Figure:
    """One measured number.

    ``value`` is a balanced accuracy over ``classes`` with its interval ``low`` to ``high``; where
    texts are counted it is their number among ``n``, and there is no chance and no interval.
    ``bound`` is the highest value that passes, None where the figure is published only.
    """

    source: str
    test: str
    n: int  # cases, or texts where texts are counted
    value: float
    groups: int | None = None
    classes: int | None = None
    chance: float | None = None
    low: float | None = None
    high: float | None = None
    bound: float | None = None
    passed: bool | None = None
    note: str = ""


# what is audited ---------------------------------------------------------------------------------

Features = Mapping[str, float]


@dataclass(frozen=True)
class Corpus:
    """The described cases of one source. B cases; T texts, T >= B, in the order of the cases."""

    source: str
    conditions: np.ndarray  # (B,) names
    groups: np.ndarray  # (B,)
    folds: np.ndarray  # (B,) which fold a case is guessed in
    photographed: np.ndarray  # (B,) bool
    case: np.ndarray  # (T,) the case of each text
    texts: Sequence[str]  # (T,)
    views: Mapping[str, Sequence[Features]]  # (T,) each: what else a condition is guessed from
    every_text: Sequence[str]  # with the rows that are no case: rare or unmapped conditions
    voices: Sequence[str] = ()  # (B,) where the source has voices
    voiced: Sequence[str] = ()  # (B,) a text of each case in that voice
    factless: int | None = None  # rendered texts of rows without facts
    altered: int | None = None  # rendered texts that the renderer does not make of their row

    @cached_property
    def first(self) -> np.ndarray:
        """(B,) the first text of each case, which is the one guessed from."""
        return np.unique(self.case, return_index=True)[1]

    @cached_property
    def vectorizer(self) -> TfidfVectorizer:
        # Fitted on all folds at once: it sees no label.
        return tfidf_vectorizer(ngrams=2).fit(self.texts)

    @cached_property
    def words(self) -> csr_matrix:
        """(T, words)"""
        return self.vectorizer.transform(self.texts)

    @cached_property
    def text_models(self) -> list[FoldModel]:
        return list(fitted(self.words, self.case, self.conditions, self.folds))


_KINDS = {"age": "age", "decade": "age", "age_range": "age"} | {
    kind: kind for kind in ("sex", "category", "duration", "site", "texture")
}


def kind_of(fact: str) -> str:
    """The kind of a fact in the words of `facts_as_features`, or "table" of the grammar's own.

    >>> kind_of("decade 6"), kind_of("itch False"), kind_of("silvery scale")
    ('age', 'skin', 'table')
    """
    finding = fact.removesuffix(" True").removesuffix(" False")
    if finding in SKIN_FINDINGS:
        return "skin"
    if finding in BODY_FINDINGS:
        return "body"
    return _KINDS.get(fact.split()[0], "table")


def kinds_mentioned(said: Iterable[str]) -> Features:
    """Which kinds of facts are mentioned, not what they say, and how many of the table."""
    kinds = [kind_of(fact) for fact in said]
    table = {f"table {kinds.count('table')}": 1.0} if "table" in kinds else {}
    return {**dict.fromkeys(kinds, 1.0), **table}


def facts_mentioned(facts: Facts) -> Features:
    """Which kinds and which findings are mentioned, and how many sites and textures."""
    counts = {"sites": float(len(facts.sites)), "textures": float(len(facts.textures))}
    kinds = kinds_mentioned(facts_as_features(facts))
    return {**kinds, **dict.fromkeys(facts.findings, 1.0), **counts}


def length_of(text: str) -> Features:
    """The text's number of words, in steps of four."""
    return {f"words {len(text.split()) // 4}": 1.0}


def read_corpora(config: AuditConfig, data: Path) -> tuple[list[Corpus], dict[str, str]]:
    """Read every source outside the test split, and say why a source is left out."""
    manifest = read_manifest(data)
    manifest = manifest[(manifest["split"] != "test") & (manifest["text_path"] != "")]
    path = data / "synthetic" / "texts.csv"
    corpora, left_out = [], {}
    for source in SOURCES:
        if source not in (SYNTHETIC, MODEL_WRITTEN):
            rows = manifest[manifest["source"] == source]
            corpus = real_corpus(source, rows, data, config)
        elif path.is_file():
            made = pd.read_csv(path, dtype=str, keep_default_na=False)
            corpus = synthetic_corpus(source, made, config)
        else:
            left_out[source] = f"there is no DATA/{path.relative_to(data).as_posix()}"
            continue
        if len(set(corpus.conditions)) > 1:
            corpora.append(corpus)
        else:
            left_out[source] = (
                f"fewer than two conditions have {config.min_groups} groups with texts"
            )
    return corpora, left_out


def real_corpus(source: str, rows: pd.DataFrame, data: Path, config: AuditConfig) -> Corpus:
    """One source's corpus from its described manifest rows, none of them of the test split.

    What a rendered text mentions cannot be read off it with certainty, so its row is rendered anew.
    """
    texts = dict(zip(rows["id"], read_texts(data, rows), strict=True))
    every_text = [text for variants in texts.values() for text in variants]
    cases = pd.concat([cases_with_text(rows, split) for split in ("train", "val")])
    if source in FREE:
        cases = common(cases, config)
        return corpus_of(source, cases, texts, {}, config, every_text=every_text)

    facts: dict[str, Facts] = {}
    said: dict[str, list[tuple[Facts, int]]] = {}
    for name, fields in zip(rows["id"], rows["fields"], strict=True):
        facts[name] = facts_of(source, json.loads(fields))
        said[name] = mentioned_in(name, source, fields, len(texts[name]))
    told = {name for name, sayings in said.items() if sayings}
    altered = sum(
        text != " ".join(describe(*saying).split())
        for name in told
        for text, saying in zip(texts[name], said[name], strict=True)
    )
    cases = common(cases[cases["id"].isin(told)], config)
    sayings = [(name, one) for name in cases["id"] for one, _ in said[name][: config.wordings]]
    voices = np.random.default_rng(config.seed).choice(VOICES, len(cases))
    return corpus_of(
        source,
        cases,
        texts,
        {
            "all facts": [facts_as_features(facts[name]) for name, _ in sayings],
            "facts said": [facts_as_features(one) for _, one in sayings],
            "kinds of facts mentioned": [
                kinds_mentioned(facts_as_features(one)) for _, one in sayings
            ],
            "facts mentioned, none left out": [facts_mentioned(facts[name]) for name, _ in sayings],
            "facts mentioned": [facts_mentioned(one) for _, one in sayings],
        },
        config,
        every_text=every_text,
        voices=list(voices),
        voiced=[
            describe(*said[name][0], voice=voice)
            for name, voice in zip(cases["id"], voices, strict=True)
        ],
        factless=sum(len(texts[name]) for name in texts.keys() - told),
        altered=altered,
    )


def synthetic_corpus(source: str, table: pd.DataFrame, config: AuditConfig) -> Corpus:
    """The corpus of the synthetic texts whose findings are known, or of the others.

    Each text is a group of its own: no person stands behind it.
    """
    chosen = table.groupby("condition").head(config.synthetic)
    cases = chosen.assign(group=chosen["id"], photo="")
    cases = common(cases[of_source(source, cases)], config)
    table = table[of_source(source, table)]
    views: dict[str, list[Features]] = {}
    if source == SYNTHETIC:
        said = [findings.split("; ") for findings in cases["findings"]]
        views["facts said"] = [dict.fromkeys(findings, 1.0) for findings in said]
        views["kinds of facts mentioned"] = [kinds_mentioned(findings) for findings in said]
    return corpus_of(
        source,
        cases,
        {name: [text] for name, text in zip(table["id"], table["text"], strict=True)},
        views,
        config,
        every_text=list(table["text"]),
        voices=list(cases["voice"]),
        voiced=list(cases["text"]),
    )


def of_source(source: str, table: pd.DataFrame) -> pd.Series:
    """Which rows of synthetic texts belong to a source: SYNTHETIC or MODEL_WRITTEN."""
    return (table["findings"] != "") == (source == SYNTHETIC)


def common(cases: pd.DataFrame, config: AuditConfig) -> pd.DataFrame:
    """The cases of conditions that enough groups have."""
    return cases[cases.groupby("condition")["group"].transform("nunique") >= config.min_groups]


def corpus_of(
    source: str,
    cases: pd.DataFrame,
    texts: Mapping[str, Sequence[str]],
    views: Mapping[str, Sequence[Features]],
    config: AuditConfig,
    **more: Any,
) -> Corpus:
    """A corpus of ``cases`` (columns id, condition, group, photo) and the texts of each id."""
    conditions, groups = cases["condition"].to_numpy(), cases["group"].to_numpy()
    told = [texts[name][: config.wordings] for name in cases["id"]]
    flat = [text for wordings in told for text in wordings]
    return Corpus(
        source,
        conditions,
        groups,
        grouped_folds(conditions, groups, config),
        (cases["photo"] != "").to_numpy(),
        np.repeat(np.arange(len(cases)), [len(wordings) for wordings in told]),
        flat,
        {**views, "text length": [length_of(text) for text in flat]},
        **more,
    )


# guessing ----------------------------------------------------------------------------------------


def grouped_folds(labels: np.ndarray, groups: np.ndarray, config: AuditConfig) -> np.ndarray:
    """(B,) the fold of each case; no group is in two, and labels are spread evenly."""
    folds = np.zeros(len(labels), dtype=int)
    if len(labels):
        split = StratifiedGroupKFold(config.folds, shuffle=True, random_state=config.seed)
        for fold, (_, held) in enumerate(split.split(labels, labels, groups)):
            folds[held] = fold
    return folds


FoldModel = tuple[np.ndarray, LogisticRegression]


def fitted(
    features: csr_matrix, case: np.ndarray, labels: np.ndarray, folds: np.ndarray
) -> Iterator[FoldModel]:
    """For each fold, which cases (B,) it holds out and a model of the other cases' texts.

    Args:
        features: (T, D) of the texts.
        case: (T,) the case of each text.
        labels, folds: (B,) of the cases.
    """
    for fold in np.unique(folds):
        held = folds == fold
        learnt = np.flatnonzero(~held[case])
        yield held, logistic_regression(strength=1.0).fit(features[learnt], labels[case[learnt]])


def answers_of(models: Iterable[FoldModel], features: csr_matrix) -> np.ndarray:
    """(B,) a label for each case from its features (B, D), by the model that has not seen it."""
    answers = np.empty(features.shape[0], dtype=object)
    for held, model in models:
        answers[held] = model.predict(features[held])
    return answers


def guess(
    features: csr_matrix, case: np.ndarray, labels: np.ndarray, folds: np.ndarray
) -> np.ndarray:
    """(B,) a label for each case, from its first text. Arguments as for `fitted`."""
    first = np.unique(case, return_index=True)[1]
    return answers_of(fitted(features, case, labels, folds), features[first])


def accuracy(
    source: str,
    test: str,
    labels: np.ndarray,
    answers: np.ndarray,
    groups: np.ndarray,
    config: AuditConfig,
    note: str = "",
) -> Figure:
    """The balanced accuracy of answers (B,) to labels (B,), with its interval."""
    classes, targets = np.unique(labels, return_inverse=True)
    one_hot = np.eye(len(NAMES))[np.searchsorted(classes, answers)]  # as wide as `score` expects
    scores: dict[str, Any] = score(one_hot, targets, groups, config.seed)
    interval = {key: round(value, 4) for key, value in scores["balanced_accuracy"].items()}
    return Figure(
        source,
        test,
        scores["n"],
        groups=scores["groups"],
        classes=scores["conditions"],
        chance=round(scores["chance"], 4),
        note=note,
        **interval,
    )


# the tests ---------------------------------------------------------------------------------------


def what_text_knows(corpus: Corpus, config: AuditConfig) -> list[Figure]:
    """The condition from the text, from facts, and from which facts are mentioned at all."""
    features = {name: DictVectorizer().fit_transform(view) for name, view in corpus.views.items()}
    if "facts said" in features:
        features["facts said and text"] = hstack([features["facts said"], corpus.words]).tocsr()
    answers = {"text": answers_of(corpus.text_models, corpus.words[corpus.first])}
    for name, matrix in features.items():
        answers[name] = guess(matrix, corpus.case, corpus.conditions, corpus.folds)
    return [
        accuracy(corpus.source, name, corpus.conditions, given, corpus.groups, config)
        for name, given in answers.items()
    ]


def empty_text(corpus: Corpus, config: AuditConfig) -> list[Figure]:
    """What the text model of each fold answers to an empty text, and how often that is right.

    A model has one answer to it for all cases, so that the balanced accuracy cannot but be near
    chance: no bound stands on it. That no row without facts has a text is counted in `counts`.
    """
    nothing = corpus.vectorizer.transform([""])
    answers = np.empty(len(corpus.conditions), dtype=object)
    for held, model in corpus.text_models:
        answers[held] = model.predict(nothing)[0]
    return [
        accuracy(corpus.source, "empty text", corpus.conditions, answers, corpus.groups, config),
        Figure(
            corpus.source,
            "different answers to an empty text",
            len(corpus.text_models),  # one a fold
            len(set(answers)),
        ),
    ]


def counts(corpus: Corpus, config: AuditConfig) -> list[Figure]:
    """Texts that must not be: with a name or code, of a row without facts, altered since made."""
    named = {text for text in set(corpus.every_text) if says_a_name_or_code(text)}
    found = {
        "texts with a name or code": sum(text in named for text in corpus.every_text),
        "texts of rows without facts": corpus.factless,
        "texts not as rendered": corpus.altered,
    }
    total = len(corpus.every_text)
    return [
        Figure(corpus.source, test, total, count)
        for test, count in found.items()
        if count is not None
    ]


def shuffled_labels(corpus: Corpus, config: AuditConfig) -> list[Figure]:
    """The condition from the text, after the groups have swapped their labels at random.

    A group's label is that of its first case. Single words are enough to recognise a group by, and
    faster. The interval is that of the mean over all permutations (Student's t, 99.9 %).
    """
    rng = np.random.default_rng(config.seed)
    _, first, group = np.unique(corpus.groups, return_index=True, return_inverse=True)
    of_groups = corpus.conditions[first]
    words = tfidf_vectorizer(ngrams=1).fit_transform(corpus.texts)
    values = []
    for _ in range(config.permutations):
        labels = rng.permutation(of_groups)[group]
        answers = guess(words, corpus.case, labels, corpus.folds)
        values.append(balanced_accuracy(answers, labels))
    mean = float(np.mean(values))
    spread = float(np.std(values, ddof=1) / np.sqrt(len(values)))
    half = spread * float(student.ppf(0.9995, len(values) - 1))
    classes = len(set(of_groups))
    return [
        Figure(
            corpus.source,
            "shuffled labels",
            len(corpus.conditions),
            round(mean, 4),
            len(first),
            classes,
            round(1 / classes, 4),
            round(mean - half, 4),
            round(mean + half, 4),
            note=f"mean of {config.permutations}",
        )
    ]


def swapped_texts(corpus: Corpus, config: AuditConfig) -> list[Figure]:
    """The condition from a photographed case's facts beside its own text, or a stranger's.

    The facts stand for what a photo shows. The stranger has the same condition, as in a
    pseudo-pair, and is of the same fold. A case's own text repeats its facts; what a stranger's
    adds was drawn by the label. Text alone would give the same figure swapped or not: the texts of
    each condition are the same ones.
    """
    kept = np.flatnonzero(corpus.photographed)
    if "all facts" not in corpus.views or len(set(corpus.conditions[kept])) < 2:
        return []
    rng = np.random.default_rng(config.seed)
    stranger = np.arange(len(corpus.conditions))
    for alike in pd.Series(kept).groupby([corpus.conditions[kept], corpus.folds[kept]]):
        ring = rng.permutation(alike[1].to_numpy())
        stranger[ring] = np.roll(ring, 1)
    facts = DictVectorizer().fit_transform(corpus.views["all facts"])[corpus.first]
    words = corpus.words[corpus.first]
    labels, groups, folds = (
        values[kept] for values in (corpus.conditions, corpus.groups, corpus.folds)
    )
    figures = []
    for test, whose in (("facts and own text", kept), ("facts and swapped text", stranger[kept])):
        features = hstack([facts[kept], words[whose]]).tocsr()
        answers = guess(features, np.arange(len(kept)), labels, folds)
        figures.append(accuracy(corpus.source, test, labels, answers, groups, config))
    return figures


def which_voice(corpus: Corpus, config: AuditConfig) -> list[Figure]:
    """The voice from the text, within the source's commonest condition."""
    if not corpus.voices:
        return []
    names, sizes = np.unique(corpus.conditions, return_counts=True)
    condition = names[sizes.argmax()]
    within = corpus.conditions == condition
    figures = told_apart(
        "voice",
        np.array(corpus.voices, dtype=object)[within],
        np.array(corpus.voiced, dtype=object)[within],
        corpus.groups[within],
        condition,
        config,
    )
    return [replace(figure, source=corpus.source) for figure in figures]


def which_source(corpora: Sequence[Corpus], config: AuditConfig) -> list[Figure]:
    """The source from the text, within each condition that two sources or more describe."""
    figures = []
    for condition in NAMES:
        cases = pd.DataFrame(
            [
                (corpus.texts[corpus.first[case]], corpus.source, corpus.groups[case])
                for corpus in corpora
                for case in np.flatnonzero(corpus.conditions == condition)
            ],
            columns=["text", "source", "group"],
        )
        enough = cases.groupby("source")["text"].transform("size") >= config.min_texts
        figures += told_apart(
            "source",
            cases[enough]["source"].to_numpy(),
            cases[enough]["text"].to_numpy(),
            cases[enough]["group"].to_numpy(),
            condition,
            config,
        )
    return figures


def told_apart(
    test: str,
    labels: np.ndarray,
    texts: np.ndarray,
    groups: np.ndarray,
    condition: str,
    config: AuditConfig,
) -> list[Figure]:
    """How well texts (B,) of one condition tell their labels (B,).

    Labels of fewer than ``min_groups`` groups (B,) are left out, so that each fold has others to
    learn from; nothing is told where one label is left. The figure's source is the labels.
    """
    kept = (pd.Series(groups).groupby(labels).transform("nunique") >= config.min_groups).to_numpy()
    labels, texts, groups = labels[kept], texts[kept], groups[kept]
    names = sorted(set(labels))
    if len(names) < 2:
        return []
    folds = grouped_folds(labels, groups, config)
    words = tfidf_vectorizer(ngrams=2).fit_transform(texts)
    answers = guess(words, np.arange(len(labels)), labels, folds)
    note = f"within {condition}"
    return [accuracy(" / ".join(names), test, labels, answers, groups, config, note)]


TESTS: tuple[Callable[[Corpus, AuditConfig], list[Figure]], ...] = (
    what_text_knows,
    empty_text,
    counts,
    shuffled_labels,
    swapped_texts,
    which_voice,
)


# One thread: on sparse text, linear algebra in two threads that other work interrupts crawls.
@threadpool_limits.wrap(limits=1)
def measure(config: AuditConfig, data: Path) -> tuple[list[Figure], dict[str, str]]:
    """Every figure, judged, and why a source is left out."""
    corpora, left_out = read_corpora(config, data)
    figures = []
    with tqdm(total=len(corpora) * len(TESTS) + 1, desc="audit", unit="test") as bar:
        for corpus in corpora:
            for test in TESTS:
                figures += test(corpus, config)
                bar.update()
        figures += which_source(corpora, config)
        bar.update()
    return judge(figures), left_out


# the bounds --------------------------------------------------------------------------------------

# How far above chance a model may come that sees only what is mentioned: less than in PAD-UFES-20
# before facts are left out at random (the row "facts mentioned, none left out").
MENTION_MARGIN = 0.05

Measured = Mapping[str, Figure]  # test -> figure, of one source


def _no_more_than_facts(figure: Figure, measured: Measured) -> float:
    """The upper end of the interval of what the facts said tell."""
    return _known(_facts_said(measured).high)


def _little_by_mention(figure: Figure, measured: Measured) -> float:
    """A small step above chance, and at most half of the way to what the facts said tell.

    But never less than the noise below the value: a small source may be that lucky. So a value
    passes, too, where its interval reaches chance.
    """
    chance, noise = _known(figure.chance), figure.value - _known(figure.low)
    highest = chance + MENTION_MARGIN
    if figure.source != MODEL_WRITTEN:  # of which nobody knows the facts
        highest = min(highest, (chance + _facts_said(measured).value) / 2)
    return round(max(highest, chance + noise), 4)


def _chance_within_interval(figure: Figure, measured: Measured) -> float:
    """Chance, and half of the interval above it."""
    return round(_known(figure.chance) + _known(figure.high) - figure.value, 4)


def _none(figure: Figure, measured: Measured) -> float:
    return 0.0


def _facts_said(measured: Measured) -> Figure:
    if "facts said" not in measured:
        raise ValueError("got figures of a text source without those of its facts; audit again")
    return measured["facts said"]


def _known(number: float | None) -> float:
    if number is None:
        raise ValueError("got a figure without chance or interval, expected both; audit again")
    return number


@dataclass(frozen=True)
class Bound:
    """The highest value that passes, of a test in ``sources``."""

    sources: tuple[str, ...]
    highest: Callable[[Figure, Measured], float]


# In SCIN people tick boxes, and an unticked box says nothing: which findings are mentioned is what
# was ticked, a fact and no gap in a record, and users of the page tick the same boxes. So there
# only the kinds of facts are bounded.
BOUNDS: dict[str, Bound] = {
    "text": Bound((*RENDERED, SYNTHETIC), _no_more_than_facts),
    "facts said and text": Bound((*RENDERED, SYNTHETIC), _no_more_than_facts),
    "kinds of facts mentioned": Bound((*RENDERED, SYNTHETIC), _little_by_mention),
    "facts mentioned": Bound(("pad_ufes_20", "milk10k"), _little_by_mention),
    "text length": Bound((*RENDERED, SYNTHETIC, MODEL_WRITTEN), _little_by_mention),
    "shuffled labels": Bound(SOURCES, _chance_within_interval),
    "texts with a name or code": Bound(SOURCES, _none),
    "texts of rows without facts": Bound(RENDERED, _none),
    "texts not as rendered": Bound(RENDERED, _none),
}


def judge(figures: Sequence[Figure]) -> list[Figure]:
    """The same figures with ``bound`` and ``passed`` by the rules of ``BOUNDS``."""
    judged = []
    for figure in figures:
        rule, bound = BOUNDS.get(figure.test), None
        if rule and figure.source in rule.sources:
            measured = {other.test: other for other in figures if other.source == figure.source}
            bound = rule.highest(figure, measured)
        passed = None if bound is None else bool(figure.value <= bound)
        judged.append(replace(figure, bound=bound, passed=passed))
    return judged


def problems(figures: Sequence[Figure], left_out: Mapping[str, str]) -> list[str]:
    """Every broken bound in words, and every bounded test that was not made."""
    broken = [
        f"{figure.source}: {figure.test} is {figure.value}, at most {figure.bound} passes"
        for figure in figures
        if figure.passed is False
    ]
    made = {(figure.source, figure.test) for figure in figures}
    missing = [
        f"{source}: {test} was not measured"
        for test, rule in BOUNDS.items()
        for source in rule.sources
        if source not in left_out and (source, test) not in made
    ]
    return broken + missing


# what is published -------------------------------------------------------------------------------

_WITHIN = ("source", "voice")  # tests within one condition; they have a table of their own


def results_table(figures: Sequence[Figure], left_out: Mapping[str, str]) -> str:
    """All figures as Markdown: balanced accuracies in per cent with intervals, and counts."""
    wide = [figure for figure in figures if figure.test not in _WITHIN]
    sources = list(dict.fromkeys(figure.source for figure in wide))
    tests = list(dict.fromkeys(figure.test for figure in wide))
    cells = {(figure.test, figure.source): _cell(figure) for figure in wide}
    base = {figure.source: figure for figure in reversed(wide) if figure.classes}  # the first
    lines = [
        f"| balanced accuracy from | {' | '.join(sources)} |",
        "|---" * (len(sources) + 1) + "|",
        "| (cases, conditions, chance) | "
        + " | ".join(
            f"{one.n}, {one.classes}, {100 * _known(one.chance):.1f}"
            for one in (base[source] for source in sources)
        )
        + " |",
    ]
    for test in tests:
        row = " | ".join(cells.get((test, source), "") for source in sources)
        lines.append(f"| {test} | {row} |")
    lines += [
        "",
        "| told apart | which | cases | chance | balanced accuracy |",
        "|---|---|---|---|---|",
    ]
    for figure in figures:
        if figure.test in _WITHIN:
            lines.append(
                f"| {figure.test}, {figure.note} | {figure.source} | {figure.n} "
                f"| {100 * _known(figure.chance):.1f} | {_cell(figure)} |"
            )
    if left_out:
        reasons = "; ".join(f"{source} ({reason})" for source, reason in left_out.items())
        lines += ["", f"Left out: {reasons}."]
    return "\n".join(lines)


def _cell(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return f"{figure.value:.0f} of {figure.n}" + _verdict(figure, 1)
    value, low, high = (100 * number for number in (figure.value, figure.low, figure.high))
    return f"{value:.1f} ({low:.1f}–{high:.1f})" + _verdict(figure, 100)


def _verdict(figure: Figure, scale: int) -> str:
    if figure.bound is None:
        return ""
    return f" {'≤' if figure.passed else '**broken:** >'} {scale * figure.bound:.{scale // 100}f}"


def read_figures(path: Path) -> tuple[list[Figure], dict[str, str]]:
    """The figures that `main` wrote, and why a source is left out.

    Raises:
        FileNotFoundError: there are none; says how to make them.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no audit at {path}; run `python -m training.audit --data DATA --out OUT` and then "
            "`python -m training.audit --out OUT --publish docs/text-audit.json --write-docs`"
        )
    published = json.loads(path.read_text(encoding="utf-8"))
    return [Figure(**figure) for figure in published["figures"]], published["left_out"]


def page_with_table(page: str, figures: Sequence[Figure], left_out: Mapping[str, str]) -> str:
    """A page with the table between its two markers renewed."""
    return between_markers(page, START, END, results_table(figures, left_out))


def check(committed: Path, page: Path) -> list[str]:
    """What is wrong with committed figures by today's bounds, and with the page that shows them.

    They must hold every source of REQUIRED: a source that is left out breaks no bound.
    """
    figures, left_out = read_figures(committed)
    judged = judge(figures)
    found = problems(judged, left_out)
    found += [
        f"{committed.name} leaves out {source} ({left_out[source]}); audit data that has it"
        for source in REQUIRED
        if source in left_out
    ]
    if judged != figures:
        found.append(f"{committed.name} was judged by other bounds; audit and publish again")
    text = page.read_text(encoding="utf-8")
    if page_with_table(text, judged, left_out) != text:
        found.append(f"{page.name} is older than {committed.name}; run --write-docs")
    return found


def main(config: AuditConfig, data: Path, out: Path) -> dict[str, object]:
    """Measure, write `OUT/audit/audit.json`, and return how many bounds hold.

    Raises:
        AuditFailed: a bound is broken. The figures are written all the same.
    """
    figures, left_out = measure(config, data)
    audit = {
        "config": asdict(config),
        "figures": [asdict(figure) for figure in figures],
        "left_out": left_out,
    }
    (out / NAME).mkdir(parents=True, exist_ok=True)
    write_whole(out / NAME / "audit.json", json.dumps(audit, indent=1) + "\n")
    if broken := problems(figures, left_out):
        raise AuditFailed(f"the leak audit found {len(broken)}:\n" + "\n".join(broken))
    return {
        "figures": len(figures),
        "bounds": sum(figure.passed is not None for figure in figures),
        "left_out": left_out,
    }


STAGE = Stage(NAME, main)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="what training.clean wrote: audit it")
    parser.add_argument("--out", type=Path, help="the run's folder")
    parser.add_argument("--publish", type=Path, metavar="FILE", help="copy OUT's figures there")
    parser.add_argument("--write-docs", action="store_true", help=f"renew the table of {PAGE.name}")
    parser.add_argument("--check", action="store_true", help="exit 1 if a committed figure is bad")
    options = parser.parse_args()
    if (options.data or options.publish) and not options.out:
        parser.error("--data and --publish need --out")
    broken: list[str] = []
    try:
        if options.data:  # anew each time, unlike a stage: the texts may have changed
            try:
                main(AuditConfig(), options.data, options.out)
            except AuditFailed as error:
                broken.append(str(error))
            print(results_table(*read_figures(options.out / NAME / "audit.json")))
        if options.publish:
            shutil.copyfile(options.out / NAME / "audit.json", options.publish)
        if options.write_docs:
            page = PAGE.read_text(encoding="utf-8")
            write_whole(PAGE, page_with_table(page, *read_figures(COMMITTED)))
        if options.check:
            broken += check(COMMITTED, PAGE)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    if broken:
        raise SystemExit("\n".join(broken))
