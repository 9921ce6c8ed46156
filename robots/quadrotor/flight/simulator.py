"""Simulator of every quadrotor task: body, command interface, sensors and randomisation around a mission.

Observation: the mission's own entries, then velocity, direction of world z and angular velocity in the body frame if
`Mission.shows_motion`, then the last `action_history` actions. It uses the measured motion; the reward uses the true
motion.

Reward: the weighted sum of the mission's terms, minus `action_difference_penalty` times the mean square of the change
of action, with every action scaled to [-1, 1] by its bounds.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hgrpo_errors import nearest
from robots import noise
from robots.options import OptionError, read_options
from robots.pullback import Pullback, by_autograd
from robots.quadrotor.body.any_airframe import ANY, parameters_of
from robots.quadrotor.body.hidden import Hidden
from robots.quadrotor.body.pose import Pose, pose_of
from robots.quadrotor.body.randomization import require_effect
from robots.quadrotor.body.rotation import rotation_rows
from robots.quadrotor.draw import Draw
from robots.quadrotor.flight.interventions import Interventions
from robots.quadrotor.flight.kernel_mission import KernelMission
from robots.quadrotor.flight.mission import Mission, StepContext
from robots.quadrotor.flight.options import FlightOptions
from robots.quadrotor.flight.score import Score, weights_of
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.flight.whole_step import WholeStep
from robots.quadrotor.interfaces import Interface, make_interface
from robots.quadrotor.interfaces.control_step import ControlStep, Flown, LoopStep
from robots.quadrotor.physics.catalogue import make_physics
from robots.quadrotor.scene import QuadrotorScene
from robots.quadrotor.sensing.latency import ActionQueue
from robots.quadrotor.sensing.sensors import Sensors
from robots.simulator import Channel, SimulatorSpec, Step

_MOTION = tuple(
    Channel(f"{name}_{axis}", unit, "body")
    for name, unit in (("velocity", "m/s"), ("up", "1"), ("angular_velocity", "rad/s"))
    for axis in "xyz"
)


def make_flight(
    name: str,
    mission: type[Mission],
    defaults: FlightOptions,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    **given: Any,
) -> QuadrotorFlight:
    """Simulator of a mission with the options `given` in place of its `defaults`; see QuadrotorFlight."""
    return QuadrotorFlight(mission, read_options(defaults, given), name, dtype, device)


class QuadrotorFlight(Interventions):
    """Simulator of a mission with the quadrotor; `adjust` changes its difficulty and reward weights.

    Args:
        mission: Subclass of Mission.
        options: Its options.
        name: Name of the task.
        dtype: Type of the state.
        device: Device of the state.

    Raises:
        HgrpoError: The quadrotor is unknown, or a range is given for a value that is zero in it.
    """

    def __init__(
        self,
        mission: type[Mission],
        options: FlightOptions,
        name: str,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> None:
        self.options, self.parameters = options, parameters_of(options.quadrotor)
        require_effect(options, self.parameters)
        self.dtype, self.device = dtype, torch.device(device)
        self.mission = mission(options, self.parameters, dtype, self.device)
        self.interface: Interface = make_interface(
            options.interface, self.parameters, self.mission.control_hz, dtype, self.device
        )
        self.duration = 1.0 / self.mission.control_hz
        self.substep = self.duration / self.interface.substeps
        steps = (self.substep, self.duration)
        self.hidden = Hidden(options, self.parameters, options.quadrotor == ANY, *steps, dtype, self.device)
        self._control_step = ControlStep(self.interface, self.substep, dtype)
        self._loop_step = LoopStep(self.interface, self.substep, dtype)
        self.physics = make_physics(options.physics, self.parameters, self.substep)
        self.sensors = Sensors(options, options.observation_latency, options.latency == "drawn", dtype, self.device)
        self.queue = ActionQueue(options)
        self.difficulty = options.difficulty
        penalty = options.action_difference_penalty
        self.weights = {**weights_of(self.mission.weights, options.reward_terms), "action_difference": penalty}
        self._score = Score(self.interface, tuple(self.mission.weights), dtype, self.device)
        self._score.set_weights(self.weights, self.weights["action_difference"])
        self._bounds = _bounds(self.interface, dtype, self.device)
        self._scenes: dict[tuple[int, int], QuadrotorScene] = {}
        self.spec = self._specification(name)
        self._whole = self._whole_step()

    def _specification(self, name: str) -> SimulatorSpec:
        mission, interface = self.mission, self.interface
        motion = _MOTION if mission.shows_motion else ()
        return SimulatorSpec(
            name=name,
            observation=mission.observation + motion + self.queue.shown(interface.action),
            action=interface.action,
            action_low=interface.low,
            action_high=interface.high,
            control_hz=mission.control_hz,
            max_episode_steps=round(mission.episode_seconds * mission.control_hz),
            neutral_action=interface.neutral,
            robot=self.parameters.name,
            privileged=(
                *self.hidden.channels,
                *self.sensors.channels,
                *self.queue.channels,
                *mission.privileged,
            ),
            goal=mission.goal,
            differentiable=self.physics is None and mission.differentiable,
            noise=mission.noise or self.options.noisy or self.options.gust > 0.0,
        )

    def _whole_step(self) -> WholeStep | None:
        """The control step in one launch, where the options allow it."""
        mission = self.mission
        alone = (
            self.options.action_history == 1 and self.physics is None and self.sensors.perfect and not self.queue.needed
        )
        if not isinstance(mission, KernelMission) or not alone:
            return None
        return WholeStep(mission, self.interface, self._score, self.hidden, self.substep)

    @property
    def settings(self) -> dict[str, float]:
        """Difficulty of new episodes, and the weight of each term of the reward."""
        return {"difficulty": self.difficulty, **self.weights}

    def adjust(self, name: str, value: float) -> None:
        """Change the difficulty of new episodes or a weight of the reward.

        Raises:
            OptionError: The name or the value is not allowed.
        """
        if name not in self.settings:
            raise OptionError(f"{self.spec.name} has no setting {name!r}; {nearest(name, tuple(self.settings))}")
        if not math.isfinite(value):
            raise OptionError(f"{name} must be finite; given {value}")
        if name != "difficulty":
            self.weights[name] = value
            self._score.set_weights(self.weights, self.weights["action_difference"])
        elif not 0.0 <= value <= 1.0:
            raise OptionError(f"difficulty must lie in [0, 1]; given {value}")
        else:
            self.difficulty = value

    def reset(self, num: int, seed: int | torch.Generator) -> FlightState:
        """Draw `num` initial states at the current difficulty, with neutral previous actions."""
        generator = seed if isinstance(seed, torch.Generator) else torch.Generator(self.device).manual_seed(seed)
        difficulty = torch.full((num, 1), self.difficulty, dtype=self.dtype, device=self.device)
        draw = Draw(num, generator, self.dtype)
        body, mission = self.mission.begin(draw, difficulty)
        neutral = torch.tensor(self.spec.neutral_action, dtype=self.dtype, device=self.device).repeat(num, 1)
        key = noise.new_keys(num, generator)
        hidden = self.hidden.draw(num, generator, key)
        body = self.hidden.hovering(body, hidden)
        steps = torch.zeros(num, dtype=torch.int64, device=self.device)
        senses, sent = self.sensors.begin(body, draw, key), self.queue.begin(neutral, draw)
        return FlightState(body, neutral, mission, steps, key, hidden, self.interface.begin(body), senses, sent)

    def observe(self, state: FlightState) -> Tensor:
        """(B, O) observation: entries of the mission, motion, past actions."""
        seen = self.mission.seen(self._sensed(state), state.mission)
        return torch.cat((seen, *self.queue.history_of(state.sent, state.last_action)), dim=1)

    def step(self, state: FlightState, action: Tensor) -> Step:
        """Apply an action (B, A) from any device for one control step; it is clipped to the bounds."""
        action = action.to(self.device, self.dtype)
        return self._step_by_parts(state, action) if self._whole is None else self._whole(state, action)

    def recorded_step(self, state: FlightState, action: Tensor) -> tuple[Step, Pullback]:
        """`step` and its pullback."""
        own = action.to(self.device, self.dtype)
        return by_autograd(self, state, own) if self._whole is None else self._whole.recorded(state, own)

    def _step_by_parts(self, state: FlightState, action: Tensor) -> Step:
        command = action.clamp(*self._bounds)
        acting, sent = self.queue.push(state.sent, command)
        flown = self._fly(state, acting)
        hidden = self.hidden.after(state.hidden, state.noise_key)
        key, steps, last = state.noise_key, state.steps + 1, state.last_action
        context = StepContext(state.body, flown.body, flown.grounded, key, steps, self.duration, command, last)
        judged = self.mission.judged(context, state.mission, self._score)
        senses = self.sensors.advance(state.senses, flown.body, key, steps)
        new = FlightState(flown.body, command, judged.mission, steps, key, hidden, flown.memory, senses, sent)
        seen = self.mission.seen(self._sensed(new), new.mission) if senses else judged.seen
        observation = torch.cat((seen, *self.queue.history_of(sent, command)), dim=1)
        return Step(new, observation, judged.reward, judged.terminated)

    def _fly(self, state: FlightState, command: Tensor) -> Flown:
        """Body and memory of the inner loops after a command (B, A)."""
        if self.physics is None:
            frame = self.hidden.frame(state.hidden, state.steps)
            return self._control_step(state.body, state.controller, command, frame)
        body, memory, grounded = state.body, state.controller, torch.zeros_like(state.steps, dtype=torch.bool)
        for _ in range(self.interface.substeps):
            motors, memory = self._loop_step(body, memory, command)
            body, below = self.physics.step(body, motors)
            grounded = grounded | below
        return Flown(body, memory, grounded)

    def _sensed(self, state: FlightState) -> Pose:
        """Pose for the observation."""
        return self.sensors.pose(state.senses) if state.senses else pose_of(state.body)

    def privileged(self, state: FlightState) -> Tensor:
        """(B, P) hidden parameters, errors of the sensors, delays and privileged entries of the mission."""
        if not self.spec.privileged:
            return state.last_action[:, :0]
        pose = pose_of(state.body)
        parts = self.hidden.shown(state.hidden, state.steps, pose.rows)
        parts += self.sensors.hidden(state.senses, pose) if state.senses else []
        parts += self.queue.hidden(state.sent, self.dtype)
        return torch.cat([*parts, self.mission.hidden(pose, state.mission)]).t()

    def split_noise(self, state: FlightState, index: Tensor) -> FlightState:
        """The same state with an independent noise key per index (B,); index 0 keeps its key."""
        return state._replace(noise_key=noise.split(state.noise_key, index))

    def success(self, state: FlightState) -> Tensor:
        """(B,) bool, as Mission.success."""
        return self.mission.success(state)

    def metrics(self, state: FlightState) -> dict[str, Tensor]:
        """Figures (B,) as Mission.metrics."""
        return self.mission.metrics(state)

    def diverged(self, state: FlightState) -> Tensor:
        """(B,) false: the equations hold at any speed reached, and a diverging engine raises PhysicsError."""
        return torch.zeros_like(state.steps, dtype=torch.bool)

    def signals(self, state: FlightState) -> dict[str, Tensor]:
        """Signals of the mission, tilt, body rates and commands."""
        up = rotation_rows(state.body.quaternion.t())[2, 2].unsqueeze(1)
        return {
            **self.mission.signals(state),
            "tilt [deg]": torch.rad2deg(torch.acos(up.clamp(-1.0, 1.0))),
            "angular velocity [rad/s]": state.body.angular_velocity,
            **self.interface.signals(state.last_action),
        }

    def position(self, state: FlightState) -> Tensor:
        """(B, 3) position of the drone in the world [m]."""
        return state.body.position

    def render(
        self,
        state: FlightState,
        row: int = 0,
        width: int = 640,
        height: int = 480,
        trail: np.ndarray | None = None,
    ) -> np.ndarray:
        """As Simulator.render; raises MissingGraphicsError if this machine cannot draw."""
        if (width, height) not in self._scenes:
            self._scenes[width, height] = QuadrotorScene(self.parameters, width, height, self.mission.target_radius)
        body, drawing = state.body, self.mission.drawing(state, row)
        position, quaternion, rotor_speed = (
            x[row].double().cpu().numpy() for x in (body.position, body.quaternion, body.rotor_speed)
        )
        target = None if drawing.target is None else np.asarray(drawing.target, dtype=float)
        return self._scenes[width, height].draw(
            position, quaternion, rotor_speed, target, trail, drawing.shapes, drawing.camera
        )

    def close(self) -> None:
        """Stop the processes of a physics engine; nothing can be stepped afterwards."""
        if self.physics is not None:
            self.physics.close()


def _bounds(interface: Interface, dtype: torch.dtype, device: torch.device) -> tuple[Any, Any]:
    """Bounds of the action: two numbers if all entries have the same, else two tensors (A,)."""
    if len(set(interface.low)) == len(set(interface.high)) == 1:
        return interface.low[0], interface.high[0]
    low, high = (torch.tensor(x, dtype=dtype, device=device) for x in (interface.low, interface.high))
    return low, high
