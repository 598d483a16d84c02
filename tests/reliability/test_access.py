"""What a stranger can reach: a reduced form of `benchmarks.access`, with a fake model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks import access
from benchmarks.access import DRAWING, JSON, Page, Try
from demo import gate
from tests.fakes import FakePredictor

TEXT = "a dark spot that has grown"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with access.served(FakePredictor()) as page:
        yield page


def wrong(tries: list[Try]) -> list[Try]:
    assert tries
    return [one for one in tries if not one.kept]


@pytest.mark.parametrize("group", ["routes", "visitors", "large", "queue", "headers", "websites"])
def test_every_try_is_refused_or_does_no_harm(page: Page, group: str) -> None:
    assert not wrong(access.GROUPS[group][1](page))


def test_no_file_of_the_server_can_be_read(page: Page, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret of this run")
    assert not wrong(access.reading_files(page, secret))


def test_no_address_is_fetched(page: Page) -> None:
    assert not wrong(access.fetching(page, every=6))


def test_wrong_values_end_in_an_error(page: Page) -> None:
    assert not wrong(access.strange_values(page, every=6))


def test_a_login_closes_everything_else() -> None:
    assert not wrong(access.login(FakePredictor()))


def test_below_a_path() -> None:
    assert not wrong(access.below_a_path(FakePredictor()))


def test_what_the_page_makes_of_a_case_is_handed_out(page: Page) -> None:
    made = gate.made_folder() / "x" / "photo.png"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"made")
    assert page.ask("GET", f"/gradio_api/file={made}").body == b"made"
    assert page.ask("GET", f"/gradio_api/file={DRAWING}").body == DRAWING.read_bytes()
    made.unlink()


def test_an_answer_is_compressed_and_marked_once(page: Page) -> None:
    answer = httpx.get(f"http://{page.host}:{page.port}/config")
    assert answer.headers.get_list("content-security-policy", split_commas=False) == [
        answer.headers["content-security-policy"]
    ]


def test_frames_are_for_those_who_are_named() -> None:
    with access.served(FakePredictor(), **gated("https://lms.example.org")) as page:
        policy = page.ask("GET", "/").headers["content-security-policy"]
        assert policy.endswith("frame-ancestors 'self' https://lms.example.org")
    with access.served(FakePredictor(), **gated()) as page:
        policy = page.ask("GET", "/").headers["content-security-policy"]
        assert policy.endswith("frame-ancestors 'self'")


def gated(*embedders: str) -> dict[str, object]:
    from demo.ui import launch_settings

    return {"app_kwargs": launch_settings(embedders)["app_kwargs"]}


def test_a_small_request_keeps_its_connection(page: Page) -> None:
    with httpx.Client(base_url=f"http://{page.host}:{page.port}") as client:
        answer = client.post("/gradio_api/reset", content=b'{"event_id": "x"}', headers=JSON)
        assert answer.status_code == 200
        assert "connection" not in answer.headers
