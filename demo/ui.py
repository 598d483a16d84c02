"""The whole page, and the settings it is launched with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.routes import App

from demo import content
from demo.examples import EXAMPLES
from demo.gate import EMBEDDERS, Gate
from demo.guarded import GuardedBlocks
from demo.panels import Predictor, batch, examine, model, teach, what_if
from demo.render import page
from demo.sessions import WaitingLine, lifespan
from demo.theme import theme
from demo.uploads import CHECK_SECONDS, KEPT_SECONDS

# A case leaves nothing behind: files are checked each minute and deleted after ten.
DELETE_CACHE = (CHECK_SECONDS, KEPT_SECONDS)
TABS = ("examine", "what_if", "teach", "batch", "model")
# How many cases may wait for the model: those of a large class that all press Analyse at once.
QUEUE_SIZE = 50


def build_demo(
    predictor: Predictor, cases: Path | None = None, queue_size: int = QUEUE_SIZE
) -> gr.Blocks:
    """Return the page around a predictor, ready for `launch(**launch_settings())`.

    ``cases`` is a folder of teaching cases beside those of the repository. Of the cases that wait
    for the model, ``queue_size`` are kept; more are turned away with a message.
    """
    with GuardedBlocks(
        title=content.TITLE, analytics_enabled=False, delete_cache=DELETE_CACHE
    ) as demo:
        gr.HTML(page.header())
        with gr.Tabs() as tabs:
            with gr.Tab(content.EXAMINE, id="examine"):
                inputs = examine.build(predictor)
            with gr.Tab(content.WHAT_IF, id="what_if") as what_if_tab:
                what_if.build(predictor, inputs, what_if_tab)
            with gr.Tab(content.TEACH, id="teach") as teach_tab:
                teach.build(predictor, cases, teach_tab)
            with gr.Tab(content.BATCH, id="batch"):
                batch.build(predictor)
            with gr.Tab(content.MODEL, id="model") as model_tab:
                model.build(predictor, model_tab)
        demo.load(open_tab, None, tabs, show_progress="hidden", api_visibility="private")
    demo.api_open = False  # no event that runs the model can be called past the queue
    demo._queue = WaitingLine(demo, queue_size)
    return demo


def open_tab(request: gr.Request) -> Any:
    """Open the tab that the address names: ?tab=teach, with &set=… for a class's set of cases."""
    tab = request.query_params.get("tab")
    return gr.Tabs(selected=tab) if tab in TABS else gr.skip()


def launch_settings(embedders: tuple[str, ...] = EMBEDDERS) -> dict[str, Any]:
    """Arguments of ``launch`` that keep cases private and the page whole without a network.

    ``embedders`` are addresses whose pages may show this one in a frame.
    """
    return {
        "theme": theme(),
        "css_paths": sorted((Path(__file__).parent / "style").glob("*.css")),
        "run_history": False,  # it would keep each case in the browser
        "enable_monitoring": False,
        "share": False,
        "show_error": False,  # only our own messages reach the page
        "max_file_size": "30mb",
        "allowed_paths": [str(one.path) for one in EXAMPLES if one.path],
        "app_kwargs": {"lifespan": _gated(embedders)},
        "state_session_capacity": 2000,
        "footer_links": ["api", "settings"],
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
    }


def _gated(embedders: tuple[str, ...]) -> Callable[[App], AbstractAsyncContextManager[None]]:
    """What the server does as it starts and ends."""

    @asynccontextmanager
    async def around(app: App) -> AsyncIterator[None]:
        Gate.put_around(app, embedders)
        async with lifespan(app):
            yield

    return around
