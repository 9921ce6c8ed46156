"""Tasks under Gymnasium's ids: "quadrotor-hover" is "hgrpo/quadrotor-hover-v0", and a version in a name is kept."""

from __future__ import annotations

import re
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

from hgrpo_errors import HgrpoError

NAMESPACE = "hgrpo"


def environment_id(task: str) -> str:
    """Gymnasium id of a task; one whose name carries a version keeps it, any other has version 0.

    Raises ValueError for a name that Gymnasium could not find again.
    """
    if not re.fullmatch(r"[\w.-]+", task):
        raise HgrpoError(f"task names consist of letters, digits, '_', '-' and '.'; given {task!r}")
    return f"{NAMESPACE}/{task}" if re.search(r"-v\d+$", task) else f"{NAMESPACE}/{task}-v0"


def register_environment(task: str) -> None:
    """Make a task known to Gymnasium under its id, without building it: some tasks compile a model.

    The specification names no time limit, because options of the task may change it: both entry points ask the
    simulator that they build.

    Raises ValueError for a name that cannot be an id and where the id belongs to something else.
    """
    spec = EnvSpec(
        id=environment_id(task),
        entry_point="robots.as_gymnasium.env:make_limited",
        vector_entry_point="robots.as_gymnasium.vector_env:TaskVectorEnv",
        kwargs={"task": task},
    )
    taken: Any = gymnasium.registry.get(spec.id)
    if taken is not None and taken.kwargs.get("task") != task:
        raise HgrpoError(f"task {task!r} needs the Gymnasium id {spec.id!r}, which {taken.kwargs or 'another'} has")
    gymnasium.registry[spec.id] = spec
