"""The tables that evaluation writes into documents."""

from __future__ import annotations

from dermmm.conditions import NAMES
from training.evaluate import TABLES, results_table, text_table


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05}


def metrics() -> dict[str, object]:
    row = {"n": 40, "conditions": 4, "chance": 0.25, "ece": 0.1}
    row |= {name: interval(0.5) for name in ("balanced_accuracy", "top1", "top3")}
    found = {"eczema": {"n": 30, "recall": 0.4, "top3": 0.7}}
    return {
        "split": "test",
        "rows": {"text only": row},
        "by_condition": {"text only": found},
        "texts_by_condition": {"eczema": 30, "acne": 9},
        "differences": {
            "a less b": {name: interval(-0.02) for name in ("balanced_accuracy", "top1", "top3")}
        },
    }


def test_fewer_than_ten_texts_are_not_measured() -> None:
    lines = {line.split(" | ")[0].strip("| "): line for line in text_table(metrics()).splitlines()}
    assert set(NAMES) < set(lines)
    assert lines["eczema"] == "| eczema | 30 | 0.40 | 0.70 |"
    assert lines["acne"] == "| acne | 9 | not measured | not measured |"
    assert lines["measles"] == "| measles | 0 | not measured | not measured |"


def test_the_results_show_differences_with_their_sign() -> None:
    table = results_table(metrics())
    assert "| text only | 40 | 4 | 25.0 | 50.0 (45.0–55.0) |" in table
    assert "a less b, paired" in table and "−2.0 (−7.0–+3.0)" in table


def test_every_document_has_its_markers() -> None:
    for document, start, end, _ in TABLES:
        text = document.read_text(encoding="utf-8")
        assert text.count(start) == text.count(end) == 1, document.name
