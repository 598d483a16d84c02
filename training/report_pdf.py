"""Make a PDF of a Markdown document: headings, lists, tables, code, links and figures.

    python -m training.report_pdf docs/report.md --out report.pdf

Figures are read by their path relative to the document, and one that is not there is named in its
place, since studies may be run later; comments, such as the markers between which
commands write, and front matter are left out. Takes seconds; needs no browser and no network: the
typefaces are those that matplotlib brings along.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode
from matplotlib import get_data_path
from PIL import Image as Picture
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import cm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    HRFlowable,
    Image,
    KeepTogether,
    ListFlowable,
    ListItem,
    PageTemplate,
    Paragraph,
    Preformatted,
    Table,
    TableStyle,
)

MARGIN = 2 * cm
WIDTH = A4[0] - 2 * MARGIN
MAX_FIGURE_HEIGHT = 0.36 * A4[1]
NOTICE = "Education and research only; not for any patient's care."

# Our name -> matplotlib's file. PDF's own typefaces lack signs that the documents use (≤, −, →).
TYPEFACES = {
    "Body": "DejaVuSans",
    "Body-Bold": "DejaVuSans-Bold",
    "Body-Italic": "DejaVuSans-Oblique",
    "Body-BoldItalic": "DejaVuSans-BoldOblique",
    "Mono": "DejaVuSansMono",
}
INK, FAINT, LINK = colors.HexColor("#222222"), colors.HexColor("#6b6b6b"), "#0b5394"
TEXT = ParagraphStyle("text", fontName="Body", fontSize=9, leading=13, spaceAfter=6, textColor=INK)
CELL = ParagraphStyle("cell", TEXT, fontSize=7, leading=9, spaceAfter=0)
SMALL_CELL = ParagraphStyle("small cell", CELL, fontSize=5.5, leading=7)
MANY_COLUMNS = 7  # from here on cells are small
CELL_PADDING = 3.0  # points, on the left and on the right
CODE = ParagraphStyle("code", TEXT, fontName="Mono", fontSize=7, leading=9.5, leftIndent=10)
CAPTION = ParagraphStyle("caption", TEXT, fontSize=7.5, leading=10, textColor=FAINT, spaceAfter=10)
QUOTE = ParagraphStyle("quote", TEXT, leftIndent=10, textColor=FAINT)
HEADINGS = {
    level: ParagraphStyle(
        f"heading {level}", TEXT, fontName="Body-Bold", fontSize=size, leading=1.3 * size,
        spaceBefore=0.8 * size, spaceAfter=0.4 * size,
    )
    for level, size in ((1, 18), (2, 13), (3, 10.5), (4, 9.5))
}  # fmt: skip


def main(document: Path, out: Path) -> int:
    """Write the PDF and return its number of pages.

    Raises:
        FileNotFoundError: the document does not exist.
        ValueError: the document holds Markdown that this module cannot set.
    """
    if not document.is_file():
        raise FileNotFoundError(f"no document at {document}; give the path of a Markdown file")
    _register_typefaces()
    text = re.sub(r"\A---\n.*?\n---\n", "", document.read_text(encoding="utf-8"), flags=re.S)
    tree = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(text))
    pages = BaseDocTemplate(
        str(out),
        pagesize=A4,
        title=_title(tree) or document.stem,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        invariant=1,  # no date: the same document gives the same file
    )
    frame = Frame(MARGIN, MARGIN, WIDTH, A4[1] - 2 * MARGIN, 0, 0, 0, 0)
    pages.addPageTemplates(PageTemplate(frames=[frame], onPage=_foot))
    pages.build(list(_blocks(tree.children, document.parent)))
    return pages.page


def _register_typefaces() -> None:
    folder = Path(get_data_path()) / "fonts" / "ttf"
    for name, file in TYPEFACES.items():
        pdfmetrics.registerFont(TTFont(name, str(folder / f"{file}.ttf")))
    pdfmetrics.registerFontFamily(
        "Body", normal="Body", bold="Body-Bold", italic="Body-Italic", boldItalic="Body-BoldItalic"
    )


def _title(tree: SyntaxTreeNode) -> str:
    """The first heading's text, "" without one."""
    heads = (node for node in tree.children if node.type == "heading")
    head = next(heads, None)
    return head.children[0].content if head else ""


def _foot(canvas: Canvas, pages: BaseDocTemplate) -> None:
    canvas.setFont("Body", 7)
    canvas.setFillColor(FAINT)
    canvas.drawString(MARGIN, 0.6 * MARGIN, NOTICE)
    canvas.drawRightString(A4[0] - MARGIN, 0.6 * MARGIN, str(pages.page))


def _blocks(nodes: Sequence[SyntaxTreeNode], folder: Path) -> Iterator[Flowable]:
    """Markdown blocks to what reportlab lays out; ``folder`` is where figures are looked for."""
    for before, node in zip(["", *(node.type for node in nodes)], nodes, strict=False):
        match node.type:
            case "heading":
                level = min(int(node.tag[1:]), max(HEADINGS))
                if before != "heading":
                    # No heading alone at the foot of a page. Keeping it with what follows would
                    # push a whole table to the next page.
                    yield CondPageBreak(4 * cm)
                yield Paragraph(_inline(node.children[0]), HEADINGS[level])
            case "paragraph":
                yield from _paragraph(node.children[0], folder)
            case "bullet_list" | "ordered_list":
                ordered = node.type == "ordered_list"
                items: list[Any] = [  # a ListItem is laid out like a Flowable, but is none
                    ListItem(list(_blocks(item.children, folder))) for item in node.children
                ]
                yield ListFlowable(
                    items,
                    bulletType="1" if ordered else "bullet",
                    bulletFontName="Body",
                    bulletFontSize=TEXT.fontSize,
                    start=None if ordered else "•",
                    leftIndent=14,
                )
            case "table":
                yield _table(node)
            case "fence" | "code_block":
                yield Preformatted(node.content.rstrip("\n"), CODE, maxLineLength=105)
            case "blockquote":
                for part in node.children:
                    yield Paragraph(_inline(part.children[0]), QUOTE)
            case "hr":
                yield HRFlowable(width="100%", color=FAINT, spaceBefore=6, spaceAfter=6)
            case "html_block" if re.fullmatch(r"(?:\s*<!--.*?-->)+\s*", node.content, re.S):
                pass
            case _:
                where = f"line {node.map[0] + 1}" if node.map else "a line"
                raise ValueError(
                    f"got Markdown of the kind {node.type!r} at {where}, expected headings, text, "
                    "lists, tables, code, quotes, rules or figures; write it as one of these"
                )


def _paragraph(line: SyntaxTreeNode, folder: Path) -> Iterator[Flowable]:
    """A paragraph of text, or one of figures alone, each with its description below."""
    figures = [part for part in line.children if part.type == "image"]
    if not figures:
        yield Paragraph(_inline(line), TEXT)
        return
    if any(part.type not in ("image", "softbreak") for part in line.children):
        raise ValueError(
            f"got a figure inside the text {line.content[:60]!r}, expected it in a paragraph of "
            "its own; put an empty line before and after it"
        )
    for figure in figures:
        path = folder / str(figure.attrs["src"])
        if not path.is_file():  # of a study that was not run for this checkpoint
            missing = (
                f"(There is no {figure.attrs['src']}: its study was not run. {figure.content})"
            )
            yield Paragraph(escape(missing), CAPTION)
            continue
        with Picture.open(path) as picture:
            width, height = picture.size
        scale = min(WIDTH / width, MAX_FIGURE_HEIGHT / height)
        shown = Image(str(path), scale * width, scale * height)
        yield KeepTogether([shown, Paragraph(escape(figure.content), CAPTION)])


def _table(node: SyntaxTreeNode) -> Flowable:
    """A table as wide as the page. No word is broken, and long cells get the room that is left."""
    rows = [
        [cell.children[0] for cell in row.children]
        for part in node.children
        for row in part.children
    ]
    style = SMALL_CELL if len(rows[0]) >= MANY_COLUMNS else CELL
    cells = [[Paragraph(_inline(cell), style) for cell in row] for row in rows]
    least = [
        max(cell.minWidth() for cell in column) + 2 * CELL_PADDING
        for column in zip(*cells, strict=True)
    ]
    room = max(0.0, WIDTH - sum(least))
    longest = [max(len(cell.content) for cell in column) for column in zip(*rows, strict=True)]
    # To set its longest cell in one line, roughly. The root keeps a sentence from taking all.
    lacking = [
        max(1.0, 0.55 * style.fontSize * signs - narrow) ** 0.5
        for narrow, signs in zip(least, longest, strict=True)
    ]
    made = Table(
        cells,
        colWidths=[
            narrow + room * more / sum(lacking) for narrow, more in zip(least, lacking, strict=True)
        ],
        hAlign="LEFT",
        repeatRows=1,
        spaceAfter=10,
    )
    made.setStyle(
        TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, 0), 0.8, FAINT),
                ("LINEBELOW", (0, 1), (-1, -1), 0.2, colors.lightgrey),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), CELL_PADDING),
                ("RIGHTPADDING", (0, 0), (-1, -1), CELL_PADDING),
                ("TOPPADDING", (0, 0), (-1, -1), 2.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
            ]
        )
    )
    return made


def _inline(node: SyntaxTreeNode) -> str:
    """Inline Markdown to reportlab's own markup."""
    inside = "".join(_inline(part) for part in node.children)
    match node.type:
        case "text":
            return escape(node.content)
        case "code_inline":
            return f'<font name="Mono">{escape(node.content)}</font>'
        case "strong":
            return f"<b>{inside}</b>"
        case "em":
            return f"<i>{inside}</i>"
        case "softbreak":
            return " "
        case "hardbreak":
            return "<br/>"
        case "link":
            target = str(node.attrs["href"])
            # a path of the repository leads nowhere from a PDF
            web = target.startswith(("http://", "https://"))
            return f'<a href="{escape(target)}" color="{LINK}">{inside}</a>' if web else inside
        case "html_inline":
            return ""
        case _:
            return inside


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("document", type=Path, help="a Markdown file")
    parser.add_argument("--out", type=Path, required=True, help="the PDF to write")
    options = parser.parse_args()
    try:
        print(f"{options.out}: {main(options.document, options.out)} pages")
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
