"""Does the gate mean something? Photos are worsened and texts cut in steps: the gate must move.

    python -m training.gate_faithfulness --data runs/first/data --out runs/first

Reads `OUT/checkpoint` and true pairs of the test split; nothing is fitted. Each photo is worsened
by `training.degrade` in even steps, each text is cut after fewer and fewer words, the other
modality staying whole. A step tells the mean image gate, how much the fused answer changed, and
how often the worsened modality's own answer is still right, so that the gate stands against
information and not against a setting. Expected: the image gate falls with blur and rises as the
text is cut, by more than chance, and is not nearly the same for every case. The summary,
`OUT/gate_faithfulness/summary.json`, says of each whether it holds. The fusion was trained with
these same kinds of poor photos, so two more that it never met, a covered centre and noise, are
followed beside them; no expectation counts them. About 2 minutes with `--preset cpu` on one core.

Shapes: B cases, K conditions, L steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from sklearn.metrics import roc_auc_score

from dermmm import checkpoint
from dermmm.calibration import probabilities
from dermmm.fusion import FusionOutput
from dermmm.tokenizer import Tokenizer
from training.dataset import condition_index, pack_photos, read_manifest, read_texts
from training.degrade import degrade
from training.faithfulness import (
    add_with_ribbon,
    fuse_all,
    mean_interval,
    rank_correlation,
    rounded,
    spread_over_conditions,
    text_states,
)
from training.features import photo_patches
from training.scoring import AUC_BOOTSTRAPS, MEASURED, group_draws, interval_of
from training.section import COLOURS, Section, table, with_interval
from training.stage import Stage, run_stage

NAME = "gate_faithfulness"
CUT = "text cut"
UNTRAINED = "never trained on"
NOT_MEASURED = "not measured"
GREY, NOISE = 128, 64  # of 255: what covers a photo, and the standard deviation of noise about it


@dataclass(frozen=True)
class GateFaithfulnessConfig:
    split: str = "test"
    pairs: int = 200  # of those that are worsened; the gate's range is over all
    strengths: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # the first must be 0: unchanged
    kinds: tuple[str, ...] = ("blur", "grey", "dark", "bright", "coarse")  # of training.degrade
    seed: int = 0


def main(config: GateFaithfulnessConfig, data: Path, out: Path) -> dict[str, Any]:
    loaded = checkpoint.load(out / "checkpoint")
    model, tokenizer = loaded.model, loaded.tokenizer
    manifest = read_manifest(data)
    pairs = manifest[
        (manifest["split"] == config.split)
        & (manifest["condition"] != "")
        & (manifest["photo"] != "")
        & (manifest["text_path"] != "")
    ].reset_index(drop=True)
    packed = pack_photos(data, list(pairs["photo"]), model.config.image_size, out / "cache")
    patches = photo_patches(model.image_encoder, packed, "photos")
    texts = [variants[0] for variants in read_texts(data, pairs)]
    targets, groups = condition_index(pairs), pairs["group"].to_numpy()

    def answer(patches: np.ndarray, texts: Sequence[str]) -> FusionOutput:
        token_ids, token_mask = tokenizer(texts)
        states = text_states(model, token_ids, token_mask)
        return fuse_all(model, patches, states, token_mask)

    whole = answer(patches, texts)
    gate = whole.gate[:, 0].double().numpy()
    image_right = whole.image_logits.argmax(dim=1).numpy() == targets
    text_right = whole.text_logits.argmax(dim=1).numpy() == targets

    chosen = spread_over_conditions(pairs.assign(place=pairs.index), config.pairs, config.seed)
    few = chosen["place"].to_numpy()
    shown, said = packed[few], [texts[place] for place in few]
    worsen = {kind: partial(degrade, kind=kind) for kind in config.kinds} | NEVER_MET
    steps: dict[str, list[FusionOutput]] = {kind: [] for kind in (*worsen, CUT)}
    for strength in config.strengths:
        for kind, worse in worsen.items():
            pixels = worse(shown, strength=strength)
            encoded = photo_patches(model.image_encoder, pixels, f"{kind} {strength:.1f}")
            steps[kind].append(answer(encoded, said))
        steps[CUT].append(
            answer(patches[few], [first_words(text, tokenizer, 1 - strength) for text in said])
        )
    followed = {
        kind: follow(
            outputs,
            "text" if kind == CUT else "image",
            config.strengths,
            targets[few],
            groups[few],
            loaded.temperatures["fused"],
        )
        for kind, outputs in steps.items()
    }
    kinds = {kind: one for kind, one in followed.items() if kind not in NEVER_MET}
    low, median, high = np.quantile(gate, [0.05, 0.5, 0.95])
    spread = {"p05": low, "median": median, "p95": high, "width": high - low}
    # A correlation of means can be perfect where the gate hardly moves: it has to move, too.
    blur, cut = kinds["blur"], kinds[CUT]
    expectations = [
        expected("rank correlation of image gate and blur", "at most", -0.8, blur["rank"]),
        expected("change by full blur, upper bound", "at most", 0, blur["moved"]["high"]),
        expected("rank correlation of image gate and text cut", "at least", 0.8, cut["rank"]),
        expected("change by cutting the text, lower bound", "at least", 0, cut["moved"]["low"]),
        expected("range of the image gate, p05 to p95", "at least", 0.2, spread["width"]),
    ]
    falls, falls_surely, rises, rises_surely, varies = (one["holds"] for one in expectations)
    return {
        "split": config.split,
        "cases": len(few),
        "groups": len(set(groups[few])),
        "strengths": list(config.strengths),
        "kinds": kinds,
        "never_met": {kind: followed[kind] for kind in NEVER_MET},
        "range": {"cases": len(gate), **{name: round(v, 4) for name, v in spread.items()}},
        "tells_who_is_right": tells_who_is_right(gate, image_right, text_right, groups),
        "expectations": expectations,
        "page": {
            "gate falls with blur": falls and falls_surely,
            "gate rises as text is cut": rises and rises_surely,
            "gate varies over cases": varies,
        },
    }


def cover_centre(pixels: np.ndarray, strength: float) -> np.ndarray:
    """Photos (B, S, S, 3) uint8 with a grey square over this share (0..1) of their middle."""
    size = pixels.shape[1]
    side = round(strength**0.5 * size)
    first = (size - side) // 2
    covered = pixels.copy()
    covered[:, first : first + side, first : first + side] = GREY
    return covered


def add_noise(pixels: np.ndarray, strength: float) -> np.ndarray:
    """Photos (B, S, S, 3) uint8 that fade (0..1) into Gaussian noise, the same at each strength."""
    noise = np.random.default_rng(0).normal(GREY, NOISE, pixels.shape)
    return ((1 - strength) * pixels + strength * noise).clip(0, 255).round().astype(np.uint8)


# Poor photos of kinds that the fusion was never trained with: does the gate notice these too?
NEVER_MET: dict[str, Callable[..., np.ndarray]] = {
    "centre covered": cover_centre,
    "noise": add_noise,
}


def first_words(text: str, tokenizer: Tokenizer, share: float) -> str:
    """The text cut after a share (0..1) of its words, rounded; one word at least, unless whole."""
    spans, _ = tokenizer.words(text)
    kept = max(1, round(share * len(spans)))
    return text if share == 1 or kept > len(spans) else text[: spans[kept - 1][1]]


def follow(
    outputs: Sequence[FusionOutput],
    worsened: str,
    strengths: Sequence[float],
    targets: np.ndarray,
    groups: np.ndarray,
    temperature: float,
) -> dict[str, Any]:
    """What happened over the L steps of one kind, the first of them unchanged.

    Args:
        outputs: L answers for the same B cases; strengths: (L,).
        worsened: "image" or "text", whose own head is asked whether it is still right.
        targets, groups: (B,); temperature: of the fused answer.

    Returns:
        for each step intervals of the image gate, of ``changed`` (total variation between the
        fused probabilities and those of the unchanged case, 0..1) and of ``right``; the Spearman
        correlation of strength with the mean gate (``rank``) and, median over cases, with a case's
        own (``rank_of_a_case``); and ``moved``, the gate's mean change from first to last step.
    """
    gates = np.stack([one.gate[:, 0].double().numpy() for one in outputs])  # (L, B)
    fused = np.stack([probabilities(one.fused_logits, temperature).numpy() for one in outputs])
    changed = np.abs(fused - fused[0]).sum(axis=2) / 2  # (L, B)
    right = np.stack(
        [getattr(one, f"{worsened}_logits").argmax(dim=1).numpy() == targets for one in outputs]
    )
    of_cases = [rank_correlation(strengths, gates[:, case]) for case in range(gates.shape[1])]
    return {
        "gate": [mean_interval(one, groups) for one in gates],
        "changed": [mean_interval(one, groups) for one in changed],
        "right": [mean_interval(one.astype(float), groups) for one in right],
        "rank": round(rank_correlation(strengths, gates.mean(axis=1)), 4),
        "rank_of_a_case": round(float(np.median(of_cases)), 4),
        "moved": mean_interval(gates[-1] - gates[0], groups),
    }


def tells_who_is_right(
    gate: np.ndarray, image_right: np.ndarray, text_right: np.ndarray, groups: np.ndarray
) -> dict[str, Any]:
    """Is the image gate higher where the photo alone is right than where the text alone is?

    Args:
        gate, image_right, text_right, groups: (B,) image gate, whether each head is right alone.

    Returns:
        how many cases there are of both kinds, and the area under the ROC curve with its interval
        (0.5: the gate does not tell), or "not measured" below `MEASURED` of either kind.
    """
    one = image_right != text_right
    answer = {
        "photo alone is right": int((one & image_right).sum()),
        "text alone is right": int((one & text_right).sum()),
    }
    if min(answer.values()) < MEASURED:
        return {**answer, "auroc": NOT_MEASURED}
    truth, values = image_right[one], gate[one]
    draws = [
        roc_auc_score(truth, values, sample_weight=weights)
        for weights in group_draws(groups[one], seed=0)[:AUC_BOOTSTRAPS]
        if 0 < weights @ truth < weights.sum()  # a draw of one kind alone has no curve
    ]
    return {**answer, "auroc": rounded(interval_of(roc_auc_score(truth, values), np.array(draws)))}


def expected(what: str, bound: str, limit: float, value: float) -> dict[str, Any]:
    """One expectation ("at most" or "at least" a limit), what was found, and whether it holds."""
    holds = value <= limit if bound == "at most" else value >= limit
    return {
        "what": what,
        "expected": f"{bound} {limit:g}".replace("-", "−"),
        "got": round(float(value), 4),
        "holds": bool(holds),
    }


def section(summary: dict[str, Any]) -> Section:
    """The study's part of the results page."""
    spread, tells = summary["range"], summary["tells_who_is_right"]
    expectations = table(
        ("expectation", "expected", "found", "holds"),
        [
            (
                one["what"],
                one["expected"],
                f"{one['got']:.2f}".replace("-", "−"),
                "yes" if one["holds"] else "**no**",
            )
            for one in summary["expectations"]
        ],
    )
    kinds = table(
        (
            "worsened by",
            "image gate, whole",
            "image gate, at the last step",
            "moved",
            "rank correlation: means",
            "median of cases",
            "fused answer changed by",
            "own head right: whole, last step",
        ),
        [
            (
                kind,
                with_interval(one["gate"][0]),
                with_interval(one["gate"][-1]),
                with_interval(one["moved"], sign="+"),
                f"{one['rank']:+.2f}".replace("-", "−"),
                f"{one['rank_of_a_case']:+.2f}".replace("-", "−"),
                f"{one['changed'][-1]['value']:.2f}",
                f"{one['right'][0]['value']:.2f}, {one['right'][-1]['value']:.2f}",
            )
            for kind, one in every_kind(summary).items()
        ],
    )
    counts = (
        f"{tells['photo alone is right']} pairs of which only the photo's own answer is right and "
        f"{tells['text alone is right']} of which only the text's is"
    )
    if tells["auroc"] == NOT_MEASURED:
        who = f"Whether the gate tells who is right is not measured: there are {counts}."
    else:
        verdict = (
            "it is higher where the photo is right"
            if tells["auroc"]["low"] > 0.5
            else "it is lower where the photo is right"
            if tells["auroc"]["high"] < 0.5
            else "it does not tell which of the two is right"
        )
        who = (
            f"Over {counts}, the image gate's AUROC for the photo being right is "
            f"{with_interval(tells['auroc'])} (0.5 is chance): {verdict}."
        )
    untrained = (
        f"rows named “{UNTRAINED}” are of kinds that it never met, and no expectation counts them"
        if summary.get("never_met")
        else "a kind that it never met is not tested"
    )
    text = f"""{summary["cases"]} true pairs of the {summary["split"]} split ({summary["groups"]} \
groups), spread over conditions. The photo is worsened in {len(summary["strengths"]) - 1} even \
steps, or the text is cut after fewer and fewer words down to one, while the other stays whole. \
Made by `python -m training.gate_faithfulness`.

{expectations}

{kinds}

"Changed by" is half the sum of absolute changes of the fused probabilities (0 to 1). Intervals \
are 95 %, from a bootstrap over groups. The fusion was trained with these same kinds of poor \
photos and cut texts; {untrained}. Over all {spread["cases"]} true \
pairs, unworsened, the image gate lies between {spread["p05"]:.2f} (p05) and \
{spread["p95"]:.2f} (p95), median {spread["median"]:.2f}. {who}"""
    return Section("Does the gate mean something?", text, {"gate-faithfulness": figure(summary)})


def every_kind(summary: dict[str, Any]) -> dict[str, Any]:
    """What was found for each kind, those that the fusion never met last and named so.

    A summary made before these were followed has none.
    """
    never_met = summary.get("never_met", {})
    return summary["kinds"] | {f"{kind} ({UNTRAINED})": one for kind, one in never_met.items()}


def figure(summary: dict[str, Any]) -> go.Figure:
    """The image gate against strength, a line a kind, with its 95 % ribbon."""
    drawing = go.Figure()
    strengths = summary["strengths"]
    for (kind, one), colour in zip(every_kind(summary).items(), cycle(COLOURS), strict=False):
        add_with_ribbon(drawing, kind, strengths, one["gate"], colour)
        if kind not in summary["kinds"]:
            drawing.data[-1].line.dash = "dash"
    drawing.update_layout(
        title="Image gate as the photo is worsened or the text is cut",
        template="plotly_white",
        width=900,
        height=480,
        xaxis_title="strength (0: unchanged, 1: next to nothing left; text: share of words cut)",
        yaxis_title="mean image gate (0 to 1)",
    )
    return drawing


STAGE = Stage(NAME, main, measures=True)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
