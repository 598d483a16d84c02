"""The tab Teach: the case, the three stages of a round, the model's answer, and the score.

Before a learner commits, nothing here holds the truth or anything of the model: a case is shown
by its photo's pixels and its text; its id and its file's name stay on the server.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

import plotly.graph_objects as go

from demo.cases import Case
from demo.content import teach as content
from demo.render import answer, look
from demo.render.frequency import frequency
from demo.render.pieces import COLOURS, NEUTRAL, data_uri, percent, sentence
from demo.rounds import (
    CONFIDENCES,
    MAX_CHOICES,
    Point,
    Round,
    confusions,
    influence,
    learner_calibration,
    model_calibration,
    score,
    to_csv,
)
from dermmm import Prediction
from dermmm.conditions import CONDITIONS

DESCRIPTIONS = {condition.name: condition.description for condition in CONDITIONS}
RANKED = 5  # conditions of the model's list


# the case and the three stages -------------------------------------------------------------------


def bar(title: str, number: int, answered: int, cases: int) -> str:
    """Where the learner stands in a set, and the link that opens it. ``number`` counts from 1."""
    where = f"Case {number} of {cases}" if number <= cases else f"All {cases} cases answered"
    return (
        f'<div class="dm-teach-bar"><p class="dm-stand"><b>{where}</b>'
        f'<span class="dm-stand-track" aria-hidden="true"><i style="--p:{answered / cases:.4f}">'
        f'</i></span></p><details class="dm-link" data-set="{escape(quote(title))}">'
        f"<summary>{content.LINK}</summary><label>{content.LINK_LABEL}"
        f'<input type="text" readonly></label>'
        f'<span role="status" data-said="{content.LINK_COPIED}"></span></details></div>'
    )


def case(shown: Case) -> str:
    """A case without its truth: photo or drawing, text, credit."""
    parts = []
    picture = shown.picture()
    if picture is not None:
        alt = content.DRAWING_ALT if shown.made_up else content.CASE_ALT
        credit = (
            f"{content.CREDIT}: {escape(shown.credit)}. {content.LICENCE}: {escape(shown.licence)}."
        )
        parts.append(
            f'<figure class="dm-figure"><img src="{data_uri(picture, "JPEG")}" alt="{alt}">'
            f'<figcaption class="dm-small">{credit}</figcaption></figure>'
        )
    if shown.text:
        parts.append(f'<blockquote class="dm-told">{escape(shown.text)}</blockquote>')
        if picture is None and shown.credit:
            parts.append(f'<p class="dm-small">{content.CREDIT}: {escape(shown.credit)}.</p>')
    if shown.made_up:
        parts.append(f'<p class="dm-small">{content.MADE_UP}</p>')
    return f'<section class="dm-card dm-case"><h2>{content.CASE}</h2>{"".join(parts)}</section>'


def commit(
    number: int, chosen: Sequence[str] = (), confidence: int | None = None, problem: str = ""
) -> str:
    """The first stage: the learner's own answer, before the model is asked.

    ``number`` is the case's place in its set, from 1. ``chosen`` and ``confidence`` are what was
    answered before a ``problem`` came up.
    """
    levels = "".join(
        f'<label><input type="radio" name="dm-confidence" value="{level}"'
        f"{' checked' if level == confidence else ''}>"
        f"<span><b>{level}%</b> {content.CONFIDENCE_WORDS[level]}</span></label>"
        for level in CONFIDENCES
    )
    failure = f'<p class="dm-problem" role="alert">{escape(problem)}</p>' if problem else ""
    return _stage(
        1,
        number,
        f"<h2>{content.COMMIT_TITLE}</h2>{failure}"
        f'<p class="dm-small dm-hint">{content.COMMIT_HELP}</p>{_slots()}{_picker()}'
        f'<fieldset class="dm-confidence"><legend>{content.CONFIDENCE}</legend>'
        f"<div>{levels}</div></fieldset>"
        f'<div class="dm-send"><button type="button" class="dm-button" data-send="commit" disabled>'
        f'{content.COMMIT}</button><span class="dm-small" data-missing>{content.COMMIT_MISSING}'
        f'</span></div><p class="dm-small dm-keys">{content.KEYS}</p>',
        chosen,
    )


def loading(number: int) -> str:
    """While the model works on the case."""
    return _stage(
        2,
        number,
        f'<h2 role="status">{content.LOADING} …</h2><div aria-hidden="true">'
        '<span class="dm-ghost"></span></div>',
    )


def settle(number: int, one: Round) -> str:
    """The second stage: the model's ranking, and the learner's answer to keep or to change."""
    ranking = "".join(
        f"<li>{escape(sentence(name))}"
        + (f" <b>{escape(percent(one.probability))}</b>" if rank == 0 else "")
        + "</li>"
        for rank, name in enumerate(one.model)
    )
    says = (
        f"{content.MODEL_ABSTAINS} {content.MODEL_WOULD}" if one.abstained else content.MODEL_SAYS
    )
    return _stage(
        2,
        number,
        f"<h2>{content.SETTLE_TITLE}</h2>"
        f'<p class="dm-small dm-hint">{content.SETTLE_HELP}</p>'
        f'<div class="dm-says"><h3>{says}</h3><ol>{ranking}</ol></div>'
        f"<h3>{content.YOURS}</h3>{_slots()}"
        f'<div class="dm-send"><button type="button" class="dm-button" data-send="settle" '
        f'data-keep="{content.KEEP}" data-changed="{content.CHANGED}">{content.KEEP}</button></div>'
        f'<details class="dm-rethink"><summary>{content.CHANGE}</summary>{_picker()}</details>',
        one.first,
    )


def truth(number: int, one: Round, last: bool) -> str:
    """The third stage: what it is, what it teaches, and who was right."""
    truth_ = one.case.condition
    drawn = one.case.made_up and one.case.image is not None
    point = (
        f'<p class="dm-point"><b>{content.POINT}.</b> {escape(one.case.point)}</p>'
        if one.case.point
        else ""
    )
    rows = "".join(
        f"<tr><th scope='row'>{label}</th><td>{_ranking(getattr(one, who), truth_)}</td>"
        f"<td>{_mark(one, who)}</td></tr>"
        for who, label in content.WHO.items()
    )
    return _stage(
        3,
        number,
        f"<h2>{content.TRUTH_DRAWN if drawn else content.TRUTH}: "
        f"<strong>{escape(sentence(truth_))}</strong></h2>"
        f'<p class="dm-small dm-hint">{escape(DESCRIPTIONS[truth_])}</p>{point}'
        f'<table class="dm-table dm-verdict"><tbody>{rows}</tbody></table>'
        f'<div class="dm-send"><button type="button" class="dm-button" data-send="advance">'
        f"{content.LAST if last else content.NEXT} <kbd>N</kbd></button></div>",
    )


def done() -> str:
    """A set without a case that is left."""
    return (
        f'<section class="dm-card dm-round" tabindex="-1"><h2>{content.DONE_TITLE}</h2>'
        f"<p>{content.DONE_HELP}</p></section>"
    )


def _stage(stage: int, number: int, body: str, chosen: Sequence[str] = ()) -> str:
    """A card with the three stages on top; ``chosen`` is what the script starts with."""
    steps = "".join(
        f"<li{' aria-current=step' if place == stage else ''}>{name}</li>"
        for place, name in enumerate(content.STAGES, start=1)
    )
    return (
        f'<section class="dm-card dm-round" tabindex="-1" aria-label="{content.STAGES[stage - 1]}" '
        f'data-stage="{stage}" data-round="{number}" '
        f'data-chosen="{escape(json.dumps(list(chosen)))}">'
        f'<ol class="dm-stages">{steps}</ol>{body}</section>'
    )


def _slots() -> str:
    """Three places for the learner's choices, filled by the script; a press empties one."""
    places = "".join(
        f'<li><span>{content.RANKS[rank]}</span><button type="button" class="dm-slot" '
        f'data-rank="{rank}" title="{content.REMOVE}" disabled>–</button></li>'
        for rank in range(MAX_CHOICES)
    )
    return f'<ol class="dm-slots" aria-live="polite">{places}</ol>'


def _picker() -> str:
    """All conditions as numbered buttons by group, and a field that narrows them down."""
    groups = []
    for group, title in content.GROUPS.items():
        buttons = "".join(
            f'<button type="button" class="dm-pill" aria-pressed="false" data-number="{number}" '
            f'data-name="{escape(condition.name)}" '
            f'data-synonyms="{escape(" | ".join(condition.synonyms).lower())}">'
            f"<i>{number}</i>{escape(condition.name)}</button>"
            for number, condition in enumerate(CONDITIONS, start=1)
            if condition.group == group
        )
        groups.append(
            f'<div class="dm-group" role="group" aria-label="{title}"><span>{title}</span>'
            f"<div>{buttons}</div></div>"
        )
    return (
        f'<div class="dm-choosing"><label>{content.SEARCH}<input type="text" class="dm-search" '
        f'placeholder="{content.SEARCH_HINT}" autocomplete="off" autocapitalize="off" '
        f'spellcheck="false"></label>{"".join(groups)}</div>'
    )


def _ranking(names: Sequence[str], truth_: str) -> str:
    """Names in order, the true one in bold."""
    shown = [
        f"<b>{escape(sentence(name))}</b>" if name == truth_ else escape(sentence(name))
        for name in names
    ]
    return f"<ol>{''.join(f'<li>{name}</li>' for name in shown)}</ol>"


def _mark(one: Round, who: str) -> str:
    """Right, among the three, or wrong: a sign and the word."""
    if one.right(who):
        return f'<span class="dm-was-right">✓ {content.RIGHT}</span>'
    if one.right(who, MAX_CHOICES):
        return f'<span class="dm-was-among">≈ {content.AMONG}</span>'
    return f'<span class="dm-was-wrong">✗ {content.WRONG}</span>'


# the model's answer ------------------------------------------------------------------------------


def model(prediction: Prediction, metrics: Mapping[str, Any]) -> str:
    """The differential with how far to believe it and cautions, the gate, and where it looked.

    ``metrics`` is the checkpoint's metrics.json. Where the model abstains, its ranking is shown all
    the same, under the reasons: the learner has answered, and sees what the model would have said.
    """
    top = [(name, p) for name, p in prediction.top(RANKED) if not math.isnan(p)]
    reasons = "".join(map(answer.caution, prediction.cautions))
    alone = answer.both_alone(prediction) if "modalities disagree" in prediction.cautions else ""
    abstains = (
        f'<h3>{content.MODEL_ABSTAINS}</h3><ul class="dm-cautions">{reasons}</ul>'
        f"{alone}<h3>{content.MODEL_WOULD}</h3>"
        if reasons
        else ""
    )
    ranking = (
        f'<section class="dm-card"><h2>{content.MODEL}</h2>'
        f"{abstains}{answer.ranking(top, 'fused', about=False)}"
        f'<p class="dm-small">{content.MODEL_PROBABILITY}</p>{frequency(prediction, metrics)}'
        f'<p class="dm-notice">{escape(prediction.notice)}</p></section>'
    )
    # A photo with its map is as high as the ranking and the gate together; words are not.
    left, right = [ranking], [look.look(prediction)]
    (right if prediction.by_modality["image"] is None else left).append(answer.gate(prediction))
    return (
        f'<div class="dm-teach-model"><div>{"".join(left)}</div><div>{"".join(right)}</div></div>'
    )


# the score ---------------------------------------------------------------------------------------


def tables(rounds: Sequence[Round]) -> str:
    """Scores of learner and model, and what the model's answer did to the learner's."""
    n = len(rounds)
    scores = "".join(
        f"<tr><th scope='row'>{label}</th>"
        + "".join(f"<td>{_of(right, n)}</td>" for right in (result.top1, result.top3))
        + "</tr>"
        for who, label in content.SCORE_ROWS.items()
        for result in [score(rounds, who)]
    )
    abstained = sum(one.abstained for one in rounds)
    swayed = influence(rounds)
    sways = "".join(
        f"<tr><th scope='row'>{label}</th><td>{sway.cases}</td><td>{_of(sway.taken, sway.cases)}"
        "</td></tr>"
        for kind, label in content.INFLUENCE_ROWS.items()
        for sway in [getattr(swayed, kind)]
    )
    help_ = content.SCORE_HELP.format(n=n)
    if abstained:
        help_ += " " + content.ABSTAINED.format(n=abstained)
    return (
        f'<section class="dm-card"><h2>{content.SCORE}</h2>'
        f"{_table(content.SCORE_COLUMNS, scores)}"
        f'<p class="dm-small">{help_}</p></section>'
        f'<section class="dm-card"><h2>{content.INFLUENCE}</h2>'
        f"{_table(content.INFLUENCE_COLUMNS, sways)}"
        f'<p class="dm-small">{content.INFLUENCE_AGREED.format(agreed=swayed.agreed, n=n)} '
        f"{content.INFLUENCE_HELP}</p></section>"
    )


def calibration(rounds: Sequence[Round]) -> go.Figure:
    """How sure learner and model were against how often they were right, with n at each point."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        name=content.CALIBRATION_IDEAL,
        line={"color": NEUTRAL, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
    )
    for name, points, colour, symbol, side in (
        (content.CALIBRATION_LEARNER, learner_calibration(rounds), "image", "circle", "top center"),
        (content.CALIBRATION_MODEL, model_calibration(rounds), "fused", "diamond", "bottom center"),
    ):
        figure.add_scatter(
            x=[point.confidence for point in points],
            y=[point.right for point in points],
            text=[str(point.n) for point in points],
            customdata=[_told(point) for point in points],
            mode="markers+lines+text",
            name=name,
            textposition=side,
            cliponaxis=False,
            line={"color": COLOURS[colour], "width": 2},
            marker={"color": COLOURS[colour], "symbol": symbol, "size": 12},
            hovertemplate=f"{name}<br>%{{customdata}}<extra></extra>",
        )
    figure.update_layout(
        height=360,
        margin={"l": 8, "r": 16, "t": 52, "b": 8},
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
            "itemclick": False,
            "itemdoubleclick": False,
        },
        dragmode=False,
    )
    axis = {
        "tickformat": ".0%",
        "tickvals": [0, 0.25, 0.5, 0.75, 1],
        "gridcolor": "rgba(124,135,152,0.25)",
        "zeroline": False,
        "fixedrange": True,
        "automargin": True,
    }
    figure.update_xaxes(title=content.CALIBRATION_X, range=[-0.02, 1.02], tickangle=0, **axis)
    # Room for the numbers above and below the outermost points.
    figure.update_yaxes(title=content.CALIBRATION_Y, range=[-0.12, 1.12], **axis)
    return figure


def calibration_note(rounds: Sequence[Round]) -> str:
    """How to read the plot, and its points in words for people who do not see it."""
    series = (
        (content.CALIBRATION_LEARNER, learner_calibration(rounds)),
        (content.CALIBRATION_MODEL, model_calibration(rounds)),
    )
    told = " ".join(f"{name}: {'; '.join(map(_told, points))}." for name, points in series)
    return (
        f'<p class="dm-small">{content.CALIBRATION_HELP} <span class="dm-spoken">{told}</span></p>'
    )


def details(rounds: Sequence[Round]) -> str:
    """Confusions of learner and model, and every case with the three answers, to save as CSV."""
    lists = "".join(
        f"<div><h3>{content.WHO[who]}</h3>{_confusions(rounds, who)}</div>"
        for who in ("first", "model")
    )
    rows = "".join(
        f"<tr{'' if one.right('model') else ' class=dm-model-wrong'}><td>{number}</td>"
        f"<th scope='row'>{escape(sentence(one.case.condition))}</th>"
        + "".join(
            f"<td>{escape(sentence(getattr(one, who)[0]))} {_mark(one, who)}</td>"
            for who in content.WHO
        )
        + "</tr>"
        for number, one in enumerate(rounds, start=1)
    )
    address = f"data:text/csv;charset=utf-8,{quote(to_csv(rounds))}"
    return (
        f'<section class="dm-card"><h2>{content.CONFUSIONS}</h2>'
        f'<div class="dm-taken">{lists}</div></section>'
        f'<section class="dm-card"><h2>{content.ANSWERS}</h2>'
        f'<div class="dm-teach-scroll" tabindex="0" role="region" aria-label="{content.ANSWERS}">'
        f"{_table(content.ANSWERS_COLUMNS, rows)}</div>"
        f'<div class="dm-send"><a class="dm-button dm-plain" download="{content.CSV_NAME}" '
        f'href="{address}">{content.CSV}</a><button type="button" class="dm-button dm-plain" '
        f'data-reset="{escape(content.RESET_ASK)}">{content.RESET}</button></div>'
        f'<p class="dm-small">{content.PRIVACY}</p></section>'
    )


def _confusions(rounds: Sequence[Round], who: str) -> str:
    found = confusions(rounds, who)
    if not found:
        return f'<p class="dm-small">{content.CONFUSIONS_NONE}</p>'
    items = "".join(
        "<li>"
        + escape(content.CONFUSION.format(truth=sentence(truth_), answer=answer_))
        + (f" <b>× {n}</b>" if n > 1 else "")
        + "</li>"
        for truth_, answer_, n in found
    )
    return f"<ul>{items}</ul>"


def _table(columns: Sequence[str], rows: str) -> str:
    heads = "".join(f"<th scope='col'>{name}</th>" if name else "<td></td>" for name in columns)
    return f'<table class="dm-table"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'


def _of(right: int, n: int) -> str:
    """A count of a count; a share as well where there is enough to share."""
    if not n:
        return "–"
    return f"{right} of {n}" + (f" <small>{right / n:.0%}</small>" if n >= 10 else "")


def _told(point: Point) -> str:
    return f"said {point.confidence:.0%}, right {point.right:.0%}, n = {point.n}"
