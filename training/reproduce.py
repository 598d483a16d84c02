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
    calibrate,
    clean,
    evaluate,
    fusion,
    image_classifier,
    pairing,
    probe,
    simclr,
    text_classifier,
)
from training.presets import PRESETS, Preset
from training.stage import run

STAGES = (
    simclr.STAGE,
    image_classifier.STAGE,
    text_classifier.STAGE,
    probe.STAGE,
    pairing.STAGE,
    fusion.STAGE,
    calibrate.STAGE,
    evaluate.STAGE,
)


def main(raw: Path, out: Path, preset: Preset) -> dict[str, object]:
    """Run all stages and return the last one's summary: the scores on the test split."""
    data = out / "data"
    clean.main(clean.Config(raw=raw, out=data))
    summary: dict[str, object] = {}
    for stage in STAGES:
        print(f"== {stage.name}", flush=True)
        started = time.monotonic()
        summary = run(stage, getattr(preset, stage.name), data, out)
        shown = {key: value for key, value in summary.items() if key not in ("config", "rows")}
        print(f"   {(time.monotonic() - started) / 60:.1f} min  {json.dumps(shown)}", flush=True)
    return summary


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--raw", type=Path, required=True, help="the folder of raw datasets")
    parser.add_argument("--out", type=Path, required=True, help="where the run is kept")
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    parser.add_argument("--publish", type=Path, metavar="DIR", help="copy the checkpoint there")
    options = parser.parse_args()
    result = main(options.raw, options.out, PRESETS[options.preset])
    print(evaluate.results_table({"split": "test", "rows": result["rows"]}))
    if options.publish:
        evaluate.publish(options.out, options.publish)
