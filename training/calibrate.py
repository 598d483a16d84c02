"""Fit one temperature for each answer on validation, and write the checkpoint.

    python -m training.calibrate --data runs/first/data --out runs/first

The temperature of the photo answer is fitted on validation photos, that of the text answer on
validation texts, that of the fused answer on true validation pairs. Only half of the groups of each
serve: the other half is kept for the thresholds of `training.abstention`, whose promise needs cases
that no temperature was fitted on. Settings of earlier stages were chosen on all of validation, so
the promise is approximate; the coverage on test is the evidence. Writes `OUT/checkpoint`, without
the limits and scores that later stages add to it, and removes the summaries of the stages that
measured an earlier one, so that they run again. 0.2 minutes with `--preset cpu` on two idle cores.
"""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dermmm import __version__, checkpoint
from dermmm.calibration import fit_temperature
from dermmm.checkpoint import Checkpoint
from dermmm.conditions import NAMES
from training import fusion, image_classifier, text_pretraining
from training.answers import answer_rows
from training.dataset import cases_with_text, condition_index, fingerprint, read_manifest
from training.stage import SYNTHETIC, Stage, forget_measurements, read_summary, run_stage

NAME = "calibrate"


@dataclass(frozen=True)
class CalibrateConfig:
    preset: str


def main(config: CalibrateConfig, data: Path, out: Path) -> dict[str, object]:
    manifest = read_manifest(data)
    held_out = manifest[(manifest["split"] == "val") & (manifest["condition"] != "")]
    model, tokenizer = fusion.load_model(out)

    photos = held_out[held_out["photo"] != ""]
    pairs = photos[photos["text_path"] != ""]
    texts = cases_with_text(manifest, "val")
    logits = {
        "image": (answer_rows(model, tokenizer, data, photos, use=("image",)).image_logits, photos),
        "text": (answer_rows(model, tokenizer, data, texts, use=("text",)).text_logits, texts),
        "fused": (answer_rows(model, tokenizer, data, pairs).fused_logits, pairs),
    }
    temperatures, cases = {}, {}
    for answer, (values, rows) in logits.items():
        targets = torch.from_numpy(condition_index(rows))
        known = torch.isfinite(values[torch.arange(len(targets)), targets])
        known &= torch.from_numpy(first_half(rows["group"].to_numpy()))
        temperatures[answer] = fit_temperature(values[known], targets[known])
        cases[answer] = int(known.sum())
    forget_measurements(out)
    checkpoint.save(
        Checkpoint(
            model=model,
            tokenizer=tokenizer,
            conditions=NAMES,
            temperatures=temperatures,
            version=__version__,
            provenance={
                "preset": config.preset,
                "data": fingerprint(data),
                "synthetic_texts": fingerprint(data, SYNTHETIC),
                "started_from": started_from(out),
                "commit": _commit(),
                "initialisation": "random; no pretrained weights of any kind",
            },
            metrics={},
        ),
        out / "checkpoint",
    )
    return {"temperature": temperatures, "cases": cases}


def started_from(out: Path) -> dict[str, str]:
    """Part -> SHA-256 of the checkpoint that it came from; no part that began at random weights.

    A chain of checkpoints, each naming the one before it, ends at one that names none.
    """
    stages = {"image_encoder": image_classifier.NAME, "text_encoder": text_pretraining.NAME}
    summaries = {part: read_summary(out, name) for part, name in stages.items()}
    return {
        part: said[how]
        for part, said in summaries.items()
        for how in ("started_from", "taken_from")
        if how in said
    }


def first_half(groups: np.ndarray) -> np.ndarray:
    """(B,) bool: every other one of the groups (B,) in the order of their hashes.

    The half serves temperatures and choices; the other half is for `training.abstention`.
    """
    names, member = np.unique(groups, return_inverse=True)
    order = np.argsort([hashlib.sha256(str(name).encode()).hexdigest() for name in names])
    rank = np.argsort(order)
    return (rank % 2 == 0)[member]


def _commit() -> str:
    """The commit that the code was at, marked where files differ from it; "" outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    here = Path(__file__).parent
    result = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    return result.stdout.strip()


STAGE = Stage(NAME, main)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
