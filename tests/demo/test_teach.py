"""Rounds and their scores by small made sessions, and what the tab Teach shows and hides."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest

from demo.cases import Case, library
from demo.content import examine as words
from demo.content import teach as content
from demo.render import teach as render
from demo.rounds import (
    CONFIDENCES,
    CSV_COLUMNS,
    Influence,
    Point,
    Progress,
    Round,
    Score,
    Sway,
    checked,
    confusions,
    influence,
    learner_calibration,
    model_calibration,
    read_progress,
    score,
    to_csv,
)
from dermmm.conditions import CONDITIONS, NAMES
from tests.fakes import FakePredictor

SETS = library()
WRITTEN = SETS["Written cases"]
DRAWN = SETS["Drawings"]


def round_of(
    case: Case = WRITTEN[0],
    first: str = "acne",
    model: str = "acne",
    final: str | None = None,
    confidence: int = 70,
    probability: float = 0.5,
) -> Round:
    """A round; answers are names joined by a bar, "truth" stands for the case's condition."""

    def names(answer: str) -> tuple[str, ...]:
        return tuple(answer.replace("truth", case.condition).split("|"))

    return Round(
        case, names(first), confidence, names(first if final is None else final), names(model),
        probability, abstained=False,
    )  # fmt: skip


# rounds ------------------------------------------------------------------------------------------


def test_a_record_comes_back_from_the_browser_as_it_was() -> None:
    progress = Progress().with_round(round_of(DRAWN[0], "truth|acne", "eczema", "eczema"))
    progress = progress.with_round(round_of(WRITTEN[3]))
    stored = json.loads(json.dumps(progress.to_json()))
    assert read_progress(stored, SETS) == progress
    assert progress.of("Drawings") == progress.rounds[:1]
    assert progress.set == "Written cases"


def test_a_record_holds_no_text_and_no_photo() -> None:
    stored = json.dumps(Progress().with_round(round_of(DRAWN[0])).to_json())
    assert str(DRAWN[0].text) not in stored
    assert "jpg" not in stored


@pytest.mark.parametrize(
    "change",
    [
        {"set": "Gone"},
        {"case": "gone"},
        {"case": ["written-01"]},
        {"first": []},
        {"first": "acne"},
        {"first": ["acne", "acne"]},
        {"first": ["acne", "eczema", "vitiligo", "psoriasis"]},
        {"final": ["<script>"]},
        {"model": None},
        {"confidence": 55},
        {"probability": 2},
        {"probability": float("nan")},
        {"probability": "a lot"},
        {"abstained": None, "set": None},
    ],
)
def test_a_round_that_makes_no_sense_is_left_out(change: dict[str, Any]) -> None:
    stored = Progress().with_round(round_of()).with_round(round_of(WRITTEN[1])).to_json()
    stored["rounds"][0] |= change
    assert [one.case for one in read_progress(stored, SETS).rounds] == [WRITTEN[1]]


@pytest.mark.parametrize("stored", [None, "", [], {}, {"rounds": 3}, {"rounds": [3, None, []]}])
def test_a_record_of_another_kind_is_none(stored: Any) -> None:
    assert read_progress(stored, SETS) == Progress()


def test_a_case_counts_once() -> None:
    progress = Progress().with_round(round_of(first="acne")).with_round(round_of(first="mpox"))
    assert [one.first for one in progress.rounds] == [("mpox",)]
    entry = progress.to_json()["rounds"][0]
    assert len(read_progress({"rounds": [entry] * 1000}, SETS).rounds) == 1


def test_forgetting_a_set_keeps_the_others() -> None:
    progress = Progress().with_round(round_of(DRAWN[0])).with_round(round_of())
    assert progress.without("Drawings").rounds == progress.rounds[1:]


@pytest.mark.parametrize("answer", [None, [], ["gout"], ["acne"] * 2, {"acne": 1}, [["acne"]]])
def test_an_answer_that_is_none_is_refused(answer: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        checked(answer)


def test_scores_count_first_choices_and_the_three() -> None:
    rounds = [
        round_of(first="truth", final="acne", model="acne|truth"),
        round_of(WRITTEN[1], first="acne|mpox|truth", final="truth", model="acne"),
    ]
    assert score(rounds, "first") == Score(2, 1, 2)
    assert score(rounds, "final") == Score(2, 1, 1)
    assert score(rounds, "model") == Score(2, 0, 1)
    assert score([], "model") == Score(0, 0, 0)


def test_influence_tells_help_from_automation_bias() -> None:
    rounds = [
        round_of(first="acne", model="acne"),  # agreed
        round_of(first="acne", model="truth", final="truth"),  # helped
        round_of(first="acne", model="truth"),  # could have been helped
        round_of(first="truth", model="acne", final="acne"),  # misled
        round_of(first="truth", model="acne", final="mpox|acne"),  # changed, but not to the model's
        round_of(first="truth", model="acne"),
        round_of(first="mpox", model="acne", final="acne"),
    ]
    assert influence(rounds) == Influence(
        helped=Sway(2, 1), misled=Sway(3, 1), neither=Sway(1, 1), agreed=1
    )


def test_calibration_of_learner_and_model() -> None:
    rounds = [
        round_of(first="truth", confidence=90, model="truth", probability=1.0),
        round_of(first="acne", confidence=90, model="acne", probability=0.85),
        round_of(first="acne", confidence=10, model="acne", probability=0.15),
    ]
    assert learner_calibration(rounds) == [Point(0.1, 0.0, 1), Point(0.9, 0.5, 2)]
    low, high = model_calibration(rounds)
    assert (low.n, low.confidence, low.right) == (1, 0.15, 0.0)
    assert (high.n, high.confidence, high.right) == (2, pytest.approx(0.925), 0.5)


def test_confusions_are_counted_most_frequent_first() -> None:
    psoriasis = WRITTEN[0]
    assert psoriasis.condition == "psoriasis"
    rounds = [round_of(first="mpox"), round_of(first="truth"), *[round_of(first="eczema")] * 2]
    assert confusions(rounds, "first") == [
        ("psoriasis", "eczema", 2), ("psoriasis", "mpox", 1),
    ]  # fmt: skip


def test_the_session_as_csv() -> None:
    one = replace(round_of(first="truth|acne", model="mpox|acne|eczema"), abstained=True)
    header, row = csv.reader(io.StringIO(to_csv([one])))
    assert tuple(header) == CSV_COLUMNS
    assert row == [
        "Written cases", "written-01", "psoriasis", "psoriasis", "acne", "", "70", "psoriasis",
        "acne", "", "mpox", "acne", "eczema", "0.5000", "yes",
    ]  # fmt: skip


# what is shown -----------------------------------------------------------------------------------


def test_before_the_answer_nothing_tells_the_truth() -> None:
    """The buttons name every condition; beside them the truth and its file stay unsaid."""
    plain = {case.id: render.case(case) + render.bar(case.set, 1, 0, 4) for case in DRAWN + WRITTEN}
    for case in DRAWN + WRITTEN:
        shown = plain[case.id]
        for secret in (case.condition, case.point, case.id, case.image and case.image.name):
            assert not secret or secret not in shown
    # The form is the same for every case but for its number.
    assert render.commit(1) == render.commit(2).replace('data-round="2"', 'data-round="1"')


def test_the_form_offers_every_condition_once_and_every_confidence() -> None:
    form = render.commit(1)
    assert re.findall(r'data-name="([^"]+)"', form) == list(NAMES)
    assert re.findall(r'data-number="(\d+)"', form) == [str(n) for n in range(1, len(NAMES) + 1)]
    assert re.findall(r'type="radio"[^>]+value="(\d+)"', form) == [str(c) for c in CONFIDENCES]
    assert set(content.CONFIDENCE_WORDS) == set(CONFIDENCES)
    assert {condition.group for condition in CONDITIONS} == set(content.GROUPS)


def test_a_problem_gives_the_answer_back() -> None:
    form = render.commit(3, ["acne", "mpox"], 90, "The photo is <gone>.")
    assert 'data-chosen="[&quot;acne&quot;, &quot;mpox&quot;]"' in form
    assert re.findall(r'value="(\d+)" checked', form) == ["90"]
    assert "The photo is &lt;gone&gt;." in form


def test_a_teachers_words_are_escaped() -> None:
    evil = "<img src=x onerror=hit()>\"'"
    case = Case("x", "A & B's", None, evil, "acne", evil, evil, evil)
    with_photo = replace(case, image=DRAWN[0].image)
    one = round_of(case, "truth")
    html = render.case(case) + render.case(with_photo) + render.bar(case.set, 1, 0, 2)
    html += render.truth(1, one, False) + render.details([one]) + render.settle(1, one)
    assert "<img src=x" not in html
    assert html.count("&lt;img src=x") >= 4
    assert 'data-set="A%20%26%20B%27s"' in html


def test_a_photo_has_its_credit_and_a_drawing_is_called_one() -> None:
    photo = replace(DRAWN[0], made_up=False, credit="Atlas of Skin", licence="CC BY 4.0")
    assert "Credit: Atlas of Skin. Licence: CC BY 4.0." in render.case(photo)
    assert content.MADE_UP not in render.case(photo)
    assert content.MADE_UP in render.case(DRAWN[0])
    assert content.DRAWING_ALT in render.case(DRAWN[0])
    drawn = render.truth(1, round_of(DRAWN[0]), False)
    assert f"<h2>{content.TRUTH_DRAWN}: <strong>Basal cell carcinoma</strong>" in drawn
    assert f"<h2>{content.TRUTH}: " in render.truth(1, round_of(), False)


def test_the_model_comes_without_the_truth_and_the_truth_with_who_was_right() -> None:
    one = round_of(first="eczema", model="mpox|acne|eczema", final="acne|truth")
    assert "psoriasis" not in re.sub(r'<details class="dm-rethink">.*', "", render.settle(1, one))
    abstained = render.settle(1, replace(one, abstained=True))
    assert content.MODEL_ABSTAINS in abstained and content.MODEL_SAYS not in abstained
    shown = render.truth(1, one, False)
    marks = re.findall(r'class="dm-was-(\w+)"', shown)
    assert marks == ["wrong", "among", "wrong"]
    assert one.case.point.split(",")[0] in shown
    assert content.NEXT in shown and content.LAST in render.truth(1, one, True)


def test_the_models_answer_has_differential_gate_map_and_notice() -> None:
    prediction = FakePredictor().predict(DRAWN[0].photo(), DRAWN[0].text)
    shown = render.model(prediction, {})
    assert shown.count('class="dm-condition"') == 5
    assert "dm-gate" in shown and "dm-heat" in shown and "education and research" in shown
    assert content.MODEL_ABSTAINS not in shown
    assert words.NOT_VALIDATED in shown  # nothing was measured
    unsure = render.model(replace(prediction, cautions=("blur",)), {})
    assert content.MODEL_ABSTAINS in unsure and "The photo is blurred." in unsure
    torn = render.model(replace(prediction, cautions=("modalities disagree",)), {})
    assert torn.count('class="dm-condition"') == 5 + 3 + 3  # each input by itself as well


def test_score_tables_say_counts() -> None:
    rounds = [round_of(first="truth", model="acne", final="acne")]
    shown = render.tables(rounds)
    assert re.findall(r"<td>(\d of \d)</td>", shown)[:2] == ["1 of 1", "1 of 1"]
    assert "you were right</th><td>1</td><td>1 of 1</td>" in shown
    assert "%" not in shown  # a share of one case says nothing
    assert "<small>50%</small>" in render.tables([*rounds * 5, *[round_of()] * 5])


def test_the_calibration_plot_follows_the_theme_and_is_told_in_words() -> None:
    rounds = [round_of(first="truth", confidence=90), round_of(confidence=30)]
    figure = render.calibration(rounds)
    ideal, learner, model = figure.data
    assert list(learner.x) == [0.3, 0.9] and list(learner.y) == [0, 1]
    assert list(learner.text) == ["1", "1"] and list(model.text) == ["2"]
    assert learner.marker.symbol != model.marker.symbol  # not by colour alone
    assert ideal.line.dash
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert "said 90%, right 100%, n = 1" in render.calibration_note(rounds)


def test_details_mark_where_the_model_was_wrong_and_carry_the_csv() -> None:
    rounds = [round_of(first="truth", model="truth"), round_of(WRITTEN[1], model="mpox")]
    shown = render.details(rounds)
    assert shown.count("dm-model-wrong") == 1
    assert "Scabies taken for mpox" in shown
    address = re.search(r'href="data:text/csv;charset=utf-8,([^"]+)"', shown)
    assert address is not None and unquote(address[1]) == to_csv(rounds)
