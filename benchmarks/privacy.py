"""What is left of a case, and what leaves the machine.

    python -m benchmarks.privacy           everything, the ten-minute wait included (15 minutes)
    python -m benchmarks.privacy --only logs network

The real program runs with folders of its own for temporary files, home and work. A case that can be
recognised goes through every way that the page and its API have: a photo with marked metadata, a
marked file name and pixels that nothing else has, and a text with a marked word. Then everything is
searched for the marks: disk, answers, logs, the browser's stores. An audit hook of Python counts
connections and looked-up names.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif  # type: ignore[import-untyped]
from PIL import Image, PngImagePlugin

from benchmarks.access import JSON, Page
from benchmarks.record import Row, save
from demo.edits import USES

COMMAND = "python -m benchmarks.privacy"
ROOT = Path(__file__).parents[1]
VISITOR = "127.0.0.2"  # the address that the visitor comes from, which no log may hold

# Words that nothing else on the disk has.
TEXT_MARK, META_MARK, NAME_MARK = "qvxtextmarkqvx", "qvxmetamarkqvx", "qvxnamemarkqvx"
TEXT = f"An itchy red patch on the arm for two weeks, {TEXT_MARK}, with some scale."
SIDE = 16  # of the small grey picture by which the marker photo is recognised

# app.py, with what a test needs to see and to shorten.
LAUNCH = """
import sys
OUTBOUND, KEPT, CHECK, BROKEN = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
def hook(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        host = args[0] if event == "socket.getaddrinfo" else args[-1]
        host = host[0] if isinstance(host, tuple) else host
        with open(OUTBOUND, "a") as file:
            print(event, host, file=file)
sys.addaudithook(hook)
import demo.uploads as uploads
uploads.KEPT_SECONDS, uploads.CHECK_SECONDS = KEPT, CHECK
if BROKEN == "1":
    from dermmm.predictor import Predictor
    def breaks(self, image=None, text=None, explain=True):
        raise RuntimeError(f"cannot do {text!r} with {image!r}")
    Predictor.predict = Predictor.effects = breaks
    Predictor.open_photo = lambda self, image, box=None: breaks(self, image)
sys.argv = ["app.py", *sys.argv[5:]]
import app
app.main()
"""


@dataclass(frozen=True)
class Program:
    """The running app: its page, process, folders, and where its words and its calls are written.

    The folders ``tmp``, ``home`` and ``work`` lie in ``folder``; the rest lies in ``notes``.
    """

    page: Page
    process: subprocess.Popen[bytes]
    folder: Path
    notes: Path

    @property
    def said(self) -> str:
        """All that it has printed and logged."""
        return (self.notes / "said.txt").read_text(encoding="utf-8", errors="replace")

    @property
    def outbound(self) -> list[str]:
        """Its connections and look-ups that go beyond this machine."""
        path = self.notes / "outbound.txt"
        lines = path.read_text().split("\n") if path.is_file() else []
        own = ("127.", "localhost", "::1", "None", "0.0.0.0", "b'127.", "/")
        return [line for line in lines if line and not line.split(" ", 1)[1].startswith(own)]


@contextmanager
def program(
    *arguments: str,
    folder: Path | None = None,
    kept: float = 600,
    check: float = 60,
    broken: bool = False,
    before: Iterable[str] = (),
) -> Iterator[Program]:
    """Run the app until it is ready; stop it with SIGTERM unless it was stopped already.

    Args:
        folder: with ``tmp``, ``home`` and ``work``; made, and removed in the end, where not given.
        kept: seconds that a file may stay, and ``check`` how often that is looked after.
        broken: whether the model raises an error that holds the case.
        before: a command that runs the program, such as strace.
    """
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as notes_name:
        folder, notes = folder or Path(made), Path(notes_name)
        for name in ("tmp", "home", "work"):
            (folder / name).mkdir(exist_ok=True)
        command = [*before, sys.executable, "-c", LAUNCH, str(notes / "outbound.txt")]
        command += [str(kept), str(check), str(int(broken)), *arguments]
        with (notes / "said.txt").open("wb") as said:
            process = subprocess.Popen(
                command,
                cwd=folder / "work",
                env={
                    "PATH": os.environ.get("PATH", ""),
                    "PYTHONPATH": str(ROOT),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "OMP_NUM_THREADS": "1",
                    "HOME": str(folder / "home"),
                    "TMPDIR": str(folder / "tmp"),
                },
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        try:
            found = None
            while found is None:
                time.sleep(0.2)
                text = (notes / "said.txt").read_text(errors="replace")
                found = re.search(r"http://([\d.]+):(\d+)", text)
                if process.poll() is not None:
                    raise RuntimeError(f"the app did not start: {text}")
            page = Page(None, found[1], int(found[2]), source=VISITOR)
            yield Program(page, process, folder, notes)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=60)


def marker_photo() -> Image.Image:
    """Blocks of grey that no other picture has, 320 by 240."""
    blocks = np.random.default_rng(7).integers(40, 220, (12, 16), dtype=np.uint8)
    return Image.fromarray(np.kron(blocks, np.ones((20, 20), np.uint8))).convert("RGB")


def photos() -> dict[str, bytes]:
    """The marker photo as JPEG, HEIC and PNG, with every kind of metadata that each can hold."""
    pillow_heif.register_heif_opener()
    photo = marker_photo()
    exif = Image.Exif()
    exif[0x010E] = exif[0x013B] = exif[0x8298] = META_MARK  # description, artist, copyright
    exif.get_ifd(0x8825)[1], exif.get_ifd(0x8825)[2] = "N", (52.0, 31.0, 12.0)  # GPS
    xmp = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{META_MARK}</x:xmpmeta>".encode()
    icc = bytes(128) + META_MARK.encode()
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", META_MARK)
    found = {}
    for kind, suffix, more in (
        ("JPEG", "jpg", {"comment": META_MARK.encode(), "icc_profile": icc, "xmp": xmp}),
        ("HEIF", "heic", {"xmp": xmp}),
        ("PNG", "png", {"pnginfo": notes, "icc_profile": icc}),
    ):
        content = io.BytesIO()
        photo.save(content, kind, exif=exif.tobytes(), quality=95, **more)
        found[suffix] = content.getvalue()
    return found


def every_way(page: Page) -> list[bytes]:
    """Send the case through every way of the page and the API, and return all that comes back."""
    back: list[bytes] = []
    settings = page.ask("GET", "/config").json()
    numbers = {one["api_name"]: one["id"] for one in settings["dependencies"]}
    inputs = {one["api_name"]: len(one["inputs"]) for one in settings["dependencies"]}

    def event(name: str, *data: Any, carried: Any = None) -> str:
        rest = [None] * (inputs[name] - len(data))
        body = {"fn_index": numbers[name], "session_hash": "visitor", "event_data": carried}
        said = page.join({**body, "data": [*data, *rest]})
        back.append(said.encode())
        for path in dict.fromkeys(re.findall(r'"path": ?"([^"]+)"', said)):
            back.append(page.ask("GET", f"/gradio_api/file={path}").body)
        return said

    def call(name: str, *data: Any) -> None:
        back.append(page.call(name, list(data)).encode())

    def uploaded(content: bytes, name: str) -> dict[str, Any]:
        path = page.upload(content, name).json()[0]
        back.append(page.ask("GET", f"/gradio_api/file={path}").body)  # handed back?
        return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    given = photos()
    table = f'case_id,image,text\n1,{NAME_MARK}.jpg,"{TEXT}"\n2,,"{TEXT}"\n'.encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(f"{NAME_MARK}.jpg", given["jpg"])
    for suffix, content in given.items():
        photo = uploaded(content, f"{NAME_MARK}.{suffix}")
        call("predict", photo, TEXT)
        call("explain", photo, TEXT)
        shown = event("show", photo)
        made = re.search(r'"path": ?"([^"]+/photo.png)"', shown)
        photo = {**photo, "path": made[1]} if made else photo
        event("choose", photo)
        event("crop", photo, carried={"box": [0.0, 0.0, 0.9, 0.9]})
        event("examine_1", photo, TEXT)
        event("made")
        event("made_1")
        event("open_case", photo, TEXT)
        event(
            "compare_1", [3], photo, TEXT, None, USES[0], 0.5, 1.0, True, True, TEXT + " No fever."
        )
        event("experiment", photo, TEXT)
        event("undo", photo, TEXT)
        event("cleared")
    whole = uploaded(table, f"{NAME_MARK}.csv")
    for content, name in ((given["jpg"], "jpg"), (packed.getvalue(), "zip")):
        files = [uploaded(content, f"{NAME_MARK}.{name}")]
        call("batch", whole, files)
        event("begun")
        event("run", whole, files)
    for choice in (TEXT, "melanoma"):
        event("commit", {}, "Drawings", carried={"round": 1, "choices": [choice], "confidence": 3})
    return back


def mistakes(page: Page) -> None:
    """Requests that fail in every way, with the case in them: what does the log say?"""
    mark = {"meta": {"_type": "gradio.FileData"}}
    path = page.upload(b"no photo " + TEXT.encode(), f"{NAME_MARK}.jpg").json()[0]
    broken = {"path": path, "orig_name": f"{NAME_MARK}.jpg", **mark}
    for name in ("predict", "explain", "batch"):
        for data in (
            [broken, TEXT], [TEXT], [], [{"path": TEXT}, TEXT], [[TEXT], {"a": TEXT}], [TEXT] * 9,
            [{"path": f"/{TEXT_MARK}/" + "x" * 300, **mark}, TEXT], [{"path": "\0" + TEXT}, TEXT],
            [{"path": path, "meta": TEXT}, TEXT], [broken, [broken]], [None, {"text": TEXT}],
        ):  # fmt: skip
            page.call(name, data)
    for number in range(40):
        for data in ([TEXT], [{"path": TEXT, **mark}] * 12, [broken] * 12):
            body = {"fn_index": number, "session_hash": f"m{number}", "data": data}
            page.join({**body, "event_data": {"text": TEXT, "box": TEXT, "choices": TEXT}})
    page.upload(b"x", f"{NAME_MARK}{'x' * 5000}.jpg")
    for route in (f"/{TEXT_MARK}", f"/gradio_api/call/{TEXT_MARK}", f"/?x={TEXT_MARK}"):
        page.ask("GET", route)
        page.ask("POST", route, TEXT.encode(), JSON)
    for route in ("call/predict", "call/v2/predict", "queue/join", "upload", "cancel"):
        page.ask("POST", f"/gradio_api/{route}", TEXT.encode(), JSON)
        page.ask("POST", f"/gradio_api/{route}", json.dumps({TEXT: TEXT}).encode(), JSON)
        page.ask("POST", f"/gradio_api/{route}", TEXT.encode(), {"Content-Type": TEXT_MARK})


def left(*folders: Path) -> list[str]:
    """Files in whose name or contents anything of the case is found, and what it is."""
    found = []
    for folder in folders:
        for path in folder.rglob("*"):
            try:
                content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            except OSError:  # gone, or not ours
                continue
            for what in marks(content) + (["file name"] if NAME_MARK in path.name else []):
                found.append(f"{path.suffix or 'file'}: {what}")
    return found


def marks(content: bytes) -> list[str]:
    """What of the case is in some bytes: as it is, in base64, or as a picture."""
    found = []
    for what, mark in (("text", TEXT_MARK), ("metadata", META_MARK), ("file name", NAME_MARK)):
        forms = [mark.encode(), mark.encode("utf-16-le")]
        # In base64 a word has three forms, by its place. The ends depend on its neighbours.
        forms += [base64.b64encode(b"x" * n + mark.encode())[4:16] for n in range(3)]
        if any(form in content for form in forms):
            found.append(what)
    if any(is_marker(picture) for picture in pictures(content)):
        found.append("pixels")
    return found


def pictures(content: bytes) -> Iterator[Image.Image]:
    """The picture that some bytes are, and those that are in them as data: addresses."""
    pillow_heif.register_heif_opener()
    inside = re.findall(rb"data:image/[a-z+]+;base64,([A-Za-z0-9+/=]+)", content)
    for one in (content, *map(_decoded, inside)):
        try:
            yield Image.open(io.BytesIO(one))
        except Exception:  # anything may come here
            continue


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b""


def _small(picture: Image.Image) -> np.ndarray:
    grey = np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), float)
    return (grey - grey.mean()) / (grey.std() + 1e-6)


def is_marker(picture: Image.Image) -> bool:
    """Whether a picture looks like the marker photo, of whatever size and quality."""
    try:
        return float((_small(picture) * _small(marker_photo())).mean()) > 0.7
    except Exception:  # a file that only begins like a picture
        return False


def metadata(answers: Iterable[bytes]) -> tuple[int, list[str]]:
    """How many pictures came back, and what in the answers is metadata."""
    count, found = 0, []
    for content in answers:
        if META_MARK.encode() in content:
            found.append("a mark")
        for picture in pictures(content):
            count += 1
            extra = set(picture.info) - {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi"}
            extra -= {"transparency", "gamma", "loop", "background", "duration", "timestamp"}
            if len(picture.getexif()):
                extra.add("exif")
            found += sorted(extra)
    return count, found


def gone(run: Program, most: float) -> float | None:
    """Seconds until nothing of the case is on the disk; None after more than ``most`` of them."""
    start = time.monotonic()
    while left(run.folder, *SHARED):
        if time.monotonic() - start > most:
            return None
        time.sleep(min(5, most / 20))
    return time.monotonic() - start


SHARED = tuple(path for path in (Path("/dev/shm"),) if path.is_dir())


def disk(
    *arguments: str, kept: float = 600, check: float = 60, short: float = 4
) -> tuple[list[Row], list[bytes]]:
    """After the delay, after SIGTERM, after SIGKILL; and what came back on the way.

    ``short`` seconds stand for the ten minutes where the delay itself is not what is measured.
    """
    rows = []
    quick = {"kept": short, "check": short / 4}
    with program(*arguments, kept=3600) as run:
        back = every_way(run.page)
        there = left(run.folder)
        run.process.terminate()
        run.process.wait(timeout=60)
        rest = left(run.folder, *SHARED)
        rows.append(
            Row(
                "Nothing of a case is on the disk after SIGTERM",
                "no file",
                f"{len(there)} finds before, {len(rest)} after{_list(rest)}",
                bool(there) and not rest,
            )
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with program(*arguments, folder=folder, kept=3600) as run:
            every_way(run.page)
            with run.page.half_an_upload(b"half " + TEXT.encode() * 1000):
                time.sleep(1)
            os.kill(run.process.pid, signal.SIGKILL)
            run.process.wait()
            killed = left(folder)
        with program(*arguments, folder=folder, **quick) as run:
            took = gone(run, 20 * short)
        rows.append(
            Row(
                "The next start removes what a killed program left",
                "when it is as old as any other case",
                f"{len(killed)} finds after SIGKILL, "
                + ("still there" if took is None else "none once the delay was over"),
                bool(killed) and took is not None,
            )
        )
    with program(*arguments, kept=kept, check=check) as run:
        every_way(run.page)
        with run.page.half_an_upload(b"half " + TEXT.encode() * 1000):
            time.sleep(1)
        took = gone(run, kept + 3 * check + 5)
        rest = [] if took is not None else left(run.folder, *SHARED)
        measured = "still there" if took is None else f"gone after {took / 60:.1f} minutes"
        if kept < 600:
            measured += f" (delay shortened to {kept:g} s)"
        rows.insert(
            0,
            Row(
                "Nothing of a case is on the disk after ten minutes, while the program runs",
                "no file, 13 minutes after the last request, broken uploads included",
                measured + _list(rest),
                took is not None,
            ),
        )
    return rows, back


def returned(back: list[bytes]) -> list[Row]:
    """No metadata in anything that came back."""
    count, found = metadata(back)
    return [
        Row(
            "Nothing that comes back carries metadata",
            "none in any picture, JSON, report or file",
            f"{len(back)} answers with {count} pictures, {len(found)} finds{_list(found)}",
            count > 0 and not found,
        )
    ]


def logs(
    *arguments: str, levels: Iterable[str] = ("debug", "info", "warning", "error")
) -> list[Row]:
    """At every level, with good requests, bad requests, and a model that breaks."""
    found: list[str] = []
    runs = lines = 0
    for level in levels:
        for broken in (False, True):
            with program(*arguments, "--log-level", level, kept=3600, broken=broken) as run:
                every_way(run.page)
                mistakes(run.page)
                run.process.terminate()
                run.process.wait(timeout=60)
                said = run.said
            runs, lines = runs + 1, lines + said.count("\n")
            found += [f"{level}: {what}" for what in marks(said.encode())]
            for what, mark in (
                ("address", VISITOR),
                ("traceback", "Traceback"),
                ("path", "/tmp/derm"),
            ):
                if mark in said:
                    found.append(f"{level}: {what}")
    return [
        Row(
            "Logs hold no text, no file name and no visitor's address",
            "none at any level, errors included",
            f"{runs} runs, {lines} lines, {len(found)} finds{_list(found)}",
            not found and lines > runs,
        )
    ]


def network(*arguments: str) -> list[Row]:
    """Connections of the program, and the program where there is no network at all."""
    with program(*arguments, kept=3600) as run:
        every_way(run.page)
        outbound = run.outbound
        seen = (run.notes / "outbound.txt").read_text().count("\n")
    rows = [
        Row(
            "The program connects to nobody and looks up no name",
            "none but this machine",
            f"{seen} calls seen by an audit hook, {len(outbound)} outward{_list(outbound)}",
            not outbound,
        )
    ]
    if shutil.which("strace"):
        with tempfile.TemporaryDirectory() as name:
            trace = Path(name) / "trace"
            before = (
                "strace",
                "--seccomp-bpf",
                "-f",
                "-qq",
                "-e",
                "trace=connect",
                "-o",
                str(trace),
            )
            with program(*arguments, kept=3600, before=before) as run:
                every_way(run.page)
                os.kill(int(trace.read_text().split()[0]), signal.SIGTERM)
                run.process.wait(timeout=60)
            text = trace.read_text()
        calls = re.findall(r"connect\(.*?sa_family=(AF_\w+)(.*?)\}", text)
        away = [rest for kind, rest in calls if kind in ("AF_INET", "AF_INET6") and not _own(rest)]
        rows.append(
            Row(
                "Nor does anything below Python",
                "none but this machine",
                f"{len(calls)} connections seen by strace, {len(away)} outward{_list(away)}",
                not away,
            )
        )
    said = isolated(*arguments)
    rows.append(Row("Without any network it answers", "a case is answered", *said))
    return rows


def _own(rest: str) -> bool:
    return '"127.' in rest or '"::1"' in rest


def isolated(*arguments: str) -> tuple[str, bool | None]:
    """Run the program in a network namespace that has only the loopback; None where not allowed."""
    if not shutil.which("unshare") or not shutil.which("ip"):
        return "not run: no unshare or no ip here", None
    inside = f"ip link set lo up && exec {sys.executable} -m benchmarks.privacy --inside"
    command = ["unshare", "-rn", "sh", "-c", " ".join((inside, *arguments))]
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        return "not run: no network namespace is allowed here", None
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    return done.stdout.strip()[-300:] or done.stderr.strip()[-300:], "answered" in done.stdout


def inside(*arguments: str) -> None:
    """What `isolated` runs: an answer, and proof that nothing else can be reached."""
    routes = Path("/proc/net/route").read_text().strip().count("\n")
    with program(*arguments, kept=3600) as run:
        back = every_way(run.page)
    answered = sum(b'"conditions"' in one for one in back)
    print(f"{answered} cases answered with {routes} routes")


def browser(*arguments: str, executable: str) -> list[Row]:
    """A session in Chromium: where its requests go, and what it keeps."""
    from playwright.sync_api import sync_playwright

    from tests.chromium import CHROMIUM_ARGUMENTS

    addresses: list[str] = []
    refused: list[str] = []
    answers: list[bytes] = []
    with (
        tempfile.TemporaryDirectory() as name,
        program(*arguments, kept=3600) as run,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(
            executable_path=executable, args=list(CHROMIUM_ARGUMENTS)
        )
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        page.set_default_timeout(90_000)
        own = f"http://{run.page.host}:{run.page.port}"
        context.on("request", lambda request: addresses.append(request.url))
        page.on(
            "console",
            lambda message: (
                refused.append(message.text) if "Content Security Policy" in message.text else None
            ),
        )
        page.on(
            "response",
            lambda response: (
                answers.append(response.body())
                if "/gradio_api/file=" in response.url and response.ok
                else None
            ),
        )
        case = Path(name) / f"{NAME_MARK}.jpg"
        case.write_bytes(photos()["jpg"])
        table = Path(name) / f"{NAME_MARK}.csv"
        table.write_text(f'case_id,image,text\n1,{case.name},"{TEXT}"\n')
        page.goto(own)
        page.get_by_role("button", name="Analyse").wait_for()
        page.locator("#photo input[type=file]").first.set_input_files(str(case))
        page.locator("#choose-crop").wait_for()
        page.locator("#choose-crop").click()
        page.locator("#crop [data-do=use]").click()
        page.locator("#description textarea").fill(TEXT)
        page.wait_for_timeout(1000)
        page.get_by_role("button", name="Analyse").click()
        page.locator("#effects .dm-effects:not(.dm-loading)").wait_for(state="attached")
        for kind in ("html", "json"):
            with page.expect_download() as download:
                page.locator(f"#keep-{kind}").click()
            answers.append(Path(download.value.path()).read_bytes())
        page.get_by_role("tab", name="What if", exact=True).click()
        page.locator("#what-if-result .dm-card").first.wait_for()
        page.get_by_role("tab", name="Batch", exact=True).click()
        for part, file in (("table", table), ("photos", case)):
            with page.expect_response(lambda response: "/upload" in response.url):
                page.locator(f"#batch-{part} input[type=file]").set_input_files(str(file))
        page.locator("#batch-start").click()
        page.locator("#batch-results tbody tr").first.wait_for()
        page.get_by_role("tab", name="Teach", exact=True).click()
        page.locator("#teach-round .dm-round").first.wait_for()
        stored = page.evaluate(STORED)
        cookies = context.cookies()
        workers = len(context.service_workers)
        chromium.close()
    away = [url for url in addresses if not url.startswith((own, "data:", "blob:"))]
    kept = marks(json.dumps([stored, cookies]).encode())
    keys = sorted([*stored["local"], *stored["session"]])
    count, found = metadata(answers)
    return [
        Row(
            "The browser asks the page's own address and no other",
            "none elsewhere",
            f"{len(addresses)} requests, {len(away)} elsewhere{_list(away)}",
            not away and len(addresses) > 10,
        ),
        Row(
            "The browser keeps no case",
            "none in localStorage, sessionStorage, IndexedDB, caches, cookies, service workers",
            f"{len(kept)} finds; kept: {', '.join(keys) or 'nothing'}; {len(cookies)} cookies, "
            f"{len(stored['databases'])} databases, {len(stored['caches'])} caches, "
            f"{workers} service workers",
            not (kept or stored["databases"] or stored["caches"] or workers),
        ),
        Row(
            "Nothing that the browser receives or saves of a case carries metadata",
            "none",
            f"{len(answers)} files with {count} pictures, {len(found)} finds{_list(found)}",
            count > 0 and not found,
        ),
        Row(
            "The page works under its Content-Security-Policy",
            "nothing blocked in a session",
            f"{len(refused)} blocked{_list(refused)}",
            not refused,
        ),
    ]


# All of the browser's stores.
STORED = """async () => ({
  local: {...localStorage}, session: {...sessionStorage},
  databases: (await indexedDB.databases()).map(one => one.name),
  caches: window.caches ? await caches.keys() : [], cookies: document.cookie,
})"""


def _list(found: list[str]) -> str:
    return "" if not found else ": " + "; ".join(sorted(set(found)))[:200]


PARTS = ("disk", "logs", "network", "browser")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=PARTS, nargs="+", help="and save nothing")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options, arguments = parser.parse_known_args()
    if options.inside:
        inside(*arguments)
        return
    from tests.chromium import chromium

    start, rows = time.monotonic(), []
    chosen = options.only or PARTS
    steps: dict[str, Callable[[], list[Row]]] = {
        "logs": logs,
        "network": network,
        "browser": lambda: browser(executable=chromium() or "chromium"),
    }
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(disk) if "disk" in chosen else None  # ten minutes, mostly asleep
        for name, step in steps.items():
            if name in chosen:
                print(f"{name} ...", flush=True)
                rows += step()
        if waiting is not None:
            print("disk ...", flush=True)
            stayed, back = waiting.result()
            rows = stayed + returned(back) + rows
    for row in rows:
        print(row, flush=True)
    if not options.only:
        save("privacy", COMMAND, rows, minutes=(time.monotonic() - start) / 60)


if __name__ == "__main__":
    main()
