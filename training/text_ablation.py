"""What each part of the text training is worth: the same training without it, on validation.

    python -m training.text_ablation --data runs/first/data --out runs/first [--preset cpu]

Every arm changes one thing in the settings of the run's own text classifier and trains for about as
many steps as the others (whole epochs), so that a smaller training set is read more often. K-means
balancing stands beside random thinning to the same size and beside no balancing at all. Nothing
here is shipped; `OUT/text_ablation/summary.json` holds the scores, and the command prints them as a
table. A few minutes an arm on two cores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from training import text_classifier
from training.dataset import cases_with_text, condition_index, read_manifest, read_texts
from training.features import text_logits
from training.scoring import is_measured, score
from training.section import Section, with_interval
from training.section import table as markdown_table
from training.stage import Stage, run_stage

NAME = "text_ablation"

# arm -> what it changes
ARMS: dict[str, dict[str, Any]] = {
    "as shipped": {},
    "K-means balancing": {"balanced": "text-kmeans"},
    "random thinning to the same size": {"balanced": "text-random"},
    "no pre-training": {"start": "random"},
    "no synthetic texts": {"synthetic": 0},
    "every case drawn alike": {"resampling": 0.0},
}


@dataclass(frozen=True)
class TextAblationConfig:
    steps: int = 300  # of each arm
    arms: tuple[str, ...] = tuple(ARMS)


def main(config: TextAblationConfig, data: Path, out: Path) -> dict[str, object]:
    classifier = text_classifier.read_config(out)
    rows = cases_with_text(read_manifest(data), "val")
    texts = [variants[0] for variants in read_texts(data, rows)]
    targets, groups = condition_index(rows), rows["group"].to_numpy()
    measured = is_measured(targets)
    scores: dict[str, object] = {}
    for arm in config.arms:
        settings = replace(classifier, **ARMS[arm])
        cases = len(text_classifier.training_cases(settings, data))
        an_epoch = max(1, cases // settings.loop.batch_size)
        loop = replace(settings.loop, epochs=max(1, round(config.steps / an_epoch)))
        folder = out / NAME / arm.replace(" ", "-").lower()
        model, tokenizer, said = text_classifier.train(
            replace(settings, loop=loop), data, out, folder
        )
        logits, _ = text_logits(model, tokenizer, texts)
        answers = torch.from_numpy(logits[measured]).softmax(dim=1).numpy()
        scores[arm] = {
            **score(answers, targets[measured], groups[measured]),
            "cases": said["cases"],
            "steps": loop.epochs * an_epoch,
        }
    return {"arms": scores, "changed": {arm: ARMS[arm] for arm in config.arms}}


def table(summary: dict[str, Any]) -> str:
    """The arms as Markdown, scores with their 95 % intervals."""
    lines: list[tuple[object, ...]] = [
        (
            arm,
            row["cases"],
            row["steps"],
            *(with_interval(row[name]) for name in ("balanced_accuracy", "top3")),
        )
        for arm, row in summary["arms"].items()
    ]
    return markdown_table(("arm", "training cases", "steps", "balanced accuracy", "top-3"), lines)


def section(summary: dict[str, Any]) -> Section:
    """The study's part of the results page."""
    one = next(iter(summary["arms"].values()))
    text = f"""{table(summary)}

On the {one["n"]} validation texts of {one["conditions"]} conditions; one seed an arm, about as \
many steps each. From `python -m training.{NAME}`."""
    return Section("What each part of the text training is worth", text)


STAGE = Stage(NAME, main)

if __name__ == "__main__":
    print(table(run_stage(STAGE, __doc__)))
