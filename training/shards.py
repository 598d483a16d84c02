"""A million photos with captions: packed into shards once, then streamed with constant memory.

    pip install -r requirements-dev.txt
    python -m training.shards --raw RAW/derm1m --out SHARDS          Derm1M's layout
    python -m training.shards --raw RAW/derm1m --out SHARDS --workers 8

In: a folder with a CSV of file names and captions, as `training.sources.derm1m` reads it. Out: tar
files in WebDataset's layout, `SHARDS/000000.tar` and so on, each sample a JPEG with a short side of
at most 224 pixels and no metadata, its masked caption, and its id, group and condition;
`dropped.csv` with the reason for each row that is left out; `index.json` with the counts, written
last. No row and no photo is kept in memory.

All shards are for training. What `training.clean` asks of a photo is asked here, too, and a photo
with the very pixels of a held-out one (training/splits.csv) is dropped. A held-out photo in another
encoding is not recognised: near-duplicates are looked for by `training.clean` alone, which keeps
every row in memory.

    for batch in stream(Path("SHARDS"), size=96, batch=64, epoch=0):
        images = augment(batch.pixels, 64, SUPERVISED)

Shapes: B batch, S pixels.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset
from torch import Tensor
from tqdm import tqdm

from dermmm.conditions import INDEX
from dermmm.preprocess import open_photo, square
from training import splits
from training.clean import Config, Item, filter_items, look, photo_bytes
from training.sources import derm1m
from training.sources.row import Row
from training.stage import write_whole

INDEX_FILE, DROPPED = "index.json", "dropped.csv"
IN_SHARD = 5_000  # samples; some 80 MB of photos of 224 pixels
TOGETHER = 512  # rows that are looked at by all workers before the next are read
BUFFER = 2_000  # samples among which the stream draws the next: 30 MB of JPEGs
UNKNOWN = -1  # condition of a photo whose label maps to none


@dataclass(frozen=True)
class Batch:
    """What a training step reads: `training.augment` takes the pixels as they are."""

    pixels: Tensor  # (B, S, S, 3) uint8
    texts: list[str]  # B masked captions, "" where there is none
    conditions: Tensor  # (B,) int64 index into `dermmm.conditions.NAMES`, or UNKNOWN
    groups: list[str]  # B names; photos of one case or video share one


def pack(
    rows: Iterable[Row], out: Path, in_shard: int = IN_SHARD, workers: int = 1, total: int = 0
) -> dict[str, Any]:
    """Write rows with a photo as shards; the folder appears whole or not at all.

    Args:
        out: a folder that does not exist yet.
        in_shard: samples in each shard but the last; total: rows, where known, for the progress.

    Returns:
        what `index.json` holds: counts of samples, of each condition, and of what was dropped.

    Raises:
        FileExistsError: ``out`` is there already.
        ValueError: no row was kept.
    """
    if out.exists():
        raise FileExistsError(f"{out} is there already; remove it to pack anew, or choose another")
    frozen = splits.read()
    held_out = set() if frozen is None else {*frozen.loc[frozen["split"] != "train", "sha256"]}
    temporary = out.with_name(out.name + ".tmp")
    temporary.mkdir(parents=True, exist_ok=True)
    for path in temporary.iterdir():  # left by a run that was stopped
        path.unlink()
    kept, dropped = Counter[str](), Counter[str]()
    with ExitStack() as stack:
        shards = stack.enter_context(
            webdataset.ShardWriter(f"{temporary}/%06d.tar", maxcount=in_shard, verbose=0)
        )
        table = stack.enter_context((temporary / DROPPED).open("w", newline="", encoding="utf-8"))
        reasons = csv.writer(table)
        reasons.writerow(("id", "reason"))
        run: Any = map
        if workers > 1:
            pool = stack.enter_context(ProcessPoolExecutor(workers))
            run = partial(pool.map, chunksize=16)
        bar = stack.enter_context(tqdm(desc="pack", unit="row", total=total or None))
        reader = iter(rows)
        while together := list(islice(reader, TOGETHER)):
            made = run(partial(_sample, held_out=held_out), together)
            for row, (sample, reason) in zip(together, made, strict=True):
                if sample is None:
                    dropped[reason] += 1
                    reasons.writerow((row.id, reason))
                else:
                    shards.write({"__key__": f"{kept.total():09d}", **sample})
                    kept[sample["json"]["condition"] or "unmapped"] += 1
            bar.update(len(together))
    if not kept:
        raise ValueError(
            f"got no row with a usable photo; expected at least one ({dict(dropped.most_common(3))}"
            "); are the photos unpacked beside the table?"
        )
    names = sorted(path.name for path in temporary.glob("*.tar"))
    index = {
        "samples": kept.total(),
        "shards": names,
        "conditions": dict(sorted(kept.items())),
        "dropped": dict(dropped.most_common()),
    }
    write_whole(temporary / INDEX_FILE, json.dumps(index, indent=1) + "\n")
    temporary.replace(out)
    return index


def read_index(folder: Path) -> dict[str, Any]:
    """What `pack` returned. Raises FileNotFoundError where ``folder`` is not whole."""
    path = folder / INDEX_FILE
    if not path.is_file():
        raise FileNotFoundError(f"no {path}; pack with `python -m training.shards` first")
    return json.loads(path.read_text(encoding="utf-8"))


def stream(
    folder: Path,
    size: int,
    batch: int,
    epoch: int,
    seed: int = 0,
    process: int = 0,
    processes: int = 1,
    buffer: int = BUFFER,
) -> Iterator[Batch]:
    """One epoch of batches, in an order of its own that ``seed`` and ``epoch`` decide.

    The shards are shuffled, and the samples within a buffer. Photos are decoded in memory; nothing
    is written. The last, smaller batch is left out.

    Args:
        size: S; batch: B, of this process.
        process, processes: which of how many this is; each reads shards of its own.

    Raises:
        FileNotFoundError: ``folder`` holds no shards.
        ValueError: there are more processes than shards.
    """
    names = read_index(folder)["shards"]
    if len(names) < processes:
        raise ValueError(
            f"got {processes} processes for {len(names)} shards; each reads its own, so pack "
            "smaller shards or start fewer processes"
        )
    rng = random.Random(f"{seed} {epoch}")
    rng.shuffle(names)
    mine = [str(folder / name) for name in names[process::processes]]
    samples = webdataset.WebDataset(mine, shardshuffle=False, nodesplitter=None)
    if buffer:
        samples = samples.shuffle(buffer, initial=buffer, seed=rng.random())
    reader = iter(samples)
    while len(together := list(islice(reader, batch))) == batch:
        yield _batch(together, size)


def _batch(samples: list[dict[str, bytes]], size: int) -> Batch:
    told = [json.loads(sample["json"]) for sample in samples]
    pixels = np.stack([square(open_photo(sample["jpg"]), size) for sample in samples])
    return Batch(
        torch.from_numpy(pixels),
        [sample["txt"].decode() for sample in samples],
        torch.tensor([INDEX.get(one["condition"], UNKNOWN) for one in told]),
        [one["group"] for one in told],
    )


def _sample(row: Row, held_out: set[str]) -> tuple[dict[str, Any] | None, str]:
    """A row as its shard holds it, or why it is left out."""
    if row.photo is None:
        return None, "no photo here"
    if row.unusable:
        return None, f"called unusable: {row.unusable}"
    photo = look(row.photo)
    _, dropped = filter_items([Item(row, photo)], Config(Path(), Path()))
    if dropped:
        return None, dropped[0].reason
    if photo.sha256[:16] in held_out:
        return None, "the very pixels of a held-out photo"
    condition = derm1m.condition(row.label)
    return {
        "jpg": photo_bytes(photo),
        "txt": row.text,
        "json": {"id": row.id, "group": row.group_id, "condition": condition},
    }, ""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--raw", type=Path, required=True, help="folder of the CSV and the photos")
    parser.add_argument("--out", type=Path, required=True, help="folder to write, not there yet")
    parser.add_argument("--workers", type=int, default=2, help="processes that look at photos")
    options = parser.parse_args()
    index = pack(derm1m.read(options.raw), options.out, workers=options.workers)
    print(json.dumps(index, indent=1))


if __name__ == "__main__":
    main()
