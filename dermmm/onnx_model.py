"""The same model, run by ONNX Runtime: on a CPU an answer takes it half the time.

Each part of the model is exported in memory when it is wanted, which takes a second; nothing is
written to disk, and no file but the checkpoint's is read. It needs the packages onnx and
onnxruntime.

A single case is too small to be shared out among threads, which wait for one another more than they
work. So a part uses one thread, the two encoders run side by side, and a batch is cut in pieces.

Shapes: B batch, N image patches, T tokens, D width.
"""

from __future__ import annotations

import importlib.util
import io
import os
import warnings
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeAlias

import torch
from torch import Tensor, nn

from dermmm.fusion import FusionOutput, GatedCrossAttention
from dermmm.model import DermModel

# A part's arguments by name: an example of each, and names for the sizes of it that vary.
Inputs: TypeAlias = Mapping[str, tuple[Tensor, Mapping[int, str]]]

PIECE = 8  # cases of a batch that a thread takes at once; more take memory and are no faster


def available() -> bool:
    """Whether the packages that it needs are installed."""
    return all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))


class OnnxModel(DermModel):
    """A model with the same forward pass, whose parts ONNX Runtime runs. It cannot be trained.

    Results differ from those of ``model`` by rounding: probabilities by less than 1e-5.

    Args:
        model: in evaluation mode. It is read once and not kept.
        threads: among which a batch is shared out; by default as many as torch uses.

    Raises:
        ModuleNotFoundError: onnx or onnxruntime is not installed.
    """

    def __init__(self, model: DermModel, threads: int | None = None) -> None:
        nn.Module.__init__(self)  # `DermModel` itself would make a second set of weights
        self.config = model.config
        self.pool = ThreadPoolExecutor(threads or torch.get_num_threads(), "onnx")
        self.reader = ThreadPoolExecutor(1, "onnx-text")
        for name, content in exported(model).items():
            part = _Part(content, getattr(getattr(model, name), "width", 0), self.pool)
            self.add_module(name, _Fusion(part) if name == "fusion" else part)
        self.eval()

    def encode(
        self, images: Tensor | None, token_ids: Tensor | None, token_mask: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """As `DermModel.encode`, photos and texts at the same time."""
        if images is None or token_ids is None:
            return super().encode(images, token_ids, token_mask)
        states = self.reader.submit(self.text_encoder, token_ids, token_mask)
        return self.image_encoder(images)[0], states.result()[0]


class _Part(nn.Module):
    """A module in ONNX Runtime: the same tensors in, the same tensors out."""

    def __init__(self, content: bytes, width: int, pool: Executor) -> None:
        super().__init__()
        # It reads this as it is loaded; else it reports its use to its maker over the network.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime

        onnxruntime.disable_telemetry_events()  # builds for Windows trace what they run
        self.width, self.pool = width, pool
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # errors
        self.session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        self.session._model_bytes = None  # it would keep them for ever, a quarter of all it holds
        self.inputs = [one.name for one in self.session.get_inputs()]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        if len(inputs[0]) <= PIECE:
            return self._run(*inputs)
        pieces = zip(*(argument.split(PIECE) for argument in inputs), strict=True)
        found = self.pool.map(lambda piece: self._run(*piece), pieces)
        return tuple(map(torch.cat, zip(*found, strict=True)))

    def _run(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = zip(self.inputs, inputs, strict=True)
        found = self.session.run(None, {name: value.numpy() for name, value in given})
        return tuple(map(torch.from_numpy, found))


class _Fusion(nn.Module):
    """The fusion in ONNX Runtime, which knows no results but tuples."""

    def __init__(self, part: _Part) -> None:
        super().__init__()
        self.part = part

    def forward(self, *inputs: Tensor) -> FusionOutput:
        return FusionOutput(*self.part(*inputs))


def exported(model: DermModel) -> dict[str, bytes]:
    """Each part of the model as an ONNX file's bytes: image_encoder, text_encoder and fusion.

    The sizes B, N and T are free.
    """
    parts = {**dict(model.named_children()), "fusion": _Fields(model.fusion)}
    return {name: _exported(parts[name], inputs) for name, inputs in _inputs(model).items()}


class _Fields(nn.Module):
    def __init__(self, fusion: GatedCrossAttention) -> None:
        super().__init__()
        self.fusion = fusion

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(vars(self.fusion(*inputs)).values())


def _inputs(model: DermModel) -> dict[str, Inputs]:
    """What each part is traced with. No size that varies is 1 in it: that has rules of its own."""
    cases, patches, tokens, size = 2, 4, 3, model.config.image_size
    present = torch.ones(cases, dtype=torch.bool), {0: "B"}
    mask = torch.ones(cases, tokens, dtype=torch.bool), {0: "B", 1: "T"}
    ids = torch.zeros(cases, tokens, dtype=torch.int64)
    images = torch.zeros(cases, patches, model.image_encoder.width)
    states = torch.zeros(cases, tokens, model.text_encoder.width)
    return {
        "image_encoder": {"images": (torch.zeros(cases, 3, size, size), {0: "B"})},
        "text_encoder": {"token_ids": (ids, {0: "B", 1: "T"}), "token_mask": mask},
        "fusion": {
            "patches": (images, {0: "B", 1: "N"}),
            "states": (states, {0: "B", 1: "T"}),
            "token_mask": mask,
            "image_present": present,
            "text_present": present,
        },
    }


def _exported(module: nn.Module, inputs: Inputs) -> bytes:
    content = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        # The exporter that takes a tenth of the time, and no further package, is called legacy.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(example for example, _ in inputs.values()),
            content,  # type: ignore[arg-type]  # this exporter writes to memory, too
            input_names=list(inputs),
            dynamic_axes={name: dict(sizes) for name, (_, sizes) in inputs.items()},
            opset_version=18,
            dynamo=False,
        )
    return content.getvalue()
