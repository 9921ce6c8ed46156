"""Any task of `robots` as a target, in real time or as fast as possible."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import robots
from hgrpo_imports import require
from policies.spec import PolicySpec
from robots.episodes import Transition, reset_episodes, step_episodes
from robots.quadrotor.body.vehicle_file.read import with_vehicle
from robots.registry import module_of
from robots.simulator import Channel, Simulator
from sim2real.flight.clock import Clock
from sim2real.flight.target import Reading, TargetEnded, TargetError
from sim2real.policy.trained_on import TrainedOn
from sim2real.targets.as_trained import differences, require_the_same_airframe

MOST_BEHIND = 1.0
"""Delay behind the clock [s] beyond which the simulator skips time."""

_TRIALS = 50


class Episode(NamedTuple):
    """An episode that has ended."""

    reward: float
    """Sum of the rewards."""
    length: int
    """Control steps."""
    success: bool
    terminated: bool
    """Whether it ended before the time limit."""


class SimulatedTarget:
    """One row of a simulator that advances with the clock, like a vehicle.

    Steps are at k / control_hz after the first reading, each under the last action. Their number is the elapsed time
    over the period, rounded, so jitter below half a period has no effect. During an overrun the old action continues.
    When an episode ends, the next one begins. `differences` is a line with everything that differs from the training.

    Args:
        spec: Interface of the policy.
        clock: Clock of the loop.
        task: Task to fly; empty for that of the policy.
        task_options: Options of the task. They replace those of the training.
        seed: Seed of the episodes.
        episodes: Number of episodes after which the flight ends; None for no limit.
        trained: Task options and airframe of the training. The options apply to the task of the policy only.
        imports: Modules that the user named; a task of a module that is not among them is refused.

    Raises TargetError if observation, action or rate of the task are not those of the policy, and for another airframe
    than that of the training unless `task_options` has a quadrotor. Raises ImportRefusedError for a module that is not
    in `imports`.
    """

    def __init__(
        self,
        spec: PolicySpec,
        clock: Clock,
        task: str = "",
        task_options: Mapping[str, Any] | None = None,
        seed: int = 0,
        episodes: int | None = None,
        trained: TrainedOn | None = None,
        imports: Sequence[str] = (),
    ) -> None:
        if not task and (module := module_of(spec.task)):
            require({module: f"task {spec.task!r}"}, imports, "this policy was trained with")
        given, flown = with_vehicle(task_options or {}), task or spec.task
        kept = trained.task_options if trained is not None and flown == spec.task else {}
        self.simulator: Simulator = robots.make(flown, **(kept | given))
        _require_the_same(spec, self.simulator)
        if "quadrotor" not in given:
            require_the_same_airframe(spec, trained, self.simulator)
        self.differences = differences(spec, trained, self.simulator, given)
        self.finished: list[Episode] = []
        self._clock, self._wanted = clock, episodes
        self._generator = torch.Generator().manual_seed(seed)
        self._action = torch.tensor([spec.safe_action], dtype=torch.float32)
        self._next: Transition | None = None
        self._start, self._steps, self._begins = math.nan, 0, True

    def start(self) -> None:
        """Begin the first episode and time trial steps.

        Raises TargetError if every trial step takes longer than the period.
        """
        self._begin()
        period = 1.0 / self.simulator.spec.control_hz
        step = math.inf
        for _ in range(_TRIALS):  # the first step is slow, and so is one that another process interrupts
            step = min(step, self._time_of_a_step())
            if step <= period:
                break
        if step > period:
            raise TargetError(
                f"a step of {self.simulator.spec.name} takes {1e3 * step:.1f} ms here, longer than its period of "
                f"{1e3 * period:.1f} ms, so it cannot be flown in real time; --fast flies it as fast as it goes"
            )

    def read(self) -> Reading:
        """Observation after the last step; raises TargetEnded after the last episode."""
        now = self._clock.now()
        hz = self.simulator.spec.control_hz
        if math.isnan(self._start):
            self._start = now
        behind = round((now - self._start) * hz) - self._steps
        if behind > MOST_BEHIND * hz:
            self._steps += behind - round(MOST_BEHIND * hz)
            behind = round(MOST_BEHIND * hz)
        for _ in range(behind):
            self._step()
        begins, self._begins = self._begins, False
        return Reading(self._observation, now, begins)

    def _time_of_a_step(self) -> float:
        """Duration of a step by the loop's clock [s]."""
        before = self._clock.now()
        step_episodes(self.simulator, self._running, self._action)
        return self._clock.now() - before

    def apply(self, action: NDArray[np.float64], /) -> None:
        """Continue under this action (A,)."""
        self._action = torch.from_numpy(action.astype(np.float32)).unsqueeze(0)
        self._next = step_episodes(self.simulator, self._running, self._action)

    def stop(self) -> None:
        """Close the simulator if it has something to close."""
        close = getattr(self.simulator, "close", None)
        if close is not None:
            close()

    def summary(self) -> str:
        """Figures as of `hgrpo evaluate`, over the episodes that have ended."""
        if not self.finished:
            return f"no episode ended; the current one has {self._length} steps"
        rewards = np.array([episode.reward for episode in self.finished])
        rate = float(np.mean([episode.success for episode in self.finished]))
        success = f"success_rate {rate:.3f}, " if self.simulator.spec.goal else ""
        length = float(np.mean([episode.length for episode in self.finished]))
        return (
            f"{len(rewards)} episodes: return {rewards.mean():.1f} +- {rewards.std():.1f}, {success}length {length:.0f}"
        )

    def _begin(self) -> None:
        self._running = reset_episodes(self.simulator, 1, self._generator)
        self._observation = self._row(self.simulator.observe(self._running.state))
        self._reward, self._length, self._begins = 0.0, 0, True

    def _step(self) -> None:
        transition = self._next or step_episodes(self.simulator, self._running, self._action)
        self._next = None
        self._steps += 1
        self._length += 1
        self._running, self._observation = transition.episodes, self._row(transition.observation)
        self._reward += float(transition.reward)
        if not bool(transition.terminated | transition.truncated):
            return
        success = bool(self.simulator.success(self._running.state))
        self.finished.append(Episode(self._reward, self._length, success, bool(transition.terminated)))
        if self._wanted is not None and len(self.finished) >= self._wanted:
            raise TargetEnded(f"{len(self.finished)} episodes have ended")
        self._begin()

    @staticmethod
    def _row(observation: torch.Tensor) -> NDArray[np.float32]:
        return observation[0].numpy().astype(np.float32)


def _require_the_same(spec: PolicySpec, simulator: Simulator) -> None:
    """Raise TargetError unless observation, action and rate of policy and simulator are the same."""
    task = simulator.spec
    for kind, ours, theirs in (
        ("observation", spec.observation, task.observation),
        ("action", spec.action, task.action),
    ):
        given = [(entry.name, entry.unit, entry.frame) for entry in ours]
        there = [_described(channel) for channel in theirs]
        if given != there:
            odd = next((a, b) for a, b in zip([*given, None], [*there, None], strict=False) if a != b)
            first, second = ("no further entry" if entry is None else repr(entry[0]) for entry in odd)
            raise TargetError(
                f"{task.name} does not fit the policy: the first {kind} entry that differs is {first} of "
                f"the policy, {second} of the task; task options such as interface=ctbr may be missing"
            )
    if spec.control_hz != task.control_hz:
        raise TargetError(f"the policy acts at {spec.control_hz:g} Hz, {task.name} at {task.control_hz:g} Hz")


def _described(channel: Channel) -> tuple[str, str, str]:
    return channel.name, channel.unit, channel.frame
