"""What the site generates: the page of the command line."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import pytest
from support.documents import ROOT, documents

from hgrpo_control.cli import COMMANDS


@pytest.fixture(scope="module")
def command_line() -> ModuleType:
    spec = importlib.util.spec_from_file_location("command_line", ROOT / "docs" / "hooks" / "command_line.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_every_command_and_its_options(command_line: ModuleType) -> None:
    sections = command_line.page().split("\n## ")[1:]
    assert [section.split("\n", 1)[0] for section in sections] == [f"hgrpo {name}" for name in COMMANDS]
    for name, section in zip(COMMANDS, sections, strict=True):
        assert name in ("tasks", "zoo") or "| option | value | meaning |" in section, name
    assert "usage: hgrpo tasks [TASK] [--import MODULE ...]" in sections[list(COMMANDS).index("tasks")]
    train = sections[list(COMMANDS).index("train")]
    assert train.count("| `--num-envs` | `INT` |") == 3
    assert train.count("| `--estimator` |") == 1
    assert "| `--seed` | `INT` | Seed of the episodes; training does not use it. (default: 0) |" in page_of(
        sections, "evaluate"
    )


def page_of(sections: list[str], name: str) -> str:
    return sections[list(COMMANDS).index(name)]


def test_the_walk_leaves_the_commands_as_they_were(
    command_line: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    from hgrpo_control.command_line import parsing

    before = parsing.make_parser
    assert command_line.groups_of(["tasks"]) == []
    (group,) = command_line.groups_of(["inspect"])
    assert [option.field.name for option in group.options] == ["file"]
    assert parsing.make_parser is before
    assert capsys.readouterr().out == ""


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 500


GENERATED = re.compile(r"docs/results/(branching|serving|.+/(report|comparison))\.md")
"""As in docs/hooks/pages.py."""


@pytest.mark.parametrize("page", [page for page in documents() if not GENERATED.fullmatch(page)])
def test_lines_of_pages_are_short(page: str) -> None:
    """All but rows of tables, pictures and what a program printed."""
    shown = (ROOT / page).read_text(encoding="utf-8")
    fences = re.compile(r"^```(\w*)\n.*?^```$", re.DOTALL | re.MULTILINE)
    text = fences.sub(lambda fence: "" if fence[1] in ("", "text") else fence[0], shown)
    assert not [line for line in text.splitlines() if len(line) > 140 and not line.startswith(("|", "!["))]
