"""Teach: commit to an answer first, then see the model, then the truth.

A set's cases come in order; the one that is shown is the first without an answer. So the browser's
record of answers is all the state there is, and it survives a reload. The model is asked when the
learner has committed, and not before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from demo.cases import Case
from demo.cases import library as read_library
from demo.content import teach as content
from demo.panels import MODEL_QUEUE, Predictor, ask, plot
from demo.panels.examine import LOOK_AROUND
from demo.render import teach as render
from demo.rounds import (
    MAX_CHOICES,
    Progress,
    Round,
    checked,
    checked_confidence,
    read_progress,
)

ANSWER = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")

# The address that opens this set, written where the page was really reached.
SHOW_LINK = """
element.addEventListener('toggle', event => {
  const link = event.target, input = link.querySelector('input');
  if (!link.open) return;
  input.value = `${location.origin}${location.pathname}?tab=teach&set=${link.dataset.set}`;
  input.select();
  const said = link.querySelector('[role=status]');
  navigator.clipboard?.writeText(input.value).then(
    () => { said.textContent = said.dataset.said; }, () => {});
}, true);
"""

ASK_AND_RESET = """
element.addEventListener('click', event => {
  const button = event.target.closest('[data-reset]');
  if (button && confirm(button.dataset.reset)) trigger('reset');
});
"""

# Where the browser keeps the record. The secret is in the page: it hides nothing, and keeps the
# record readable after a restart.
STORAGE_KEY, SECRET = "derm-mmmodal-teach", "answers-only"


def build(predictor: Predictor, cases: Path | None, tab: gr.Tab) -> None:
    """Add the panel to the page that is being built. ``tab`` is the tab that it stands in.

    Raises:
        FileNotFoundError, ValueError: the folder ``cases`` cannot be used, see `demo.cases`.
    """
    library = read_library(cases)

    def place(progress: Progress, title: str) -> int:
        """The place, from 1, of a set's first case without an answer; one past the last if none."""
        answered = {one.case.id for one in progress.of(title)}
        left = [n for n, case in enumerate(library[title], start=1) if case.id not in answered]
        return left[0] if left else len(library[title]) + 1

    def score(progress: Progress, title: str) -> dict[Any, Any]:
        """The score of a set; hidden before there is anything to count."""
        rounds = progress.of(title)
        if not rounds:
            return {score_part: gr.update(visible=False)}
        return {
            score_part: gr.update(visible=True),
            tables: render.tables(rounds),
            figure: plot(render.calibration(rounds)),
            note: render.calibration_note(rounds),
            details: render.details(rounds),
        }

    def shown(progress: Progress, title: str) -> dict[Any, Any]:
        """A set: its next case with an empty answer, and the score so far."""
        number, all_ = place(progress, title), library[title]
        left = number <= len(all_)
        return {
            record: replace(progress, set=title).to_json(),
            set_: gr.update(value=title),
            bar: render.bar(title, number, len(progress.of(title)), len(all_)),
            case_html: render.case(all_[number - 1]) if left else "",
            round_html: render.commit(number) if left else render.done(),
            model_html: gr.update(value="", visible=False),
            **score(progress, title),
        }

    def arrive(stored: Any, title: str | None, request: gr.Request) -> dict[Any, Any]:
        """On the first look at the tab: the set of the link, else the last one, else the first."""
        if title:
            return {set_: gr.skip()}
        progress = read_progress(stored, library)
        wanted = request.query_params.get("set")
        start = wanted if wanted in library else progress.set
        return shown(progress, start or next(iter(library)))

    def go_on(stored: Any, title: str) -> dict[Any, Any]:
        """The next case of the chosen set."""
        return shown(read_progress(stored, library), title)

    def commit(stored: Any, title: str, event: gr.EventData) -> Iterator[dict[Any, Any]]:
        """Take the learner's answer, and only then ask the model."""
        progress = read_progress(stored, library)
        number = place(progress, title)
        try:
            chosen, confidence = checked(event.choices), checked_confidence(event.confidence)
        except (AttributeError, ValueError):
            raise gr.Error(content.BAD_ANSWER, print_exception=False) from None
        if event.round != number or number > len(library[title]):
            raise gr.Error(content.ROUND_GONE, print_exception=False)
        yield {round_html: render.loading(number)}
        case = library[title][number - 1]
        try:
            prediction = ask(predictor, _photo(case), case.text)
        except gr.Error as error:
            yield {round_html: render.commit(number, chosen, confidence, error.message)}
            return
        top = prediction.top(MAX_CHOICES)
        one = Round(
            case=case,
            first=chosen,
            confidence=confidence,
            final=chosen,  # until it is changed
            model=tuple(name for name, _ in top),
            probability=top[0][1],
            abstained=prediction.abstains,
        )
        yield {
            record: progress.with_round(one).to_json(),
            round_html: render.settle(number, one),
            model_html: gr.update(value=render.model(prediction, predictor.metrics), visible=True),
        }

    def settle(stored: Any, title: str, event: gr.EventData) -> dict[Any, Any]:
        """Take the answer after the model's, and tell the truth."""
        progress, all_ = read_progress(stored, library), library[title]
        answered = {one.case.id: one for one in progress.of(title)}
        try:
            one = answered[all_[event.round - 1].id].changed_to(event.choices)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise gr.Error(content.BAD_ANSWER, print_exception=False) from None
        progress = progress.with_round(one)
        last = place(progress, title) > len(all_)
        return {
            record: progress.to_json(),
            bar: render.bar(title, event.round, len(progress.of(title)), len(all_)),
            round_html: render.truth(event.round, one, last),
            **score(progress, title),
        }

    def reset(stored: Any, title: str) -> dict[Any, Any]:
        """Forget the answers to the chosen set."""
        return shown(read_progress(stored, library).without(title), title)

    record = gr.BrowserState({}, storage_key=STORAGE_KEY, secret=SECRET)
    gr.HTML(f'<p class="dm-small dm-teach-intro">{content.INTRO}</p>')
    with gr.Row(elem_classes="dm-teach-head", equal_height=False):
        set_ = gr.Dropdown(
            [(f"{title} ({len(all_)})", title) for title, all_ in library.items()],
            value=None,
            label=content.SET,
            scale=5,
            min_width=260,
            elem_id="teach-set",
        )
        with gr.Column(scale=7, min_width=300):
            bar = gr.HTML(js_on_load=SHOW_LINK, elem_id="teach-bar")
    with gr.Row(elem_classes="dm-page", equal_height=False):
        with gr.Column(scale=5, min_width=300, elem_classes="dm-teach-case"):
            case_html = gr.HTML(elem_id="teach-case")
        with gr.Column(scale=7, min_width=300):
            round_html = gr.HTML(js_on_load=ANSWER, elem_id="teach-round")
    model_html = gr.HTML(visible=False, js_on_load=LOOK_AROUND, elem_id="teach-model")
    with gr.Column(visible=False, elem_classes="dm-teach-score") as score_part:
        with gr.Row(equal_height=False):
            with gr.Column(scale=1, min_width=300):
                tables = gr.HTML(elem_id="teach-score")
            with gr.Column(scale=1, min_width=300, elem_classes="dm-card dm-chart"):
                gr.HTML(f"<h2>{content.CALIBRATION}</h2>")
                figure = gr.Plot(show_label=False, container=False, elem_id="teach-calibration")
                note = gr.HTML()
        details = gr.HTML(js_on_load=ASK_AND_RESET, elem_id="teach-details")

    settings: dict[str, Any] = {
        "inputs": [record, set_],
        "outputs": [
            record, set_, bar, case_html, round_html, model_html,
            score_part, tables, figure, note, details,
        ],
        "show_progress": "hidden",
        "api_visibility": "private",
    }  # fmt: skip
    tab.select(arrive, **settings)
    set_.input(go_on, **settings)
    round_html.commit(commit, concurrency_id=MODEL_QUEUE, **settings)
    round_html.settle(settle, **settings)
    round_html.advance(go_on, **settings)
    details.reset(reset, **settings)


def _photo(case: Case) -> bytes | None:
    try:
        return case.photo()
    except OSError:
        raise gr.Error(content.PHOTO_GONE, print_exception=False) from None
