"""Flights of one or several policies from the same start, step by step; needs no browser."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import robots
from hgrpo_control.evaluation.outcome import outcome_of
from hgrpo_control.watch.pilots import Pilot
from hgrpo_errors import HgrpoError
from robots.episodes import reset_episodes, step_episodes
from robots.interventions import Disturbable, Disturbance, Pushable, Targeted
from robots.simulator import Simulator, close

Vector = tuple[float, float, float]

TRAIL_SECONDS = 3.0
PLOT_SECONDS = 10.0
PLOT_HZ = 20.0
LINGER_SECONDS = 1.0
"""How long the end of the episodes is shown before new ones begin."""
_ROTORS = 4


class Entry(NamedTuple):
    """A pilot and the task options that its policy was trained with."""

    pilot: Pilot
    task_options: Mapping[str, Any] = {}


class Sample(NamedTuple):
    """Signals of one moment."""

    time: float
    """Time of the session [s]."""
    signals: dict[str, NDArray[np.float64]]
    """Values (k,) by "name [unit]"."""


class Flight:
    """One pilot in a simulator of its own, in one episode after the other."""

    def __init__(self, pilot: Pilot, simulator: Simulator) -> None:
        self.pilot, self.simulator = pilot, simulator
        hz = simulator.spec.control_hz
        self.trail: deque[NDArray[np.float64]] = deque(maxlen=max(2, round(TRAIL_SECONDS * hz)))
        self.history: deque[Sample] = deque(maxlen=round(PLOT_SECONDS * PLOT_HZ))
        self._observation = torch.empty(0)

    def begin(self, seed: int, disturbance: Disturbance) -> None:
        """Begin an episode from the start of a seed."""
        self.pilot.begin(self.simulator)
        self._episodes = reset_episodes(self.simulator, 1, seed)
        self.frame = np.zeros(3)
        self.total, self.outcome = 0.0, ""
        self.action = torch.tensor([self.simulator.spec.neutral_action])
        self.trail.clear()
        self.disturb(disturbance)
        self._observe()
        self.trail.append(self.position)

    def step(self, endless: bool) -> None:
        """Take a control step, unless the episode has ended.

        Args:
            endless: Whether the time limit is ignored.
        """
        if self.outcome:
            return
        self.action = self.pilot.act(self._observation, self.simulator)
        transition = step_episodes(self.simulator, self._episodes, self.action)
        self._episodes, self._observation = transition.episodes, transition.observation
        self.total += float(transition.reward)
        self.trail.append(self.position)
        terminated = bool(transition.terminated)
        if terminated or (bool(transition.truncated) and not endless):
            self.outcome = outcome_of(self.simulator, self.state, 0, terminated)

    @property
    def state(self) -> Any:
        """State of the simulator, of one row."""
        return self._episodes.state

    @property
    def position(self) -> NDArray[np.float64]:
        """(3,) position of the robot on the page [m]."""
        return self.simulator.position(self.state)[0].double().cpu().numpy() + self.frame

    @property
    def target(self) -> NDArray[np.float64] | None:
        """(3,) target on the page [m]; None for a task without one that can be moved."""
        place = self.simulator.target_place(self.state) if isinstance(self.simulator, Targeted) else None
        return None if place is None else place[0].double().cpu().numpy() + self.frame

    def push(self, velocity: Vector) -> None:
        """Change the velocity of the robot [m/s]."""
        assert isinstance(self.simulator, Pushable)
        self._change(self.simulator.pushed(self.state, torch.tensor([velocity], dtype=torch.float32)))

    def disturb(self, disturbance: Disturbance) -> None:
        """Set hidden parameters."""
        if disturbance != Disturbance():
            assert isinstance(self.simulator, Disturbable)
            self._change(self.simulator.disturbed(self.state, disturbance))

    def move_target(self, by: NDArray[np.float64]) -> None:
        """Move the target by (3,) [m]."""
        assert isinstance(self.simulator, Targeted)
        moved = self.simulator.with_target_moved(self.state, torch.from_numpy(by).float().unsqueeze(0))
        self.frame = self.frame + np.array(moved.frame)
        self._change(moved.state)

    def sample(self, time: float) -> None:
        """Keep the signals of this moment for the plots."""
        signals = self.simulator.signals(self.state)
        self.history.append(Sample(time, {name: x[0].double().cpu().numpy() for name, x in signals.items()}))

    def _change(self, state: Any) -> None:
        self._episodes = self._episodes._replace(state=state)
        self._observe()

    def _observe(self) -> None:
        self._observation = self.simulator.observe(self.state)


class Session:
    """Flights of several pilots from the same start; what a person does acts on all of them.

    An episode that has ended waits for the others. One second after the last has ended, all begin again from the start
    of the next seed.

    Args:
        task: Name of the task.
        entries: The pilots, at least one.
        task_options: Options of the task; they replace those of the policies' training.
        seed: Seed of the first start.

    Raises:
        HgrpoError: The task or an option does not exist, or a policy does not fit.
    """

    def __init__(
        self, task: str, entries: Sequence[Entry], task_options: Mapping[str, Any] | None = None, seed: int = 0
    ) -> None:
        self.task, self.entries, self.seed = task, tuple(entries), seed
        self.endless = False
        """Whether the time limit of the task is ignored."""
        self.disturbance = Disturbance()
        self.steps = 0
        """Control steps of the session."""
        self.flights: list[Flight] = []
        self.change_task(task_options or {})

    def change_task(self, task_options: Mapping[str, Any]) -> None:
        """Build the simulators again with other options of the task; raises HgrpoError and then changes nothing."""
        flights: list[Flight] = []
        try:
            for entry in self.entries:
                simulator = robots.make(self.task, **{**entry.task_options, **task_options})
                flights.append(Flight(entry.pilot, simulator))
                entry.pilot.require_fit(simulator)
        except HgrpoError:
            _close(flights)
            raise
        _close(self.flights)
        self.flights, self.task_options = flights, dict(task_options)
        if not self.can_disturb:
            self.disturbance = Disturbance()
        self.restart(self.seed)

    def close(self) -> None:
        """Close the simulators."""
        _close(self.flights)

    @property
    def control_hz(self) -> float:
        """Control steps per second [Hz]."""
        return self.flights[0].simulator.spec.control_hz

    @property
    def time(self) -> float:
        """Simulated time since the session began [s]."""
        return self.steps / self.control_hz

    @property
    def episode_time(self) -> float:
        """Simulated time since the start of the episode [s]."""
        return (self.steps - self._began) / self.control_hz

    def restart(self, seed: int | None = None) -> None:
        """Begin new episodes; from the next start, or from that of a seed."""
        self.seed = self.seed + 1 if seed is None else seed
        self._began, self._waited = self.steps, 0
        for flight in self.flights:
            flight.begin(self.seed, self.disturbance)

    def step(self) -> None:
        """Take one control step in every flight; begin again when all have ended."""
        if all(flight.outcome for flight in self.flights):
            self._waited += 1
            if self._waited > LINGER_SECONDS * self.control_hz:
                self.restart()
        self.steps += 1
        for flight in self.flights:
            flight.step(self.endless)
        if self.steps % max(1, round(self.control_hz / PLOT_HZ)) == 0:
            for flight in self.flights:
                flight.sample(self.time)

    @property
    def can_push(self) -> bool:
        """Whether the robot can be pushed."""
        return all(isinstance(flight.simulator, Pushable) for flight in self.flights)

    @property
    def can_disturb(self) -> bool:
        """Whether wind, mass and rotors can be set."""
        simulators = [flight.simulator for flight in self.flights]
        return all(isinstance(x, Disturbable) and x.can_be_disturbed for x in simulators)

    @property
    def target(self) -> NDArray[np.float64] | None:
        """(3,) target of the first flight on the page [m]; None where there is none that can be moved."""
        return self.flights[0].target

    def push(self, velocity: Vector) -> None:
        """Change the velocity of every robot by a vector in the world [m/s]."""
        self._require(self.can_push, "pushed")
        for flight in self.flights:
            flight.push(velocity)

    def set_wind(self, wind: Vector) -> None:
        """Set the constant acceleration by wind [m/s^2]."""
        self._disturb(self.disturbance._replace(wind=wind))

    def set_mass(self, factor: float) -> None:
        """Set the factor of the mass."""
        self._disturb(self.disturbance._replace(mass=factor))

    def set_rotor(self, rotor: int, factor: float) -> None:
        """Set the thrust factor of one rotor, from 1 to 4; the others keep theirs."""
        if rotor not in range(1, _ROTORS + 1):
            raise HgrpoError(f"rotor must be from 1 to {_ROTORS}; given {rotor}")
        rotors = list(self.disturbance.rotors or (None,) * _ROTORS)
        rotors[rotor - 1] = factor
        self._disturb(self.disturbance._replace(rotors=tuple(rotors)))

    def calm(self) -> None:
        """Take all disturbances back; factors are 1 and there is no wind until the next episode."""
        if self.disturbance != Disturbance():
            self._disturb(Disturbance(1.0, (0.0, 0.0, 0.0), (1.0,) * _ROTORS))
            self.disturbance = Disturbance()

    def move_target(self, place: Sequence[float]) -> None:
        """Move the target of every flight to a place (3,) on the page [m]."""
        self._require(self.target is not None, "given another target")
        for flight in self.flights:
            assert flight.target is not None
            flight.move_target(np.asarray(place, dtype=np.float64) - flight.target)

    def _disturb(self, disturbance: Disturbance) -> None:
        self._require(self.can_disturb, "disturbed")
        self.disturbance = disturbance
        for flight in self.flights:
            flight.disturb(disturbance)

    def _require(self, allowed: bool, what: str) -> None:
        if not allowed:
            raise HgrpoError(f"{self.task} cannot be {what} with these task options")


def _close(flights: Sequence[Flight]) -> None:
    for flight in flights:
        close(flight.simulator)
