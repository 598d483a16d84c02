"""Build every text of a run in one go, and say how many there are of what.

    python -m training.corpus --raw RAW --out runs/first

Cleans the raw folders, renders their fields, balances, makes synthetic texts and audits them all.
No network, no GPU; 5 min 51 s on a busy two-core machine. Prints the datasheet, which is kept in
`DATA/texts.md`; stops with exit status 1 where the audit finds a leak.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from dermmm.conditions import NAMES
from training import audit, balance, clean, synthesize
from training.dataset import read_manifest, read_synthetic
from training.presets import PRESETS, Preset
from training.stage import run, write_whole

STAGES = (balance.STAGE, synthesize.STAGE, audit.STAGE)
KINDS = ("real", "unstructured", "synthetic")


def count_texts(data: Path) -> pd.DataFrame:
    """Texts by condition (rows), kind and split (columns).

    Real texts are those that a person wrote, unstructured ones are rendered from fields that a
    person filled in, synthetic ones come from the grammar or a language model. A rendered row has
    several wordings; each is counted.
    """
    manifest = read_manifest(data)
    told = manifest[(manifest["condition"] != "") & (manifest["text_path"] != "")]
    kind = (told["fields"] == "{}").map({True: "real", False: "unstructured"})
    made = read_synthetic(data)
    texts = pd.concat(
        [
            told.assign(kind=kind, texts=told["n_texts"].astype(int)),
            made.assign(kind="synthetic", texts=1),
        ]
    )
    table = texts.pivot_table(
        "texts", "condition", ["kind", "split"], aggfunc="sum", fill_value=0
    ).astype(int)
    columns = [(kind, split) for kind in KINDS for split in ("train", "val", "test")]
    # nothing synthetic is ever outside the training split
    columns = [column for column in columns if column in table or column[0] != KINDS[-1]]
    return table.reindex(index=list(NAMES), columns=pd.MultiIndex.from_tuples(columns)).fillna(0)


def datasheet(data: Path) -> str:
    """`count_texts` as Markdown, and which conditions stand on synthetic text alone."""
    table = count_texts(data).astype(int)
    lines = ["# Texts by condition, kind and split", ""]
    lines += [" | ".join(["condition", *(" ".join(column) for column in table.columns)])]
    lines += ["|".join(["---"] * (len(table.columns) + 1))]
    lines += [
        " | ".join([str(name), *map(str, row)])
        for name, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    learned = table[[column for column in table.columns if column[1] == "train"]]
    from_people = learned[[column for column in learned.columns if column[0] != "synthetic"]]
    told, learnable = from_people.sum(axis=1) > 0, learned.sum(axis=1) > 0
    alone = [str(name) for name in table.index[learnable & ~told]]
    nothing = [str(name) for name in table.index[~learnable]]
    lines += ["", f"Learned from synthetic text alone: {', '.join(alone) or 'none'}."]
    lines += [f"No training text at all: {', '.join(nothing) or 'none'}."]
    return "\n".join(lines) + "\n"


def main(raw: Path, out: Path, preset: Preset) -> None:
    """Run every step and print the datasheet.

    Raises:
        training.audit.AuditFailed: a leak was found.
    """
    data = out / "data"
    clean.main(clean.Config(raw=raw, out=data))
    for stage in STAGES:
        print(f"== {stage.name}", flush=True)
        config = getattr(preset, stage.name)
        made = synthesize.read_config(out) if stage is synthesize.STAGE else None
        if made and made.model:  # texts of a language model, once made, are kept
            config = made
        run(stage, config, data, out)
    write_whole(data / "texts.md", datasheet(data))
    print(datasheet(data))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--raw", type=Path, required=True, help="the folder of raw datasets")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    options = parser.parse_args()
    main(options.raw, options.out, PRESETS[options.preset])
