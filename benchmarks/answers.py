"""No mix-ups: what many visitors get at the same time, against the answer to each alone.

    python -m benchmarks.answers                 2,000 cases, 20 visitors

Each case has another photo, another text, or both. The library answers all of them first, one
after the other; then the real page, asked by all visitors at once. The same is done with effects,
and in two windows of a browser at once. Takes five minutes; writes
`benchmarks/results/answers.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from tqdm import tqdm

import dermmm
from benchmarks.record import Row, save
from benchmarks.visitor import Busy, Visitor, drawing, endpoints, serving
from demo.panels import Predictor

CASES, VISITORS, EXPLAINED, ROUNDS = 2000, 20, 60, 12
BOUND = 1e-5
# Whether the page shows an answer to a text.
SHOWN = "text => document.querySelector('#look').textContent.replace(/\\s+/g, ' ').includes(text)"

Case = tuple[bytes | None, str | None]
Answer = Mapping[str, Any]


def case(number: int) -> Case:
    """A photo, a text or both, in turn; of no two numbers the same."""
    places = ("arm", "back", "left foot", "neck", "scalp")
    text = f"{number} mm wide, itchy, on the {places[number % 5]}, for {number % 97} days."
    photo = None if number % 3 == 0 else drawing(number, (160, 120))
    return photo, None if number % 3 == 1 else text


def alone(predictor: Predictor, one: Case, effects: bool = False) -> Answer:
    """What the library answers, as the API would: as JSON."""
    prediction = predictor.predict(*one)
    found = predictor.effects(*one) if effects else None
    answer: Answer = json.loads(json.dumps(prediction.to_dict(found)))
    return answer


def together(
    address: str, cases: Iterable[Case], visitors: int, endpoint: str = "predict"
) -> list[Answer]:
    """What the page answers to each of the cases, asked by many visitors at once."""
    known = endpoints(address)

    def ask(one: Case) -> Answer:
        with Visitor(address, known) as visitor:
            while True:
                try:
                    return visitor.ask(endpoint, *one)
                except Busy:
                    time.sleep(0.5)

    with ThreadPoolExecutor(visitors) as pool:
        return list(tqdm(pool.map(ask, cases), desc=f"{endpoint}, together"))


def difference(one: Any, other: Any) -> float:
    """The largest difference of two numbers at the same place; infinite where all else differs."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return max((difference(one[key], other[key]) for key in one), default=0.0)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return max((difference(a, b) for a, b in zip(one, other, strict=True)), default=0.0)
    if type(one) is type(other) is float:
        return abs(one - other)
    return 0.0 if one == other else float("inf")


def ranked(answer: Answer) -> Answer:
    """The answer with its conditions by name: near-equal probabilities may change places."""
    by_name = {entry["name"]: entry["probability"] for entry in answer["conditions"]}
    return {**answer, "conditions": by_name}


def differences(expected: Iterable[Answer], got: Iterable[Answer]) -> list[float]:
    """`difference` of each answer to its own serial answer."""
    return [difference(ranked(a), ranked(b)) for a, b in zip(expected, got, strict=True)]


def windows(
    browser: Any, address: str, rounds: int, expected: Callable[[str], Answer]
) -> list[float]:
    """Let two windows of a browser, each a session of its own, answer texts at the same time.

    Args:
        browser: of Playwright.
        expected: the serial answer to a text.

    Returns:
        `difference` of what each window saves to what is expected of its own text.
    """
    pages = [browser.new_context().new_page() for _ in range(2)]
    found = []
    for page in pages:
        page.set_default_timeout(60_000)
        page.goto(address)
    for number in range(rounds):
        texts = [f"A spot of {10 * number + place} mm that itches." for place in (1, 2)]
        for page, text in zip(pages, texts, strict=True):
            page.locator("#description textarea").fill(text)
        for page in pages:
            page.locator("#analyse").click()
        for page, text in zip(pages, texts, strict=True):
            page.wait_for_function(SHOWN, arg=text)
            with page.expect_download() as download:
                page.locator("#keep-json").click()
            saved = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
            saved.pop("effects", None)
            found.append(difference(ranked(expected(text)), ranked(saved)))
    for page in pages:
        page.context.close()
    return found


def row(point: str, found: list[float], what: str) -> Row:
    """Whether concurrent answers are the serial ones."""
    equal = sum(value == 0 for value in found)
    mixed = sum(value > BOUND for value in found)
    return Row(
        point,
        f"all within {BOUND:g} of the serial answer to the same input",
        f"{len(found)} {what}: {equal} equal bit for bit, {mixed} off; "
        f"the largest difference is {max(found):.1g}",
        mixed == 0,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=CASES, help="how many different cases")
    count = parser.parse_args().cases
    start = time.perf_counter()
    predictor = dermmm.load(onnx=True)  # as app.py does
    cases = [case(number) for number in range(count)]
    expected = [alone(predictor, one) for one in tqdm(cases, desc="predict, one by one")]
    explained = [alone(predictor, one, True) for one in tqdm(cases[:EXPLAINED], desc="explain")]
    browsers = shutil.which("chromium") or os.environ.get("CHROMIUM")
    with serving() as program:
        address = program.address
        found = differences(expected, together(address, cases, VISITORS))
        reasons = differences(explained, together(address, cases[:EXPLAINED], VISITORS, "explain"))
        seen = []
        if browsers:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=browsers, args=["--no-sandbox"]
                )
                seen = windows(
                    browser, address, ROUNDS, lambda text: alone(predictor, (None, text))
                )
                browser.close()
    rows = [
        row(f"{VISITORS} visitors at once get their own answers", found, "cases"),
        row("and their own maps, words and effects", reasons, "cases with effects"),
    ]
    if seen:
        rows.append(row("two windows at once save their own answers", seen, "saved answers"))
    else:
        point = "two windows at once save their own answers"
        rows.append(Row(point, "", "not measured: no Chromium", None))
    save("answers", "python -m benchmarks.answers", rows, [], (time.perf_counter() - start) / 60)


if __name__ == "__main__":
    main()
