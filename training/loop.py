"""The one training loop: any stage, one process or many, resumable after a kill.

It goes through `accelerate`, so `python -m training.simclr` and
`torchrun --nproc_per_node 8 -m training.simclr` are the same code. Everything random in a
step derives from (seed, step, process), so that a resumed run repeats what the killed one would
have done. The state is one safetensors file, replaced whole; nothing is pickled.

Several processes share each batch, and their gradients are averaged so that the result is the
gradient of the mean over the whole batch, uneven parts included: the loss curve is that of one
process (tests/training/test_processes.py). Two things are not the same, and there the curves agree
in expectation only: a process draws its own augmentation and dropout, and BatchNorm takes its
statistics from the process' own part of the batch (SyncBatchNorm would need a GPU), while the
running statistics that are kept are those of the first process.
"""

from __future__ import annotations

import ctypes
import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from training.stage import whole, write_whole

STATE = "state.safetensors"
LOG = "log.jsonl"
PICTURE = "loss.png"
LOG_EVERY = 10  # steps


@dataclass(frozen=True)
class LoopConfig:
    """How a stage is optimised: AdamW, linear warm-up, then cosine to zero."""

    epochs: int
    batch_size: int  # over all processes
    learning_rate: float
    weight_decay: float = 0.05
    warmup: float = 0.1  # share of all steps
    clip_norm: float = 1.0
    save_seconds: float = 60.0
    seed: int = 0
    # What is kept is the running mean of the weights with this decay a step (Polyak averaging);
    # 0 keeps the last weights.
    ema: float = 0.0


@dataclass(frozen=True)
class Step:
    """Where in the run a batch stands."""

    indices: np.ndarray  # (B,) this process' part of the batch
    progress: float  # 0..1 of the whole run
    device: torch.device


Sampler = Callable[[int], np.ndarray]  # epoch -> indices, the same in every process
BatchLoss = Callable[[nn.Module, Step], Tensor]  # the mean over the process' part of the batch


def shuffled(count: int, seed: int) -> Sampler:
    """Every index once an epoch, in a new order each epoch."""
    return lambda epoch: np.random.default_rng([seed, epoch]).permutation(count)


def weighted(weights: np.ndarray, seed: int) -> Sampler:
    """As many draws as indices, with replacement, in proportion to ``weights``."""
    shares = weights / weights.sum()
    return lambda epoch: np.random.default_rng([seed, epoch]).choice(
        len(shares), size=len(shares), p=shares
    )


def by_length(
    sampler: Sampler, lengths: np.ndarray, batch_size: int, seed: int, mixed: int = 8
) -> Sampler:
    """What ``sampler`` draws, items of like length in one batch, so that little is padding.

    Each run of ``mixed`` batches of its order is sorted by length, then all batches are shuffled:
    enough order to save padding, enough chance to keep batches different each epoch.
    """

    def order(epoch: int) -> np.ndarray:
        rng = np.random.default_rng([seed, epoch, 1])
        drawn = sampler(epoch)
        runs = range(0, len(drawn), mixed * batch_size)
        near = [drawn[start : start + mixed * batch_size] for start in runs]
        ordered = np.concatenate([run[np.argsort(lengths[run], kind="stable")] for run in near])
        whole = len(ordered) // batch_size * batch_size
        batches = ordered[:whole].reshape(-1, batch_size)
        return np.concatenate([rng.permutation(batches).ravel(), ordered[whole:]])

    return order


def inverse_class_frequency(classes: np.ndarray) -> np.ndarray:
    """A weight for each item with which every class is drawn equally often."""
    _, inverse, counts = np.unique(classes, return_inverse=True, return_counts=True)
    return 1.0 / counts[inverse]


def fit(
    folder: Path,
    module: nn.Module,
    batch_loss: BatchLoss,
    sampler: Sampler,
    config: LoopConfig,
    each_epoch: Callable[[int], None] | None = None,
) -> float:
    """Train ``module`` in place and return the minutes it took, over all resumed parts.

    ``folder`` receives the state, a log with a line every few steps, and a picture of the loss.
    A finished run is not repeated: its weights are loaded.

    Raises:
        ValueError: the saved state has a running mean and ``config`` wants none, or the reverse; or
            it is damaged.
        FloatingPointError: the loss is no number.

    ``each_epoch`` is called after each epoch, by the main process alone, with the number of epochs
    done and the module in evaluation mode. It may draw random numbers: each step seeds its own. A
    run that is killed and goes on may call it again for an epoch that it was called for before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    accelerator = Accelerator(mixed_precision="bf16", cpu=not torch.cuda.is_available())
    trainable = [weight for weight in module.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(
        _decay_groups(trainable, config.weight_decay), lr=config.learning_rate
    )
    steps_per_epoch = max(1, len(sampler(0)) // config.batch_size)
    total = steps_per_epoch * config.epochs
    averaged = None
    if config.ema:
        decay = get_ema_multi_avg_fn(config.ema)
        averaged = AveragedModel(module, multi_avg_fn=decay, use_buffers=True)
    step, seconds, losses = _load_state(folder / STATE, module, optimiser, averaged)
    if step >= total:
        if accelerator.is_main_process and not (folder / PICTURE).is_file():
            plot_loss(folder)  # killed between the last state and the picture
        _keep_average(module, averaged)
        return seconds / 60
    _truncate_log(folder / LOG, step)
    wrapped, optimiser = accelerator.prepare(module, optimiser)
    wrapped.train()

    started = saved = time.monotonic()
    resumed_seconds = seconds
    bar = tqdm(
        total=total,
        initial=step,
        desc=folder.name,
        unit="step",
        disable=not accelerator.is_main_process,
    )
    order, order_epoch = np.array([], dtype=np.int64), -1
    while step < total:
        epoch, position = divmod(step, steps_per_epoch)
        if epoch != order_epoch:
            order, order_epoch = sampler(epoch), epoch
        batch = order[position * config.batch_size : (position + 1) * config.batch_size]
        torch.manual_seed((config.seed * 1_000_003 + step) * 1_009 + accelerator.process_index)
        rate = _set_rate(optimiser, step, total, config)
        with accelerator.autocast():
            mine = np.array_split(batch, accelerator.num_processes)[accelerator.process_index]
            loss = batch_loss(wrapped, Step(mine, step / total, accelerator.device))
        # The average over processes becomes the mean over the batch, also where parts are uneven.
        share = len(mine) * accelerator.num_processes / len(batch)
        accelerator.backward(loss * share)
        accelerator.clip_grad_norm_(trainable, config.clip_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if averaged is not None:
            averaged.update_parameters(module)
        losses.append(float(accelerator.reduce(loss.detach() * share, "mean")))
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(
                f"{folder.name}: the loss is {losses[-1]} at step {step}; lower the learning rate"
            )
        step += 1
        bar.update()
        seconds = resumed_seconds + time.monotonic() - started
        if accelerator.is_main_process and (step % LOG_EVERY == 0 or step == total):
            mean = float(np.mean(losses))
            losses.clear()
            bar.set_postfix(loss=f"{mean:.3f}")
            line = {"step": step, "epoch": step / steps_per_epoch, "loss": mean, "rate": rate}
            line |= {"seconds": round(seconds, 1)}
            with (folder / LOG).open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
        if each_epoch and accelerator.is_main_process and step % steps_per_epoch == 0:
            module.eval()
            each_epoch(step // steps_per_epoch)
            wrapped.train()
        due = time.monotonic() - saved > config.save_seconds
        if accelerator.is_main_process and (due or step == total):
            _save_state(folder / STATE, module, optimiser, averaged, step, seconds, losses)
            saved = time.monotonic()
    bar.close()
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        plot_loss(folder)
    accelerator.unwrap_model(wrapped, keep_fp32_wrapper=False)  # undo what `prepare` did to forward
    module.to("cpu")
    _keep_average(module, averaged)
    return seconds / 60


def plot_loss(folder: Path) -> None:
    """Draw the log's loss curve to `PICTURE` in ``folder``."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    log = [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]
    figure, axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")
    axes.plot([line["epoch"] for line in log], [line["loss"] for line in log])
    axes.set(title=folder.name, xlabel="epoch", ylabel="training loss")
    with whole(folder / PICTURE) as path:
        figure.savefig(path, dpi=120, format="png")
    pyplot.close(figure)


def keep_freed_memory() -> None:
    """Let glibc keep large freed blocks instead of handing each back to the kernel.

    A step frees and asks for the same hundreds of megabytes again, and the kernel zeroes those
    pages anew. The gain is small: `benchmarks/README.md` has the measured rates.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD


def _decay_groups(weights: list[nn.Parameter], decay: float) -> list[dict[str, object]]:
    """Weight decay on matrices only, not on biases and norms."""
    return [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": decay},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]


def _set_rate(optimiser: torch.optim.Optimizer, step: int, total: int, config: LoopConfig) -> float:
    warm = max(1, round(config.warmup * total))
    if step < warm:
        share = (step + 1) / warm
    else:
        share = 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * share
    return config.learning_rate * share


def _keep_average(module: nn.Module, averaged: AveragedModel | None) -> None:
    if averaged is not None:
        module.load_state_dict(averaged.module.state_dict())


def _save_state(
    path: Path,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    averaged: AveragedModel | None,
    step: int,
    seconds: float,
    losses: list[float],
) -> None:
    """``losses`` are those since the last line of the log, so that its next line is the same."""
    tensors = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    if averaged is not None:
        tensors |= {f"averaged.{name}": one for name, one in averaged.state_dict().items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value for name, value in moments.items()}
    content = safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata={"step": str(step), "seconds": str(seconds), "losses": json.dumps(losses)},
    )
    write_whole(path, content)


def _load_state(
    path: Path, module: nn.Module, optimiser: torch.optim.Optimizer, averaged: AveragedModel | None
) -> tuple[int, float, list[float]]:
    """Put a saved state back; returns the steps and seconds done and the losses not yet logged."""
    if not path.is_file():
        return 0, 0.0, []
    weights: dict[str, Tensor] = {}
    means: dict[str, Tensor] = {}
    moments: dict[int, dict[str, Tensor]] = {}
    try:
        with safetensors.safe_open(path, framework="pt") as state:
            for key in state.keys():  # noqa: SIM118  (safe_open is not a dict)
                part, _, name = key.partition(".")
                if part == "module":
                    weights[name] = state.get_tensor(key)
                elif part == "averaged":
                    means[name] = state.get_tensor(key)
                else:
                    index, _, moment = name.partition(".")
                    moments.setdefault(int(index), {})[moment] = state.get_tensor(key)
            metadata = state.metadata()
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path}: damaged after it was written ({error}); remove it to train "
            f"{path.parent.name} anew"
        ) from None
    if bool(means) != (averaged is not None):
        has, wanted = ("a", "none") if means else ("no", "one")
        raise ValueError(
            f"{path} has {has} running mean of the weights, and the settings (ema) ask for "
            f"{wanted}; go on with the settings that the run was begun with, or remove "
            f"{path.parent} to train anew"
        )
    module.load_state_dict(weights)
    if averaged is not None:
        averaged.load_state_dict(means)
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": moments, "param_groups": groups})
    losses = json.loads(metadata.get("losses", "[]"))  # states of an earlier version have none
    return int(metadata["step"]), float(metadata["seconds"]), losses


def _truncate_log(path: Path, step: int) -> None:
    """Drop lines after ``step``: a killed run logged further than its last saved state."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        write_whole(path, "".join(kept))
