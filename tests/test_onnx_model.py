"""The model in ONNX Runtime: the same results, whatever is given and however many cases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image

import dermmm
from dermmm import onnx_model
from dermmm.checkpoint import Checkpoint
from dermmm.model import DermModel
from dermmm.onnx_model import PIECE, OnnxModel
from dermmm.predictor import Predictor

pytest.importorskip("onnxruntime")
TEXT = "Itchy, scaly patches on both elbows. They came after a cold and have grown since then."


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Checkpoint) -> DermModel:
    return tiny_checkpoint.model


@pytest.fixture(scope="module")
def onnx(model: DermModel) -> OnnxModel:
    return OnnxModel(model, threads=2)


@pytest.mark.parametrize("given", ["photo", "text", "both"])
@pytest.mark.parametrize(("cases", "tokens"), [(1, 1), (1, 9), (3, 24), (2 * PIECE + 1, 5)])
def test_every_result_is_the_same(
    model: DermModel, onnx: OnnxModel, given: str, cases: int, tokens: int
) -> None:
    torch.manual_seed(cases)
    size = model.config.image_size
    images = None if given == "text" else torch.randn(cases, 3, size, size)
    token_ids, mask = None, None
    if given != "photo":
        token_ids = torch.randint(0, model.config.vocabulary, (cases, tokens))
        mask = torch.ones(cases, tokens, dtype=torch.bool)
        mask[-1, 1:] = False
    with torch.inference_mode():
        expected, got = model(images, token_ids, mask), onnx(images, token_ids, mask)
    for name, value in vars(expected).items():
        largest = float(value[torch.isfinite(value)].abs().max())  # logits of noise go up to 150
        torch.testing.assert_close(
            getattr(got, name), value, atol=1e-4 * max(largest, 1), rtol=0, msg=name
        )


def test_it_has_no_weights_of_its_own(onnx: OnnxModel) -> None:
    assert list(onnx.parameters()) == [] and not onnx.training


def test_answers_and_effects_are_those_of_torch(
    checkpoint_folder: Path, predictor: Predictor, photo: Image.Image
) -> None:
    fast = dermmm.load(checkpoint_folder, onnx=True)
    assert isinstance(fast.model, OnnxModel) and fast.card == predictor.card
    for image, text in ((photo, TEXT), (photo, None), (None, TEXT)):
        expected, got = predictor.predict(image, text), fast.predict(image, text)
        assert got.probabilities == pytest.approx(expected.probabilities, abs=1e-5)
        assert got.gate.image == pytest.approx(expected.gate.image, abs=1e-5)
        assert got.explanation is not None and expected.explanation is not None
        if image is not None:
            assert got.explanation.attention == pytest.approx(
                expected.explanation.attention, abs=1e-5
            )
        parts = zip(
            fast.effects(image, text).regions, predictor.effects(image, text).regions, strict=True
        )
        assert all(a.change == pytest.approx(b.change, abs=1e-5) for a, b in parts)


def test_threads_do_not_mix_cases_up(
    onnx: OnnxModel, tiny_checkpoint: Checkpoint, photo: Image.Image
) -> None:
    predictor = Predictor(tiny_checkpoint, onnx)
    cases = [(photo.rotate(30 * turn), f"{turn} red spots") for turn in range(8)]
    serial = [predictor.predict(*case).to_dict() for case in cases]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda case: predictor.predict(*case).to_dict(), cases)) == serial


def test_without_the_packages_torch_answers(
    checkpoint_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert onnx_model.available()
    monkeypatch.setattr(onnx_model.importlib.util, "find_spec", lambda name: None)
    assert not onnx_model.available()
    predictor = dermmm.load(checkpoint_folder, onnx=True)
    assert predictor.model is predictor.checkpoint.model
