"""What the two studies of faithfulness share: which cases, means with intervals, encoded inputs.

Both ask the fusion thousands of times about the same few hundred cases, so photos and texts are
encoded apart from it. Shapes: B cases, N image patches, T tokens, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
from numpy.typing import ArrayLike
from scipy.stats import spearmanr
from torch import Tensor

from dermmm.fusion import FusionOutput
from dermmm.model import DermModel
from training.features import BATCH
from training.scoring import group_draws, interval_of, weighted_means


def spread_over_conditions(rows: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """``count`` random rows, as evenly over conditions as there are any; all if there are fewer.

    The rows stay in their order and are indexed anew from 0.
    """
    shuffled = rows.sample(frac=1, random_state=seed)
    turn = shuffled.groupby("condition").cumcount().sort_values(kind="stable")
    return rows.loc[sorted(turn.index[:count])].reset_index(drop=True)


def mean_interval(values: np.ndarray, groups: np.ndarray, seed: int = 0) -> dict[str, float]:
    """The mean of values (B,) with its 95 % interval from a bootstrap over groups (B,).

    Of paired differences it is a paired bootstrap. Rounded for a summary.
    """
    return rounded(interval_of(values.mean(), weighted_means(values, group_draws(groups, seed))))


def rounded(interval: dict[str, float]) -> dict[str, float]:
    """An interval to four digits, as a summary keeps it."""
    return {name: round(value, 4) for name, value in interval.items()}


def rank_correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Spearman's, -1..1; 0 where either does not vary, for then neither follows the other."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)


@torch.inference_mode()
def text_states(model: DermModel, token_ids: Tensor, token_mask: Tensor) -> np.ndarray:
    """Encode tokens (B, T) to states (B, T, D) float32."""
    parts = [
        model.text_encoder(ids, mask)[0].numpy()
        for ids, mask in zip(token_ids.split(BATCH), token_mask.split(BATCH), strict=True)
    ]
    return np.concatenate(parts)


def joined(parts: Sequence[FusionOutput]) -> FusionOutput:
    """The answers of several batches as one."""
    return FusionOutput(
        **{name: torch.cat([getattr(part, name) for part in parts]) for name in vars(parts[0])}
    )


@torch.inference_mode()
def fuse_all(
    model: DermModel,
    patches: np.ndarray | None = None,
    states: np.ndarray | None = None,
    token_mask: Tensor | None = None,
) -> FusionOutput:
    """`DermModel.fuse` batch by batch, over any number of cases; patches may be half precision."""
    given = patches if patches is not None else states
    assert given is not None
    parts = []
    for start in range(0, len(given), BATCH):
        cut = slice(start, start + BATCH)
        parts.append(
            model.fuse(
                None if patches is None else torch.from_numpy(patches[cut]).float(),
                None if states is None else torch.from_numpy(states[cut]),
                None if token_mask is None else token_mask[cut],
            )
        )
    return joined(parts)


def add_with_ribbon(
    drawing: go.Figure,
    name: str,
    x: Sequence[float],
    intervals: Sequence[dict[str, float]],
    colour: str,
    in_legend: bool = True,
    **where: int,
) -> None:
    """Add a line of values and a ribbon of their intervals; ``where`` is a subplot's row, col."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    drawing.add_scatter(
        x=[*x, *reversed(x)],
        y=[one["high"] for one in intervals] + [one["low"] for one in reversed(intervals)],
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},0.15)",
        line_width=0,
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
        legendgroup=name,
        **where,
    )
    drawing.add_scatter(
        x=list(x),
        y=[one["value"] for one in intervals],
        name=name,
        showlegend=in_legend,
        mode="lines+markers",
        line_color=colour,
        legendgroup=name,
        **where,
    )
