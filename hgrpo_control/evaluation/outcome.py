"""How an episode ended, in words."""

from __future__ import annotations

from typing import Any

from robots.simulator import Simulator, episode_metrics

_CRASHES = "crash rate [1]"  # the name that tasks give this figure


def outcome_of(simulator: Simulator, state: Any, row: int, terminated: bool) -> str:
    """How an episode ended: success, crashed, ended early or time limit.

    An episode of a task with a goal that was terminated without success has crashed, unless the task itself counts
    crashes and did not count one, such as for a missed gate.

    Args:
        simulator: The task.
        state: Last state of B episodes.
        row: The episode.
        terminated: Whether it ended before the time limit.
    """
    if simulator.spec.goal and bool(simulator.success(state)[row]):
        return "success"
    if not terminated:
        return "time limit"
    counted = episode_metrics(simulator, state).get(_CRASHES)
    crashed = bool(simulator.spec.goal) if counted is None else float(counted[row]) > 0.0
    return "crashed" if crashed else "ended early"
