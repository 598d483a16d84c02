"""A teaching round in Chromium: by keyboard and by hand, its link, its memory and its table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo import content as shared
from demo.cases import library
from demo.content import teach as content
from tests.fakes import FakePredictor
from tests.screenshots import DESKTOP, PHONE, served

pytestmark = pytest.mark.browser

FAKE = FakePredictor()
DRAWN = library()["Drawings"]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(FAKE) as address:
        yield address


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    FAKE.calls.clear()
    page = browser.new_context(viewport=DESKTOP).new_page()
    page.set_default_timeout(15_000)
    open_set(page, address, "Drawings")
    yield page
    page.context.close()


def open_set(page: Any, address: str, title: str) -> None:
    page.goto(f"{address}?tab=teach&set={title}")
    page.locator("#teach-round [data-send=commit]").wait_for()


def send(page: Any, stage: str) -> Any:
    """The one button that goes on from a stage: commit, settle or advance."""
    return page.locator(f"#teach-round [data-send={stage}]")


def answer_by_keyboard(page: Any, *typed: str, level: int) -> None:
    page.locator(".dm-search").focus()
    for words in typed:
        page.keyboard.type(words)
        page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # on to the confidence
    page.keyboard.press(str(level))
    assert page.locator("[name=dm-confidence]:checked:focus").count() == 1  # one place, not two
    page.keyboard.press("Enter")
    send(page, "settle").wait_for()


def slots(page: Any) -> list[str]:
    names: list[str] = page.locator(".dm-slot").all_inner_texts()
    return [name.strip() for name in names]


def progress(page: Any) -> str:
    words: str = page.locator(".dm-stand b").inner_text()
    return words


def test_nothing_of_the_model_is_there_before_the_learner_commits(page: Any) -> None:
    case = DRAWN[0]
    source = page.content()
    assert FAKE.calls == []
    assert case.text in source
    for secret in (case.point, case.id, "shiny_bump", content.MODEL, content.SETTLE_TITLE):
        assert secret not in source
    assert send(page, "commit").is_disabled()
    assert page.locator("#teach-round [data-missing]").is_visible()
    # Every condition has its button; what else the tab holds does not name this one.
    for part in ("#teach-bar", "#teach-case", "#teach-model", "#teach-details"):
        for found in page.locator(part).all():
            assert case.condition not in found.inner_html()


def test_a_round_by_keyboard_alone(page: Any) -> None:
    answer_by_keyboard(page, "scab", "BCC", "12", level=5)
    assert slots(page) == ["scabies", "basal cell carcinoma", "eczema"]
    assert len(FAKE.calls) == 1
    assert page.locator("#teach-model .dm-condition").count() == 5
    assert page.locator("#teach-model .dm-gate").is_visible()
    assert page.locator("#teach-model .dm-heat").is_visible()
    assert content.TRUTH_DRAWN not in page.content()
    assert send(page, "settle").inner_text() == content.KEEP

    page.keyboard.press("Enter")
    send(page, "advance").wait_for()
    assert "Basal cell carcinoma" in page.locator("#teach-round h2").inner_text()
    assert DRAWN[0].point in page.locator("#teach-round").inner_text()
    page.locator("#teach-calibration .main-svg").first.wait_for()
    assert "0 of 1" in page.locator("#teach-score").inner_text()

    page.keyboard.press("n")
    send(page, "commit").wait_for()
    assert progress(page) == f"Case 2 of {len(DRAWN)}"
    page.locator("#teach-model").wait_for(state="hidden")
    assert page.locator(".dm-search").evaluate("field => field === document.activeElement")


def test_a_change_after_the_model_is_counted(page: Any) -> None:
    model = FAKE.predict(DRAWN[0].photo(), DRAWN[0].text).top(1)[0][0]
    answer_by_keyboard(page, "basal", level=4)
    page.locator(".dm-slot").first.click()  # empties it, and opens the choice
    assert send(page, "settle").is_disabled()
    page.locator(f'.dm-pill[data-name="{model}"]').click()
    assert send(page, "settle").inner_text() == content.CHANGED
    send(page, "settle").click()
    send(page, "advance").wait_for()
    assert page.locator("#teach-round .dm-was-right").count() == 1
    misled = page.locator("#teach-score tr", has_text=content.INFLUENCE_ROWS["misled"])
    assert misled.locator("td").all_inner_texts() == ["1", "1 of 1"]


def test_by_hand_with_at_most_three_choices(page: Any) -> None:
    for name in ("acne", "mpox", "keloid", "measles"):
        page.locator(f'.dm-pill[data-name="{name}"]').click()
    assert slots(page) == ["acne", "mpox", "keloid"]
    page.locator('.dm-pill[data-name="acne"]').click()
    assert slots(page) == ["mpox", "keloid", "–"]
    page.get_by_label("even odds").check()
    send(page, "commit").click()
    send(page, "settle").wait_for()
    word = page.locator("#teach-model button.dm-word").first
    word.click()
    assert word.get_attribute("aria-pressed") == "true"


def test_progress_survives_a_reload_and_can_be_forgotten(page: Any, address: str) -> None:
    answer_by_keyboard(page, "basal", level=3)
    page.reload()  # after the model was seen: the first answer stands
    send(page, "commit").wait_for()
    assert progress(page) == f"Case 2 of {len(DRAWN)}"
    assert "1 of 1" in page.locator("#teach-score").inner_text()
    page.goto(address)  # without the link, the last set
    page.get_by_role("tab", name=shared.TEACH).click()
    page.locator(".dm-stand", has_text=f"Case 2 of {len(DRAWN)}").wait_for()

    stored = page.evaluate("JSON.stringify(localStorage)")
    assert DRAWN[0].text not in stored and "data:image" not in stored
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name=content.RESET).click()
    page.locator(".dm-stand", has_text=f"Case 1 of {len(DRAWN)}").wait_for()
    page.locator("#teach-score").wait_for(state="hidden")


def test_to_the_end_of_a_set_and_its_table(page: Any) -> None:
    for number in range(1, len(DRAWN) + 1):
        page.locator(".dm-stand", has_text=f"Case {number} of {len(DRAWN)}").wait_for()
        answer_by_keyboard(page, "vitil", level=1)
        page.keyboard.press("Enter")
        send(page, "advance").wait_for()
        page.keyboard.press("N")
    page.get_by_text(content.DONE_TITLE).wait_for()
    assert progress(page) == f"All {len(DRAWN)} cases answered"
    with page.expect_download() as download:
        page.get_by_role("link", name=content.CSV).click()
    rows = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert len(rows) == len(DRAWN) + 1 and rows[1].startswith(
        "Drawings,drawing-1,basal cell carcinoma,vitiligo"
    )
    page.locator("#teach-set input").click()
    page.get_by_role("option", name="Written cases").click()
    page.locator(".dm-stand", has_text="Case 1 of 26").wait_for()


def test_the_link_opens_the_set(page: Any, browser: Any) -> None:
    page.locator(".dm-link summary").click()
    page.wait_for_function("document.querySelector('.dm-link input').value !== ''")
    link = page.locator(".dm-link input").input_value()
    assert link.endswith("/?tab=teach&set=Drawings")
    other = browser.new_context(viewport=DESKTOP).new_page()
    other.goto(link.replace("Drawings", "Written%20cases"))
    other.locator(".dm-stand", has_text="of 26").wait_for()
    other.context.close()


def test_an_unknown_tab_or_set_opens_the_usual(browser: Any, address: str) -> None:
    page = browser.new_context(viewport=DESKTOP).new_page()
    page.goto(f"{address}?tab=nowhere&set=nothing")
    page.get_by_role("button", name="Analyse").wait_for()
    page.get_by_role("tab", name=shared.TEACH).click()
    page.locator(".dm-stand", has_text=f"Case 1 of {len(DRAWN)}").wait_for()
    page.context.close()


def test_a_phone_shows_the_next_case_and_fits(browser: Any, address: str) -> None:
    page = browser.new_context(
        viewport=PHONE, has_touch=True, is_mobile=True, reduced_motion="reduce"
    ).new_page()
    open_set(page, address, "Drawings")
    page.locator('.dm-pill[data-name="acne"]').tap()
    page.get_by_label("unsure").tap()
    send(page, "commit").tap()
    send(page, "settle").tap()
    send(page, "advance").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    send(page, "advance").tap()
    send(page, "commit").wait_for()
    page.wait_for_function(
        "Math.abs(document.getElementById('teach-case').getBoundingClientRect().top) < innerHeight"
    )
    assert not page.locator(".dm-search").evaluate("field => field === document.activeElement")
    page.context.close()
