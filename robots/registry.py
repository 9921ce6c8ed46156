"""Names of tasks and the factories of their simulators."""

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


class Summary(NamedTuple):
    """One line of the list of tasks; the task's SimulatorSpec has the same values."""

    robot: str
    observation_size: int
    action_size: int
    control_hz: float
    max_episode_steps: int
    goal: str = ""


class Family(NamedTuple):
    """Tasks PREFIX/NAME, where the factory decides which NAMEs exist."""

    factory: Callable[..., Simulator]
    """`factory(name, **options)` builds the simulator of PREFIX/name or raises UnknownTaskError."""
    describe: str
    """Which NAMEs are allowed and what the tasks are, in one line."""


_FACTORIES: dict[str, Callable[..., Simulator]] = {}
_SUMMARIES: dict[str, Summary] = {}
_FAMILIES: dict[str, Family] = {}
_REGISTERED_BY: dict[str, str] = {}  # the module that registered each task


class UnknownTaskError(HgrpoError):
    """A task name that does not exist; the message has the nearest name, or all names.

    If the current directory has a module with the first part of the name, the message has the option that imports it.
    """

    def __init__(self, name: str, hint: str = "") -> None:
        everything = names() + tuple(f"{prefix}/..." for prefix in families())
        near = hint.startswith("did you mean") if hint else closest(name, everything) is not None
        module = "" if near else _module_here(name.removeprefix("gymnasium/").partition(":")[0])
        if module:
            super().__init__(_missing_from(module, name))
            return
        if not hint and not near:
            hint = f"{nearest(name, everything)}, and tasks of your own modules: add --import MODULE"
        super().__init__(f"unknown task {name!r}; {hint or nearest(name, everything)}")


def register(name: str, factory: Callable[..., Simulator], summary: Summary | None = None) -> None:
    """Register a task under a name and with Gymnasium.

    Args:
        name: Name of the task.
        factory: `factory(**options)` builds the simulator.
        summary: Line of the task in `hgrpo tasks`; None takes it from the simulator, which takes longer.

    Raises:
        HgrpoError: The name is taken or cannot be part of a Gymnasium id.
    """
    if name in _FACTORIES:
        raise HgrpoError(f"task {name!r} is registered already")
    register_environment(name)
    _FACTORIES[name] = factory
    if summary is not None:
        _SUMMARIES[name] = summary
    _REGISTERED_BY[name] = sys._getframe(1).f_globals.get("__name__", "")


def summary(name: str) -> Summary:
    """Summary of a registered task; builds the simulator if the task was registered without one."""
    if name in _SUMMARIES:
        return _SUMMARIES[name]
    from robots.simulator import closing

    with closing(make(name)) as simulator:
        return Summary(**{field: getattr(simulator.spec, field) for field in Summary._fields})


def registered_by(name: str) -> str:
    """Module outside this package that registered a task; empty for other tasks and for `__main__`."""
    module = _REGISTERED_BY.get(name, "")
    return "" if module == "__main__" or module.partition(".")[0] == __name__.partition(".")[0] else module


def register_family(prefix: str, factory: Callable[..., Simulator], describe: str) -> None:
    """Register tasks PREFIX/NAME.

    Args:
        prefix: A word without a slash.
        factory: `factory(NAME, **options)` builds the simulator or raises UnknownTaskError.
        describe: Which NAMEs are allowed and what the tasks are, in one line.

    Raises:
        HgrpoError: The prefix is taken, is empty or has a slash.
    """
    if not prefix or "/" in prefix:
        raise HgrpoError(f"the prefix of a family of tasks is a word without a slash; given {prefix!r}")
    if prefix in _FAMILIES:
        raise HgrpoError(f"task family {prefix!r} is registered already")
    _FAMILIES[prefix] = Family(factory, describe)


def families() -> dict[str, str]:
    """Description of every family, by prefix, sorted."""
    return {prefix: _FAMILIES[prefix].describe for prefix in sorted(_FAMILIES)}


def require(name: str) -> None:
    """Raise UnknownTaskError unless the name is registered or has the prefix of a family.

    Whether a member of a family exists is checked only by `make`.
    """
    if name not in _FACTORIES and _family(name) is None:
        raise UnknownTaskError(name)


def names() -> tuple[str, ...]:
    """Names of all registered tasks, sorted; members of families are not among them."""
    return tuple(sorted(_FACTORIES))


def make(name: str, /, **options: Any) -> Simulator:
    """Build the simulator of a task.

    Args:
        name: Name of a registered task or of a member of a family.
        options: Options of the task, as numbers or as words.

    Raises:
        UnknownTaskError: There is no such task.
        OptionError: The task does not have an option, or a value is not allowed.
    """
    require(name)
    family = _family(name)
    try:
        if name in _FACTORIES or family is None:
            return _FACTORIES[name](**options)
        return family.factory(name.partition("/")[2], **options)
    except (TypeError, AssertionError) as error:  # torch raises AssertionError for a device that it was not built for
        if not options:
            raise
        given = ", ".join(f"{key}={value}" for key, value in options.items())
        raise OptionError(f"{name} cannot be made with {given}: {' '.join(str(error).split())}") from error


def takes_device(name: str) -> bool:
    """Whether a task can run on a GPU: its factory has a parameter `device`."""
    return name in _FACTORIES and "device" in inspect.signature(_FACTORIES[name]).parameters


def module_of(name: str) -> str:
    """MODULE of gymnasium/MODULE:ID or gymnasium/MODULE:FACTORY, which `make` imports; else empty."""
    prefix, _, member = name.partition("/")
    return member.rpartition(":")[0] if prefix == "gymnasium" else ""


def _family(name: str) -> Family | None:
    prefix, slash, member = name.partition("/")
    return _FAMILIES.get(prefix) if slash and member else None


def _module_here(name: str) -> str:
    """The name if the current directory has a module of that name, else empty; imports nothing."""
    return name if name.isidentifier() and PathFinder.find_spec(name, [os.getcwd()]) is not None else ""


def _missing_from(module: str, name: str) -> str:
    """Message for an unknown task whose name is that of a module in the current directory."""
    if module not in sys.modules:
        return f"task {name!r} is not registered; if the module {module} here registers it, add --import {module}"
    registered = sorted(task for task, by in _REGISTERED_BY.items() if by == module)
    known = f"it registers {', '.join(registered)}" if registered else "it registers no task"
    return f"{name!r} is neither in the module {module} nor registered with Gymnasium; {known}"
