"""Make new descriptions of each condition from clusters of the real ones, and keep the sound ones.

    python -m training.synthesize --data runs/first/data --out runs/first
    python -m training.synthesize --data runs/first/data --out runs/first \\
        --model NAME --base-url https://host/v1 --budget 2000 [--prompt NAME | --optimise]

Without a model the offline generator (`training.grammar`) drafts the texts. With one, the real
training texts of a condition are clustered; the texts nearest to each centre give its findings and
its style, and the model is asked for more, in the voice of a patient or of a clinician.

The prompt is blind to the label: findings and examples carry the content, and what the model is
not told it cannot leak. A condition without real text takes its findings and examples from the
offline generator (cluster -1). Mind that the examples are real texts, which leave this machine for
the endpoint: use one that the licences of the data allow.

Every text passes the filters of `training.text_filters`. Writes `DATA/synthetic/texts.csv` once
every condition has enough of them. With a model every prompt and answer is logged before that in
`OUT/language_model/requests.jsonl`. A run that stopped, e.g. at its budget, leaves the texts as
they were; run again, with a larger budget, it asks only what the log does not hold. The budget
counts over all runs with one log. The key is read from LANGUAGE_MODEL_KEY and kept nowhere.

`--optimise` first tries every prompt on a few conditions, with a part of the same budget and the
same log, writes `OUT/language_model/prompt.json` and goes on with the best; later `--prompt best`
takes it.

Measured offline, for 600 texts a condition on two busy cores: 102 to 132 seconds, once 209. No GPU
is used.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

import ftfy
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from dermmm.conditions import NAMES, names_in
from training import grammar
from training.dataset import cases_with_text, read_manifest, read_texts
from training.language_model import Answer, Endpoint, Request, ask_all, read_log
from training.stage import MADE, Stage, read_summary, run, write_whole
from training.text_clusters import clusters_of
from training.text_filters import (
    FILTERS,
    Candidate,
    Case,
    Judge,
    NgramIndex,
    Validator,
    tells_a_finding,
    train_judge,
)

NAME = "synthesize"
ASKED = "language_model"  # below OUT, apart from the stage's folder: what was paid for outlives it
PROMPTS = Path(__file__).with_name("prompts")
KEY_VARIABLE = "LANGUAGE_MODEL_KEY"
COLUMNS = ["id", "condition", "source", "voice", "cluster", "findings", "prompt", "text"]

# What $voice says in a prompt.
VOICES = {
    "patient": "The patients write themselves, in the first person and in everyday words.",
    "referral": "A clinician writes, in full sentences in the third person, as in a referral.",
    "chart": "A clinician writes short notes for the chart, with few full sentences.",
}
MAX_DRAFTS = 6  # drafts for each text that is wanted, before a condition is given up
FEWEST = 500  # accepted texts of a condition that are enough, where more are wanted
OPTIMISE_SHARE = 0.2  # of both budgets, for finding the best prompt
MAX_FINDINGS, MAX_FINDING_WORDS = 12, 20  # listed in a prompt, of a cluster


# How a JSON list begins: the answer or its code block does so, or a string follows the bracket.
_LIST = re.compile(r"\A\s*(?:```\w*\s*)?\[|\[(?=\s*\")")
_CLOSED = re.compile(r"\s*(?:[,\]]|\Z)")  # behind a value


@dataclass(frozen=True)
class SynthesizeConfig:
    """``model`` "" stands for the offline generator; ``prompt`` is a file in prompts/ or "best".

    ``budget`` is in HTTP requests, retries included, ``token_budget`` in tokens as the endpoint
    counts them. ``timeout`` and ``backoff`` are in seconds, and with ``temperature`` those of
    `training.language_model.Endpoint`.
    """

    per_condition: int = 600
    clusters: int = 8
    nearest: int = 5
    seed: int = 0
    model: str = ""
    base_url: str = ""
    prompt: str = "plain"
    budget: int = 2000
    token_budget: int = 5_000_000
    texts_per_request: int = 10
    workers: int = 8
    timeout: float = 120.0
    attempts: int = 5
    backoff: float = 1.0
    temperature: float = 1.0

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(
            base_url=self.base_url,
            model=self.model,
            workers=self.workers,
            timeout=self.timeout,
            attempts=self.attempts,
            backoff=self.backoff,
            temperature=self.temperature,
        )


@dataclass(frozen=True)
class RealTexts:
    """The real training cases by condition."""

    cases: dict[str, list[Case]]

    def training(self, condition: str) -> list[str]:
        return [text for case in self.cases.get(condition, []) for text in case.texts]

    def validator(self, judge: Judge | None) -> Validator:
        return Validator({name: self.training(name) for name in self.cases}, judge)


@dataclass(frozen=True)
class Source:
    """What a prompt is made of: a cluster of real texts, or drafts of the generator (-1)."""

    cluster: int
    findings: tuple[str, ...]
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """One request to the model, and what is known about the texts that it will answer with."""

    condition: str
    voice: str
    source: Source
    request: Request


def read_real_texts(data: Path) -> RealTexts:
    """The real texts of the training split; the other splits are never read."""
    rows = cases_with_text(read_manifest(data), "train")
    cases: dict[str, list[Case]] = {}
    for condition, group, wordings in zip(
        rows["condition"], rows["group"], read_texts(data, rows), strict=True
    ):
        cases.setdefault(condition, []).append(Case(group, tuple(wordings)))
    return RealTexts(cases)


# the offline generator ---------------------------------------------------------------------------


def draft_texts(config: SynthesizeConfig, validator: Validator) -> tuple[list[dict[str, str]], int]:
    """Draft texts of every condition until all that are wanted are accepted, or too many dropped.

    Returns:
        rows with the keys ``COLUMNS``, and how many texts were drafted.
    """
    rows, drafted = [], 0
    for condition in tqdm(NAMES, desc="draft", unit="condition"):
        accepted = 0
        for seed in range(config.seed, config.seed + MAX_DRAFTS * config.per_condition):
            if accepted == config.per_condition:
                break
            draft = grammar.draft(condition, seed)
            drafted += 1
            if validator.reason(Candidate(condition, draft.text)):
                continue
            accepted += 1
            rows.append(
                {
                    "id": f"grammar-{_slug(condition)}-{seed}",
                    "condition": condition,
                    "source": "grammar",
                    "voice": draft.voice,
                    "cluster": "-1",
                    "findings": "; ".join(draft.findings),
                    "prompt": "",
                    "text": draft.text,
                }
            )
    return rows, drafted


# a language model --------------------------------------------------------------------------------


def sources_of(condition: str, real: RealTexts, config: SynthesizeConfig) -> list[Source]:
    """What to prompt with: each cluster of the condition's real texts, or drafts without any.

    Texts that tell no finding, but only who has "a skin problem" where, are left out: from them a
    model that does not know the condition could but invent one.
    """
    texts = [text for text in real.training(condition) if findings_of([text])]
    if texts:
        found = clusters_of(texts, config.clusters, config.seed, config.nearest)
        return [Source(i, findings_of(one.nearest), one.nearest) for i, one in enumerate(found)]
    drafts = [
        grammar.draft(condition, seed).text
        for seed in range(config.seed, config.seed + config.clusters * config.nearest)
    ]
    parts = [tuple(drafts[i :: config.clusters]) for i in range(config.clusters)]
    return [Source(-1, findings_of(part), part) for part in parts]


def findings_of(texts: Sequence[str]) -> tuple[str, ...]:
    """The short clauses of texts that tell a finding, each once, those of the first text first.

    Clauses and not words: "does not bleed" must stay whole.
    """
    clauses = (
        clause.strip(" -") for text in texts for clause in re.split(r"[.;!?\n]|, | - ", text)
    )
    told = {
        clause.lower(): clause
        for clause in clauses
        if len(clause.split()) <= MAX_FINDING_WORDS and tells_a_finding(clause)
    }
    return tuple(told.values())[:MAX_FINDINGS]


def read_prompt(name: str) -> Template:
    """A prompt by its file's name without ending.

    Raises:
        ValueError: there is no such file, or it does not use exactly the four placeholders.
    """
    path = PROMPTS / f"{name}.txt"
    if path not in prompt_files():
        known = ", ".join(one.stem for one in prompt_files())
        raise ValueError(f"got prompt {name!r}, expected one of {known}; or add {path.name}")
    template = Template(path.read_text(encoding="utf-8"))
    if {*template.get_identifiers()} != {"findings", "examples", "voice", "count"}:
        raise ValueError(
            f"got {path.name} with the placeholders {sorted(template.get_identifiers())}, expected "
            "$findings, $examples, $voice and $count; correct the file"
        )
    return template


def prompt_files() -> list[Path]:
    return sorted(PROMPTS.glob("*.txt"))


def tasks_of(
    condition: str, sources: Sequence[Source], prompt: str, config: SynthesizeConfig
) -> Iterator[Task]:
    """Requests without end for one condition, over its sources and voices in turn.

    Raises:
        ValueError: a prompt would name a condition.
    """
    template = read_prompt(prompt)
    number = 0
    while True:
        source = sources[number % len(sources)]
        # the voice moves on with every round over the sources, so that each source meets each
        voice = list(VOICES)[(number + number // len(sources)) % len(VOICES)]
        text = template.substitute(
            findings="\n".join(f"- {one}" for one in source.findings) or "- nothing in particular",
            examples="\n".join(f"- {one}" for one in source.examples),
            voice=VOICES[voice],
            count=config.texts_per_request,
        )
        if named := names_in(text):
            raise ValueError(
                f"got a prompt from {prompt}.txt that names {', '.join(sorted(named))}; prompts "
                "are blind to the label; mask the name"
            )
        yield Task(
            condition, voice, source, Request(f"{_slug(condition)}-{number:04d}", prompt, text)
        )
        number += 1


def parse(answer: str) -> list[str]:
    """The texts in a model's answer: a JSON list, else one a line without bullets and headings.

    Of a list that was cut half-way, or is broken, the strings before the torn one are kept.

    >>> parse('Sure: ["It itches.", "It burns."]')
    ['It itches.', 'It burns.']
    >>> parse('["It itches.", "It bur')
    ['It itches.']
    >>> parse("1. It itches.\\n2. It burns.")
    ['It itches.', 'It burns.']
    """
    if listed := _LIST.search(answer):
        texts = _strings(answer[listed.end() :])
    else:
        lines = (line.strip() for line in answer.splitlines())
        texts = [
            re.sub(r"^(?:[-*•]|\(?\d+[.):])\s+", "", line).strip(' ",')
            for line in lines
            if not line.startswith("```") and not line.endswith(":")
        ]
    cleaned = (" ".join(ftfy.fix_text(text).split()) for text in texts)
    return [text for text in cleaned if text]


def _strings(values: str) -> list[str]:
    """The whole strings of a JSON list, from behind its bracket on."""
    decoder = json.JSONDecoder(strict=False)  # a line may break inside a string
    texts: list[str] = []
    while True:
        try:
            value, end = decoder.raw_decode(values := values.lstrip(", \t\r\n"))
        except ValueError:  # the end of the list, or where it was torn
            return texts
        values = values[end:]
        if not _CLOSED.match(values):  # a quotation mark inside the text closed it too soon
            return texts
        if isinstance(value, str):
            texts.append(value)


@dataclass
class Asked:
    """What came of asking: rows with the keys ``COLUMNS``, and counts for the summary."""

    rows: list[dict[str, str]]
    drafted: int = 0
    requests: int = 0
    failed: int = 0
    stopped: str = ""


def ask_for_texts(
    config: SynthesizeConfig,
    conditions: Sequence[str],
    prompt: str,
    real: RealTexts,
    validator: Validator,
    log: Path,
    max_drafts: int = MAX_DRAFTS,
) -> Asked:
    """Ask in rounds, each for as many texts as are still missing, and validate what comes.

    A condition is given up after ``max_drafts`` texts asked for each that is wanted. What is asked
    depends only on the answers so far: a run that goes on with a log asks what it would have asked.
    """
    key = os.environ.get(KEY_VARIABLE, "")
    tasks = {
        name: tasks_of(name, sources_of(name, real, config), prompt, config)
        for name in tqdm(conditions, desc="cluster", unit="condition")
    }
    missing = dict.fromkeys(conditions, config.per_condition)
    may_ask = dict.fromkeys(
        conditions, _requests(max_drafts * config.per_condition, config.texts_per_request)
    )
    done = Asked([])
    while not done.stopped:
        batch: list[Task] = []
        for name in conditions:
            count = min(_requests(missing[name], config.texts_per_request), may_ask[name])
            may_ask[name] -= count
            batch += [next(tasks[name]) for _ in range(count)]
        if not batch:
            break
        outcome = ask_all(
            [task.request for task in batch],
            config.endpoint,
            key,
            log,
            config.budget,
            config.token_budget,
        )
        for task in batch:
            if answer := outcome.answers.get(task.request.id):
                rows, drafted = _accepted(task, answer, validator, missing[task.condition])
                done.rows += rows
                done.drafted += drafted
                missing[task.condition] -= len(rows)
        done.requests += len(batch)
        done.failed += len(outcome.failed)
        done.stopped = outcome.stopped
        if not outcome.answers:
            done.stopped = done.stopped or "the endpoint answered no request of a whole round"
    return done


def _accepted(
    task: Task, answer: Answer, validator: Validator, wanted: int
) -> tuple[list[dict[str, str]], int]:
    """The rows of the texts in an answer that pass, at most ``wanted``, and how many were tried."""
    rows: list[dict[str, str]] = []
    tried = 0
    for place, text in enumerate(parse(answer.text)):
        if len(rows) == wanted:
            break
        tried += 1
        if validator.reason(Candidate(task.condition, text)):
            continue
        rows.append(
            {
                "id": f"model-{answer.id}-{place}",
                "condition": task.condition,
                "source": answer.model,
                "voice": task.voice,
                "cluster": str(task.source.cluster),
                "findings": "",  # what was asked for is in the log; what the text says is unknown
                "prompt": answer.prompt_name,
                "text": text,
            }
        )
    return rows, tried


def _requests(texts: int, texts_per_request: int) -> int:
    return -(-texts // texts_per_request)


def _slug(condition: str) -> str:
    return re.sub(r"[^a-z]+", "-", condition)


# the best prompt ---------------------------------------------------------------------------------


def optimise(
    config: SynthesizeConfig, data: Path, out: Path, conditions: int = 3, texts: int = 20
) -> dict[str, object]:
    """Try every prompt on the conditions with the most real text, and write down the best.

    The best has the highest share of accepted texts; between shares that round to the same ten
    per cent, which so few texts cannot tell apart, the one least like its seeds: the lowest mean
    share of n-grams that one real text holds. What is asked is logged and counted with the run's
    own requests, which take over what they can use. Each prompt may spend an even part of
    ``OPTIMISE_SHARE`` of the budgets.

    Raises:
        ValueError: that part is less than one request.
        RuntimeError: a prompt got no answer.
    """
    log, prompts = out / ASKED / "requests.jsonl", [path.stem for path in prompt_files()]
    part = OPTIMISE_SHARE / len(prompts)
    if config.budget * part < 1:
        raise ValueError(
            f"got a budget of {config.budget} requests, of which {OPTIMISE_SHARE:.0%} may go to "
            f"finding the best of {len(prompts)} prompts, expected one for each; give a --budget "
            f"of {math.ceil(1 / part)} or more"
        )
    real = read_real_texts(data)
    judge = train_judge(real.cases)
    chosen = sorted(real.cases, key=lambda name: (-len(real.cases[name]), name))[:conditions]
    small = dataclasses.replace(config, per_condition=texts)
    seeds = {name: NgramIndex(real.training(name)) for name in chosen}
    scores: dict[str, dict[str, float]] = {}
    for prompt in prompts:
        limited = _limited(small, prompt, part, read_log(log))
        asked = ask_for_texts(
            limited, chosen, prompt, real, real.validator(judge), log, max_drafts=1
        )
        if not asked.drafted:
            raise RuntimeError(
                f"got no answer to the prompt {prompt} ({asked.stopped or 'no text in any'}); "
                f"{log} keeps what came; run again with a larger budget, or another endpoint"
            )
        overlap = [seeds[row["condition"]].containment(row["text"]) for row in asked.rows]
        scores[prompt] = {
            "texts": asked.drafted,
            "accepted": len(asked.rows) / asked.drafted,
            "overlap": float(np.mean(overlap)) if overlap else 1.0,
        }
    best = max(
        scores, key=lambda name: (round(scores[name]["accepted"], 1), -scores[name]["overlap"])
    )
    found: dict[str, object] = {"prompt": best, "conditions": chosen, "scores": scores}
    write_whole(out / ASKED / "prompt.json", json.dumps(found, indent=1) + "\n")
    return found


def _limited(
    config: SynthesizeConfig, prompt: str, part: float, log: Sequence[Answer]
) -> SynthesizeConfig:
    """``config`` with budgets that end where ``prompt`` has spent its ``part`` of them, 0 to 1."""
    own = [one for one in log if (one.model, one.prompt_name) == (config.model, prompt)]

    def limit(budget: int, spent: int, by_prompt: int) -> int:
        return min(budget, spent + max(0, int(part * budget) - by_prompt))

    return dataclasses.replace(
        config,
        budget=limit(
            config.budget, sum(one.attempts for one in log), sum(one.attempts for one in own)
        ),
        token_budget=limit(
            config.token_budget, sum(one.tokens for one in log), sum(one.tokens for one in own)
        ),
    )


def best_prompt(out: Path) -> str:
    """The prompt that `optimise` chose. Raises FileNotFoundError where it has not run."""
    path = out / ASKED / "prompt.json"
    if not path.is_file():
        raise FileNotFoundError(f"no choice at {path}; run with --optimise, or name a prompt")
    return json.loads(path.read_text(encoding="utf-8"))["prompt"]


# the stage ---------------------------------------------------------------------------------------


# One thread: on sparse text, linear algebra in two threads that other work interrupts crawls.
@threadpool_limits.wrap(limits=1)
def main(config: SynthesizeConfig, data: Path, out: Path) -> dict[str, object]:
    """Make the texts, and write them where every condition has enough.

    Raises:
        RuntimeError: the model's run stopped before it had asked all it wanted.
        ValueError: a condition has too few accepted texts.
    """
    real = read_real_texts(data)
    judge = train_judge(real.cases)
    validator = real.validator(judge)
    summary: dict[str, object] = {}
    if config.model:
        prompt = best_prompt(out) if config.prompt == "best" else config.prompt
        log = out / ASKED / "requests.jsonl"
        asked = ask_for_texts(config, NAMES, prompt, real, validator, log)
        if asked.stopped:
            raise RuntimeError(
                f"the run stopped with {len(asked.rows)} accepted texts of "
                f"{len(NAMES) * config.per_condition}: {asked.stopped}; {log} keeps every answer; "
                "run again with a larger --budget, or once the endpoint answers, to go on"
            )
        rows, drafted = asked.rows, asked.drafted
        summary = {"prompt": prompt, "requests": asked.requests, "failed": asked.failed}
    else:
        rows, drafted = draft_texts(config, validator)
    counts = Counter(row["condition"] for row in rows)
    accepted = {name: counts[name] for name in NAMES}
    dropped = {name: dict(validator.dropped[name]) for name in NAMES}
    expect_enough(accepted, dropped, config)
    table = pd.DataFrame(rows, columns=COLUMNS)
    (data / "synthetic").mkdir(parents=True, exist_ok=True)
    write_whole(data / "synthetic" / "texts.csv", table.to_csv(index=False, lineterminator="\n"))
    return {
        **summary,
        "drafted": drafted,
        "accepted": accepted,
        "dropped": {
            one.__name__: sum(counts.get(one.__name__, 0) for counts in dropped.values())
            for one in FILTERS
        },
        "dropped_by_condition": dropped,
        "not_judged": validator.not_judged,
        "judge": judge
        and {"allowed_rank": judge.allowed_rank, "conditions": list(judge.conditions)},
    }


def expect_enough(
    accepted: Mapping[str, int], dropped: Mapping[str, Mapping[str, int]], config: SynthesizeConfig
) -> None:
    """Check that each condition has ``per_condition`` texts, or ``FEWEST`` where that is less.

    Args:
        accepted: condition -> accepted texts.
        dropped: condition -> filter -> dropped texts, told in the error.

    Raises:
        ValueError: a condition has fewer.
    """
    enough = min(FEWEST, config.per_condition)
    short = [
        f"{count} of {name} (dropped: {dropped[name]})"
        for name, count in accepted.items()
        if count < enough
    ]
    if short:
        remedy = "try another --prompt or --model" if config.model else "give more variety"
        raise ValueError(
            f"got {', '.join(short)} accepted texts, expected at least {enough} of each "
            f"condition after {MAX_DRAFTS} drafts for each text wanted; {remedy}"
        )


def read_config(out: Path) -> SynthesizeConfig | None:
    """The settings of the finished stage, None where it is not finished."""
    if not (out / NAME / "summary.json").is_file():
        return None
    return SynthesizeConfig(**read_summary(out, NAME)["config"])


STAGE = Stage(NAME, main, reads=MADE)


def command_line(arguments: Sequence[str] | None = None) -> None:
    """The command line of this stage. Asked for by hand it runs again, with what the log holds."""
    default = SynthesizeConfig()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="what training.clean wrote")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument(
        "--model",
        default=os.environ.get("LANGUAGE_MODEL", ""),
        help="without one, and without $LANGUAGE_MODEL, the offline generator drafts",
    )
    parser.add_argument(
        "--base-url",
        default=os.environ.get("LANGUAGE_MODEL_URL", ""),
        help="an OpenAI-compatible endpoint, else $LANGUAGE_MODEL_URL",
    )
    prompts = [path.stem for path in prompt_files()]
    parser.add_argument("--prompt", choices=[*prompts, "best"], help=f"else {default.prompt}")
    parser.add_argument("--budget", type=int, default=default.budget, help="HTTP requests in all")
    parser.add_argument("--temperature", type=float, default=default.temperature)
    parser.add_argument("--per-condition", type=int, default=default.per_condition)
    parser.add_argument("--optimise", action="store_true", help="find the best prompt first")
    options = parser.parse_args(arguments)
    if options.optimise and not options.model:
        parser.error("--optimise compares prompts: name a --model")
    if options.optimise and options.prompt:
        parser.error("--optimise finds the best prompt: leave out --prompt")
    config = SynthesizeConfig(
        per_condition=options.per_condition,
        model=options.model,
        base_url=options.base_url,
        prompt="best" if options.optimise else options.prompt or default.prompt,
        budget=options.budget,
        temperature=options.temperature,
    )
    if options.optimise:
        print(json.dumps(optimise(config, options.data, options.out), indent=1))
    for made in ("summary.json", "begun.json"):
        (options.out / NAME / made).unlink(missing_ok=True)
    print(json.dumps(run(STAGE, config, options.data, options.out), indent=1))


if __name__ == "__main__":
    command_line()
