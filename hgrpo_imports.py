"""Imports by name: a package's own names on first use, and modules that a user brings.

A module is imported where the user names it in this very call: behind --import, in a task or a reward transform that is
typed, or in Python. A name that a file holds, such as config.json of a run, imports nothing by itself. Imports nothing
of ours but the error.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from hgrpo_errors import HgrpoError

FLAG = "--import"


class UserModuleError(HgrpoError):
    """Raised for a module that cannot be imported; says why, and where it was looked for."""


class ImportRefusedError(HgrpoError):
    """Raised where a file names a module that the user did not; says what to add."""


def lazy_names(package: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Functions `__getattr__` and `__dir__` of a package whose names load on first use (PEP 562).

    Args:
        package: The package's `__name__`.
        names: Each name and the module that defines it.
    """

    def load_name(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(names[name]), name)

    return load_name, lambda: sorted({*vars(sys.modules[package]), *names})


def load(name: str) -> ModuleType:
    """Import a module; the current directory is searched first, as by `python -m`.

    Whoever calls this answers for the name: it comes from the user, in this call, and from no file. Raises
    UserModuleError.
    """
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except Exception as error:  # a module may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserModuleError(f"cannot be imported: {reason}; looked in {here} and on Python's path") from error


def load_all(names: Sequence[str]) -> None:
    """Import modules that the user named, in this order; raises UserModuleError."""
    problem = imports_problem(names)
    if problem is not None:
        raise UserModuleError(problem)
    for name in names:
        try:
            load(name)
        except UserModuleError as error:
            raise UserModuleError(f"{import_words((name,))} {error}") from error


def require(named: Mapping[str, str], given: Sequence[str], whose: str) -> None:
    """Raise ImportRefusedError unless the user gave each of the modules that a file names; imports nothing.

    Args:
        named: Modules, and what says so.
        given: Modules that the user named in this call.
        whose: What the file is and how it names them, such as `this run was trained with`.
    """
    missing = [name for name in named if name not in given]
    problem = imports_problem(missing)
    if problem is not None:  # no words to be copied into a shell
        raise ImportRefusedError(f"{whose} {named[missing[0]]}: {problem}")
    if missing:
        causes = ", ".join(dict.fromkeys(named[name] for name in missing))
        raise ImportRefusedError(
            f"{whose} {causes}, and code is imported only where you say so: add {import_words(missing)}"
        )


def imports_problem(names: Sequence[str]) -> str | None:
    """What is no name of a module among these, in one line; None if all are."""
    for name in names:
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            return f"{FLAG} takes the name of a module, such as my_robot or package.my_robot; given {name!r}"
        if name.endswith(".py"):
            return f"{FLAG} takes the name of a module, not of its file; did you mean {name.removesuffix('.py')}?"
    return None


def take_imports(words: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Modules that the words of a command name with --import, each once, and the words that remain.

    Raises UserModuleError for an --import without the name of a module behind it.
    """
    names: list[str] = []
    rest: list[str] = []
    remaining = list(words)
    while remaining:
        word = remaining.pop(0)
        if word == FLAG:
            names.append(remaining.pop(0) if remaining else "")
        elif word.startswith(f"{FLAG}="):
            names.append(word.removeprefix(f"{FLAG}="))
        else:
            rest.append(word)
    problem = imports_problem(names)
    if problem is not None:
        raise UserModuleError(problem)
    return tuple(dict.fromkeys(names)), rest


def import_words(names: Sequence[str]) -> str:
    """What names these modules on a command line: --import A --import B; empty for none."""
    return " ".join(f"{FLAG} {name}" for name in names)
