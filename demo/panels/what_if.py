"""What if: the case of Examine side by side with an edited one.

The server keeps nothing of the case but a hash, which tells when Examine has another one. Each
change reads the case anew, and the edited photo exists only in the answer to it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import numpy as np

from demo.content import what_if as content
from demo.edits import MAX_BLUR, MAX_STOPS, USES, Edits, edited
from demo.examples import EXAMPLES
from demo.panels import MODEL_QUEUE, Inputs, Predictor, ask, uploaded
from demo.render import answer
from demo.render import what_if as render
from demo.render.what_if import Experiment
from dermmm import Prediction
from dermmm.phrases import MOST_PHRASES, phrases, without

Answer = dict[Any, Any]  # what an event does: components and their new values; the others stay

# A click or the space bar presses a cell; arrow keys move.
PICK = """
element.addEventListener('click', event => {
  const cell = event.target.closest('.dm-if-cell');
  if (!cell) return;
  cell.setAttribute('aria-pressed', String(cell.getAttribute('aria-pressed') !== 'true'));
  trigger('select');
});
element.addEventListener('focusin', event => {
  if (!event.target.matches('.dm-if-cell')) return;
  for (const cell of element.querySelectorAll('.dm-if-cell'))
    cell.tabIndex = cell === event.target ? 0 : -1;
});
element.addEventListener('keydown', event => {
  const cells = [...element.querySelectorAll('.dm-if-cell')];
  const at = cells.indexOf(event.target), side = Math.sqrt(cells.length);
  if (at < 0) return;
  const column = at % side;
  const to = {
    ArrowLeft: column > 0 ? at - 1 : at, ArrowRight: column < side - 1 ? at + 1 : at,
    ArrowUp: at >= side ? at - side : at,
    ArrowDown: at + side < cells.length ? at + side : at,
    Home: at - column, End: at - column + side - 1,
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  cells[to].focus();
});
"""

# Every comparison reads the pressed cells itself, as its first input: an event of the grid that
# waits until the model is free loses what it carried (Gradio 6.31).
READ_CELLS = """(_, ...others) => {
  const cells = [...document.querySelectorAll('#what-if-photo .dm-if-cell')];
  const pressed = cells.flatMap((c, i) => c.getAttribute('aria-pressed') === 'true' ? [i] : []);
  return [pressed, ...others];
}"""

# One slider sets the strength of both maps.
STRENGTH = """
element.addEventListener('input', event => {
  if (event.target.closest('.dm-strength'))
    for (const photo of element.querySelectorAll('.dm-photo'))
      photo.style.setProperty('--strength', event.target.value / 100);
});
"""

# A row of the table becomes the edited case.
SHOW_ROW = """
element.addEventListener('click', event => {
  const row = event.target.closest('.dm-if-show');
  if (row) trigger('select', {photo: row.dataset.photo === '1', text: row.dataset.text});
});
"""

# The result may lie out of sight: above the table, or on a phone below the controls.
SHOW_RESULT = """() => {
  const result = document.getElementById('what-if-result');
  const top = result.getBoundingClientRect().top;
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  if (top < 0 || top > innerHeight / 2)
    result.scrollIntoView({behavior: calm ? 'auto' : 'smooth', block: 'start'});
}"""


@dataclass(frozen=True)
class Case:
    """What Examine holds: the photo, upright RGB (H, W, 3) uint8, and the description, or None."""

    photo: np.ndarray | None
    text: str | None

    @property
    def key(self) -> str:
        """Tells this case from another one; empty without any."""
        if self.photo is None and self.text is None:
            return ""
        # Of the pixels: Examine puts its own copy in the place of the file that was chosen.
        pixels = (
            b"" if self.photo is None else f"{self.photo.shape}".encode() + self.photo.tobytes()
        )
        parts = (pixels, (self.text or "").encode("utf-8", "replace"))
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


@dataclass(frozen=True)
class Changes:
    """The edited case: its description, whether it has the photo, and edits of that."""

    text: str | None
    with_photo: bool = True
    edits: Edits = field(default_factory=Edits)


def edited_case(
    predictor: Predictor, case: Case, changes: Changes
) -> tuple[Prediction, Prediction, list[str]]:
    """The answers to a case and to its edited copy, and what was changed, in words.

    Without a change both answers are the same object.

    Raises:
        gr.Error: one of the two cannot be answered; the message says why and what to do.
    """
    before = ask(predictor, case.photo, case.text)
    photo = case.photo
    text = (changes.text or "").strip() or None
    with_photo = changes.with_photo or photo is None
    said = render.edits_in_words(changes.edits, with_photo, case.text, text)
    if not said:
        return before, before, said
    if not with_photo:
        photo = None
    if photo is None and text is None:
        raise gr.Error(content.NOTHING_LEFT, print_exception=False)
    try:
        photo = None if photo is None else edited(photo, changes.edits)
    except ValueError as error:
        raise gr.Error(f"{error}. {content.OUT_OF_RANGE}", print_exception=False) from None
    return before, ask(predictor, photo, text), said


def usual_experiments(predictor: Predictor, case: Case) -> tuple[Prediction, list[Experiment]]:
    """The answer to a case, and the answers without its photo, its description, and each phrase.

    Raises:
        gr.Error: the case cannot be answered.
    """
    original = ask(predictor, case.photo, case.text)
    photo, text = case.photo, case.text
    parts: list[tuple[str, bool, str]] = []
    if photo is not None and text is not None:
        parts += [(content.THE_PHOTO, False, text), (content.THE_TEXT, True, "")]
    if text is not None:
        spans = phrases(text)  # by the rule of the effects in Examine
        for gone, (start, end) in enumerate(spans):
            parts.append((f"“{text[start:end]}”", photo is not None, without(text, spans, gone)))
    return original, [
        Experiment(what, with_photo, left, ask(predictor, photo if with_photo else None, left))
        for what, with_photo, left in parts
    ]


def build(predictor: Predictor, inputs: Inputs, tab: gr.Tab) -> None:
    """Add the panel to the page that is being built; ``tab`` is the one that it is built in."""

    def closed(html: str, ways_out: bool = True) -> Answer:
        """No case is open: why, and the buttons that lead to one."""
        return {
            no_case: gr.update(visible=True),
            message: html,
            buttons: gr.update(visible=ways_out),
            bench: gr.update(visible=False),
            started: "",
        }

    def answered(
        photo: dict[str, Any] | None, text: str | None, do: Callable[[Case], Answer]
    ) -> Answer:
        """What ``do`` makes of the case in Examine, or why there is none to work on."""
        try:
            file = uploaded(photo)
            pixels = None if file is None else predictor.open_photo(file)
            case = Case(pixels, (text or "").strip() or None)
            return do(case) if case.key else closed(render.empty())
        except gr.Error as error:
            return closed(answer.failure(error.message))
        except ValueError as error:
            return closed(answer.failure(str(error)))

    def opened(case: Case, changes: Changes) -> Answer:
        """The case with controls that say ``changes``; these are to have no edits of the photo."""
        before, after, said = edited_case(predictor, case, changes)
        return {
            no_case: gr.update(visible=False),
            bench: gr.update(visible=True),
            started: case.key,
            heading: render.heading(case.photo is not None),
            picker: "" if case.photo is None else render.picker(case.photo, secrets.token_hex(4)),
            photo_controls: gr.update(visible=case.photo is not None),
            use: changes.edits.use,
            stops: changes.edits.stops,
            blur: changes.edits.blur,
            mirror: changes.edits.mirror,
            keep_photo: changes.with_photo,
            description: changes.text or "",
            result: render.comparison(before, after, said),
            both_maps: render.maps(before, after),
        }

    def open_case(
        photo: dict[str, Any] | None, text: str | None, started_from: str
    ) -> Iterator[Answer]:
        """Take the case of Examine, unless it is the one that is here already."""

        def take(case: Case) -> Answer:
            return {**opened(case, Changes(case.text)), table: ""}

        same = answered(photo, text, lambda case: {"same": case.key == started_from})
        if same.get("same"):
            yield gr.skip()
            return
        yield closed(answer.loading(), ways_out=False)
        yield answered(photo, text, take)

    def undo(photo: dict[str, Any] | None, text: str | None) -> Answer:
        """The case as it is in Examine."""
        return answered(photo, text, lambda case: opened(case, Changes(case.text)))

    def compare(
        cells: list[int] | None,
        photo: dict[str, Any] | None,
        text: str | None,
        started_from: str,
        *controls: Any,
    ) -> Answer:
        """Answer the case and its edited copy."""
        *of_photo, with_photo, new_text = controls

        def run(case: Case) -> Answer:
            if case.key != started_from:  # Examine has another case by now
                return {**opened(case, Changes(case.text)), table: ""}
            changes = Changes(new_text, with_photo, Edits(tuple(cells or ()), *of_photo))
            try:
                before, after, said = edited_case(predictor, case, changes)
            except gr.Error as error:
                return {result: answer.failure(error.message), both_maps: ""}
            return {
                result: render.comparison(before, after, said),
                both_maps: render.maps(before, after),
            }

        return answered(photo, text, run)

    def experiment(
        photo: dict[str, Any] | None, text: str | None, started_from: str
    ) -> Iterator[Answer]:
        """Fill the table of usual experiments."""

        def run(case: Case) -> Answer:
            case_now = {} if case.key == started_from else opened(case, Changes(case.text))
            return {**case_now, table: render.experiments(*usual_experiments(predictor, case))}

        yield {table: render.running()}
        yield answered(photo, text, run)

    def show(event: gr.EventData, photo: dict[str, Any] | None, text: str | None) -> Answer:
        """Make a row of the table the edited case."""
        changes = Changes(event.text, event.photo)
        return answered(photo, text, lambda case: opened(case, changes))

    started, cells = gr.State(""), gr.JSON(visible=False)
    with gr.Column(visible=True, elem_classes="dm-page") as no_case:
        message = gr.HTML(render.empty(), elem_id="what-if-message")
        with gr.Row() as buttons:
            to_examine = gr.Button(content.OPEN_EXAMINE, variant="primary", scale=0, min_width=210)
            example = gr.Button(content.TAKE_EXAMPLE, scale=0, min_width=210)
    with gr.Column(visible=False, elem_id="what-if") as bench:
        with gr.Row(elem_classes="dm-page", equal_height=False):
            with gr.Column(scale=5, min_width=300, elem_classes="dm-card dm-if-bench"):
                heading = gr.HTML()
                with gr.Column(elem_classes="dm-if-photo-controls") as photo_controls:
                    picker = gr.HTML(js_on_load=PICK, elem_id="what-if-photo")
                    use = gr.Radio(
                        [(label, key) for key, label in content.USES.items()],
                        value=USES[0],
                        label=content.USE,
                    )
                    with gr.Row():
                        stops = gr.Slider(
                            -MAX_STOPS,
                            MAX_STOPS,
                            value=0,
                            step=0.25,
                            label=content.STOPS,
                            min_width=200,
                            buttons=[],
                        )
                        blur = gr.Slider(
                            0,
                            MAX_BLUR,
                            value=0,
                            step=0.25,
                            label=content.BLUR,
                            min_width=200,
                            buttons=[],
                        )
                    with gr.Row():
                        mirror = gr.Checkbox(label=content.MIRROR, container=False, min_width=180)
                        keep_photo = gr.Checkbox(
                            value=True, label=content.KEEP_PHOTO, container=False, min_width=180
                        )
                description = gr.Textbox(
                    label=content.TEXT,
                    placeholder=content.TEXT_HINT,
                    lines=4,
                    max_lines=10,
                    max_length=4000,
                    elem_id="what-if-text",
                )
                with gr.Row():
                    run = gr.Button(content.COMPARE, variant="primary", scale=3, min_width=120)
                    reset = gr.Button(content.UNDO, scale=2, min_width=190)
            with gr.Column(scale=7, min_width=300):
                result = gr.HTML(elem_id="what-if-result")
        both_maps = gr.HTML(js_on_load=STRENGTH, elem_id="what-if-maps")
        with gr.Row(elem_classes="dm-if-try", equal_height=False):
            gr.HTML(render.experiments_heading(MOST_PHRASES))
            try_all = gr.Button(content.RUN_EXPERIMENTS, scale=0, min_width=160)
        table = gr.HTML(js_on_load=SHOW_ROW, elem_id="what-if-table")

    case = [inputs.photo, inputs.description]
    controls: list[Any] = [use, stops, blur, mirror, keep_photo, description]
    outputs = [no_case, message, buttons, bench, started, heading, picker, photo_controls]
    outputs += [*controls, result, both_maps, table]
    private: dict[str, Any] = {"api_visibility": "private"}
    model: dict[str, Any] = {
        "outputs": outputs,
        "preprocess": False,
        "show_progress": "hidden",  # quick, or with a state of its own
        "concurrency_id": MODEL_QUEUE,
        **private,
    }
    # Of changes that come while the model works, only the last one is asked.
    live: dict[str, Any] = {"trigger_mode": "always_last", **model}

    tab.select(open_case, [*case, started], **live)
    example.click(lambda: (str(EXAMPLES[0].path), EXAMPLES[0].text), None, case, **private).then(
        open_case, [*case, started], **model
    )
    to_examine.click(lambda: gr.Tabs(selected="examine"), None, tab.parent, **private)
    run.click(None, js=SHOW_RESULT, **private)
    changed = [picker.select, *(control.input for control in controls if control != description)]
    for event in (*changed, description.submit, run.click):
        event(compare, [cells, *case, started, *controls], js=READ_CELLS, **live)
    reset.click(undo, case, **live)
    try_all.click(experiment, [*case, started], **model)
    table.select(show, case, **model).then(None, js=SHOW_RESULT, **private)
