"""The README's Python runs, and prints what the README says.

python -m tests.test_readme        renews the printed output in README.md
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
EXAMPLE = re.compile(
    r"(<!-- example: .*? -->\n```python\n(?P<code>.*?)```\n\n```text\n)(?P<output>.*?)(```)", re.S
)


def printed(code: str) -> str:
    """What the example prints, run in the repository's folder."""
    output = io.StringIO()
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(output):
        exec(compile(code, str(README), "exec"), {})
    return output.getvalue()


@pytest.mark.skipif(
    not (ROOT / "checkpoints" / "config.json").is_file(), reason="no checkpoint in the repository"
)
def test_the_example_prints_what_the_readme_says() -> None:
    example = EXAMPLE.search(README.read_text(encoding="utf-8"))
    assert example is not None

    def words_and_numbers(text: str) -> list[str | float]:
        return [
            float(token) if re.fullmatch(r"\d\.\d+", token) else token
            for token in text.replace(",", "").split()
        ]

    said, now = words_and_numbers(example["output"]), words_and_numbers(printed(example["code"]))
    assert said
    # Another processor rounds differently in the last printed digit.
    assert now == [pytest.approx(token, abs=0.011) if isinstance(token, float) else token
                   for token in said]  # fmt: skip


def test_front_matter_fits_the_requirements() -> None:
    readme = README.read_text(encoding="utf-8")
    version = re.search(r"^sdk_version: (.+)$", readme, re.M)
    assert version is not None
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    (gradio,) = [line for line in lines if line.startswith("gradio")]
    assert Requirement(gradio).specifier.contains(version[1])


def test_every_named_file_exists() -> None:
    readme = README.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(((?!http)[^)#]+)\)", readme):
        assert (ROOT / target).exists(), target
    tree = readme.split("```\napp.py")[1].split("```")[0]
    for name in re.findall(r"\b(\w+\.py)\b", tree):
        assert list(ROOT.rglob(name)), name


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    found = EXAMPLE.search(text)
    if found is None:
        raise SystemExit("README.md holds no example between its markers")
    output = printed(found["code"])
    README.write_text(
        text[: found.start("output")] + output + text[found.end("output") :], encoding="utf-8"
    )
