"""Print synthetic descriptions, or how much the conditions share."""

from __future__ import annotations

import argparse

from dermmm.conditions import NAMES
from dermmm.describe import VOICES
from training.grammar import draft, sharing


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.grammar", description=__doc__)
    parser.add_argument("--condition", choices=NAMES, help="default: every condition")
    parser.add_argument("--n", type=int, default=5, help="drafts a condition")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first draft")
    parser.add_argument("--voice", choices=VOICES, help="default: the seed chooses")
    parser.add_argument("--sharing", action="store_true", help="print the table of shared findings")
    options = parser.parse_args()
    if options.sharing:
        print(sharing().round(2).to_string(index=False))
        return
    for condition in [options.condition] if options.condition else NAMES:
        for seed in range(options.seed, options.seed + options.n):
            made = draft(condition, seed, options.voice)
            print(f"{condition}\t{made.voice}\t{made.text}")


if __name__ == "__main__":
    main()
