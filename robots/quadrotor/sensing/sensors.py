"""What a quadrotor's sensors say about its motion: noise, bias and delay.

    p^ = p + b_p + n_p,    v^ = v + b_v + n_v,    q^ = q (1, (b_q + n_q) / 2) / |.|,    omega^ = omega + b_w + n_w

Biases b are drawn once per episode, noise n anew every control step from the row's key and the step's number. What was
measured stays in the state, so an observation is a function of the state alone, and copies of a state have the same
measurements until their keys are split. With a latency of k control steps the observation is made of what was measured
k steps ago, in the first k steps of an episode of the first measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from hgrpo_fields import Range, check
from robots import noise
from robots.options import OptionError
from robots.quadrotor.body.dynamics import QuadrotorState, rotation_rows, to_body
from robots.quadrotor.body.pose import Pose
from robots.quadrotor.draw import Draw
from robots.simulator import Channel

_STREAM = 0x53454E53  # keeps the sensors' noise apart from gusts and from what a mission draws
_KINDS = ("position", "velocity", "attitude", "rate")


Deviation = Annotated[float, Range(least=0)]


@dataclass(frozen=True)
class SensorErrors:
    """Standard deviations per axis; 0 is a perfect sensor. Raises OptionError for a negative one."""

    position_noise: Deviation = 0.0
    """Noise of the position in the world [m]."""
    velocity_noise: Deviation = 0.0
    """Noise of the velocity in the world [m/s]."""
    attitude_noise: Deviation = 0.0
    """Noise of the attitude, as a rotation about the body axes [rad]."""
    rate_noise: Deviation = 0.0
    """Noise of the body rates [rad/s]."""
    position_bias: Deviation = 0.0
    """Constant error of the position during an episode [m]."""
    velocity_bias: Deviation = 0.0
    """Constant error of the velocity during an episode [m/s]."""
    attitude_bias: Deviation = 0.0
    """Constant error of the attitude during an episode [rad]."""
    rate_bias: Deviation = 0.0
    """Constant error of the body rates during an episode [rad/s]."""

    def __post_init__(self) -> None:
        check(self, OptionError)

    @property
    def noisy(self) -> bool:
        """Whether any measurement is disturbed anew each step."""
        return any(getattr(self, f"{kind}_noise") > 0.0 for kind in _KINDS)

    @property
    def biased(self) -> bool:
        """Whether any measurement has a constant error."""
        return any(getattr(self, f"{kind}_bias") > 0.0 for kind in _KINDS)


class Measurements(NamedTuple):
    """What the sensors said."""

    measured: Tensor
    """(B, K + 1, 13) position, velocity, quaternion and body rates, newest first."""
    delay: Tensor
    """(B,) int64, which of them the observation is made of."""
    bias: Tensor | tuple[()] = ()
    """(B, 12) constant errors of position, velocity, attitude and rates; empty where there are none."""


class Sensors:
    """Sensors with given errors, whose measurements arrive up to `latency` control steps late.

    With `drawn` each episode has a latency of its own, uniform in 0 ... latency.
    """

    def __init__(
        self, errors: SensorErrors, latency: int, drawn: bool, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.errors, self.latency, self.drawn = errors, latency, drawn and latency > 0

        def scale(suffix: str) -> Tensor:
            each = [getattr(errors, f"{kind}_{suffix}") for kind in _KINDS]
            return torch.tensor(each, dtype=dtype, device=device).repeat_interleave(3)

        self.noise, self.bias = scale("noise"), scale("bias")

    @property
    def perfect(self) -> bool:
        """Whether they tell the true and present motion, so that nothing needs to be remembered."""
        return not (self.errors.noisy or self.errors.biased or self.latency)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What a privileged critic is told: present errors of the observation, biases, and a latency that is drawn."""
        if self.perfect:
            return ()
        names = (("position", "m"), ("velocity", "m/s"), ("up", "1"), ("angular_velocity", "rad/s"))
        shown = [Channel(f"{name}_error_sensed_{a}", unit, "body") for name, unit in names for a in "xyz"]
        if self.errors.biased:
            units = ("m", "m/s", "rad", "rad/s")
            pairs = zip(_KINDS, units, strict=True)
            shown += [Channel(f"{kind}_bias_{a}", unit, "body") for kind, unit in pairs for a in "xyz"]
        if self.drawn:
            shown.append(Channel("observation_delay", "steps"))
        return tuple(shown)

    def begin(self, body: QuadrotorState, draw: Draw, key: Tensor) -> Measurements | tuple[()]:
        """First measurements of an episode; () of perfect sensors, for which nothing is drawn."""
        if self.perfect:
            return ()
        bias: Tensor | tuple[()] = self.bias * draw.normal(12) if self.errors.biased else ()
        delay = torch.full_like(key, self.latency)
        if self.drawn:
            delay = draw.integers(1, 0, self.latency).squeeze(1)
        first = self._measure(body, bias, key, torch.zeros_like(key))
        return Measurements(first.unsqueeze(1).repeat(1, self.latency + 1, 1), delay, bias)

    def advance(
        self, memory: Measurements | tuple[()], body: QuadrotorState, key: Tensor, steps: Tensor
    ) -> Measurements | tuple[()]:
        """Measure a body after `steps` (B,) control steps."""
        if not memory:
            return ()
        new = self._measure(body, memory.bias, key, steps).unsqueeze(1)
        return memory._replace(measured=torch.cat((new, memory.measured[:, :-1]), dim=1))

    def pose(self, memory: Measurements) -> Pose:
        """The pose that has arrived."""
        where = memory.delay.view(-1, 1, 1).expand(-1, 1, memory.measured.shape[2])
        arrived = memory.measured.gather(1, where).squeeze(1).t()
        position, velocity, quaternion, rate = arrived.split((3, 3, 4, 3))
        return Pose(position, velocity, rotation_rows(quaternion), rate)

    def hidden(self, memory: Measurements, true: Pose) -> list[Tensor]:
        """The entries of `channels`, component-first."""
        sensed = self.pose(memory)
        parts = [
            true.in_body(sensed.position - true.position),
            true.in_body(sensed.velocity - true.velocity),
            sensed.rows[2] - true.rows[2],
            sensed.angular_velocity - true.angular_velocity,
        ]
        if isinstance(memory.bias, Tensor):
            position, velocity, rest = memory.bias.t().split((3, 3, 6))
            parts += [to_body(true.rows, position), to_body(true.rows, velocity), rest]
        if self.drawn:
            parts.append(memory.delay.to(sensed.position.dtype).unsqueeze(0))
        return parts

    def _measure(self, body: QuadrotorState, bias: Tensor | tuple[()], key: Tensor, counter: Tensor) -> Tensor:
        """(B, 13) measurement at a counter (B,)."""
        error = bias if isinstance(bias, Tensor) else torch.zeros_like(self.noise)
        if self.errors.noisy:
            error = error + self.noise * noise.normal(noise.split(key, _STREAM), counter, 12, self.noise.dtype)
        position, velocity, attitude, rate = error.split(3, dim=-1)
        return torch.cat(
            (
                body.position + position,
                body.velocity + velocity,
                _turned(body.quaternion, 0.5 * attitude),
                body.angular_velocity + rate,
            ),
            dim=1,
        )


def _turned(quaternion: Tensor, half: Tensor) -> Tensor:
    """(B, 4) unit quaternion q (1, half) / |.|, for half a small rotation vector (B, 3) or (3,) [rad]."""
    w, x, y, z = quaternion.unbind(1)
    a, b, c = half.unbind(-1)
    product = torch.stack(
        (w - x * a - y * b - z * c, w * a + x + y * c - z * b, w * b - x * c + y + z * a, w * c + x * b - y * a + z)
    )
    w, x, y, z = product
    return (product / (w * w + x * x + y * y + z * z).sqrt()).t()
