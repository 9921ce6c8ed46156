"""Comparison of a simulator with the training of a policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policies.spec import PolicySpec
from robots.quadrotor.body.parameters import PRESETS
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.simulator import Simulator
from sim2real.flight.target import TargetError
from sim2real.policy.trained_on import TrainedOn, in_words


def require_the_same_airframe(spec: PolicySpec, trained: TrainedOn | None, simulator: Simulator) -> None:
    """Raise TargetError if a simulator has another drone, or other numbers of the drone.

    Args:
        spec: Interface of the policy.
        trained: Task options and airframe of the training; None if they are unknown.
        simulator: The simulator to fly.
    """
    task, here = simulator.spec.name, simulator.spec.robot
    if spec.robot and here != spec.robot:
        problem = f"the policy was trained for {spec.robot}; {task} has {here or 'a robot without a name'}"
        if not isinstance(simulator, QuadrotorFlight):
            raise TargetError(problem)
        drone = spec.robot if spec.robot in PRESETS else f"FILE.toml with the numbers of {spec.robot}"
        raise TargetError(
            f"{problem}; --task-options quadrotor={drone} takes the drone of the training, quadrotor={here} "
            f"accepts {here}"
        )
    if other := _other_numbers(trained, simulator):
        raise TargetError(
            f"{here} differs from the airframe of the training: {other}; --task-options quadrotor={here} accepts this"
        )


def differences(spec: PolicySpec, trained: TrainedOn | None, simulator: Simulator, given: Mapping[str, Any]) -> str:
    """Differences between a flight and the training, in one line; empty without any.

    Args:
        spec: Interface of the policy.
        trained: Task options and airframe of the training; None if they are unknown.
        simulator: The simulator to fly.
        given: Task options that the user gave, by name.
    """
    task = simulator.spec.name
    found = [] if task == spec.task else [f"task {task} (trained: {spec.task})"]
    before = {} if trained is None else trained.task_options
    for name, value in given.items():
        if trained is None:
            found.append(f"{in_words({name: value})} (trained: unknown)")
        elif name not in before:
            found.append(f"{in_words({name: value})} (trained: default of {spec.task})")
        elif not _same(value, before[name]):
            found.append(f"{in_words({name: value})} (trained: {in_words({name: before[name]})})")
    lost = {name: value for name, value in before.items() if name not in given and task != spec.task}
    if lost:
        found.append(f"other options: defaults of {task} (trained: {in_words(lost)})")
    if simulator.spec.robot == spec.robot and (other := _other_numbers(trained, simulator)):
        found.append(f"{spec.robot}: {other}")
    return ", ".join(found)


def _other_numbers(trained: TrainedOn | None, simulator: Simulator) -> str:
    """Numbers of the airframe that differ from the training.

    Empty if none differs or none is known.
    """
    if trained is None or not trained.airframe or not isinstance(simulator, QuadrotorFlight):
        return ""
    then, now = trained.airframe, simulator.parameters.numbers()
    names = [name for name in now | then if now.get(name) != then.get(name)]
    return ", ".join(f"{in_words({n: now.get(n)})} (trained: {in_words({n: then.get(n)})})" for n in names)


def _same(one: object, other: object) -> bool:
    """Whether two values of an option are equal as text or as numbers."""
    try:
        return str(one) == str(other) or float(str(one)) == float(str(other))
    except ValueError:
        return False
