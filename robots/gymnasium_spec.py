"""Tasks under Gymnasium's ids: "quadrotor-hover" is "hgrpo/quadrotor-hover-v0", and a version in a name is kept."""

from __future__ import annotations

import re
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

NAMESPACE = "hgrpo"


def environment_id(task: str) -> str:
    """Gymnasium id of a task; one whose name carries a version keeps it, any other has version 0.

    Raises ValueError for a name that Gymnasium could not find again.
    """
    if not re.fullmatch(r"[\w.-]+", task):
        raise ValueError(f"task names consist of letters, digits, '_', '-' and '.'; given {task!r}")
    return f"{NAMESPACE}/{task}" if re.search(r"-v\d+$", task) else f"{NAMESPACE}/{task}-v0"


class TaskSpec(EnvSpec):
    """A Gymnasium specification that asks the task for its time limit when somebody wants to know it.

    Registering a task must not build it: some compile a model.
    """

    _limit: int | None

    def __init__(self, task: str) -> None:
        self._task = task
        super().__init__(
            id=environment_id(task),
            entry_point="robots.gymnasium_env:TaskEnv",
            vector_entry_point="robots.vector:TaskVectorEnv",
            kwargs={"task": task},
        )

    @property
    def max_episode_steps(self) -> int | None:
        """Time limit in control steps."""
        from robots.registry import make  # the registry registers specifications

        if self._limit is None:
            self._limit = make(self._task).spec.max_episode_steps
        return self._limit

    @max_episode_steps.setter
    def max_episode_steps(self, limit: int | None) -> None:
        self._limit = limit


def register_environment(task: str) -> None:
    """Make a task known to Gymnasium under its id.

    Raises ValueError for a name that cannot be an id and where the id belongs to something else.
    """
    spec = TaskSpec(task)
    taken: Any = gymnasium.registry.get(spec.id)
    if taken is not None and taken.kwargs.get("task") != task:
        raise ValueError(f"task {task!r} needs the Gymnasium id {spec.id!r}, which {taken.kwargs or 'another'} has")
    gymnasium.registry[spec.id] = spec
