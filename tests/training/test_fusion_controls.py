"""The controls of the fusion: what they read, and that no answer was fitted on its own case.

The whole study on made-up data is in test_reproduce.py.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.tree import DecisionTreeClassifier

from dermmm.conditions import NAMES
from training.fusion_controls import (
    GCA,
    LIMITED,
    Concatenation,
    FusionControlsConfig,
    HeldOut,
    boosting,
    clinical_fields,
    fitted_answers,
    section,
    temperature,
)


def pairs_of(conditions: list[int]) -> HeldOut:
    """Pairs with these conditions, two to a group."""
    rows = pd.DataFrame(
        {
            "condition": [NAMES[one] for one in conditions],
            "group": [f"lesion {place // 2}" for place in range(len(conditions))],
        }
    )
    return HeldOut(rows, np.zeros((len(rows), 1, 1)), [""] * len(rows))


def test_fields_of_both_sources_become_one_table() -> None:
    fields: tuple[dict[str, str], ...] = (
        {"age_approx": "45.0", "sex": "female", "anatom_site_general": "trunk"},
        {"age": "70", "region": "NOSE", "itch": "True", "bleed": "False"},
        {},
    )
    told = clinical_fields(pd.DataFrame({"fields": [json.dumps(one) for one in fields]}))
    assert told["age"].tolist()[:2] == [45, 70]
    assert told["sex"].tolist() == ["female", "", ""]
    assert told["site"].tolist() == ["trunk", "NOSE", ""]
    assert told["itch"].tolist()[1] == 1
    assert told["bleed"].tolist()[1] == 0
    assert told[["age", "itch"]].to_numpy()[2].tolist() == [-1, -1]


def test_boosting_reads_fields_and_numbers() -> None:
    told = clinical_fields(pd.DataFrame({"fields": ['{"sex": "male"}', '{"sex": "female"}'] * 60}))
    told["image 0"] = 0.0
    targets = np.array([3, 5] * 60)
    model: Any = boosting(0)
    model.fit(told, targets)
    assert (model.predict(told) == targets).all()
    model.predict(told.assign(sex="never heard of"))


def test_validation_is_answered_out_of_fold_and_by_group() -> None:
    # A tree remembers each group by its number, and only its own group would tell the condition.
    conditions = [int(one) for one in np.random.default_rng(0).integers(0, 2, 60).repeat(2)]
    val = pairs_of(conditions)
    number = np.arange(120)[:, None] // 2
    on_val, on_test = fitted_answers(
        DecisionTreeClassifier, val, (number, number), FusionControlsConfig()
    )
    right = [float((values.argmax(1) == val.targets).mean()) for values in (on_val, on_test)]
    assert right[1] == 1
    assert right[0] < 0.75
    assert on_val.shape == (120, len(NAMES))
    assert on_val.sum(axis=1) == pytest.approx(1)


def test_a_temperature_needs_no_answer_to_every_case() -> None:
    torch.manual_seed(0)
    logits = 5 * torch.randn(50, len(NAMES))
    logits[:, 0] = -torch.inf
    targets = logits[:, 1:].argmax(dim=1).numpy() + 1
    expected = temperature(logits[1:], targets[1:])
    targets[0] = 0  # a condition that these logits cannot answer
    assert temperature(logits, targets) == pytest.approx(expected)


def test_concatenation_does_not_read_what_is_absent() -> None:
    torch.manual_seed(0)
    module = Concatenation(8, 6, 4, hidden=5).eval()
    mask = torch.ones(2, 3, dtype=torch.bool)
    there, gone = torch.tensor([True, True]), torch.tensor([False, False])

    def answer(patches: torch.Tensor, states: torch.Tensor, image: Any, text: Any) -> torch.Tensor:
        return module(patches, states, mask, image, text)

    patches, states, other = torch.randn(2, 4, 8), torch.randn(2, 3, 6), torch.randn(2, 4, 8)
    alone = answer(patches, states, gone, there)
    assert torch.equal(alone, answer(other, states, gone, there))
    assert not torch.equal(alone, answer(other, states, there, there))
    assert alone.shape == (2, 4)


def made_summary() -> dict[str, Any]:
    def around(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.1, "high": value + 0.1}

    def scores(value: float) -> dict[str, Any]:
        names = ("balanced_accuracy", "top1", "top3")
        return {"n": 40, "conditions": 8, "ece": 0.05} | {name: around(value) for name in names}

    def difference(value: float) -> dict[str, Any]:
        return {name: around(value) for name in ("balanced_accuracy", "top1", "top3")}

    rows = {GCA: 0.5, LIMITED: 0.55, "image only": 0.4, "stacking": 0.6}
    return {
        "rows": {name: scores(value) for name, value in rows.items()},
        "gca_less": {name: difference(0.5 - value) for name, value in rows.items() if name != GCA},
        "limited_less": {"stacking": difference(-0.05)},
        "better_single_modality": "image only",
        "conditions_of_true_pairs": list(NAMES[:8]),
        "seeds": {"0": scores(0.5), "1": scores(0.46)},
        "label_matched": {GCA: scores(0.7)},
    }


def test_the_section_says_who_is_ahead_and_by_how_much() -> None:
    shown = section(made_summary())
    assert "python -m training.fusion_controls" in shown.text
    assert "| stacking | 0.600 (0.500–0.700) |" in shown.text
    assert "−0.100 (−0.200 to +0.000)" in shown.text  # the fusion less stacking
    assert "0.480 on\naverage, 0.460 to 0.500" in shown.text
    (figure,) = shown.figures.values()
    assert list(figure.data[0].y) == list(made_summary()["rows"])
