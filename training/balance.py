"""Shrink the classes that have too many training cases, without losing the kinds in them.

    python -m training.balance --data runs/first/data --out runs/first

Within each condition of more than ``cap`` training cases, K-means over text features (as an option,
over image features) finds the kinds. Rare clusters stay whole and the larger ones are thinned at
random to one common size, the water level, so that exactly ``cap`` cases stay. The control drops
cases at random down to the same cap, which mostly thins out what was rare already. Conditions at or
below the cap stay whole. Only training cases are dropped, so no group changes its split.

Writes the balanced manifests, `DATA/balanced/<features>-kmeans.csv` and `<features>-random.csv`
(id, condition, cluster; -1 where the condition was not clustered), which list every training case
that stays, and `OUT/balance/before-after.png`. The rule is worth its place if a classifier trained
for the same number of steps does better on the first list than on the second and on all cases.

Takes seconds on a CPU with text features; with image features, the time to encode the photos.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.preprocessing import normalize

from training import image_classifier
from training.dataset import cases_with_text, pack_photos, read_manifest, read_texts
from training.features import photo_patches
from training.stage import MADE, Stage, processes, read_summary, run_stage, write_whole
from training.text_clusters import cluster, text_vectors

NAME = "balance"
RULES = ("kmeans", "random")
WHOLE = -1  # the cluster of a case whose condition is small enough to stay whole


@dataclass(frozen=True)
class BalanceConfig:
    cap: int = 400  # cases a condition
    clusters: int = 12
    features: str = "text"  # or "image"
    seed: int = 0


def keep_by_cluster(clusters: np.ndarray, cap: int, rng: np.random.Generator) -> np.ndarray:
    """Choose ``cap`` cases so that large clusters shrink first.

    The water level is the largest L with sum(min(size, L)) <= cap. Clusters of up to L cases stay
    whole, larger ones keep L cases at random; what is then left to the cap goes to the largest
    clusters, one case each.

    Args:
        clusters: (n,) cluster of each case.

    Returns:
        (min(n, cap),) indices of the cases that stay, rising.

    Raises:
        ValueError: there are more clusters than cases to keep, so that a whole kind would go.
    """
    if len(clusters) <= cap:
        return np.arange(len(clusters))
    names, sizes = np.unique(clusters, return_counts=True)
    if cap < len(names):
        raise ValueError(
            f"got cap {cap} for {len(names)} clusters, expected at least one case a cluster; "
            "raise the cap or lower the number of clusters"
        )
    levels = np.arange(sizes.max())
    level = np.flatnonzero(np.minimum(sizes[:, None], levels).sum(axis=0) <= cap)[-1]
    quotas = np.minimum(sizes, level)
    largest = np.argsort(-sizes, kind="stable")
    quotas[largest[: cap - quotas.sum()]] += 1
    kept = [
        rng.choice(np.flatnonzero(clusters == name), quota, replace=False)
        for name, quota in zip(names, quotas, strict=True)
    ]
    return np.sort(np.concatenate(kept))


def keep_at_random(n: int, cap: int, rng: np.random.Generator) -> np.ndarray:
    """Choose ``cap`` of n cases at random: (min(n, cap),) indices, rising."""
    return np.sort(rng.choice(n, min(n, cap), replace=False))


def balance(
    conditions: np.ndarray, vectors: np.ndarray, config: BalanceConfig
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Cluster each condition of more than ``cap`` cases, and choose which cases stay.

    Args:
        conditions: (n,) name of each case's condition.
        vectors: (n, D) features.

    Returns:
        (n,) cluster of each case within its condition, WHOLE where that was not clustered.
        For each of RULES the (kept,) indices of the cases that stay, rising.
    """
    clusters = np.full(len(conditions), WHOLE)
    draws = {rule: np.random.default_rng(config.seed) for rule in RULES}
    kept: dict[str, list[np.ndarray]] = {rule: [] for rule in RULES}
    for condition in np.unique(conditions):
        cases = np.flatnonzero(conditions == condition)
        if len(cases) > config.cap:
            clusters[cases], _ = cluster(vectors[cases], config.clusters, config.seed)
        by_cluster = keep_by_cluster(clusters[cases], config.cap, draws["kmeans"])
        at_random = keep_at_random(len(cases), config.cap, draws["random"])
        kept["kmeans"].append(cases[by_cluster])
        kept["random"].append(cases[at_random])
    return clusters, {rule: np.sort(np.concatenate(parts)) for rule, parts in kept.items()}


def sizes_by_cluster(table: pd.DataFrame) -> dict[str, Counter[int]]:
    """Condition -> cluster -> cases, of a table with the columns condition and cluster."""
    return {str(name): Counter(rows) for name, rows in table.groupby("condition")["cluster"]}


def main(config: BalanceConfig, data: Path, out: Path) -> dict[str, object]:
    cases, vectors = _cases_and_vectors(config, data, out)
    clusters, kept = balance(cases["condition"].to_numpy(), vectors, config)
    table = cases[["id", "condition"]].assign(cluster=clusters)
    (data / "balanced").mkdir(exist_ok=True)
    for rule, indices in kept.items():
        path = data / "balanced" / f"{config.features}-{rule}.csv"
        write_whole(path, table.iloc[indices].to_csv(index=False, lineterminator="\n"))

    before = sizes_by_cluster(table)
    after = {rule: sizes_by_cluster(table.iloc[indices]) for rule, indices in kept.items()}
    if processes().is_main_process:
        (out / NAME).mkdir(parents=True, exist_ok=True)
        plot(before, after, out / NAME / "before-after.png")
    return {
        "cases": len(table),
        "kept": len(kept["kmeans"]),
        "by_condition": {
            name: {"before": sizes.total(), "after": after["kmeans"][name].total()}
            for name, sizes in before.items()
        },
        "capped": {
            name: {
                "clusters": len(sizes),
                "clusters_after": {rule: len(after[rule][name]) for rule in RULES},
                "rarest_share": rarest_share(sizes, sizes),
                "rarest_share_after": {
                    rule: rarest_share(sizes, after[rule][name]) for rule in RULES
                },
            }
            for name, sizes in before.items()
            if WHOLE not in sizes
        },
    }


def rarest_share(before: Counter[int], after: Counter[int]) -> float:
    """Share of the cases ``after`` in the cluster that was the rarest ``before``, 0 to 1."""
    rarest = min(before, key=lambda name: (before[name], name))
    return after[rarest] / after.total()


def _cases_and_vectors(
    config: BalanceConfig, data: Path, out: Path
) -> tuple[pd.DataFrame, np.ndarray]:
    """The training cases that have the features asked for, and these features (n, D)."""
    manifest = read_manifest(data)
    if config.features == "text":
        cases = cases_with_text(manifest, "train")
        first_wording = [variants[0] for variants in read_texts(data, cases)]
        return cases, text_vectors(first_wording, config.seed)
    if config.features != "image":
        raise ValueError(f"got features {config.features!r}, expected 'text' or 'image'")
    cases = manifest[
        (manifest["split"] == "train") & (manifest["condition"] != "") & (manifest["photo"] != "")
    ]
    encoder = image_classifier.load_classifier(out).encoder
    size = read_summary(out, image_classifier.NAME)["config"]["sizes"][-1][1]  # its last one
    packed = pack_photos(data, list(cases["photo"]), size, out / "cache")
    pooled = photo_patches(encoder, packed, "features").astype(np.float32).mean(axis=1)
    return cases, normalize(pooled)


def plot(
    before: dict[str, Counter[int]], after: dict[str, dict[str, Counter[int]]], path: Path
) -> None:
    """Draw the cases of each condition, stacked by cluster, before and after both rules.

    A cluster keeps its colour and its place from panel to panel: the largest is first and dark.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = sorted(before, key=lambda name: before[name].total())
    panels = {
        "before": before,
        "after K-means capping": after["kmeans"],
        "after random capping (control)": after["random"],
    }
    figure, all_axes = pyplot.subplots(
        1, len(panels), figsize=(14, 1.2 + 0.3 * len(names)), sharey=True, layout="constrained"
    )
    for axes, (title, sizes) in zip(all_axes, panels.items(), strict=True):
        longest = max(one.total() for one in sizes.values())
        for row, name in enumerate(names):
            order = [label for label, _ in before[name].most_common()]
            left = 0
            for place, label in enumerate(order):
                whole = label == WHOLE
                colour = "0.75" if whole else pyplot.cm.viridis(place / max(1, len(order) - 1))
                width = sizes[name][label]
                axes.barh(row, width, left=left, color=colour, edgecolor="white", linewidth=0.4)
                left += width
            told = f" {left}"
            if WHOLE not in before[name]:
                share = 100 * rarest_share(before[name], sizes[name])
                told += f" · {len(sizes[name])}/{len(order)} clusters, rarest {share:.1f} %"
            axes.text(left, row, told, va="center", fontsize=8)
        axes.set(title=title, xlabel="training cases", xlim=(0, 1.9 * longest))
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.spines[["top", "right"]].set_visible(False)
    all_axes[0].set_yticks(range(len(names)), names)
    figure.supxlabel(
        "a colour is a cluster within its condition; grey: at or below the cap, kept whole",
        fontsize=9,
    )
    temporary = path.with_suffix(".tmp")
    figure.savefig(temporary, format="png", dpi=120)
    temporary.replace(path)
    pyplot.close(figure)


STAGE = Stage(NAME, main, reads=MADE)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
