"""The real program in its own process, for the tests that need all of it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

APP = Path(__file__).parent.parent / "app.py"


@contextmanager
def running(*arguments: str, folder: Path, **environment: str) -> Iterator[tuple[str, int]]:
    """Run app.py in ``folder`` and yield its address and process id; stop it with a SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, str(APP), *arguments],
        cwd=folder,
        env={"PATH": "", "OMP_NUM_THREADS": "1", "TMPDIR": str(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address is not None, process.stderr.read()
        yield address[0], process.pid
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=60)
        assert "Traceback" not in errors, errors
