"""Where a case lies while it is worked on: a folder for this program's user only, for ten minutes.

Gradio deletes the files that it knows of. It does not know of an upload that broke off half-way,
nor of what a killed program left behind. So everything that is old is deleted here as well.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# A case leaves nothing behind: this long after its last change a file is deleted. That is looked
# after every so many seconds.
KEPT_SECONDS = 600
CHECK_SECONDS = 60

PREFIX = "derm-mmmodal-"


@contextmanager
def private_folder() -> Iterator[str]:
    """A folder for the uploads of this run. What grows old in it is deleted, and in the end all."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        over = threading.Event()

        def watch() -> None:
            delete_old(Path(folder))
            while not over.wait(CHECK_SECONDS):
                delete_old(Path(folder))

        threading.Thread(target=watch, daemon=True).start()
        try:
            yield folder
        finally:
            over.set()


def delete_old(own: Path) -> None:
    """Delete old files from ``own`` and from the like folders beside it of the same user.

    Nobody has to know whether the program that made a folder still runs: no file of any run may
    grow this old. Gradio comes first, since it keeps lists of what it deletes.
    """
    oldest = time.time() - KEPT_SECONDS - CHECK_SECONDS
    user = own.lstat().st_uid
    for folder in own.parent.glob(f"{PREFIX}*"):
        if folder.is_symlink() or folder.lstat().st_uid != user:
            continue
        for place, _, names in os.walk(folder):
            for path in (Path(place) / name for name in names):
                try:
                    if path.lstat().st_ctime < oldest:
                        path.unlink()
                except OSError:  # another program was faster
                    continue
