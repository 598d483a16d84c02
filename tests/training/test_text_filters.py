"""Each filter by a table of texts, and the counts of what is dropped."""

from __future__ import annotations

import random

import pytest

from dermmm.conditions import NAMES
from dermmm.describe import Facts, describe
from tests.training.chat_server import made_text
from training.text_filters import (
    JUDGE_PASSES,
    MAX_WORDS,
    MIN_JUDGED_GROUPS,
    MIN_KNOWN,
    MIN_WORDS,
    Candidate,
    Case,
    Judge,
    NgramIndex,
    Validator,
    known_share,
    medical_terms,
    train_judge,
)

GOOD = "An itchy red rash on my left arm for two weeks; it burns at night."


def reason(text: str, condition: str = "eczema", seeds: tuple[str, ...] = ()) -> str:
    return Validator({condition: seeds}, None).reason(Candidate(condition, text)).split(":")[0]


@pytest.mark.parametrize(
    ("text", "dropped_by"),
    [
        (GOOD, ""),
        ("62M, scaly plaque, scalp, 3 months, itch +, pain -", ""),
        ("Lack of vitamin B12, a sore tongue and pale skin for some months.", ""),
        ("An itchy red rash.", "length"),
        (" ".join(["itchy red skin"] * 41), "length"),
        ("The quick brown fox jumps over the lazy dog and runs into the forest.", "medical"),
        ("A cup of sugar, two eggs and dark chocolate; bake it for one hour.", "medical"),
        (GOOD + " Psoriasis?", "unnamed"),
        (GOOD + " Others in the house have hives.", "unnamed"),
        (GOOD + " Coded as L20.9.", "unnamed"),
        (GOOD + " Coded as B86.", "unnamed"),
        (GOOD + " Coded as EA80.0.", "unnamed"),
        (GOOD + " It is [condition].", "prose"),
        ('["' + GOOD, "prose"),
        ('{ "text": "' + GOOD, "prose"),
        (GOOD + " [the left one] {sic}", ""),
    ],
)
def test_texts_and_the_filter_that_drops_them(text: str, dropped_by: str) -> None:
    assert reason(text) == dropped_by


@pytest.mark.parametrize("condition", NAMES)
def test_no_condition_may_be_named_by_its_own_text_or_another(condition: str) -> None:
    text = f"{GOOD} The doctor said {condition}."
    assert reason(text, condition) == reason(text, "keloid") == "unnamed"


def test_no_term_names_a_condition() -> None:
    named = {term for term in medical_terms() if reason(f"{GOOD} It is {term}.") == "unnamed"}
    assert not named


def test_lengths_at_the_limits() -> None:
    word = [f"itchy{chr(97 + i % 26)}" for i in range(MAX_WORDS + 1)]
    assert reason(" ".join(word[: MIN_WORDS - 1])) == "length"
    assert reason(" ".join(word[:MIN_WORDS])) != "length"
    assert reason(" ".join(word[:MAX_WORDS])) != "length"
    assert reason(" ".join(word)) == "length"


def test_function_words_and_numbers_do_not_count_as_known_or_unknown() -> None:
    assert known_share("It isn't itchy, and 25 of the spots aren't on my back!") == 1.0
    assert known_share("itchy submarine") == 0.5
    assert known_share("It is 25.") == 0.0


def test_rendered_facts_are_medical_text() -> None:
    rng = random.Random(0)
    shares = [
        known_share(
            describe(
                Facts(
                    age=rng.randint(1, 90),
                    sites=("arm",),
                    duration="1-4 weeks",
                    findings={"itch": True, "pain": False, "growth": True},
                ),
                seed,
            )
        )
        for seed in range(200)
    ]
    assert min(shares) >= MIN_KNOWN


def test_near_copies_of_a_seed_are_dropped_and_new_words_are_not() -> None:
    assert reason(GOOD, seeds=(GOOD,)) == "not_a_seed"
    assert reason(GOOD.replace("two weeks", "three weeks"), seeds=("Else.", GOOD)) == "not_a_seed"
    # a seed inside a longer text is no near-copy of the whole
    rest = " The doctor gave me a cream against swelling, but the blisters came back in autumn."
    assert reason(GOOD + rest, seeds=(GOOD,)) == ""
    other = "For two weeks my left arm has had red spots that itch, worst in the evening."
    assert reason(other, seeds=(GOOD,)) == ""


def test_seeds_of_another_condition_are_no_seeds() -> None:
    validator = Validator({"acne": [GOOD]}, None)
    assert validator.reason(Candidate("eczema", GOOD)) == ""


def test_a_text_is_accepted_once_a_condition() -> None:
    validator = Validator({}, None)
    assert validator.reason(Candidate("eczema", GOOD)) == ""
    near = GOOD.replace("night", "noon")
    assert validator.reason(Candidate("eczema", near)).startswith("not_a_repeat: ")
    assert validator.reason(Candidate("acne", near)) == ""
    assert validator.dropped == {"eczema": {"not_a_repeat": 1}}


def test_a_dropped_text_is_forgotten() -> None:
    validator = Validator({}, None)
    assert validator.reason(Candidate("eczema", GOOD + " L20.9"))
    assert validator.reason(Candidate("eczema", GOOD)) == ""


def test_the_first_reason_is_counted_by_condition() -> None:
    validator = Validator({"eczema": [GOOD]}, None)
    for text in (GOOD, "Fox jumps.", "Acne.", made_text(1), made_text(2)):
        validator.reason(Candidate("eczema", text))
    validator.reason(Candidate("acne", "Fox jumps."))
    assert validator.dropped == {"eczema": {"not_a_seed": 1, "length": 2}, "acne": {"length": 1}}
    assert validator.not_judged == 2


def literal(text: str) -> set[str]:
    words = text.lower().replace(".", "").replace(",", "").split()
    return {" ".join(words[i : i + 3]) for i in range(len(words) - 2)}


def test_index_against_comparing_every_pair() -> None:
    texts = [made_text(seed) for seed in range(60)]
    index = NgramIndex(texts[:50])
    for text in texts[50:]:
        mine = literal(text)
        shared = [(len(mine & literal(other)), literal(other)) for other in texts[:50]]
        assert index.containment(text) == pytest.approx(max(n for n, _ in shared) / len(mine))
        assert index.similarity(text) == pytest.approx(
            max(n / len(mine | other) for n, other in shared)
        )
    assert NgramIndex().containment("itchy") == NgramIndex().similarity("itchy") == 0.0


TELLING = {"eczema": "itchy", "acne": "greasy", "keloid": "firm"}


def told(condition: str, count: int, first: int = 0) -> list[str]:
    return [f"My {TELLING[condition]} skin. {made_text(first + i)}" for i in range(count)]


def cases(texts: list[str], group: str = "") -> list[Case]:
    """A case a text; each is a group of its own where none is given."""
    return [Case(group or text, (text,)) for text in texts]


@pytest.fixture(scope="module")
def judge() -> Judge:
    train = {name: cases(told(name, 40)) for name in TELLING}
    train["scabies"] = cases(told("acne", MIN_JUDGED_GROUPS - 1, first=700))
    found = train_judge(train)
    assert found is not None
    return found


def test_judge_knows_conditions_with_enough_real_text(judge: Judge) -> None:
    assert judge.conditions == ("acne", "eczema", "keloid")
    assert judge.allowed_rank == 1
    assert judge.ranks(told("acne", 3, first=900), ["acne"] * 3).tolist() == [1, 1, 1]
    assert judge.ranks(told("acne", 1, first=900), ["keloid"])[0] > 1


def test_the_rank_lets_enough_held_out_texts_pass() -> None:
    # one text in ten has the words of the other condition: first ranks are too few
    train = {
        "acne": cases(told("acne", 36) + told("eczema", 4, first=600)),
        "eczema": cases(told("eczema", 40)),
    }
    found = train_judge(train)
    assert found is not None and found.allowed_rank == 2
    assert JUDGE_PASSES >= 76 / 80  # a rank of 1 would let no more than these pass


def own_words(patient: str) -> str:
    return " ".join(f"{patient}word{i}" for i in range(12))


@pytest.mark.parametrize(("together", "rank"), [(True, 2), (False, 1)])
def test_a_group_does_not_answer_for_itself(together: bool, rank: int) -> None:
    # Two odd patients have the finding of the other condition, and words of their own in six
    # texts. Held out together only the finding is known, and it tells the wrong condition.
    def train(name: str, other: str) -> list[Case]:
        odd = [
            Case(
                f"{name} {patient} {'' if together else number}",
                (f"My {TELLING[other]} skin. {own_words(f'{name}{patient}')}",),
            )
            for patient in range(2)
            for number in range(6)
        ]
        return [Case(str(i), (f"My {TELLING[name]} skin.",)) for i in range(60)] + odd

    found = train_judge({"acne": train("acne", "eczema"), "eczema": train("eczema", "acne")})
    assert found is not None and found.allowed_rank == rank


def test_no_judge_without_two_conditions_of_enough_groups() -> None:
    enough = {name: cases(told(name, 40)) for name in TELLING}
    assert train_judge({"acne": enough["acne"]}) is None
    one_patient = cases(told("eczema", 40), group="a patient")
    assert train_judge({"acne": enough["acne"], "eczema": one_patient}) is None
    # who has it where is no finding
    bare = cases([f"A man of {age} with a skin problem on the back." for age in range(20, 60)])
    assert train_judge({"acne": enough["acne"], "eczema": bare}) is None


def test_labels_that_the_judge_ranks_too_low_are_dropped(judge: Judge) -> None:
    validator = Validator({}, judge)
    text = told("acne", 1, first=900)[0]
    assert validator.reason(Candidate("keloid", text)).startswith("label: label only at rank")
    assert validator.reason(Candidate("acne", text)) == ""
    assert validator.not_judged == 0
    assert validator.reason(Candidate("scabies", text)) == ""  # no real text: nobody can judge
    assert validator.not_judged == 1
