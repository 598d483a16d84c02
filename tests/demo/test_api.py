"""The API: the README's programs run as they stand there, and nothing is fetched for a visitor."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client  # type: ignore[import-untyped]

from demo import content
from demo.examples import EXAMPLES
from tests.fakes import FakePredictor
from tests.screenshots import served

README = Path(__file__).parents[2] / "README.md"
DRAWING = EXAMPLES[0].path
TEXT = "itchy for two weeks"
ENDPOINTS = ("predict", "explain", "batch")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(FakePredictor()) as address:
        yield address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a user of the README has at hand."""
    assert DRAWING is not None
    (tmp_path / "photo.jpg").write_bytes(DRAWING.read_bytes())
    (tmp_path / "cases.csv").write_text(f"case_id,image,text\n1,photo.jpg,{TEXT}\n2,,{TEXT}\n")
    return tmp_path


def block(kind: str, address: str) -> str:
    """The README's program between the marks of that kind, for the page at ``address``."""
    found = re.search(
        rf"<!-- api: {kind} -->\n```\w+\n(.*?)```", README.read_text(encoding="utf-8"), re.S
    )
    assert found is not None
    assert "http://127.0.0.1:7860" in found[1]
    return found[1].replace("http://127.0.0.1:7860", address.rstrip("/"))


def test_the_readmes_python(address: str, folder: Path) -> None:
    names: dict[str, Any] = {}
    with contextlib.chdir(folder):
        exec(compile(block("python", address), str(README), "exec"), names)
    both = FakePredictor().predict((folder / "photo.jpg").read_bytes(), TEXT)
    assert names["answer"] == both.to_dict()
    by_text = FakePredictor().predict(text=TEXT).to_dict()
    assert names["reasons"]["conditions"] == by_text["conditions"]
    assert names["reasons"]["effects"]["phrases"]
    first, second = names["answers"]["answers"]
    assert first["prediction"]["conditions"] == both.to_dict()["conditions"]
    assert second["prediction"]["conditions"] == by_text["conditions"]
    assert names["answers"]["csv"].startswith("case_id,")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_readmes_curl(address: str, folder: Path) -> None:
    done = subprocess.run(
        ["bash", "-eu", "-c", block("curl", address)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    events = re.findall(r"^event: (.*)\ndata: (.*)$", done.stdout, re.M)
    assert {event for event, _ in events} == {"complete"}
    predict, explain, batch = (json.loads(data)[0] for _, data in events)
    assert predict == FakePredictor().predict((folder / "photo.jpg").read_bytes(), TEXT).to_dict()
    assert explain["effects"]["phrases"]
    assert [answer["error"] for answer in batch["answers"]] == ["", ""]


def test_the_public_endpoints_are_these_and_say_what_they_take(address: str) -> None:
    client = Client(address, verbose=False, analytics_enabled=False)
    api: dict[str, Any] = client.view_api(return_format="dict")
    assert sorted(api["named_endpoints"]) == sorted(f"/{name}" for name in ENDPOINTS)
    assert not api["unnamed_endpoints"]
    for endpoint in api["named_endpoints"].values():
        assert "research only" in endpoint["description"]
        assert all(p["parameter_name"] and p["type"] for p in endpoint["parameters"])


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_file_named_by_its_address_is_not_fetched(
    scheme: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def resolve(self: Any, host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        raise OSError("no name is resolved in this test")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve)
    url = f"{scheme}://photos.example.org/photo.jpg"
    for name in ENDPOINTS[:2]:
        for mark in ({"meta": {"_type": "gradio.FileData"}}, {}):
            call = f"{address}gradio_api/call/{name}"
            body = {"data": [{"path": url, **mark}, None]}
            event = httpx.post(call, json=body).raise_for_status().json()["event_id"]
            said = httpx.get(f"{call}/{event}", timeout=20).text
            assert "event: error" in said
            assert content.NOT_UPLOADED in said
    assert httpx.get(f"{address}gradio_api/file={url}").status_code == 403
    assert not asked
