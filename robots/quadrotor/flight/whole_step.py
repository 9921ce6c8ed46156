"""A whole control step in one launch, where nothing lies between its parts."""

from __future__ import annotations

import torch
from torch import Tensor

from robots.kernels.launch import Kernel, Output
from robots.pullback import Gradient, Pullback
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.hidden import Hidden
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
        hidden: Hidden parameters of the airframe.
        substep: Length of an inner-loop step [s].
    """

    def __init__(
        self, mission: KernelMission, interface: Interface, score: Score, hidden: Hidden, substep: float
    ) -> None:
        self.mission, self.interface, self.score, self.hidden = mission, interface, score, hidden
        like, entries = interface.gains, len(mission.observation)
        self._bounds = like.new_tensor(interface.low), like.new_tensor(interface.high)
        self._nothing = like.new_empty(1, 0)
        looped, valued = not interface.loopless, mission.values_size > 0
        self._wanted = (True, looped, True, True, *(False,) * 4, valued, False)
        motion = MOTION if mission.shows_motion else 0
        sizes = (len(mission.weights), entries, motion, interface.name, interface.substeps)
        outputs = [
            Output((BODY,)),
            Output((0 if interface.loopless else MEMORY,)),
            Output((ACTIONS,), read_back=True),
            Output((), torch.int64),
            Output((mission.values_size,), read_back=True),
            Output((mission.counts_size,), torch.int64),
            Output((len(mission.weights),), read_back=True, scratch=True),
            Output(),
            Output((), torch.bool),
            Output((entries + motion + ACTIONS,)),
        ]
        self._kernel = Kernel(
            lambda real, backward: whole_step(mission.functions, *sizes, real, backward),
            mission.dtype,
            outputs,
            [substep, 1.0 / mission.control_hz],
        )

    def __call__(self, state: FlightState, action: Tensor) -> Step:
        """One control step of B rows with an action (B, A) of the type and on the device of the state."""
        inputs, shared = self._arguments(state, action)
        return self._step(state, self._kernel(*inputs, shared=shared))

    def recorded(self, state: FlightState, action: Tensor) -> tuple[Step, Pullback]:
        """The same, and its pullback; the hidden parameters have no gradient."""
        inputs, shared = self._arguments(state, action)
        outputs, pulled = self._kernel.recorded(inputs, shared, self._wanted)

        def pull_back(by_state: Gradient, by_observation: Tensor, by_reward: Tensor) -> tuple[Gradient, Tensor]:
            body, memory, command, values = by_state or (None,) * 4
            given = (body, memory, command, None, values, None, None, by_reward, None, by_observation)
            by_body, by_memory, by_action, by_last, *_, by_values, _ = pulled(given)
            assert by_action is not None
            return (by_body, by_memory, by_last, by_values), by_action

        return self._step(state, outputs), pull_back

    def _arguments(self, state: FlightState, action: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Inputs and shared arrays of the kernel."""
        mission, score = self.mission, self.score
        inputs = (
            state.body.values,
            self._nothing if self.interface.loopless else state.controller.values,
            action,
            state.last_action,
            state.noise_key,
            state.steps,
            self.hidden.frame(state.hidden, state.steps),
            *mission.arrays(state.mission),
        )
        return inputs, (self.interface.gains, *self._bounds, mission.numbers, score.weights, score.scale)

    def _step(self, state: FlightState, outputs: tuple[Tensor, ...]) -> Step:
        """Result of a step from `state`."""
        body, memory, command, steps, values, counts, _, reward, terminated, observation = outputs
        new = FlightState(
            QuadrotorState(body),
            command,
            self.mission.changed(state.mission, values, counts),
            steps,
            state.noise_key,
            self.hidden.after(state.hidden, state.noise_key),
            () if self.interface.loopless else RateMemory(memory),
        )
        return Step(new, observation, reward, terminated)
