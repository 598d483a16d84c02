"""Time one supervised training step on this machine, with and without keeping freed memory.

    python -m benchmarks.training_step
    python -m benchmarks.training_step --hand-back

Prints photos a second of augmentation, of the bare model, and of both. glibc hands large freed
blocks back to the kernel, which zeroes the pages anew at the next step; `training.loop` turns that
off, and `--hand-back` shows the rate with it on. The difference is small.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from training.augment import SUPERVISED, augment
from training.image_classifier import ImageClassifier
from training.loop import keep_freed_memory


def photos_per_second(step: Callable[[], object], batch: int, steps: int) -> float:
    """Rate of ``step`` after two warm-up calls."""
    for _ in range(2):
        step()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    return steps * batch / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pack", type=int, default=160, help="pixels of the packed photos")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96, 128])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--hand-back", action="store_true", help="leave glibc as it is")
    options = parser.parse_args()
    if not options.hand_back:
        keep_freed_memory()
    pixels = torch.randint(0, 255, (options.batch, options.pack, options.pack, 3)).byte()
    print("| pixels | augment | model | both |  photos/s\n|---|---|---|---|")
    for size in options.sizes:
        model = ImageClassifier().train()
        optimiser = torch.optim.AdamW(model.parameters())
        fixed = augment(pixels, size, SUPERVISED)

        def train(
            images: torch.Tensor, model: ImageClassifier, optimiser: torch.optim.AdamW
        ) -> None:
            with torch.autocast("cpu", torch.bfloat16):
                loss = model(images).float().logsumexp(1).mean()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()

        rates = [
            photos_per_second(step, options.batch, options.steps)
            for step in (
                lambda size=size: augment(pixels, size, SUPERVISED),
                lambda a=fixed, m=model, o=optimiser: train(a, m, o),
                lambda size=size, m=model, o=optimiser: train(
                    augment(pixels, size, SUPERVISED), m, o
                ),
            )
        ]
        print(f"| {size} | " + " | ".join(f"{rate:.0f}" for rate in rates) + " |", flush=True)


if __name__ == "__main__":
    main()
