"""A small document becomes a PDF that holds its words, tables and figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from pypdf import PdfReader

from dermmm.prediction import CAUTIONS
from training import report_pdf

DOCS = Path(__file__).parent.parent.parent / "docs"

DOCUMENT = """---
license: none
---
# A small report

Words with **weight**, `code_of_ours`, less than < more, 0.5–0.7 and −1 → ≤ 2.

<!-- headline: written by a command -->
| model | balanced accuracy |
|---|---|
| *first* | 0.41 (0.38–0.44) |
| second & last | 0.52 |
<!-- end of headline -->

1. one
2. two
   - nested

![What the figure shows](figures/small.png)

> A notice.

```bash
python -m training.evaluate
```
"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    (tmp_path / "figures").mkdir()
    Image.new("RGB", (900, 500), "navy").save(tmp_path / "figures" / "small.png")
    path = tmp_path / "report.md"
    path.write_text(DOCUMENT, encoding="utf-8")
    return path


def test_words_tables_and_figures_arrive(document: Path, tmp_path: Path) -> None:
    assert report_pdf.main(document, tmp_path / "report.pdf") == 1
    (page,) = PdfReader(tmp_path / "report.pdf").pages
    text = page.extract_text()
    for said in (
        "A small report", "weight", "code_of_ours", "less than < more", "0.5–0.7 and −1 → ≤ 2",
        "balanced accuracy", "0.41 (0.38–0.44)", "second & last", "nested",
        "What the figure shows", "A notice.", "python -m training.evaluate", report_pdf.NOTICE,
    ):  # fmt: skip
        assert said in text, said
    for hidden in ("written by", "license", "**", "|"):
        assert hidden not in text, hidden
    assert len(page.images) == 1


def test_a_long_document_has_numbered_pages(tmp_path: Path) -> None:
    path = tmp_path / "long.md"
    path.write_text("# Long\n\n" + "A line of words.\n\n" * 120, encoding="utf-8")
    count = report_pdf.main(path, tmp_path / "long.pdf")
    reader = PdfReader(tmp_path / "long.pdf")
    assert len(reader.pages) == count > 1
    assert reader.metadata is not None and reader.metadata.title == "Long"
    for number, page in enumerate(reader.pages, start=1):
        assert str(number) in page.extract_text().split()


def test_a_missing_figure_is_named(document: Path, tmp_path: Path) -> None:
    (tmp_path / "figures" / "small.png").unlink()
    report_pdf.main(document, tmp_path / "report.pdf")
    (page,) = PdfReader(tmp_path / "report.pdf").pages
    assert "There is no figures/small.png" in page.extract_text()
    assert not page.images


def test_a_missing_document_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.md"):
        report_pdf.main(tmp_path / "none.md", tmp_path / "report.pdf")


@pytest.mark.parametrize(
    ("text", "named"),
    [("Text.\n\n<details>hidden</details>\n", "line 3"), ("see ![it](x.png) here", "of its own")],
)
def test_what_cannot_be_set_is_refused(text: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=named):
        report_pdf.main(path, tmp_path / "report.pdf")


def test_the_report_can_be_set(tmp_path: Path) -> None:
    assert report_pdf.main(DOCS / "report.md", tmp_path / "report.pdf") >= 4


@pytest.mark.parametrize("name", ["report", "model-card"])
def test_what_commands_write_stands_between_pairs_of_markers(name: str) -> None:
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    begun = re.findall(r"<!-- (.+?): written by training\.results -->", text)
    assert begun == re.findall(r"<!-- end of (.+?) -->", text)
    assert len(begun) == len({*begun}) > 1


def test_the_card_says_what_to_do_about_every_caution() -> None:
    text = (DOCS / "model-card.md").read_text(encoding="utf-8")
    said = text.split("| caution |")[1].split("\n\n")[0]
    for caution in CAUTIONS:
        assert caution in said, caution
