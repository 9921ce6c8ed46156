"""Episodes of an exported policy in another physics engine and in its own.

They start from the same states. See docs/guides/sim2sim.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from hgrpo_control.config.judged import JudgedSettings
from hgrpo_control.config.run import Config
from hgrpo_control.evaluation.evaluate import (
    Evaluation,
    Policy,
    Recording,
    evaluate,
)
from hgrpo_control.training.judged import Judged, judge_at
from hgrpo_control.training.simulation import make_simulator
from hgrpo_errors import HgrpoError, nearest
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.quadrotor.physics.catalogue import AIRFRAMES, FOREIGN

RECORDED = 4
"""Number of episodes per place that are kept step by step."""


class TransferError(HgrpoError):
    """Raised where a run cannot be transferred to another physics; gives the reason."""


class Flight(NamedTuple):
    """Episodes of a policy in one place: a physics and its task options."""

    place: str
    simulator: QuadrotorFlight
    evaluation: Evaluation
    recording: Recording


@dataclasses.dataclass(frozen=True)
class Transfer:
    """Flights of one policy from the same starts.

    The first is at home, as trained. The following ones differ less and less from the other physics. The last is in
    the other physics.
    """

    target: str
    flights: tuple[Flight, ...]
    dropped: dict[str, float]
    """Ranges of the randomisation at home that are 0 in the other physics."""
    judged: Judged | None = None
    """Difficulty and reward weights of all flights; None if not chosen."""

    @property
    def there(self) -> Flight:
        """The flight in the other physics."""
        return self.flights[-1]

    @property
    def nearest_home(self) -> Flight:
        """The flight in the built-in dynamics that differs from `there` only in the physics."""
        return self.flights[-2]

    def share_of(self, home: Flight) -> float:
        """Success rate there divided by that of `home`.

        NaN if that is 0 or the task has no goal.
        """
        success = home.evaluation.success_rate
        return self.there.evaluation.success_rate / success if success > 0.0 else float("nan")


class Places:
    """Simulators of one task by name: home first, the other physics last."""

    def __init__(self, target: str, simulators: dict[str, QuadrotorFlight], options: dict[str, dict[str, Any]]) -> None:
        self.target, self.simulators, self.options = target, simulators, options
        self.judged: Judged | None = None

    def judge_at(self, config: Config, training: Mapping[str, Any], choice: JudgedSettings) -> None:
        """Set difficulty and reward weights, the same in every place; see judged.py."""
        for simulator in self.simulators.values():
            self.judged = judge_at(simulator, config, training, choice)

    def fly(self, policy: Policy, episodes: int, seed: int) -> Transfer:
        """Run the same starts in every place.

        Raises PolicyMismatchError, and HgrpoError for fewer than one episode.
        """
        flights = []
        for place, simulator in self.simulators.items():
            evaluation, recording = evaluate(policy, simulator, episodes, seed, RECORDED)
            judged = {} if self.judged is None else self.judged.for_json()
            evaluation = dataclasses.replace(evaluation, task_options=self.options[place], judged_at=judged)
            flights.append(Flight(place, simulator, evaluation, recording))
        home = next(iter(self.simulators.values()))
        dropped = {name: width for name, width in home.options.ranges.items() if width > 0.0}
        return Transfer(self.target, tuple(flights), dropped, self.judged)


@contextmanager
def places(config: Config, target: str) -> Iterator[Places]:
    """The places of a transfer; processes of their simulators end with the context.

    Home is the task as trained, then, where they differ, the same without randomisation and with the airframe that the
    other physics has. Raises TransferError for an unknown target and for a task that is none of the quadrotor's,
    ConfigError where the other physics is not installed.
    """
    if target not in FOREIGN:
        raise TransferError(f"unknown physics {target!r}; {nearest(target, tuple(FOREIGN))}")
    simulators: dict[str, QuadrotorFlight] = {}
    try:
        home = simulators["home"] = _flight(config, config.task_options)
        options: dict[str, dict[str, Any]] = {"home": dict(config.task_options)}
        if home.options.draws_anything:
            nothing = {name: 0.0 for name, width in home.options.ranges.items() if width > 0.0}
            options["home, nothing drawn"] = options["home"] | nothing
        last = list(options.values())[-1]
        airframe = AIRFRAMES.get(target, home.options.quadrotor)
        if airframe != home.options.quadrotor:
            options[f"home, as {airframe}"] = last = last | {"quadrotor": airframe}
        options[target] = last | {"physics": target}
        for place, its_options in list(options.items())[1:]:
            simulators[place] = _flight(config, its_options)
        yield Places(target, simulators, options)
    finally:
        for simulator in simulators.values():
            simulator.close()


def _flight(config: Config, options: dict[str, Any]) -> QuadrotorFlight:
    simulator = make_simulator(dataclasses.replace(config, task_options=options))
    if not isinstance(simulator, QuadrotorFlight):
        raise TransferError(f"only tasks of the quadrotor can be flown in another physics; this run's is {config.task}")
    return simulator
