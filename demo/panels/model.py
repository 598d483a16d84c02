"""Model: what it is, how it was measured, and where it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
import plotly.graph_objects as go
from gradio.components.plot import PlotData

from demo.content import model as content
from demo.panels import Predictor, plot
from demo.render import model as render
from demo.render import model_figures as figures

SUREST = 80  # the slider's value at the start, in per cent of the cases

Drawing = Callable[[], go.Figure]
Place = Callable[[str, Drawing], gr.Plot]  # makes the place of a figure that is still to be drawn

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}


def build(predictor: Predictor, tab: gr.Tab) -> None:
    """Add the panel to the page that is being built.

    Its figures are drawn when ``tab`` is first opened: until then the page does not carry them.
    """
    metrics = predictor.metrics
    drawings: list[Drawing] = []
    places: list[gr.Plot] = []

    def place(name: str, drawing: Drawing) -> gr.Plot:
        drawings.append(drawing)
        places.append(gr.Plot(show_label=False, container=False, elem_id=f"model-{name}"))
        return places[-1]

    def draw(drawn: bool) -> list[Any]:
        if drawn:
            return [gr.skip()] * (1 + len(places))
        return [True, *(plot(drawing()) for drawing in drawings)]

    if metrics.get("rows"):
        gr.HTML(render.contents())
    with _pair():
        with _card("about"):
            gr.HTML(render.about(predictor.card))
        with _card("use"):
            gr.HTML(render.use())
    if metrics.get("rows"):
        with _card("data"):
            gr.HTML(render.data(metrics))
        with _card("glance"):
            gr.HTML(render.glance(metrics))
        _conditions(metrics, place)
        with _pair():
            _parts("sources", render.sources_head(), render.source_rows(metrics), metrics, place)
            _parts("skin", render.skin_head(), render.skin_rows(metrics), metrics, place)
        studies = metrics.get("studies", {})
        with _pair():
            _reliability(metrics, place)
            _risk(studies.get("abstention"), place)
        with _pair():
            _gate(studies.get("gate_faithfulness"), place)
            _attention(studies.get("attention_faithfulness"), place)
        _folds(studies.get("pad_folds"), place)
        _failures(metrics)
    else:
        _missing("glance", content.GLANCE)
    with _card("version"):
        gr.HTML(render.version(predictor.identity, predictor.card))
    drawn = gr.State(False)
    tab.select(draw, drawn, [drawn, *places], **QUIET)


def _conditions(metrics: Mapping[str, Any], place: Place) -> None:
    """Sensitivity of each condition, and what is taken for what, for an answer of choice."""

    def show(answer: str) -> tuple[PlotData, str, str]:
        return (
            plot(figures.conditions(metrics, answer)),
            render.confused(metrics, answer),
            render.conditions(metrics, answer),
        )

    with _card("conditions"):
        gr.HTML(render.conditions_head())
        answer = _answers("conditions")
        with _row():
            with _column(scale=7):
                figure = place("conditions", lambda: figures.conditions(metrics, "image"))
            with _column(scale=4):
                mistakes = gr.HTML(render.confused(metrics, "image"), elem_id="model-mistakes")
        numbers = gr.HTML(render.conditions(metrics, "image"))
    answer.change(show, answer, [figure, mistakes, numbers], **QUIET)


def _parts(
    name: str,
    head: str,
    rows: Mapping[str, tuple[str, str]],
    metrics: Mapping[str, Any],
    place: Place,
) -> None:
    """Balanced accuracy of some rows of the metrics; beside skin types the gap between them."""
    with _card(name):
        gr.HTML(head)
        place(name, lambda: figures.parts(metrics, rows))
        gap = render.skin_gap(metrics) if name == "skin" else ""
        gr.HTML(gap + render.parts(metrics, rows))


def _reliability(metrics: Mapping[str, Any], place: Place) -> None:
    with _card("reliability"):
        gr.HTML(render.reliability_head())
        place("reliability", lambda: figures.reliability(metrics))
        gr.HTML(render.reliability(metrics))


def _risk(study: Mapping[str, Any] | None, place: Place) -> None:
    """Risk and coverage, with a slider for how many of the cases are answered."""
    if study is None:
        _missing("risk", content.RISK)
        return
    with _card("risk"):
        gr.HTML(render.risk_head())
        per_cent = [round(100 * share) for share in study["shares"]]
        surest = gr.Slider(
            per_cent[0],
            per_cent[-1],
            SUREST,
            step=per_cent[1] - per_cent[0],
            label=content.RISK_SLIDER,
            elem_id="model-surest",
        )
        numbers = gr.HTML(render.risk(study, SUREST / 100), elem_id="model-risk-numbers")
        figure = place("risk", lambda: figures.risk(study, SUREST / 100))
    surest.change(
        lambda chosen: (plot(figures.risk(study, chosen / 100)), render.risk(study, chosen / 100)),
        surest,
        [figure, numbers],
        trigger_mode="always_last",
        **QUIET,
    )


def _gate(study: Mapping[str, Any] | None, place: Place) -> None:
    if study is None:
        _missing("gate", content.GATE)
        return
    with _card("gate"):
        gr.HTML(render.gate_head(study))
        place("gate", lambda: figures.gate(study))
        gr.HTML(render.gate(study))


def _attention(study: Mapping[str, Any] | None, place: Place) -> None:
    if study is None:
        _missing("attention", content.ATTENTION)
        return
    with _card("attention"):
        gr.HTML(render.attention_head())
        place("attention", lambda: figures.attention(study))
        gr.HTML(render.attention(study))


def _folds(study: Mapping[str, Any] | None, place: Place) -> None:
    if study is None:
        _missing("folds", content.FOLDS)
        return
    with _card("folds"):
        gr.HTML(render.folds_head(study))
        place("folds", lambda: figures.folds(study))
        gr.HTML(render.folds(study))


def _failures(metrics: Mapping[str, Any]) -> None:
    """The surest wrong answers, for an answer of choice."""
    with _card("failures"):
        gr.HTML(render.failures_head())
        answer = _answers("failures")
        errors = gr.HTML(render.failures(metrics, "image"), elem_id="model-errors")
    answer.change(lambda chosen: render.failures(metrics, chosen), answer, errors, **QUIET)


def _missing(name: str, title: str) -> None:
    """A card for what was not measured on these weights."""
    with _card(name):
        gr.HTML(render.missing(title))


def _answers(name: str) -> gr.Radio:
    """The choice of an answer: with a photo, a description, or both."""
    return gr.Radio(
        [(title, key) for key, title in content.ANSWERS.items()],
        value="image",
        label=content.CHOOSE_ANSWER,
        container=False,
        elem_id=f"model-{name}-answer",
        elem_classes="dm-choice",
    )


def _row() -> gr.Row:
    return gr.Row(elem_classes="dm-details", equal_height=False)


def _pair() -> gr.Row:
    """Two cards of the same height."""
    return gr.Row(elem_classes="dm-details dm-pair", equal_height=True)


def _column(scale: int = 1) -> gr.Column:
    return gr.Column(scale=scale, min_width=300)


def _card(name: str) -> gr.Column:
    return gr.Column(
        scale=1, min_width=300, elem_classes="dm-card dm-chart", elem_id=f"model-{name}-card"
    )
