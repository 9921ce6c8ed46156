"""The Dockerfiles: they copy what an install needs, and install and start what exists. No image is built here."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hgrpo_control.cli import COMMANDS

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
INSTRUCTIONS = {
    "FROM", "ARG", "RUN", "COPY", "WORKDIR", "USER", "ENTRYPOINT", "CMD", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"
}  # fmt: skip


def instructions(path: Path) -> list[tuple[str, str]]:
    """Name and words of every instruction, continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in text.splitlines() if line]


def copied(path: Path) -> list[str]:
    return [name for kind, words in instructions(path) if kind == "COPY" for name in words.split()[:-1]]


def test_there_is_one_for_training_and_one_for_deployment() -> None:
    assert [path.name for path in FILES] == ["deploy.Dockerfile", "train.Dockerfile"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_names_what_exists(path: Path) -> None:
    found = instructions(path)
    assert {kind for kind, _ in found} <= INSTRUCTIONS
    assert found[0] == ("FROM", "python:3.11-slim-bookworm")
    ignored = (ROOT / ".dockerignore").read_text().split()
    for name in copied(path):
        assert (ROOT / name).exists(), name
        assert name not in ignored, name
    extras = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    (extra,) = re.findall(r"-c constraints\.txt '\.\[(\w+)\]'", path.read_text())
    assert extra in extras
    (start,) = [words for kind, words in found if kind == "ENTRYPOINT"]
    assert [word for word in re.findall(r'"(\w+)"', start)[1:] if word not in COMMANDS] == []
    users = [i for i, (kind, _) in enumerate(found) if kind == "USER"]
    assert users
    assert users[-1] > max(i for i, (kind, _) in enumerate(found) if kind == "RUN")  # nothing runs as root


@pytest.mark.slow
def test_what_is_copied_builds_the_whole_package(tmp_path: Path) -> None:
    assert copied(FILES[0]) == copied(FILES[1])
    for name in copied(FILES[0]):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    code = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    built = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    wheel = tmp_path / built.stdout.split()[-1]
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], capture_output=True, text=True, check=True
    ).stdout
    needed = [path.relative_to(ROOT) for path in (ROOT / "policies/zoo").glob("*.onnx")]
    needed += [path.relative_to(ROOT) for path in (ROOT / "sim2real/templates").rglob("*.in")]
    assert len(needed) > 8
    for path in (*needed, "policies/zoo/zoo.json", "hgrpo_errors.py", "robots/py.typed"):
        assert str(path) in listed, path
