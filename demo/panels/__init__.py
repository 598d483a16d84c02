"""The tabs of the page, one file each, and what a tab is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import gradio as gr
from gradio.utils import get_upload_folder

from demo import content
from dermmm import Prediction

# Events that run the model share one queue, so that they never run at the same time.
MODEL_QUEUE = "model"


class Predictor(Protocol):
    """What the page needs of a model: `dermmm.load()` returns one, tests bring their own."""

    def predict(
        self, image: Any = None, text: str | None = None, explain: bool = True
    ) -> Prediction:
        """Return the differential; ValueError with a readable message on bad input."""


def uploaded(photo: dict[str, Any] | None) -> bytes | None:
    """The bytes of an uploaded file, just as they came, from what a `gr.Image` sends.

    `gr.Image` itself would decode before the handler and fail there, with a raw message, on HEIC,
    corrupt and huge files. The predictor reads all of these or says what is wrong with them. So
    events that take a photo are made with ``preprocess=False`` and read it here.

    Raises:
        gr.Error: the file was not uploaded, or is no longer there.
    """
    if not photo or not photo.get("path"):
        return None
    path = Path(photo["path"]).resolve()
    # Gradio checks this only for files that the request marks as files. A request can omit the
    # mark, and would then have any file of this computer read.
    if not path.is_relative_to(Path(get_upload_folder()).resolve()):
        raise gr.Error(content.NOT_UPLOADED, print_exception=False)
    try:
        return path.read_bytes()
    except OSError:
        raise gr.Error(content.PHOTO_GONE, print_exception=False) from None
