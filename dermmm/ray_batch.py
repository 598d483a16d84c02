"""A table of cases answered by many processes: `python -m dermmm batch ... --ray`.

For tables of a million rows. Ray Data reads the table while it is answered, so that neither rows
nor answers gather in memory, and gives the answers in the order of the rows; each process has a
model of its own. The rows are answered in the chunks in which they are without Ray, and the answers
are the same but for rounding. Ray is an extra: `pip install '.[ray]'`.

Ray would send statistics of its use to its makers; that is off here. What it writes while it runs
lies in a temporary folder that goes with it. Only this machine is used, never a running cluster.
"""

from __future__ import annotations

import io
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from dermmm import batch, load

BLOCK = 32 * batch.CHUNK  # rows that travel together
STORE = 256 * 2**20  # bytes of memory that Ray may hold rows and answers in


def lines(
    cases: Path, checkpoints: str | None, workers: int, block: int = BLOCK
) -> Iterator[tuple[int, str]]:
    """Answer a table of cases in its order.

    Args:
        cases: a CSV with `dermmm.batch.COLUMNS`; its photos are looked for beside it.
        checkpoints: as `dermmm.load` takes it; workers: processes that answer, each with a thread.
        block: rows that are read at a time, a multiple of `dermmm.batch.CHUNK`.

    Yields:
        a number of rows, and their lines of the table of answers as `dermmm.batch.write` writes it.

    Raises:
        ValueError: Ray is not installed.
    """
    # Read when ray is imported: no statistics, processes of the same priority as this one, no talk.
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        "RAY_BACKEND_LOG_LEVEL": "fatal",
    }
    try:
        import ray
    except ImportError:
        raise ValueError("--ray needs Ray: pip install '.[ray]', or leave --ray out") from None

    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as temporary:
        ray.init(
            address="local",
            num_cpus=workers + 1,  # one for reading the table
            object_store_memory=STORE,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=temporary,
        )
        try:
            yield from _answered(cases, checkpoints, workers, block)
        finally:
            ray.shutdown()


def _answered(
    cases: Path, checkpoints: str | None, workers: int, block: int
) -> Iterator[tuple[int, str]]:
    import ray.data
    from ray.data.block import BlockMetadata
    from ray.data.datasource import Datasource, ReadTask

    class Cases(Datasource):
        """The table, read by one task that gives out a block at a time."""

        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(
            self,
            parallelism: int,
            per_task_row_limit: int | None = None,
            data_context: ray.data.DataContext | None = None,
        ) -> list[ReadTask]:
            unknown = BlockMetadata(
                num_rows=None, size_bytes=None, input_files=None, exec_stats=None
            )
            return [ReadTask(lambda: _blocks(cases, block), unknown)]

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    context.target_max_block_size = 1  # byte: every block of cases travels by itself
    table = ray.data.read_datasource(Cases(), override_num_blocks=1, num_cpus=0)
    answered = table.map_batches(
        Answering,
        fn_constructor_args=(checkpoints and str(Path(checkpoints).resolve()), str(cases.parent)),
        batch_size=1,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
    )
    for found in answered.iter_rows():
        yield int(found["rows"]), str(found["lines"])


class Answering:
    """A process with a model: a block of rows in, their lines of the table of answers out."""

    def __init__(self, checkpoints: str | None, folder: str) -> None:
        import torch

        torch.set_num_threads(1)
        self.predictor = load(checkpoints, onnx=True)
        self.folder = Path(folder)

    def __call__(self, table: dict[str, Any]) -> dict[str, list[Any]]:
        told = zip(*(table[column][0] for column in batch.COLUMNS), strict=True)
        rows = [batch.Row(*map(str, row)) for row in told]
        written = io.StringIO(newline="")
        for answers in batch.answers(self.predictor, rows, lambda name: self.folder / name):
            batch.write(written, self.predictor.conditions, answers, header=False)
        return {"rows": [len(rows)], "lines": [written.getvalue()]}


def _blocks(cases: Path, size: int) -> Iterable[Any]:
    """The table's cases, ``size`` of them in each row that Ray sees."""
    import pyarrow

    with cases.open(newline="", encoding="utf-8-sig") as file:
        rows = batch.each_case(file, str(cases))
        while together := list(islice(rows, size)):
            yield pyarrow.table(
                {name: [[getattr(row, name) for row in together]] for name in batch.COLUMNS}
            )
