"""The whole page, and the settings it is launched with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from demo import content, render
from demo.panels import Predictor, examine
from demo.theme import theme

# A case leaves nothing behind: files are checked each minute and deleted after ten.
DELETE_CACHE = (60, 600)


def build_demo(predictor: Predictor) -> gr.Blocks:
    """Return the page around a predictor, ready for `launch(**launch_settings())`."""
    with gr.Blocks(title=content.TITLE, analytics_enabled=False, delete_cache=DELETE_CACHE) as demo:
        gr.HTML(render.header())
        with gr.Tabs():  # noqa: SIM117  (one line a tab, more will follow)
            with gr.Tab(content.EXAMINE):
                examine.build(predictor)
    demo.queue(max_size=32, default_concurrency_limit=1)
    return demo


def launch_settings() -> dict[str, Any]:
    """Arguments of ``launch`` that keep cases private and the page whole without a network."""
    return {
        "theme": theme(),
        "css_paths": Path(__file__).with_name("style.css"),
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
