"""The tab Model: its words, tables and figures from made-up metrics, and from none."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from html import unescape
from typing import Any

import gradio as gr
import plotly.graph_objects as go
import pytest

from demo.content import model as content
from demo.panels import model as panel
from demo.render import model as render
from demo.render import model_figures as figures
from demo.ui import build_demo
from dermmm.conditions import NAMES
from tests.fakes import FakePredictor
from tests.made_metrics import METRICS, PHOTOS, row

STUDIES = METRICS["studies"]
ANSWERS = tuple(content.ANSWERS)


def named(figure: go.Figure) -> list[str]:
    """The labels of a figure's rows, from above."""
    return [annotation.text for annotation in figure.layout.annotations]


def points(figure: go.Figure) -> dict[str, float]:
    """Row -> value of its dot, without the ticks of chance."""
    dots = [trace for trace in figure.data if trace.error_x.array is not None]
    return {label: x for trace in dots for label, x in zip(trace.y, trace.x, strict=True)}


@pytest.fixture
def metrics() -> dict[str, Any]:
    return copy.deepcopy(METRICS)


@pytest.mark.parametrize("answer", ANSWERS)
def test_conditions_are_sorted_and_only_those_with_enough_cases(answer: str) -> None:
    figure = figures.conditions(METRICS, answer)
    found = METRICS["by_condition"][figures.ROWS[answer]]
    assert len(named(figure)) == sum(row["n"] >= 10 for row in found.values())
    values = [points(figure)[label] for label in named(figure)]
    assert values == sorted(values, reverse=True)


def test_intervals_are_those_of_the_metrics() -> None:
    figure = figures.conditions(METRICS, "image")
    (trace,) = figure.data
    row = METRICS["by_condition"]["image only"]["melanoma"]
    place = list(trace.y).index(f"Melanoma ({row['n']})")
    interval = row["recall_interval"]
    assert trace.x[place] == interval["value"] == row["recall"]
    assert trace.x[place] + trace.error_x.array[place] == pytest.approx(interval["high"])
    assert trace.x[place] - trace.error_x.arrayminus[place] == pytest.approx(interval["low"])


def test_what_is_not_measured_is_named_with_its_cases() -> None:
    html = unescape(render.conditions(METRICS, "image"))
    few = [name for name, n in PHOTOS.items() if n < 10]
    for name in few:
        assert f"{name} (4)" in html
        assert f'<th scope="row">{name.capitalize()}' not in html
    html = unescape(render.conditions(METRICS, "fused"))
    assert f"No test case at all: {', '.join(NAMES[8:])}." in html


def test_every_source_and_skin_type_stands_beside_its_own_chance() -> None:
    rows = render.source_rows(METRICS)
    figure = figures.parts(METRICS, rows)
    assert "PAD-UFES-20, both (66)" in named(figure)
    assert not any("SCIN" in label for label in named(figure))  # 8 photos are too few
    chance = next(trace for trace in figure.data if trace.name == "Chance")
    assert list(chance.y) == named(figure)
    assert chance.x[0] == METRICS["rows"][next(iter(rows))]["chance"]
    numbers = render.parts(METRICS, rows)
    assert "SCIN, photo" in numbers and content.NOT_MEASURED in numbers
    assert next(label for label, _ in render.skin_rows(METRICS).values()) == "Skin type I–II"


def test_the_gap_between_skin_types_is_told_or_said_to_be_unknown() -> None:
    html = render.skin_gap(METRICS)
    assert "not measured, since no condition has 10 photos in both" in html
    assert "+20 points of balanced accuracy (+10 to +30), over acne, eczema." in html
    assert render.skin_gap({}) == ""


def test_small_bands_are_not_drawn() -> None:
    figure = figures.reliability(METRICS)
    assert len(figure.data) == 1 + 3
    assert len(figure.data[1].x) == 8  # of nine bands one holds three cases
    assert f'<td data-column="{content.RELIABILITY_COLUMNS[4]}">not measured' in (
        render.reliability(METRICS)
    )


def test_wilson_interval_of_known_cases() -> None:
    interval = figures.wilson(8, 10)  # 0.4902 to 0.9433
    assert interval["low"] == pytest.approx(0.4902, abs=1e-4)
    assert interval["high"] == pytest.approx(0.9433, abs=1e-4)
    assert figures.wilson(0, 10)["low"] == pytest.approx(0)


@pytest.mark.parametrize("chosen, answered", [(1.0, "564 of 564"), (0.8, "451 of 564")])
def test_risk_says_how_many_are_answered_and_how_many_of_them_rightly(
    chosen: float, answered: str
) -> None:
    study = STUDIES["abstention"]
    html = render.risk(study, chosen)
    assert answered in html
    right = study["risk"]["image"]["accuracy"][study["shares"].index(chosen)]["value"]
    assert f"<b>{right:.0%}</b>" in html
    (line,) = figures.risk(study, chosen).layout.shapes
    assert line.x0 == line.x1 == chosen


def test_the_gate_says_what_held_and_what_did_not(metrics: dict[str, Any]) -> None:
    study = metrics["studies"]["gate_faithfulness"]
    assert content.GATE_CLAIMS["gate falls with blur"][0] in unescape(render.gate(study))
    study["page"]["gate falls with blur"] = False
    study["tells_who_is_right"]["auroc"] = "not measured"
    html = unescape(render.gate(study))
    assert content.GATE_CLAIMS["gate falls with blur"][1] in html
    assert content.WHO["untold"] in html
    lines = [trace for trace in figures.gate(study).data if trace.showlegend is not False]
    assert [line.name for line in lines] == ["photo blurred", "photo darkened", "text cut"]
    assert len({(line.line.dash, line.marker.symbol) for line in lines}) == len(lines)


def test_maps_that_do_not_beat_random_order_are_told_so() -> None:
    study = STUDIES["attention_faithfulness"]
    lines = render.attention(study).split("<tr>")
    (pair,) = [line for line in lines if content.QUESTIONS["photo of a pair"] in line]
    assert f"<b>{content.BEATS[1]}</b><br>+0.100" in pair
    (alone,) = [line for line in lines if content.QUESTIONS["photo alone"] in line]
    assert f"<b>{content.BEATS[0]}</b><br>−0.100" in alone
    low, high = figures.attention(study).layout.xaxis.range
    assert low < 0 < high


def test_the_map_that_is_judged_is_the_one_shown(metrics: dict[str, Any]) -> None:
    question = metrics["studies"]["attention_faithfulness"]["questions"]["photo of a pair"]
    question["maps"] = {"class evidence": {}, "Grad-CAM": {}, "attention": question["maps"]}
    assert figures.shown_map_name(question) == "attention"
    del question["maps"]["attention"]
    assert figures.shown_map_name(question) == "class evidence"


def test_models_of_the_literature_are_told_apart_by_what_they_read() -> None:
    assert [figures.fold_answer(name) for name in STUDIES["pad_folds"]["rows"]] == [
        "image", "fused", "none",
    ]  # fmt: skip
    assert "119 photos of 90 patients" in render.folds_head(STUDIES["pad_folds"])


@pytest.mark.parametrize("answer", ANSWERS)
def test_failures_are_the_surest_first(answer: str) -> None:
    html = render.failures(METRICS, answer)
    assert html.index("97.0%") < html.index("94.0%")
    assert METRICS["errors"][answer][0]["id"].partition(":")[2] in html
    assert content.MISSING in render.failures({}, answer)


def test_each_source_says_how_much_it_taught_and_tested() -> None:
    lines = render.data(METRICS).split("<tr>")
    (pad,) = [line for line in lines if "PAD-UFES-20" in line]
    assert [pad.index(n) for n in (">1,200<", ">900<", ">66<", ">105<")] == sorted(
        pad.index(n) for n in (">1,200<", ">900<", ">66<", ">105<")
    )
    (milk,) = [line for line in lines if "MILK10k" in line]
    assert milk.count(content.NOT_COUNTED) == 2 and milk.count(">0<") == 2


def test_mistakes_are_those_with_most_cases() -> None:
    html = render.confused(METRICS, "image")
    most = max(
        count
        for row in METRICS["by_condition"]["image only"].values()
        for count in row["confusions"].values()
    )
    assert html.index(f"<b>{most}</b>") == html.index("<b>")


@pytest.mark.parametrize("own, misled", [(0.1, True), (0.5, False)])
def test_words_are_compared_with_a_count_of_words(
    metrics: dict[str, Any], own: float, misled: bool
) -> None:
    names = (f"text only, {render.VIGNETTES}", f"{render.CONTROL}, {render.VIGNETTES}")
    for name, recall in zip(names, (own, 0.5), strict=True):
        metrics["rows"][name] = row({"acne": 52}, recall)
    html = unescape(render.glance(metrics))
    assert "On 52 descriptions that we wrote ourselves" in html
    assert (content.MISLED in html) is misled
    assert content.MISLED not in render.glance(METRICS)


def test_version_names_hash_licence_and_commit() -> None:
    fake = FakePredictor()
    html = render.version(fake.identity, fake.card)
    for value in (fake.identity.sha256, "CC-BY-NC-SA-4.0", fake.card["provenance"]["commit"]):
        assert value in html
    assert "6.7 million weights" in render.about(fake.card)


def test_names_are_escaped(metrics: dict[str, Any]) -> None:
    metrics["errors"]["image"][0] |= {"id": "x:<script>", "truth": "<b>", "source": "<i>"}
    found = metrics["by_condition"]["image only"]["melanoma"]
    found["confusions"] = {"<img src=x>": 30}
    for html in (
        render.failures(metrics, "image"),
        render.confused(metrics, "image"),
        render.conditions(metrics, "image"),
    ):
        assert not any(tag in html for tag in ("<script>", "<i>", "<img"))


def all_figures() -> Iterator[go.Figure]:
    yield from (figures.conditions(METRICS, answer) for answer in ANSWERS)
    yield figures.parts(METRICS, render.source_rows(METRICS))
    yield figures.parts(METRICS, render.skin_rows(METRICS))
    yield figures.reliability(METRICS)
    yield figures.risk(STUDIES["abstention"], 0.5)
    yield figures.gate(STUDIES["gate_faithfulness"])
    yield figures.attention(STUDIES["attention_faithfulness"])
    yield figures.folds(STUDIES["pad_folds"])


def test_figures_follow_the_theme() -> None:
    for figure in all_figures():
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
        assert figure.layout.width is None
        assert figure.layout.xaxis.fixedrange and figure.layout.yaxis.fixedrange


@pytest.mark.parametrize("without", [None, *STUDIES])
def test_the_page_is_built_and_says_what_is_missing(
    metrics: dict[str, Any], without: str | None
) -> None:
    if without is None:
        metrics.clear()
    else:
        del metrics["studies"][without]
    with gr.Blocks() as demo, gr.Tab() as tab:
        panel.build(FakePredictor(metrics), tab)
    words = " ".join(
        str(block.value) for block in demo.blocks.values() if isinstance(block, gr.HTML)
    )
    assert content.MISSING in words
    assert "{" not in words  # every place in the words was filled


def test_the_page_carries_no_figure_until_the_tab_is_opened() -> None:
    demo = build_demo(FakePredictor())
    places = [
        block
        for block in demo.blocks.values()
        if isinstance(block, gr.Plot) and str(block.elem_id).startswith("model-")
    ]
    assert len(places) == 8
    assert all(block.value is None for block in places)
