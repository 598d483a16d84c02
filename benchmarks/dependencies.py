"""What is installed: locked with hashes, listed, at or above the versions that mended weaknesses.

    python -m benchmarks.dependencies           check, and install the lock in a fresh environment
    python -m benchmarks.dependencies --lock    first write both locks and the SBOM anew

`requirements.lock` holds every package that the app pulls in, for every system, with the hashes of
its files. `requirements-torch.lock` holds torch and torchvision by version alone: their builds
(CPU, CUDA) differ in their files, and bring packages of their own. `sbom.cdx.json` lists what the
two install (CycloneDX, with licences), as resolved where it was written.

pip-audit asks PyPI's advisory service. Where that cannot be reached, its last stored answer counts,
if it was about the same versions; without one the row says that nothing was audited, and fails.
Needs the package index; three to five minutes, most of it to install torch.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from benchmarks.record import RESULTS, Row, Table, save

ROOT = Path(__file__).parents[1]
REQUIREMENTS, SBOM = ROOT / "requirements.txt", ROOT / "sbom.cdx.json"
LOCK, TORCH_LOCK = ROOT / "requirements.lock", ROOT / "requirements-torch.lock"
AUDIT = RESULTS / "pip-audit.json"
INDEX = "https://pypi.org/simple"
OLDEST_PYTHON = "3.11"
# Comes with a build of torch, or is one.
TORCH_PARTS = re.compile(r"(torch|torchvision|triton|nvidia-.+|cuda-.+)$")

# Package: (the lowest version without the weakness, the weakness). Of torch: `torch.load` with
# weights_only was bypassed until 2.10; this project never calls it, and hosts need older versions.
MINIMUM = {
    "gradio": ("6.20", "path traversal and requests to inner addresses"),
    "pillow": ("12.3", "memory errors in decoders of hostile photos"),
    "python-multipart": ("0.0.18", "an upload that keeps the server busy (CVE-2024-53981)"),
    "starlette": ("0.49.1", "Range headers that keep the server busy (CVE-2025-62727)"),
    "h11": ("0.16", "requests smuggled in chunked bodies (CVE-2025-43859)"),
    "jinja2": ("3.1.6", "templates that leave their sandbox (CVE-2025-27516)"),
}


def locked(path: Path, here: bool = False) -> list[tuple[Requirement, int]]:
    """The pins of a lock file, each with its number of hashes.

    Args:
        here: only the pins whose markers hold on this system.

    Raises:
        ValueError: a line pins no single version.
    """
    pins = []
    text = re.sub(r"(?m)^\s*#.*$", "", path.read_text(encoding="utf-8")).replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        pin = Requirement(line.split("--hash", 1)[0].strip())
        if [one.operator for one in pin.specifier] != ["=="]:
            raise ValueError(f"{path.name}: got {line[:80]!r}, expected NAME==VERSION; lock anew")
        if not here or pin.marker is None or pin.marker.evaluate():
            pins.append((pin, line.count("--hash=sha256:")))
    return pins


def version(pin: Requirement) -> Version:
    """The one version that a pin allows."""
    return Version(next(iter(pin.specifier)).version)


def required() -> list[Requirement]:
    """The packages that `requirements.txt` names."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def listed() -> dict[str, Version]:
    """Name -> version of every package in the SBOM."""
    found = json.loads(SBOM.read_text(encoding="utf-8"))
    return {canonicalize_name(one["name"]): Version(one["version"]) for one in found["components"]}


def disagreements() -> list[str]:
    """Where `requirements.txt`, the locks and the SBOM do not say the same; none is right."""
    problems = []
    pins = [*locked(LOCK), *((pin, 1) for pin, _ in locked(TORCH_LOCK))]
    for wanted in required():
        found = [pin for pin, _ in pins if canonicalize_name(pin.name) == wanted.name]
        if not found:
            problems.append(f"{wanted.name} of requirements.txt is not locked")
        problems += [
            f"{pin} is locked, requirements.txt wants {wanted}"
            for pin in found
            if not wanted.specifier.contains(version(pin))
        ]
    problems += [f"{pin} has no hash" for pin, hashes in pins if not hashes]
    choices: dict[str, set[Version]] = {}  # one version may differ by the Python it is for
    for pin, _ in pins:
        choices.setdefault(canonicalize_name(pin.name), set()).add(version(pin))
    components = listed()
    for name, found_version in components.items():
        public = Version(found_version.public)  # a local part names a build, such as +cpu
        if public not in choices.get(name, set()) and not TORCH_PARTS.match(name):
            problems.append(f"{name} {found_version} is in the SBOM and not so in the lock")
    always = {canonicalize_name(pin.name) for pin, _ in pins if pin.marker is None}
    problems += [f"{name} is locked and not in the SBOM" for name in sorted(always - {*components})]
    return problems


def too_old(installed: Mapping[str, Version]) -> list[str]:
    """The packages of `MINIMUM` that are older than they may be, or missing."""
    return [
        f"{name} {installed.get(name, 'missing')}, at least {least} for {why}"
        for name, (least, why) in MINIMUM.items()
        if name not in installed or installed[name] < Version(least)
    ]


def installed() -> dict[str, Version]:
    """Name -> version of every package of this environment."""
    return {
        canonicalize_name(one.metadata["Name"]): Version(one.version)
        for one in metadata.distributions()
    }


def audit() -> dict[str, Any]:
    """Ask PyPI's advisories about the locked versions; stores and returns the answer.

    Returns:
        date, versions asked about, how many of them were audited, and findings. The stored answer
        where the service cannot be reached and that answer was about the same versions.
    """
    asked = {
        canonicalize_name(pin.name): str(version(pin))
        for path in (LOCK, TORCH_LOCK)
        for pin, _ in locked(path, here=True)
    }
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--format", "json"]
    command += ["--progress-spinner", "off", "--requirement", str(LOCK)]
    done = subprocess.run(
        [*command, "--requirement", str(TORCH_LOCK)], capture_output=True, text=True, cwd=ROOT
    )
    try:
        answers = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):  # no answer at all
        answers = []
    told = [one for one in answers if "skip_reason" not in one]
    answer = {
        "date": datetime.date.today().isoformat(),
        "versions": asked,
        "audited": len({one["name"] for one in told}),
        "findings": [
            f"{one['name']} {one['version']}: {weakness['id']}"
            for one in told
            for weakness in one["vulns"]
        ],
    }
    if not told and AUDIT.is_file():
        stored = json.loads(AUDIT.read_text(encoding="utf-8"))
        if stored["versions"] == asked:
            return stored
    if told:
        RESULTS.mkdir(exist_ok=True)
        AUDIT.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")
    return answer


def install(folder: Path) -> Path:
    """Install both locks in a new environment below ``folder`` and return its Python.

    Raises:
        subprocess.CalledProcessError: an installation failed.
    """
    run(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"))
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet"]
    pip += ["--disable-pip-version-check", "install"]
    run(*pip, "--require-hashes", "--requirement", str(LOCK))
    run(*pip, "--requirement", str(TORCH_LOCK))
    return python


def refused(folder: Path) -> bool:
    """Whether pip refuses a file whose hash is not the locked one."""
    pin, _ = locked(LOCK)[0]
    wrong = folder / "wrong.lock"
    wrong.write_text(f"{pin.name}{pin.specifier} --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--dest", str(folder / "wheels"), "--requirement", str(wrong)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode != 0 and "DO NOT MATCH THE HASHES" in done.stderr


def write_locks() -> None:
    """Resolve `requirements.txt` for every system and write the two locks."""
    command = [sys.executable, "-m", "uv", "pip", "compile", REQUIREMENTS.name, "--universal"]
    command += ["--python-version", OLDEST_PYTHON, "--generate-hashes", "--no-header", "--quiet"]
    text = run(*command, "--no-config", "--index-url", INDEX)
    blocks = re.findall(r"(?m)^\S.*(?:\n[ ].*)*\n?", text)  # a pin, its hashes, and what needs it
    names = [re.split(r"[=\s]", block, maxsplit=1)[0] for block in blocks]
    rest = [block for block, name in zip(blocks, names, strict=True) if not TORCH_PARTS.match(name)]
    LOCK.write_text(
        "# Written by `python -m benchmarks.dependencies --lock`. Install with\n"
        "#   pip install --require-hashes -r requirements.lock\n"
        "#   pip install -r requirements-torch.lock\n" + "".join(rest),
        encoding="utf-8",
    )
    ours = [
        block.split()[0]
        for block, name in zip(blocks, names, strict=True)
        if name in ("torch", "torchvision")
    ]
    TORCH_LOCK.write_text(
        "# By version alone: the builds for CPU and for CUDA differ. After requirements.lock.\n"
        + "".join(f"{pin}\n" for pin in ours),
        encoding="utf-8",
    )


def write_sbom(python: Path) -> None:
    """List what is installed beside ``python``."""
    run(
        *(sys.executable, "-m", "cyclonedx_py", "environment", str(python)),
        *("--output-reproducible", "--mc-type", "application", "--output-format", "JSON"),
        *("--output-file", str(SBOM)),
    )


def run(*command: str, cwd: Path = ROOT) -> str:
    """Run a command to its end and return what it printed."""
    print("  " + " ".join(Path(word).name if "/" in word else word for word in command), flush=True)
    return subprocess.run(
        command, check=True, cwd=cwd, stdout=subprocess.PIPE, text=True, env=clean_environment()
    ).stdout


def clean_environment() -> dict[str, str]:
    """This process's environment without what would mix another Python's packages in."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lock", action="store_true", help="write the locks and the SBOM anew")
    options = parser.parse_args()
    started = time.perf_counter()
    if options.lock:
        write_locks()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        python = install(folder)
        if options.lock:
            write_sbom(python)
        answer = run(str(python), "-m", "dermmm", "predict", "--text", "an itchy red rash")
        works = "%" in answer
        tampered = refused(folder)
    problems, old = disagreements(), too_old(listed())
    found = audit()
    count, audited = len(found["versions"]), found["audited"]
    measured = f"{audited} of {count} audited on {found['date']}, {len(found['findings'])} findings"
    if not audited:
        measured = f"0 of {count} audited: no advisory service can be reached from this machine"
    pins = locked(LOCK)
    hashes = sum(number for _, number in pins)
    rows = [
        Row(
            "The lock installs in a fresh environment and answers a case",
            "pip with --require-hashes; torch by version",
            f"{len(pins)} pins with {hashes} hashes" + ("" if works else ", no answer"),
            works,
        ),
        Row(
            "A file with another hash is refused",
            "always",
            "refused" if tampered else "installed",
            tampered,
        ),
        Row(
            "requirements.txt, locks and SBOM agree",
            "no difference",
            f"{len(problems)} differences in {len(listed())} components" + _first(problems),
            not problems,
        ),
        Row(
            "No version older than the last mended weakness we know of",
            f"{len(MINIMUM)} packages",
            f"{len(old)} too old" + _first(old),
            not old,
        ),
        Row(
            "No known weakness in the locked versions (pip-audit)",
            "all audited, none found",
            measured + _first(found["findings"]),
            audited >= count and not found["findings"],
        ),
    ]
    components = listed()
    table = Table(
        "Least versions",
        ("package", "at least", "locked", "because of"),
        tuple(
            (name, least, str(components.get(name, "missing")), why)
            for name, (least, why) in MINIMUM.items()
        ),
        "torch.load, twice bypassed before torch 2.10, is called nowhere in this project.",
    )
    minutes = (time.perf_counter() - started) / 60
    save("dependencies", "python -m benchmarks.dependencies", rows, [table], minutes)
    for row in rows:
        print(f"{row.point}: {row.measured}")


def _first(problems: list[str]) -> str:
    return f", such as {problems[0]}" if problems else ""


if __name__ == "__main__":
    main()
