"""Asking a local server: what is retried, what is refused, what is logged, when it stops."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from tests.training.chat_server import SLOW, ChatServer, chat_server
from training.language_model import Endpoint, Outcome, Request, ask_all, read_log

KEY = "made-up-key-123"


def requests(count: int) -> list[Request]:
    return [Request(f"r{i}", "plain", f"prompt number {i}") for i in range(count)]


def ask(
    server: ChatServer,
    log: Path,
    count: int = 1,
    max_requests: int = 100,
    max_tokens: int = 10**6,
    key: str = KEY,
    **settings: Any,
) -> Outcome:
    settings = {"model": "tiny", "workers": 1, "timeout": 10.0, "backoff": 0.001, **settings}
    endpoint = Endpoint(server.base_url, **settings)
    return ask_all(requests(count), endpoint, key, log, max_requests, max_tokens)


def test_answers_and_the_log_tell_the_same(tmp_path: Path) -> None:
    log = tmp_path / "new" / "log.jsonl"
    with chat_server() as server:
        outcome = ask(server, log, count=3, workers=3)
    assert (outcome.failed, outcome.stopped) == ({}, "")
    assert {one.id: one for one in read_log(log)} == outcome.answers
    answer = outcome.answers["r1"]
    assert (answer.model, answer.prompt_name, answer.prompt) == ("tiny", "plain", "prompt number 1")
    assert (answer.tokens, answer.attempts, answer.error) == (100, 1, "")
    assert len(json.loads(answer.text)) == 10
    assert {body["model"] for body in server.bodies} == {"tiny"}


@pytest.mark.parametrize("fault", ["429", "408", "500", "503", "malformed", "empty", "cut"])
def test_what_may_pass_is_tried_again(tmp_path: Path, fault: str) -> None:
    with chat_server([fault, fault]) as server:
        outcome = ask(server, tmp_path / "log.jsonl")
    assert outcome.answers["r0"].attempts == 3 == len(server.bodies)


def test_silence_is_tried_again(tmp_path: Path) -> None:
    with chat_server(["time-out"]) as server:
        outcome = ask(server, tmp_path / "log.jsonl", timeout=1.0)
    assert outcome.answers["r0"].attempts == 2
    assert outcome.answers["r0"].seconds < SLOW


def test_the_wait_doubles(tmp_path: Path) -> None:
    with chat_server(["500"] * 3) as server:
        ask(server, tmp_path / "log.jsonl", backoff=0.1)
    first, second, third = (
        b - a for a, b in zip(server.arrivals, server.arrivals[1:], strict=False)
    )
    assert first >= 0.05 and second >= 0.1 and third >= 0.2
    assert first + second + third < 3  # jitter adds at most half


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_honoured(tmp_path: Path, as_date: bool) -> None:
    # a date has whole seconds: two of them are at least one from now
    asked = formatdate(time.time() + 2, usegmt=True) if as_date else "0.4"
    with chat_server(["429"], retry_after=asked) as server:
        ask(server, tmp_path / "log.jsonl")
    assert server.arrivals[1] - server.arrivals[0] >= (0.8 if as_date else 0.4)


@pytest.mark.parametrize("status", ["400", "401"])
def test_a_refusal_stops_at_once_and_hides_the_key(tmp_path: Path, status: str) -> None:
    log = tmp_path / "log.jsonl"
    with chat_server(["ok", status]) as server:
        with pytest.raises(RuntimeError, match=f"HTTP {status}") as refusal:
            ask(server, log, count=50)
        assert len(server.bodies) == 2
    assert KEY not in str(refusal.value)
    assert "[key]" in str(refusal.value)  # the server had repeated it
    answered, refused = read_log(log)
    assert (answered.id, answered.error) == ("r0", "")
    assert (refused.id, refused.text, refused.attempts) == ("r1", "", 1)
    assert f"HTTP {status}" in refused.error and KEY not in log.read_text()


def test_a_refusal_and_its_retries_are_logged_and_paid_from_the_budget(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with chat_server(["500", "429", "400"]) as server:
        with pytest.raises(RuntimeError, match="HTTP 400"):
            ask(server, log, max_requests=4)
        assert [(one.attempts, one.text) for one in read_log(log)] == [(3, "")]
        again = ask(server, log, count=2, max_requests=4)  # one of the four is left
        assert len(server.bodies) == 4
    assert list(again.answers) == ["r0"] and "budget of 4 requests" in again.stopped


def test_a_request_that_always_fails_is_counted_and_the_others_go_on(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with chat_server(["500"] * 3) as server:
        outcome = ask(server, log, count=4, attempts=3)
        assert list(outcome.failed) == ["r0"]
        assert "HTTP 500" in outcome.failed["r0"]
        assert sorted(outcome.answers) == ["r1", "r2", "r3"]
        assert KEY not in log.read_text()
        again = ask(server, log, count=4)  # the failed one, and only that one
    assert len(again.answers) == 4
    assert server.prompts[6:] == ["prompt number 0"]


def test_a_second_run_asks_only_what_is_not_logged(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with chat_server() as server:
        first = ask(server, log, count=5, max_requests=2)
        assert "budget of 2 requests" in first.stopped and "3 unanswered" in first.stopped
        assert len(first.answers) == 2 == len(server.bodies)
        stuck = ask(server, log, count=5, max_requests=2)  # the budget is of all runs
        assert len(server.bodies) == 2 and stuck.answers == first.answers
        second = ask(server, log, count=5, max_requests=5)
    assert second.stopped == "" and len(second.answers) == 5
    assert sorted(server.prompts) == [one.prompt for one in requests(5)]


def test_retries_are_paid_from_the_budget(tmp_path: Path) -> None:
    with chat_server(["500"] * 10) as server:
        outcome = ask(server, tmp_path / "log.jsonl", count=5, max_requests=3)
        assert len(server.bodies) == 3
    assert "budget of 3 requests" in outcome.stopped
    assert "HTTP 500" in outcome.failed["r0"]


def test_the_budget_of_tokens_stops(tmp_path: Path) -> None:
    with chat_server() as server:
        outcome = ask(server, tmp_path / "log.jsonl", count=9, max_tokens=250)
        assert len(server.bodies) == 3  # a hundred each
    assert "budget of 250 tokens" in outcome.stopped


def test_another_model_or_prompt_is_another_question(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with chat_server() as server:
        ask(server, log)
        ask(server, log, model="other")
        assert len(server.bodies) == 2


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with chat_server() as server:
        ask(server, log, count=3)
        log.write_bytes(log.read_bytes()[:-30])
        assert len(ask(server, log, count=3).answers) == 3
    assert server.prompts == [one.prompt for one in [*requests(3), requests(3)[2]]]
    assert [one.id for one in read_log(log)] == ["r0", "r1", "r2"]


def test_a_broken_line_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"id": "r0"}\n')
    with pytest.raises(ValueError, match="no answer"):
        read_log(log)


def test_the_key_is_sent_but_never_written(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with chat_server(["500"]) as server:
        ask(server, log)
        assert set(server.authorizations) == {f"Bearer {KEY}"}
    assert KEY not in log.read_text()


def test_without_a_key_no_token_of_the_user_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_user")
    with chat_server() as server:
        ask(server, tmp_path / "log.jsonl", key="")
        assert set(server.authorizations) == {"Bearer none"}


@pytest.mark.parametrize("address", ["", "host/v1", "ftp://host", "https://"])
def test_an_address_must_be_one(address: str) -> None:
    with pytest.raises(ValueError, match="expected e"):
        Endpoint(address, "tiny")


@pytest.mark.parametrize("address", ["https://me:secret@host/v1", "https://host/v1?key=secret"])
def test_an_address_carries_no_secret(address: str) -> None:
    with pytest.raises(ValueError, match="credentials") as refused:
        Endpoint(address, "tiny")
    assert "secret" not in str(refused.value)
