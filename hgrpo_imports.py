"""Imports by name: a package's own names on first use, and modules that a user brings.

A user's module is imported only if the user names it in the present call: with --import, in a task or a reward
transform, or in Python. A name in a file, such as config.json of a run, imports nothing by itself. Imports only
`hgrpo_errors`.
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
    """Raised for a module that cannot be imported.

    The line has the cause and the places that were searched.
    """


class ImportRefusedError(HgrpoError):
    """Raised for a module that a file names and the user does not.

    The line has the option to add.
    """


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

    The caller guarantees that the name comes from the user in the present call, and from no file. Raises
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
            raise UserModuleError(f"{import_options((name,))} {error}") from error


def require(named: Mapping[str, str], given: Sequence[str], whose: str) -> None:
    """Check that the user gave every module that a file names; imports nothing.

    Args:
        named: Each module, and the place in the file that names it.
        given: Modules that the user named in this call.
        whose: The file and how it uses them, such as `this run was trained with`.

    Raises:
        ImportRefusedError: A module of the file was not given.
    """
    missing = [name for name in named if name not in given]
    problem = imports_problem(missing)
    if problem is not None:  # do not print such a name as a command to copy
        raise ImportRefusedError(f"{whose} {named[missing[0]]}: {problem}")
    if missing:
        causes = ", ".join(dict.fromkeys(named[name] for name in missing))
        raise ImportRefusedError(
            f"{whose} {causes}, and code is imported only where you say so: add {import_options(missing)}"
        )


def imports_problem(names: Sequence[str]) -> str | None:
    """Error line for the first name that is no name of a module; else None."""
    for name in names:
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            return f"{FLAG} takes the name of a module, such as my_robot or package.my_robot; given {name!r}"
        if name.endswith(".py"):
            return f"{FLAG} takes the name of a module, not of its file; did you mean {name.removesuffix('.py')}?"
    return None


def take_imports(args: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Split the arguments of a command into modules of --import and all others.

    Returns:
        The modules, each once, and the other arguments.

    Raises:
        UserModuleError: An --import without the name of a module.
    """
    names: list[str] = []
    rest: list[str] = []
    remaining = list(args)
    while remaining:
        arg = remaining.pop(0)
        if arg == FLAG:
            names.append(remaining.pop(0) if remaining else "")
        elif arg.startswith(f"{FLAG}="):
            names.append(arg.removeprefix(f"{FLAG}="))
        else:
            rest.append(arg)
    problem = imports_problem(names)
    if problem is not None:
        raise UserModuleError(problem)
    return tuple(dict.fromkeys(names)), rest


def import_options(names: Sequence[str]) -> str:
    """The options that name these modules, --import A --import B; empty for none."""
    return " ".join(f"{FLAG} {name}" for name in names)
