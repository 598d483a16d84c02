"""Does the data path keep the model waiting? Photos a second of both, alone and together.

    python -m benchmarks.data_path
    python -m benchmarks.data_path --sizes 96 160 --threads 1

Data path: photos drawn at random from a pack that lies in memory as bytes, moved to the device and
augmented there, as the image training does it. Model: a training step on photos that are ready.
End to end: both, one after the other. Prints a Markdown table with a row for each photo size and
number of threads, and on a GPU where there is one. Photos are noise: only their size counts. A
few minutes on two idle cores.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor

from benchmarks.training_step import photos_per_second
from training.augment import SUPERVISED, augment
from training.image_classifier import ImageClassifier
from training.loop import keep_freed_memory


def rates(
    packed: np.ndarray, size: int, batch: int, steps: int, device: torch.device
) -> tuple[float, float, float]:
    """Photos a second of the data path, of the model, and end to end.

    Args:
        packed: (P, P', P', 3) uint8, the photos to draw from; size: pixels of the model's photos.
    """
    rng = np.random.default_rng(0)
    model = ImageClassifier().to(device).train()
    optimiser = torch.optim.AdamW(model.parameters())

    def finished(result: Tensor) -> None:
        if result.is_cuda:
            torch.cuda.synchronize()  # else only the launch would be timed

    def fetch() -> Tensor:
        chosen = rng.integers(0, len(packed), batch)
        return augment(torch.from_numpy(packed[chosen]).to(device), size, SUPERVISED)

    def train(images: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            loss = model(images).float().logsumexp(dim=1).mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        return loss.detach()

    ready = fetch()
    path, alone, both = (
        photos_per_second(step, batch, steps)
        for step in (
            lambda: finished(fetch()),
            lambda: finished(train(ready)),
            lambda: finished(train(fetch())),
        )
    )
    return path, alone, both


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--pack", type=int, default=192, help="pixels of the packed photos")
    parser.add_argument("--photos", type=int, default=2000, help="in the pack")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96, 128, 160])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=4, help="to time, after two to warm up")
    options = parser.parse_args()
    keep_freed_memory()
    shape = (options.photos, options.pack, options.pack, 3)
    packed = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    places = [(torch.device("cpu"), threads) for threads in options.threads]
    if torch.cuda.is_available():
        places.append((torch.device("cuda"), torch.get_num_threads()))

    print("| pixels | on | data path | model | end to end | end to end of model |  photos/s")
    print("|---|---|---|---|---|---|")
    for device, threads in places:
        torch.set_num_threads(threads)
        where = f"CPU, threads: {threads}"
        if device.type == "cuda":
            where = torch.cuda.get_device_name()
        for size in options.sizes:
            found = rates(packed, size, options.batch, options.steps, device)
            cells = [f"{rate:.0f}" for rate in found] + [f"{found[2] / found[1]:.0%}"]
            print(f"| {size} | {where} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
