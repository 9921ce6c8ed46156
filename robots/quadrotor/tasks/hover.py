"""quadrotor-hover: go to a point from a random pose and hold it.

Observation, 16 entries, all in the body frame, so that nothing depends on the heading, which the task leaves free:

| entries | quantity | unit |
|---|---|---|
| 0-2 | target minus position | m |
| 3-5 | velocity | m/s |
| 6-8 | direction of world z (up) | 1 |
| 9-11 | angular velocity | rad/s |
| 12-15 | motor commands of the previous step | 1 |

Reward per step, d = distance to the target [m]:

    1 / (1 + (d / 0.05)^2) / (1 + |omega|^2 / 4) + 0.5 / (1 + d^2) - 0.1 |a - a_previous|^2 / 4

The first term is sharp near the target and is paid in full to a drone that does not turn, the second shows the way from
afar; both stay positive, so that ending the episode early never pays a drone that does not thrash its motors.

With `randomization` every episode draws an airframe and a wind of its own (randomization.py). The observation does not
show them; `privileged` does, to a critic that is thrown away after training.

An episode ends for good on touching the ground or more than 3 m away from the target. Success: within 0.10 m during the
whole last second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from robots import noise
from robots.options import read_options
from robots.quadrotor import dynamics
from robots.quadrotor import randomization as randomize
from robots.quadrotor.dynamics import Airframe, QuadrotorState
from robots.quadrotor.parameters import preset
from robots.quadrotor.randomization import QUANTITIES, HiddenParameters, Randomization
from robots.quadrotor.scene import QuadrotorScene
from robots.simulator import Quantity, SimulatorSpec, Step

TARGET = (0.0, 0.0, 2.0)  # m, world; high enough to right a drone that starts on its side 1 m below
START_RADIUS = 1.0  # m
START_TILT = 0.5 * torch.pi  # rad
START_SPEED = 1.0  # m/s, per axis
START_RATE = 1.0  # rad/s, per axis
FLY_AWAY = 3.0  # m
SUCCESS_RADIUS = 0.10  # m
SUCCESS_SECONDS = 1.0
CONTROL_HZ = 100.0
EPISODE_SECONDS = 5.0

_OBSERVATION = tuple(
    Quantity(f"{name}_{axis}", unit, "body")
    for name, unit in (("position_error", "m"), ("velocity", "m/s"), ("up", "1"), ("angular_velocity", "rad/s"))
    for axis in "xyz"
) + tuple(Quantity(f"previous_motor_{i}", "1", "motor") for i in (1, 2, 3, 4))
_ACTION = tuple(Quantity(f"motor_{i}", "1", "motor") for i in (1, 2, 3, 4))


class HoverState(NamedTuple):
    """Quadrotor plus what the task itself remembers."""

    body: QuadrotorState
    last_action: Tensor
    """(B, 4) motor commands of the previous step, clipped."""
    steps_inside: Tensor
    """(B,) int64, consecutive control steps within the success radius."""
    noise_key: Tensor
    """(B,) int64 key of this row's randomness."""
    hidden: HiddenParameters | tuple[()] = ()
    """What was drawn for this episode; empty where nothing is randomised."""


@dataclass(frozen=True)
class HoverOptions(Randomization):
    """Options of the task: the quadrotor and what varies around it."""

    quadrotor: str = "cf21B_500"
    """Name of a parameter preset."""


def make_hover(
    name: str,
    defaults: HoverOptions,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    **given: Any,
) -> QuadrotorHover:
    """The task under a name, with some of its default options replaced; raises OptionError for one it does not have."""
    options = read_options(defaults, given)
    return QuadrotorHover(options.quadrotor, options, name, dtype, device)


class QuadrotorHover:
    """Hold a point: a Simulator over the built-in quadrotor.

    `quadrotor` names a parameter preset (ValueError if unknown), `randomization` says what varies around it, `name` is
    what the task goes by, `dtype` and `device` say where and how precisely it runs.
    """

    def __init__(
        self,
        quadrotor: str = "cf21B_500",
        randomization: Randomization = Randomization(),  # noqa: B008  (frozen)
        name: str = "quadrotor-hover",
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> None:
        self.parameters, self.randomization = preset(quadrotor), randomization
        self.dtype, self.device = dtype, torch.device(device)
        self.airframe = dynamics.airframe(self.parameters, 1.0 / CONTROL_HZ, dtype, self.device)
        self._scenes: dict[tuple[int, int], QuadrotorScene] = {}
        self.target = torch.tensor(TARGET, dtype=dtype, device=self.device).unsqueeze(1)
        self.spec = SimulatorSpec(
            name=name,
            observation=_OBSERVATION,
            action=_ACTION,
            action_low=(-1.0,) * 4,
            action_high=(1.0,) * 4,
            control_hz=CONTROL_HZ,
            max_episode_steps=round(EPISODE_SECONDS * CONTROL_HZ),
            neutral_action=(dynamics.hover_action(self.parameters),) * 4,
            robot=quadrotor,
            privileged=QUANTITIES if randomization.draws_anything else (),
            goal=f"the last {SUCCESS_SECONDS:g} s are spent within {SUCCESS_RADIUS:g} m of the target",
        )

    def reset(self, num: int, seed: int | torch.Generator) -> HoverState:
        """Random poses: uniform in a ball of 1 m, tilt uniform up to 90 degrees about a random axis, any heading,
        rotors at hover speed."""
        generator = seed if isinstance(seed, torch.Generator) else torch.Generator(self.device).manual_seed(seed)

        def draw(size: int, low: float, high: float) -> Tensor:
            unit = torch.rand(num, size, generator=generator, dtype=self.dtype, device=self.device)
            return low + (high - low) * unit

        direction = torch.randn(num, 3, generator=generator, dtype=self.dtype, device=self.device)
        direction = direction / direction.norm(dim=1, keepdim=True).clamp_min(1e-6)
        radius = START_RADIUS * draw(1, 0.0, 1.0) ** (1.0 / 3.0)
        tilt, axis, heading = draw(1, 0.0, START_TILT), draw(1, 0.0, 2.0 * torch.pi), draw(1, 0.0, 2.0 * torch.pi)
        body = QuadrotorState(
            position=self.target.t() + radius * direction,
            velocity=draw(3, -START_SPEED, START_SPEED),
            quaternion=_tilt_and_heading(tilt, axis, heading),
            angular_velocity=draw(3, -START_RATE, START_RATE),
            rotor_speed=torch.full((num, 4), self.parameters.hover_rotor_speed, dtype=self.dtype, device=self.device),
        )
        neutral = torch.tensor(self.spec.neutral_action, dtype=self.dtype, device=self.device)
        steps_inside = torch.zeros(num, dtype=torch.int64, device=self.device)
        key = noise.new_keys(num, generator)
        varies = self.randomization.draws_anything
        hidden = randomize.draw(self.randomization, num, generator, key, self.dtype) if varies else ()
        return HoverState(body, neutral.repeat(num, 1), steps_inside, key, hidden)

    def observe(self, state: HoverState) -> Tensor:
        """(B, 16) observation; the table above names its entries."""
        body = state.body
        rows = dynamics.rotation_rows(body.quaternion.t())
        parts = (
            dynamics.to_body(rows, self.target - body.position.t()),
            dynamics.to_body(rows, body.velocity.t()),
            rows[2],
            body.angular_velocity.t(),
            state.last_action.t(),
        )
        return torch.cat(parts).t()

    def step(self, state: HoverState, action: Tensor) -> Step:
        """Hold motor commands (B, 4) for 10 ms; commands beyond [-1, 1] are clipped."""
        command = action.t().to(self.dtype).clamp(-1.0, 1.0)
        frame, wind, hidden = self._circumstances(state)
        body = dynamics.step(state.body, command.t(), frame, 1.0 / CONTROL_HZ, wind)
        distance_squared = dynamics.squared_norm(self.target - body.position.t())
        inside = distance_squared <= SUCCESS_RADIUS**2
        steps_inside = (state.steps_inside + 1).mul_(inside)
        new = HoverState(body, command.t(), steps_inside, state.noise_key, hidden)
        crashed = body.position[:, 2] <= 0.0
        flown_away = distance_squared > FLY_AWAY**2
        reward = _reward(distance_squared, body, command - state.last_action.t())
        return Step(new, self.observe(new), reward, crashed | flown_away)

    def _circumstances(self, state: HoverState) -> tuple[Airframe, Tensor | None, HiddenParameters | tuple[()]]:
        """Airframe and wind (B, 3) of the step that begins in a state, and what is hidden after it."""
        if not state.hidden:
            return self.airframe, None, ()
        hidden = state.hidden
        frame = randomize.drawn_airframe(self.airframe, self.parameters, hidden)
        later = randomize.next_gust(hidden, state.noise_key, self.randomization, 1.0 / CONTROL_HZ)
        return frame, hidden.wind + hidden.gust, later

    def privileged(self, state: HoverState) -> Tensor:
        """(B, 15) factors, and wind and gust in the body frame; (B, 0) where nothing is randomised."""
        if not state.hidden:
            return state.last_action[:, :0]
        hidden = state.hidden
        rows = dynamics.rotation_rows(state.body.quaternion.t())
        parts = [x.t() for x in (hidden.mass, hidden.rotor_thrust, hidden.inertia, hidden.rotor_lag)]
        return torch.cat([*parts, *(dynamics.to_body(rows, x.t()) for x in (hidden.wind, hidden.gust))]).t()

    def split_noise(self, state: HoverState, index: Tensor) -> HoverState:
        """The same state with gusts to come of its own per index (B,); index 0 keeps its key."""
        return state._replace(noise_key=noise.split(state.noise_key, index))

    def success(self, state: HoverState) -> Tensor:
        """(B,) bool: the last second was spent within 0.10 m of the target."""
        return state.steps_inside >= round(SUCCESS_SECONDS * CONTROL_HZ)

    def diverged(self, state: HoverState) -> Tensor:
        """(B,) false: the equations hold at any speed that a quadrotor reaches before it has flown away."""
        return torch.zeros_like(state.steps_inside, dtype=torch.bool)

    def signals(self, state: HoverState) -> dict[str, Tensor]:
        """Position error in the world frame, tilt, body rates and motor commands."""
        up = dynamics.rotation_rows(state.body.quaternion.t())[2, 2].unsqueeze(1)
        return {
            "position error [m]": state.body.position - self.target.t(),
            "tilt [deg]": torch.rad2deg(torch.acos(up.clamp(-1.0, 1.0))),
            "angular velocity [rad/s]": state.body.angular_velocity,
            "motor command [1]": state.last_action,
        }

    def position(self, state: HoverState) -> Tensor:
        """(B, 3) position of the drone in the world [m]."""
        return state.body.position

    def render(
        self,
        state: HoverState,
        row: int = 0,
        width: int = 640,
        height: int = 480,
        trail: np.ndarray | None = None,
    ) -> np.ndarray:
        """Picture (height, width, 3) uint8 of one row with its target and, if given, the path `trail` (k, 3) [m].

        Raises robots.render.MissingGraphicsError where no picture can be drawn.
        """
        if (width, height) not in self._scenes:
            self._scenes[width, height] = QuadrotorScene(self.parameters, width, height, SUCCESS_RADIUS)
        body = state.body
        position, quaternion, rotor_speed = (
            x[row].double().cpu().numpy() for x in (body.position, body.quaternion, body.rotor_speed)
        )
        return self._scenes[width, height].draw(position, quaternion, rotor_speed, np.array(TARGET), trail)


def _reward(distance_squared: Tensor, body: QuadrotorState, action_change: Tensor) -> Tensor:
    """(B,) the module's formula; `action_change` is (4, B)."""
    rate_squared = dynamics.squared_norm(body.angular_velocity.t())
    return (
        1.0 / ((1.0 + distance_squared / 0.05**2) * (1.0 + 0.25 * rate_squared))
        + 0.5 / (1.0 + distance_squared)
        - 0.025 * dynamics.squared_norm(action_change)
    )


def _tilt_and_heading(tilt: Tensor, axis: Tensor, heading: Tensor) -> Tensor:
    """(B, 4) quaternion: heading about world z, then tilt about a horizontal axis at angle `axis`; all (B, 1) [rad]."""
    zero = torch.zeros_like(tilt)
    sine = torch.sin(0.5 * tilt)
    lean = torch.cat((torch.cos(0.5 * tilt), sine * torch.cos(axis), sine * torch.sin(axis), zero), dim=1)
    w, x, y, z = lean.split(1, dim=1)
    c, s = torch.cos(0.5 * heading), torch.sin(0.5 * heading)
    return torch.cat((w * c - z * s, x * c + y * s, y * c - x * s, z * c + w * s), dim=1)
