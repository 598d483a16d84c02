"""Build a folder of teaching cases from your own copies of the public datasets.

    python -m training.case_library --raw RAW --data DATA --out DIR [--per-condition N]
    python app.py --cases DIR

In: the raw downloads, and what `training.clean` wrote from them. Only cases of the test split are
taken, so the model has learned from none of them; only those whose label most annotators share;
one of a patient, lesion or case. Sources without a folder below RAW are left out. Out:

    cases.csv     set, id, image, text, condition, credit, licence; neither ids nor files tell
    photos/       JPEG anew from pixels: no metadata, at most SIDE pixels
    NOTICE.txt    whose the cases are, and that they may not be passed on

The datasets' licences let you teach from your copy, not hand it on; so the folder also tells git to
leave it out. Takes about a minute for the default of two cases a condition and set. No GPU is used.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from dermmm.preprocess import open_photo
from training.dataset import read_manifest, read_texts
from training.sources import READERS

PER_CONDITION = 2
SIDE = 800  # longest side of a photo, in pixels
QUALITY = 90
AGREEMENT = 0.7  # the share of the annotators' weight that the truth of a teaching case must have
COLUMNS = ["set", "id", "image", "text", "condition", "credit", "licence"]
SETS = {
    "img_text": "Photos with descriptions",
    "image_only": "Photos",
    "text_only": "Descriptions",
}
CREDITS = {
    "pad_ufes_20": "PAD-UFES-20, Pacheco et al., Data in Brief 32, 2020",
    "milk10k": "MILK10k, MILK study team, ISIC Archive, 2025",
    "fitzpatrick17k": "Fitzpatrick17k, Groh et al., CVPR Workshops 2021; DermaAmin, Atlas "
    "Dermatologico",
    "msld_v2": "Mpox Skin Lesion Dataset v2.0, Ali et al., 2023",
    "scin": "SCIN, Ward et al., JAMA Network Open 2024",
    "dermavqa_iiyi": "DermaVQA (IIYI), Yim et al., MICCAI 2024",
}
NOTICE = """These teaching cases were copied from public datasets for your own use.

Do not redistribute this folder, or any part of it. The photos and texts belong to the datasets
named in the column "credit" of cases.csv, each under the licence beside it; some photos belong to
atlases that permit research use only. Show a photo with its credit. Faces, children and intimate
sites may occur: look through the folder before a class does.

For education and research only. Not for any patient's care.
"""


def main(raw: Path, data: Path, out: Path, per_condition: int = PER_CONDITION) -> pd.DataFrame:
    """Write the folder ``out`` and return its table, with `COLUMNS`.

    Raises:
        FileExistsError: ``out`` is not empty.
        FileNotFoundError: ``data`` holds no manifest, or ``raw`` no source of it.
        ValueError: no case of the test split is left.
    """
    if out.exists() and any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty; give a new folder, or remove it first")
    manifest = read_manifest(data)
    sources = [name for name in READERS if (raw / name).is_dir()]
    if not sources:
        raise FileNotFoundError(
            f"{raw} holds no folder of a dataset; expected one or more of {', '.join(READERS)}"
        )
    candidates = manifest[manifest["source"].isin(sources)]
    photos = raw_photos(raw, sorted(set(candidates["source"])))
    chosen = choose(candidates, set(photos), per_condition)
    if chosen.empty:
        raise ValueError(
            f"no case of the test split in {data} has its photo or text below {raw}; "
            "give the folders that training.clean was run on"
        )
    (out / "photos").mkdir(parents=True)
    (out / ".gitignore").write_text("*\n", encoding="utf-8")
    (out / "NOTICE.txt").write_text(NOTICE, encoding="utf-8")
    rows = []
    for row, texts in tqdm(
        zip(chosen.to_dict("records"), read_texts(data, chosen), strict=True),
        total=len(chosen),
        unit="case",
    ):
        # An id that tells neither source nor condition.
        name = hashlib.sha256(row["id"].encode()).hexdigest()[:12]
        image = f"photos/{name}.jpg" if row["photo"] else ""
        if image:
            photo = open_photo(photos[row["id"]])
            photo.thumbnail((SIDE, SIDE))
            photo.save(out / image, "JPEG", quality=QUALITY)
        rows.append(
            {
                "set": SETS[row["modality"]],
                "id": name,
                "image": image,
                "text": texts[0] if texts else "",
                "condition": row["condition"],
                "credit": CREDITS[row["source"]],
                "licence": row["licence"],
            }
        )
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.to_csv(out / "cases.csv", index=False, encoding="utf-8", lineterminator="\n")
    return table


def choose(manifest: pd.DataFrame, with_photo: set[str], per_condition: int) -> pd.DataFrame:
    """Rows of the test split for teaching: at most so many a condition and modality, mixed.

    Args:
        with_photo: ids whose raw photo is there; rows with a photo that is not are left out.
    """
    usable = manifest[
        (manifest["split"] == "test")
        & (manifest["condition"] != "")
        & ((manifest["photo"] == "") | manifest["id"].isin(with_photo))
    ]
    clear = [
        json.loads(targets).get(condition, 0.0) >= AGREEMENT
        for condition, targets in zip(usable["condition"], usable["targets"], strict=True)
    ]
    mixed = usable[clear].sample(frac=1, random_state=np.random.RandomState(0))
    chosen = mixed.drop_duplicates("group").groupby(["modality", "condition"]).head(per_condition)
    order = chosen["modality"].map(list(SETS).index)
    return chosen.loc[order.sort_values(kind="stable").index]


def raw_photos(raw: Path, sources: list[str]) -> dict[str, Path]:
    """Row id -> photo in the download, for the rows that have one."""
    return {
        row.id: row.photo
        for source in sources
        for row in READERS[source](raw / source)
        if row.photo is not None
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--raw", type=Path, required=True, help="the folder of raw datasets")
    parser.add_argument("--data", type=Path, required=True, help="what training.clean wrote")
    parser.add_argument("--out", type=Path, required=True, help="a new folder for the cases")
    parser.add_argument(
        "--per-condition",
        type=int,
        default=PER_CONDITION,
        metavar="N",
        help="cases of each condition in each of the three sets (default: %(default)s)",
    )
    options = parser.parse_args()
    if options.per_condition < 1:
        parser.error("--per-condition must be at least 1")
    try:
        made = main(options.raw, options.data, options.out, options.per_condition)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    for title, cases in made.groupby("set"):
        print(f"{title}: {len(cases)} cases of {cases['condition'].nunique()} conditions")
    print(f"\n{NOTICE}\nNow: python app.py --cases {options.out}")
