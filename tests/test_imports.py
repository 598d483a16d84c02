"""What the code may import and call: no torch for the page, no pickle, nothing pretrained."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("dermmm", "training", "demo")
SOURCES = [
    ROOT / "app.py",
    *(p for folder in FOLDERS for p in sorted((ROOT / folder).rglob("*.py"))),
]

# They unpickle, so that a file could run code, or they fetch weights that others trained.
MODULES = {
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"),
    *("transformers", "timm", "huggingface_hub", "open_clip", "sentence_transformers"),
    "torch.hub",
}
# The client of an endpoint that writes text, which fetches no weights, and its errors.
ALLOWED = {"huggingface_hub.InferenceClient", "huggingface_hub.errors"}
CALLS = {
    *("torch.load", "torch.jit.load", "torch.hub.load", "torchvision.models.get_model"),
    *("pandas.read_pickle", "pd.read_pickle"),
}
METHODS = {"from_pretrained", "load_state_dict_from_url", "hf_hub_download", "snapshot_download"}


def violations(code: str) -> Iterator[str]:
    """Yield what ``code`` does that no file here may do."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names]
            if module in ALLOWED or ALLOWED.issuperset(names):
                continue
            names.append(module)
        elif isinstance(node, ast.Call):
            call = ast.unparse(node.func)
            if call in CALLS or call.split(".")[-1] in METHODS:
                yield f"calls {call}"
            for keyword in node.keywords:
                value = ast.unparse(keyword.value)
                if (
                    keyword.arg == "pretrained"
                    or (keyword.arg == "allow_pickle" and value != "False")
                    or (keyword.arg == "weights" and "efficientnet" in call and value != "None")
                ):
                    yield f"calls {call} with {keyword.arg}={value}"
            continue
        else:
            continue
        for name in names:
            if name in CALLS or any((name + ".").startswith(m + ".") for m in MODULES):
                yield f"imports {name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled_and_nothing_pretrained_is_loaded(path: Path) -> None:
    assert list(violations(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "import os, joblib as j",
        "from pickle import loads",
        "from torch import load",
        "from torch import hub",
        "import transformers.models",
        "def f():\n    return torch.load(path, weights_only=True)",
        "np.load(path, allow_pickle=True)",
        "Model.from_pretrained(name)",
        "torchvision_models().efficientnet_b0(weights='DEFAULT')",
        "models.resnet18(pretrained=True)",
    ],
)
def test_the_check_sees_it(code: str) -> None:
    assert list(violations(code))


@pytest.mark.parametrize(
    "code",
    [
        "import picklesque",
        "safetensors.torch.load(content)",
        "np.load(path)",
        "np.load(path, allow_pickle=False)",
        "models.efficientnet_b0(weights=None)",
        "np.average(values, weights=weights)",
    ],
)
def test_the_check_lets_the_rest_pass(code: str) -> None:
    assert list(violations(code)) == []


def test_light_modules_load_no_torch() -> None:
    code = (
        "import sys, dermmm\n"
        "import dermmm.conditions, dermmm.describe, dermmm.phrases, dermmm.prediction\n"
        "heavy = {'torch', 'torchvision', 'tokenizers', 'safetensors', 'gradio'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
