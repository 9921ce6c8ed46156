"""A whole control step in one launch, where nothing needs a gradient and nothing lies between its parts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from robots.kernels.launch import Kernel, Output
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.kernels import BODY
from robots.quadrotor.flight.kernel_mission import KernelMission
from robots.quadrotor.flight.kernels import MOTION
from robots.quadrotor.flight.score import Score
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.flight.whole_step_kernel import whole_step
from robots.quadrotor.interfaces.interface import ACTIONS, Interface
from robots.quadrotor.interfaces.kernels import MEMORY
from robots.quadrotor.interfaces.rate_loop import RateMemory
from robots.simulator import Step


class WholeStep:
    """One launch for a mission of kernels with perfect sensors, no delays and the last action in the observation.

    It gives the bits of its parts.

    Args:
        mission: The mission.
        interface: The interface.
        score: Weights of the reward.
        substep: Length of an inner-loop step [s].
    """

    def __init__(self, mission: KernelMission, interface: Interface, score: Score, substep: float) -> None:
        self.mission, self.interface, self.score = mission, interface, score
        like, entries = interface.gains, len(mission.observation)
        self._bounds = like.new_tensor(interface.low), like.new_tensor(interface.high)
        self._nothing = like.new_empty(1, 0)
        motion = MOTION if mission.shows_motion else 0
        sizes = (len(mission.weights), entries, motion, interface.name, interface.substeps)
        outputs = [
            Output((BODY,)),
            Output((0 if interface.loopless else MEMORY,)),
            Output((ACTIONS,)),
            Output((), torch.int64),
            Output((mission.values_size,)),
            Output((mission.counts_size,), torch.int64),
            Output((len(mission.weights),), scratch=True),
            Output(),
            Output((), torch.bool),
            Output((entries + motion + ACTIONS,)),
        ]
        self._kernel = Kernel(
            lambda real, _: whole_step(mission.functions, *sizes, real),
            mission.dtype,
            outputs,
            [substep, 1.0 / mission.control_hz],
        )

    def __call__(self, state: FlightState, action: Tensor, frame: Tensor) -> Step:
        """One control step.

        Args:
            state: B rows.
            action: (B, A) action of the type and on the device of the state.
            frame: (B, 30) coefficients of each airframe, or (1, 30) for all.
        """
        mission, score = self.mission, self.score
        loopless = self.interface.loopless
        body, memory, command, steps, values, counts, _, reward, terminated, observation = self._kernel(
            state.body.values,
            self._nothing if loopless else state.controller.values,
            action,
            state.last_action,
            state.noise_key,
            state.steps,
            frame,
            *mission.arrays(state.mission),
            shared=(self.interface.gains, *self._bounds, mission.numbers, score.weights, score.scale),
        )
        new = FlightState(
            QuadrotorState(body),
            command,
            mission.changed(state.mission, values, counts),
            steps,
            state.noise_key,
            state.hidden,
            () if loopless else RateMemory(memory),
        )
        return Step(new, observation, reward, terminated)


def wants_gradient(state: Any, action: Tensor) -> bool:
    """Whether a state or an action asks for gradients."""
    return torch.is_grad_enabled() and (action.requires_grad or _asks(state))


def _asks(state: Any) -> bool:
    return any(_asks(part) if isinstance(part, tuple) else part.requires_grad for part in state)
