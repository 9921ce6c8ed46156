"""Whether what a simulator flies is what a policy was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policies.spec import PolicySpec
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.simulator import Simulator
from sim2real.flight.target import TargetError
from sim2real.policy.trained_on import TrainedOn, in_words


def require_the_same_airframe(spec: PolicySpec, trained: TrainedOn | None, simulator: Simulator) -> None:
    """Raise TargetError where a simulator flies another drone than the one of training, or other numbers of it."""
    task, here = simulator.spec.name, simulator.spec.robot
    if spec.robot and here != spec.robot:
        problem = f"the policy was trained for {spec.robot}, and {task} flies {here or 'a robot without a name'}"
        if not isinstance(simulator, QuadrotorFlight):
            raise TargetError(problem)
        raise TargetError(
            f"{problem}: --task-options quadrotor={spec.robot} flies what it was trained for, quadrotor={here} flies "
            f"{here} all the same"
        )
    if other := _other_numbers(trained, simulator):
        raise TargetError(
            f"{here} is not the airframe of training any more: {other}; --task-options quadrotor={here} flies it all "
            "the same"
        )


def differences(spec: PolicySpec, trained: TrainedOn | None, simulator: Simulator, given: Mapping[str, Any]) -> str:
    """What is flown otherwise than in training because it was asked for, in one line; empty where nothing is."""
    task = simulator.spec.name
    found = [] if task == spec.task else [f"task {task} (trained: {spec.task})"]
    before = {} if trained is None else trained.task_options
    for name, value in given.items():
        if trained is None:
            found.append(f"{in_words({name: value})} (trained: unknown)")
        elif name not in before:
            found.append(f"{in_words({name: value})} (trained: as {spec.task} is)")
        elif not _same(value, before[name]):
            found.append(f"{in_words({name: value})} (trained: {in_words({name: before[name]})})")
    lost = {name: value for name, value in before.items() if name not in given and task != spec.task}
    if lost:
        found.append(f"the rest as {task} is (trained: {in_words(lost)})")
    if simulator.spec.robot == spec.robot and (other := _other_numbers(trained, simulator)):
        found.append(f"{spec.robot}: {other}")
    return ", ".join(found)


def _other_numbers(trained: TrainedOn | None, simulator: Simulator) -> str:
    """The numbers of the airframe that are others than in training; empty where none is, or none is known."""
    if trained is None or not trained.airframe or not isinstance(simulator, QuadrotorFlight):
        return ""
    then, now = trained.airframe, simulator.parameters.numbers()
    names = [name for name in now | then if now.get(name) != then.get(name)]
    return ", ".join(f"{in_words({n: now.get(n)})} (trained: {in_words({n: then.get(n)})})" for n in names)


def _same(one: object, other: object) -> bool:
    """Whether two values of an option say the same, be they words or numbers."""
    try:
        return str(one) == str(other) or float(str(one)) == float(str(other))
    except ValueError:
        return False
