"""The tab Model in HTML: what the model is, its numbers as tables, its failures, its hashes.

All from the checkpoint: its metrics.json, card and identity. What is absent is "not measured".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from demo.content import model as content
from demo.render.measured import ROWS, enough
from demo.render.model_figures import (
    Interval,
    Metrics,
    measured_conditions,
    shown_map,
    shown_map_name,
)
from demo.render.pieces import percent, sentence
from dermmm import NOTICE, ModelIdentity
from dermmm.conditions import CONDITIONS

MOST_ERRORS, MOST_CONFUSED = 8, 12
# What stands before a part's name in the metrics' rows, by answer.
PARTS = {"image": "image only, ", "text": "text only, ", "fused": "both, true pairs, "}
CONTROL = "TF-IDF and logistic regression"
VIGNETTES = "vignettes (not of the test split)"
KINDS = ("clinical photos", "dermoscopic photos")
SKIN_TYPES = ("I–II", "III–IV", "V–VI")


# --- what it is -----------------------------------------------------------------------------------


def about(card: Mapping[str, Any]) -> str:
    """What the model is, and the conditions that it knows."""
    millions = sum(card["parameters"].values()) / 1e6
    words = content.ABOUT_WORDS.format(
        conditions=len(CONDITIONS),
        diseases=sum(one.group != "none" for one in CONDITIONS),
        parameters=f"{millions:.1f}",
    )
    groups = "".join(
        f"<div><dt>{escape(sentence(title))}</dt><dd>"
        f"{escape(', '.join(one.name for one in CONDITIONS if one.group == group))}</dd></div>"
        for group, title in content.GROUPS.items()
    )
    return (
        f'{_head(content.ABOUT, words)}<dl class="dm-facts">{groups}</dl>'
        f'<p class="dm-notice">{escape(NOTICE)}</p>'
    )


def use() -> str:
    """For whom it is, for whom not, and its known limits."""
    lists = "".join(
        f"<h3>{escape(title)}</h3><ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"
        for title, items in (
            (content.FOR_WHOM, content.FOR_WHOM_ITEMS),
            (content.NOT_FOR, content.NOT_FOR_ITEMS),
            (content.LIMITS, content.LIMITS_ITEMS),
        )
    )
    return f'<div class="dm-lists">{lists}</div>'


def data(metrics: Metrics) -> str:
    """The sources, and how many cases each gave for learning and for the test."""
    rows = metrics.get("rows", {})

    def learned(what: str, source: str) -> str:
        n = metrics.get("training", {}).get(source, {}).get(what)
        return content.NOT_COUNTED if n is None else f"{n:,}"

    def tested(answer: str, source: str) -> str:
        return f"{rows.get(f'{PARTS[answer]}{source}', {}).get('n', 0):,}"

    lines = [
        (
            f"<b>{escape(name)}</b>",
            escape(what),
            f"{escape(licence)}<br><small>{escape(credit)}</small>",
            learned("photos", source),
            learned("texts", source),
            tested("image", source),
            tested("text", source),
        )
        for source, (name, what, licence, credit) in content.SOURCES.items()
    ]
    words = content.DATA_WORDS.format(split=metrics.get("split", content.NOT_MEASURED))
    return _head(content.DATA, words) + _table(content.DATA_COLUMNS, lines, wide=True)


# --- how good it is -------------------------------------------------------------------------------


def glance(metrics: Metrics) -> str:
    """The balanced accuracy of the three answers beside chance, and what both together gain."""
    tiles = "".join(_tile(metrics, answer) for answer in content.ANSWERS)
    gain = metrics.get("differences", {}).get("both less the better single modality, true pairs")
    told = "" if gain is None else content.GAIN.format(**_points(gain["balanced_accuracy"]))
    told = f"{told} {_words_alone(metrics)}".strip()
    return (
        f'{_head(content.GLANCE, content.GLANCE_WORDS)}<div class="dm-tiles">{tiles}</div>'
        f"<p>{escape(told)}</p>{_small(content.GLANCE_NOTE)}"
    )


def _words_alone(metrics: Metrics) -> str:
    """How a plain count of words does beside the text encoder, where that was measured."""
    rows = metrics.get("rows", {})
    told = []
    if f"{CONTROL}, text only" in rows:
        plain = _share(rows[f"{CONTROL}, text only"]["balanced_accuracy"])
        told.append(content.CONTROL.format(plain=plain))
    if f"text only, {VIGNETTES}" in rows and f"{CONTROL}, {VIGNETTES}" in rows:
        row, other = (rows[f"{name}, {VIGNETTES}"] for name in ("text only", CONTROL))
        own, counted = row["balanced_accuracy"], other["balanced_accuracy"]
        told.append(content.VIGNETTES.format(n=row["n"], own=_share(own), plain=_share(counted)))
        if own["high"] < counted["low"]:
            told.append(content.MISLED)
    return " ".join(told)


def _tile(metrics: Metrics, answer: str) -> str:
    row = metrics.get("rows", {}).get(ROWS[answer], {"n": 0})
    head = f'<div class="dm-tile dm-{answer}"><h3>{escape(content.ANSWERS[answer])}</h3>'
    if not enough(row["n"], metrics):
        return f'{head}<p class="dm-score">{content.NOT_MEASURED}</p></div>'
    score, top3 = row["balanced_accuracy"], row["top3"]
    return (
        f'{head}<p class="dm-score">{score["value"]:.0%} <small>{_range(score)}</small></p>'
        f'<p class="dm-scale-of" aria-hidden="true" style="--low:{score["low"]:.3f};'
        f'--high:{score["high"]:.3f};--value:{score["value"]:.3f};--chance:{row["chance"]:.3f}">'
        f"<i></i><b></b><u></u></p>"
        f"<p>Chance: {row['chance']:.0%}. {row['n']:,} test cases of {row['conditions']} "
        f"conditions. Among the first three answers: {_share(top3)} of the cases.</p></div>"
    )


def conditions_head() -> str:
    """Title and words above the figure of the conditions."""
    return _head(content.CONDITIONS, content.CONDITIONS_WORDS)


def conditions(metrics: Metrics, answer: str) -> str:
    """What the figure of the conditions leaves out, and its numbers."""
    shown = measured_conditions(metrics, answer)
    counts = {
        one.name: metrics.get("measured", {}).get(one.name, {}).get(answer, 0)
        for one in CONDITIONS
        if one.name not in shown
    }
    few = ", ".join(f"{name} ({n})" for name, n in counts.items() if n)
    none = ", ".join(name for name, n in counts.items() if not n)
    notes = (few and content.TOO_FEW.format(least=metrics.get("measured_from"), names=few)) or ""
    notes += f" {content.NO_CASES.format(names=none)}" if none else ""
    lines = [
        (
            escape(sentence(name)),
            row["n"],
            _share(row["recall_interval"]),
            f"{row['top3']:.0%}",
            content.NOT_MEASURED if row["precision"] is None else f"{row['precision']:.0%}",
            escape(", ".join(f"{other} ({n})" for other, n in [*row["confusions"].items()][:2])),
        )
        for name, row in shown.items()
    ]
    return _small(notes) + _numbers(content.CONDITION_COLUMNS, lines)


def confused(metrics: Metrics, answer: str) -> str:
    """The commonest pairs of a condition and the wrong answer to it."""
    found = metrics.get("by_condition", {}).get(ROWS[answer], {})
    pairs = sorted(
        (
            (count, row["n"], truth, other)
            for truth, row in found.items()
            for other, count in row["confusions"].items()
        ),
        key=lambda pair: -pair[0],
    )
    lines = "".join(
        f'<li><b>{count}</b> <span style="--d:{count / n:.3f}">'
        f"{escape(content.CONFUSED_LINE.format(n=n, truth=truth, answer=other))}</span></li>"
        for count, n, truth, other in pairs[:MOST_CONFUSED]
    )
    lines = lines or f"<li>{escape(content.NO_MISTAKES)}</li>"
    return f'<h3>{escape(content.CONFUSED)}</h3><ol class="dm-mistakes">{lines}</ol>'


def source_rows(metrics: Metrics) -> dict[str, tuple[str, str]]:
    """Rows of the metrics that hold one source: row -> (label, answer)."""
    return {
        row: (f"{content.SOURCES[source][0]}, {content.SHORT[answer]}", answer)
        for answer, start in PARTS.items()
        for source in content.SOURCES
        if (row := f"{start}{source}") in metrics.get("rows", {})
    }


def skin_rows(metrics: Metrics) -> dict[str, tuple[str, str]]:
    """Rows of the metrics by skin type and kind of photo: row -> (label, answer)."""
    start = PARTS["image"]
    rows = {f"{start}skin type {name}": content.SKIN_ROW.format(name) for name in SKIN_TYPES}
    rows |= {f"{start}{kind}": sentence(kind) for kind in KINDS}
    return {row: (label, "image") for row, label in rows.items() if row in metrics.get("rows", {})}


def sources_head() -> str:
    """Title and words above the figure of the sources."""
    return _head(content.BY_SOURCE, content.BY_SOURCE_WORDS)


def skin_head() -> str:
    """Title and words above the figure of skin types and kinds of photos."""
    return _head(content.BY_SKIN, content.BY_SKIN_WORDS)


def parts(metrics: Metrics, rows: Mapping[str, tuple[str, str]]) -> str:
    """The numbers of some rows of the metrics: row -> (label, answer)."""
    lines = []
    for name, (label, _) in rows.items():
        row = metrics["rows"][name]
        cells: tuple[object, ...] = (content.NOT_MEASURED, content.NOT_MEASURED)
        if enough(row["n"], metrics):
            cells = (_share(row["balanced_accuracy"]), _share(row["top3"]))
        lines.append((escape(label), row["n"], row["conditions"], f"{row['chance']:.0%}", *cells))
    return _numbers(content.ROW_COLUMNS, lines)


def skin_gap(metrics: Metrics) -> str:
    """How much worse dark skin fares than light skin, or why that is not measured."""
    told = []
    for where, found in metrics.get("skin_type_gap", {}).items():
        light, dark = found["n"]
        if found["gap"] is None:
            words = content.GAP["untold"]
            values: dict[str, Any] = {"least": metrics["measured_from"]}
        else:
            words = content.GAP["told"]
            values = {**_points(found["gap"]), "conditions": ", ".join(found["conditions"])}
        told.append(words.format(where=where, light=light, dark=dark, **values))
    return "".join(f"<p>{escape(one)}</p>" for one in told) + (
        _small(content.GAP_NOTE) if told else ""
    )


# --- calibration and abstention -------------------------------------------------------------------


def reliability_head() -> str:
    """Title and words above the reliability diagram."""
    return _head(content.RELIABILITY, content.RELIABILITY_WORDS)


def reliability(metrics: Metrics) -> str:
    """The calibration error of each answer, and the numbers of the diagram."""
    errors = "; ".join(
        f"{content.ANSWERS[answer].lower()} {row['ece_interval']['value']:.3f} "
        f"({row['ece_interval']['low']:.3f}–{row['ece_interval']['high']:.3f})"
        for answer in content.ANSWERS
        if enough((row := metrics["rows"].get(ROWS[answer], {"n": 0}))["n"], metrics)
    )
    lines = [
        (
            escape(content.ANSWERS[answer]),
            f"{100 * band['low']:.0f}–{100 * band['high']:.0f}%",
            band["n"],
            band["right"],
            f"{100 * band['right'] / band['n']:.0f}"
            if enough(band["n"], metrics)
            else content.NOT_MEASURED,
        )
        for answer, bands in metrics["reliability"].items()
        for band in bands
    ]
    return (
        f"<p>{escape(content.ECE.format(values=errors))}</p>"
        + _small(content.RELIABILITY_NOTE.format(least=metrics["measured_from"]))
        + _numbers(content.RELIABILITY_COLUMNS, lines)
    )


def risk_head() -> str:
    """Title and words above the figure of risk and coverage."""
    return _head(content.RISK, content.RISK_WORDS)


def risk(study: Metrics, chosen: float) -> str:
    """What answering only the chosen share (0..1) of the cases gives, for each answer."""
    shares: Sequence[float] = study["shares"]
    place = min(range(len(shares)), key=lambda index: abs(shares[index] - chosen))
    lines = [
        (
            escape(content.ANSWERS[answer]),
            f"{round(shares[place] * found['n']):,} of {found['n']:,}",
            f"<b>{found['accuracy'][place]['value']:.0%}</b> "
            f'<span class="dm-nowrap">{_range(found["accuracy"][place])}</span>',
            f"{found['accuracy'][-1]['value']:.0%}",
        )
        for answer, found in study["risk"].items()
    ]
    return f'<div aria-live="polite">{_table(content.RISK_COLUMNS, lines)}</div>'


# --- gate and maps --------------------------------------------------------------------------------


def gate_head(study: Metrics) -> str:
    """Title and words above the figure of the gate."""
    return _head(content.GATE, content.GATE_WORDS.format(cases=study["cases"]))


def gate(study: Metrics) -> str:
    """What the gate does, in sentences and numbers."""
    spread = study["range"]
    claims = " ".join(
        words[0] if study["page"][claim] else words[1]
        for claim, words in content.GATE_CLAIMS.items()
        if claim in study["page"]
    )
    ranges = content.GATE_RANGE.format(
        cases=f"{spread['cases']:,}", p05=f"{spread['p05']:.0%}", p95=f"{spread['p95']:.0%}"
    )
    auroc = study["tells_who_is_right"]["auroc"]
    who = content.WHO["untold"]
    if isinstance(auroc, Mapping):  # else the words "not measured"
        who = content.WHO["told"].format(**{key: f"{value:.2f}" for key, value in auroc.items()})
    lines = [
        (
            escape(sentence(content.GATE_KINDS.get(kind, kind))),
            _share(found["gate"][0]),
            _share(found["gate"][-1]),
            "{value} ({low} to {high})".format(**_points(found["moved"])),
            f"{found['right'][0]['value']:.0%}, {found['right'][-1]['value']:.0%}",
        )
        for kind, found in study["kinds"].items()
    ]
    return f"<p><b>{escape(claims)}</b> {escape(ranges)} {escape(who)}</p>" + _numbers(
        content.GATE_COLUMNS, lines
    )


def attention_head() -> str:
    """Title and words above the figure of maps and word weights."""
    return _head(content.ATTENTION, content.ATTENTION_WORDS)


def attention(study: Metrics) -> str:
    """Whether maps and words beat random order, in words and numbers."""
    lines, untrained = [], []
    for name, question in study["questions"].items():
        found = shown_map(question)
        title = content.QUESTIONS.get(name, name)
        cells = (
            f"<b>{content.BEATS[not found[way]['beats random']]}</b><br>"
            f"{_difference(found[way]['less random'])}"
            for way in ("deletion", "insertion")
        )
        lines.append((escape(title), question["cases"], *cells))
        alike = question["random weights"][shown_map_name(question)]["value"]
        untrained.append(f"{title.lower()} {_signed(alike, 2)}")
    return (
        _table(content.ATTENTION_COLUMNS, lines, wide=True)
        + _small(content.ATTENTION_NOTE)
        + _small(content.WITHOUT_TRAINING.format(values="; ".join(untrained)))
    )


def folds_head(study: Metrics) -> str:
    """Title and words above the figure of PAD-UFES-20."""
    n = max(row["n"] for row in study["rows"].values())
    return _head(content.FOLDS, content.FOLDS_WORDS.format(n=f"{n:,}", patients=study["patients"]))


def folds(study: Metrics) -> str:
    """The numbers of PAD-UFES-20 out of fold."""
    lines = [
        (
            escape(sentence(name)),
            *(_share(row[key]) for key in ("balanced_accuracy", "top1", "top3")),
        )
        for name, row in study["rows"].items()
    ]
    return _numbers(content.FOLDS_COLUMNS, lines)


# --- failures and versions ------------------------------------------------------------------------


def failures_head() -> str:
    """Title and words above the failures."""
    return _head(content.FAILURES, content.FAILURES_WORDS)


def failures(metrics: Metrics, answer: str) -> str:
    """The surest wrong answers."""
    found = metrics.get("errors", {}).get(answer, [])
    lines = [
        (
            f"<b>{escape(percent(one['probability']))}</b>",
            escape(sentence(one["answer"])),
            escape(sentence(one["truth"])),
            f"{escape(content.SOURCES.get(one['source'], (one['source'],))[0])}"
            f"<br><small>{escape(one['id'].partition(':')[2])}</small>",
        )
        for one in found[:MOST_ERRORS]
    ]
    if not lines:
        return _small(content.MISSING)
    return f"<h3>{escape(content.ERRORS)}</h3>{_table(content.ERROR_COLUMNS, lines, wide=True)}"


def version(identity: ModelIdentity, card: Mapping[str, Any]) -> str:
    """Version, hashes and licences, and where the whole model card is."""
    sizes = ", ".join(
        f"{content.PARTS.get(part, part)} {n / 1e6:.1f} million"
        for part, n in card["parameters"].items()
    )
    values = {
        "version": identity.version,
        "sha256": identity.sha256,
        **card["licence"],
        **card["provenance"],
        "image_size": f"{card['image_size']} × {card['image_size']} pixels",
        "max_tokens": f"{card['max_tokens']} tokens",
        "parameters": sizes,
    }
    rows = "".join(
        f"<div><dt>{escape(title)}</dt><dd>{_code(str(values[key]))}</dd></div>"
        for key, title in content.VERSION_ROWS.items()
        if key in values
    )
    return (
        f"<h2>{escape(content.VERSION)}</h2>"
        f'<dl class="dm-facts">{rows}</dl><p>{escape(content.CARD)}</p>'
    )


def contents() -> str:
    """Links to the cards of this long tab."""
    links = "".join(
        f'<a href="#model-{name}-card">{escape(title)}</a>' for name, title in content.CARDS.items()
    )
    return f'<nav class="dm-contents" aria-label="{escape(content.CONTENTS)}">{links}</nav>'


def missing(title: str) -> str:
    """In the place of a result that there is none of."""
    return f"<h2>{escape(title)}</h2>{_small(content.MISSING)}"


# --- pieces ---------------------------------------------------------------------------------------


def _head(title: str, words: str) -> str:
    return f"<h2>{escape(title)}</h2><p>{escape(words)}</p>"


def _small(words: str) -> str:
    return f'<p class="dm-small">{escape(words.strip())}</p>' if words.strip() else ""


def _numbers(columns: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A figure's numbers, folded away."""
    return (
        f'<details class="dm-numbers"><summary>{content.NUMBERS}</summary>'
        f"{_table(columns, lines, wide=True)}</details>"
    )


def _table(columns: Sequence[str], lines: Iterable[Sequence[object]], wide: bool = False) -> str:
    """A table; the first cell of a line is its head. Cells are HTML.

    A ``wide`` one is a list of its lines on a phone, each cell with its column's name.
    """
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row">{first}</th>'
        + "".join(
            f'<td data-column="{escape(column)}">{cell}</td>'
            for column, cell in zip(columns[1:], rest, strict=True)
        )
        + "</tr>"
        for first, *rest in lines
    )
    return (
        f'<table class="dm-table{" dm-wide" if wide else ""}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _code(value: str) -> str:
    """Hashes as code; the rest as it is."""
    plain = escape(value)
    is_hash = len(value) >= 40 and " " not in value
    return f"<code>{plain}</code>" if is_hash else plain


def _range(interval: Interval) -> str:
    return f"({100 * interval['low']:.0f}–{100 * interval['high']:.0f})"


def _share(interval: Interval) -> str:
    return f"{interval['value']:.0%} {_range(interval)}"


def _signed(value: float, digits: int) -> str:
    written = f"{value:+.{digits}f}"
    return (written[1:] if float(written) == 0 else written).replace("-", "−")


def _points(interval: Interval) -> dict[str, str]:
    """A difference of shares in percentage points."""
    return {key: _signed(100 * interval[key], 0) for key in ("value", "low", "high")}


def _difference(interval: Interval) -> str:
    value, low, high = (_signed(interval[key], 3) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
