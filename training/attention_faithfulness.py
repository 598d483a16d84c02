"""Does the attention mean something? What a map calls important is taken away, and then all else.

    python -m training.attention_faithfulness --data runs/first/data --out runs/first

Reads `OUT/checkpoint` and the test split; nothing is fitted. The probability of the model's first
choice is followed while cells of the photo (or words) are removed in the order of a map's weights.

* Deletion: the most important first. A faithful map makes the probability fall fast: a small area
  under the curve (Petsiuk et al. 2018, arXiv:1806.07421; Samek et al. 2017, arXiv:1509.06321).
* Insertion: the same cells are shown one after another in a photo of which all were removed. That
  is removal in the reverse order read backwards, and so it is computed. A large area is good.
* Random order is the yardstick, the mean of several orders. Its two areas are the same thing, so
  that it has one. A map beats it where the 95 % interval of the paired difference, by a bootstrap
  over groups, does not reach 0.

A removed cell shows the photo blurred until next to nothing is left (`training.degrade`); a removed
word has its tokens replaced by [MASK], which the text encoder knows from its training.

Maps over the photo. *Class evidence* is what the page shows for a photo alone: a class activation
map, exact because the image head is linear in the mean of the patches. *Attention* is what it shows
for photo and words. *Grad-CAM* (Selvaraju et al. 2017, arXiv:1610.02391) weighs the last feature
map's channels by their mean gradient. For a photo alone these gradients are the head's own weights,
the same in every cell: Grad-CAM is then the class activation map of the raw logit, and class
evidence is that of the logit less the mean over conditions.

Maps that do not depend on what the model learned explain nothing (Adebayo et al. 2018,
arXiv:1810.03292): each is also compared, by rank correlation, with the map of the same case from a
model with random weights. The summary is `OUT/attention_faithfulness/summary.json`. About 5 minutes
with `--preset cpu` on one core.

Shapes: B cases, N parts of a case (cells or words), L steps, T tokens, D width, K conditions, S
pixels a side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from plotly.graph_objects import Figure
from plotly.subplots import make_subplots
from torch import nn

from dermmm import checkpoint
from dermmm.calibration import probabilities
from dermmm.checkpoint import Checkpoint
from dermmm.conditions import NAMES
from dermmm.explain import evidence_weights, explain_words, photo_attention, token_weights
from dermmm.fusion import FusionOutput
from dermmm.image_encoder import grid_side
from dermmm.model import DermModel
from dermmm.occlusion import area_under, cell_of_pixels, removal_masks, removal_order
from dermmm.preprocess import normalise
from dermmm.tokenizer import Tokenizer
from training.dataset import cases_with_text, pack_photos, read_manifest, read_texts
from training.degrade import degrade
from training.faithfulness import (
    add_with_ribbon,
    fuse_all,
    mean_interval,
    rank_correlation,
    spread_over_conditions,
    text_states,
)
from training.features import BATCH, photo_patches
from training.section import COLOURS, Section, table, with_interval
from training.stage import Stage, run_stage

NAME = "attention_faithfulness"
RANDOM = "random order"
EVIDENCE, ATTENTION, GRAD_CAM = "class evidence", "attention", "Grad-CAM"
# What is asked -> the map that the page shows there, and how the page's claim of it is named.
SHOWN = {
    "photo alone": (EVIDENCE, "photo map beats random"),
    "photo of a pair": (ATTENTION, "photo map with words beats random"),
    "words alone": (EVIDENCE, "word weights beat random"),
    "words of a pair": (ATTENTION, "word weights with a photo beat random"),
}

# Which parts are removed, (L, B, N) bool -> probability of the first choice (L, B).
Remove = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class AttentionFaithfulnessConfig:
    split: str = "test"
    photos: int = 120
    pairs: int = 150
    texts: int = 200
    steps: int = 5  # 2 or more, in which the parts are removed; after the last none is left
    random_orders: int = 5
    random_models: int = 3  # for the check against random weights
    removed: str = "blur"  # kind of training.degrade whose strength 1 a removed cell shows
    seed: int = 0


@dataclass(frozen=True)
class Cases:
    """Cases with a photo, a text, or both."""

    groups: np.ndarray  # (B,)
    photos: np.ndarray | None = None  # (B, S, S, 3) uint8
    texts: list[str] | None = None

    @property
    def answer(self) -> str:
        """Which answer the page gives to them: image, text or fused."""
        return "image" if self.texts is None else "text" if self.photos is None else "fused"

    def named(self, part: str) -> str:
        """The question about their photos or words, as in `SHOWN`."""
        return f"{part} of a pair" if self.answer == "fused" else f"{part} alone"


class Asked:
    """What a model says of cases. Encodes each input once, for it is asked again and again."""

    def __init__(
        self, model: DermModel, tokenizer: Tokenizer, cases: Cases, temperature: float = 1.0
    ) -> None:
        self.model, self.tokenizer, self.cases = model, tokenizer, cases
        self.temperature = temperature
        self.patches, self.states = None, None
        self.token_ids, self.token_mask = None, None
        if cases.photos is not None:
            self.patches = photo_patches(model.image_encoder, cases.photos, "photos")
        if cases.texts is not None:
            self.token_ids, self.token_mask = tokenizer(cases.texts)
            self.states = text_states(model, self.token_ids, self.token_mask)
        self.output = fuse_all(model, self.patches, self.states, self.token_mask)
        self.first = self._logits(self.output).argmax(dim=1)  # (B,) the model's first choice

    def probability(
        self, patches: np.ndarray | None = None, states: np.ndarray | None = None
    ) -> np.ndarray:
        """(B,) of the first choice, with other patches or other states in the place of its own."""
        output = fuse_all(
            self.model,
            self.patches if patches is None else patches,
            self.states if states is None else states,
            self.token_mask,
        )
        values = probabilities(self._logits(output), self.temperature)
        return values.gather(1, self.first[:, None])[:, 0].double().numpy()

    def _logits(self, output: FusionOutput) -> torch.Tensor:
        return getattr(output, f"{self.cases.answer}_logits")


def main(config: AttentionFaithfulnessConfig, data: Path, out: Path) -> dict[str, Any]:
    loaded = checkpoint.load(out / "checkpoint")
    model, tokenizer = loaded.model.requires_grad_(False), loaded.tokenizer
    rng = np.random.default_rng(config.seed)
    questions: dict[str, Any] = {}
    for cases in choose(config, loaded, data, out / "cache"):
        asked = Asked(model, tokenizer, cases, loaded.temperatures[cases.answer])
        untrained = [
            Asked(random_model(model, cases.photos, seed), tokenizer, cases)
            for seed in range(config.random_models)
        ]
        for part, explain, remove in (
            ("photo", photo_maps, remove_cells(asked, config.removed)),
            ("words", word_weights, remove_words(asked)),
        ):
            if remove is None:
                continue
            maps = explain(asked, asked.first)
            others = [explain(one, asked.first) for one in untrained]
            questions[cases.named(part)] = {
                "cases": len(cases.groups),
                "groups": len(set(cases.groups)),
                **compare(maps, remove, cases.groups, config, rng),
                "random weights": {
                    name: alike(weights, [other[name] for other in others], cases.groups)
                    for name, weights in maps.items()
                },
            }
    return {
        "split": config.split,
        "removed": config.removed,
        "steps": config.steps,
        "questions": questions,
        "page": {
            claim: questions[name]["maps"][shown]["deletion"]["beats random"]
            for name, (shown, claim) in SHOWN.items()
        },
    }


def choose(
    config: AttentionFaithfulnessConfig, loaded: Checkpoint, data: Path, cache: Path
) -> list[Cases]:
    """Photos alone, true pairs and texts alone of the split, each spread over conditions."""
    manifest = read_manifest(data)
    rows = manifest[(manifest["split"] == config.split) & (manifest["condition"] != "")]
    photos = rows[rows["photo"] != ""]
    pairs = photos[photos["text_path"] != ""]
    texts = cases_with_text(manifest, config.split)
    readable = np.array(NAMES)[loaded.model.fusion.text_head.covered.numpy()]
    texts = texts[texts["condition"].isin(readable)]

    def some(rows: pd.DataFrame, count: int, photo: bool, text: bool) -> Cases:
        few = spread_over_conditions(rows, count, config.seed)
        size = loaded.model.config.image_size
        return Cases(
            few["group"].to_numpy(),
            pack_photos(data, list(few["photo"]), size, cache) if photo else None,
            [variants[0] for variants in read_texts(data, few)] if text else None,
        )

    return [
        some(photos, config.photos, photo=True, text=False),
        some(pairs, config.pairs, photo=True, text=True),
        some(texts, config.texts, photo=False, text=True),
    ]


# --- maps and weights, as the page shows them -----------------------------------------------------


def photo_maps(asked: Asked, first: torch.Tensor) -> dict[str, list[np.ndarray]]:
    """Every kind of map over the photos for conditions ``first`` (B,): (N,) weights a case."""
    output, texts = asked.output, asked.cases.texts
    maps = {
        EVIDENCE: [
            evidence_weights(evidence, int(condition))
            for evidence, condition in zip(output.patch_evidence, first, strict=True)
        ],
        GRAD_CAM: list(grad_cam(asked, first)),
    }
    if texts is not None:
        assert asked.token_mask is not None
        side = grid_side(asked.model.config.image_size)
        maps[ATTENTION] = [
            photo_attention(looks[mask], token_weights(looked_at[:, mask]), side).ravel()
            for looks, looked_at, mask in zip(
                output.words_on_patches, output.patches_on_words, asked.token_mask, strict=True
            )
        ]
    return maps


def grad_cam(asked: Asked, first: torch.Tensor) -> np.ndarray:
    """Grad-CAM (arXiv:1610.02391) on the last feature map: (B, N) weights >= 0.

    The gradient is that of the logit of ``first`` (B,) in the answer that the page gives.
    """
    assert asked.patches is not None
    maps = []
    for start in range(0, len(first), BATCH):
        cut = slice(start, start + BATCH)
        patches = torch.from_numpy(asked.patches[cut]).float().requires_grad_()
        output = asked.model.fuse(
            patches,
            None if asked.states is None else torch.from_numpy(asked.states[cut]),
            None if asked.token_mask is None else asked.token_mask[cut],
        )
        logits = getattr(output, f"{asked.cases.answer}_logits")
        (slopes,) = torch.autograd.grad(logits.gather(1, first[cut, None]).sum(), patches)
        channels = slopes.mean(dim=1, keepdim=True)  # (B, 1, D) how much each channel matters
        maps.append((channels * patches).sum(dim=2).clamp(min=0).detach().numpy())
    return np.concatenate(maps)


def word_weights(asked: Asked, first: torch.Tensor) -> dict[str, list[np.ndarray]]:
    """Every kind of weights of the words for conditions ``first`` (B,): (words,) a case.

    Words past the token limit were not read and are left out.
    """
    assert asked.cases.texts is not None
    side = grid_side(asked.model.config.image_size)
    kinds = (EVIDENCE,) if asked.cases.photos is None else (EVIDENCE, ATTENTION)
    weights: dict[str, list[np.ndarray]] = {kind: [] for kind in kinds}
    for case, text in enumerate(asked.cases.texts):
        _, owner = asked.tokenizer.words(text)
        read = slice(len(owner))  # the rest is padding
        tokens = {
            EVIDENCE: evidence_weights(asked.output.token_evidence[case, read], int(first[case])),
            ATTENTION: token_weights(asked.output.patches_on_words[case, :, read]),
        }
        for kind in kinds:
            words = explain_words(text, asked.tokenizer, tokens[kind], None, side)
            weights[kind].append(np.array([word.weight for word in words[: max(owner) + 1]]))
    return weights


# --- removal --------------------------------------------------------------------------------------


def remove_cells(asked: Asked, kind: str) -> Remove | None:
    """Removes cells of the patch grid from photos: each then shows the worsened photo."""
    photos = asked.cases.photos
    if photos is None:
        return None
    gone = degrade(photos, kind, 1.0)

    def remove(masks: np.ndarray) -> np.ndarray:
        cell = cell_of_pixels(photos.shape[1])
        shown = np.where(masks[..., cell, None], gone, photos)  # (L, B, S, S, 3)
        flat = photo_patches(
            asked.model.image_encoder, shown.reshape(-1, *photos.shape[1:]), "cells removed"
        )
        return np.stack([asked.probability(patches=one) for one in np.split(flat, len(masks))])

    return remove


def remove_words(asked: Asked) -> Remove | None:
    """Removes words from texts: all their tokens become [MASK]."""
    texts, token_ids, token_mask = asked.cases.texts, asked.token_ids, asked.token_mask
    if texts is None or token_ids is None or token_mask is None:
        return None
    owners = np.full(token_ids.shape, -1)  # (B, T) the word of each token, or -1
    for case, text in enumerate(texts):
        _, owner = asked.tokenizer.words(text)
        owners[case, : len(owner)] = owner
    rows = np.arange(len(texts))[:, None]

    def remove(masks: np.ndarray) -> np.ndarray:
        curves = []
        for mask in masks:  # (B, words)
            hidden = torch.from_numpy(mask[rows, owners] & (owners >= 0))
            told = token_ids.masked_fill(hidden, asked.tokenizer.mask_id)
            states = text_states(asked.model, told, token_mask)
            curves.append(asked.probability(states=states))
        return np.stack(curves)

    return remove


# --- comparison -----------------------------------------------------------------------------------


def compare(
    maps: dict[str, list[np.ndarray]],
    remove: Remove,
    groups: np.ndarray,
    config: AttentionFaithfulnessConfig,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Deletion and insertion of the parts in the order of each map, and in random order."""
    shares = np.linspace(0, 1, config.steps + 1)
    sizes = [len(weights) for weights in next(iter(maps.values()))]
    # With none or all removed no order matters: these two ends are computed once.
    ends = remove(removal_masks([np.arange(size) for size in sizes], shares[[0, -1]]))

    def curve(orders: Sequence[np.ndarray]) -> np.ndarray:
        inner = remove(removal_masks(orders, shares[1:-1]))
        return np.concatenate([ends[:1], inner, ends[1:]])  # (L, B)

    chance = np.mean(
        [curve([rng.permutation(size) for size in sizes]) for _ in range(config.random_orders)],
        axis=0,
    )
    found = {}
    for name, weights in maps.items():
        orders = [removal_order(one, rng) for one in weights]
        deleted = judge(curve(orders), chance, shares, groups)
        inserted = judge(curve([one[::-1] for one in orders])[::-1], chance[::-1], shares, groups)
        deleted["beats random"] = deleted["less random"]["high"] < 0
        inserted["beats random"] = inserted["less random"]["low"] > 0
        found[name] = {"deletion": deleted, "insertion": inserted}
    area = mean_interval(area_under(chance, shares), groups)
    return {
        "shares": shares.round(4).tolist(),
        "maps": found,
        RANDOM: {"curve": [mean_interval(one, groups) for one in chance], "area": area},
    }


def judge(
    curve: np.ndarray, chance: np.ndarray, shares: np.ndarray, groups: np.ndarray
) -> dict[str, Any]:
    """A map's curve (L, B) with its area, and that less the area of random order, paired."""
    area = area_under(curve, shares)
    return {
        "curve": [mean_interval(one, groups) for one in curve],
        "area": mean_interval(area, groups),
        "less random": mean_interval(area - area_under(chance, shares), groups),
    }


def random_model(model: DermModel, photos: np.ndarray | None, seed: int) -> DermModel:
    """A model of the same architecture with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        other = DermModel(model.config).requires_grad_(False)
        if photos is not None:
            # Normalise by the statistics of these photos, or they would fade away on their way.
            for module in other.image_encoder.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = 1.0
            other.image_encoder.train()(normalise(torch.from_numpy(np.array(photos[:BATCH]))))
    return other.eval()


def alike(
    weights: list[np.ndarray], others: list[list[np.ndarray]], groups: np.ndarray
) -> dict[str, float]:
    """Mean rank correlation (-1..1) of each case's weights with those of other models."""
    values = [
        [rank_correlation(one, same) for one, same in zip(weights, other, strict=True)]
        for other in others
    ]
    return mean_interval(np.mean(values, axis=0), groups)


# --- results page ---------------------------------------------------------------------------------


def section(summary: dict[str, Any]) -> Section:
    """The study's part of the results page."""
    rows: list[tuple[object, ...]] = []
    sentences = []
    for name, question in summary["questions"].items():
        shown, _ = SHOWN[name]
        area = with_interval(question[RANDOM]["area"])
        rows.append((name, RANDOM, area, "", area, "", ""))
        for kind, one in question["maps"].items():
            rows.append(
                (
                    name,
                    f"{kind} (shown)" if kind == shown else kind,
                    *(
                        cell
                        for way in ("deletion", "insertion")
                        for cell in (
                            with_interval(one[way]["area"]),
                            with_interval(one[way]["less random"], sign="+"),
                        )
                    ),
                    with_interval(question["random weights"][kind], 2, "+"),
                )
            )
        deleted, inserted = (question["maps"][shown][way] for way in ("deletion", "insertion"))
        sentences.append(
            f"- {name} ({shown}, {question['cases']} cases): {verdict(deleted)} in deletion, "
            f"{verdict(inserted)} in insertion."
        )
    header = (
        "question", "order of removal", "deletion area", "less random", "insertion area",
        "less random", "rank correlation with random weights",
    )  # fmt: skip
    text = f"""The probability of the model's first choice as parts of its input are removed, \
the most important first (deletion: a small area is good), or shown one after another, the most \
important first (insertion: a large area is good), in {summary["steps"]} steps. Cases are of the \
{summary["split"]} split, spread over conditions. A removed cell of the photo shows the photo at \
the last step of "{summary["removed"]}" in `training.degrade`; a removed word is hidden behind \
[MASK]. Random order has one area for both. Made by `python -m training.attention_faithfulness`.

What the page shows, against random order:

{chr(10).join(sentences)}

{table(header, rows)}

Intervals are 95 %, from a bootstrap over groups; "less random" is paired. The last column \
compares each map with that of a model with random weights: near 0 says that the map depends on \
what the model learned. For a photo alone, Grad-CAM is the class activation map of the raw logit, \
and class evidence that of the logit less the mean over conditions."""
    return Section(
        "Does the attention mean something?", text, {"attention-faithfulness": figure(summary)}
    )


def verdict(judged: dict[str, Any]) -> str:
    """Whether a map beats random order, in words, with the paired difference of areas."""
    less = judged["less random"]
    words = "**does not beat random order**"
    if judged["beats random"]:
        words = "beats random order"
    return f"{words} ({with_interval(less, sign='+')})"


def figure(summary: dict[str, Any]) -> Figure:
    """Deletion and insertion curves with 95 % ribbons, a row a question."""
    questions = summary["questions"]
    drawing = make_subplots(
        rows=len(questions),
        cols=2,
        subplot_titles=[
            f"{name}: {way}" for name in questions for way in ("deletion", "insertion")
        ],
        vertical_spacing=0.08,
    )
    colours = dict(zip((ATTENTION, EVIDENCE, GRAD_CAM, RANDOM), COLOURS, strict=False))
    seen: set[str] = set()
    for row, question in enumerate(questions.values(), start=1):
        chance = question[RANDOM]["curve"]
        for column, way in enumerate(("deletion", "insertion"), start=1):
            lines = {kind: one[way]["curve"] for kind, one in question["maps"].items()}
            lines[RANDOM] = chance if way == "deletion" else chance[::-1]
            for kind, curve in lines.items():
                add_with_ribbon(
                    drawing,
                    kind,
                    question["shares"],
                    curve,
                    colours[kind],
                    row=row,
                    col=column,
                    in_legend=kind not in seen,
                )
                seen.add(kind)
            what = "removed" if way == "deletion" else "shown"
            drawing.update_xaxes(title_text=f"share {what} (0 to 1)", row=row, col=column)
        drawing.update_yaxes(title_text="probability of the first choice", row=row, col=1)
    drawing.update_layout(
        title="Deletion and insertion curves of the maps and word weights",
        template="plotly_white",
        width=900,
        height=320 * len(questions),
    )
    return drawing


STAGE = Stage(NAME, main, measures=True)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
