"""The command line: what it prints, what it writes, and how it refuses."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dermmm import NOTICE, __version__
from dermmm.__main__ import main
from dermmm.conditions import NAMES
from dermmm.prediction import CAUTIONS
from dermmm.predictor import Predictor

TEXT = "an itchy red rash on both arms"
ROOT = Path(__file__).resolve().parent.parent
BATCH_COLUMNS = [
    *("case_id", "top1", "top2", "top3"),
    *(f"p:{name}" for name in NAMES),
    *("gate_image", "gate_text", "prediction_set", "cautions", "error"),
]


class Shell:
    """Runs the command line in this process, on the tiny checkpoint."""

    def __init__(self, checkpoints: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.checkpoints = checkpoints
        self.capsys = capsys

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        """Return the exit status, stdout and stderr."""
        try:
            status = main([*map(str, arguments), "--checkpoints", str(self.checkpoints)])
        except SystemExit as stop:
            status = int(stop.code or 0)
        printed = self.capsys.readouterr()
        return status, printed.out, printed.err

    def refused(self, *arguments: str | Path) -> str:
        """Check that it was refused as promised, and return the one line on stderr."""
        status, out, err = self(*arguments)
        assert status == 2
        assert out == ""
        assert err.count("\n") == 1 and err.endswith("\n"), err
        assert err.startswith("error: ")
        return err


@pytest.fixture
def shell(checkpoint_folder: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(checkpoint_folder, capsys)


@pytest.fixture
def photo_path(photo: Image.Image, tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / "spot.png"
    photo.save(path)
    return path


def predict_json(shell: Shell, *arguments: str | Path) -> dict[str, Any]:
    status, out, _ = shell("predict", "--json", *arguments)
    assert status == 0
    assert out.count("\n") == 1

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(out, parse_constant=refuse)


def test_predict_prints_one_json_object(
    shell: Shell, photo_path: Path, predictor: Predictor, photo: Image.Image
) -> None:
    answer = predict_json(shell, "--image", photo_path, "--text", TEXT)
    assert set(answer) == {
        *("conditions", "by_modality", "gate", "model", "notice"),
        *("prediction_set", "set_coverage", "abstains", "cautions"),
    }
    ranking = [(entry["name"], entry["probability"]) for entry in answer["conditions"]]
    assert all(set(entry) == {"name", "probability"} for entry in answer["conditions"])
    assert sorted(name for name, _ in ranking) == sorted(NAMES)
    assert [p for _, p in ranking] == sorted((p for _, p in ranking), reverse=True)
    assert sum(p for _, p in ranking) == pytest.approx(1)
    assert set(answer["by_modality"]) == {"image", "text", "fused"}
    for modality, values in answer["by_modality"].items():
        assert list(values) == list(NAMES)
        assert (None in values.values()) == (modality != "fused")
    assert answer["by_modality"]["fused"] == dict(ranking)
    assert answer["gate"]["image"] + answer["gate"]["text"] == 1
    assert set(answer["model"]) == {"version", "sha256"}
    assert answer["notice"] == NOTICE
    assert answer == predictor.predict(photo, TEXT, explain=False).to_dict()


def test_predict_with_one_input(shell: Shell, photo_path: Path) -> None:
    answer = predict_json(shell, "--image", photo_path)
    assert answer["by_modality"]["text"] is None
    assert answer["gate"] == {"image": 1.0, "text": 0.0}
    answer = predict_json(shell, "--text", TEXT)
    assert answer["by_modality"]["image"] is None
    assert answer["gate"] == {"image": 0.0, "text": 1.0}


def test_predict_explains_on_request(shell: Shell, photo_path: Path) -> None:
    attention = predict_json(shell, "--explain", "--image", photo_path, "--text", TEXT)["attention"]
    assert sum(map(sum, attention["photo"])) == pytest.approx(1)
    assert [word["word"] for word in attention["words"]] == TEXT.split()
    for word in attention["words"]:
        assert TEXT[word["start"] : word["end"]] == word["word"]
        assert sum(map(sum, word["photo"])) == pytest.approx(1)


def test_predict_prints_text_for_people(shell: Shell) -> None:
    status, out, err = shell("predict", "--explain", "--text", TEXT)
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert [line.split("%  ")[1] in NAMES for line in lines[:3]] == [True] * 3
    assert lines[3] == "gate: photo 0%, description 100%"
    assert lines[4].startswith("words: ")
    assert lines[5] == NOTICE


def test_cautions_and_the_set_are_told_in_plain_words(
    cautious_folder: Path, cautious_predictor: Predictor, shell: Shell, photo_path: Path
) -> None:
    shell.checkpoints = cautious_folder
    prediction = cautious_predictor.predict(photo_path)
    status, out, _ = shell("predict", "--image", photo_path)
    lines = out.splitlines()
    assert status == 0
    count = len(prediction.cautions)
    assert lines[:count] == [f"caution: {CAUTIONS[reason]}" for reason in prediction.cautions]
    assert lines[count] == "The model abstains; what it would answer:"
    assert lines[count + 4] == "with 90% coverage: " + ", ".join(prediction.prediction_set)
    answer = predict_json(shell, "--image", photo_path)
    assert answer["abstains"] and answer["cautions"] == list(prediction.cautions)
    assert answer["prediction_set"] == list(prediction.prediction_set)


def test_batch_tells_cautions_and_sets(
    cautious_folder: Path, cautious_predictor: Predictor, shell: Shell, tmp_path: Path
) -> None:
    shell.checkpoints = cautious_folder
    cases = [{"case_id": "1", "image": "", "text": "xqzvkjwfp wjfpqzzzx"}]
    (row,) = run_batch(shell, write_cases(tmp_path / "cases.csv", cases), tmp_path / "out.csv")
    assert row["cautions"] == "words unknown"
    expected = cautious_predictor.predict(text=cases[0]["text"]).prediction_set
    assert row["prediction_set"].split("; ") == list(expected)


def test_bad_cases_are_refused_in_one_line(shell: Shell, tmp_path: Path) -> None:
    text_file = tmp_path / "two\nlines.txt"
    text_file.write_text("no photo")
    for arguments, message in (
        ((), "got neither --image nor --text"),
        (("--text", "  "), "the description is empty"),
        (("--text", "!!!"), "no readable words"),
        (("--text", "\udcff rash"), "broken characters"),
        (("--image", tmp_path / "no\nthing.png"), "no photo at"),
        (("--image", tmp_path), "no photo at"),
        (("--image", text_file, "--text", TEXT), "not a photo that can be read"),
    ):
        assert message in shell.refused("predict", "--json", *arguments)


def test_wrong_arguments_are_refused_in_one_line(shell: Shell) -> None:
    assert "invalid choice: 'guess'" in shell.refused("guess")
    assert "--out" in shell.refused("batch", "cases.csv")
    assert "unrecognized arguments: --loud" in shell.refused("predict", "--loud")


def test_missing_or_broken_checkpoint_is_refused(shell: Shell, tmp_path: Path) -> None:
    shell.checkpoints = tmp_path / "nowhere"
    assert "no checkpoint at" in shell.refused("predict", "--text", TEXT)
    (tmp_path / "config.json").write_text("{}")
    shell.checkpoints = tmp_path
    assert "field 'format' is missing" in shell.refused("info")


def write_cases(path: Path, rows: list[dict[str, str]], encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, ["image", "note", "case_id", "text"])  # any order, and more
        writer.writeheader()
        writer.writerows(rows)
    return path


def run_batch(shell: Shell, cases: Path, out: Path) -> list[dict[str, str]]:
    status, printed, _ = shell("batch", cases, "--out", out)
    assert (status, printed) == (0, "")
    with out.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        assert reader.fieldnames == BATCH_COLUMNS
        rows = list(reader)
    assert not list(out.parent.glob("*.tmp"))
    return rows


def test_batch_answers_every_row_as_predict_does(
    shell: Shell, photo_path: Path, tmp_path: Path, predictor: Predictor
) -> None:
    cases = [
        {"case_id": "both", "image": "photos/spot.png", "text": TEXT},
        {"case_id": "photo", "image": str(photo_path), "text": ""},
        {"case_id": "text", "image": "", "text": f'{TEXT},\nsince "Monday"'},
    ]
    # Photos are looked for beside the CSV, wherever the result goes.
    (tmp_path / "results").mkdir()
    table = write_cases(tmp_path / "cases.csv", cases, encoding="utf-8-sig")
    rows = run_batch(shell, table, tmp_path / "results" / "out.csv")
    assert [row["case_id"] for row in rows] == ["both", "photo", "text"]
    for case, row in zip(cases, rows, strict=True):
        image = photo_path if case["image"] else None
        prediction = predictor.predict(image, case["text"] or None, explain=False)
        assert row["error"] == ""
        assert [row[f"top{rank}"] for rank in (1, 2, 3)] == [name for name, _ in prediction.top(3)]
        values = [float(row[f"p:{name}"]) for name in NAMES]
        assert values == pytest.approx(prediction.probabilities, abs=1e-6)
        assert float(row["gate_image"]) == pytest.approx(prediction.gate.image, abs=1e-6)
        assert float(row["gate_text"]) == pytest.approx(prediction.gate.text, abs=1e-6)


def test_batch_goes_on_after_a_bad_row(shell: Shell, photo_path: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(photo_path.read_bytes()[:200])
    cases = [
        {"case_id": "1", "image": "nowhere.jpg", "text": TEXT},
        {"case_id": "2", "image": "broken.jpg", "text": ""},
        {"case_id": "3", "image": "", "text": ""},
        {"case_id": "4", "image": "", "text": "?!"},
        {"case_id": "5", "image": "", "text": TEXT},
    ]
    rows = run_batch(shell, write_cases(tmp_path / "cases.csv", cases), tmp_path / "out.csv")
    errors = [row["error"] for row in rows]
    for error, message in zip(
        errors, ("no photo at", "damaged", "got neither", "no readable words", ""), strict=True
    ):
        assert message in error
    assert errors[4] == "" and rows[4]["top1"] in NAMES
    for row in rows[:4]:
        assert all(row[column] == "" for column in BATCH_COLUMNS[1:-1])


def test_batch_keeps_the_case_ids_and_makes_formulas_inert(shell: Shell, tmp_path: Path) -> None:
    kept = ["-1000600354148496558", "-1.5", "007", "1e5", "a-b", "Fall Ü 皮", "a=b", ""]
    formulas = ["=1+1", "+49 1", "@SUM(A1)", "-1+1", "-x", '=HYPERLINK("http://x","y")', "-"]
    cases = [{"case_id": case, "image": "", "text": "rash"} for case in (*kept, *formulas)]
    rows = run_batch(shell, write_cases(tmp_path / "cases.csv", cases), tmp_path / "out.csv")
    expected = [*kept, *("'" + formula for formula in formulas)]
    assert [row["case_id"] for row in rows] == expected
    assert {row["error"] for row in rows} == {""}


def test_batch_of_a_short_row_or_of_no_rows(shell: Shell, tmp_path: Path) -> None:
    table = tmp_path / "cases.csv"
    table.write_text("case_id,text,image\n7,itchy rash\n")
    (row,) = run_batch(shell, table, tmp_path / "out.csv")
    assert (row["case_id"], row["error"]) == ("7", "")
    table.write_text("case_id,text,image\n")
    assert run_batch(shell, table, tmp_path / "out.csv") == []


def test_batch_refuses_what_is_no_table_of_cases(shell: Shell, tmp_path: Path) -> None:
    table, out = tmp_path / "cases.csv", tmp_path / "out.csv"
    for content, message in (
        (b"case_id,text\n1,rash\n", "column image is missing; expected case_id, image, text"),
        (b"id;image;text\n", "column case_id, image, text is missing"),
        (b"", "column case_id, image, text is missing"),
        (b"case_id,image,text\n1,,\xff\xfe\n", "not a CSV in UTF-8"),
        (b"case_id,image,text\n1,," + b"a" * 200_000 + b"\n", "not a CSV"),
    ):
        table.write_bytes(content)
        assert message in shell.refused("batch", table, "--out", out)
    assert "nowhere.csv" in shell.refused("batch", tmp_path / "nowhere.csv", "--out", out)
    assert not out.exists()


def test_batch_into_a_missing_folder_is_refused(shell: Shell, tmp_path: Path) -> None:
    table = write_cases(tmp_path / "cases.csv", [{"case_id": "1", "image": "", "text": TEXT}])
    assert "nowhere" in shell.refused("batch", table, "--out", tmp_path / "nowhere" / "out.csv")


def test_info_prints_json(shell: Shell, predictor: Predictor) -> None:
    status, out, err = shell("info")
    assert (status, err) == (0, "")
    info = json.loads(out)
    assert info["conditions"] == list(NAMES)
    assert info["sha256"] == predictor.identity.sha256
    assert info["licence"]["code"] == "Apache-2.0"
    weights = sum(parameter.numel() for parameter in predictor.checkpoint.model.parameters())
    assert sum(info["parameters"].values()) == weights
    assert set(info["temperatures"]) == {"image", "text", "fused"}
    assert info["abstention"] is None
    assert info["metrics"] == predictor.checkpoint.metrics
    assert info["provenance"] == predictor.checkpoint.provenance
    assert info["notice"] == NOTICE


def test_help_and_version_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    for argument, expected in (("--help", NOTICE.split(":")[0]), ("--version", __version__)):
        with pytest.raises(SystemExit) as stop:
            main([argument])
        assert stop.value.code == 0
        assert expected in capsys.readouterr().out


def test_as_a_program(checkpoint_folder: Path, photo_path: Path) -> None:
    command = [sys.executable, "-m", "dermmm", "predict", "--json"]
    command += ["--checkpoints", str(checkpoint_folder), "--image", str(photo_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["gate"] == {"image": 1.0, "text": 0.0}
