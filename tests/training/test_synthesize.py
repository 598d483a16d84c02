"""The whole stage on made data: offline drafts, and a local server with a server's failures."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from dermmm.conditions import NAMES, names_in
from tests.training.chat_server import chat_server, made_text
from training import synthesize
from training.clean import MANIFEST_COLUMNS
from training.language_model import read_log
from training.stage import run
from training.synthesize import (
    COLUMNS,
    OPTIMISE_SHARE,
    RealTexts,
    SynthesizeConfig,
    command_line,
    findings_of,
    main,
    optimise,
    parse,
    prompt_files,
    read_config,
    read_prompt,
    read_real_texts,
    sources_of,
)
from training.text_filters import Case

TOPICS = {
    "acne": ("oily skin with blackheads", "painful red pimples", "deep lumps and scars"),
    "eczema": ("itchy cracked hands", "oozing red patches", "thick, dry, scratched skin"),
    "psoriasis": ("silver scale on red plaques", "pitted nails", "scaly elbows and knees"),
}
SITES = ("face", "back", "arm", "leg", "chest", "neck", "hand")
KEY = "made-up-key-456"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Cleaned data with 40 training and 12 other cases of three conditions, two wordings each."""
    folder = tmp_path / "data"
    rows = []
    for condition, findings in TOPICS.items():
        for number in range(64):
            split = "train" if number < 40 else ("val", "test")[number % 2]
            finding, site = findings[number % 3], SITES[number % 7]
            texts = [
                f"I am {20 + number} and have {finding} on my {site}.",
                f"{20 + number} years old, {finding}; site: {site}.",
            ]
            if split == "test":
                texts = ["Text that nobody may read before the very end."]
            path = f"text_only/{split}/{condition}/{number}.txt"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text("\n".join(texts), encoding="utf-8")
            rows.append(
                dict.fromkeys(MANIFEST_COLUMNS, "")
                | {
                    "id": f"{condition}{number}",
                    "group": f"{condition}{number}",
                    "split": split,
                    "modality": "text_only",
                    "fields": "{}",
                    "condition": condition,
                    "targets": "{}",
                    "text_path": path,
                }
            )
    pd.DataFrame(rows, columns=MANIFEST_COLUMNS).to_csv(folder / "manifest.csv", index=False)
    (folder / "fingerprint.json").write_text("{}", encoding="utf-8")
    return folder


@pytest.fixture
def made_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drafts that fit the topics; every fifth is too short."""

    def draft(condition: str, seed: int, voice: str | None = None) -> SimpleNamespace:
        findings = TOPICS.get(condition, ("red bumps", "itching"))
        text = f"{made_text(1000 * NAMES.index(condition) + seed)} With {findings[seed % 2]}."
        return SimpleNamespace(
            condition=condition,
            voice="patient",
            findings=findings[:2],
            text="Too short." if seed % 5 == 0 else text,
        )

    monkeypatch.setattr(synthesize, "grammar", SimpleNamespace(draft=draft))


def read(data: Path) -> pd.DataFrame:
    return pd.read_csv(data / "synthetic" / "texts.csv", dtype=str, keep_default_na=False)


def drop_judge(data: Path) -> None:
    """With half of the training cases there is no judge, and every label passes."""
    manifest = pd.read_csv(data / "manifest.csv", dtype=str, keep_default_na=False)
    number = manifest["id"].str.extract(r"(\d+)$")[0].astype(int)
    kept = manifest[(manifest["split"] != "train") | (number < 20)]
    kept.to_csv(data / "manifest.csv", index=False)


def log_of(out: Path) -> Path:
    return out / "language_model" / "requests.jsonl"


def settings(base_url: str, **changes: Any) -> SynthesizeConfig:
    return SynthesizeConfig(
        **{
            "per_condition": 8,
            "clusters": 3,
            "nearest": 2,
            "model": "tiny",
            "base_url": base_url,
            "workers": 4,
            "timeout": 2.0,
            "backoff": 0.001,
            **changes,
        }
    )


# the offline generator ---------------------------------------------------------------------------


@pytest.mark.usefixtures("made_grammar")
def test_drafts_are_accepted_until_there_are_enough(data: Path, tmp_path: Path) -> None:
    summary: dict[str, Any] = main(SynthesizeConfig(per_condition=20), data, tmp_path)
    table = read(data)
    assert list(table.columns) == COLUMNS
    assert table["condition"].value_counts().to_dict() == dict.fromkeys(NAMES, 20)
    assert summary["accepted"] == dict.fromkeys(NAMES, 20)
    assert table["id"].is_unique and set(table["source"]) == {"grammar"}
    assert set(table[table["condition"] == "acne"]["findings"]) == {"; ".join(TOPICS["acne"][:2])}
    assert not any(names_in(text) for text in table["text"])
    # nothing is lost: a draft is accepted, or counted by the filter that dropped it
    assert summary["drafted"] == len(table) + sum(summary["dropped"].values())
    assert summary["dropped"]["length"] >= len(NAMES) * 5
    by_condition = summary["dropped_by_condition"]
    assert list(by_condition) == list(NAMES)
    for name, count in summary["dropped"].items():
        assert count == sum(one.get(name, 0) for one in by_condition.values())
    assert summary["judge"]["conditions"] == sorted(TOPICS)
    assert summary["not_judged"] == 20 * (len(NAMES) - len(TOPICS))


@pytest.mark.usefixtures("made_grammar")
def test_the_same_seed_gives_the_same_file(data: Path, tmp_path: Path) -> None:
    contents = []
    for seed in (0, 0, 50):
        main(SynthesizeConfig(per_condition=5, seed=seed), data, tmp_path)
        contents.append((data / "synthetic" / "texts.csv").read_bytes())
    assert contents[0] == contents[1] != contents[2]


def test_a_generator_that_repeats_itself_is_an_error(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draft(condition: str, seed: int) -> SimpleNamespace:
        return SimpleNamespace(condition=condition, voice="chart", findings=(), text=made_text(1))

    monkeypatch.setattr(synthesize, "grammar", SimpleNamespace(draft=draft))
    with pytest.raises(ValueError, match=r"got 1 of actinic keratosis .*repeat.* at least 4 of"):
        main(SynthesizeConfig(per_condition=4), data, tmp_path)
    assert not (data / "synthetic" / "texts.csv").exists()


@pytest.mark.parametrize(("fewest", "wanted"), [(2, 4), (3, 2), (2, 2)])
def test_enough_is_what_is_wanted_or_the_fewest(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fewest: int, wanted: int
) -> None:
    def draft(condition: str, seed: int) -> SimpleNamespace:  # two different texts, and no more
        text = made_text(seed % 2)
        return SimpleNamespace(condition=condition, voice="chart", findings=(), text=text)

    drop_judge(data)
    monkeypatch.setattr(synthesize, "grammar", SimpleNamespace(draft=draft))
    monkeypatch.setattr(synthesize, "FEWEST", fewest)
    summary: dict[str, Any] = main(SynthesizeConfig(per_condition=wanted), data, tmp_path)
    assert summary["accepted"] == dict.fromkeys(NAMES, 2)
    monkeypatch.setattr(synthesize, "FEWEST", 3)
    with pytest.raises(ValueError, match="expected at least 3"):
        main(SynthesizeConfig(per_condition=4), data, tmp_path)


def test_the_real_generator_reaches_what_is_wanted(data: Path, tmp_path: Path) -> None:
    drop_judge(data)  # one who has read three made-up topics knows no real condition
    summary: dict[str, Any] = main(SynthesizeConfig(per_condition=15), data, tmp_path)
    assert summary["accepted"] == dict.fromkeys(NAMES, 15)
    assert summary["judge"] is None and summary["not_judged"] == 15 * len(NAMES)
    assert not any(names_in(text) for text in read(data)["text"])


# a language model --------------------------------------------------------------------------------


@pytest.mark.usefixtures("made_grammar")
def test_the_stage_survives_what_a_server_does(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGUAGE_MODEL_KEY", KEY)
    drop_judge(data)
    faults = ["429", "500", "time-out", "malformed", "named", "cut", "empty", "lines", "503"]
    with chat_server(faults) as server:
        summary: dict[str, Any] = main(settings(server.base_url), data, tmp_path)
    table, log = read(data), read_log(log_of(tmp_path))

    assert summary["failed"] == 0
    assert summary["accepted"] == dict.fromkeys(NAMES, 8)
    assert summary["dropped"]["unnamed"] == 10  # every text of the answer that names a condition
    assert not any(names_in(text) for text in table["text"])
    assert summary["drafted"] == len(table) + sum(summary["dropped"].values())
    # seven of the faults cost another request each; nothing else was asked twice
    assert len(server.bodies) == len(log) + 7 == sum(one.attempts for one in log)
    assert {one.model for one in log} == set(table["source"]) == {"tiny"}
    assert set(table["prompt"]) == {"plain"}
    asked = {one.id: one.prompt for one in log}
    for row in table.to_dict("records"):
        prompt = asked[row["id"].removeprefix("model-").rpartition("-")[0]]
        assert synthesize.VOICES[row["voice"]] in prompt
    assert set(table["findings"]) == {""}  # nobody knows which of them the model told
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY not in path.read_text(encoding="utf-8")


@pytest.mark.usefixtures("made_grammar")
def test_the_model_is_never_told_the_condition_nor_a_held_out_text(
    data: Path, tmp_path: Path
) -> None:
    drop_judge(data)
    with chat_server() as server:
        main(settings(server.base_url, temperature=0.7, texts_per_request=3), data, tmp_path)
    assert {body["temperature"] for body in server.bodies} == {0.7}
    told = "\n".join(server.prompts)
    assert not names_in(told)
    assert "nobody may read" not in told
    assert any(finding in told for finding in TOPICS["psoriasis"])
    # validation cases are 59 years and older
    assert not any(f"{age} years old" in told for age in range(60, 84))
    assert {*synthesize.VOICES.values()} == {
        voice for voice in synthesize.VOICES.values() if voice in told
    }


@pytest.mark.usefixtures("made_grammar")
def test_a_killed_run_goes_on_and_asks_nothing_twice(data: Path, tmp_path: Path) -> None:
    drop_judge(data)
    log = log_of(tmp_path)
    with chat_server() as server:
        with pytest.raises(RuntimeError, match=r"budget of 7 requests .*; run again with a larger"):
            main(settings(server.base_url, budget=7), data, tmp_path)
        assert len(server.bodies) == 7 == len(read_log(log))
        assert not (data / "synthetic").exists()
        log.write_bytes(log.read_bytes()[:-20])  # the kill tore the last line
        second: dict[str, Any] = main(settings(server.base_url), data, tmp_path)
    assert second["accepted"] == dict.fromkeys(NAMES, 8)
    asked = pd.Series(server.prompts).value_counts()
    logged = pd.Series([one.prompt for one in read_log(log)]).value_counts()
    assert (asked - logged).sum() == 1  # the torn one, and no other
    with chat_server() as server:
        third = main(settings(server.base_url), data, tmp_path)
        assert server.bodies == []
    assert third == second


@pytest.mark.usefixtures("made_grammar")
def test_a_dead_server_leaves_the_texts_as_they_were(data: Path, tmp_path: Path) -> None:
    (data / "synthetic").mkdir()
    (data / "synthetic" / "texts.csv").write_text("made before")
    with chat_server(["500"] * 1000) as server:
        config = settings(server.base_url, attempts=2)
        with pytest.raises(RuntimeError, match=r"0 accepted texts of 208: .*answered no request"):
            run(synthesize.STAGE, config, data, tmp_path)
        assert len(server.bodies) == 2 * len(NAMES)
    assert (data / "synthetic" / "texts.csv").read_text() == "made before"
    assert read_config(tmp_path) is None
    assert sum(one.attempts for one in read_log(log_of(tmp_path))) == len(server.bodies)


@pytest.mark.usefixtures("made_grammar")
def test_copies_of_the_examples_are_dropped(data: Path, tmp_path: Path) -> None:
    drop_judge(data)
    copies = json.dumps(read_real_texts(data).training("eczema")[:10])
    with chat_server() as server:
        fresh = server.content

        def content(number: int, act: str) -> str:
            prompt = server.prompts[number - 1]
            return copies if any(one in prompt for one in TOPICS["eczema"]) else fresh(number, act)

        server.content = content  # type: ignore[method-assign]
        with pytest.raises(ValueError, match=r"got 0 of eczema .*not_a_seed.* at least 8 of"):
            main(settings(server.base_url), data, tmp_path)
    assert not (data / "synthetic").exists()


def test_findings_come_from_clusters_or_from_the_generator(data: Path, made_grammar: None) -> None:
    real, config = read_real_texts(data), settings("http://127.0.0.1")
    clusters = sources_of("eczema", real, config)
    assert [one.cluster for one in clusters] == [0, 1, 2]
    assert all(set(one.examples) <= set(real.training("eczema")) for one in clusters)
    assert all(1 <= len(one.examples) <= 2 and one.findings for one in clusters)
    drafted = sources_of("scabies", real, config)
    assert [one.cluster for one in drafted] == [-1, -1, -1]
    assert all(len(one.examples) <= 2 and one.findings for one in drafted)
    assert {one for source in drafted for one in source.examples} == {
        synthesize.grammar.draft("scabies", seed).text for seed in range(6)
    }


def test_findings_are_clauses_that_say_something_medical() -> None:
    texts = ("62F, a rash on the arm. It does not bleed; thanks!", "Thank you. A rash on the arm")
    assert findings_of(texts) == ("A rash on the arm", "It does not bleed")
    # who, where and how long is no finding
    assert findings_of(["85-year-old male, skin problem on the back for a week; feels well."]) == ()


@pytest.mark.usefixtures("made_grammar")
def test_texts_without_a_finding_are_no_examples() -> None:
    bare = ["I am 62 and have a skin problem on my back.", "A skin issue on the arm for a year."]
    real = RealTexts(
        {
            "acne": [Case("a", tuple(bare)), Case("b", ("My skin problem itches.",))],
            "keloid": [Case("c", tuple(bare))],
        }
    )
    config = settings("http://127.0.0.1")
    assert [one.examples for one in sources_of("acne", real, config)] == [
        ("My skin problem itches.",)
    ]
    assert sources_of("keloid", real, config)[0].cluster == -1


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        ('["It itches.", "It burns."]', ["It itches.", "It burns."]),
        ('```json\n["It itches.",\n "It burns."]\n```', ["It itches.", "It burns."]),
        ('Sure! ["It itches."] I hope this helps.', ["It itches."]),
        ('["It itches.", 7, null, ""]', ["It itches."]),
        ("Here you are:\n\n1. It itches.\n2) It burns.", ["It itches.", "It burns."]),
        ('- "It itches."\n* It burns.', ["It itches.", "It burns."]),
        # cut half-way: what is whole is kept
        ('["It itches.", "It bur', ["It itches."]),
        ('["It itches.",\n "It burns."', ["It itches.", "It burns."]),
        ('```json\n["It itches.", "It burns.",', ["It itches.", "It burns."]),
        ('Sure! ["It itches.", "It \\"burns\\".", "It', ["It itches.", 'It "burns".']),
        ('["It bur', []),
        ("[", []),
        # a bare quotation mark closes too soon
        ('["It itches.", "He says "itch" a lot.", "It burns."]', ["It itches."]),
        ('["It itches,\nbadly."]', ["It itches, badly."]),
        ('{"texts": ["It itches.", "It burns."]}', ["It itches.", "It burns."]),
        ('[{"text": "It itches."}]', []),
        ("1. It itches [on the arm].\n2. It burns.", ["It itches [on the arm].", "It burns."]),
        ("2 weeks of itching.", ["2 weeks of itching."]),
        ("It  itches,\tbadlyâ€¦", ["It itches, badly…"]),
        ("[]", []),
        ("", []),
    ],
)
def test_parsing_of_answers(answer: str, texts: list[str]) -> None:
    assert parse(answer) == texts


# prompts -----------------------------------------------------------------------------------------


def test_there_are_prompts_and_all_can_be_used() -> None:
    assert {"plain", "findings-first", "persona"} <= {path.stem for path in prompt_files()}
    for path in prompt_files():
        text = read_prompt(path.stem).substitute(findings="F!", examples="E!", voice="V!", count=7)
        assert all(mark in text for mark in ("F!", "E!", "V!", "7"))
        assert not names_in(text)


def test_bad_prompts_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected one of findings-first, "):
        read_prompt("none")
    monkeypatch.setattr(synthesize, "PROMPTS", tmp_path)
    (tmp_path / "bare.txt").write_text("Write $count texts on $condition.")
    with pytest.raises(ValueError, match=r"\['condition', 'count'\]"):
        read_prompt("bare")


def test_a_prompt_that_names_a_condition_is_never_sent(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_grammar: None
) -> None:
    monkeypatch.setattr(synthesize, "PROMPTS", tmp_path)
    (tmp_path / "plain.txt").write_text("Psoriasis! $count $voice $findings $examples")
    with chat_server() as server:
        with pytest.raises(ValueError, match="names psoriasis"):
            main(settings(server.base_url), data, tmp_path)
        assert server.bodies == []


@pytest.mark.usefixtures("made_grammar")
def test_the_prompt_with_the_most_accepted_texts_is_kept(data: Path, tmp_path: Path) -> None:
    drop_judge(data)
    real = read_real_texts(data)
    with chat_server() as server:
        fresh = server.content

        def content(number: int, act: str) -> str:
            prompt = server.prompts[number - 1]
            if "Imagine" in prompt:
                return fresh(number, act)
            name = next(name for name in TOPICS if any(one in prompt for one in TOPICS[name]))
            return json.dumps(real.training(name)[:10])

        server.content = content  # type: ignore[method-assign]
        config = settings(server.base_url, prompt="best", workers=1)
        with pytest.raises(FileNotFoundError, match="--optimise"):
            main(config, data, tmp_path)
        found: dict[str, Any] = optimise(config, data, tmp_path, conditions=2, texts=10)
        tried = len(server.bodies)
        summary: dict[str, Any] = main(config, data, tmp_path)
    assert found["prompt"] == summary["prompt"] == "persona"
    assert set(found["scores"]) == {path.stem for path in prompt_files()}
    assert found["scores"]["persona"]["accepted"] > found["scores"]["plain"]["accepted"] == 0
    assert set(read(data)["prompt"]) == {"persona"}
    # one log for both: what the chosen prompt was answered is not asked again
    log = read_log(log_of(tmp_path))
    assert tried == 2 * len(prompt_files())
    assert len(log) == len(server.bodies) == tried + summary["requests"] - 2


@pytest.mark.usefixtures("made_grammar")
def test_among_equals_the_prompt_least_like_the_seeds_is_kept(data: Path, tmp_path: Path) -> None:
    real = read_real_texts(data)
    names = list(TOPICS)
    # a little of a real text in each answer, for all prompts but one
    quoted = [" ".join(real.training(name)[0].split()[3:7]) for name in names]
    with chat_server() as server:

        def content(number: int, act: str) -> str:
            tail = " Bumps on the soles." if "silently" in server.prompts[number - 1] else ""
            tail = tail or f" {' '.join(quoted)}."
            return json.dumps([made_text(100 * number + i) + tail for i in range(10)])

        server.content = content  # type: ignore[method-assign]
        config = settings(server.base_url, workers=1)
        drop_judge(data)  # all are accepted alike
        found: dict[str, Any] = optimise(config, data, tmp_path, conditions=2, texts=10)
    scores = found["scores"]
    assert len({round(one["accepted"], 1) for one in scores.values()}) == 1
    assert found["prompt"] == "findings-first"
    assert scores["findings-first"]["overlap"] < scores["plain"]["overlap"]


@pytest.mark.usefixtures("made_grammar")
def test_every_prompt_gets_its_part_of_the_budget(data: Path, tmp_path: Path) -> None:
    drop_judge(data)
    prompts = len(prompt_files())
    budget = int(2 * prompts / OPTIMISE_SHARE)  # two requests a prompt, where six are wanted
    with chat_server() as server:
        config = settings(server.base_url, workers=1, budget=budget)
        for _ in range(2):  # the second time the log answers, and no more is spent
            found: dict[str, Any] = optimise(config, data, tmp_path, conditions=3, texts=20)
            assert {one["texts"] for one in found["scores"].values()} == {20}
            assert len(server.bodies) == 2 * prompts == OPTIMISE_SHARE * budget
        with pytest.raises(ValueError, match=f"give a --budget of {5 * prompts} or more"):
            optimise(settings(server.base_url, budget=5 * prompts - 1), data, tmp_path)
    with chat_server(["500"] * 100) as server:
        config = settings(server.base_url, workers=1, budget=budget, model="other")
        with pytest.raises(RuntimeError, match="no answer to the prompt findings-first"):
            optimise(config, data, tmp_path)
        assert len(server.bodies) == 2
    assert sum(one.attempts for one in read_log(log_of(tmp_path))) == 2 * prompts + 2


# the command line --------------------------------------------------------------------------------


@pytest.mark.usefixtures("made_grammar")
def test_the_command_line_goes_on_with_a_larger_budget(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drop_judge(data)
    common = ["--data", str(data), "--out", str(tmp_path), "--per-condition", "3"]
    with chat_server() as server:
        monkeypatch.setenv("LANGUAGE_MODEL_URL", server.base_url)
        with pytest.raises(RuntimeError, match="budget of 5 requests"):
            command_line([*common, "--model", "tiny", "--budget", "5"])
        assert read_config(tmp_path) is None
        command_line([*common, "--model", "tiny"])
        summary = json.loads(capsys.readouterr().out)
    assert summary == json.loads((tmp_path / "synthesize" / "summary.json").read_text())
    assert len(server.prompts) == summary["requests"]
    config = read_config(tmp_path)
    assert config == SynthesizeConfig(per_condition=3, model="tiny", base_url=server.base_url)
    assert run(synthesize.STAGE, config, data, tmp_path) == summary  # done, and known to be


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--optimise"], "name a --model"),
        (["--optimise", "--model", "tiny", "--prompt", "plain"], "leave out --prompt"),
    ],
)
def test_optimise_needs_a_model_and_no_prompt(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    with pytest.raises(SystemExit):
        command_line(["--data", str(data), "--out", str(tmp_path), *options])
    assert message in capsys.readouterr().err
