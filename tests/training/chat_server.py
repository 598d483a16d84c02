"""A local server that speaks the chat-completions protocol, with the failures of a real one."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SLOW = 5.0  # seconds that "time-out" stays silent

OPENINGS = (
    "An itchy rash", "Some red bumps", "A dry, scaly patch", "Small blisters",
    "A sore, swollen spot", "Crusted skin", "Flaking, cracked skin", "A dark spot",
    "Pale patches", "Tender lumps",
)  # fmt: skip
SITES = (
    "on my left arm", "on both legs", "behind the right ear", "on the back of the neck",
    "around the mouth", "on the chest", "across the belly", "between the fingers", "on one heel",
    "over the shoulder", "on the scalp", "on the inner thigh",
)  # fmt: skip
TIMES = (
    "since last summer", "for two days", "for about three weeks", "that began a year ago",
    "since yesterday morning", "for several months", "that comes every winter", "for ten years",
)  # fmt: skip
COURSES = (
    "It burns at night", "Scratching makes it bleed", "It has spread slowly", "It does not hurt",
    "Cream brought no relief", "It faded and returned", "The surface feels rough",
    "There is yellow fluid", "Sweating makes it worse", "It peels after washing",
    "The skin feels warm", "No fever", "It stings in the sun", "The colour grew darker",
)  # fmt: skip


def made_text(seed: int) -> str:
    """An invented description; texts of different seeds hardly repeat each other."""
    rng = random.Random(seed)
    course = ". ".join(rng.sample(COURSES, 3))
    return f"{rng.choice(OPENINGS)} {rng.choice(SITES)} {rng.choice(TIMES)}. {course}."


@dataclass
class ChatServer:
    """What the server was asked, and what it does with the next requests.

    ``script`` is used up, a word a request: "ok", "400", "401", "429", "500", "time-out",
    "malformed", "empty", "cut", "named" (an answer that names a condition) or "lines" (texts a
    line instead of JSON). After it, all is "ok". ``retry_after`` goes with "429".
    """

    script: list[str]
    retry_after: str = ""
    texts_per_answer: int = 10
    base_url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def prompts(self) -> list[str]:
        return [body["messages"][0]["content"] for body in self.bodies]

    def arrived(self, body: dict[str, Any], authorization: str) -> tuple[int, str]:
        """The number of this request, and what to do with it."""
        with self._lock:
            self.bodies.append(body)
            self.authorizations.append(authorization)
            self.arrivals.append(time.monotonic())
            return len(self.bodies), self.script.pop(0) if self.script else "ok"

    def content(self, number: int, act: str) -> str:
        """What the model says; another one for every request."""
        start = number * self.texts_per_answer
        texts = [made_text(start + i) for i in range(self.texts_per_answer)]
        if act == "named":
            texts = [f"{text} My doctor calls it psoriasis." for text in texts]
        if act == "lines":
            return "Here they are:\n" + "\n".join(f"{i + 1}. {one}" for i, one in enumerate(texts))
        return json.dumps(texts)


@contextmanager
def chat_server(script: Sequence[str] = (), **settings: Any) -> Iterator[ChatServer]:
    """Run a server on a free port of this machine until the block ends."""
    state = ChatServer(list(script), **settings)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            number, act = state.arrived(body, self.headers.get("Authorization", ""))
            if act == "time-out":
                time.sleep(SLOW)
                self.close_connection = True
                return
            if act.isdigit():
                # a server may repeat the key in what it refuses
                told = {"error": {"message": f"got {self.headers.get('Authorization')}"}}
                self.reply(json.dumps(told), int(act), state.retry_after if act == "429" else "")
                return
            content = "" if act == "empty" else state.content(number, act)
            answer = json.dumps(
                {
                    "id": str(number),
                    "object": "chat.completion",
                    "created": 0,
                    "model": body["model"],
                    "choices": [
                        {
                            "index": 0,
                            "finish_reason": "stop",
                            "message": {"role": "assistant", "content": content},
                        }
                    ],
                    "usage": {"prompt_tokens": 60, "completion_tokens": 40, "total_tokens": 100},
                }
            )
            self.reply("{not json" if act == "malformed" else answer, 200, cut=act == "cut")

        def reply(self, text: str, status: int, retry_after: str = "", cut: bool = False) -> None:
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            if retry_after:
                self.send_header("Retry-After", retry_after)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
            self.close_connection = self.close_connection or cut

        def log_message(self, *_: Any) -> None:
            pass  # the tests' output is for the tests

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
