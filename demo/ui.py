"""The whole page, and the settings it is launched with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from demo import content
from demo.panels import Predictor, batch, examine, model, teach, what_if
from demo.render import page
from demo.theme import theme

# A case leaves nothing behind: files are checked each minute and deleted after ten.
DELETE_CACHE = (60, 600)


def build_demo(predictor: Predictor, cases: Path | None = None) -> gr.Blocks:
    """Return the page around a predictor, ready for `launch(**launch_settings())`.

    ``cases`` is a folder of teaching cases beside those of the repository.
    """
    with gr.Blocks(title=content.TITLE, analytics_enabled=False, delete_cache=DELETE_CACHE) as demo:
        gr.HTML(page.header())
        with gr.Tabs():
            with gr.Tab(content.EXAMINE, id="examine"):
                inputs = examine.build(predictor)
            with gr.Tab(content.WHAT_IF, id="what_if"):
                what_if.build(predictor, inputs)
            with gr.Tab(content.TEACH, id="teach"):
                teach.build(predictor, cases)
            with gr.Tab(content.BATCH, id="batch"):
                batch.build(predictor)
            with gr.Tab(content.MODEL, id="model"):
                model.build(predictor)
    demo.queue(max_size=32, default_concurrency_limit=1)
    return demo


def launch_settings() -> dict[str, Any]:
    """Arguments of ``launch`` that keep cases private and the page whole without a network."""
    return {
        "theme": theme(),
        "css_paths": sorted((Path(__file__).parent / "style").glob("*.css")),
        "run_history": False,  # it would keep each case in the browser
        "enable_monitoring": False,
        "share": False,
        "show_error": False,  # only our own messages reach the page
        "max_file_size": "30mb",
        "footer_links": ["api", "settings"],
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
    }
