"""Import torchvision also where its compiled operators do not fit the installed torch.

A CPU build of torch beside a CUDA build of torchvision (what pip resolves on some Linux machines)
leaves torchvision's C++ operators unloaded, and `import torchvision` stops at the first Python
function that registers a fake kernel for one of them: "operator torchvision::nms does not exist".
We use none of these operators. Declaring the two missing schemas lets the import go through. It is
done only after the plain import has failed for exactly that reason; elsewhere nothing is touched.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: torch.library.Library | None = None  # the schemas live as long as this object


def torchvision_models() -> ModuleType:
    """Return `torchvision.models`.

    Raises:
        ImportError, RuntimeError: torchvision is missing or broken for any other reason.
    """
    global _library
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # half-imported
    _library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        _library.define(schema)
    return importlib.import_module("torchvision.models")
