"""The program that serves the page: its arguments, its start, its end, and its accounts."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file  # type: ignore[import-untyped]

import app
from demo.accounts import check, read
from demo.examples import EXAMPLES
from tests.running import APP, running

TEXT = "a dark spot that has grown"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let `app.main` run inside the test: what it sets is set back afterwards."""
    monkeypatch.setattr(app.signal, "signal", lambda *_: None)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    for name in app.OWN_LOGGERS:
        monkeypatch.setattr(logging.getLogger(name), "level", logging.NOTSET)


def files(folder: Path) -> list[Path]:
    """All files anywhere in a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        app.parse(["--help"])
    assert caught.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    for option in ("host", "port", "checkpoints", "cases", "root-path", "auth", "embed", "queue"):
        assert f"--{option}" in said
    assert "not for any patient's care" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "70000"], "got '70000'; expected a number from 1 to 65535"),
        (["--queue", "0"], "got '0'; expected a whole number from 1"),
        (["--root-path", "derm"], "got 'derm'; expected a path such as /derm"),
        (["--embed", "https://x.org; *"], "expected an address such as https://lms.example.org"),
        (["--log-level", "loud"], "invalid choice: 'loud'"),
    ],
)
def test_a_wrong_argument_is_one_clear_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        app.parse(arguments)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    assert message in said


@pytest.mark.usefixtures("here")
def test_a_failed_start_is_one_clear_line(
    tmp_path: Path, checkpoint_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        for arguments, message in (
            (["--checkpoints", str(tmp_path)], "no checkpoint"),
            (["--auth", str(tmp_path / "accounts")], "No such file"),
            (["--checkpoints", str(checkpoint_folder), "--port", port], f"port {port}"),
        ):
            with pytest.raises(SystemExit) as caught:
                app.main(arguments)
            assert caught.value.code == 2
            said = capsys.readouterr().err
            assert said.startswith("error: ") and said.count("\n") == 1
            assert message in said


def test_examples_work_from_any_folder_and_uploads_end_with_the_program(
    tmp_path: Path, checkpoint_folder: Path
) -> None:
    with running("--checkpoints", str(checkpoint_folder), folder=tmp_path) as (address, _):
        drawing = EXAMPLES[0].path
        assert httpx.get(f"{address}gradio_api/file={drawing}").content == drawing.read_bytes()
        client = Client(address, verbose=False, analytics_enabled=False)
        answer = client.predict(handle_file(drawing), TEXT, api_name="/predict")
        assert answer["model"]["version"] == "0.0.1-test"
        assert [path.name for path in files(tmp_path)] == [drawing.name]
    assert not files(tmp_path)


def test_accounts_close_the_page_and_the_api(tmp_path: Path, checkpoint_folder: Path) -> None:
    file = tmp_path / "accounts"
    file.write_text("teacher:open sesame\n")
    file.chmod(0o600)
    arguments = ("--checkpoints", str(checkpoint_folder), "--auth", str(file))
    with running(*arguments, folder=tmp_path) as (address, _):
        assert httpx.get(f"{address}config").status_code == 401
        wrong = {"username": "teacher", "password": "sesame"}
        assert httpx.post(f"{address}login", data=wrong).status_code == 400
        client = Client(address, auth=("teacher", "open sesame"), verbose=False)
        assert client.predict(None, TEXT, api_name="/predict")["conditions"]


def test_reading_accounts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "accounts"
    file.write_text("# the class of autumn\nAnna: a:b c \n\nbert:x\n")
    file.chmod(0o600)
    assert read(file) == {"Anna": "a:b c", "bert": "x"}
    assert caplog.text == ""
    file.chmod(0o644)
    read(file)
    assert "chmod 600" in caplog.text


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("anna:x\nsecret\n", "line 2: expected user:password"),
        ("anna:\n", "line 1: expected"),
        (":secret\n", "line 1: expected"),
        ("anna:x\nanna:y", "line 2: this user has a line already"),
        ("# nobody\n", "names no account"),
    ],
)
def test_wrong_accounts_are_named_and_never_shown(lines: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "accounts"
    file.write_text(lines)
    with pytest.raises(ValueError, match=message) as caught:
        read(file)
    assert "secret" not in str(caught.value)


def test_checking_accounts() -> None:
    matches = check({"anna": "pässword", "bert": "x"})
    assert matches("anna", "pässword") and matches("bert", "x")
    assert not matches("anna", "x")
    assert not matches("carl", "")
    assert not matches("carl", "x")


@pytest.mark.usefixtures("here")
def test_log_level_is_for_our_own_words_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "serve", lambda args: None)
    app.main(["--log-level", "debug"])
    assert logging.getLogger("demo").level == logging.DEBUG
    assert logging.getLogger("httpx").getEffectiveLevel() >= logging.WARNING


def test_a_zero_gpu_space_finds_a_gpu_function_before_torch(tmp_path: Path) -> None:
    """With a package `spaces` of our own in the place of the real one."""
    (tmp_path / "spaces.py").write_text(
        "import sys\n"
        "def GPU(task):\n"
        "    print(task.__name__, 'torch' in sys.modules)\n"
        "    return task\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "import app; app.declare_gpu_function()"],
        cwd=APP.parent,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "_no_work False\n", done.stderr


def test_without_the_package_nothing_is_declared() -> None:
    app.declare_gpu_function()
    assert "spaces" not in sys.modules
