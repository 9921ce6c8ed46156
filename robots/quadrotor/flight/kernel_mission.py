"""Missions as Warp functions, so that a control step of a mission is one kernel launch with an adjoint."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from robots.kernels.launch import Kernel, Output
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.body.pose import Pose
from robots.quadrotor.flight.kernels import MOTION, MissionFunctions, judge_kernel, see_kernel
from robots.quadrotor.flight.mission import Judged, Mission, StepContext, TaskResult
from robots.quadrotor.flight.options import FlightOptions
from robots.quadrotor.flight.score import Score
from robots.quadrotor.interfaces.interface import ACTIONS


class KernelMission(Mission):
    """A mission whose state is a NamedTuple with the fields `course`, `values` and `counts`.

    `course` (B, C) stays constant during an episode, `values` (B, V) change and carry slopes, and `counts` (B, K) int64
    are counters and flags without slopes. A field of size 0 is ().
    """

    values_size: int
    """V."""
    counts_size: int
    """K."""

    def __init__(
        self, options: FlightOptions, parameters: QuadrotorParameters, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(options, parameters, dtype, device)
        self.numbers = torch.tensor(self.function_numbers(), dtype=dtype, device=device)
        real, integer = (torch.empty(1, 0, dtype=kind, device=device) for kind in (dtype, torch.int64))
        self._nothing = (real, real, integer)
        terms, entries, functions = len(self.weights), len(self.observation), self.functions
        motion = MOTION if self.shows_motion else 0
        seen = Output((entries + motion,))
        self._see = Kernel(lambda real, backward: see_kernel(functions, entries, motion, real, backward), dtype, [seen])
        outputs = [
            Output((self.values_size,), read_back=True),
            Output((self.counts_size,), torch.int64),
            Output((terms,), read_back=True),
            Output(),
            Output((), torch.bool),
            seen,
        ]
        self._judge = Kernel(
            lambda real, backward: judge_kernel(functions, terms, entries, motion, real, backward),
            dtype,
            outputs,
            [1.0 / self.control_hz],
        )

    @staticmethod
    @abstractmethod
    def functions(real: Any) -> MissionFunctions:
        """Warp functions of the mission; a function decorated with functools.cache."""

    def function_numbers(self) -> tuple[float, ...]:
        """Options that the functions read as `numbers`; other values in them are constants."""
        return ()

    def judged(self, context: StepContext, mission: Any, score: Score) -> Judged:
        """As Mission.judged, by one kernel."""
        new, _, reward, terminated, seen = self._launch(context, mission, score.weights, score.scale)
        return Judged(new, reward, terminated, seen)

    def seen(self, pose: Pose, mission: Any) -> Tensor:
        """As Mission.seen, by one kernel."""
        return self._see(pose.values, *self.arrays(mission), shared=(self.numbers,))[0]

    def advance(self, context: StepContext, mission: Any) -> TaskResult:
        """As Mission.advance."""
        none = torch.zeros(len(self.weights) + 1, dtype=self.dtype, device=self.device)
        new, terms, _, terminated, _ = self._launch(context, mission, none, none.new_zeros(ACTIONS))
        return TaskResult(new, dict(zip(self.weights, terms.unbind(1), strict=True)), terminated)

    def observe(self, pose: Pose, mission: Any) -> Tensor:
        """As Mission.observe."""
        return self.seen(pose, mission)[:, : len(self.observation)].t()

    def _launch(self, context: StepContext, mission: Any, weights: Tensor, scale: Tensor) -> tuple[Any, ...]:
        """New state of the mission, terms (B, W), reward, termination and the entries that are seen."""
        values, counts, *rest = self._judge(
            context.before.values,
            context.after.values,
            context.command,
            context.last_command,
            context.grounded,
            context.noise_key,
            context.steps,
            *self.arrays(mission),
            shared=(self.numbers, weights, scale),
        )
        return (self.changed(mission, values, counts), *rest)

    def changed(self, mission: Any, values: Tensor, counts: Tensor) -> Any:
        """State of the mission with other values and counts, where it has any."""
        if not self.values_size:
            return mission._replace(counts=counts)
        return mission._replace(values=values, counts=counts) if self.counts_size else mission._replace(values=values)

    def arrays(self, mission: Any) -> tuple[Tensor, ...]:
        """The three fields, with an array of nothing for ()."""
        fields = (mission.course, mission.values, mission.counts)
        return tuple(x if isinstance(x, Tensor) else none for x, none in zip(fields, self._nothing, strict=True))
