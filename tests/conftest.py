"""A tiny model with random weights, and a drawn photo: no test needs a download or a GPU."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn

import dermmm
from dermmm import checkpoint as checkpoints
from dermmm.calibration import SetRule
from dermmm.checkpoint import Checkpoint
from dermmm.conditions import INDEX, NAMES
from dermmm.model import DermModel, ModelConfig
from dermmm.outside import LIMITED, SCORES, STATISTICS, Abstention, Familiar, Limit
from dermmm.predictor import Predictor
from dermmm.tokenizer import Tokenizer

torch.set_num_threads(1)

IMAGE_SIZE, MAX_TOKENS = 64, 24
IMAGE_NEVER_LEARNED = ("measles", "scabies")
TEXT_NEVER_LEARNED = ("keloid", "vitiligo", "mpox")
TEXTS = (
    "An itchy red rash on both arms for two weeks, with small bumps.",
    "A brown mole of 6 mm on the back that has changed its colour.",
    "Dry, scaly patches on the elbows and knees; it comes and goes.",
    "Painful blisters on the hands, on the feet and in the mouth.",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser may miss its moment on a busy machine. It gets one more try, which is reported."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, vocabulary=400, max_tokens=MAX_TOKENS)


@pytest.fixture(scope="session")
def tiny_checkpoint(tokenizer: Tokenizer) -> Checkpoint:
    """Not saved yet; its weights are in full precision."""
    config = ModelConfig(
        conditions=len(NAMES),
        vocabulary=tokenizer.vocabulary,
        image_size=IMAGE_SIZE,
        max_tokens=MAX_TOKENS,
        text_width=48,
        text_layers=2,
        text_heads=4,
        fusion_width=48,
        fusion_heads=4,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = DermModel(config)
        _use_the_statistics_of_one_batch(model.image_encoder)
        for head, never in (
            (model.fusion.image_head, IMAGE_NEVER_LEARNED),
            (model.fusion.text_head, TEXT_NEVER_LEARNED),
        ):
            nn.init.normal_(head.linear.weight, std=0.3)  # far from uniform answers
            head.covered[[INDEX[name] for name in never]] = False
    return Checkpoint(
        model=model.eval(),
        tokenizer=tokenizer,
        conditions=NAMES,
        temperatures={"image": 1.5, "text": 0.8, "fused": 1.2},
        version="0.0.1-test",
        provenance={"data": "none", "initialisation": "random"},
        metrics={"fused": {"top1": 0.04}},
    )


def _use_the_statistics_of_one_batch(encoder: nn.Module) -> None:
    """Without this the photo would fade away on its way through a random EfficientNet."""
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        encoder.train()(torch.randn(4, 3, IMAGE_SIZE, IMAGE_SIZE))


@pytest.fixture(scope="session")
def checkpoint_folder(
    tiny_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Shared by all tests: copy it before changing anything."""
    folder = tmp_path_factory.mktemp("checkpoints")
    checkpoints.save(tiny_checkpoint, folder)
    return folder


@pytest.fixture(scope="session")
def predictor(checkpoint_folder: Path) -> Predictor:
    return dermmm.load(checkpoint_folder)


@pytest.fixture(scope="session")
def abstention(tiny_checkpoint: Checkpoint) -> Abstention:
    """Made up, and so strict that nothing of a case is trusted but its words."""
    rng = np.random.default_rng(0)
    width, directions = tiny_checkpoint.model.image_encoder.width, 4

    def made(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float16).astype(np.float32)

    return Abstention(
        coverage=0.9,
        sets={
            "image": SetRule("lac", 0.97),
            "text": SetRule("aps", 0.8),
            "fused": SetRule("raps", 0.85),
        },
        limits={name: Limit(-1e6 if name != "words unknown" else 4.0, 0.01) for name in LIMITED},
        parts={
            "not skin-like": ("picture statistics",),
            "far from training": ("max probability", "Mahalanobis"),
        },
        standard=dict.fromkeys(SCORES, (0.5, 2.0)),
        familiar=Familiar(
            feature_mean=made(width),
            feature_map=made(width, directions),
            class_means=made(3, directions),
            neighbours=made(12, directions),
            statistic_mean=made(STATISTICS),
            statistic_map=made(STATISTICS, STATISTICS),
        ),
    )


@pytest.fixture(scope="session")
def cautious_folder(
    tiny_checkpoint: Checkpoint, abstention: Abstention, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Like `checkpoint_folder`, of a model that knows when to abstain."""
    folder = tmp_path_factory.mktemp("cautious")
    checkpoints.save(dataclasses.replace(tiny_checkpoint, abstention=abstention), folder)
    return folder


@pytest.fixture(scope="session")
def cautious_predictor(cautious_folder: Path) -> Predictor:
    return dermmm.load(cautious_folder)


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """Skin with a dark spot, wider than high."""
    image = Image.new("RGB", (96, 72), (224, 172, 150))
    ImageDraw.Draw(image).ellipse((50, 12, 80, 40), fill=(90, 50, 40))
    return image
