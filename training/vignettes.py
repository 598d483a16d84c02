"""Short case vignettes that no model was trained on: a yardstick from outside the data.

Four for each condition, at least one in each voice of `dermmm.describe`, in `vignettes.csv`.
They were written one by one from general dermatology knowledge, from no template or dataset and
without sight of `training.grammar`, before any synthetic training text was generated. No clinician
has reviewed them. Choose nothing by them (no model, rule or threshold): their score is reported as
an external row and nothing else.

>>> len(read_vignettes())
104
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dermmm.conditions import NAMES
from dermmm.describe import VOICES

VIGNETTES = Path(__file__).with_name("vignettes.csv")
COLUMNS = ("id", "condition", "voice", "text")
A_CONDITION = 4  # vignettes each, so that the macro average weighs every text alike


def read_vignettes(path: Path = VIGNETTES) -> pd.DataFrame:
    """Read the vignettes: one row each with id, condition, voice and text, every cell a string.

    Raises:
        ValueError: other columns, a condition or voice that does not exist, an empty text, an id
            given twice, or a condition with more or fewer than four vignettes.
    """
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if tuple(table.columns) != COLUMNS:
        raise ValueError(
            f"{path}: got the columns {list(table.columns)}, expected {list(COLUMNS)}; "
            "correct its first line"
        )
    problems = {
        "a condition that is none of dermmm.conditions.NAMES": ~table["condition"].isin(NAMES),
        f"a voice that is none of {', '.join(VOICES)}": ~table["voice"].isin(VOICES),
        "an empty text": table["text"].str.strip() == "",
        "an id that was used before": table["id"].duplicated(),
    }
    for problem, rows in problems.items():
        if rows.any():
            raise ValueError(f"{path}: {list(table['id'][rows])} have {problem}; correct the rows")
    counts = table["condition"].value_counts().reindex(NAMES, fill_value=0)
    uneven = counts[counts != A_CONDITION]
    if len(uneven):
        raise ValueError(
            f"{path}: got {uneven.to_dict()} vignettes, expected {A_CONDITION} of each condition; "
            "add or remove rows"
        )
    return table
