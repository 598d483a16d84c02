"""What is left of a case: a reduced form of `benchmarks.privacy`, with tiny random weights."""

from __future__ import annotations

import base64
import io
import time
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import privacy
from benchmarks.privacy import META_MARK, NAME_MARK, TEXT, TEXT_MARK
from demo import uploads


def test_nothing_stays_nothing_leaves_and_nothing_is_told(checkpoint_folder: Path) -> None:
    """One program for all of it: answers, disk while it runs and after it, log, connections."""
    with privacy.program(
        "--checkpoints", str(checkpoint_folder), "--log-level", "debug", kept=4, check=1
    ) as run:
        back = privacy.every_way(run.page)
        with run.page.half_an_upload(b"half " + TEXT.encode() * 1000):
            time.sleep(0.5)
        privacy.mistakes(run.page)
        assert privacy.gone(run, most=60) is not None, privacy.left(run.folder)
        assert sum(b'"conditions"' in one for one in back) >= 6
        assert all(row.passed for row in privacy.returned(back)), privacy.returned(back)
        assert run.outbound == []
        run.page.upload(b"x", f"{NAME_MARK}.jpg")
        run.process.terminate()
        run.process.wait(timeout=60)
        assert privacy.left(run.folder) == []
        assert privacy.marks(run.said.encode()) == []
        assert privacy.VISITOR not in run.said and "Traceback" not in run.said
        assert "an event failed: " in run.said


def test_a_mark_is_found_wherever_it_hides(tmp_path: Path) -> None:
    for before in (b"", b"x", b"xy"):
        assert privacy.marks(base64.b64encode(before + TEXT.encode()))
    assert privacy.marks(TEXT_MARK.encode("utf-16-le")) == ["text"]
    photos = privacy.photos()
    assert {"metadata", "pixels"} <= set(privacy.marks(photos["jpg"]))
    assert {"metadata", "pixels"} <= set(privacy.marks(photos["heic"]))
    small = io.BytesIO()
    privacy.marker_photo().resize((97, 60)).save(small, "WebP", quality=40)
    page = b'<img src="data:image/webp;base64,' + base64.b64encode(small.getvalue()) + b'">'
    assert privacy.marks(page) == ["pixels"]
    (tmp_path / f"{NAME_MARK}.jpg").write_bytes(b"")
    assert privacy.left(tmp_path) == [".jpg: file name"]
    plain = io.BytesIO()
    Image.effect_noise((320, 240), 60).save(plain, "PNG")
    assert privacy.marks(plain.getvalue()) == []
    assert privacy.metadata(photos.values())[1].count("a mark") == len(photos)
    assert META_MARK.encode() in photos["heic"]


def test_old_files_are_deleted_in_every_folder_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, killed, other = (tmp_path / name for name in ("derm-mmmodal-a", "derm-mmmodal-b", "other"))
    files = [folder / "x" / "photo.jpg" for folder in (own, killed, other)]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"photo")
    (tmp_path / "derm-mmmodal-link").symlink_to(other)
    uploads.delete_old(own)
    assert [file.is_file() for file in files] == [True, True, True]
    monkeypatch.setattr(uploads, "KEPT_SECONDS", -1000)
    uploads.delete_old(own)
    assert [file.is_file() for file in files] == [False, False, True]


def test_the_folder_is_ours_alone_and_goes() -> None:
    with uploads.private_folder() as folder:
        assert Path(folder).stat().st_mode & 0o077 == 0
        (Path(folder) / "photo.jpg").write_bytes(b"photo")
    assert not Path(folder).exists()
