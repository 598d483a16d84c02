"""Every stage in order, from raw data to an evaluated checkpoint. Killed? Run it again.

    python -m training.reproduce --raw RAW --out runs/first --preset cpu

RAW holds the folders of the datasets as their publishers lay them out; those that are missing are
left out. A finished stage is not repeated, an interrupted one goes on from its last saved step.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from training import (
    abstention,
    calibrate,
    corpus,
    evaluate,
    fusion,
    image_classifier,
    pairing,
    probe,
    simclr,
    text_baseline,
    text_classifier,
    text_pretraining,
)
from training.presets import PRESETS, Preset
from training.stage import Stage, run

STAGES: tuple[Stage, ...] = (
    simclr.STAGE,
    image_classifier.STAGE,
    text_baseline.STAGE,
    text_pretraining.STAGE,
    text_classifier.STAGE,
    probe.STAGE,
    pairing.STAGE,
    fusion.STAGE,
    calibrate.STAGE,
    abstention.STAGE,
    evaluate.STAGE,
)


def main(
    raw: Path,
    out: Path,
    preset: Preset,
    images_from: Path | None = None,
    start_from: Path | None = None,
) -> dict[str, object]:
    """Run all stages and return the last one's summary: the scores on the test split.

    With ``images_from`` the image encoder and its head come from that checkpoint, untrained on;
    with ``start_from`` both encoders do, and each is trained one more round.
    """
    data = out / "data"
    corpus.main(raw, out, preset)
    stages = STAGES
    if images_from or start_from:
        taken: dict[Stage, Stage | None] = {simclr.STAGE: None}
        if images_from:
            taken[image_classifier.STAGE] = image_classifier.take_from(images_from)
        if start_from:
            taken[image_classifier.STAGE] = image_classifier.start_from(start_from)
            taken[text_pretraining.STAGE] = text_pretraining.take_from(start_from)
        stages = tuple(one for stage in STAGES if (one := taken.get(stage, stage)))
    summary: dict[str, object] = {}
    for stage in stages:
        print(f"== {stage.name}", flush=True)
        started = time.monotonic()
        summary = run(stage, getattr(preset, stage.name), data, out)
        shown = {
            key: value
            for key, value in summary.items()
            if key not in ("config", "inputs", "rows", "differences", "trials")
        }
        print(f"   {(time.monotonic() - started) / 60:.1f} min  {json.dumps(shown)}", flush=True)
    return summary


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--raw", type=Path, required=True, help="the folder of raw datasets")
    parser.add_argument("--out", type=Path, required=True, help="where the run is kept")
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    parser.add_argument(
        "--images-from", type=Path, metavar="DIR", help="take the image encoder of a checkpoint"
    )
    parser.add_argument(
        "--start-from", type=Path, metavar="DIR", help="train the encoders of a checkpoint on"
    )
    parser.add_argument("--publish", type=Path, metavar="DIR", help="copy the checkpoint there")
    options = parser.parse_args()
    if options.images_from and options.start_from:
        parser.error("--images-from and --start-from exclude each other")
    result = main(
        options.raw,
        options.out,
        PRESETS[options.preset],
        options.images_from,
        options.start_from,
    )
    print(evaluate.results_table({"split": "test", **result}))
    if options.publish:
        evaluate.publish(options.out, options.publish)
