"""Side by side with what a user would pick instead, all with random weights: speed and size only.

    python -m benchmarks.comparison

For the photo and its map EfficientNet-B0 of timm with Grad-CAM of pytorch-grad-cam, for the
description a Transformer of BERT-base's size. `benchmarks.speed` runs it as a part of its own.
"""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import nn

import dermmm
from benchmarks.record import Table
from benchmarks.visitor import TEXT, drawing
from dermmm.conditions import NAMES
from dermmm.predictor import Predictor
from dermmm.torchvision_import import torchvision_models

BERT = {"vocabulary": 30_522, "positions": 512, "width": 768, "layers": 12, "heads": 12}
WORDPIECES = 40  # into which BERT's own vocabulary parts some 30 words


def timm_with_grad_cam(size: int) -> tuple[nn.Module, Callable[[bytes], object]]:
    """EfficientNet-B0 of timm, and how its answer and map for a photo's bytes are made."""
    torchvision_models()  # timm imports torchvision, which needs our help on some machines
    import timm
    from pytorch_grad_cam import GradCAM

    model = timm.create_model("efficientnet_b0", pretrained=False, num_classes=len(NAMES)).eval()
    settings = timm.data.resolve_model_data_config(model) | {"input_size": (3, size, size)}
    transform = timm.data.create_transform(**settings, is_training=False)
    cam = GradCAM(model=model, target_layers=[model.conv_head])

    def answer(photo: bytes) -> object:
        images = transform(Image.open(io.BytesIO(photo)).convert("RGB"))[None]
        heat: np.ndarray = cam(input_tensor=images, targets=None)  # None: of the likeliest
        return cam.outputs.softmax(dim=1).detach().numpy(), heat

    return model, answer


class BertSized(nn.Module):
    """The encoder of BERT-base (Devlin et al. 2019, arXiv:1810.04805) with a linear head."""

    def __init__(self) -> None:
        super().__init__()
        width = BERT["width"]
        self.tokens = nn.Embedding(BERT["vocabulary"], width)
        self.positions = nn.Parameter(torch.zeros(BERT["positions"], width))
        layer = nn.TransformerEncoderLayer(
            width, BERT["heads"], 4 * width, activation="gelu", batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, BERT["layers"], enable_nested_tensor=False)
        self.head = nn.Linear(width, len(NAMES))

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        """(B, T) to (B, K) probabilities."""
        states = self.layers(self.tokens(token_ids) + self.positions[: token_ids.shape[1]])
        return self.head(states[:, 0]).softmax(dim=1)


def compare(ours: Predictor, cores: int, repeats: int) -> Table:
    """Milliseconds a case in turns, and the size of the weights.

    Args:
        ours: in ONNX Runtime; cores: how many threads of torch the others get.
    """
    photo = drawing(0)
    model = ours.checkpoint.model
    backbone, with_map = timm_with_grad_cam(model.config.image_size)
    encoder = BertSized().eval()
    token_ids = torch.randint(0, BERT["vocabulary"], (1, WORDPIECES))

    def read() -> object:
        with torch.inference_mode():
            return encoder(token_ids)

    cases: dict[str, tuple[str, float, Callable[[], object], int]] = {
        "photo and map": (
            "Derm-MMMModal", megabytes(model.image_encoder), lambda: ours.predict(photo), 1
        ),
        "photo and map ": (
            "timm EfficientNet-B0, pytorch-grad-cam", megabytes(backbone),
            lambda: with_map(photo), cores,
        ),
        "description": (
            "Derm-MMMModal, with word weights", megabytes(model.text_encoder),
            lambda: ours.predict(text=TEXT), 1,
        ),
        "description ": (
            "12 layers as of BERT-base, tokens given", megabytes(encoder), read, cores
        ),
    }  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, (_, _, action, threads) in cases.items():
            torch.set_num_threads(threads)
            action()  # untimed, as in `benchmarks.speed.interleaved`
            started = time.perf_counter()
            action()
            seconds[name].append(1e3 * (time.perf_counter() - started))
    torch.set_num_threads(1)
    return Table(
        "What a user would pick instead, all on this machine in turns",
        ("input", "model", "ms a case", "weights in memory"),
        tuple(
            (name.strip(), model_name, f"{statistics.median(seconds[name]):.0f}", f"{size:.0f} MB")
            for name, (model_name, size, _, _) in cases.items()
        ),
        f"Medians of {repeats} repeats. The others have random weights and all cores; what they "
        "would answer is not compared. Ours decodes the photo, checks it and gives probabilities, "
        "cautions and sets; the weights are those of the encoders in single precision.",
    )


def megabytes(module: nn.Module) -> float:
    """Of all parameters and buffers in single precision."""
    return sum(4 * len(t.flatten()) for t in module.state_dict().values()) / 1e6


def main() -> None:
    cores = torch.get_num_threads()
    found = compare(dermmm.load(onnx=True), cores, 20)
    print(found.title, *(" | ".join(row) for row in (found.columns, *found.rows)), sep="\n")


if __name__ == "__main__":
    main()
