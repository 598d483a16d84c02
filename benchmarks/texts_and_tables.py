"""Hostile texts, tables and zips: does any become more than text, or stop the program?

    python -m benchmarks.texts_and_tables
    python -m benchmarks.texts_and_tables --no-browser

Texts that are huge, broken, turned around or full of markup go to the model, to every place of the
page where a user's text is shown, and to every file that holds one: by an HTML parser nothing of
them may be an element or an attribute, and in Chromium no script of theirs may run. Tables and zips
that are broken, huge or lead out of their folder go to the command line and to the page's API: each
is answered, or refused in one line that says why. About four minutes on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import stat
import struct
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
from gradio_client import Client, handle_file  # type: ignore[import-untyped]

import dermmm
from benchmarks import record
from demo import content
from demo.cases import Case
from demo.examples import EXAMPLES
from demo.render import answer, effects, form, look, photo, report, teach, what_if
from demo.render import batch as batch_render
from demo.rounds import Round
from dermmm import Phrase, batch
from dermmm.__main__ import main as command_line
from dermmm.batch import Answer, Row
from dermmm.predictor import Predictor
from tests.chromium import CHROMIUM_ARGUMENTS, chromium
from tests.screenshots import served

SECONDS = 5  # a text, a zip, or a table of the page's size
PLAIN = "A dark spot, that has grown; it bled. Now it itches"
PHOTO = Path(str(EXAMPLES[0].path))

MARKUP = "\n".join(
    (
        "A dark spot <script>window.hit=1</script>, that has grown",
        '<img src=x onerror=window.hit=1> it bled; "><svg onload=window.hit=1>',
        "' autofocus onfocus='window.hit=1' x='",
        "</textarea></title></style></script><evil-element evil=1>",
        "--><evil-element evil=1> ]]><evil-element/>",
        "&lt;script&gt;window.hit=1&lt;/script&gt; &#60;evil-element&#62;",
        "${window.hit=1} {{window.hit=1}} {%window.hit%} `window.hit=1`",
        '[a](javascript:window.hit=1) ![b](x"onerror="window.hit=1)',
        "javascript:window.hit=1 data:text/html,<script>window.hit=1</script>",
        "<evil-element evil",
    )
)
TEXTS = {
    "1 MB": "an itchy red rash " * 58_000,
    "20,000 characters of short phrases": "a, b " * 4_000,
    "one word of 20,000 letters": "a" * 20_000,
    "control characters": "a rash" + "".join(map(chr, (*range(1, 32), *range(127, 160)))) + "arm",
    "NUL": "a rash\0on the\0 arm",
    "only NUL": "\0" * 9,
    "right to left": "a rash \u202e that \u2067 itches \u200f , and \u202d bleeds",
    "combining marks": "a r" + "\u0301\u0489" * 3_000 + "ash, that itches",
    "emoji": "a rash 👩🏽‍⚕️🇩🇪🔥 on the 🦵🏿, and it itches",
    "no letters": "🔥 … !!",
    "lone surrogate": "a rash \ud800 on the arm",
    "invisible": "\u200b\u2060\ufeff\u00ad" * 99,
    "line separators": "a rash\u2028on the\u2029arm\x85, itchy\v\f",
    "no characters at all": "a rash \ufffe\uffff\U0010ffff here",
    "markup": MARKUP,
}
FORMULAS = (
    *("=1+1", "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(1)", '=HYPERLINK("http://x","y")'),
    *("\t=1+1", "\r=1+1", "\n=1+1", " =1+1", "＝1+1", "a;=1+1", 'a";=1+1', "a\t=1+1", "a,=1+1"),
)


# --- the model ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What became of one hostile thing in one place."""

    what: str
    place: str
    outcome: str  # answered, refused, or what should never be
    seconds: float


def tried(what: str, place: str, act: Callable[..., object], *given: object) -> Found:
    """Call ``act`` with what is ``given``: answered, refused by a ValueError, or neither."""
    start = time.perf_counter()
    try:
        act(*given)
        outcome = "answered"
    except (ValueError, OSError) as error:
        outcome = "refused" if len(str(error)) < 500 else "refused at length"
        if content.BROKEN[:30] in str(error):  # what the page says of an error of its own
            outcome = "broke the page"
    except Exception as error:
        outcome = f"raised {type(error).__name__}"
    return Found(what, place, outcome, time.perf_counter() - start)


def texts(predictor: Predictor) -> Iterator[Found]:
    """Every text to every way of asking."""
    file = PHOTO.read_bytes()
    for name, text in TEXTS.items():
        yield tried(name, "predict", predictor.predict, None, text)
        yield tried(name, "predict, with photo", predictor.predict, file, text)
        yield tried(name, "effects", predictor.effects, file, text)
        yield tried(name, "command line", command, ["predict", "--json", f"--text={text}"])


def command(arguments: Sequence[str]) -> str:
    """Run the command line within this process, and return what it printed.

    Raises:
        ValueError: it told of bad input, in one line.
        RuntimeError: it told of it otherwise.
    """
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command_line(arguments)
    if code == 0:
        return out.getvalue()
    said = err.getvalue().splitlines()[-1:]
    if code == 2 and said and said[0].startswith("error: "):
        raise ValueError(said[0])
    raise RuntimeError(f"status {code}: {said}")


# --- where texts are shown ------------------------------------------------------------------------


def places(predictor: Any, text: str) -> dict[str, str]:
    """The HTML of every place that shows what a user wrote, by name; ``text`` in all of them.

    The model answers a plain text, and its answer is said to be about ``text``: so every place is
    tried with texts that the model refuses, too.
    """
    file = PHOTO.read_bytes()
    asked = predictor.predict(file, PLAIN)
    found = predictor.effects(file, PLAIN)
    assert asked.explanation is not None
    length = len(text)
    marks = sorted({0, length // 3, length // 2, length})
    words = tuple(
        replace(word, text=text[start:end], start=start, end=end)
        for word, start, end in zip(asked.explanation.words, marks, marks[1:], strict=False)
    )
    explained = replace(asked.explanation, description=text, words=words)
    both = replace(asked, explanation=explained)
    alone = replace(both, explanation=replace(explained, photo=None, attention=None))
    owed = replace(
        found,
        phrases=(Phrase(text, 0, length, -0.2), *(replace(p, text=text) for p in found.phrases)),
    )
    case = Case("a", "Our cases", None, text, "acne", text, text, text)
    one = Round(case, ("acne",), 50, ("acne",), ("acne",), 0.5, False)
    rows = [
        Answer(Row(text, text, text), both),
        Answer(Row(text, text, text), None, f"no photo called {text!r}"),
        Answer(Row(text, text, text), None, text),
    ]
    return {
        "words": look.look(both),
        "words, without photo": look.look(alone),
        "effects": effects.effects(owed, both),
        "an error": answer.failure(text),
        "an error of the photo": photo.trouble(text),
        "an error of the form": form.status(text, problem=True),
        "report": report.report(both, owed, predictor.metrics, datetime.now(UTC)),
        "report, without photo": report.report(alone, None, predictor.metrics, datetime.now(UTC)),
        "what if": what_if.comparison(both, alone, [text]) + what_if.maps(both, alone),
        "experiments": what_if.experiments(
            both, [what_if.Experiment(f"“{text}”", True, text, both)]
        ),
        "case": teach.case(case),
        "round": teach.commit(1, problem=text),
        "truth": teach.truth(1, one, False),
        "table": batch_render.table(rows),
        "summary": batch_render.summary(predictor.conditions, rows),
        "an error of the table": batch_render.failure(text),
    }


class Shape(HTMLParser):
    """Which elements with which attributes there are, which addresses, and what is shown."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.parts: set[tuple[str, ...]] = set()
        self.addresses: set[str] = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts |= {(tag,), *((tag, name) for name, _ in attrs)}
        self.addresses |= {
            str(value).partition(",")[0] for name, value in attrs if name in ("src", "href")
        }

    def handle_comment(self, data: str) -> None:
        self.parts.add(("comment",))

    def handle_decl(self, decl: str) -> None:
        self.parts.add(("declaration", decl))

    def handle_pi(self, data: str) -> None:
        self.parts.add(("instruction",))

    def unknown_decl(self, data: str) -> None:
        self.parts.add(("section",))


SHOWN = tuple(name for name in TEXTS if name != "lone surrogate")  # which is refused everywhere


def planted(predictor: Any, names: Sequence[str] = SHOWN) -> tuple[int, list[str]]:
    """How many pairs of place and text were looked at, and where a text was more than text."""
    plain = {name: Shape(html) for name, html in places(predictor, PLAIN).items()}
    wrong, count = [], 0
    for text in names:
        for place, html in places(predictor, TEXTS[text]).items():
            count += 1
            shape = Shape(html)
            new = shape.parts - plain[place].parts
            new |= {(address,) for address in shape.addresses - plain[place].addresses}
            wrong += [f"{' '.join(part)} from {text} in {place}" for part in new]
    return count, wrong


def exports(predictor: Any) -> tuple[int, list[str]]:
    """How many cells and files with a user's text were looked at, and which were no plain text."""
    asked = predictor.predict(text=PLAIN, explain=False)
    given = [*FORMULAS, *(TEXTS[name] for name in SHOWN)]
    rows = [Row(text.strip()[:10_000], "", "") for text in given]
    answered = [Answer(row, asked) for row in rows]
    answered += [Answer(row, None, row.case_id) for row in rows]
    table = batch_render.as_csv(predictor.conditions, answered)
    wrong, count = [], 0
    for delimiter in (",", ";", "\t"):
        for line in csv.reader(io.StringIO(table, newline=""), delimiter=delimiter):
            count += len(line)
            wrong += [f"{cell!r:.40} parted by {delimiter!r}" for cell in line if runs(cell)]
    back = list(csv.DictReader(io.StringIO(table, newline="")))
    wrong += [
        f"{row.case_id!r:.40} is not found again"
        for row, line in zip(rows, back, strict=False)
        if line["case_id"].replace("'", "") != row.case_id.replace("'", "")
    ]
    for text in TEXTS.values():
        with contextlib.suppress(ValueError):  # refused
            found = predictor.predict(text=text).to_dict(predictor.effects(text=text))
            count += 1
            if json.loads(json.dumps(found)) != found:
                wrong.append(f"JSON of {text!r:.40}")
    return count, wrong


def runs(cell: str) -> bool:
    """Whether a spreadsheet would take a cell for a formula."""
    try:
        float(cell)
    except ValueError:
        return cell.lstrip(" ").startswith(tuple("=+-@\t\r\n＝＋－＠"))
    return False


# --- tables ---------------------------------------------------------------------------------------

HEAD = b"case_id,image,text\n"


def tables(rows: int) -> dict[str, bytes]:
    """Hostile tables; ``rows`` is how many the long ones have."""
    line = b"1,,an itchy rash\n"
    one = f"1,,{PLAIN}"
    cells = io.StringIO(newline="")
    csv.writer(cells).writerows([text, "", PLAIN] for text in (*FORMULAS, MARKUP))
    bad = ("../secret.jpg", "/etc/passwd", "C:\\x.jpg", "\\\\host\\x", "a\0b.jpg", "n" * 5000, ".")
    names = "".join(f"{place},{name},\n" for place, name in enumerate(bad)).encode()
    return {
        "formulas and markup": HEAD + cells.getvalue().encode(),
        "names that lead out": HEAD + names,
        f"{rows:,} rows": HEAD + b"1,,\n" * (rows - 1) + line,
        "1,200,000 columns": HEAD[:-1] + b"," * 1_200_000 + b"\n" + line + b",\n" * 900,
        "UTF-16": (HEAD.decode() + one).encode("utf-16"),
        "Latin-1": HEAD + "1,,Ausschlag über dem Knie\n".encode("latin-1"),
        "NUL": HEAD + b"1,,a rash\0on the arm\n\0,\0,\0\n",
        "quotes never closed": HEAD + line + b'2,,"a rash\n' + line * 9,
        "quotes within": HEAD + b'1,,a "rash" here\n2,,"a "rash" here"\n',
        "a giant field": HEAD + b"1,," + b"a " * 200_000 + b"\n",
        "a giant field in quotes": HEAD + b'1,,"' + b"a\n" * 200_000 + b'"\n',
        "more cells than columns": HEAD + b"1,,an itchy, red rash\n",
        "no columns": line * 3,
        "only columns": HEAD,
        "empty": b"",
        "old line ends": HEAD.replace(b"\n", b"\r") + line.replace(b"\n", b"\r"),
        "a picture": PHOTO.read_bytes(),
        "a zip": zipped({"a": b"b"}),
        "BOM": b"\xef\xbb\xbf" + HEAD + line,
        "semicolons": HEAD.replace(b",", b";") + line.replace(b",", b";"),
    }


def tables_by_command(checkpoints: str | None, rows: int) -> Iterator[Found]:
    """Every table to `python -m dermmm batch`; what it writes has a line for each row."""
    model = [] if checkpoints is None else ["--checkpoints", checkpoints]
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder) / "inside"
        inside.mkdir()
        (Path(folder) / "secret.jpg").write_bytes(b"no photo")
        source, out = inside / "cases.csv", inside / "answers.csv"
        for name, table in tables(rows).items():
            source.write_bytes(table)

            def answered() -> None:
                out.unlink(missing_ok=True)
                command(["batch", str(source), "--out", str(out), *model])
                with out.open(newline="", encoding="utf-8") as file:
                    told = sum(1 for _ in csv.DictReader(file))
                with source.open(newline="", encoding="utf-8-sig") as file:
                    if told != len(batch.read_cases(file, "")):
                        raise RuntimeError("a row has no line")

            yield tried(name, "command line", answered)
            left = {path.name for path in inside.iterdir()} - {source.name, out.name}
            if left:
                yield Found(name, "command line", f"left {sorted(left)}", 0)


# --- zips -----------------------------------------------------------------------------------------


def zipped(files: Mapping[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", kind) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def zips(full: bool = True) -> dict[str, bytes]:
    """Hostile zips. Those that hold a photo at all call it photo.jpg."""
    picture = PHOTO.read_bytes()
    plain = zipped({"photo.jpg": picture})
    link = zipfile.ZipInfo("photo.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    linked = io.BytesIO()
    with zipfile.ZipFile(linked, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as archive, contextlib.suppress(UserWarning):
        archive.writestr("photo.jpg", picture)
        archive.writestr("PHOTO.jpg", b"another")
    size = 900_000_000 if full else 40_000_000
    lines = [bytes(1_000_000)] * (size // 1_000_000)
    large = io.BytesIO()
    with (
        zipfile.ZipFile(large, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("photo.jpg", "w", force_zip64=True) as file,
    ):
        file.writelines(lines)
    entry = plain.index(b"PK\x01\x02")

    def changed(at: int, kind: str, value: int) -> bytes:
        content = bytearray(plain)
        struct.pack_into(kind, content, entry + at, value)
        return bytes(content)

    return {
        "a large file of nothing": large.getvalue(),
        "more than is unpacked in all": zipped({f"{n}.jpg": bytes(29_000_000) for n in range(36)})
        if full
        else large.getvalue(),
        "60,000 files": zipped({f"{n}.jpg": b"" for n in range(60_000 if full else 6_000)}),
        "a zip in a zip": zipped({"photo.jpg": zipped({"photo.jpg": large.getvalue()})}),
        "../": zipped({"../photo.jpg": picture, "a/../../photo.jpg": picture}),
        "absolute": zipped({"/tmp/photo.jpg": picture}),
        "a drive's name": zipped({"C:\\photo.jpg": picture}),
        "a link": linked.getvalue(),
        "the same name twice": twice.getvalue(),
        "encrypted": changed(8, "<H", 1),
        "one file over another": overlapping(picture),
        "more bytes than it says": changed(24, "<L", 10),
        "fewer bytes than it says": changed(24, "<L", 29_000_000),
        "4 GB by what it says": changed(24, "<L", 2**32 - 2),
        "a wrong sum": changed(16, "<L", 1),
        "an unknown packing": changed(10, "<H", 99),
        "LZMA": zipped({"photo.jpg": picture}, zipfile.ZIP_LZMA),
        "bzip2": zipped({"photo.jpg": picture}, zipfile.ZIP_BZIP2),
        "cut": plain[: len(plain) // 2],
        "after something else": b"GIF89a" + bytes(500) + plain,
        "no zip": b"PK\x03\x04" + bytes(500),
        "empty": b"",
        "markup as a name": zipped({f"{MARKUP[:200]}/photo.jpg": picture}),
        "a name of 60,000 letters": zipped({"n" * 60_000 + "/photo.jpg": picture}),
    }


def overlapping(picture: bytes) -> bytes:
    """Many entries of the list name the same bytes."""
    plain = zipped({"photo.jpg": picture})
    start = plain.index(b"PK\x01\x02")
    end = plain.index(b"PK\x05\x06")
    listed = plain[start:end] * 1000
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1000, 1000, len(listed), start, 0)
    return plain[:start] + listed + tail


# --- the page's API -------------------------------------------------------------------------------


def by_api(
    address: str,
    texts: Mapping[str, str],
    tables: Mapping[str, bytes],
    zips: Mapping[str, bytes],
) -> Iterator[Found]:
    """Through the page's API: each is answered, or refused in words of our own."""
    client = Client(address, verbose=False, analytics_enabled=False)
    for name, text in texts.items():
        yield tried(name, "API", rest, address, "predict", [None, text])
    with tempfile.TemporaryDirectory() as folder:
        table, packed = Path(folder) / "cases.csv", Path(folder) / "photos.zip"

        def ask(*photos: Path) -> Any:
            sent = [handle_file(photo) for photo in photos] or None
            try:
                return client.predict(handle_file(table), sent, api_name="/batch")
            except Exception as error:  # `AppError`; without words of ours it holds Gradio's own
                told = str(error)
                known = told and "verbose error reporting" not in told
                raise (ValueError if known else RuntimeError)(told) from None

        for name, given in tables.items():
            table.write_bytes(given)
            yield tried(name, "API", ask)
        table.write_bytes(HEAD + b"1,photo.jpg,\n")
        for name, given in zips.items():
            packed.write_bytes(given)
            yield tried(name, "API, zip", ask, packed)


def rest(address: str, endpoint: str, data: list[Any]) -> str:
    """Ask by plain requests, which a client of Gradio's would not send; raises as `tried` wants."""
    call = f"{address}gradio_api/call/{endpoint}"
    body = json.dumps({"data": data})
    with httpx.Client(timeout=120) as client:
        answered = client.post(call, content=body, headers={"content-type": "application/json"})
        if answered.status_code in (400, 413, 422):
            raise ValueError(answered.text[:200])
        event = answered.raise_for_status().json()["event_id"]
        said = client.get(f"{call}/{event}").text
    if "event: error" in said:
        told = said.partition("data: ")[2].strip()
        raise (RuntimeError if told in ("", "null") else ValueError)(told[:400])
    return said


# --- in a browser ---------------------------------------------------------------------------------


def in_chromium(address: str, predictor: Any) -> tuple[int, list[str]]:
    """How many views were opened with hostile texts, and in which a script of theirs ran."""
    from playwright.sync_api import sync_playwright

    ran: list[str] = []
    views = 0

    def check(page: Any, view: str) -> None:
        nonlocal views
        views += 1
        page.wait_for_timeout(300)
        if page.evaluate("window.hit !== undefined || !!document.querySelector('evil-element')"):
            ran.append(view)

    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=chromium(), args=list(CHROMIUM_ARGUMENTS)
        ) as browser,
    ):
        page = browser.new_page()
        for place, html in places(predictor, MARKUP).items():
            file = Path(folder) / "place.html"
            file.write_text(html, encoding="utf-8", errors="replace")
            page.goto(file.as_uri())
            check(page, place)
        page.close()

        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{address}?tab=%3Cimg%20src%3Dx%20onerror%3Dwindow.hit%3D1%3E")
        page.locator("#description textarea").fill(MARKUP)
        page.locator("#analyse").click()
        page.locator("#answer .dm-answer").wait_for()
        page.locator("#effects .dm-effects:not(.dm-loading)").wait_for(state="attached")
        check(page, "Examine")
        page.get_by_role("tab", name="What if").click()
        page.locator("#what-if-result .dm-card").first.wait_for()
        page.locator("#what-if-text textarea").fill(MARKUP[::-1] + MARKUP)
        page.get_by_role("button", name="Compare").click()
        check(page, "What if")
        table = Path(folder) / "a<img src=x onerror=window.hit=1>.csv"
        table.write_bytes(tables(10)["formulas and markup"])
        page.goto(f"{address}?tab=batch")
        page.locator("#batch-table input[type=file]").set_input_files(str(table))
        page.locator("#batch-table .file-preview").wait_for()
        check(page, "a file's name")
        page.locator("#batch-start").click()
        page.locator("#batch-results tbody tr").first.wait_for()
        check(page, "Batch")
        page.goto(f"{address}?tab=teach&set=%22%3E%3Cimg%20src%3Dx%20onerror%3Dwindow.hit%3D1%3E")
        page.locator("#teach-round .dm-round").wait_for()
        check(page, "Teach")
    return views, ran


# --- the whole run --------------------------------------------------------------------------------

ROWS = 100_000
KEPT = ("answered", "refused")


def rows_of(point: str, found: Sequence[Found]) -> record.Row:
    """A row of the page: how many were answered and refused, and what was neither."""
    counts = Counter(one.outcome for one in found)
    timed = [one for one in found if f"{ROWS:,} rows" not in one.what]
    slowest = max(timed, key=lambda one: one.seconds)
    kept = set(counts) <= set(KEPT) and slowest.seconds < SECONDS
    return record.Row(
        point,
        f"each answered, or refused in one line, within {SECONDS} s",
        ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        + f"; slowest {slowest.seconds:.1f} s ({slowest.what}, {slowest.place})",
        kept,
    )


def clean(point: str, seen: tuple[int, list[str]], what: str) -> record.Row:
    count, wrong = seen
    told = f"; not in: {'; '.join(wrong[:5])}" if wrong else ""
    return record.Row(point, "none", f"{len(wrong)} of {count:,} {what}{told}", not wrong)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--no-browser", action="store_true", help="keep no record")
    options = parser.parse_args()
    start = time.monotonic()
    predictor = dermmm.load()

    def told(found: Iterator[Found]) -> list[Found]:
        kept = []
        for one in found:
            print(f"{one.place}: {one.what}: {one.outcome}, {one.seconds:.2f} s", flush=True)
            kept.append(one)
        return kept

    by_text = told(texts(predictor))
    by_command = told(tables_by_command(None, ROWS))
    rows = [
        rows_of("hostile texts, to the library and the command line", by_text),
        clean("a text becomes an element or attribute", planted(predictor), "places and texts"),
        clean("a formula, or a text that is lost, in CSV or JSON", exports(predictor), "cells"),
        rows_of("hostile tables, to the command line", by_command),
    ]
    with served(predictor) as address:
        by_page = told(by_api(address, TEXTS, tables(ROWS), zips()))
        rows.append(rows_of("hostile texts, tables and zips, to the page's API", by_page))
        if not options.no_browser:
            ran = in_chromium(address, predictor)
            rows.append(clean("a script in a text runs in Chromium", ran, "views"))
    for row in rows:
        print(row.point, "|", row.measured, "|", row.passed)
    found = [*by_text, *by_command, *by_page]
    table = record.Table(
        "What became of each",
        ("text, table or zip", "where", "outcome", "seconds"),
        tuple((one.what, one.place, one.outcome, f"{one.seconds:.2f}") for one in found),
    )
    if not options.no_browser:
        minutes = (time.monotonic() - start) / 60
        typed = "python -m benchmarks.texts_and_tables"
        record.save("texts_and_tables", typed, rows, [table], minutes)


if __name__ == "__main__":
    main()
