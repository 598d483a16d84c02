"""Skin-disease differentials from a photo, a description, or both.

For education and research. Not for any patient's care.

>>> import dermmm
>>> prediction = dermmm.load().predict(text="an itchy red rash on both arms")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dermmm.prediction import (
    NOTICE,
    Deletion,
    Effects,
    Explanation,
    Gate,
    ModelIdentity,
    Phrase,
    Prediction,
    Region,
    Word,
)

if TYPE_CHECKING:
    from os import PathLike

    from dermmm.predictor import Predictor

__version__ = "0.1.0"
__all__ = [
    "NOTICE",
    "Deletion",
    "Effects",
    "Explanation",
    "Gate",
    "ModelIdentity",
    "Phrase",
    "Prediction",
    "Region",
    "Word",
    "__version__",
    "load",
]


def load(path: str | PathLike[str] | None = None, onnx: bool = False) -> Predictor:
    """Return a predictor on the checkpoint folder ``path``, by default the one in the repository.

    With ``onnx`` the model runs in ONNX Runtime, if the packages onnx and onnxruntime are
    installed: that takes a second more to load, and half as long to answer on a CPU. The answers
    are the same but for rounding (1e-5). torch, to which little is left, then has one thread.

    Raises:
        FileNotFoundError: the folder, or a file that its ``config.json`` names, is missing.
        ValueError: a file was altered or is incomplete; the message names the field.
    """
    # Imported here so that `dermmm.conditions` and `dermmm.prediction` stay free of torch.
    from dermmm.predictor import load as load_predictor

    return load_predictor(path, onnx)
