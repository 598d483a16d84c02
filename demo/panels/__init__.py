"""The tabs of the page, one file each, and what a tab is given."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import gradio as gr
import numpy as np
import plotly.graph_objects as go
from gradio.components.plot import PlotData
from gradio.utils import get_upload_folder

from demo import content
from demo.content import examine as words
from dermmm import Effects, ModelIdentity, Prediction

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Photo = bytes | np.ndarray  # a file as it came, or upright RGB pixels (H, W, 3) uint8

# Events that run the model share one queue. The model itself runs in one thread: each further one
# would hold 30 MB of working memory, and two at a time are no faster.
MODEL_QUEUE = "model"
MODEL_THREAD = ThreadPoolExecutor(1, "model")


class Predictor(Protocol):
    """What the page needs of a model: `dermmm.load()` returns one, tests bring their own."""

    @property
    def conditions(self) -> Sequence[str]:
        """The K condition names, in the order of every probability array."""

    @property
    def identity(self) -> ModelIdentity:
        """Which weights answer."""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What `training.evaluate` measured: the contents of the checkpoint's metrics.json."""

    @property
    def card(self) -> Mapping[str, Any]:
        """What the model is made of and where it comes from: licence, sizes, provenance."""

    def open_photo(
        self, image: Any, box: tuple[float, float, float, float] = (0, 0, 1, 1)
    ) -> np.ndarray:
        """Return the part (top, left, bottom, right; shares 0..1) of an upright photo.

        (H, W, 3) uint8, bounded in size, without metadata; ValueError like `predict`.
        """

    def predict(
        self, image: Any = None, text: str | None = None, explain: bool = True
    ) -> Prediction:
        """Return the differential; ValueError with a readable message on bad input."""

    def predict_many(
        self, images: Sequence[Any], texts: Sequence[str | None]
    ) -> Sequence[Prediction | ValueError | OSError]:
        """Return for each case its answer without explanation, or what `predict` would raise."""

    def effects(self, image: Any = None, text: str | None = None) -> Effects:
        """Return what the answer owes to each phrase and region; ValueError like `predict`."""


@dataclass(frozen=True)
class Inputs:
    """The components that hold the case of the tab Examine."""

    photo: gr.Image
    description: gr.Textbox


@dataclass(frozen=True, eq=False)  # by identity: a `gr.State` hashes what it holds
class Answered:
    """The case that Examine shows: its answer, and what the answer owes to parts of the input.

    ``effects`` is None until they are worked out, and where they could not be.
    """

    prediction: Prediction
    effects: Effects | None = None


@dataclass(eq=False)  # by identity: a `gr.State` hashes what it holds
class Wish:
    """How a run is to end before its time: as None, not at all.

    Each run has its own, which Stop and Clear find in the session. Gradio's own way to cancel an
    event lets messages through for another second, which would then overwrite what was shown
    instead. So the run itself looks here before each message, and shows the ending as its last.
    """

    ending: Callable[[], list[Any]] | None = None


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


def ask(predictor: Predictor, photo: Photo | None, description: str | None) -> Prediction:
    """Run the model.

    Raises:
        gr.Error: nothing was given, or the predictor says what is wrong with the input.
    """
    return _asked(predictor.predict, photo, description)


def ask_effects(predictor: Predictor, photo: Photo | None, description: str | None) -> Effects:
    """Run the model on the case with parts of it removed; raises as `ask` does."""
    return _asked(predictor.effects, photo, description)


def _asked(model: Callable[..., Result], photo: Photo | None, description: str | None) -> Result:
    text = (description or "").strip() or None
    if photo is None and text is None:
        raise gr.Error(words.NOTHING_GIVEN, print_exception=False)
    try:
        return MODEL_THREAD.submit(model, image=photo, text=text).result()
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from None
    except Exception as error:
        # The log must tell what broke, and must not hold the case: no message, no input.
        logger.error("prediction failed: %s", type(error).__name__)
        raise gr.Error(content.BROKEN, print_exception=False) from None


def at_once(*values: Any) -> str:
    """JavaScript that gives an event's outputs these values, without asking the server.

    So a button that empties the page does it at once, however busy the server is.
    """
    return f"() => {json.dumps(values)}"


def plot(figure: go.Figure) -> PlotData:
    """A figure for `gr.Plot`, which has no setting of its own for plotly's tool bar."""
    figure_json = figure.to_json()
    config = '{"displayModeBar": false, "scrollZoom": false, "doubleClick": false}'
    return PlotData(type="plotly", plot=f'{figure_json[:-1]}, "config": {config}}}')
