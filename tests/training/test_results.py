"""The results page, its targets and the tables in other documents, from made-up metrics."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from dermmm import checkpoint
from dermmm.checkpoint import Checkpoint
from dermmm.conditions import NAMES
from training import evaluation_page, results, stage, targets
from training.evaluate import CONTROL, rounded
from training.scoring import by_condition, paired_difference, reliability, score
from training.section import Section
from training.targets import Target


@pytest.fixture(scope="module")
def metrics() -> dict[str, Any]:
    """In the form of training.evaluate's: 120 invented cases of three conditions."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 40)
    values = rng.dirichlet(np.full(len(NAMES), 0.2), len(truth))
    values[np.arange(len(truth)), truth] += 0.5
    values /= values.sum(axis=1, keepdims=True)
    groups = np.arange(len(truth)) // 2
    rows = (
        *evaluation_page.HEADLINE,
        *evaluation_page.CONTROLS,
        "text only, every condition",
        "image only, skin type I–II",
        "image only, fitzpatrick17k",
        "both, true pairs, pad_ufes_20",
    )
    found = {row: score(values, truth, groups) for row in rows}
    records = by_condition(values, truth, groups, NAMES)
    few = score(values[:3], truth[:3], groups[:3])
    names = ("both less the better single modality, true pairs", f"text only less {CONTROL}")
    difference = paired_difference(values, np.roll(values, 1, axis=1), truth, groups)
    measured = {name: {"image": 40, "text": 9, "fused": 0} for name in NAMES}
    return json.loads(
        json.dumps(
            rounded(
                {
                    "split": "test",
                    "rows": found | {"image only, skin type V–VI": few},
                    "by_condition": dict.fromkeys(rows, records),
                    "differences": dict.fromkeys(names, difference),
                    "measured_from": 10,
                    "measured": measured,
                    "reliability": {"image": reliability(values, truth)},
                    "validation_ece": {"image": 0.1},
                    "skin_type_gap": {"test": {"conditions": [], "n": [9, 3], "gap": None}},
                    "errors": {"image": []},
                }
            )
        )
    )


@pytest.fixture
def published(tiny_checkpoint: Checkpoint, metrics: dict[str, Any]) -> Checkpoint:
    return dataclasses.replace(tiny_checkpoint, metrics=metrics, sha256="a" * 64)


@pytest.mark.parametrize(
    "value, low, reached",
    [(-0.01, -0.1, "missed"), (0.0, -0.1, "missed"), (0.02, -0.1, "floor"), (0.05, -0.1, "floor"),
     (0.05, 0.01, "goal"), (0.08, -0.1, "floor"), (0.08, 0.01, "stretch")],
)  # fmt: skip
def test_a_gain_has_to_be_settled(value: float, low: float, reached: str) -> None:
    target = next(one for one in targets.TARGETS if one.settled_from)
    assert target.reached({"value": value, "low": low, "high": 0.2}) == reached


@pytest.mark.parametrize(
    "value, reached",
    [(0.06, "missed"), (0.05, "floor"), (0.03, "goal"), (0.02, "stretch"), (0.001, "stretch")],
)
def test_some_targets_are_reached_from_above(value: float, reached: str) -> None:
    target = Target("ECE", targets.ECE, lambda metrics, studies: "", falls=True)
    assert target.reached({"value": value, "low": 0, "high": 1}) == reached


def test_what_was_not_run_reaches_nothing(metrics: dict[str, Any]) -> None:
    lines = targets.targets_table(metrics, {}).splitlines()
    (line,) = [line for line in lines if "out of fold, image only" in line]
    assert line.endswith("| not run: pad_folds |  |")
    (line,) = [line for line in lines if "skin types" in line]
    assert line.endswith("| not measured |  |")


def test_every_target_finds_its_number(metrics: dict[str, Any]) -> None:
    """A renamed row would otherwise show as "not measured"."""
    gap = {"test": {"gap": {"value": 0.1, "low": 0, "high": 0.2}}}
    for target in targets.TARGETS:
        found = target.find({**metrics, "skin_type_gap": gap}, {})
        assert isinstance(found, dict) or found.startswith("not run"), target.what


def test_the_page_has_every_section_and_figure(published: Checkpoint) -> None:
    sections = results.parts(published.metrics, {})
    page = results.page(published, sections)
    assert published.sha256 in page and "research only" in page
    for name, section in sections.items():
        assert f"## {section.title}\n" in page, name
    for key in ("reliability", "confusions", "by-condition"):
        assert f"(figures/{key}.png)" in page
    assert "Not run for this checkpoint: `python -m training.pad_folds`" in page
    assert "nan" not in page


def test_few_cases_are_not_measured(metrics: dict[str, Any]) -> None:
    lines = evaluation_page.by_factor(metrics).text.splitlines()
    (dark,) = [line for line in lines if line.startswith("| image only, skin type V–VI")]
    assert "| 3 | not measured |" in dark
    (condition,) = [
        line
        for line in evaluation_page.measured_table(metrics).splitlines()
        if line.startswith(f"| {NAMES[0]} ")
    ]
    assert "not measured (9)" in condition and "(40)" in condition


def test_a_marker_takes_its_section_and_no_other_is_known() -> None:
    sections = {"headline": Section("Scores", "| a |")}
    text = "<!-- card headline: written by training.results -->\nold\n<!-- end of card headline -->"
    assert "\n| a |\n" in results.marked(text, sections) and "old" not in results.marked(
        text, sections
    )
    with pytest.raises(ValueError, match="expected one of headline"):
        results.marked(text.replace("headline", "other"), sections)


def test_results_of_another_checkpoint_are_refused(published: Checkpoint) -> None:
    with pytest.raises(ValueError, match="is of the checkpoint bbbb"):
        results.rendered(published, {"sha256": "b" * 64, "stages": {}})


def test_collecting_leaves_settings_out(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    loaded = dataclasses.replace(tiny_checkpoint)
    checkpoint.save(loaded, tmp_path / "checkpoint")
    (tmp_path / "pad_folds").mkdir()
    (tmp_path / "pad_folds" / "summary.json").write_text(
        json.dumps({"config": {"a": 1}, "inputs": {}, "rows": {"x": 0.1234567}})
    )
    found = results.collect(tmp_path, loaded)
    assert found == {"sha256": loaded.sha256, "stages": {"pad_folds": {"rows": {"x": 0.12346}}}}
    with pytest.raises(ValueError, match="--publish"):
        results.collect(tmp_path, dataclasses.replace(loaded, sha256="c" * 64))


def test_the_studies_that_the_page_shows_go_into_the_checkpoint(
    tiny_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """Into the run's and the published one, which become another checkpoint of the same weights."""
    out, folder = tmp_path / "out", tmp_path / "published"
    tiny = dataclasses.replace(tiny_checkpoint, metrics={"split": "test", "rows": {}})
    before = checkpoint.save(tiny, out / "checkpoint")
    weights = stage.weights(out / "checkpoint")
    stages = {
        "pad_folds": {"patients": 3, "rows": {"photo": 0.5}, "folds": [1, 2]},
        "text_ablation": {"rows": {}},
    }
    found = results.publish_studies({"sha256": before, "stages": stages}, out, folder)
    assert found["sha256"] != before and found["stages"] == stages
    for place in (out / "checkpoint", folder):
        loaded = checkpoint.load(place)
        assert loaded.sha256 == found["sha256"]
        assert loaded.metrics == {
            "split": "test",
            "rows": {},
            "studies": {"pad_folds": {"patients": 3, "rows": {"photo": 0.5}}},
        }
        assert stage.weights(place) == weights
    assert results.publish_studies(found, out, folder) == found


def test_a_checkpoint_with_other_studies_is_refused(published: Checkpoint) -> None:
    stages = {"pad_folds": {"patients": 3, "rows": {}, "folds": [1, 2]}}
    with pytest.raises(ValueError, match="has other studies"):
        results.rendered(published, {"sha256": published.sha256, "stages": stages})


def test_an_old_document_and_a_missing_figure_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "DOCS", tmp_path)
    page = tmp_path / "results.md"
    page.write_text("old", encoding="utf-8")
    assert results.problems({page: "new"}, {"a": go.Figure()}) == [
        "results.md is older than the results", "figures/a.png is missing",
    ]  # fmt: skip
    page.write_text("new", encoding="utf-8")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.png").touch()
    assert results.problems({page: "new"}, {"a": go.Figure()}) == []
