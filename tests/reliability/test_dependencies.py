"""The locks, the SBOM and requirements.txt agree, and nothing known to be weak is allowed."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from packaging.version import Version

from benchmarks import dependencies
from benchmarks.dependencies import LOCK, MINIMUM, ROOT, TORCH_LOCK


def test_requirements_locks_and_sbom_agree() -> None:
    assert dependencies.disagreements() == []


def test_every_file_but_torch_has_its_hash() -> None:
    pins = dependencies.locked(LOCK)
    assert len(pins) > 40
    assert all(hashes for _, hashes in pins)
    assert {pin.name for pin, _ in dependencies.locked(TORCH_LOCK)} == {"torch", "torchvision"}


def test_locked_and_installed_versions_are_not_too_old() -> None:
    assert dependencies.too_old(dependencies.listed()) == []
    assert dependencies.too_old(dependencies.installed()) == []


def test_the_lowest_version_that_requirements_allow_is_not_too_old() -> None:
    for wanted in dependencies.required():
        if wanted.name in MINIMUM:
            lowest = next(one.version for one in wanted.specifier if one.operator == ">=")
            assert Version(lowest) >= Version(MINIMUM[wanted.name][0]), wanted


def test_an_old_or_missing_package_is_told() -> None:
    versions = {name: Version(least) for name, (least, _) in MINIMUM.items()}
    assert dependencies.too_old(versions) == []
    old = dependencies.too_old(versions | {"pillow": Version("12.2")})
    assert old == [f"pillow 12.2, at least 12.3 for {MINIMUM['pillow'][1]}"]
    del versions["h11"]
    assert [line.split(",")[0] for line in dependencies.too_old(versions)] == ["h11 missing"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("pillow==12.3.0 ", "pillow==12.2.0 ", "requirements.txt wants pillow"),
        ("safetensors==", "other==", "safetensors of requirements.txt is not locked"),
        ("anyio==", "anyio==9", "anyio .* is in the SBOM and not so in the lock"),
    ],
)
def test_a_difference_is_told(
    old: str, new: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = tmp_path / "requirements.lock"
    text = LOCK.read_text(encoding="utf-8")
    assert old in text
    changed.write_text(text.replace(old, new, 1), encoding="utf-8")
    monkeypatch.setattr(dependencies, "LOCK", changed)
    assert any(re.search(problem, line) for line in dependencies.disagreements())


def test_a_loose_pin_is_refused(tmp_path: Path) -> None:
    loose = tmp_path / "requirements.lock"
    loose.write_text("pillow>=12.3 --hash=sha256:00\n")
    with pytest.raises(ValueError, match="expected NAME==VERSION"):
        dependencies.locked(loose)


def test_without_an_answer_the_stored_audit_counts_for_the_same_versions_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = type("Done", (), {"stdout": "no connection"})()
    monkeypatch.setattr(dependencies.subprocess, "run", lambda *_, **__: nothing)
    monkeypatch.setattr(dependencies, "AUDIT", tmp_path / "audit.json")
    answer = dependencies.audit()
    assert answer["audited"] == 0 and not dependencies.AUDIT.exists()
    stored = {**answer, "date": "2026-01-01", "audited": len(answer["versions"])}
    dependencies.AUDIT.write_text(json.dumps(stored))
    assert dependencies.audit() == stored
    dependencies.AUDIT.write_text(json.dumps(stored | {"versions": {"pillow": "1"}}))
    assert dependencies.audit()["audited"] == 0


def test_no_code_calls_torch_load() -> None:
    """The reason that torch older than 2.10 is allowed."""
    for folder in ("dermmm", "training", "demo", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            calls = [
                node
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Call)
            ]
            assert "torch.load" not in [ast.unparse(call.func) for call in calls], path
