"""Keep: the answered case as a report to print and as data, made when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from demo.content import keep as content
from demo.gate import made_folder
from demo.panels import Answered, Predictor
from demo.render.report import report


def build(predictor: Predictor, case: gr.State) -> None:
    """Add the buttons to the page that is being built; ``case`` holds an `Answered` or None."""

    def as_report(answered: Answered, moment: datetime) -> str:
        return report(answered.prediction, answered.effects, predictor.metrics, moment)

    def as_data(answered: Answered, moment: datetime) -> str:
        """The JSON object of the command line and the API."""
        return json.dumps(answered.prediction.to_dict(answered.effects), indent=2)

    with gr.Column(elem_classes="dm-card dm-keep"):  # the style sheet hides it without an answer
        gr.HTML(f"<h2>{content.KEEP}</h2>")
        with gr.Row(elem_classes="dm-tools"):
            for label, kind, make in (
                (content.KEEP_REPORT, "html", as_report),
                (content.KEEP_DATA, "json", as_data),
            ):
                _button(label, kind, make, case)
        gr.HTML(f'<p class="dm-small">{content.KEEP_HELP}</p>')


def _button(
    label: str, kind: str, make: Callable[[Answered, datetime], str], case: gr.State
) -> None:
    """A button that makes a file and then has the browser save it."""

    def made(answered: Answered | None) -> str:
        """Write the file among those of the session, which are deleted together."""
        if answered is None:
            raise gr.Error(content.KEEP_GONE, print_exception=False)
        moment = datetime.now(UTC)
        name = f"derm-mmmodal-{moment:%Y%m%d-%H%M}.{kind}"
        return save_bytes_to_cache(make(answered, moment).encode(), name, str(made_folder()))

    ask = gr.Button(label, size="sm", elem_id=f"keep-{kind}")
    # Gradio's own download button saves what it held before the click, so it is pressed by ours.
    save = gr.DownloadButton(visible="hidden", elem_id=f"save-{kind}")
    ask.click(made, case, save, show_progress="hidden", api_visibility="private").success(
        None, js=f"() => setTimeout(() => document.getElementById('save-{kind}').click(), 50)"
    )
