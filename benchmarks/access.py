"""What a stranger can read, reach or upload: every try is refused, or shown to do no harm.

    python -m benchmarks.access            every try, on the shipped weights (about four minutes)

The page is served as `app.py` serves it, inside this process, so that addresses which the server
looks up and files which it keeps can be counted. The stranger speaks plain HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import http.client
import json
import logging
import os
import re
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from benchmarks.record import Row, Table, save
from demo.accounts import check
from demo.examples import EXAMPLES, FOLDER
from demo.panels import Predictor
from demo.ui import build_demo, launch_settings

COMMAND = "python -m benchmarks.access"
ROOT = Path(__file__).parents[1]
DRAWING = next(one.path for one in EXAMPLES if one.path is not None)
TEXT = "a dark spot that has grown"
HUGE = 33_000_000  # bytes; a file may have 30 MiB
ENDLESS = 60_000_000  # so much of an endless body is sent before the server counts as endless too

# What the page and its API use; every other route that Gradio has must be closed. An update of
# Gradio that adds one is so noticed.
USED = {
    "/", "/login", "/logout", "/config", "/theme.css", "/favicon.ico", "/robots.txt",
    "/manifest.json", "/static/{path:path}", "/assets/{path:path}",
    "/gradio_api/startup-events", "/gradio_api/info", "/gradio_api/theme.css",
    "/gradio_api/app_id", "/gradio_api/upload", "/gradio_api/upload_progress",
    "/gradio_api/cancel", "/gradio_api/reset", "/gradio_api/queue/join", "/gradio_api/queue/data",
    "/gradio_api/heartbeat/{session_hash}", "/gradio_api/file={path_or_url:path}",
    "/gradio_api/call/{api_name}", "/gradio_api/call/v2/{api_name}",
    "/gradio_api/call/{api_name}/{event_id}", "/gradio_api/call/v2/{api_name}/{event_id}",
}  # fmt: skip
# Without a login: the page that asks for it.
OPEN = {
    "/", "/login", "/logout", "/theme.css", "/favicon.ico", "/robots.txt", "/manifest.json",
    "/static/{path:path}", "/assets/{path:path}", "/gradio_api/startup-events",
}  # fmt: skip
WANTED_HEADERS = {
    "content-security-policy": "frame-ancestors",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self)",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True)
class Try:
    """One attempt: what was sent, what came back, and whether that is as it should be."""

    what: str
    answer: str
    kept: bool


@dataclass
class Answer:
    """A response: status, headers in lower case, body; ``sent`` bytes of the request's body."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    sent: int = 0

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Page:
    """A served page: the demo, where it is of this process; its host and port for the stranger."""

    demo: Any
    host: str
    port: int
    source: str = ""  # the stranger's own address, where that matters

    @property
    def uploads(self) -> Path:
        """The folder of uploads."""
        return Path(os.environ["GRADIO_TEMP_DIR"])

    def files(self) -> set[Path]:
        """All files among the uploads."""
        return {path for path in self.uploads.rglob("*") if path.is_file()}

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a request whose path is left as it is; status 0 where the server hung up."""
        connection = self._connection()
        sent = 0

        def counted(parts: Iterable[bytes]) -> Iterator[bytes]:
            nonlocal sent
            for part in parts:
                yield part
                sent += len(part)

        try:
            given = counted(body) if body is not None and not isinstance(body, bytes) else body
            with suppress(OSError):  # it has answered and hung up while we were sending
                connection.request(
                    method, path, given, headers or {}, encode_chunked=given is not body
                )
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            first = found.get("content-type", "").startswith("text/event-stream")
            return Answer(
                response.status, found, response.read1() if first else response.read(), sent
            )
        except (OSError, http.client.HTTPException):
            return Answer(0, sent=sent)
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        source = (self.source, 0) if self.source else None
        return http.client.HTTPConnection(self.host, self.port, 60, source)

    @contextmanager
    def half_an_upload(self, content: bytes) -> Iterator[None]:
        """Send the beginning of an upload, and hang up in the end."""
        body, kind = multipart(content)
        connection = self._connection()
        connection.putrequest("POST", "/gradio_api/upload")
        connection.putheader("Content-Type", kind["Content-Type"])
        connection.putheader("Content-Length", str(len(body) + 1_000_000))
        connection.endheaders(body)
        yield
        connection.close()

    def upload(self, content: bytes, name: str = "photo.jpg", **headers: str) -> Answer:
        """Upload a file as the page does."""
        return self.ask("POST", "/gradio_api/upload", *multipart(content, name, headers))

    def call(self, name: str, data: list[Any]) -> str:
        """Call an endpoint of the API and return the stream of its events."""
        return self._event(f"/gradio_api/call/{name}", {"data": data}, "/gradio_api/call/" + name)

    def join(self, body: dict[str, Any]) -> str:
        """Put an event of the page into the queue, and return the stream of its messages."""
        return self._event("/gradio_api/queue/join", body, None)

    def _event(self, path: str, body: dict[str, Any], stream: str | None) -> str:
        answer = self.ask("POST", path, json.dumps(body).encode(), JSON)
        if answer.status != 200:
            return f"status {answer.status}"
        event = answer.json()["event_id"]
        where = (
            f"{stream}/{event}"
            if stream
            else f"/gradio_api/queue/data?session_hash={quote(str(body['session_hash']))}"
        )
        connection = self._connection()
        try:
            connection.request("GET", where)
            return connection.getresponse().read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            return f"no answer: {type(error).__name__}"
        finally:
            connection.close()


JSON = {"Content-Type": "application/json"}


def multipart(
    content: bytes, name: str = "photo.jpg", headers: dict[str, str] | None = None
) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of an upload."""
    head = (
        f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    kind = {"Content-Type": "multipart/form-data; boundary=b", **(headers or {})}
    return head.encode() + content + b"\r\n--b--\r\n", kind


@contextmanager
def served(predictor: Predictor, **launch: Any) -> Iterator[Page]:
    """Serve the page on a free port, with uploads in a folder of its own."""
    before = os.environ.get("GRADIO_TEMP_DIR")
    with tempfile.TemporaryDirectory() as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads
        demo = build_demo(predictor)
        try:
            settings = {**launch_settings(), **launch}
            demo.launch(prevent_thread_lock=True, quiet=True, **settings)
            yield Page(demo, "127.0.0.1", demo.server_port)
        finally:
            demo.close(verbose=False)
            if before is None:
                del os.environ["GRADIO_TEMP_DIR"]
            else:
                os.environ["GRADIO_TEMP_DIR"] = before


def routes(page: Page) -> list[tuple[str, str]]:
    """Method and path of every route that the installed Gradio has."""

    def walk(found: Iterable[Any]) -> Iterator[tuple[str, str]]:
        for one in found:
            if hasattr(one, "path"):
                for method in sorted(getattr(one, "methods", None) or ("GET",)):
                    yield method, one.path
            else:  # a router that was included
                yield from walk(getattr(one, "original_router", one).routes)

    return sorted(set(walk(page.demo.server_app.routes)))


def filled(path: str) -> str:
    """A route's path with something in the place of its parameters."""
    return re.sub(r"\{[^}]+\}", "1", path)


def every_route(page: Page) -> list[Try]:
    """Routes that the page does not use are closed."""
    tries = []
    for method, path in routes(page):
        used = (path.rstrip("/") or "/") in USED
        if used and ("heartbeat" in path or path == "/gradio_api/queue/data"):
            tries.append(Try(f"{method} {path}", "used by the page", True))  # they do not end
            continue
        answer = page.ask(method, filled(path), b"{}" if method == "POST" else None, JSON)
        kept = answer.status != 0 if used else answer.status == 404
        tries.append(Try(f"{method} {path}", f"{answer.status}", kept))
    return tries


def reading_files(page: Page, secret: Path) -> list[Try]:
    """Files of the server, asked for in every way known from Gradio's past."""
    up = "../" * 12
    targets = [secret, Path("/etc/passwd"), ROOT / "app.py", FOLDER / "cases.csv"]
    targets += [ROOT / "checkpoints" / "config.json", FOLDER / "__init__.py"]
    asked = []
    for target in targets:
        plain = str(target)
        inside = plain.lstrip("/")
        for name in (
            plain, up + inside, "/" + plain, f"{DRAWING.parent}/{up}{inside}",
            f"{page.uploads}/{up}{inside}", f"{page.uploads}/made/{up}{inside}",
            f"{DRAWING}/{up}{inside}", f"file://{plain}", plain + "\x00.jpg",
            plain.replace("/", "\\"),
        ):  # fmt: skip
            once = quote(name, safe="")
            for route in ("/gradio_api/file=", "/file=", "/gradio_api/file/", "/file/"):
                for said in (quote(name), once, once.replace("%", "%25")):
                    asked.append(route + said)
        for route in ("/assets/", "/static/", "/svelte/", "/gradio_api/custom_component/1/client/"):
            for said in (up + inside, quote(up + inside, safe=""), plain, "%5c".join([".."] * 9)):
                asked.append(route + said)
        asked.append(f"/gradio_api/proxy=file://{plain}")
        asked.append(f"/gradio_api/stream/a/b/1/{quote(plain, safe='')}.ts")
    asked += ["/?deep_link=../../x", "/config?deep_link=..%2f..%2fstate"]
    contents = [target.read_bytes()[:60] for target in targets if target.is_file()]
    tries = []
    for path in dict.fromkeys(asked):
        answer = page.ask("GET", path)
        read = [one for one in contents if one and one in answer.body]
        well = not read and (answer.status in (400, 403, 404) or "deep_link" in path)
        tries.append(Try(f"GET {path}", str(answer.status), well))
    # The same through the payload of an event: the path of a file in the place of an upload.
    for target in targets:
        for name in (str(target), f"{page.uploads}/{up}{str(target).lstrip('/')}"):
            for mark in ({"meta": {"_type": "gradio.FileData"}}, {}):
                said = page.call("predict", [{"path": name, **mark}, None])
                table = page.call("batch", [{"path": name, **mark}, None])
                for endpoint, got in (("predict", said), ("batch", table)):
                    kept = ("event: error" in got) and "conditions" not in got
                    tries.append(Try(f"{endpoint} with {name}", _short(got), kept))
    return tries


def other_visitors(page: Page) -> list[Try]:
    """What visitor B can do with what visitor A has uploaded, with and without knowing its path."""
    content = DRAWING.read_bytes()
    path = page.upload(content, "IMG_A.jpg").json()[0]
    by_path = page.ask("GET", f"/gradio_api/file={path}")
    plain = hashlib.sha256(content).hexdigest()
    guess = page.ask("GET", f"/gradio_api/file={page.uploads}/{plain}/IMG_A.jpg")
    listed = page.ask("GET", f"/gradio_api/file={page.uploads}/")
    marked = {"path": f"{page.uploads}/{plain}/IMG_A.jpg", "meta": {"_type": "gradio.FileData"}}
    guessed = page.call("predict", [marked, None])
    link = page.ask("GET", "/gradio_api/deep_link?session_hash=a")
    stranger = page.ask("GET", "/gradio_api/call/predict/" + "0" * 32)
    return [
        Try("read an upload whose path is known", str(by_path.status), by_path.status == 403),
        Try("read an upload by the hash of its content", str(guess.status), guess.status == 403),
        Try("list the uploads", str(listed.status), listed.status == 403),
        Try("use a guessed path as input", _short(guessed), "event: error" in guessed),
        Try("have a session's inputs written down", str(link.status), link.status == 404),
        Try(
            "read an answer without knowing its number",
            f"{stranger.status}, {_short(stranger.body.decode())}",
            b"conditions" not in stranger.body,
        ),
    ]


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """A server of our own, and what it is asked for; names that are looked up count as well."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        over = threading.Event()

        def accept() -> None:
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:
                    continue
                asked.append("a connection")
                connection.close()

        worker = threading.Thread(target=accept, daemon=True)
        worker.start()
        plain, later = socket.getaddrinfo, asyncio.BaseEventLoop.getaddrinfo

        def look_up(host: Any, *rest: Any, **more: Any) -> Any:
            if host not in ("127.0.0.1", "localhost", None):
                asked.append(f"name {host}")
            return plain(host, *rest, **more)

        async def look_up_later(self: Any, host: Any, *rest: Any, **more: Any) -> Any:
            asked.append(f"name {host}")
            return await later(self, host, *rest, **more)

        socket.getaddrinfo = look_up
        asyncio.BaseEventLoop.getaddrinfo = look_up_later  # type: ignore[method-assign]
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}", asked
        finally:
            socket.getaddrinfo = plain
            asyncio.BaseEventLoop.getaddrinfo = later  # type: ignore[method-assign]
            over.set()
            worker.join()


def fetching(page: Page, every: int = 1) -> list[Try]:
    """Addresses where an upload is expected: in every input of every event, and in `file=`.

    ``every`` skips some: only every so many-th event is tried.
    """
    uploaded = page.upload(DRAWING.read_bytes()).json()[0]
    mark = {"meta": {"_type": "gradio.FileData"}}
    tries = []
    with listening() as (host, asked):
        addresses = [
            f"http://{host}/a.jpg", f"HTTP://{host}/a.jpg", f"https://{host}/a.jpg",
            f"//{host}/a.jpg", f"ftp://{host}/a.jpg", f"http:\\\\{host}\\a.jpg",
            "http://photos.example.org/a.jpg", f"file://{host}/etc/passwd",
            f"http://{host}@127.0.0.1/a.jpg", "data:image/png;base64,AAAA",
        ]  # fmt: skip
        payloads: list[Any] = []
        for address in addresses:
            payloads += [
                {"path": address, **mark}, {"path": address}, {"url": address, **mark}, address,
                {"path": uploaded, "url": address, **mark}, [{"path": address, **mark}],
                {"path": address, "is_stream": True, **mark}, {"path": [address]},
            ]  # fmt: skip
        before = len(asked)
        for number, event in list(page.demo.fns.items())[::every]:
            if not event.inputs:
                continue
            for payload in payloads if every == 1 else payloads[:6]:
                body = {
                    "fn_index": number,
                    "session_hash": f"s{number}",
                    "data": [payload] * len(event.inputs),
                    "event_data": {"index": payload, "box": payload, "text": payload},
                }
                said = page.join(body)
                tries.append(Try(f"event {event.name}: {payload}", _short(said), _ended(said)))
        for address in addresses:
            for route in ("/gradio_api/file=", "/file=", "/gradio_api/proxy=", "/proxy="):
                for name in (address, quote(address, safe="")):
                    answer = page.ask("GET", route + name.replace("\\", "%5c"))
                    kept = answer.status in (400, 403, 404)
                    tries.append(Try(f"GET {route}{name}", str(answer.status), kept))
        time.sleep(0.5)
        tries.append(
            Try(
                "requests and look-ups of the server in all of these",
                f"{asked}",
                not asked[before:],
            )
        )
    return tries


def too_large(page: Page) -> list[Try]:
    """Bodies beyond the limits, with and without a length; what stays of them on the disk."""
    before, tries = page.files(), []

    def note(what: str, answer: Answer, most: int, *statuses: int) -> None:
        kept = answer.status in (*statuses, 0) and answer.sent <= most
        sent = f" after {answer.sent / 1e6:.1f} MB" if answer.sent else ""
        tries.append(Try(what, f"{answer.status or 'hung up'}{sent}", kept))

    def parts(first: bytes) -> Iterator[bytes]:
        yield first
        for _ in range(ENDLESS // 65_536):
            yield bytes(65_536)

    body, kind = multipart(bytes(HUGE))
    head = body[: body.index(b"\0")]
    upload = "/gradio_api/upload"
    note("a file of 33 MB", page.ask("POST", upload, body, kind), 0, 413)
    note("a file of 33 MB in chunks", page.ask("POST", upload, iter([body]), kind), HUGE * 2, 413)
    note("a file without end", page.ask("POST", upload, parts(head), kind), 45_000_000, 413)
    note(
        "33 MB with a progress number",
        page.ask("POST", upload + "?upload_id=x", body, kind),
        0,
        413,
    )
    plain = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n'
    note("a field without end", page.ask("POST", upload, parts(plain), kind), 10_000_000, 400, 413)
    note(
        "a part's head without end",
        page.ask("POST", upload, parts(b"--b\r\nx:"), kind),
        10_000_000,
        400,
        413,
    )
    longer = {**kind, "Content-Length": "2000000000"}
    note("2 GB announced", page.ask("POST", upload, b"x", longer), 0, 413)
    for name in ("queue/join", "call/predict", "call/v2/predict", "cancel", "reset"):
        path = f"/gradio_api/{name}"
        value = b'{"data": ["' + b"x" * 5_000_000 + b'"]}'
        note(f"5 MB of JSON to {name}", page.ask("POST", path, value, JSON), 0, 413)
        note(
            f"JSON without end to {name}",
            page.ask("POST", path, parts(b'{"d":"'), JSON),
            15_000_000,
            400,
            413,
        )
    note(
        "a form without end to login",
        page.ask("POST", "/login", parts(b"username="), FORM),
        15_000_000,
        400,
        413,
    )
    note("an address of 1 MB", page.ask("GET", "/?" + "x" * 1_000_000), 0, 400, 414, 431)
    note("a header of 1 MB", page.ask("GET", "/", headers={"X": "x" * 1_000_000}), 0, 400, 431)
    time.sleep(1)
    left = page.files() - before
    tries.append(Try("files left of all these", str(len(left)), not left))
    return tries


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def around_the_queue(page: Page) -> list[Try]:
    """Calls that run the model without waiting for their turn, or as somebody else."""
    tries = []
    body = json.dumps({"data": [None, TEXT]}).encode()
    numbers = list(page.demo.fns)
    for path in ("run", "api"):
        for name in ("predict", "explain", "batch", "examine", ""):
            answer = page.ask("POST", f"/gradio_api/{path}/{name}", body, JSON)
            kept = answer.status == 404
            tries.append(Try(f"POST /gradio_api/{path}/{name}", str(answer.status), kept))
        for number, event in page.demo.fns.items():
            if event.queue or path == "api":  # the others wait for nothing and run no model
                asked = json.dumps({"data": [None, TEXT], "fn_index": number}).encode()
                answer = page.ask("POST", f"/gradio_api/{path}/predict", asked, JSON)
                kept = answer.status == 404
                tries.append(Try(f"{path} with {event.name}", str(answer.status), kept))
    for what, extra in (
        ("a number that no event has", {"fn_index": 99_999}),
        ("a negative number", {"fn_index": -1}),
        ("an event's id of one's own", {"event_id": "0" * 32}),
        ("a batch", {"batched": True}),
        ("a component that does not exist", {"trigger_id": 10**9}),
        ("a token", {"oauth_token": "x"}),
    ):
        said = page.join(
            {"data": [None, TEXT], "session_hash": "q", "fn_index": numbers[0], **extra}
        )
        tries.append(Try(f"queue/join with {what}", _short(said), _ended(said)))
    # A finished session asked for again gives nothing.
    again = page.ask("GET", "/gradio_api/queue/data?session_hash=q")
    tries.append(
        Try(
            "a session's messages again",
            _short(again.body.decode()),
            b"conditions" not in again.body,
        )
    )
    server = json.dumps(
        {"data": "/", "component_id": 1, "session_hash": "q", "fn_name": "ls"}
    ).encode()
    answer = page.ask("POST", "/gradio_api/component_server", server, JSON)
    tries.append(Try("a component's own function", str(answer.status), answer.status == 404))
    return tries


def strange_values(page: Page, every: int = 1) -> list[Try]:
    """Values of the wrong kind in every input of every event: an answer or an error, every time.

    They stand in the place of what the server keeps for a visitor (`gr.State`) as well.
    """
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    values: list[Any] = [
        None, 5, -1e308, True, "", "x" * 100_000, "\x00", [], {}, deep, [[None]],
        {"path": None}, {"path": 5}, {"path": "\x00"}, {"path": "x" * 100_000},
        {"path": {"path": "x"}}, {"__type__": "update", "value": 1}, {"value": "x"},
    ]  # fmt: skip
    tries = []
    for number, event in list(page.demo.fns.items())[::every]:
        for value in values if every == 1 else values[::3]:
            body = {
                "fn_index": number, "session_hash": f"v{number}",
                "data": [value] * len(event.inputs), "event_data": value,
            }  # fmt: skip
            said = page.join(body)
            tries.append(Try(f"event {event.name}: {repr(value)[:60]}", _short(said), _ended(said)))
        said = page.join({"fn_index": number, "session_hash": f"n{number}", "data": []})
        tries.append(Try(f"event {event.name}: no inputs", _short(said), _ended(said)))
    for what, text in (
        ("100,000 brackets", b"[" * 100_000),
        ("100,000 objects", b'{"a":' * 100_000),
        ("NaN", b'{"data": [NaN, Infinity]}'),
        ("no JSON", b"<xml/>"),
        ("half a letter", b'{"data": [null, "\xff\xfe"]}'),
        ("half a pair", b'{"data": [null, "\\ud800"]}'),
        ("a number of 4,000 digits", b'{"data": [' + b"9" * 4000 + b"]}"),
    ):
        for name in ("call/predict", "call/v2/predict", "queue/join"):
            answer = page.ask("POST", f"/gradio_api/{name}", text, JSON)
            kept = answer.status in (200, 400, 413, 422, 500)
            tries.append(Try(f"{what} to {name}", str(answer.status), kept))
    said = page.call("predict", [None, TEXT])
    tries.append(Try("a case after all of this", "answered", '"conditions"' in said))
    return tries


def headers(page: Page) -> list[Try]:
    """What every answer tells a browser."""
    path = page.upload(DRAWING.read_bytes()).json()[0]
    event = page.ask(
        "POST", "/gradio_api/call/predict", json.dumps({"data": [None, TEXT]}).encode(), JSON
    )
    number = event.json()["event_id"]
    tries = []
    for what, answer in {
        "the page": page.ask("GET", "/"),
        "its settings": page.ask("GET", "/config"),
        "the API's description": page.ask("GET", "/gradio_api/info"),
        "an upload": page.upload(b"x"),
        "an upload asked for": page.ask("GET", f"/gradio_api/file={path}"),
        "a drawing": page.ask("GET", f"/gradio_api/file={DRAWING}"),
        "an event": event,
        "an answer": page.ask("GET", f"/gradio_api/call/predict/{number}"),
        "a missing page": page.ask("GET", "/nothing"),
        "a body that is too large": page.ask("POST", "/gradio_api/cancel", bytes(5_000_000), JSON),
        "the style": page.ask("GET", "/theme.css"),
        "a script": page.ask("GET", "/static/js/iframeResizer.contentWindow.min.js"),
    }.items():
        missing = [n for n, part in WANTED_HEADERS.items() if part not in answer.headers.get(n, "")]
        if what != "a script" and answer.headers.get("cache-control") != "no-store":
            missing.append("cache-control")
        if re.search(r"\d", answer.headers.get("server", "")):
            missing.append("server without a version")
        said = f"{answer.status}, " + (f"without {missing}" if missing else "all there")
        tries.append(Try(what, said, not missing and answer.status != 0))
    return tries


def other_websites(page: Page) -> list[Try]:
    """Another website that a visitor has open: it reads nothing and sends nothing in."""
    tries = []
    for origin in ("https://evil.example", "null", f"http://{page.host}.evil.example"):
        for host in (f"{page.host}:{page.port}", "hospital.example"):
            for method, path, extra in (
                ("GET", "/config", {}),
                ("GET", "/", {}),
                ("OPTIONS", "/gradio_api/queue/join", {"Access-Control-Request-Method": "POST"}),
                ("OPTIONS", "/gradio_api/upload", {"Access-Control-Request-Method": "POST"}),
                ("GET", "/gradio_api/info", {}),
            ):
                answer = page.ask(method, path, headers={"Origin": origin, "Host": host, **extra})
                leaks = [name for name in answer.headers if name.startswith("access-control")]
                said = f"{answer.status}, {leaks or 'no permission'}"
                tries.append(Try(f"{method} {path} from {origin} at {host}", said, not leaks))
    body = json.dumps({"data": [None, TEXT]}).encode()
    for site in ("cross-site", "same-site"):
        for what, method, path, mode, wanted in (
            ("a form", "POST", "/gradio_api/upload", "navigate", 403),
            ("a script", "POST", "/gradio_api/call/predict", "cors", 403),
            ("a login", "POST", "/login", "navigate", 403),
            ("a picture", "GET", f"/gradio_api/file={DRAWING}", "no-cors", 403),
            ("a reading script", "GET", "/config", "cors", 403),
            ("a link", "GET", "/", "navigate", 200),
        ):
            sent = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, **JSON}
            answer = page.ask(method, path, body if method == "POST" else None, sent)
            tries.append(
                Try(f"{what} of a {site} page", str(answer.status), answer.status == wanted)
            )
    return tries


def login(predictor: Predictor) -> list[Try]:
    """With accounts: every route but the login is closed, and stays so for guessed cookies."""
    tries = []
    with served(predictor, auth=check({"teacher": "open sesame"})) as page:
        forged = {
            "Cookie": f"access-token-{page.demo.server_app.cookie_id}=x; access-token-unsecure=y"
        }
        for method, path in routes(page):
            answer = page.ask(
                method, filled(path), b"{}" if method == "POST" else None, {**JSON, **forged}
            )
            closed = (path.rstrip("/") or "/") not in OPEN
            kept = (
                answer.status in (401, 403, 404)
                if closed
                else b'"components":[{' not in answer.body
            )
            tries.append(Try(f"{method} {path} with a forged cookie", str(answer.status), kept))
        for user, password in (
            ("teacher", "sesame"), ("teacher", ""), ("", ""), ("TEACHER", "open sesame"),
            ("x" * 10_000, "y" * 10_000), ("teacher", "open sesame\x00"), ("nobody", "\x80é"),
            ("teacher' or 1=1 --", "x"), ("nobody", "open sesame"),
        ):  # fmt: skip
            form = urlencode({"username": user, "password": password}).encode()
            answer = page.ask("POST", "/login", form, FORM)
            kept = answer.status in (400, 422) and "set-cookie" not in answer.headers
            tries.append(
                Try(f"log in as {user[:20]!r} with {password[:20]!r}", str(answer.status), kept)
            )
        form = urlencode({"username": "teacher", "password": "open sesame"}).encode()
        answer = page.ask("POST", "/login", form, FORM)
        tries.append(Try("the right password", str(answer.status), answer.status == 200))
        cookie = {"Cookie": answer.headers["set-cookie"].split(";")[0]}
        inside = page.ask("GET", "/config", headers=cookie)
        tries.append(Try("the page after it", str(inside.status), inside.status == 200))
        page.ask("GET", "/logout", headers=cookie)
        after = page.ask("GET", "/config", headers=cookie)
        tries.append(
            Try("the same cookie after logging out", str(after.status), after.status == 401)
        )
    return tries


def below_a_path(predictor: Predictor) -> list[Try]:
    """Behind a proxy that offers the page as /derm and takes that away before it passes on."""
    with served(predictor, root_path="/derm") as page:
        found = page.ask("GET", "/config").json()
        said = page.call("predict", [None, TEXT])
        secret = page.ask("GET", "/gradio_api/file=/etc/passwd")
        return [
            Try(
                "the page knows its path",
                urlsplit(found["root"]).path,
                found["root"].endswith("/derm"),
            ),
            Try("a case", "answered", '"conditions"' in said),
            Try("a file of the server", str(secret.status), secret.status == 403),
            *headers(page),
        ]


def password_times(repeats: int = 400, rounds: int = 9) -> dict[str, float]:
    """Median microseconds of a wrong login: wrong user, first letter right, all but one right."""
    right = "a long password of a teacher"
    matches = check({"teacher": right})
    cases = {
        "a user that does not exist": ("nobody", right),
        "a wrong password": ("teacher", "x" * len(right)),
        "a password wrong in its last letter": ("teacher", right[:-1] + "x"),
        "a short password": ("teacher", "x"),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, given in cases.items():
            start = time.perf_counter()
            for _ in range(repeats):
                matches(*given)
            times[name].append((time.perf_counter() - start) / repeats * 1e6)
    return {name: statistics.median(found) for name, found in times.items()}


def _ended(said: str) -> bool:
    """The server answered, refused, or gave one of our own errors; it did not break or hang."""
    if said.startswith("status"):
        return said.split()[1] in ("400", "404", "413", "422", "500", "503")
    return "process_completed" in said or "event: " in said or "close_stream" in said


def _short(said: str) -> str:
    return " ".join(said.split())[:100]


GROUPS: dict[str, tuple[str, Callable[..., list[Try]]]] = {
    "routes": ("Routes of Gradio that the page does not use are closed", every_route),
    "files": ("No file of the server can be read", reading_files),
    "visitors": ("No upload of another visitor can be read", other_visitors),
    "fetching": ("No address is fetched or looked up", fetching),
    "large": ("Bodies that are too large are cut off and leave no file", too_large),
    "queue": ("The queue cannot be avoided", around_the_queue),
    "values": ("Wrong values end in an error and change nothing", strange_values),
    "headers": ("Every answer has the security headers", headers),
    "websites": ("Other websites read nothing and send nothing in", other_websites),
}


def row(point: str, tries: list[Try]) -> Row:
    """One promise of many tries."""
    wrong = [one for one in tries if not one.kept]
    measured = f"{len(tries)} tries, {len(wrong)} not as promised"
    if wrong:
        measured += ": " + "; ".join(f"{one.what[:60]} ({one.answer[:40]})" for one in wrong[:3])
    return Row(point, "all refused or without effect", measured, not wrong)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", choices=(*GROUPS, "login", "path"), nargs="+", help="and save nothing"
    )
    options = parser.parse_args()
    import dermmm

    logging.getLogger("demo").setLevel(logging.CRITICAL)  # thousands of refusals
    start, predictor = time.monotonic(), dermmm.load()
    found: dict[str, list[Try]] = {}
    chosen = options.only or (*GROUPS, "login", "path")
    with tempfile.TemporaryDirectory() as folder, served(predictor) as page:
        secret = Path(folder) / "secret.txt"
        secret.write_text("the secret of this run")
        for name in [name for name in GROUPS if name in chosen]:
            point, run = GROUPS[name]
            found[point] = run(page, secret) if name == "files" else run(page)
            print(row(point, found[point]), flush=True)
    if "login" in chosen:
        found["With accounts everything but the login is closed"] = login(predictor)
    if "path" in chosen:
        found["Behind a sub-path all of this holds too"] = below_a_path(predictor)
    rows = [row(point, tries) for point, tries in found.items()]
    times = password_times()
    spread = max(times.values()) - min(times.values())
    said = ", ".join(f"{name} {value:.1f} µs" for name, value in times.items())
    rows.append(
        Row(
            "A wrong login takes the same time",
            "medians within 5 µs",
            f"within {spread:.1f} µs: {said}",
            spread <= 5,
        )
    )
    rows.append(
        Row(
            "Who knows an upload's path may have it answered, not read",
            "",
            "the path holds a keyed hash of 256 bits and the file's name",
            None,
        )
    )
    for one in rows:
        print(one)
    if options.only:
        return
    table = Table(
        "Tries by promise",
        ("promise", "tries", "kept"),
        tuple((p, str(len(t)), str(sum(one.kept for one in t))) for p, t in found.items()),
    )
    save("access", COMMAND, rows, [table], (time.monotonic() - start) / 60)


if __name__ == "__main__":
    main()
