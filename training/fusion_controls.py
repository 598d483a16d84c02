"""What the gated cross-attention is worth: simpler ways to use photo and words, in one table.

    python -m training.fusion_controls --data runs/first/data --out runs/first [--preset cpu]

Every control answers the true pairs of the test split:

* the same fusion without the gate's supervision, and with other seeds;
* concatenation: both pooled vectors to a two-layer network, trained on the same cases, encoded
  photos and epochs;
* the mean of both heads' calibrated evidence;
* stacking: a logistic regression on both heads' evidence. It is fitted on validation pairs, because
  the heads were trained on the training split and are too sure there; its penalty is chosen by
  cross-validation over groups, and its validation score is out of fold;
* gradient boosting on the clinical fields (age, sex, site, six findings) and the photo's evidence;
  fitted on validation pairs, for the same reason;
* photo alone and words alone.

Temperatures, and which single modality is the better one, come from validation. What is fitted on
validation pairs knows which few conditions have true pairs; the fusion answers all of them, so it
stands in the table once more with its choice limited to these. The last rows are another protocol,
that of published figures: test photos with a random test text of the same condition
("label-matched"). Reads `OUT/fusion`; four trainings as long as the fusion's own. The scores are in
`OUT/fusion_controls/summary.json`.

Shapes: B pairs, N patches, D width, T tokens, K conditions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from plotly.graph_objects import Figure, Scatter
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from dermmm.calibration import fit_temperature, probabilities
from dermmm.conditions import NAMES
from dermmm.model import DermModel
from dermmm.text_encoder import masked_mean
from dermmm.tokenizer import Tokenizer
from training import controls, fusion, scoring
from training.answers import Answers
from training.dataset import cases_with_text, condition_index, read_manifest, read_texts
from training.evaluate import LABEL_MATCHED
from training.features import cached_patches
from training.fusion import Inputs
from training.linear import linear_probe, spread
from training.loop import Step, fit
from training.objectives import balanced_softmax
from training.scoring import among, paired_difference, score
from training.section import BLUE, VERMILION, Section, table, with_interval
from training.stage import Stage, run_stage

NAME = "fusion_controls"
GCA = "gated cross-attention"
LIMITED = "gated cross-attention, limited to the conditions of true pairs"
SINGLE = ("image only", "text only")
PARTS = ("fused_logits", "image_logits", "text_logits")  # of `Answers`: GCA, then SINGLE
FITTED_ON_VAL = ("stacking", "gradient boosting")
SCORES = {"balanced accuracy": "balanced_accuracy", "top-1": "top1", "top-3": "top3"}
FINDINGS = ("itch", "grew", "hurt", "changed", "bleed", "elevation")


Both = tuple[np.ndarray, np.ndarray]  # (B, K) probabilities on validation, and on test


@dataclass(frozen=True)
class FusionControlsConfig:
    seeds: tuple[int, ...] = (1, 2)  # beside the seed of the run's own fusion
    hidden: int = 256  # width of the concatenation's hidden layer
    folds: int = 5
    strengths: tuple[float, ...] = (0.0001, 0.001, 0.01, 0.1)  # C of stacking that are tried
    seed: int = 0  # of folds, boosting and label-matched pairs


@dataclass(frozen=True)
class HeldOut:
    """Pairs outside the training split, their photos encoded."""

    rows: pd.DataFrame
    patches: np.ndarray  # (B, N, D)
    texts: list[str]

    @property
    def targets(self) -> np.ndarray:
        return condition_index(self.rows)

    @property
    def groups(self) -> np.ndarray:
        return self.rows["group"].to_numpy()


def true_pairs(model: DermModel, data: Path, out: Path, split: str) -> HeldOut:
    """Photos of a split with the description of the same lesion."""
    rows, patches = _photos(model, data, out, split)
    own = (rows["text_path"] != "").to_numpy()
    rows = rows[own].reset_index(drop=True)
    return HeldOut(rows, patches[own], [variants[0] for variants in read_texts(data, rows)])


def label_matched(model: DermModel, data: Path, out: Path, split: str, seed: int) -> HeldOut:
    """The photos of a split in the pairs of `training.controls.label_matched`."""
    rows, patches = _photos(model, data, out, split)
    rows = controls.label_matched(rows, cases_with_text(read_manifest(data), split), seed)
    texts = [variants[0] for variants in read_texts(data, rows)]
    return HeldOut(rows.reset_index(drop=True), patches[rows.index], texts)


def _photos(model: DermModel, data: Path, out: Path, split: str) -> tuple[pd.DataFrame, np.ndarray]:
    """The photos of a split that have a condition, and their patches (B, N, D)."""
    manifest = read_manifest(data)
    chosen = (manifest["split"] == split) & (manifest["condition"] != "")
    rows = manifest[chosen & (manifest["photo"] != "")].reset_index(drop=True)
    encoder, size = model.image_encoder, model.config.image_size
    return rows, cached_patches(encoder, data, list(rows["photo"]), size, out / "cache")[:, 0]


class Concatenation(nn.Module):
    """Both pooled vectors side by side, through one hidden layer. Takes what the fusion takes."""

    def __init__(self, image_width: int, text_width: int, conditions: int, hidden: int) -> None:
        super().__init__()
        self.norm_image, self.norm_text = nn.LayerNorm(image_width), nn.LayerNorm(text_width)
        self.absent_image = nn.Parameter(torch.zeros(image_width))
        self.absent_text = nn.Parameter(torch.zeros(text_width))
        self.layers = nn.Sequential(
            nn.Linear(image_width + text_width, hidden),
            nn.GELU(),
            nn.Dropout(0.2),
            nn.Linear(hidden, conditions),
        )

    def forward(
        self,
        patches: Tensor,
        states: Tensor,
        token_mask: Tensor,
        image_present: Tensor,
        text_present: Tensor,
    ) -> Tensor:
        """(B, K) logits; the arguments are those of `dermmm.fusion.GatedCrossAttention`."""
        image, text = (
            self.norm_image(patches.mean(dim=1)),
            self.norm_text(masked_mean(states, token_mask)),
        )
        image = torch.where(image_present[:, None], image, self.absent_image)
        text = torch.where(text_present[:, None], text, self.absent_text)
        return self.layers(torch.cat([image, text], dim=1))


def train_concatenation(config: FusionControlsConfig, inputs: Inputs, folder: Path) -> nn.Module:
    """Train the concatenation on the fusion's cases, for as many epochs."""
    loop = inputs.config.loop
    torch.manual_seed(loop.seed)
    widths = inputs.model.image_encoder.width, inputs.model.text_encoder.width
    module = Concatenation(*widths, len(NAMES), config.hidden)
    prior = inputs.prior

    def batch_loss(module: nn.Module, step: Step) -> Tensor:
        batch = inputs.draw(step)
        return balanced_softmax(module(*batch.inputs), batch.targets, prior.to(step.device))

    fit(folder, module, batch_loss, inputs.sampler(loop), loop)
    return module.eval()


def temperature(logits: Tensor, targets: np.ndarray) -> float:
    """The temperature that fits logits (B, K), without the conditions that they cannot answer."""
    truth = torch.from_numpy(targets)
    known = torch.isfinite(logits[torch.arange(len(truth)), truth])
    return fit_temperature(logits[known], truth[known])


def calibrated(val: HeldOut, logits: Sequence[Tensor]) -> Both:
    """Probabilities of logits on validation and on other pairs, at validation's temperature."""
    on_val, on_test = logits
    fitted = temperature(on_val, val.targets)
    return probabilities(on_val, fitted).numpy(), probabilities(on_test, fitted).numpy()


def clinical_fields(rows: pd.DataFrame) -> pd.DataFrame:
    """Age in years, sex, site, and six findings (1 yes, 0 no) of manifest rows.

    What is not recorded is -1 or "": a tree splits it off as it would a missing value.
    """
    fields = [json.loads(text) for text in rows["fields"]]
    keys = {
        "age": ("age_approx", "age"),
        "sex": ("sex", "gender"),
        "site": ("anatom_site_special", "anatom_site_general", "region"),
    }
    told = pd.DataFrame(
        {
            name: [next((str(one[key]) for key in names if one.get(key)), "") for one in fields]
            for name, names in keys.items()
        }
    )
    told["age"] = pd.to_numeric(told["age"], errors="coerce").fillna(-1)
    for name in FINDINGS:
        told[name] = [{"True": 1, "False": 0}.get(str(one.get(name)), -1) for one in fields]
    return told


def boosting(seed: int) -> BaseEstimator:
    """Gradient boosting on a table with the columns of `clinical_fields` and numbers."""
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(
        make_column_transformer((ordinal, ["sex", "site"]), remainder="passthrough"),
        HistGradientBoostingClassifier(
            max_iter=60, learning_rate=0.05, class_weight="balanced", random_state=seed
        ),
    )


def fitted_answers(
    build: Callable[[], Any], val: HeldOut, features: Sequence[Any], config: FusionControlsConfig
) -> Both:
    """Answers of a classifier that learns from validation pairs.

    Args:
        build: gives a new classifier.
        features: of validation and of test; arrays or tables with a row for each pair.

    Returns:
        on validation, what classifiers said that were fitted on other groups of it; on test, what
        one said that was fitted on all of validation.
    """
    on_val, on_test = features
    targets = val.targets
    out_of_fold = np.full((len(targets), len(NAMES)), 1 / len(NAMES))
    commonest = int(np.unique(targets, return_counts=True)[1].max())  # few in made data
    folds = StratifiedGroupKFold(
        max(2, min(config.folds, commonest)), shuffle=True, random_state=config.seed
    )
    for fitting, held in folds.split(targets, targets, val.groups):
        if len(np.unique(targets[fitting])) > 1:
            model = build().fit(_rows(on_val, fitting), targets[fitting])
            out_of_fold[held] = spread(model, _rows(on_val, held))
    return out_of_fold, spread(build().fit(on_val, targets), on_test)


def _rows(features: Any, chosen: np.ndarray) -> Any:
    return features.iloc[chosen] if isinstance(features, pd.DataFrame) else features[chosen]


@threadpool_limits.wrap(limits=1)  # small fits: a second thread only waits
def untrained_controls(
    model: DermModel,
    said: tuple[Answers, Answers],
    held: tuple[HeldOut, HeldOut],
    config: FusionControlsConfig,
) -> tuple[dict[str, Both], float]:
    """The controls that need no training run.

    Args:
        said, held: the fusion's answers and the pairs, on validation and on test.

    Returns:
        their answers, and the C that stacking chose.
    """
    val = held[0]
    image, text = ([getattr(one, part) for one in said] for part in ("image_logits", "text_logits"))
    image_head, text_head = model.fusion.image_head, model.fusion.text_head
    # evidence: centred logits, finite also at conditions that a head was never taught
    seen, read = (
        [image_head.evidence(one) for one in image],
        [text_head.evidence(one) for one in text],
    )
    heat = temperature(image[0], val.targets), temperature(text[0], val.targets)
    means = [(one / heat[0] + other / heat[1]) / 2 for one, other in zip(seen, read, strict=True)]
    answers = {
        SINGLE[0]: calibrated(val, image),
        SINGLE[1]: calibrated(val, text),
        "mean of calibrated logits": calibrated(val, means),
    }
    joined = [torch.cat(parts, dim=1).numpy() for parts in zip(seen, read, strict=True)]
    trials = {}
    for strength in config.strengths:

        def build(strength: float = strength) -> Any:
            return linear_probe(strength, max_iterations=1000)

        trials[strength] = fitted_answers(build, val, joined, config)
    best = max(trials, key=lambda strength: balanced_accuracy(trials[strength][0], val))
    answers["stacking"] = trials[best]
    tables = [
        clinical_fields(pairs.rows).join(pd.DataFrame(part.numpy()).add_prefix("image "))
        for pairs, part in zip(held, seen, strict=True)
    ]
    answers["gradient boosting"] = fitted_answers(
        lambda: boosting(config.seed), val, tables, config
    )
    return answers, best


def balanced_accuracy(values: np.ndarray, pairs: HeldOut) -> float:
    """Mean recall of the first choices (B, K) over the conditions of the pairs."""
    return scoring.balanced_accuracy(values.argmax(axis=1), pairs.targets)


def main(config: FusionControlsConfig, data: Path, out: Path) -> dict[str, object]:
    settings = fusion.read_config(out)
    shipped, tokenizer = fusion.load_model(out)
    inputs = fusion.prepare(settings, data, out)
    val, test = (true_pairs(shipped, data, out, split) for split in ("val", "test"))

    def answer(model: DermModel, pairs: HeldOut) -> Answers:
        return fusion.answer_pairs(model, tokenizer, pairs.patches, pairs.texts)

    def fused(name: str, **changed: Any) -> Both:
        changed_settings = replace(settings, **changed)
        model, _ = fusion.train(changed_settings, inputs, out, out / NAME / name)
        return calibrated(val, [answer(model, pairs).fused_logits for pairs in (val, test)])

    said = answer(shipped, val), answer(shipped, test)
    answers = {GCA: calibrated(val, [one.fused_logits for one in said])}
    possible = np.unique(val.targets)
    told = np.isin(np.arange(len(NAMES)), possible)
    on_val, on_test = answers[GCA]
    answers[LIMITED] = among(on_val, told), among(on_test, told)
    answers["no supervision of the gate"] = fused("unsupervised", gate_weight=0.0)
    module = train_concatenation(config, inputs, out / NAME / "concatenation")
    answers["concatenation"] = calibrated(
        val, [concatenated(module, shipped, tokenizer, pairs) for pairs in (val, test)]
    )
    untrained, strength = untrained_controls(shipped, said, (val, test), config)
    answers |= untrained
    seeds = {settings.loop.seed: answers[GCA]}
    for seed in config.seeds:
        seeds[seed] = fused(f"seed-{seed}", loop=replace(settings.loop, seed=seed))

    matched = label_matched(shipped, data, out, "test", config.seed)
    on_matched = answer(shipped, matched)
    by_protocol = {
        name: calibrated(val, [getattr(one, part) for one in (said[0], on_matched)])[1]
        for name, part in zip((GCA, *SINGLE), PARTS, strict=True)
    }

    def difference(first: str, second: str) -> dict[str, dict[str, float]]:
        return paired_difference(answers[first][1], answers[second][1], test.targets, test.groups)

    return {
        "rows": {
            name: {
                **score(on_test, test.targets, test.groups),
                "val_balanced_accuracy": balanced_accuracy(on_val, val),
            }
            for name, (on_val, on_test) in answers.items()
        },
        "gca_less": {name: difference(GCA, name) for name in answers if name != GCA},
        "limited_less": {name: difference(LIMITED, name) for name in FITTED_ON_VAL},
        "better_single_modality": max(
            SINGLE, key=lambda name: balanced_accuracy(answers[name][0], val)
        ),
        "stacking_strength": strength,
        "conditions_of_true_pairs": [NAMES[one] for one in possible],
        "seeds": {
            str(seed): score(on_test, test.targets, test.groups)
            for seed, (_, on_test) in seeds.items()
        },
        "label_matched": {
            name: score(values, matched.targets, matched.groups)
            for name, values in by_protocol.items()
        },
    }


@torch.inference_mode()
def concatenated(
    module: nn.Module, model: DermModel, tokenizer: Tokenizer, pairs: HeldOut
) -> Tensor:
    """(B, K) logits of a trained `Concatenation`."""
    batches = fusion.pair_inputs(model, tokenizer, pairs.patches, pairs.texts)
    return torch.cat([module(*inputs) for inputs in batches])


def section(summary: dict[str, Any]) -> Section:
    """The controls for docs/results.md."""
    rows = summary["rows"]
    header = ("true pairs of the test split", *SCORES, "ECE", "fusion less this, balanced accuracy")
    lines: list[tuple[object, ...]] = [
        (
            name,
            *(with_interval(row[key]) for key in SCORES.values()),
            f"{row['ece']:.3f}",
            with_interval(summary["gca_less"][name]["balanced_accuracy"], sign="+")
            if name != GCA
            else "",
        )
        for name, row in rows.items()
    ]
    better = summary["better_single_modality"]
    gain = summary["gca_less"][better]
    seeds = [row["balanced_accuracy"]["value"] for row in summary["seeds"].values()]
    matched = table(
        (LABEL_MATCHED, "n", "conditions", *SCORES),
        [
            (
                name,
                row["n"],
                row["conditions"],
                *(with_interval(row[key]) for key in SCORES.values()),
            )
            for name, row in summary["label_matched"].items()
        ],
    )
    limit = ", ".join(
        f"{with_interval(difference['balanced_accuracy'], sign='+')} against {name}"
        for name, difference in summary["limited_less"].items()
    )
    text = f"""`python -m training.fusion_controls` answers the {rows[GCA]["n"]} true pairs of
the test split ({rows[GCA]["conditions"]} conditions) in simpler ways. Trained controls had the
fusion's cases and epochs. Intervals are 95 %, from a bootstrap over groups; differences are paired.

{table(header, lines)}

The better single modality on validation is *{better}*: on test the fusion is ahead of it by
{with_interval(gain["balanced_accuracy"], sign="+")} in balanced accuracy and
{with_interval(gain["top3"], sign="+")} in top-3. An interval that holds 0 shows no difference.

Stacking and gradient boosting were fitted on validation pairs, so they know that only
{len(summary["conditions_of_true_pairs"])} conditions have true pairs. Limited to these as well,
the fusion's difference in balanced accuracy is {limit}.

Seeds of the fusion ({", ".join(summary["seeds"])}): balanced accuracy {np.mean(seeds):.3f} on
average, {min(seeds):.3f} to {max(seeds):.3f}.

A published 84 % rests on another protocol: a test photo with a random test text of the same
condition. Nobody described that lesion, and all conditions with a real test text take part:

{matched}
"""
    return Section("Fusion against simpler ways", text, {"fusion_controls": figure(summary)})


def figure(summary: dict[str, Any]) -> Figure:
    """Balanced accuracy of every row with its 95 % interval."""
    rows = {name: row["balanced_accuracy"] for name, row in summary["rows"].items()}
    values = [row["value"] for row in rows.values()]
    drawn = Figure(
        Scatter(
            x=values,
            y=list(rows),
            mode="markers",
            marker={
                "size": 10,
                "color": [BLUE if name in (GCA, LIMITED) else VERMILION for name in rows],
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [row["high"] - row["value"] for row in rows.values()],
                "arrayminus": [row["value"] - row["low"] for row in rows.values()],
            },
        )
    )
    return drawn.update_layout(
        template="plotly_white",
        width=900,
        height=460,
        title="The fusion (blue) against simpler ways, true pairs of the test split",
        xaxis_title="balanced accuracy, with its 95 % interval",
        yaxis={"autorange": "reversed", "automargin": True},
    )


STAGE = Stage(NAME, main, measures=True)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
