"""What the checkpoint says it was made from, and what becomes of measurements of an earlier one.

That it is fitted and written is in test_reproduce.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training import image_classifier, text_pretraining
from training.calibrate import started_from
from training.stage import forget_measurements


def summarise(out: Path, name: str, **said: object) -> None:
    (out / name).mkdir(parents=True)
    (out / name / "summary.json").write_text(json.dumps({"inputs": {}, **said}))


@pytest.mark.parametrize("how", ["started_from", "taken_from"])
def test_the_checkpoint_that_a_part_came_from_is_named(tmp_path: Path, how: str) -> None:
    summarise(tmp_path, image_classifier.NAME, **{how: "first"})
    summarise(tmp_path, text_pretraining.NAME, taken_from="second")
    assert started_from(tmp_path) == {"image_encoder": "first", "text_encoder": "second"}


def test_a_part_from_random_weights_is_not_named(tmp_path: Path) -> None:
    summarise(tmp_path, image_classifier.NAME, minutes=1.0)
    summarise(tmp_path, text_pretraining.NAME, taken_from="second")
    assert started_from(tmp_path) == {"text_encoder": "second"}


def test_only_measurements_of_the_checkpoint_are_forgotten(tmp_path: Path) -> None:
    summarise(tmp_path, "trained", inputs={"manifest.csv": "0"})
    summarise(tmp_path, "measured", inputs={"manifest.csv": "0", "fusion.safetensors": "1"})
    (tmp_path / "measured" / "begun.json").write_text("{}")
    forget_measurements(tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json")}
    assert left == {"trained/summary.json", "measured/begun.json"}
