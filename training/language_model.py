"""Ask a language model many things at once, through any OpenAI-compatible endpoint.

Answers are logged as they arrive, one JSON object a line, so that a run that was killed goes on
where it stopped: what the log holds is not asked again. Requests run concurrently. What may pass
(429, 5xx, a time-out, a connection cut half-way, an answer that is no JSON) is tried again with
exponential back-off and jitter, or after the time that the server asks for; any other refusal
stops the run at once, because the next request would be refused as well.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from tqdm import tqdm

LONGEST_WAIT = 300.0  # seconds, whatever a server asks for


@dataclass(frozen=True)
class Endpoint:
    """Where and how to ask.

    ``timeout`` is in seconds of silence. ``backoff`` is the wait in seconds after the first failed
    attempt; it doubles with each further one. A logged answer counts as one whatever its
    ``temperature`` was.

    Raises:
        ValueError: no address, or one that carries a user, a password or a query.
    """

    base_url: str
    model: str
    workers: int = 8
    timeout: float = 120.0
    attempts: int = 5
    backoff: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        address = urlsplit(self.base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(
                f"got {self.base_url!r} as the address, expected e.g. https://host/v1; "
                "give the address of an OpenAI-compatible endpoint"
            )
        if "@" in address.netloc or address.query:
            raise ValueError(
                "got an address with credentials or a query in it, which would end up in the "
                "summary; expected a bare address; put the key into the environment"
            )


@dataclass(frozen=True)
class Request:
    """One prompt. ``id`` tells requests apart whose prompts are equal, and names the answer."""

    id: str
    prompt_name: str
    prompt: str


@dataclass(frozen=True)
class Answer:
    """One line of the log: what came of a request.

    ``text`` is "" where all attempts failed or one was refused, and ``error`` says how the last one
    ended. ``tokens`` is the server's count for prompt and answer, 0 where it gives none.
    """

    id: str
    model: str
    prompt_name: str
    prompt: str
    text: str
    tokens: int
    attempts: int
    seconds: float
    error: str = ""


@dataclass(frozen=True)
class Outcome:
    """``answers`` by request id; ``failed`` is the reason by request id.

    ``stopped`` says why the run ended before all was asked, "" where all was.
    """

    answers: dict[str, Answer]
    failed: dict[str, str]
    stopped: str


class _Refused(RuntimeError):
    """The endpoint refuses a request. ``answer`` tells of the attempts that it took."""

    def __init__(self, endpoint: Endpoint, answer: Answer) -> None:
        super().__init__(
            f"{endpoint.base_url} refuses request {answer.id} with {answer.error}; "
            "check the address, the model's name and the key"
        )
        self.answer = answer


class _Budget:
    """How much may still be spent, over all threads: HTTP requests, retries too, and tokens."""

    def __init__(self, requests: int, tokens: int, spent: Sequence[Answer]) -> None:
        self._requests, self._tokens = requests, tokens
        self._sent = sum(one.attempts for one in spent)
        self._used = sum(one.tokens for one in spent)
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Count one request, if it may still be sent."""
        with self._lock:
            if self.spent:
                return False
            self._sent += 1
            return True

    def use(self, tokens: int) -> None:
        """Count the tokens of an answer."""
        with self._lock:
            self._used += tokens

    @property
    def spent(self) -> str:
        """Why nothing may be sent any more, or ""."""
        if self._sent >= self._requests:
            return f"the budget of {self._requests} requests is spent"
        if self._used >= self._tokens:
            return f"the budget of {self._tokens} tokens is spent"
        return ""


def ask_all(
    requests: Sequence[Request],
    endpoint: Endpoint,
    key: str,
    log: Path,
    max_requests: int,
    max_tokens: int,
) -> Outcome:
    """Ask every request that the log does not answer yet, and return all their answers.

    Args:
        key: sent as the bearer token and kept nowhere; "" for a server without one.
        log: JSON lines, one `Answer` each; appended to, made where it does not exist.
        max_requests: how many HTTP requests the log may tell of in all, those of earlier runs and
            retries too; the run stops there and the outcome says so.
        max_tokens: the same for tokens; requests on their way may still go over it.

    Raises:
        RuntimeError: the endpoint refuses a request (4xx other than 408 and 429). The log tells of
            it, as of any other that failed.
    """
    before = read_log(log)
    budget = _Budget(max_requests, max_tokens, before)
    known = {(one.id, one.model, one.prompt): one for one in before if not one.error}
    answers: dict[str, Answer] = {}
    waiting: list[Request] = []
    for request in requests:
        if answer := known.get((request.id, endpoint.model, request.prompt)):
            answers[request.id] = answer
        else:
            waiting.append(request)

    # Without a key of its own the client would send the user's Hugging Face token to any address.
    client = InferenceClient(
        base_url=endpoint.base_url, api_key=key or "none", timeout=endpoint.timeout
    )
    stop, one_at_a_time = threading.Event(), threading.Lock()
    failed: dict[str, str] = {}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as lines, ThreadPoolExecutor(endpoint.workers) as pool:

        def ask(request: Request) -> None:
            try:
                if answer := _ask(request, client, endpoint, key, budget, stop):
                    keep(answer)
            except _Refused as refused:
                keep(refused.answer)
                raise

        def keep(answer: Answer) -> None:
            with one_at_a_time:
                lines.write(json.dumps(asdict(answer), ensure_ascii=False) + "\n")
                lines.flush()  # a kill must not lose what was paid for
                if answer.error:
                    failed[answer.id] = answer.error
                else:
                    answers[answer.id] = answer

        try:
            futures = [pool.submit(ask, request) for request in waiting]
            for future in tqdm(
                as_completed(futures), total=len(futures), desc="ask", unit="request"
            ):
                future.result()
        except BaseException:
            stop.set()  # those on their way are still logged, the others are not sent
            raise
    unanswered = len(requests) - len(answers)
    stopped = f"{budget.spent}; {unanswered} unanswered" if budget.spent and unanswered else ""
    return Outcome(answers, failed, stopped)


def read_log(log: Path) -> list[Answer]:
    """The answers logged so far. A last line that a kill tore is cut off the file.

    Raises:
        ValueError: a whole line is no answer.
    """
    if not log.is_file():
        return []
    content = log.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        with log.open("r+b") as file:
            file.truncate(len(whole))
    try:
        return [Answer(**json.loads(line)) for line in whole.decode("utf-8").split("\n")[:-1]]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"got a line in {log} that is no answer ({error}); correct it or remove the file"
        ) from error


def _ask(
    request: Request,
    client: InferenceClient,
    endpoint: Endpoint,
    key: str,
    budget: _Budget,
    stop: threading.Event,
) -> Answer | None:
    """Ask until there is an answer or the attempts are spent; None where nothing could be sent.

    Raises:
        _Refused: the endpoint refuses the request.
    """
    started = time.monotonic()
    text, tokens, attempts, error, refused = "", 0, 0, "", False
    rng = random.Random(request.id)
    while attempts < endpoint.attempts and not stop.is_set() and budget.take():
        attempts += 1
        wait = endpoint.backoff * 2 ** (attempts - 1) * rng.uniform(0.5, 1.5)
        try:
            text, tokens = _answer(client, endpoint, request.prompt)
            error = ""
            budget.use(tokens)
            break
        except HfHubHTTPError as refusal:
            status = refusal.response.status_code
            error = _without(key, f"HTTP {status}: {refusal}")
            if refused := status not in (408, 429) and status < 500:
                stop.set()
                break
            wait = _asked_wait(refusal) or wait
        except (httpx2.HTTPError, ValueError) as fault:  # the network's, or the answer's
            error = _without(key, f"{type(fault).__name__}: {fault}")
        if attempts < endpoint.attempts:
            stop.wait(min(wait, LONGEST_WAIT))
    if attempts == 0:
        return None
    answer = Answer(
        id=request.id,
        model=endpoint.model,
        prompt_name=request.prompt_name,
        prompt=request.prompt,
        text=_without(key, text),
        tokens=tokens,
        attempts=attempts,
        seconds=round(time.monotonic() - started, 3),
        error=error,
    )
    if refused:
        raise _Refused(endpoint, answer)
    return answer


def _answer(client: InferenceClient, endpoint: Endpoint, prompt: str) -> tuple[str, int]:
    """Send one prompt: the text and the number of tokens. ValueError for a malformed answer."""
    answer = client.chat_completion(
        [{"role": "user", "content": prompt}],
        model=endpoint.model,
        temperature=endpoint.temperature,
    )
    try:
        text = answer.choices[0].message.content
    except (AttributeError, IndexError, KeyError, TypeError):
        raise ValueError("the answer holds no message") from None
    if not isinstance(text, str) or not text.strip():
        raise ValueError("the answer holds no text")
    return text, int(getattr(answer.usage, "total_tokens", 0) or 0)


def _asked_wait(refusal: HfHubHTTPError) -> float:
    """Seconds that the server's Retry-After asks for (a number or a date), 0 where it has none."""
    value = refusal.response.headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


def _without(key: str, text: str) -> str:
    """``text`` without the key, which a server may repeat."""
    return text.replace(key, "[key]") if key else text
