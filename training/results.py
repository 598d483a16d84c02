"""The results page: what was measured on the published checkpoint, by which command.

    python -m training.results --out runs/first --write
    python -m training.results --write | --check

With ``--out`` the summaries of every study that was run are collected from OUT into
docs/results.json; the run's checkpoint has to be the published one. What the page's tab Model shows
of them goes into the metrics of both checkpoints as well, under "studies", and so into their
SHA-256; the weights stay as they are. A new evaluation drops it. ``--write`` renders
docs/results.md, docs/figures/*.png and the marked tables of the report and the model card from that
file and `checkpoints/metrics.json`; it needs a Chromium (`BROWSER_PATH`) for the figures and takes
about a minute. ``--check`` renders all but the figures and compares: no network, no browser.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
from pathlib import Path
from typing import Any

from plotly.graph_objects import Figure

from dermmm import checkpoint
from dermmm.checkpoint import Checkpoint
from dermmm.prediction import NOTICE
from dermmm.predictor import DEFAULT_CHECKPOINTS
from training import evaluation_page, targets
from training.evaluate import ROOT, publish, rounded
from training.marked_text import between_markers
from training.section import Section
from training.stage import write_whole

# Stages whose module has `section(summary)`, in the page's order.
STUDIES = (
    "fusion_controls",
    "pairing_ablation",
    "gate_faithfulness",
    "attention_faithfulness",
    "abstention",
    "source_shortcut",
    "pad_folds",
    "image_ablation",
    "distil",
    "text_ablation",
    "text_baseline",
)
NOISE = ("config", "inputs")  # of a summary: settings, and hashes of what it read
# What the page shows of a study: parts of its summary.
FOR_PAGE = {
    "abstention": ("coverage", "surest", "shares", "risk", "sets"),
    "gate_faithfulness": (
        "cases",
        "strengths",
        "kinds",
        "range",
        "tells_who_is_right",
        "page",
    ),
    "attention_faithfulness": ("removed", "questions", "page"),
    "pad_folds": ("patients", "rows"),
}
DOCS = ROOT / "docs"
FIGURES = "figures"
WIDTH, HEIGHT = 900, 500  # pixels, of a figure that does not say
MARKED = ("model-card.md", "report.md", "source-shortcut.md")  # documents that take single parts
MARKER = re.compile(r"<!-- ((?:card|report) (\w+)): written by training\.results -->")


def collect(out: Path, published: Checkpoint) -> dict[str, Any]:
    """The summaries of a run's studies, and of which checkpoint.

    Raises:
        ValueError: the run's checkpoint is not the published one.
    """
    ours = checkpoint.load(out / "checkpoint").sha256
    if ours != published.sha256:
        raise ValueError(
            f"{out / 'checkpoint'} has the SHA-256 {ours[:12]}, the published one "
            f"{published.sha256[:12]}; run `python -m training.evaluate --publish checkpoints "
            f"--out {out}` first"
        )
    stages = {}
    for name in STUDIES:
        path = out / name / "summary.json"
        if path.is_file():
            summary = json.loads(path.read_text(encoding="utf-8"))
            stages[name] = rounded({k: v for k, v in summary.items() if k not in NOISE})
    return {"sha256": ours, "stages": stages}


def for_page(stages: dict[str, Any]) -> dict[str, Any]:
    """What the page shows of the studies; one that was not run is not there."""
    return {
        name: {key: stages[name][key] for key in keys}
        for name, keys in FOR_PAGE.items()
        if name in stages
    }


def publish_studies(results: dict[str, Any], out: Path, folder: Path) -> dict[str, Any]:
    """Put what the page shows into the run's checkpoint, and publish that to ``folder``.

    Returns the results with the new SHA-256: a checkpoint's metrics are part of its identity.
    """
    loaded = checkpoint.load(out / "checkpoint")
    loaded.metrics = {**loaded.metrics, "studies": for_page(results["stages"])}
    sha256 = checkpoint.save(loaded, out / "checkpoint")
    publish(out, folder)
    return {**results, "sha256": sha256}


def parts(metrics: dict[str, Any], stages: dict[str, Any]) -> dict[str, Section]:
    """Every section in the page's order, by the name under which a document may take it."""
    found = evaluation_page.sections(metrics)
    found = {"headline": found["headline"], "targets": targets.section(metrics, stages), **found}
    return {**found, **{name: study(name, stages.get(name)) for name in STUDIES}}


def study(name: str, summary: dict[str, Any] | None) -> Section:
    """A study's own section, or a line that says that it was not run."""
    if summary is not None:
        section: Section = importlib.import_module(f"training.{name}").section(summary)
        return section
    return Section(
        name.replace("_", " ").capitalize(),
        f"Not run for this checkpoint: `python -m training.{name}`.",
    )


def page(published: Checkpoint, sections: dict[str, Section]) -> str:
    """The text of docs/results.md."""
    rows, measured = published.metrics["rows"], published.metrics["split"]
    cases = ", ".join(
        f"{rows[row]['n']} {what}"
        for row, what in (
            ("image only", "photos"),
            ("text only, every condition", "texts"),
            ("both, true pairs", "true pairs"),
        )
        if row in rows
    )
    lines = [
        "# Results",
        f"> {NOTICE}",
        f"What the published checkpoint reaches on the frozen {measured} split: {cases}. Nothing "
        "was chosen on it, except where the [training log](training-log.md) says so. Scores are "
        'shares of 1 with 95 % intervals from a bootstrap over patients, lesions or cases; "A less '
        'B" is a paired bootstrap.',
        f"Checkpoint: version {published.version}, SHA-256 `{published.sha256}`. This page is "
        "written by `python -m training.results --out OUT --write`; each section names the command "
        "that made its numbers.",
    ]
    for section in sections.values():
        lines += [f"## {section.title}", section.text]
        lines += [
            f"![{figure.layout.title.text or section.title}]({FIGURES}/{key}.png)"
            for key, figure in section.figures.items()
        ]
    return "\n\n".join(lines) + "\n"


def marked(text: str, sections: dict[str, Section]) -> str:
    """A document with the text of a section between each pair of its markers.

    Raises:
        ValueError: a marker names a section that does not exist.
    """
    for marker in MARKER.finditer(text):
        if marker[2] not in sections:
            raise ValueError(f"got the marker {marker[0]!r}, expected one of {', '.join(sections)}")
        end = f"<!-- end of {marker[1]} -->"
        text = between_markers(text, marker[0], end, sections[marker[2]].text)
    return text


def rendered(
    published: Checkpoint, results: dict[str, Any]
) -> tuple[dict[Path, str], dict[str, Figure]]:
    """What every document should hold, and the figures by name.

    Raises:
        ValueError: the results are those of another checkpoint, or are not what its page shows.
    """
    remedy = "run `python -m training.results --out OUT --write`"
    if results["sha256"] != published.sha256:
        raise ValueError(
            f"docs/results.json is of the checkpoint {results['sha256'][:12]}, the published one "
            f"is {published.sha256[:12]}; {remedy}"
        )
    if published.metrics.get("studies", {}) != for_page(results["stages"]):
        raise ValueError(
            f"the published checkpoint has other studies than docs/results.json; {remedy}"
        )
    sections = parts(published.metrics, results["stages"])
    documents = {DOCS / "results.md": page(published, sections)}
    for name in MARKED:
        if (DOCS / name).is_file():
            documents[DOCS / name] = marked((DOCS / name).read_text(encoding="utf-8"), sections)
    figures = {key: one for section in sections.values() for key, one in section.figures.items()}
    return documents, figures


def write_figures(figures: dict[str, Figure], folder: Path) -> None:
    """Write every figure as PNG, with one browser for all."""
    from plotly.io import write_images  # needs kaleido and a Chromium

    folder.mkdir(parents=True, exist_ok=True)
    write_images(
        list(figures.values()),
        [folder / f"{key}.png" for key in figures],
        width=[figure.layout.width or WIDTH for figure in figures.values()],
        height=[figure.layout.height or HEIGHT for figure in figures.values()],
    )


def problems(documents: dict[Path, str], figures: dict[str, Figure]) -> list[str]:
    """What is missing or older than the results."""
    old = [
        f"{path.name} is older than the results"
        for path, text in documents.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    return old + [
        f"{FIGURES}/{key}.png is missing"
        for key in figures
        if not (DOCS / FIGURES / f"{key}.png").is_file()
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="the run's folder: collect its studies")
    parser.add_argument("--write", action="store_true", help="renew the documents and figures")
    parser.add_argument("--check", action="store_true", help="exit 1 if one of them is old")
    options = parser.parse_args()
    if options.write == options.check or (options.check and options.out):
        parser.error("give --write, with or without --out, or --check alone")
    published = checkpoint.load(DEFAULT_CHECKPOINTS)
    path = DOCS / "results.json"
    if options.out:
        collected = collect(options.out, published)
        collected = publish_studies(collected, options.out, DEFAULT_CHECKPOINTS)
        write_whole(path, json.dumps(collected, indent=1) + "\n")
        published = checkpoint.load(DEFAULT_CHECKPOINTS)
    if not path.is_file():
        raise SystemExit(f"no {path.name}; run `python -m training.results --out OUT --write`")
    documents, figures = rendered(published, json.loads(path.read_text(encoding="utf-8")))
    if options.write:
        write_figures(figures, DOCS / FIGURES)
        for document, text in documents.items():
            write_whole(document, text)
    elif found := problems(documents, figures):
        raise SystemExit("; ".join(found) + "; run `python -m training.results --write`")
