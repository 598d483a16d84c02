"""When the model should say less: prediction sets, cautions, and what answering less often gains.

    python -m training.abstention --data runs/first/data --out runs/first

Reads `OUT/checkpoint`, fits on training and validation cases when the model should abstain, writes
that back into it, and reports on the test split how well it holds:

* prediction sets at the promised coverage (split conformal). Method and temperature come from one
  half of the validation groups, thresholds from the other.
* cautions about a photo or a text. Their limits are fitted at stated rates on validation cases.
  Which scores tell pictures of no skin and unfamiliar photos is chosen against pictures made by
  code and a part of the groups of photos with labels outside the label space; the report uses
  pictures of another seed and the other groups. No stage trains on any of these.
* accuracy against the share of cases that are answered, the surest first.

0.8 minutes on two idle cores with photos of 160 pixels.

Shapes: B cases, K conditions, S pixels a side.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dermmm import checkpoint
from dermmm.calibration import fit_sets, probabilities
from dermmm.checkpoint import Checkpoint
from dermmm.outside import (
    QUALITY,
    SCORES,
    STRANGE,
    Abstention,
    Limit,
    modalities_disagree,
    tokens_per_word,
)
from training import not_skin
from training.abstention_page import section as section
from training.answers import answer_rows
from training.calibrate import first_half
from training.conformal import choose_method, compare_methods, score_sets
from training.dataset import (
    SKIN_TYPES,
    cases_with_text,
    condition_index,
    pack_photos,
    read_manifest,
    read_texts,
)
from training.degrade import degrade
from training.faithfulness import mean_interval, rounded
from training.scoring import MEASURED, group_draws, interval_of
from training.stage import Stage, run_stage
from training.unfamiliar import (
    Shown,
    auroc,
    choose_parts,
    encode,
    fit_familiar,
    for_choosing,
    show,
    standard_of,
)
from training.vignettes import read_vignettes

NAME = "abstention"
SHARES = tuple(round(0.05 * step, 2) for step in range(1, 21))  # of cases answered
SUREST = 0.8
BINS = 40


@dataclass(frozen=True)
class AbstentionConfig:
    coverage: float = 0.9
    quality_rate: float = 0.01  # of validation photos: each of blur, dark, bright
    skin_rate: float = 0.01  # of validation photos: not skin-like
    unfamiliar_rate: float = 0.05  # of validation photos: far from training
    words_rate: float = 0.01  # of validation texts: words unknown
    neighbours: int = 40  # training photos of each condition that are kept
    directions: int = 64  # to which image features are reduced
    choosing: float = 0.3  # share of the groups outside the label space that choose the score
    pictures: int = 40  # of each kind that is no skin, for choosing and again for reporting
    poor: int = 150  # test photos that are made worse in each way
    poor_strengths: tuple[tuple[str, float], ...] = (("blur", 0.35), ("dark", 0.8), ("bright", 0.6))
    seed: int = 0


@dataclass(frozen=True)
class Cases:
    """Cases of one split for one answer."""

    rows: pd.DataFrame
    probabilities: np.ndarray  # (B, K)

    @property
    def targets(self) -> np.ndarray:
        return condition_index(self.rows)

    @property
    def groups(self) -> np.ndarray:
        return self.rows["group"].to_numpy()

    @property
    def right(self) -> np.ndarray:
        return (self.probabilities.argmax(axis=1) == self.targets).astype(float)


def main(config: AbstentionConfig, data: Path, out: Path) -> dict[str, Any]:
    loaded = checkpoint.load(out / "checkpoint")
    manifest = read_manifest(data)
    photos = manifest[manifest["photo"] != ""]
    labelled = photos[photos["condition"] != ""]

    def shown(rows: pd.DataFrame, name: str) -> tuple[Shown, dict[str, Any]]:
        size = loaded.model.config.image_size
        packed = pack_photos(data, list(rows["photo"]), size, out / "cache")
        patches = encode(loaded.model, packed, name)
        groups = rows["group"].to_numpy()
        found = show(loaded.model, loaded.temperatures["image"], packed, groups, patches)
        return found, dict(zip(rows["photo"], patches, strict=True))

    def made(pixels: np.ndarray, groups: np.ndarray, name: str) -> Shown:
        patches = encode(loaded.model, pixels, name)
        return show(loaded.model, loaded.temperatures["image"], pixels, groups, patches)

    def pictures(seed: int) -> dict[str, Shown]:
        size = loaded.model.config.image_size
        return {
            kind: made(
                not_skin.pictures(kind, config.pictures, size, seed),
                np.arange(config.pictures).astype(str),
                kind,
            )
            for kind in not_skin.KINDS
        }

    seen, cases = {}, {}
    for split in ("val", "test"):
        rows = labelled[labelled["split"] == split].reset_index(drop=True)
        seen[split], patches = shown(rows, split)
        cases[split] = answers_of(loaded, data, manifest, rows, seen[split], patches, split)
        del patches
    train = labelled[labelled["split"] == "train"].sample(frac=1, random_state=config.seed)
    train = train.groupby("condition").head(config.neighbours).sort_index()
    known, _ = shown(train, "train")
    near_rows = photos[photos["split"] == "near_ood"]
    near, _ = shown(near_rows, "near")

    # Fit and choose: nothing of the test split is looked at.
    compared, sets = {}, {}
    for answer, of in cases["val"].items():
        half = first_half(of.groups)
        compared[answer] = compare_methods(
            of.probabilities[half], of.targets[half], of.groups[half], config.coverage
        )
        method = choose_method(compared[answer], config.coverage)
        sets[answer] = fit_sets(of.probabilities[~half], of.targets[~half], method, config.coverage)
    familiar = fit_familiar(known, condition_index(train), config.directions)
    half = first_half(seen["val"].groups)
    inside = seen["val"].part(half).scores(familiar)
    standard = standard_of(inside)
    picked = for_choosing(near.groups, config.choosing)
    far = {kind: one.scores(familiar) for kind, one in pictures(config.seed).items()}
    choosing = {
        "not skin-like": {name: np.concatenate([far[k][name] for k in far]) for name in SCORES},
        "far from training": near.part(picked).scores(familiar),
    }
    parts = {name: choose_parts(inside, choosing[name], standard) for name in STRANGE}
    rates = {
        **dict.fromkeys(QUALITY, config.quality_rate),
        "not skin-like": config.skin_rate,
        "far from training": config.unfamiliar_rate,
        "words unknown": config.words_rate,
    }
    unlimited = Abstention(config.coverage, sets, {}, parts, standard, familiar)
    on_val = {
        **photo_scores(unlimited, seen["val"]),
        "words unknown": words(loaded, data, cases["val"]["text"].rows),
    }
    limits = {
        name: Limit(float(np.quantile(on_val[name], 1 - rate)), rate)
        for name, rate in rates.items()
    }
    abstention = Abstention(config.coverage, sets, limits, parts, standard, familiar)
    loaded.abstention = abstention
    sha256 = checkpoint.save(loaded, out / "checkpoint")

    # Report, on the test split and on what was kept for it.
    test, reporting = seen["test"], near.part(~picked)
    near_sources = near_rows["source"].to_numpy()[~picked]
    some = np.random.default_rng(config.seed).permutation(len(test.groups))[: config.poor]
    poor = {
        kind: made(degrade(test.pixels[some], kind, strength), test.groups[some], kind)
        for kind, strength in config.poor_strengths
    }
    outside = {
        **{f"far: {kind}": one for kind, one in pictures(config.seed + 1).items()},
        "near": reporting,
        **{f"poor: {kind}": one for kind, one in poor.items()},
    }
    return {
        "sha256": sha256,
        "coverage": config.coverage,
        "methods": compared,
        "rules": abstention.to_json(),
        "sets": {
            answer: score_sets(
                of.probabilities, of.targets, of.groups, sets[answer], parts_of(of.rows)
            )
            for answer, of in cases["test"].items()
        },
        "outside": report_outside(
            abstention,
            test,
            outside,
            cases["test"]["image"].rows["source"].to_numpy(),
            near_sources,
        ),
        "poor_strengths": dict(config.poor_strengths),
        "cautions": report_cautions(abstention, loaded, data, cases["test"], test),
        "shares": SHARES,
        "surest": SUREST,
        "risk": {answer: risk_coverage(of) for answer, of in cases["test"].items()},
    }


def answers_of(
    loaded: Checkpoint,
    data: Path,
    manifest: pd.DataFrame,
    rows: pd.DataFrame,
    shown: Shown,
    patches: dict[str, Any],
    split: str,
) -> dict[str, Cases]:
    """The calibrated answers to a split: to photos, to texts, and to true pairs."""
    pairs = rows[rows["text_path"] != ""].reset_index(drop=True)
    texts = cases_with_text(manifest, split).reset_index(drop=True)
    model, tokenizer, temperatures = loaded.model, loaded.tokenizer, loaded.temperatures
    told = answer_rows(model, tokenizer, data, texts, use=("text",)).text_logits
    both = answer_rows(model, tokenizer, data, pairs, patches=patches).fused_logits
    return {
        "image": Cases(rows, shown.probabilities),
        "text": Cases(texts, probabilities(told, temperatures["text"]).numpy()),
        "fused": Cases(pairs, probabilities(both, temperatures["fused"]).numpy()),
    }


def photo_scores(abstention: Abstention, shown: Shown) -> dict[str, np.ndarray]:
    """The photo scores of `Abstention.photo_scores` for many photos."""
    return abstention.photo_scores(shown.pixels, shown.features, shown.logits, shown.probabilities)


def words(loaded: Checkpoint, data: Path, rows: pd.DataFrame) -> np.ndarray:
    """(B,) tokens for a word of each row's first text."""
    return np.array([tokens_per_word(loaded.tokenizer, said[0]) for said in read_texts(data, rows)])


def parts_of(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Skin types and sources, (B,) bool each."""
    return {
        **{
            f"skin type {name}": rows["skin_type"].isin(types).to_numpy()
            for name, types in SKIN_TYPES.items()
        },
        **{source: (rows["source"] == source).to_numpy() for source in sorted({*rows["source"]})},
    }


def report_outside(
    abstention: Abstention,
    test: Shown,
    outside: dict[str, Shown],
    sources: np.ndarray,
    near_sources: np.ndarray,
) -> dict[str, Any]:
    """AUROC of every score and of the two cautions, how many are flagged, and histograms.

    Args:
        outside: family -> photos; "near" is one of them.
        sources, near_sources: the sources of the test and of the near photos.
    """
    inside = {**test.scores(abstention.familiar), **photo_scores(abstention, test)}
    values = {
        name: {**one.scores(abstention.familiar), **photo_scores(abstention, one)}
        for name, one in outside.items()
    }
    families = {
        "far": [name for name in outside if name.startswith("far")],
        "near": ["near"],
        "poor": [name for name in outside if name.startswith("poor")],
    }
    every = {**families, **{name: [name] for name in outside if name != "near"}}

    def joined(score: str, names: list[str]) -> np.ndarray:
        return np.concatenate([values[name][score] for name in names])

    def area(score: str, names: list[str]) -> dict[str, float] | None:
        groups = [np.char.add(f"{name} ", outside[name].groups.astype(str)) for name in names]
        return auroc(inside[score], joined(score, names), test.groups, np.concatenate(groups))

    def area_within(score: str, source: str) -> dict[str, float] | None:
        here, there = sources == source, near_sources == source
        return auroc(
            inside[score][here],
            values["near"][score][there],
            test.groups[here],
            outside["near"].groups[there],
        )

    return {
        "n": {
            "test photos": len(test.groups),
            **{
                name: sum(len(outside[one].groups) for one in names)
                for name, names in every.items()
            },
        },
        "auroc": {
            score: {family: area(score, names) for family, names in every.items()}
            for score in (*SCORES, *STRANGE)
        },
        "quality": {
            name: area(name, [f"poor: {name}"]) for name in QUALITY if f"poor: {name}" in outside
        },
        "near_within_source": {
            source: {score: area_within(score, source) for score in (*SCORES, "far from training")}
            for source in sorted({*near_sources} & {*sources})
        },
        "flagged": {
            family: {
                name: round(float((joined(name, names) > abstention.limits[name].value).mean()), 4)
                for name in (*QUALITY, *STRANGE)
            }
            for family, names in every.items()
        },
        "histograms": {
            name: histogram(
                {
                    "test photos": inside[name],
                    **{family: joined(name, names) for family, names in families.items()},
                },
                abstention.limits[name].value,
            )
            for name in STRANGE
        },
    }


def histogram(values: dict[str, np.ndarray], limit: float) -> dict[str, Any]:
    """The share of each family's values in `BINS` bins; what lies above the last is in it."""
    low, high = np.quantile(np.concatenate(list(values.values())), [0.0, 0.99])
    edges = np.linspace(low, high, BINS + 1)
    return {
        "edges": edges.round(3).tolist(),
        "limit": limit,
        "shares": {
            family: (np.histogram(one.clip(max=high), edges)[0] / len(one)).round(4).tolist()
            for family, one in values.items()
        },
    }


def report_cautions(
    abstention: Abstention, loaded: Checkpoint, data: Path, cases: dict[str, Cases], test: Shown
) -> dict[str, Any]:
    """How often each caution is given on clean test cases, and how right the model is with it.

    Returns:
        for each answer: n, abstains (share), right where it answers and where it abstains, and
        flagged, the share by caution; and for vignettes the share whose words are unknown.
    """
    limits = abstention.limits
    scores = photo_scores(abstention, test)
    by_photo = {name: values > limits[name].value for name, values in scores.items()}
    place = {row_id: index for index, row_id in enumerate(cases["image"].rows["id"])}
    found: dict[str, Any] = {}
    for answer, of in cases.items():
        flags: dict[str, np.ndarray] = {}
        at = [place[row_id] for row_id in of.rows["id"]] if answer != "text" else []
        if answer != "text":
            flags |= {name: flag[at] for name, flag in by_photo.items()}
        if answer != "image":
            flags["words unknown"] = words(loaded, data, of.rows) > limits["words unknown"].value
        if answer == "fused":
            told = answer_rows(loaded.model, loaded.tokenizer, data, of.rows, use=("text",))
            by_text = probabilities(told.text_logits, loaded.temperatures["text"]).numpy()
            flags["modalities disagree"] = modalities_disagree(
                cases["image"].probabilities[at], by_text, abstention.sets
            )
        abstains = np.any(list(flags.values()), axis=0)

        def right(part: np.ndarray, of: Cases = of) -> dict[str, float] | None:
            return (
                mean_interval(of.right[part], of.groups[part]) if part.sum() >= MEASURED else None
            )

        found[answer] = {
            "n": len(of.rows),
            "abstains": mean_interval(abstains.astype(float), of.groups),
            "right_where_it_answers": right(~abstains),
            "right_where_it_abstains": right(abstains),
            "flagged": {name: round(float(flag.mean()), 4) for name, flag in flags.items()},
        }
    unknown = [
        tokens_per_word(loaded.tokenizer, text) > limits["words unknown"].value
        for text in read_vignettes()["text"]
    ]
    found["vignettes"] = {"n": len(unknown), "words unknown": round(float(np.mean(unknown)), 4)}
    return found


def risk_coverage(cases: Cases) -> dict[str, Any]:
    """What answering only the surest cases gains (Geifman & El-Yaniv 2017, arXiv:1705.08500).

    Sure is a high probability of the first choice. A bootstrap over groups gives the intervals.

    Returns:
        accuracy at each of `SHARES` of the cases; aurc, the mean error over all shares (lower is
        better); and gain, the accuracy at `SUREST` less that of all cases.
    """
    order = np.argsort(-cases.probabilities.max(axis=1), kind="stable")
    right = cases.right[order]
    weights = np.vstack([np.ones(len(right)), group_draws(cases.groups, seed=0)[:, order]])
    counted, hits = weights.cumsum(axis=1), (weights * right).cumsum(axis=1)  # (draws, B)
    share = counted / counted[:, -1:]
    accuracy = hits / np.maximum(counted, 1)

    def at(wanted: float) -> np.ndarray:
        last = (share < wanted - 1e-9).sum(axis=1).clip(max=len(right) - 1)
        return accuracy[np.arange(len(accuracy)), last]

    def interval(values: np.ndarray) -> dict[str, float]:
        return rounded(interval_of(values[0], values[1:]))

    return {
        "n": len(right),
        "accuracy": [interval(at(wanted)) for wanted in SHARES],
        "aurc": interval(((1 - accuracy) * weights).sum(axis=1) / weights.sum(axis=1)),
        "gain": interval(at(SUREST) - at(1.0)),
    }


STAGE = Stage(NAME, main, measures=True)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
