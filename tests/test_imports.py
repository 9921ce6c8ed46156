"""How a user's module is named, found and imported, and what is said where it may not be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hgrpo_imports import ImportRefusedError, UserModuleError, import_options, load, load_all, require, take_imports


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def test_the_current_directory_is_searched_first(at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (at_home / "elsewhere").mkdir()
    monkeypatch.syspath_prepend(at_home / "elsewhere")
    (at_home / "elsewhere" / "found_here_first.py").write_text("where = 'elsewhere'\n")
    (at_home / "found_here_first.py").write_text("where = 'here'\n")
    monkeypatch.delitem(sys.modules, "found_here_first", raising=False)
    assert load("found_here_first").where == "here"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 +", "SyntaxError: invalid syntax"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("import not_to_be_found", "ModuleNotFoundError: No module named 'not_to_be_found'"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_in_one_line(at_home: Path, text: str, reason: str) -> None:
    (at_home / "broken_module.py").write_text(text)
    with pytest.raises(UserModuleError) as raised:
        load_all(("broken_module",))
    message = str(raised.value)
    assert message.startswith(f"--import broken_module cannot be imported: {reason}")
    assert message.endswith(f"; looked in {at_home} and on Python's path")
    assert "\n" not in message


def test_the_names_are_taken_from_anywhere_among_the_words_once_each() -> None:
    words = ["--import", "a", "train", "--import=b.c", "ppo", "--import", "a", "--imports", "d"]
    assert take_imports(words) == (("a", "b.c"), ["train", "ppo", "--imports", "d"])
    assert take_imports(["x"]) == ((), ["x"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--import"], "--import takes the name of a module, such as my_robot or package.my_robot; given ''"),
        (["--import="], "--import takes the name of a module, such as my_robot or package.my_robot; given ''"),
        (["--import", "a/b"], "--import takes the name of a module, such as my_robot or package.my_robot; given 'a/b'"),
        (["--import", ".b"], "--import takes the name of a module, such as my_robot or package.my_robot; given '.b'"),
        (["--import", "b.py"], "--import takes the name of a module, not of its file; did you mean b?"),
    ],
)
def test_what_is_no_name_is_told(words: list[str], message: str) -> None:
    with pytest.raises(UserModuleError) as raised:
        take_imports(words)
    assert str(raised.value) == message


def test_only_what_the_user_did_not_name_is_refused() -> None:
    named = {"a": "--import a", "b": "task 'gymnasium/b:X'", "c": "--import c"}
    require(named, ("c", "b", "a", "more"), "this run was trained with")
    with pytest.raises(ImportRefusedError) as raised:
        require(named, ("b",), "this run was trained with")
    assert str(raised.value) == (
        "this run was trained with --import a, --import c, and code is imported only where you say so: "
        "add --import a --import c"
    )


def test_the_words_for_no_module_are_none() -> None:
    assert import_options(()) == ""
    assert import_options(("a", "b.c")) == "--import a --import b.c"
