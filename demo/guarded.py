"""`gr.Blocks` that fetches nothing for a visitor, and tells nothing of a case when it breaks."""

from __future__ import annotations

import logging
from typing import Any

import gradio as gr
from gradio_client.utils import is_http_url_like, traverse  # type: ignore[import-untyped]

from demo import content

logger = logging.getLogger(__name__)


class GuardedBlocks(gr.Blocks):
    """Its events take uploaded files only, and none by their address.

    Gradio downloads a file that a request names by its address. It guards against addresses of the
    own network, but a hospital's server has to send no request at all, and a name that cannot be
    resolved would even be asked of a public service.
    """

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> Any:
        """Gradio's step from a request to a handler's arguments.

        Raises:
            gr.Error: a file is named by an address.
        """
        inputs = traverse(inputs, _uploaded, _names_an_address)
        return await super().preprocess_data(block_fn, inputs, state, explicit_call)

    async def process_api(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Gradio's whole answer to a request.

        Gradio prints what goes wrong, and some of its messages hold the request's inputs. The log
        must tell what broke, and must not hold the case: no message, no input.

        Raises:
            gr.Error: for a visitor to read, and for no log.
        """
        try:
            return await super().process_api(*args, **kwargs)
        except gr.Error as error:
            error.print_exception = False
            raise
        except Exception as error:
            logger.error("an event failed: %s", type(error).__name__)
            raise gr.Error(content.BROKEN, print_exception=False) from None


def _names_an_address(value: Any) -> bool:
    return isinstance(value, dict) and any(
        isinstance(value.get(key), str) and is_http_url_like(value[key]) for key in ("path", "url")
    )


def _uploaded(file: dict[str, Any]) -> dict[str, Any]:
    """A file by its place alone: the page also names the address under which it shows the file."""
    if is_http_url_like(file.get("path") or ""):
        raise gr.Error(content.NOT_UPLOADED, print_exception=False)
    return {**file, "url": None}
