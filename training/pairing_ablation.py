"""What pseudo-pairs are worth, and the rule that makes them: the fusion with others, or with none.

    python -m training.pairing_ablation --data runs/first/data --out runs/first [--preset cpu]

Every arm trains the run's fusion on the same true pairs, photos alone and texts alone, for the same
steps and with the same encoded photos; photos that one arm pairs with words, another leaves alone:

* no pseudo-pairs;
* random: any text of the photo's condition;
* cluster frequency and quantile matching, as `training.pairing` describes them;
* quantile matching in which the photos' scores come from the probe stage: the SimCLR encoder under
  a linear probe, in place of the retrained encoder. Left out where `OUT/simclr` does not exist.

The arm that the run itself used is not trained again. Scores are on the true pairs of validation
and of the test split, which are tumours only, and on label-matched test pairs, which hold rashes
too; nothing is chosen by them. As long as the fusion's training for each arm. Reads `OUT/pairing`
and `OUT/fusion`; writes `OUT/pairing_ablation/summary.json`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plotly.graph_objects import Figure, Scatter

from dermmm.model import DermModel
from training import fusion, pairing, simclr
from training.dataset import condition_index, pack_photos, read_manifest
from training.features import photo_patches
from training.fusion_controls import (
    HeldOut,
    calibrated,
    label_matched,
    true_pairs,
)
from training.image_classifier import ImageClassifier
from training.linear import PROBE_STRENGTH, linear_probe
from training.scoring import paired_difference, score
from training.section import BLUE, VERMILION, Section, table, with_interval
from training.stage import Stage, load_module, read_summary, run_stage

NAME = "pairing_ablation"
# arm -> the rule of `training.pairing` that it uses
ARMS = {
    "no pseudo-pairs": "none",
    "random text of the condition": "random",
    "cluster frequency": "cluster",
    "quantile matching": "quantile",
}
PROBE_STAGE = "quantile matching by the probe-stage encoder"
WHERE = ("val", "test", "label-matched")


@dataclass(frozen=True)
class PairingAblationConfig:
    probe_photos: int = 3000  # training photos that the linear probe is fitted on
    probe_strength: float = PROBE_STRENGTH  # C, the inverse of its penalty
    seed: int = 0


def probe_stage(config: PairingAblationConfig, data: Path, out: Path, size: int) -> ImageClassifier:
    """The SimCLR encoder under a linear probe, in the form of an image classifier.

    Args:
        size: S, the pixels at which photos are scored.
    """
    manifest = read_manifest(data)
    train = manifest[(manifest["split"] == "train") & (manifest["condition"] != "")]
    train = train[train["photo"] != ""]
    train = train.sample(min(config.probe_photos, len(train)), random_state=config.seed)
    classifier = ImageClassifier()
    load_module(classifier.encoder, out / simclr.NAME / "encoder.safetensors")
    packed = pack_photos(data, list(train["photo"]), size, out / "cache")
    pooled = photo_patches(classifier.encoder, packed, "probe").astype(np.float32).mean(axis=1)
    probe = linear_probe(config.probe_strength, max_iterations=1000)
    scaler, regression = probe.fit(pooled, condition_index(train))
    head, seen = classifier.head, torch.from_numpy(regression.classes_)
    head.covered.fill_(False)[seen] = True
    # The scaler's part is folded into the weights: w (x - m) / s + b = (w / s) x + b - (w / s) m
    weights = regression.coef_ / scaler.scale_
    with torch.no_grad():
        head.linear.weight[seen] = torch.from_numpy(weights).float()
        head.linear.bias[seen] = torch.from_numpy(
            regression.intercept_ - weights @ scaler.mean_
        ).float()
    return classifier.eval()


def main(config: PairingAblationConfig, data: Path, out: Path) -> dict[str, object]:
    settings = fusion.read_config(out)
    shipped, tokenizer = fusion.load_model(out)
    held: dict[str, HeldOut] = {
        "val": true_pairs(shipped, data, out, "val"),
        "test": true_pairs(shipped, data, out, "test"),
        "label-matched": label_matched(shipped, data, out, "test", config.seed),
    }
    cases: dict[str, dict[str, int]] = {}
    answers: dict[str, dict[str, np.ndarray]] = {}

    def add(arm: str, inputs: fusion.Inputs, model: DermModel) -> None:
        logits = {
            where: fusion.answer_pairs(model, tokenizer, pairs.patches, pairs.texts).fused_logits
            for where, pairs in held.items()
        }
        cases[arm] = {str(k): int(n) for k, n in inputs.cases["kind"].value_counts().items()}
        answers[arm] = {
            where: calibrated(held["val"], (logits["val"], values))[1]
            for where, values in logits.items()
        }

    for arm, rule in ARMS.items():
        inputs = fusion.prepare(replace(settings, rule=rule), data, out)
        if rule == settings.rule:
            add(arm, inputs, shipped)
        else:
            add(arm, inputs, fusion.train(settings, inputs, out, out / NAME / rule)[0])
    if (out / simclr.NAME / "encoder.safetensors").is_file():
        how = read_summary(out, pairing.NAME)["config"]
        pairing_settings = pairing.PairingConfig(**how)
        scorer = probe_stage(config, data, out, pairing_settings.image_size)
        pairs = pairing.score_and_pair(scorer, pairing_settings, data, out)
        quantile = pairs[pairs["rule"] == "quantile"]
        inputs = fusion.prepare(settings, data, out, quantile)
        folder = out / NAME / "probe-stage"
        add(PROBE_STAGE, inputs, fusion.train(settings, inputs, out, folder)[0])

    reference = "quantile matching"
    return {
        "arms": {
            arm: {
                "cases": cases[arm],
                **{
                    where: score(values, held[where].targets, held[where].groups)
                    for where, values in found.items()
                },
            }
            for arm, found in answers.items()
        },
        "quantile_matching_less": {
            arm: {
                where: paired_difference(
                    answers[reference][where], values, held[where].targets, held[where].groups
                )
                for where, values in found.items()
            }
            for arm, found in answers.items()
            if arm != reference
        },
    }


def section(summary: dict[str, Any]) -> Section:
    """The ablation for docs/results.md."""
    lines: list[tuple[object, ...]] = [
        (
            arm,
            row["cases"].get("pseudo-pair", 0),
            *(with_interval(row[where]["balanced_accuracy"]) for where in WHERE),
        )
        for arm, row in summary["arms"].items()
    ]
    if PROBE_STAGE not in summary["arms"]:
        lines.append((PROBE_STAGE, "not run", *("" for _ in WHERE)))
    differences: list[tuple[object, ...]] = [
        (arm, *(with_interval(row[where]["balanced_accuracy"], sign="+") for where in WHERE))
        for arm, row in summary["quantile_matching_less"].items()
    ]
    places = ("true pairs, validation", "true pairs, test", "label-matched, test")
    text = f"""`python -m training.pairing_ablation` trains the fusion with other pseudo-pairs for
the same steps. Balanced accuracy with its 95 % interval, one seed an arm:

{table(("pseudo-pairs", "how many", *places), lines)}

Quantile matching less each other arm, paired; an interval that holds 0 shows no difference:

{table(("pseudo-pairs", *places), differences)}

True pairs are tumours only, and pseudo-pairs are of all conditions, so true pairs can show little
of their worth. Label-matched pairs put a random text of the condition beside a test photo: they
hold rashes, but reward what pseudo-pairs rehearse.
"""
    return Section("What pseudo-pairs are worth", text, {"pairing_ablation": figure(summary)})


def figure(summary: dict[str, Any]) -> Figure:
    """Balanced accuracy of every arm on both kinds of test pairs, with 95 % intervals."""
    drawn = Figure()
    for where, name, colour in (
        ("test", "true pairs", BLUE),
        ("label-matched", "label-matched pairs", VERMILION),
    ):
        found = [row[where]["balanced_accuracy"] for row in summary["arms"].values()]
        drawn.add_trace(
            Scatter(
                x=[one["value"] for one in found],
                y=list(summary["arms"]),
                name=name,
                mode="markers",
                marker={"size": 10, "color": colour},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [one["high"] - one["value"] for one in found],
                    "arrayminus": [one["value"] - one["low"] for one in found],
                },
            )
        )
    return drawn.update_layout(
        template="plotly_white",
        width=900,
        height=400,
        title="The fusion with other pseudo-pairs, test split",
        xaxis_title="balanced accuracy, with its 95 % interval",
        yaxis={"autorange": "reversed", "automargin": True},
        scattermode="group",
    )


STAGE = Stage(NAME, main, measures=True)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
