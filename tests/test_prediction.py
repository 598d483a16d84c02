"""The result type: ranking and JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from dermmm import NOTICE, Explanation, Gate, ModelIdentity, Prediction, Word
from dermmm.outside import LIMITED
from dermmm.prediction import CAUTIONS


@pytest.fixture
def prediction() -> Prediction:
    grid = np.array([[0.1, 0.2], [0.3, 0.4]])
    return Prediction(
        conditions=("a", "b", "c", "d"),
        by_modality={
            "image": np.array([0.25, np.nan, 0.5, 0.25]),
            "text": None,
            "fused": np.array([0.2, 0.1, 0.2, 0.5]),
        },
        gate=Gate(image=1.0, text=0.0),
        explanation=Explanation(
            photo=np.zeros((4, 4, 3), np.uint8),
            attention=grid,
            description="red",
            words=(Word("red", 0, 3, 1.0, grid),),
        ),
        model=ModelIdentity("1.0", "ab" * 32),
        prediction_set=("d", "a"),
        set_coverage=0.9,
        cautions=("blur",),
    )


def test_top_is_sorted_and_ties_keep_their_order(prediction: Prediction) -> None:
    assert prediction.top(3) == [("d", 0.5), ("a", 0.2), ("c", 0.2)]
    assert len(prediction.top(99)) == 4
    assert prediction.probabilities is prediction.by_modality["fused"]


def test_dictionary_survives_json(prediction: Prediction) -> None:
    result = prediction.to_dict()
    again = json.loads(json.dumps(result, allow_nan=False))
    assert again == result
    assert [entry["name"] for entry in again["conditions"]] == ["d", "a", "c", "b"]
    assert [entry["probability"] for entry in again["conditions"]] == [0.5, 0.2, 0.2, 0.1]
    assert again["by_modality"] == {
        "image": {"a": 0.25, "b": None, "c": 0.5, "d": 0.25},
        "text": None,
        "fused": {"a": 0.2, "b": 0.1, "c": 0.2, "d": 0.5},
    }
    assert again["gate"] == {"image": 1.0, "text": 0.0}
    assert again["prediction_set"] == ["d", "a"]
    assert again["set_coverage"] == 0.9
    assert (again["abstains"], again["cautions"]) == (True, ["blur"])
    assert again["model"] == {"version": "1.0", "sha256": "ab" * 32}
    assert again["notice"] == NOTICE
    grid = [[0.1, 0.2], [0.3, 0.4]]
    word = {"word": "red", "start": 0, "end": 3, "weight": 1.0, "photo": grid}
    assert again["attention"] == {"photo": grid, "words": [word]}


def test_it_abstains_when_there_is_a_caution(prediction: Prediction) -> None:
    assert prediction.abstains
    certain = dataclasses.replace(prediction, cautions=(), prediction_set=(), set_coverage=None)
    assert not certain.abstains
    again = certain.to_dict()
    assert (again["prediction_set"], again["set_coverage"], again["cautions"]) == ([], None, [])


def test_every_caution_is_told_in_words() -> None:
    assert set(LIMITED) < set(CAUTIONS)
    assert all(words.endswith(".") and words.count(". ") for words in CAUTIONS.values())


def test_dictionary_without_explanation_has_no_attention(prediction: Prediction) -> None:
    assert "attention" not in dataclasses.replace(prediction, explanation=None).to_dict()


def test_attention_of_a_missing_photo_is_null(prediction: Prediction) -> None:
    words = (Word("red", 0, 3, 1.0),)
    explanation = Explanation(None, None, "red", words)
    result: Any = dataclasses.replace(prediction, explanation=explanation).to_dict()
    assert result["attention"]["photo"] is None
    assert result["attention"]["words"][0]["photo"] is None


@pytest.mark.parametrize("field", ["gate", "conditions", "notice"])
def test_prediction_is_frozen(prediction: Prediction, field: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(prediction, field, None)
