"""The notebooks run from top to bottom on made-up data, in one run, and keep no output."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "training" / "notebooks"
IN_ORDER = (
    "cleaning", "balancing", "synthetic_text", "image_encoder", "text_encoder", "fusion",
)  # fmt: skip
SHARED_CELLS = (1, 3, 4)  # setup, parameters, start: every notebook must stand alone


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def test_every_notebook_is_in_the_order() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {*IN_ORDER}


@pytest.mark.parametrize("name", IN_ORDER)
def test_no_output_is_kept(name: str) -> None:
    """An output may hold a photo or a text of the datasets."""
    book = read(name)
    nbformat.validate(book)
    for cell in book.cells:
        assert not cell.get("outputs"), cell.id
        assert cell.get("execution_count") is None, cell.id
        assert not cell.get("attachments"), cell.id
    assert "widgets" not in book.metadata


def test_all_begin_alike() -> None:
    first = read(IN_ORDER[0]).cells
    for name in IN_ORDER[1:]:
        for place in SHARED_CELLS:
            assert read(name).cells[place].source == first[place].source, (name, place)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of one run that all notebooks share, as their environment names it."""
    folder = tmp_path_factory.mktemp("notebooks")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DERM_RAW", "")
        environment.setenv("DERM_PRESET", "smoke")
        environment.setenv("DERM_OUT", str(folder / "run"))
        environment.setenv("IPYTHONDIR", str(folder / "ipython"))
        environment.setenv("OMP_NUM_THREADS", "1")
        yield folder / "run"


@pytest.mark.parametrize("name", IN_ORDER)
def test_it_runs_from_top_to_bottom(name: str, run: Path) -> None:
    book = read(name)
    # a busy machine is no failure
    client = NotebookClient(book, timeout=None, startup_timeout=600, kernel_name="python3")
    client.resources = {"metadata": {"path": str(FOLDER)}}
    client.execute()
    assert all(cell.execution_count for cell in book.cells if cell.cell_type == "code")
    left = {"fusion": "checkpoint/config.json"}.get(name, "data/manifest.csv")
    assert (run / left).is_file()
