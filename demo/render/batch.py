"""The tab Batch: how far it is, what came out, the table of answers.

Case names and errors hold what a user wrote: all of it is escaped.
"""

from __future__ import annotations

import base64
import csv
import io
from collections import Counter
from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from demo.content import batch as content
from demo.content.examine import CAUTION_TITLES
from demo.render.pieces import COLOURS, NEUTRAL, percent, sentence, wrapped
from dermmm.batch import COLUMNS, TOP, Answer, write

BOM = "\ufeff"  # by which spreadsheets know UTF-8
CAUTIOUS = "#d55e00"  # Okabe and Ito's vermilion


def template() -> str:
    """A link to a table that shows how a table of cases looks."""
    file = io.StringIO(newline="")
    csv.writer(file).writerows([COLUMNS, *content.TEMPLATE_ROWS])
    return download(content.TEMPLATE, content.TEMPLATE_FILE, BOM + file.getvalue())


def as_csv(conditions: Sequence[str], answers: Sequence[Answer]) -> str:
    """The table of answers as the command line writes it."""
    file = io.StringIO(newline="")
    write(file, conditions, answers)
    return file.getvalue()


def download(label: str, name: str, text: str) -> str:
    """A link that saves a CSV. It holds the file, so that none has to lie on the server."""
    data = base64.b64encode(text.encode()).decode()
    return (
        f'<a class="dm-download" download="{escape(name)}" '
        f'href="data:text/csv;charset=utf-8;base64,{data}">{escape(label)}</a>'
    )


# --- states ---------------------------------------------------------------------------------------


def empty() -> str:
    """What stands in the place of the answers before the first table."""
    steps = "".join(
        f"<li><b>{escape(title)}</b> {escape(words)}</li>" for title, words in content.EMPTY_STEPS
    )
    return (
        f'<section class="dm-card dm-state"><h2>{content.EMPTY_TITLE}</h2>'
        f'<ol class="dm-steps">{steps}</ol></section>'
    )


def progress(done: int = 0, total: int | None = None) -> str:
    """How many rows are answered; of an unknown number while the table is being read."""
    title = content.READING if total is None else content.RUNNING
    count = "" if total is None else content.COUNT.format(done=done, total=total)
    value = "" if total is None else f' value="{done}" max="{max(total, 1)}"'
    return (
        f'<section class="dm-card dm-state" role="status"><h2>{title} …</h2>'
        f'<progress class="dm-progress" aria-label="{title}"{value}></progress>'
        f'<p class="dm-count">{count}</p></section>'
    )


def stopped() -> str:
    """The state after a stop."""
    return (
        f'<section class="dm-card dm-state" role="status"><h2>{content.STOPPED_TITLE}</h2>'
        f"<p>{content.STOPPED}</p></section>"
    )


def failure(message: str) -> str:
    """Why the table was not answered, and what to do."""
    return (
        f'<section class="dm-card dm-state dm-failure" role="alert"><h2>{content.FAILED}</h2>'
        f"<p>{escape(message)}</p></section>"
    )


# --- results --------------------------------------------------------------------------------------


def summary(conditions: Sequence[str], answers: Sequence[Answer]) -> str:
    """Counts, why the model abstained, and the link to the table of answers."""
    predictions = [answer.prediction for answer in answers if answer.prediction is not None]
    cautious = sum(prediction.abstains for prediction in predictions)
    tiles = (
        ("fused", "✓", len(predictions) - cautious, content.ANSWERED),
        ("cautious", "!", cautious, content.ABSTAINED),
        ("error", "×", len(answers) - len(predictions), content.ERRORS),
    )
    counts = "".join(
        f'<li class="dm-tally dm-{key}"><i aria-hidden="true">{mark}</i><b>{count}</b> {label}</li>'
        for key, mark, count, label in tiles
    )
    return (
        f'<section class="dm-card" aria-live="polite"><h2>{content.SUMMARY}: '
        f"{len(answers)} {content.ROWS}</h2>"
        f'<ul class="dm-tallies">{counts}</ul>{reasons(answers)}'
        f"<p>{download(content.DOWNLOAD, content.DOWNLOAD_FILE, BOM + as_csv(conditions, answers))}"
        f'</p><p class="dm-small">{content.DOWNLOAD_HELP}</p></section>'
    )


def reasons(answers: Sequence[Answer]) -> str:
    """How many rows have each reason to abstain, the commonest first."""
    found = Counter(
        caution
        for answer in answers
        if answer.prediction is not None
        for caution in answer.prediction.cautions
    )
    if not found:
        return f'<p class="dm-small">{content.NO_REASONS}</p>'
    most = max(found.values())
    rows = "".join(
        f'<li style="--p:{count / most:.4f}"><span>{escape(_titled(name))}</span><b>{count}</b>'
        f'<span class="dm-bar" aria-hidden="true"></span></li>'
        for name, count in found.most_common()
    )
    return (
        f'<h3>{content.REASONS}</h3><ul class="dm-reasons">{rows}</ul>'
        f'<p class="dm-small">{content.REASONS_HELP}</p>'
    )


def chart(answers: Sequence[Answer]) -> go.Figure:
    """How many rows have each condition in first place, and in how many of them it abstains."""
    sure: Counter[str] = Counter()
    cautious: Counter[str] = Counter()
    for answer in answers:
        if answer.prediction is not None:
            kind = cautious if answer.prediction.abstains else sure
            kind[answer.prediction.top(1)[0][0]] += 1
    both = (sure + cautious).most_common()
    names = [name for name, _ in both]
    few = bool(both) and both[0][1] < 6  # plotly would write the same whole number twice
    figure = go.Figure()
    for counts, label, colour, pattern in (
        (sure, content.CHART_NAMES[0], COLOURS["fused"], ""),
        (cautious, content.CHART_NAMES[1], CAUTIOUS, "/"),
    ):
        figure.add_bar(
            orientation="h",
            name=label,
            y=[wrapped(sentence(name)) for name in names],
            x=[counts[name] for name in names],
            text=[str(counts[name] or "") for name in names],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            marker={
                "color": colour,
                "pattern": {"shape": pattern, "fgcolor": "rgba(255,255,255,0.35)", "size": 6},
                "line": {"width": 0},
            },
            hovertemplate=f"%{{y}}<br>{label}: %{{x}}<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        bargap=0.35,
        height=110 + 38 * len(names),
        margin={"l": 8, "r": 16, "t": 44, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": NEUTRAL, "size": 13, "family": "ui-sans-serif, system-ui, sans-serif"},
        legend={
            "orientation": "h",
            "x": 0,
            "xref": "container",
            "y": 1,
            "yanchor": "top",
            "yref": "container",
            "traceorder": "normal",
            "itemclick": False,
            "itemdoubleclick": False,
        },
        dragmode=False,
    )
    figure.update_xaxes(
        title_text=content.CHART_AXIS,
        rangemode="tozero",
        tickformat="d",
        nticks=6,
        dtick=1 if few else None,
        gridcolor="rgba(124,135,152,0.25)",
        zeroline=False,
        fixedrange=True,
    )
    figure.update_yaxes(autorange="reversed", automargin=True, fixedrange=True, ticklabelstandoff=8)
    return figure


def table(answers: Sequence[Answer]) -> str:
    """A row a case, sorted by its headings: each cell carries the value it is sorted by."""
    headings = "".join(
        f'<th scope="col"{sorted_}><button type="button" class="dm-sort">{name}</button></th>'
        for name, sorted_ in zip(
            content.HEADINGS, (' aria-sort="ascending"', *[""] * 6), strict=True
        )
    )
    rows = "".join(_row(place, answer) for place, answer in enumerate(answers, start=1))
    return (
        f'<section class="dm-card"><h2>{content.RESULTS}</h2>'
        f'<p class="dm-small">{content.RESULTS_HELP}</p>'
        f'<table class="dm-table dm-batch"><thead><tr>{headings}</tr></thead>'
        f"<tbody>{rows}</tbody></table></section>"
    )


def _row(place: int, answer: Answer) -> str:
    case = escape(answer.row.case_id) or f"<i>{content.NO_NAME}</i>"
    cells: list[tuple[str, str | float]] = [
        (str(place), place),
        (case, answer.row.case_id.casefold()),
    ]
    prediction = answer.prediction
    if prediction is None:
        cells += [("", "")] * 4
        remark, kind = f"× {escape(answer.error)}", "dm-error"
    else:
        (first, p), *others = prediction.top(TOP)
        then = ", ".join(f"{escape(name)} {escape(percent(q))}" for name, q in others)
        cells += [
            (escape(sentence(first)), first),
            (escape(percent(p)), p),
            (then, then),
            (f"{prediction.gate.image:.0%}", prediction.gate.image),
        ]
        remark = "; ".join(escape(_titled(caution)) for caution in prediction.cautions)
        remark, kind = (f"! {remark}", "dm-cautious") if remark else ("", "")
    cells.append((remark, remark))
    return (
        f'<tr class="{kind}">'
        + "".join(
            f'<td data-label="{label}" data-sort="{escape(str(value))}">{html}</td>'
            for label, (html, value) in zip(content.HEADINGS, cells, strict=True)
        )
        + "</tr>"
    )


def _titled(caution: str) -> str:
    return CAUTION_TITLES.get(caution, sentence(caution))
