"""Task names and the simulators behind them."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any, NamedTuple

from hgrpo_errors import HgrpoError, closest, nearest
from robots.gymnasium_ids import register_environment
from robots.options import OptionError

if TYPE_CHECKING:
    from robots.simulator import Simulator


class Family(NamedTuple):
    """Tasks PREFIX/NAME that are not listed one by one."""

    factory: Callable[..., Simulator]
    """`factory(name, **options)` builds the simulator of PREFIX/name; raises UnknownTaskError."""
    describe: str
    """One line: what NAME may be and what the tasks are."""


_FACTORIES: dict[str, Callable[..., Simulator]] = {}
_FAMILIES: dict[str, Family] = {}
_REGISTERED_BY: dict[str, str] = {}  # the module that registered a task, for each


class UnknownTaskError(HgrpoError):
    """Raised for a task name that stands for nothing; says which is nearest, or what there is.

    Where a module of the first part of the name lies in the current directory, the line says how to import it.
    """

    def __init__(self, name: str, hint: str = "") -> None:
        everything = names() + tuple(f"{prefix}/..." for prefix in families())
        near = hint.startswith("did you mean") if hint else closest(name, everything) is not None
        module = "" if near else _module_here(name.removeprefix("gymnasium/").partition(":")[0])
        if module:
            super().__init__(_missing_from(module, name))
            return
        if not hint and not near:
            hint = f"{nearest(name, everything)}, and what a module of yours registers: add --import MODULE"
        super().__init__(f"unknown task {name!r}; {hint or nearest(name, everything)}")


def register(name: str, factory: Callable[..., Simulator]) -> None:
    """Make a task available under a name and to Gymnasium; `factory(**options)` builds its simulator.

    Raises ValueError if the name is taken or cannot be part of a Gymnasium id.
    """
    if name in _FACTORIES:
        raise HgrpoError(f"task {name!r} is registered already")
    register_environment(name)
    _FACTORIES[name] = factory
    _REGISTERED_BY[name] = sys._getframe(1).f_globals.get("__name__", "")


def registered_by(name: str) -> str:
    """Module outside this package that registered a task and can be imported again; empty for any other."""
    module = _REGISTERED_BY.get(name, "")
    return "" if module == "__main__" or module.partition(".")[0] == __name__.partition(".")[0] else module


def register_family(prefix: str, factory: Callable[..., Simulator], describe: str) -> None:
    """Make tasks available under PREFIX/NAME for any NAME; `factory(NAME, **options)` builds the simulator.

    Raises ValueError if the prefix is taken or holds a slash.
    """
    if not prefix or "/" in prefix:
        raise HgrpoError(f"the prefix of a family of tasks is a word without a slash; given {prefix!r}")
    if prefix in _FAMILIES:
        raise HgrpoError(f"task family {prefix!r} is registered already")
    _FAMILIES[prefix] = Family(factory, describe)


def families() -> dict[str, str]:
    """Every prefix, sorted, with its line of description."""
    return {prefix: _FAMILIES[prefix].describe for prefix in sorted(_FAMILIES)}


def require(name: str) -> None:
    """Raise UnknownTaskError unless a task is registered under this name or belongs to a family.

    Whether a member of a family exists shows only when it is made.
    """
    if name not in _FACTORIES and _family(name) is None:
        raise UnknownTaskError(name)


def names() -> tuple[str, ...]:
    """Every task name that is registered by itself, sorted."""
    return tuple(sorted(_FACTORIES))


def make(name: str, /, **options: Any) -> Simulator:
    """Build the simulator of a task; `options` go to its constructor.

    Raises UnknownTaskError for a name that is not registered and belongs to no family, and OptionError for options that
    its constructor cannot be called with.
    """
    require(name)
    family = _family(name)
    try:
        if name in _FACTORIES or family is None:
            return _FACTORIES[name](**options)
        return family.factory(name.partition("/")[2], **options)
    except (TypeError, AssertionError) as error:  # the latter is how torch refuses a device that it was not built for
        if not options:
            raise
        given = ", ".join(f"{key}={value}" for key, value in options.items())
        raise OptionError(f"{name} cannot be made with {given}: {' '.join(str(error).split())}") from error


def takes_device(name: str) -> bool:
    """Whether the simulator of a task can be made for a GPU, by an option `device` that its factory names."""
    return name in _FACTORIES and "device" in inspect.signature(_FACTORIES[name]).parameters


def module_of(name: str) -> str:
    """MODULE that making gymnasium/MODULE:ID or gymnasium/MODULE:FACTORY imports; empty for any other task."""
    prefix, _, member = name.partition("/")
    return member.rpartition(":")[0] if prefix == "gymnasium" else ""


def _family(name: str) -> Family | None:
    prefix, slash, member = name.partition("/")
    return _FAMILIES.get(prefix) if slash and member else None


def _module_here(name: str) -> str:
    """The name, if a module of that name lies in the current directory; imports nothing."""
    return name if name.isidentifier() and PathFinder.find_spec(name, [os.getcwd()]) is not None else ""


def _missing_from(module: str, name: str) -> str:
    """What to say of a task that is not there though a module of its name is."""
    if module not in sys.modules:
        return f"task {name!r} is not registered; where the module {module} here registers it, add --import {module}"
    registered = sorted(task for task, by in _REGISTERED_BY.items() if by == module)
    known = f"it registers {', '.join(registered)}" if registered else "it registers no task"
    return f"{name!r} is neither in the module {module} nor registered with Gymnasium; {known}"
