"""Batch: a table of cases and its photos, answered row by row.

The rows are read, answered and written by `dermmm.batch`, as by the command line.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import gradio as gr

from demo import content as shared
from demo.content import batch as content
from demo.panels import Predictor, Wish, plot, uploaded
from demo.render import batch as render
from dermmm.batch import (
    MAX_ENTRIES,
    MAX_UNPACKED,
    Answer,
    Photos,
    Row,
    answers,
    read_cases,
)

logger = logging.getLogger(__name__)

# A table may take minutes: it waits for other tables, and single cases do not wait for it.
TABLE_QUEUE = "batch"
MAX_ROWS = 1_000
MAX_TABLE = 5  # MB
MAX_FILE = 30  # MB, which `demo.ui.launch_settings` sets for every upload
MAX_ZIPS = 10

File = dict[str, Any]

# A click on a heading sorts by it, a second one turns the order around. Rows without a value for it
# stay below.
SORT = """
element.addEventListener('click', event => {
  const button = event.target.closest('.dm-sort');
  if (!button) return;
  const heading = button.parentElement, headings = [...heading.parentElement.children];
  const column = headings.indexOf(heading);
  const up = heading.getAttribute('aria-sort') !== 'ascending';
  for (const other of headings) other.removeAttribute('aria-sort');
  heading.setAttribute('aria-sort', up ? 'ascending' : 'descending');
  const value = row => row.children[column].dataset.sort;
  const body = element.querySelector('tbody');
  const rows = [...body.rows].sort((a, b) => {
    const x = value(a), y = value(b);
    if (x === '' || y === '') return (x === '') - (y === '');
    const order = x.localeCompare(y, undefined, {numeric: true});
    const numbers = Number(x) - Number(y);
    return (up ? 1 : -1) * (Number.isNaN(numbers) ? order : numbers);
  });
  body.append(...rows);
});
"""


def build(predictor: Predictor) -> None:
    """Add the panel to the page that is being built, and the API's endpoint /batch."""

    def run(table: File | None, files: list[File] | None, wish: Wish) -> Iterator[list[Any]]:
        """Count the rows that are answered, then show the answers, or say why there are none."""
        try:
            rows, photos = read(table, files)
            done: list[Answer] = []
            for chunk in chain([[]], answered(predictor, rows, photos)):
                if wish.ending is not None:
                    yield wish.ending()
                    return
                done += chunk
                yield [render.progress(len(done), len(rows)), *_keep]
        except gr.Error as error:
            yield [render.failure(error.message), *_hidden, *_buttons(working=False)]
            return
        yield [
            render.summary(predictor.conditions, done),
            gr.Row(visible=True),
            plot(render.chart(done)),
            render.table(done),
            *_buttons(working=False),
        ]

    def batch(table: File, photos: list[File] | None = None) -> dict[str, object]:
        """Answer a table of cases: a CSV with the columns case_id, image and text.

        image is the name of one of the photos, which come as files or in a zip; they may be left
        out where the table holds texts only. The result is a JSON object: answers has, for each row
        in order, case_id, prediction (as /predict gives it, without attention; null where there is
        none) and error (why, else empty); csv is the table of answers as the command line writes
        it. For education and research only. Not for any patient's care.
        """
        rows, given = read(table, photos)
        done = [answer for chunk in answered(predictor, rows, given) for answer in chunk]
        return {
            "answers": [
                {
                    "case_id": answer.row.case_id,
                    "prediction": answer.prediction and answer.prediction.to_dict(),
                    "error": answer.error,
                }
                for answer in done
            ],
            "csv": render.as_csv(predictor.conditions, done),
        }

    with gr.Row(elem_classes="dm-page", equal_height=False):
        with gr.Column(scale=5, min_width=300):
            table = gr.File(
                label=content.TABLE, file_types=[".csv"], height=150, elem_id="batch-table"
            )
            gr.HTML(f'<p class="dm-small">{content.HELP}<br>{render.template()}</p>')
            photos = gr.File(
                label=content.PHOTOS,
                file_types=["image", ".heic", ".heif", ".zip"],
                file_count="multiple",
                height=180,
                elem_id="batch-photos",
            )
            gr.HTML(f'<p class="dm-small">{limits()}</p>')
            with gr.Row():
                start = gr.Button(
                    content.START, variant="primary", scale=3, min_width=150, elem_id="batch-start"
                )
                stop = gr.Button(
                    content.STOP, interactive=False, scale=1, min_width=80, elem_id="batch-stop"
                )
                clear = gr.Button(content.CLEAR, scale=1, min_width=80, elem_id="batch-clear")
            gr.HTML(f'<p class="dm-small">{content.PRIVACY}</p>')
        with gr.Column(scale=7, min_width=300):
            state = gr.HTML(render.empty(), elem_id="batch-state")
    with gr.Row(visible=False) as details, gr.Column():
        with gr.Column(elem_classes="dm-card dm-chart"):
            gr.HTML(
                f'<h2>{content.CHART}</h2><p class="dm-small dm-above">{content.CHART_HELP}</p>'
            )
            bars = gr.Plot(show_label=False, container=False, elem_id="batch-chart")
        results = gr.HTML(js_on_load=SORT, elem_id="batch-results")

    private: dict[str, Any] = {"api_visibility": "private"}
    outputs = [state, details, bars, results, start, stop]
    wish = gr.State(Wish())
    start.click(begun, None, [*outputs, wish], queue=False, **private).then(
        run,
        [table, photos, wish],
        outputs,
        preprocess=False,
        show_progress="hidden",  # progress is counted in rows, by our own bar
        concurrency_id=TABLE_QUEUE,
        concurrency_limit=1,
        trigger_mode="multiple",  # a table that was stopped while it waits must not block the next
        **private,
    )
    stop.click(stopped, wish, outputs, queue=False, **private)
    clear.click(cleared, wish, [table, photos, *outputs], queue=False, **private)

    # The API has its own endpoint: its result is the JSON object and not the page's parts.
    result, ask_api = gr.JSON(visible=False), gr.Button(visible=False)
    ask_api.click(
        batch,
        [table, photos],
        result,
        api_name="batch",
        preprocess=False,
        concurrency_id=TABLE_QUEUE,
        concurrency_limit=1,
    )


def limits() -> str:
    """The limits, in words."""
    return content.LIMITS.format(
        rows=f"{MAX_ROWS:,}",
        table=MAX_TABLE,
        file=MAX_FILE,
        zips=MAX_ZIPS,
        entries=f"{MAX_ENTRIES:,}",
        unpacked=f"{MAX_UNPACKED // 1_000_000:,}",
    )


def read(table: File | None, files: list[File] | None) -> tuple[list[Row], Photos]:
    """Read an uploaded table, and find the photos. Photos by themselves are not opened yet.

    Raises:
        gr.Error: there is no table, it cannot be read, or something is larger than `limits`.
    """
    given = uploaded(table)
    if given is None:
        raise gr.Error(content.NO_TABLE, print_exception=False)
    if len(given) > MAX_TABLE * 1_000_000:
        message = content.LARGE_TABLE.format(size=len(given) / 1e6, most=MAX_TABLE)
        raise gr.Error(message, print_exception=False)
    files = files or []
    zips = [file for file in files if _name(file).lower().endswith(".zip")]
    if len(zips) > MAX_ZIPS:
        message = content.MANY_ZIPS.format(count=len(zips), most=MAX_ZIPS)
        raise gr.Error(message, print_exception=False)
    photos = Photos()
    try:
        lines = io.TextIOWrapper(io.BytesIO(given), encoding="utf-8-sig", newline="")
        rows = read_cases(lines, content.THE_TABLE, MAX_ROWS)
        for place, file in enumerate(zips, start=1):
            photos.add_zip(uploaded(file) or b"", content.A_ZIP.format(place=place))
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from None
    if not rows:
        raise gr.Error(content.NO_ROWS, print_exception=False)
    for file in files:
        if file not in zips:
            photos.add(_name(file), _reading(file))
    return rows, photos


def answered(predictor: Predictor, rows: list[Row], photos: Photos) -> Iterator[list[Answer]]:
    """Answer some rows at a time.

    Raises:
        gr.Error: the model broke. What is wrong with a row is told in its answer instead.
    """
    try:
        yield from answers(predictor, rows, photos)
    except Exception as error:
        # The log must tell what broke, and must not hold a case: no message, no input.
        logger.error("batch failed: %s", type(error).__name__)
        raise gr.Error(shared.BROKEN, print_exception=False) from None


def begun() -> list[Any]:
    """The page while a table waits for its turn, and the wish of this run."""
    return [render.progress(), *_hidden, *_buttons(working=True), Wish()]


def stopped(wish: Wish) -> list[Any]:
    """The page after a stop."""
    wish.ending = partial(_ended, render.stopped)
    return wish.ending()


def cleared(wish: Wish) -> list[Any]:
    """Empty inputs, and the page as it was at the start."""
    wish.ending = partial(_ended, render.empty)
    return [None, None, *wish.ending()]


def _ended(shown: Callable[[], str]) -> list[Any]:
    return [shown(), *_hidden, *_buttons(working=False)]


def _buttons(working: bool) -> list[Any]:
    """Start and Stop: one of them can be pressed."""
    return [gr.Button(interactive=not working), gr.Button(interactive=working)]


def _name(file: File) -> str:
    """What the file was called where it came from."""
    return str(file.get("orig_name") or Path(str(file.get("path", ""))).name)


def _reading(file: File) -> Callable[[], bytes]:
    return partial(_content, file)


def _content(file: File) -> bytes:
    """An uploaded photo's bytes; that it is gone is a matter of the row that names it."""
    try:
        return uploaded(file) or b""
    except gr.Error as error:
        raise ValueError(error.message) from None


# Of details, bars and results: empty and hidden. With both buttons: as they are.
_hidden: list[Any] = [gr.update(visible=False), None, ""]
_keep = [gr.skip()] * 5
