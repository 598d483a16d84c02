"""Examine: a photo, a description, or both, and the answer with its reasons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from demo.content import examine as content
from demo.examples import EXAMPLES
from demo.panels import MODEL_QUEUE, Inputs, Predictor, ask, plot, uploaded
from demo.render import answer, chart, look, page

# Clicks on the examples arrive in Python as the index of an example.
CHOOSE_EXAMPLE = """
element.addEventListener('click', event => {
  const button = event.target.closest('.dm-example');
  if (button) trigger('select', {index: Number(button.dataset.index)});
});
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

# On a phone the answer lies below the inputs, and above the examples: bring it into view.
SHOW_ANSWER = """() => {
  const answer = document.getElementById('answer');
  const top = answer.getBoundingClientRect().top;
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  if (top < 0 || top > innerHeight / 2)
    answer.scrollIntoView({behavior: calm ? 'auto' : 'smooth', block: 'start'});
}"""


def build(predictor: Predictor) -> Inputs:
    """Add the panel to the page that is being built, and the API's endpoint /predict.

    Returns the case's components, for the tabs that go on with it.
    """

    def examine(photo: dict[str, Any] | None, description: str | None) -> Iterator[list[Any]]:
        """Show the loading state, then the answer or why there is none."""
        yield [answer.loading(), *_keep]
        try:
            prediction = ask(predictor, uploaded(photo), description)
        except gr.Error as error:
            yield [answer.failure(error.message), *_hidden]
            raise
        yield [
            answer.answer(prediction),
            gr.Row(visible=True),
            plot(chart.chart(prediction)),
            chart.chart_note(prediction),
            look.look(prediction),
            answer.identity(prediction),
        ]

    def predict(
        photo: dict[str, Any] | None = None, description: str | None = None
    ) -> dict[str, object]:
        """Return a differential over 26 skin conditions for a photo, a description, or both.

        The result is a JSON object: conditions with probabilities, highest first; the same by
        input; the gate; the attention over the photo and the words; the model's version and hash.
        For education and research only. Not for any patient's care.
        """
        return ask(predictor, uploaded(photo), description).to_dict()

    with gr.Row(elem_classes="dm-page", equal_height=False):
        with gr.Column(scale=5, min_width=300):
            photo = gr.Image(
                label=content.PHOTO,
                sources=["upload", "webcam", "clipboard"],
                placeholder=content.PHOTO_HINT,
                alt_text=content.PHOTO_ALT,
                # Not mirrored, because mirroring swaps left and right; the rear camera of a phone.
                webcam_options=gr.WebcamOptions(
                    mirror=False, constraints={"video": {"facingMode": {"ideal": "environment"}}}
                ),
                buttons=["fullscreen"],
                height=300,
                elem_id="photo",
            )
            gr.HTML(f'<p class="dm-small">{content.PHOTO_HELP}</p>')
            description = gr.Textbox(
                label=content.DESCRIPTION,
                placeholder=content.DESCRIPTION_HINT,
                lines=4,
                max_lines=10,
                max_length=4000,
                elem_id="description",
            )
            with gr.Row():
                analyse = gr.Button(
                    content.ANALYSE, variant="primary", scale=3, min_width=140, elem_id="analyse"
                )
                clear = gr.Button(content.CLEAR, scale=1, min_width=90, elem_id="clear")
            gr.HTML(f'<p class="dm-small">{content.PRIVACY}</p>')
        with gr.Column(scale=7, min_width=300):
            answer_html = gr.HTML(answer.empty(), elem_id="answer")
    with gr.Row(visible=False, elem_classes="dm-details", equal_height=False) as details:
        with gr.Column(scale=1, min_width=300, elem_classes="dm-card dm-chart"):
            gr.HTML(f"<h2>{content.CHART}</h2>")
            bars = gr.Plot(show_label=False, container=False, elem_id="chart")
            note = gr.HTML()
        with gr.Column(scale=1, min_width=300):
            look_html = gr.HTML(js_on_load=LOOK_AROUND, elem_id="look")
            identity = gr.HTML(elem_id="identity")

    examples = gr.HTML(page.examples(EXAMPLES), js_on_load=CHOOSE_EXAMPLE, elem_id="examples")

    outputs = [answer_html, details, bars, note, look_html, identity]
    private: dict[str, Any] = {"api_visibility": "private"}
    run: dict[str, Any] = {
        "fn": examine,
        "inputs": [photo, description],
        "outputs": outputs,
        "preprocess": False,
        "show_progress": "hidden",  # the loading state is our own
        "concurrency_id": MODEL_QUEUE,
        **private,
    }
    analyse.click(**run)
    examples.select(choose_example, None, [photo, description], **private).then(**run)
    for event in (analyse.click, examples.select):
        event(None, js=SHOW_ANSWER, **private)
    clear.click(cleared, None, [photo, description, *outputs], queue=False, **private)

    # The API has its own endpoint: its result is the JSON object and not the page's parts.
    result, ask_api = gr.JSON(visible=False), gr.Button(visible=False)
    ask_api.click(
        predict,
        [photo, description],
        result,
        api_name="predict",
        preprocess=False,
        concurrency_id=MODEL_QUEUE,
    )
    return Inputs(photo, description)


def choose_example(event: gr.EventData) -> tuple[str | None, str | None]:
    """Put an example into the inputs."""
    example = EXAMPLES[event.index]
    return (None if example.path is None else str(example.path)), example.text


def cleared() -> list[Any]:
    """Empty inputs, and the page as it was at the start."""
    return [None, None, answer.empty(), *_hidden]


# Of details, bars, note, look and identity: leave them, or empty and hide them.
_keep = [gr.skip()] * 5
_hidden: list[Any] = [gr.update(visible=False), None, "", "", ""]
