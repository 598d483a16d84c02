"""Train a small network through the shared loop, in three ways. `test_processes` starts this alone
and under torchrun:

    python -m tests.training.small_fits FOLDER

It has no batch statistics and draws nothing in a step, and it computes in full precision, so that
the losses of one process and of two can be compared step by step.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training import loop
from training.objectives import contrastive, distinct_ids

# way -> items in a batch. Seven are four and three for two processes.
WAYS = {"classes": 12, "classes, uneven": 7, "views": 12}
ITEMS, WIDTH, CLASSES = 120, 6, 3


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(WIDTH, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, CLASSES)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return self.layers(inputs)


def main(folder: Path) -> None:
    loop.LOG_EVERY = 1
    for way, batch_size in WAYS.items():
        torch.manual_seed(0)
        first, second = torch.randn(ITEMS, WIDTH) + 0.3 * torch.randn(2, ITEMS, WIDTH)
        targets = first[:, :CLASSES].argmax(dim=1)

        def classes(
            module: nn.Module, step: loop.Step, inputs: Tensor = first, targets: Tensor = targets
        ) -> Tensor:
            return F.cross_entropy(module(inputs[step.indices]), targets[step.indices])

        def views(
            module: nn.Module, step: loop.Step, first: Tensor = first, second: Tensor = second
        ) -> Tensor:
            projections = module(torch.cat([first[step.indices], second[step.indices]]))
            ids = distinct_ids(len(step.indices)).repeat(2)
            return contrastive(projections, ids, temperature=0.5, hardness=0.5)

        loop.fit(
            folder / way,
            Small(),
            views if way == "views" else classes,
            loop.shuffled(ITEMS, seed=0),
            loop.LoopConfig(epochs=2, batch_size=batch_size, learning_rate=3e-2),
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
