"""Gymnasium ids of tasks: "quadrotor-hover" is "hgrpo/quadrotor-hover-v0"; a version in a name is kept.

Gymnasium 1 loads no plugins, so a task is registered with it by `import robots`, before or after `import gymnasium`.
Gymnasium itself is not imported for this: tasks wait until something else imports it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from hgrpo_errors import HgrpoError

NAMESPACE = "hgrpo"
_TASKS: dict[str, str] = {}  # the task of each id


def environment_id(task: str) -> str:
    """Gymnasium id of a task: its own version, or version 0 where its name has none.

    Raises:
        HgrpoError: The name has a character that Gymnasium does not allow.
    """
    if not re.fullmatch(r"[\w.-]+", task):
        raise HgrpoError(f"task names consist of letters, digits, '_', '-' and '.'; given {task!r}")
    return f"{NAMESPACE}/{task}" if re.search(r"-v\d+$", task) else f"{NAMESPACE}/{task}-v0"


def register_environment(task: str) -> None:
    """Register a task with Gymnasium under its id, now or when Gymnasium is imported.

    The task is not built: some tasks compile a model.

    Raises:
        HgrpoError: The name cannot be an id, or the id belongs to something else.
    """
    name = environment_id(task)
    taken = _TASKS.get(name, task)
    if taken != task:
        raise HgrpoError(f"task {task!r} needs the Gymnasium id {name!r}, which task {taken!r} has")
    if "gymnasium" in sys.modules:
        _register(name, task)
    _TASKS[name] = task


def _register(name: str, task: str) -> None:
    """Enter a task into the registry of Gymnasium, which is imported.

    The specification names no time limit, because options of the task may change it. Both entry points read it from
    the simulator that they build.
    """
    import gymnasium
    from gymnasium.envs.registration import EnvSpec

    spec = EnvSpec(
        id=name,
        entry_point="robots.as_gymnasium.env:make_limited",
        vector_entry_point="robots.as_gymnasium.vector_env:TaskVectorEnv",
        kwargs={"task": task},
    )
    taken: Any = gymnasium.registry.get(name)
    if taken is not None and taken.kwargs.get("task") != task:
        raise HgrpoError(f"task {task!r} needs the Gymnasium id {name!r}, which {taken.kwargs or 'another'} has")
    gymnasium.registry[name] = spec


class _AfterGymnasium(MetaPathFinder):
    """Import hook that registers the tasks once Gymnasium has been imported."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "gymnasium":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_register(module: ModuleType) -> None:
                run(module)
                for environment, task in _TASKS.items():
                    _register(environment, task)

            spec.loader.exec_module = run_and_register  # type: ignore[method-assign]
        return spec


if "gymnasium" not in sys.modules:
    sys.meta_path.insert(0, _AfterGymnasium())
