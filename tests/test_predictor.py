"""From a photo and/or a text to a prediction: probabilities, explanation, errors, threads."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import dermmm
from dermmm.calibration import ANSWERS, SetRule, nonconformity
from dermmm.conditions import NAMES
from dermmm.image_encoder import grid_side
from dermmm.prediction import Prediction
from dermmm.predictor import MAX_CHARACTERS, Predictor
from dermmm.preprocess import open_photo, to_input

TEXT = "Itchy, scaly patches (3 cm) on both elbows!"
SIDE = 2
GIVEN = ("photo", "text", "both")


@pytest.fixture(scope="module")
def answers(predictor: Predictor, photo: Image.Image) -> dict[str, Prediction]:
    return {
        "photo": predictor.predict(photo),
        "text": predictor.predict(text=TEXT),
        "both": predictor.predict(photo, TEXT),
    }


def never_learned(predictor: Predictor, modality: str) -> set[str]:
    covered = getattr(predictor.checkpoint.model.fusion, f"{modality}_head").covered
    return {name for name, taught in zip(NAMES, covered.tolist(), strict=True) if not taught}


@pytest.mark.parametrize("given", GIVEN)
def test_probabilities_sum_to_1_and_nan_marks_what_was_never_learned(
    predictor: Predictor, answers: dict[str, Prediction], given: str
) -> None:
    prediction = answers[given]
    assert prediction.conditions == NAMES
    assert set(prediction.by_modality) == {"image", "text", "fused"}
    for modality, values in prediction.by_modality.items():
        if (modality, given) in {("image", "text"), ("text", "photo")}:
            assert values is None
            continue
        assert values is not None and values.shape == (len(NAMES),)
        assert np.nansum(values) == pytest.approx(1)
        assert np.nanmin(values) >= 0
        missing = {name for name, value in zip(NAMES, values, strict=True) if np.isnan(value)}
        expected = set() if modality == "fused" else never_learned(predictor, modality)
        assert missing == expected
        assert modality == "fused" or missing, "the tiny model leaves some out"


def test_probabilities_are_the_calibrated_logits(
    predictor: Predictor, answers: dict[str, Prediction], photo: Image.Image
) -> None:
    checkpoint = predictor.checkpoint
    pixels = to_input(open_photo(photo), checkpoint.model.config.image_size)
    with torch.inference_mode():
        output = checkpoint.model(pixels, *checkpoint.tokenizer([TEXT]))
    for answer in ("image", "text", "fused"):
        logits = getattr(output, f"{answer}_logits")[0].double()
        expected = (logits / checkpoint.temperatures[answer]).softmax(dim=0).numpy()
        values = answers["both"].by_modality[answer]
        assert values is not None
        assert np.nan_to_num(values) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("given", "modality"), [("photo", "image"), ("text", "text")])
def test_one_modality_alone_is_answered_by_its_own_head(
    answers: dict[str, Prediction], given: str, modality: str
) -> None:
    own = answers[given].by_modality[modality]
    assert own is not None
    assert (answers[given].probabilities == np.nan_to_num(own)).all()


def test_the_map_of_a_lone_photo_is_its_share_of_the_answer(
    predictor: Predictor, answers: dict[str, Prediction], photo: Image.Image
) -> None:
    model = predictor.checkpoint.model
    pixels = to_input(open_photo(photo), model.config.image_size)
    top = int(answers["photo"].probabilities.argmax())
    with torch.inference_mode():
        output = model(pixels)
        evidence = model.fusion.image_head.evidence(output.image_logits)
    # the patches' parts average to what the head says about the whole photo
    torch.testing.assert_close(output.patch_evidence.mean(dim=1), evidence)
    parts = output.patch_evidence[0, :, top].clamp(min=0).numpy()
    explanation = answers["photo"].explanation
    assert explanation is not None and explanation.attention is not None
    assert explanation.attention.ravel() == pytest.approx(parts / parts.sum(), abs=1e-6)


def test_gate(answers: dict[str, Prediction]) -> None:
    assert (answers["photo"].gate.image, answers["photo"].gate.text) == (1.0, 0.0)
    assert (answers["text"].gate.image, answers["text"].gate.text) == (0.0, 1.0)
    both = answers["both"].gate
    assert 0 < both.image < 1
    assert both.image + both.text == 1.0


def test_each_modality_answers_the_same_with_and_without_the_other(
    answers: dict[str, Prediction],
) -> None:
    for modality, alone in (("image", "photo"), ("text", "text")):
        together, single = (answers[given].by_modality[modality] for given in ("both", alone))
        assert together == pytest.approx(single, nan_ok=True)
    fused = [answers[given].probabilities for given in GIVEN]
    assert not np.allclose(fused[0], fused[2]) and not np.allclose(fused[1], fused[2])


def test_other_input_gives_another_answer(
    predictor: Predictor, photo: Image.Image, answers: dict[str, Prediction]
) -> None:
    blank = predictor.predict(Image.new("RGB", photo.size, "white"))
    assert not np.allclose(blank.probabilities, answers["photo"].probabilities, atol=1e-3)
    other = predictor.predict(text="a brown mole")
    assert not np.allclose(other.probabilities, answers["text"].probabilities, atol=1e-3)


def test_explanation_of_the_photo(answers: dict[str, Prediction], photo: Image.Image) -> None:
    for given in ("photo", "both"):
        explanation = answers[given].explanation
        assert explanation is not None and explanation.photo is not None
        assert explanation.photo.dtype == np.uint8
        assert np.array_equal(explanation.photo, np.asarray(photo))
        assert explanation.attention is not None
        assert explanation.attention.shape == (SIDE, SIDE)
        assert explanation.attention.sum() == pytest.approx(1)
    assert answers["photo"].explanation.words == ()  # type: ignore[union-attr]
    nothing = answers["text"].explanation
    assert nothing is not None and nothing.photo is None and nothing.attention is None


def test_explanation_of_the_words(answers: dict[str, Prediction]) -> None:
    for given in ("text", "both"):
        explanation = answers[given].explanation
        assert explanation is not None and explanation.description == TEXT
        words = explanation.words
        assert [word.text for word in words] == [
            "Itchy",
            "scaly",
            "patches",
            "3",
            "cm",
            "on",
            "both",
            "elbows",
        ]
        assert all(word.text == TEXT[word.start : word.end] for word in words)
        assert sum(word.weight for word in words) == pytest.approx(1)
        for word in words:
            if given == "both":
                assert word.attention is not None and word.attention.shape == (SIDE, SIDE)
                assert word.attention.sum() == pytest.approx(1)
            else:
                assert word.attention is None


def test_no_explanation_on_request(predictor: Predictor) -> None:
    assert predictor.predict(text=TEXT, explain=False).explanation is None


def test_nothing_but_numpy_and_plain_types_leaves(answers: dict[str, Prediction]) -> None:
    for prediction in answers.values():
        json.dumps(prediction.to_dict(), allow_nan=False)
        assert type(prediction.gate.image) is type(prediction.gate.text) is float
        for values in prediction.by_modality.values():
            assert values is None or values.dtype == np.float64


def test_model_is_named(predictor: Predictor, checkpoint_folder: Path) -> None:
    config = json.loads((checkpoint_folder / "config.json").read_text())
    model = predictor.predict(text="rash").model
    assert (model.version, model.sha256) == (config["version"], config["sha256"])


@pytest.mark.parametrize(
    "text",
    [
        *("a", "7", "zero\x00byte", "皮肤红疹", "e\u0301ruption", "ITCHY\t\r\n rash \u200b"),
        *("😖 itchy", "[PAD] [MASK]", "x" * 500, "word " * 400, "a " * (MAX_CHARACTERS // 2)),
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_any_text_with_a_word_is_answered(
    predictor: Predictor, photo: Image.Image, text: str
) -> None:
    for image in (None, photo):
        prediction = predictor.predict(image, text)
        assert prediction.probabilities.sum() == pytest.approx(1)
        explanation = prediction.explanation
        assert explanation is not None and explanation.words
        assert all(word.text == text[word.start : word.end] for word in explanation.words)
        assert sum(word.weight for word in explanation.words) == pytest.approx(1)


def test_a_checkpoint_that_was_never_fitted_gives_no_sets_and_no_cautions(
    answers: dict[str, Prediction],
) -> None:
    for prediction in answers.values():
        assert (prediction.prediction_set, prediction.set_coverage) == ((), None)
        assert prediction.cautions == () and not prediction.abstains


@pytest.mark.parametrize("given", GIVEN)
def test_the_set_is_that_of_the_answer_given(
    cautious_predictor: Predictor, photo: Image.Image, given: str
) -> None:
    abstention = cautious_predictor.checkpoint.abstention
    assert abstention is not None
    prediction = cautious_predictor.predict(
        None if given == "text" else photo, None if given == "photo" else TEXT
    )
    answer = {"photo": "image", "text": "text", "both": "fused"}[given]
    scores = nonconformity(prediction.probabilities[None], abstention.sets[answer].method)[0]
    inside = {
        name
        for name, score in zip(NAMES, scores, strict=True)
        if score <= abstention.sets[answer].threshold
    }
    names = [name for name, _ in prediction.top(len(NAMES))]
    assert set(prediction.prediction_set) == inside | {names[0]}
    assert list(prediction.prediction_set) == [
        name for name in names if name in inside | {names[0]}
    ]
    assert prediction.set_coverage == 0.9


def test_cautions_are_about_what_was_given(
    cautious_predictor: Predictor, photo: Image.Image
) -> None:
    about_photo = ("blur", "dark", "bright", "not skin-like", "far from training")
    assert cautious_predictor.predict(photo).cautions == about_photo  # the limits are that strict
    assert cautious_predictor.predict(text="An itchy red rash").cautions == ()
    strange = "xqzvkjwfp wjfpqzzzx"
    assert cautious_predictor.predict(text=strange).cautions == ("words unknown",)
    both = cautious_predictor.predict(photo, strange)
    assert both.abstains and both.cautions[:6] == (*about_photo, "words unknown")


@pytest.mark.parametrize("threshold", [0.0, 1.0], ids=["sets of one", "sets of all"])
def test_modalities_disagree_where_their_sets_say_so(
    cautious_predictor: Predictor, photo: Image.Image, threshold: float
) -> None:
    checkpoint = cautious_predictor.checkpoint
    assert checkpoint.abstention is not None
    sets = dict.fromkeys(ANSWERS, SetRule("lac", threshold))
    abstention = dataclasses.replace(checkpoint.abstention, sets=sets)
    predictor = Predictor(dataclasses.replace(checkpoint, abstention=abstention))
    found = set()
    for text in (TEXT, "a brown mole", "blisters on the hands", "rash", "two weeks"):
        prediction = predictor.predict(photo, text)
        first, second = (prediction.by_modality[name] for name in ("image", "text"))
        assert first is not None and second is not None
        differ = np.nanargmax(first) != np.nanargmax(second)
        disagree = "modalities disagree" in prediction.cautions
        assert disagree == (differ and threshold == 0)
        found.add(disagree)
    assert found == ({False} if threshold else {True}) or found == {True, False}


@pytest.mark.parametrize("model", ["predictor", "cautious_predictor"])
def test_many_cases_are_answered_as_each_alone(
    model: str, request: pytest.FixtureRequest, photo: Image.Image
) -> None:
    predictor: Predictor = request.getfixturevalue(model)
    turned = photo.rotate(180)
    cases: list[tuple[Any, str | None]] = [
        *((photo, TEXT), (None, TEXT), (turned, None), (b"no", "rash"), (None, "itchy")),
        *((None, None), (turned, "a brown mole on the back"), (None, "?!"), (photo, None)),
        *(("nowhere.jpg", None), (None, "word " * 40), (photo, "xqzvkjwfp wjfpqzzzx")),
    ]
    answers = predictor.predict_many(*zip(*cases, strict=True))
    assert len(answers) == len(cases)
    for case, answer in zip(cases, answers, strict=True):
        if isinstance(answer, Exception):
            with pytest.raises(type(answer)) as refused:
                predictor.predict(*case)
            assert str(refused.value) == str(answer)
            continue
        alone = predictor.predict(*case, explain=False)
        assert answer.explanation is None
        assert answer.by_modality.keys() == alone.by_modality.keys()
        for name, values in alone.by_modality.items():
            assert (answer.by_modality[name] is None) == (values is None)
            if values is not None:
                assert answer.by_modality[name] == pytest.approx(values, abs=1e-5, nan_ok=True)
        assert answer.gate.image == pytest.approx(alone.gate.image, abs=1e-5)
        assert (answer.prediction_set, answer.cautions) == (alone.prediction_set, alone.cautions)
    assert sum(isinstance(answer, Exception) for answer in answers) == 4


def test_many_cases_need_a_photo_and_a_text_each(predictor: Predictor) -> None:
    assert predictor.predict_many([], []) == []
    with pytest.raises(ValueError, match="got 1 photos and 2 texts"):
        predictor.predict_many([None], ["rash", "rash"])


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "neither": ({}, "got neither photo nor description; give at least one"),
    "empty text": ({"text": ""}, "empty; write a few words, or give only a photo"),
    "blank text": ({"text": " \t\n\u3000"}, "empty; write a few words"),
    "punctuation": ({"text": "?!... --- ___"}, "no readable words; write a few plain words"),
    "emoji": ({"text": "😖🔥"}, "no readable words"),
    "NUL": ({"text": "\x00\x00"}, "no readable words"),
    "zero width": ({"text": "\u200b\ufeff"}, "no readable words"),
    "broken characters": ({"text": "rash \udcff"}, "broken characters; type or copy it again"),
    "too long": ({"text": "a" * (MAX_CHARACTERS + 1)}, f"at most {MAX_CHARACTERS} are read"),
    "text that is no text": ({"text": 3}, "got a int as text; give a string"),
    "bad photo beside a good text": ({"image": b"no", "text": "rash"}, "not a photo"),
    "empty photo": ({"image": b""}, "empty file"),
    "narrow photo": ({"image": np.zeros((900, 1, 3), np.uint8)}, "1 x 900 pixels"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_bad_input_is_refused_with_the_remedy(predictor: Predictor, what: str) -> None:
    given, message = REFUSED[what]
    with pytest.raises(ValueError, match=message):
        predictor.predict(**given)


def test_missing_photo_is_refused_also_with_a_text(predictor: Predictor) -> None:
    with pytest.raises(FileNotFoundError, match=r"no photo at nowhere\.jpg"):
        predictor.predict("nowhere.jpg", "rash")


def test_predicting_twice_gives_the_same_and_leaves_nothing_behind(
    predictor: Predictor, photo: Image.Image, answers: dict[str, Prediction]
) -> None:
    model = predictor.checkpoint.model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    attributes = dict(vars(predictor))
    for _ in range(2):
        assert predictor.predict(photo, TEXT).to_dict() == answers["both"].to_dict()
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert vars(predictor) == attributes
    for module in model.modules():
        assert not module.training
        assert not module._forward_hooks and not module._forward_pre_hooks
        assert not module._backward_hooks
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not torch.is_inference_mode_enabled()


def test_a_refused_case_does_not_spoil_the_next(
    predictor: Predictor, answers: dict[str, Prediction]
) -> None:
    with pytest.raises(ValueError, match="not a photo"):
        predictor.predict(b"broken", TEXT)
    assert predictor.predict(text=TEXT).to_dict() == answers["text"].to_dict()


def test_threads_give_what_one_after_another_gives(
    predictor: Predictor, photo: Image.Image
) -> None:
    flipped = photo.rotate(180)
    cases: list[tuple[Image.Image | None, str | None]] = [
        *((photo, None), (None, TEXT), (photo, TEXT)),
        *((flipped, None), (None, "a brown mole"), (flipped, "a brown mole")),
    ]
    serial = [predictor.predict(*case).to_dict() for case in cases]
    assert len({json.dumps(answer) for answer in serial}) == len(cases)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda case: predictor.predict(*case).to_dict(), cases * 3))
    assert together == serial * 3


def test_load_and_grid(predictor: Predictor, checkpoint_folder: Path) -> None:
    assert tuple(dermmm.load(str(checkpoint_folder)).conditions) == NAMES
    assert grid_side(predictor.checkpoint.model.config.image_size) == SIDE


def test_load_of_nothing_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*nowhere"):
        dermmm.load(tmp_path / "nowhere")
