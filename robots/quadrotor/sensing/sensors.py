"""Sensors of a quadrotor's motion with noise, bias and delay.

    p^ = p + b_p + n_p,    v^ = v + b_v + n_v,    q^ = q (1, (b_q + n_q) / 2) / |.|,    omega^ = omega + b_w + n_w

Biases b are drawn once per episode. Noise n is drawn in every control step from the key of the row and the number of
the step. Measurements are part of the state, so an observation depends only on the state, and copies of a state have
the same measurements until their keys are split. With a latency of k control steps the observation uses the measurement
of k steps before, and in the first k steps of an episode the first measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from hgrpo_fields import Range, check
from robots import noise
from robots.options import OptionError
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.pose import Pose
from robots.quadrotor.body.rotation import to_body
from robots.quadrotor.draw import Draw
from robots.simulator import Channel

_STREAM = 0x53454E53  # separates the sensors' noise from gusts and from a mission's noise
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
        """Whether any measurement has noise."""
        return any(getattr(self, f"{kind}_noise") > 0.0 for kind in _KINDS)

    @property
    def biased(self) -> bool:
        """Whether any measurement has a constant error."""
        return any(getattr(self, f"{kind}_bias") > 0.0 for kind in _KINDS)


class Measurements(NamedTuple):
    """Measurements of the last steps."""

    measured: Tensor
    """(B, K + 1, 13) position, velocity, quaternion and body rates, newest first."""
    delay: Tensor
    """(B,) int64 age of the measurement in the observation [control steps]."""
    bias: Tensor | tuple[()] = ()
    """(B, 12) constant errors of position, velocity, attitude and rates; empty without bias."""


class Sensors:
    """Sensors with given errors and a delay.

    Args:
        errors: Noise and bias.
        latency: Delay in control steps.
        drawn: Whether each episode draws its delay uniformly from 0 to `latency`.
        dtype: Type of the measurements.
        device: Their device.
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
        """Whether measurements have no error and no delay, so that none are kept."""
        return not (self.errors.noisy or self.errors.biased or self.latency)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Privileged entries: errors of the observation, biases, and the delay if it is drawn."""
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
        """First measurements of an episode; () for perfect sensors.

        Args:
            body: B bodies.
            draw: Source of bias and delay.
            key: (B,) noise keys of the rows.
        """
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
        """Add measurements of one control step.

        Args:
            memory: Measurements so far.
            body: B bodies.
            key: (B,) noise keys of the rows.
            steps: (B,) control steps since the start of the episode.
        """
        if not memory:
            return ()
        new = self._measure(body, memory.bias, key, steps).unsqueeze(1)
        return memory._replace(measured=torch.cat((new, memory.measured[:, :-1]), dim=1))

    def pose(self, memory: Measurements) -> Pose:
        """The delayed pose."""
        where = memory.delay.view(-1, 1, 1).expand(-1, 1, memory.measured.shape[2])
        return Pose(memory.measured.gather(1, where).squeeze(1))

    def hidden(self, memory: Measurements, true: Pose) -> list[Tensor]:
        """Values of `channels`, component-first."""
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
        """Measurement (B, 13) with the noise of a counter (B,)."""
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
    """Unit quaternion (B, 4) q (1, half) / |.| for half a small rotation vector (B, 3) or (3,) [rad]."""
    w, x, y, z = quaternion.unbind(1)
    a, b, c = half.unbind(-1)
    product = torch.stack(
        (w - x * a - y * b - z * c, w * a + x + y * c - z * b, w * b - x * c + y + z * a, w * c + x * b - y * a + z)
    )
    w, x, y, z = product
    return (product / (w * w + x * x + y * y + z * z).sqrt()).t()
