"""What the text stages train on: real and synthetic cases, their priors, and the control."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dermmm.conditions import INDEX
from training import corpus, text_baseline, text_classifier, text_pretraining
from training.clean import MANIFEST_COLUMNS
from training.dataset import read_synthetic, read_texts
from training.linear import spread
from training.loop import LoopConfig

WORDS = {"eczema": "itchy dry patch", "acne": "greasy clogged pores", "keloid": "old scar"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Cleaned data with real texts of eczema (rendered) and acne (free), none of keloid."""
    rows = []
    for number in range(60):
        condition, fields = ("eczema", '{"itch": "True"}') if number % 3 else ("acne", "{}")
        split = ("train", "train", "train", "val", "test")[number % 5]
        path = tmp_path / "text_only" / f"{number}.txt"
        path.parent.mkdir(exist_ok=True)
        wordings = [f"{WORDS[condition]} number {number} told {n}" for n in range(2)]
        path.write_text("\n".join(wordings) + "\n")
        row = dict.fromkeys(MANIFEST_COLUMNS, "")
        row |= {
            "id": f"r{number}", "source": "scin" if fields != "{}" else "dermavqa_iiyi",
            "group": f"g{number}", "split": split, "modality": "text_only", "fields": fields,
            "condition": condition, "targets": "{}", "n_texts": "2",
            "text_path": path.relative_to(tmp_path).as_posix(),
        }  # fmt: skip
        rows.append(row)
    pd.DataFrame(rows).to_csv(tmp_path / "manifest.csv", index=False)
    (tmp_path / "synthetic").mkdir()
    with (tmp_path / "synthetic" / "texts.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "condition", "source", "voice", "findings", "text"])
        for condition, words in WORDS.items():
            for number in range(20):
                made = [
                    f"s-{condition}-{number}",
                    condition,
                    "grammar",
                    "chart",
                    words.replace(" ", "; "),
                ]
                writer.writerow([*made, f"made-up {words}, {number}"])
    return tmp_path


def config(**settings: object) -> text_classifier.TextClassifierConfig:
    return text_classifier.TextClassifierConfig(LoopConfig(1, 8, 1e-3), **settings)  # type: ignore[arg-type]


def test_synthetic_rows_stand_beside_real_ones_and_carry_their_text(data: Path) -> None:
    rows = text_classifier.training_cases(config(synthetic=5), data)
    counts = rows.groupby(["source", "condition"]).size()
    assert counts["synthetic"].to_dict() == {"acne": 5, "eczema": 5, "keloid": 5}
    assert set(rows["split"]) == {"train"}
    texts = read_texts(data, rows)
    assert all(texts)
    first = rows.index[rows["source"] == "synthetic"][0]
    assert len(texts[first]) == 1 and texts[first][0].startswith("made-up")
    assert all(len(texts[i]) == 2 for i in rows.index[rows["source"] != "synthetic"])


def test_without_synthetic_texts_there_are_none(tmp_path: Path) -> None:
    assert len(read_synthetic(tmp_path)) == 0
    assert read_texts(tmp_path, read_synthetic(tmp_path)) == []


def test_a_balanced_manifest_drops_real_cases_only(data: Path) -> None:
    everything = text_classifier.training_cases(config(synthetic=5), data)
    real = everything[everything["source"] != "synthetic"]
    (data / "balanced").mkdir()
    real.head(7)[["id", "condition"]].to_csv(data / "balanced" / "text-kmeans.csv", index=False)
    rows = text_classifier.training_cases(config(synthetic=5, balanced="text-kmeans"), data)
    assert list(rows["id"]) == [*real.head(7)["id"], *everything["id"].tail(15)]


def test_texts_are_told_apart_by_style() -> None:
    rows = pd.DataFrame(
        {
            "source": ["scin", "dermavqa_iiyi", "synthetic"],
            "fields": ['{"sex": "male"}', "{}", "{}"],
        }
    )
    assert [text_classifier.STYLES[i] for i in text_classifier.text_styles(rows).tolist()] == [
        "rendered",
        "free",
        "synthetic",
    ]


def test_each_style_has_its_own_prior() -> None:
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    styles = torch.tensor([0, 0, 2, 2])
    priors = text_classifier.style_priors(targets, styles, smoothing=0.5).exp()
    assert priors[0].tolist() == pytest.approx([3 / 4, 1 / 4])
    assert priors[2].tolist() == pytest.approx([1 / 4 + 0.5 / 4, 1 / 4 + 1.5 / 4])


def test_rare_conditions_are_drawn_more_often_in_each_style() -> None:
    targets = torch.eye(2)[[0, 0, 0, 0, 1, 0, 1]]
    styles = torch.tensor([1] * 5 + [2] * 2)
    weights = text_classifier.resampling_weights(targets, styles, exponent=1.0)
    assert weights[:4].sum() == pytest.approx(float(weights[4]))  # equally often
    assert weights[5:].tolist() == [1.0, 1.0]
    assert weights[:5].mean() == pytest.approx(1.0)
    even = text_classifier.resampling_weights(targets, styles, exponent=0.0)
    assert even.tolist() == [1.0] * 7


def test_an_unknown_start_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got start 'bert'"):
        text_classifier.main(config(start="bert"), data, tmp_path)


def test_the_control_answers_what_it_has_read(data: Path, tmp_path: Path) -> None:
    settings = text_baseline.TextBaselineConfig(
        ngrams=(1,), strengths=(0.1, 10.0), synthetic=(0, 20), max_iterations=200
    )
    summary = text_baseline.main(settings, data, tmp_path)
    assert len(summary["trials"]) == 4  # type: ignore[arg-type]
    cases = text_baseline.read_training_texts(data, 20)
    classifier = text_baseline.fit_baseline(*cases, text_baseline.Settings(1, 10.0, 20), 200)
    texts = [f"it is {words}" for words in WORDS.values()]
    answers = spread(classifier, texts)
    assert [int(i) for i in answers.argmax(axis=1)] == [INDEX[name] for name in WORDS]
    assert answers.sum(axis=1) == pytest.approx(np.ones(3))
    assert (answers[:, INDEX["measles"]] == 0).all()


def test_the_datasheet_counts_wordings_and_names_what_stands_on_synthetic_text(data: Path) -> None:
    table = corpus.count_texts(data)
    assert table.loc["eczema", ("unstructured", "train")] == 48  # 24 cases, two wordings each
    assert table.loc["acne", ("real", "val")] == 8
    assert table.loc["keloid", ("synthetic", "train")] == 20
    assert table.loc["measles"].sum() == 0
    sheet = corpus.datasheet(data)
    assert "Learned from synthetic text alone: keloid." in sheet
    assert "No training text at all: actinic keratosis" in sheet
    assert "synthetic test" not in sheet  # nothing synthetic outside training


def test_the_facts_of_a_wording_are_known_where_a_renderer_made_it(data: Path) -> None:
    rows = text_classifier.training_cases(config(synthetic=1), data).assign(
        fields=lambda table: table["fields"].replace(
            {'{"itch": "True"}': '{"sex_at_birth": "MALE"}'}
        )
    )
    told = text_pretraining.facts_told(rows, read_texts(data, rows))
    by_source = dict(zip(rows["source"], told, strict=True))
    assert by_source["dermavqa_iiyi"] == [{}, {}]
    assert by_source["scin"] == [{"sex male": 1.0}, {"sex male": 1.0}]
    assert by_source["synthetic"] == [{"old": 1.0, "scar": 1.0}]


def test_facts_are_learned_where_they_are_known() -> None:
    targets = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    right, wrong = torch.tensor([[9.0, -9.0, 9.0]] * 2), torch.tensor([[-9.0, 9.0, -9.0]] * 2)
    assert facts_loss_of(right, targets) < 0.01 < facts_loss_of(wrong, targets)
    # a text of which nobody knows the facts counts for nothing
    assert facts_loss_of(wrong[1:], targets[1:]) == 0


def facts_loss_of(logits: torch.Tensor, targets: torch.Tensor) -> float:
    return float(text_pretraining.facts_loss(logits, targets))
