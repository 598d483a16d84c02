"""A page that fetches nothing for its visitors.

Gradio downloads a file that a request names by its address, and passes on the contents of
`/file=https://...`. It guards both against addresses of the own network, but a hospital's server
has to send no request at all, and a name that cannot be resolved would even be asked of a public
service. So both are refused before Gradio sees them.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio_client.utils import is_http_url_like, traverse  # type: ignore[import-untyped]
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from demo import content


class OfflineBlocks(gr.Blocks):
    """`gr.Blocks` whose events take uploaded files only, and none by their address."""

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> Any:
        """Gradio's step from a request to a handler's arguments.

        Raises:
            gr.Error: a file is named by an address.
        """
        traverse(inputs, _refuse, _names_an_address)
        return await super().preprocess_data(block_fn, inputs, state, explicit_call)


class NoFetching:
    """Refuses `/file=` and an address, with status 403."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "/file=http" in scope["path"].lower():
            refusal = PlainTextResponse(content.NOT_UPLOADED, status_code=403)
            await refusal(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _names_an_address(value: Any) -> bool:
    return isinstance(value, dict) and is_http_url_like(value.get("path") or "")


def _refuse(value: Any) -> None:
    raise gr.Error(content.NOT_UPLOADED, print_exception=False)
