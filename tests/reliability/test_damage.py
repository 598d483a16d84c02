"""Damaged checkpoints, in a reduced form: a tiny model, one or two trials of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import damage
from tests.test_imports import violations


@pytest.fixture(scope="module")
def counts(
    cautious_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, damage.Counts]:
    other = damage.another(cautious_folder, tmp_path_factory.mktemp("other"))
    trials = damage.all_damage(cautious_folder, other, most=1)
    return damage.run_all(cautious_folder, trials, show=False)[0]


def test_every_kind_of_damage_is_refused_or_does_no_harm(counts: dict[str, damage.Counts]) -> None:
    slow = "took "  # nothing timed is judged here
    wrong = {
        kind: broken
        for kind, of in counts.items()
        if (broken := [one for one in of.wrong if slow not in one])
    }
    assert not wrong
    assert len(counts) > 65


def test_without_new_hashes_nothing_is_loaded_at_all(counts: dict[str, damage.Counts]) -> None:
    found = {kind: of.outcomes for kind, of in counts.items() if "resealed" not in kind}
    assert len(found) > 25
    accepted = {kind for kind, became in found.items() if set(became) - {damage.REFUSED}}
    # a bit of white space in the config says nothing, and a file may equal another checkpoint's
    assert accepted <= {"a bit of each fourth byte of the config", "from another checkpoint"}


def test_the_app_opens_the_files_of_the_checkpoint_and_no_pickle(cautious_folder: Path) -> None:
    names, wrong = damage.opened_by_the_app(cautious_folder, page=False)
    assert names == sorted(damage.NAMES)
    assert not wrong


def test_no_code_reads_a_pickle() -> None:
    scanned, readers = damage.unpicklers()
    assert scanned > 100
    assert not readers


@pytest.mark.parametrize(
    "code",
    ["import pickle", "torch.load(path)", "np.load(path, allow_pickle=True)", "import dill"],
)
def test_a_reader_of_pickles_would_be_found(code: str) -> None:
    assert list(violations(code))


def test_the_report_has_a_row_for_each_promise(counts: dict[str, damage.Counts]) -> None:
    counts = {**counts, "made up": damage.Counts(wrong=["it broke"])}
    counts["made up"].outcomes["traceback"] += 1
    rows, tables = damage.report(counts, memory=1.0)
    assert [row.passed for row in rows[:2]] == [False, True]
    assert "it broke" in rows[0].measured
    assert len(tables[0].rows) == len(counts)
