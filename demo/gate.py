"""What may come in over HTTP, and what every answer tells a browser about itself.

Gradio serves more than this page needs: editors of its code, a proxy, dashboards, links that write
a session's inputs to disk, calls past the queue. Any website that a visitor has open may read its
answers. The gate stands around all of Gradio, and lets through what the page and its API use.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from gradio import route_utils
from gradio.routes import App
from gradio.utils import get_upload_folder
from starlette.datastructures import FormData, Headers, MutableHeaders
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo import content
from demo.examples import EXAMPLES

logger = logging.getLogger(__name__)

# Where a login is asked for, without it: the page that asks, and the call of a start.
OPEN = re.compile(
    r"/|/(login|logout|theme\.css|favicon\.ico|robots\.txt|manifest\.json)/?|"
    r"/(assets|static)/.*|/gradio_api/startup-events"
)
# With it: the page and the API. run/predict is for the page's events that wait for nothing (Stop):
# Gradio refuses the others there (`api_open` in `demo.ui`).
USED = re.compile(
    r"/config/?|/gradio_api/((info|theme\.css|app_id|upload|upload_progress|cancel|"
    r"reset|run/predict|queue/join|queue/data)/?|heartbeat/[^/]+|call/(v2/)?[^/]+(/[^/]*)?|file=.*)"
)
UPLOAD, FILE = "/gradio_api/upload", "/gradio_api/file="
DRAWINGS = {one.path.resolve() for one in EXAMPLES if one.path}

# Bytes of a request. An upload holds all the photos of a table; `demo.ui` limits each of them.
MAX_UPLOAD, MAX_REQUEST = 1_000_000_000, 4_000_000

# Whose pages may show this one in a frame, beside its own: Hugging Face shows a Space so.
EMBEDDERS = ("https://huggingface.co", "https://*.hf.space")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Gradio's page runs code that stands in it and builds code from strings, so both stay allowed. What
# counts is that nothing can be loaded from elsewhere, and nothing be sent there.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors "
)


class Gate:
    """ASGI around Gradio's app: refuses with a status and a line, or passes on."""

    def __init__(self, app: App, inner: ASGIApp, embedders: tuple[str, ...]) -> None:
        self.app = app
        self.inner = inner
        self.headers = {
            **HEADERS,
            "Content-Security-Policy": POLICY + " ".join(("'self'", *embedders)),
        }

    @classmethod
    def put_around(cls, app: App, embedders: tuple[str, ...]) -> None:
        """Put a gate around an app that starts. ``embedders`` are as `EMBEDDERS`.

        As middleware it would not do: Gradio puts its own around that, which answers any website.
        """
        assert app.middleware_stack is not None  # a lifespan runs inside of it
        app.middleware_stack = cls(app, app.middleware_stack, embedders)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        body = _Body(scope, receive)
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                self._mark(scope["path"], headers)
                if not body.read:  # else the server would go on to read it, for as long as it comes
                    headers["Connection"] = "close"
            await send(message)

        async def refuse(status: int, words: str) -> None:
            await PlainTextResponse(words, status)(scope, receive, answer)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refuse(*refusal)
            return
        try:
            await self.inner(scope, body, answer)
        except ClientDisconnect:
            pass
        except Exception as error:
            # The log must tell what broke, and must not hold the case: no message, no request.
            logger.error("a request failed: %s", type(error).__name__)
            if not started:
                await refuse(500, content.BROKEN)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """The status and the words with which a request is turned away; None if it is not."""
        path, headers = scope["path"], Headers(scope=scope)
        if not OPEN.fullmatch(path):
            if not USED.fullmatch(path):
                return 404, "Not found"
            if self.app.auth is not None and not self._logged_in(scope):
                return 401, "Log in first"
        # Browsers say where a request comes from. Another website may link here and no more.
        linked = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not linked:
            return 403, "Not for other websites"
        if path.startswith(FILE) and not _handed_out(path.removeprefix(FILE)):
            return 403, content.NOT_HANDED_OUT
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > _limit(path):
            return 413, "Too large"
        return None

    def _logged_in(self, scope: Scope) -> bool:
        cookies = HTTPConnection(scope).cookies
        name = self.app.cookie_id
        return any(
            cookies.get(f"access-token{kind}-{name}") in self.app.tokens
            for kind in ("", "-unsecure")
        )

    def _mark(self, path: str, headers: MutableHeaders) -> None:
        for name in [name for name in headers if name.startswith("access-control-")]:
            del headers[name]
        for name, value in self.headers.items():
            headers[name] = value
        if not path.startswith(("/assets/", "/static/")):  # all else may hold a case
            headers["Cache-Control"] = "no-store"


def made_folder() -> Path:
    """Where the files lie that the page makes of a case; no others of it are handed out."""
    return Path(get_upload_folder()).resolve() / "made"


def _handed_out(name: str) -> bool:
    """Whether a file is ours: a drawing, or made of a case. An upload goes back to nobody."""
    try:
        path = Path(name).resolve()
    except (OSError, ValueError, RuntimeError):
        return False
    return path.is_relative_to(made_folder()) or path in DRAWINGS


def _limit(path: str) -> int:
    return MAX_UPLOAD if path.rstrip("/") == UPLOAD else MAX_REQUEST


class _Body:
    """ASGI's ``receive``, up to the limit: a body may come without saying how long it is."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        self.receive = receive
        self.left = _limit(scope["path"])
        self.read = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers

    async def __call__(self) -> Message:
        message = await self.receive()
        self.left -= len(message.get("body", b""))
        if self.left < 0:  # Gradio's reader of uploads deletes what it has, and answers with 413
            raise MultiPartException("The request is over the maximum allowed size.")
        self.read = self.read or not message.get("more_body", False)
        return message


class FilesOnly(route_utils.GradioMultiPartParser):
    """Gradio's reader of uploads, for files and nothing else.

    Gradio collects other fields in memory, of any size, and in a way that takes the square of the
    size in time: one request could keep the program busy for hours.
    """

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a file.

        Raises:
            MultiPartException: it is of another field.
        """
        if self._current_part.file is None:
            raise MultiPartException("An upload holds files only.")
        super().on_part_data(data, start, end)

    async def parse(self) -> FormData:
        """Read the files; nothing stays of an upload that breaks off."""
        try:
            return await super().parse()
        except BaseException:
            for file in self._files_to_close_on_error:
                file.close()
                Path(file.name).unlink(missing_ok=True)
            raise


route_utils.GradioMultiPartParser = FilesOnly  # type: ignore[misc]
