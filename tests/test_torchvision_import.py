"""The cure for a torchvision whose operators do not load, and that nobody else gets it."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace

import pytest
import torch

from dermmm import torchvision_import
from dermmm.torchvision_import import torchvision_models

THE_ERROR = RuntimeError("operator torchvision::nms does not exist")


class Machine:
    """Stands in for the import system and for torch's registry of operators."""

    def __init__(self, *outcomes: Exception | ModuleType) -> None:
        self.outcomes = list(outcomes)
        self.schemas: list[str] = []
        self.modules = dict.fromkeys(
            ("torch", "torchvision", "torchvision.ops", "torchvisionary"), ModuleType("x")
        )

    def import_module(self, name: str) -> ModuleType:
        assert name == "torchvision.models"
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def library(self, namespace: str, kind: str) -> SimpleNamespace:
        assert (namespace, kind) == ("torchvision", "DEF")
        return SimpleNamespace(define=self.schemas.append)


def install(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> Machine:
    monkeypatch.setattr(torchvision_import, "importlib", machine)
    monkeypatch.setattr(torchvision_import, "sys", machine)
    monkeypatch.setattr(torchvision_import, "_library", None)
    monkeypatch.setattr(torch.library, "Library", machine.library)
    return machine


def test_an_import_that_works_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    models = ModuleType("models")
    machine = install(monkeypatch, Machine(models))
    assert torchvision_models() is models
    assert machine.schemas == []
    assert len(machine.modules) == 4
    assert torchvision_import._library is None


def test_the_missing_operators_are_declared_and_the_import_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models = ModuleType("models")
    machine = install(monkeypatch, Machine(THE_ERROR, models))
    assert torchvision_models() is models
    assert [schema.split("(")[0] for schema in machine.schemas] == ["nms", "qnms"]
    assert sorted(machine.modules) == ["torch", "torchvisionary"]  # no half-imported module
    assert torchvision_import._library is not None, "the schemas live as long as it"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA driver version is insufficient"),
        RuntimeError("operator torchvision::roi_align does not exist"),
        ImportError("No module named 'torchvision'"),
    ],
    ids=str,
)
def test_any_other_error_is_told(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    machine = install(monkeypatch, Machine(error))
    with pytest.raises(type(error), match=str(error)):
        torchvision_models()
    assert machine.schemas == []
    assert len(machine.modules) == 4


def test_the_cure_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Machine(THE_ERROR, THE_ERROR))
    with pytest.raises(RuntimeError, match="nms does not exist"):
        torchvision_models()


def test_the_real_import_gives_the_real_model() -> None:
    models = torchvision_models()
    assert models is torchvision_models()
    assert callable(models.efficientnet_b0)
