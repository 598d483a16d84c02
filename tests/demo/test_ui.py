"""The page's handlers as plain functions, and the API through its real client."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio_client import Client, handle_file  # type: ignore[import-untyped]
from PIL import Image

from demo.content import examine as content
from demo.examples import EXAMPLES
from demo.panels.examine import ask, plot
from demo.render.chart import chart
from demo.ui import QUEUE_SIZE, build_demo, launch_settings
from tests.fakes import FakePredictor
from tests.screenshots import served

DRAWING = str(EXAMPLES[0].path)
TEXT = "a dark spot that has grown"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(FakePredictor()) as address:
        yield address


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False, analytics_enabled=False)


def test_api_returns_exactly_the_prediction(client: Client) -> None:
    expected = FakePredictor().predict(Path(DRAWING).read_bytes(), TEXT).to_dict()
    assert client.predict(handle_file(DRAWING), TEXT, api_name="/predict") == expected


def test_api_photo_and_text_are_optional(client: Client) -> None:
    by_text: dict[str, Any] = client.predict(description=TEXT, api_name="/predict")
    assert by_text == FakePredictor().predict(text=TEXT).to_dict()
    assert client.predict(None, TEXT, api_name="/predict") == by_text
    by_photo: dict[str, Any] = client.predict(photo=handle_file(DRAWING), api_name="/predict")
    assert by_photo["gate"] == {"image": 1.0, "text": 0.0}


def test_api_explains(client: Client) -> None:
    photo, fake = Path(DRAWING).read_bytes(), FakePredictor()
    expected = fake.predict(photo, TEXT).to_dict(fake.effects(photo, TEXT))
    assert client.predict(handle_file(DRAWING), TEXT, api_name="/explain") == expected
    assert "effects" in expected


@pytest.mark.parametrize("endpoint", ["/predict", "/explain"])
def test_api_documents_its_endpoints(client: Client, endpoint: str) -> None:
    api: dict[str, Any] = client.view_api(return_format="dict")
    assert not api["unnamed_endpoints"]
    parameters = api["named_endpoints"][endpoint]["parameters"]
    assert [p["parameter_name"] for p in parameters] == ["photo", "description"]
    assert all(p["parameter_has_default"] for p in parameters)


def test_api_has_no_other_endpoints(client: Client) -> None:
    api: dict[str, Any] = client.view_api(return_format="dict")
    assert set(api["named_endpoints"]) <= {"/predict", "/explain", "/batch"}


def test_api_says_what_is_missing(client: Client) -> None:
    with pytest.raises(Exception, match="Add a photo"):
        client.predict(None, "   ", api_name="/predict")


def test_api_gives_the_predictors_own_words(client: Client, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"this is no photo")
    with pytest.raises(Exception, match="not a photo that can be read"):
        client.predict(handle_file(broken), None, api_name="/predict")


def test_api_does_not_tell_internal_errors(client: Client) -> None:
    with pytest.raises(Exception, match="could not finish") as caught:
        client.predict(None, "crash the model", api_name="/predict")
    assert "internal detail" not in str(caught.value)


@pytest.mark.parametrize("mark", [{"meta": {"_type": "gradio.FileData"}}, {}])
def test_api_reads_only_uploaded_files(
    address: str, tmp_path: Path, mark: dict[str, object]
) -> None:
    """A request that names a file of the server, with and without Gradio's mark of a file."""
    secret = tmp_path / "secret.png"
    Image.new("RGB", (32, 32)).save(secret)
    for path in (str(secret), f"{tmp_path}/../{tmp_path.name}/secret.png"):
        answer = _post(address, [{"path": path, **mark}, None])
        assert "event: error" in answer
        assert "conditions" not in answer


def _post(address: str, data: list[Any]) -> str:
    """Call /predict without the client's upload step, as an attacker would."""
    url = f"{address}gradio_api/call/predict"
    event = httpx.post(url, json={"data": data}).raise_for_status().json()["event_id"]
    return httpx.get(f"{url}/{event}", timeout=20).text


def test_the_photo_arrives_as_the_bytes_of_the_file(client: Client, tmp_path: Path) -> None:
    """Even a format that Gradio itself could not open reaches the predictor untouched."""
    content_ = io.BytesIO()
    Image.new("RGB", (64, 48), "peru").save(content_, "TIFF")
    photo = tmp_path / "photo.heic"
    photo.write_bytes(content_.getvalue())
    result: dict[str, Any] = client.predict(handle_file(photo), None, api_name="/predict")
    assert result == FakePredictor().predict(content_.getvalue()).to_dict()


@pytest.mark.parametrize(("photo", "text"), [(None, None), (None, ""), (None, " \n ")])
def test_nothing_given(photo: bytes | None, text: str | None) -> None:
    with pytest.raises(gr.Error) as caught:
        ask(FakePredictor(), photo, text)
    assert caught.value.message == content.NOTHING_GIVEN


def test_blank_text_beside_a_photo_counts_as_none() -> None:
    fake = FakePredictor()
    ask(fake, Path(DRAWING).read_bytes(), "  ")
    assert fake.calls[0][1] is None


def test_a_failure_leaves_no_case_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(gr.Error):
        ask(FakePredictor(), None, "crash the model, said Mrs Miller")
    assert "RuntimeError" in caplog.text
    assert "Miller" not in caplog.text
    assert "internal detail" not in caplog.text


def test_plot_carries_the_figure_and_no_tool_bar() -> None:
    data = plot(chart(FakePredictor().predict(text=TEXT)))
    assert '"displayModeBar": false' in data.plot


def test_launch_keeps_cases_private() -> None:
    settings = launch_settings()
    assert settings["run_history"] is False
    assert settings["enable_monitoring"] is False
    assert settings["share"] is False
    demo = build_demo(FakePredictor())
    assert demo.analytics_enabled is False
    assert demo.delete_cache == (60, 600)
    assert demo._queue.max_size == QUEUE_SIZE


def test_page_and_settings_name_no_outside_address(address: str) -> None:
    html = httpx.get(address).text
    assert "fonts.googleapis.com" not in httpx.get(f"{address}theme.css").text
    assert "Derm-MMMModal" in html


def test_app_help_needs_no_model() -> None:
    done = subprocess.run([sys.executable, "app.py", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "--checkpoints" in done.stdout


def test_demo_does_not_import_torch() -> None:
    code = "import sys, demo.ui; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
