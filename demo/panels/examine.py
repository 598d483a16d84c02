"""Examine: a photo, a description, or both, and the answer with its reasons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from demo.content import examine as content
from demo.examples import EXAMPLES
from demo.panels import (
    MODEL_QUEUE,
    Answered,
    Inputs,
    Predictor,
    Wish,
    ask,
    ask_effects,
    at_once,
    form,
    keep,
    plot,
    uploaded,
)
from demo.panels import photo as photo_panel
from demo.render import answer, chart, effects, look, page, track_record
from demo.uploads import KEPT_SECONDS

# Clicks on the examples arrive in Python as the index of an example.
CHOOSE_EXAMPLE = """
element.addEventListener('click', event => {
  const button = event.target.closest('.dm-example');
  if (button) trigger('select', {index: Number(button.dataset.index)});
});
"""

# The answer is read out as it changes. What the model would answer where it abstains is asked for
# by opening a part of the card; the rest of the page follows. With it there, its place needs no
# keeping (see SHOW_ANSWER).
ANSWER = """
element.setAttribute('aria-live', 'polite');
element.addEventListener('toggle', event => {
  if (event.target.matches('.dm-would')) trigger(event.target.open ? 'expand' : 'collapse');
}, true);
new MutationObserver(() => {
  if (!element.querySelector('.dm-loading'))
    document.getElementById('answer-side').style.minHeight = '';
}).observe(element, {childList: true, subtree: true});
"""

# The slider sets the map's strength; a chosen word lays its own map over the photo.
LOOK_AROUND = """
element.addEventListener('input', event => {
  if (event.target.closest('.dm-strength'))
    element.querySelector('.dm-photo').style.setProperty('--strength', event.target.value / 100);
});
element.addEventListener('click', event => {
  const word = event.target.closest('button.dm-word');
  const heat = element.querySelector('.dm-heat');
  if (!word || !heat) return;
  const on = word.getAttribute('aria-pressed') !== 'true';
  for (const other of element.querySelectorAll('button.dm-word'))
    other.setAttribute('aria-pressed', String(on && other === word));
  heat.dataset.whole = heat.dataset.whole || heat.src;
  heat.src = on ? word.dataset.heat : heat.dataset.whole;
});
"""

# Runs before the model does. While the next case is read, the last answer's place is kept, so that
# nothing below jumps. On a phone the answer lies below the inputs: bring it into view.
SHOW_ANSWER = """(...inputs) => {
  const side = document.getElementById('answer-side');
  side.style.minHeight = `${side.offsetHeight}px`;
  const top = side.getBoundingClientRect().top;
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  if (top < 0 || top > innerHeight / 2)
    side.scrollIntoView({behavior: calm ? 'auto' : 'smooth', block: 'start'});
  return inputs;
}"""

# An emptied page is shorter than the answer was: begin again where a case begins.
SHOW_PHOTO = "() => document.getElementById('photo').scrollIntoView({block: 'nearest'})"


def build(predictor: Predictor) -> Inputs:
    """Add the panel to the page that is being built, and the API's endpoint /predict.

    Returns the case's components, for the tabs that go on with it.
    """

    def examine(
        photo: dict[str, Any] | None, description: str | None, wish: Wish
    ) -> Iterator[list[Any]]:
        """Show the answer, or why there is none; then the effects. A wish ends it."""
        for shown in case_shown(photo, description):
            if wish.ending is not None:
                yield wish.ending()
                return
            yield shown

    def case_shown(photo: dict[str, Any] | None, description: str | None) -> Iterator[list[Any]]:
        yield _unchanged  # its turn: what was cleared in line ends here
        try:
            given = uploaded(photo)
            prediction = ask(predictor, given, description)
        except gr.Error as error:
            # Not raised: Gradio's own message would lie over ours, and an event that fails forgets
            # the click that waits for its end (6.31).
            yield [answer.failure(error.message), *_hidden, None]
            return
        yield [
            answer.answer(prediction, predictor.metrics),
            _away if prediction.abstains else _shown,
            plot(chart.chart(prediction)),
            chart.chart_table(prediction) + chart.chart_note(prediction),
            track_record.track_record(prediction, predictor.metrics),
            answer.identity(prediction),
            look.look(prediction),
            effects.working(prediction),
            Answered(prediction),
        ]
        try:
            found = ask_effects(predictor, given, description)
        except gr.Error:  # the log has it; the answer stands without
            yield [*_keep, effects.failed(), gr.skip()]
        else:
            yield [*_keep, effects.effects(found, prediction), Answered(prediction, found)]

    def predict(
        photo: dict[str, Any] | None = None, description: str | None = None
    ) -> dict[str, object]:
        """Return a differential over 26 skin conditions for a photo, a description, or both.

        The result is a JSON object: conditions with probabilities, highest first; the same by
        input; the gate; the prediction set and its coverage; whether and why the model abstains;
        the attention over the photo and the words; the model's version and hash.
        For education and research only. Not for any patient's care.
        """
        return ask(predictor, uploaded(photo), description).to_dict()

    def explain(
        photo: dict[str, Any] | None = None, description: str | None = None
    ) -> dict[str, object]:
        """Return what /predict does, and "effects": what the answer owes to parts of the case.

        These are the change in the first condition's probability without each phrase and with each
        region of the photo covered, and whether the attention passes a deletion test on this case.
        For education and research only. Not for any patient's care.
        """
        given = uploaded(photo)
        found = ask_effects(predictor, given, description)
        return ask(predictor, given, description).to_dict(found)

    with gr.Row(elem_classes="dm-page", equal_height=False):
        with gr.Column(scale=5, min_width=300):
            clear = gr.Button(content.CLEAR, scale=1, min_width=90, elem_id="clear", render=False)
            photo = photo_panel.build(predictor, clear)
            description = form.description()
            form.build(description, clear)
            with gr.Row():
                analyse = gr.Button(
                    content.ANALYSE, variant="primary", scale=3, min_width=140, elem_id="analyse"
                )
                clear.render()
            gr.HTML(f'<p class="dm-small">{content.PRIVACY}</p>')
        with gr.Column(scale=7, min_width=300, elem_id="answer-side"):
            answer_html = gr.HTML(answer.empty(), js_on_load=ANSWER, elem_id="answer")
            # What is shown, for those who keep it; it is deleted like the files of the case.
            case = gr.State(time_to_live=KEPT_SECONDS)
            keep.build(predictor, case)
    with gr.Column(elem_classes=["dm-details", "dm-away"]) as details:
        with gr.Row(equal_height=False):
            with gr.Column(scale=1, min_width=300):
                with gr.Column(elem_classes="dm-card dm-chart"):
                    gr.HTML(f"<h2>{content.CHART}</h2>")
                    bars = gr.Plot(show_label=False, container=False, elem_id="chart")
                    note = gr.HTML()
                identity = gr.HTML(elem_id="identity")
            with gr.Column(scale=1, min_width=300):
                look_html = gr.HTML(js_on_load=LOOK_AROUND, elem_id="look")
        record_html = gr.HTML(elem_id="record")
        effects_html = gr.HTML(elem_id="effects")

    examples = gr.HTML(page.examples(EXAMPLES), js_on_load=CHOOSE_EXAMPLE, elem_id="examples")

    parts = [answer_html, details, bars, note, record_html, identity, look_html, effects_html]
    outputs = [*parts, case]
    private: dict[str, Any] = {"api_visibility": "private"}
    wish = gr.State(Wish())
    begin: dict[str, Any] = {
        "fn": begun,
        "js": SHOW_ANSWER,
        "inputs": wish,
        "outputs": [answer_html, wish],
        "queue": False,  # so that it is seen at once, however many cases wait
        "show_progress": "hidden",
        **private,
    }
    run: dict[str, Any] = {
        "fn": examine,
        "inputs": [photo, description, wish],
        "outputs": outputs,
        "preprocess": False,
        "show_progress": "hidden",  # the loading state is our own
        "concurrency_id": MODEL_QUEUE,
        "trigger_mode": "always_last",  # a new case waits for the effects of the last one
        **private,
    }
    chosen = examples.select(choose_example, None, [photo, description], **private)
    chosen.then(**begin).then(**run)
    analyse.click(**begin).then(**run)
    # At once in the page, and by the server, so that an answer on its way is emptied after it.
    clear.click(None, None, [photo, description, *parts], js=CLEARED, **private)
    clear.click(cleared, wish, outputs, queue=False, show_progress="hidden", **private)
    clear.click(None, js=SHOW_PHOTO, **private)

    # What the model would answer where it abstains is shown on request, in the answer's card.
    answer_html.expand(None, None, details, js=at_once(_shown), **private)
    answer_html.collapse(None, None, details, js=at_once(_away), **private)

    # The API has its own endpoints: their result is a JSON object and not the page's parts.
    result = gr.JSON(visible=False)
    for endpoint in (predict, explain):
        gr.Button(visible=False).click(
            endpoint,
            [photo, description],
            result,
            api_name=endpoint.__name__,
            preprocess=False,
            concurrency_id=MODEL_QUEUE,
        )
    return Inputs(photo, description)


def begun(wish: Wish) -> list[Any]:
    """The loading state, and the wish of this run; an earlier one shows nothing more."""
    wish.ending = lambda: _unchanged
    return [answer.loading(), Wish()]


def cleared(wish: Wish) -> list[Any]:
    """The page as it was at the start, without the case; a run under way shows nothing else."""
    wish.ending = lambda: [answer.empty(), *_hidden, None]
    return wish.ending()


def choose_example(event: gr.EventData) -> tuple[str | None, str | None]:
    """Put an example into the inputs."""
    example = EXAMPLES[event.index]
    return (None if example.path is None else str(example.path)), example.text


# The details are out of sight by style and not by `visible`: a part that was never seen is not yet
# loaded, and `gr.Plot` would forget the figure that it is sent.
_shown = gr.update(elem_classes=["dm-details"])
_away = gr.update(elem_classes=["dm-details", "dm-away"])
# Of the seven parts between answer and case: leave them, or empty and hide them.
_keep = [gr.skip()] * 7
_unchanged = [gr.skip(), *_keep, gr.skip()]
_hidden: list[Any] = [_away, None, "", "", "", "", ""]
# Empty inputs, and the page as it was at the start.
CLEARED = at_once(None, None, answer.empty(), *_hidden)
