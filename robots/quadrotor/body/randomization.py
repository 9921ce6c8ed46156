"""Domain randomisation: hidden parameters that are drawn in every episode.

Parameters are drawn at the start of an episode and stay constant, except for gusts. Gusts are an Ornstein-Uhlenbeck
process driven by the noise key of the row, so copies of a state have the same gusts until their keys are split.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from hgrpo_fields import Range, check
from robots import noise
from robots.kernels.launch import Kernel, Output
from robots.options import OptionError
from robots.quadrotor.body.gust_kernels import next_gusts
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.body.rotation import to_body
from robots.simulator import Channel

_ALONE = ("drag", "yaw_torque", "rotor_offset", "idle_speed")
"""Parameters that are drawn and are privileged entries only if their own range is above 0."""


SHARE = Range(least=0, below=1)
"""Half width of a factor about 1."""


@dataclass(frozen=True)
class Randomization:
    """Ranges of the hidden parameters; a factor is uniform in [1 - w, 1 + w).

    Raises:
        OptionError: A range is not allowed.
    """

    mass: Annotated[float, SHARE] = 0.0
    """Half width of the factor on the mass."""
    rotor_thrust: Annotated[float, SHARE] = 0.0
    """Half width of the factor on the thrust curve of each rotor, drawn per rotor."""
    inertia: Annotated[float, SHARE] = 0.0
    """Half width of the factor on each principal moment of inertia, drawn per axis."""
    rotor_lag: Annotated[float, SHARE] = 0.0
    """Half width of the factor on both time constants of all rotors."""
    drag: Annotated[float, SHARE] = 0.0
    """Half width of the factor on both drag coefficients."""
    yaw_torque: Annotated[float, SHARE] = 0.0
    """Half width of the factor on the ratio of yaw torque to thrust of all rotors."""
    rotor_offset: Annotated[float, SHARE] = 0.0
    """Half width of the factor on the distance of all rotors from the body's x and y axes."""
    idle_speed: Annotated[float, SHARE] = 0.0
    """Half width of the factor on the idle speed of all rotors."""
    battery_sag: Annotated[float, Range(least=0)] = 0.0
    """Largest loss of thrust, uniform from 0 [1/s]: thrust falls as exp(-loss t) with the time t of the episode."""
    wind: Annotated[float, Range(least=0)] = 0.0
    """Standard deviation per axis of a constant acceleration in the world frame [m/s^2]."""
    gust: Annotated[float, Range(least=0)] = 0.0
    """Standard deviation per axis of a fluctuating acceleration, an Ornstein-Uhlenbeck process [m/s^2]."""
    gust_time: Annotated[float, Range(above=0, unit="s", infinite=True)] = 0.3
    """Correlation time of the gusts [s]."""

    def __post_init__(self) -> None:
        check(self, OptionError)

    @property
    def ranges(self) -> dict[str, float]:
        """Half width or standard deviation of every option but gust_time."""
        return {field.name: getattr(self, field.name) for field in fields(Randomization) if field.name != "gust_time"}

    @property
    def draws_anything(self) -> bool:
        """Whether any parameter is drawn."""
        return any(width > 0.0 for width in self.ranges.values())


def require_effect(randomization: Randomization, parameters: QuadrotorParameters) -> None:
    """Raise OptionError for a range without effect, because the value is zero in the preset."""
    can_be_zero = {
        "rotor_lag": (parameters.rotor_time_up, parameters.rotor_time_down),
        "drag": parameters.drag,
        "idle_speed": (parameters.rotor_speed_min,),
    }
    for name, values in can_be_zero.items():
        if getattr(randomization, name) > 0.0 and not any(values):
            raise OptionError(
                f"{name} cannot vary: it is zero in quadrotor={parameters.name}; given {name}="
                f"{getattr(randomization, name):g}, allowed: {name}=0"
            )


class HiddenParameters(NamedTuple):
    """Hidden parameters of B rows."""

    mass: Tensor
    """(B, 1) factor."""
    rotor_thrust: Tensor
    """(B, 4) factor of each rotor."""
    inertia: Tensor
    """(B, 3) factor of each principal moment."""
    rotor_lag: Tensor
    """(B, 1) factor of the time constants."""
    wind: Tensor
    """(B, 3) constant acceleration in the world frame [m/s^2]."""
    gust: Tensor
    """(B, 3) fluctuating acceleration in the world frame during the next step [m/s^2]."""
    gust_steps: Tensor
    """(B,) int64 control steps since the start of the gusts: the counter of their noise."""
    drag: Tensor | tuple[()] = ()
    """(B, 1) factor; empty if its range is 0."""
    yaw_torque: Tensor | tuple[()] = ()
    """(B, 1) factor; empty if its range is 0."""
    rotor_offset: Tensor | tuple[()] = ()
    """(B, 1) factor; empty if its range is 0."""
    idle_speed: Tensor | tuple[()] = ()
    """(B, 1) factor; empty if its range is 0."""
    battery_sag: Tensor | tuple[()] = ()
    """(B, 1) loss of thrust [1/s]; empty if its range is 0."""
    vehicle: Tensor | tuple[()] = ()
    """(B, 15) parameters of the drawn airframe, in the order of vehicle.py; empty for a preset."""
    vehicle_shown: Tensor | tuple[()] = ()
    """(B, 11) its privileged entries; empty for a preset."""


CHANNELS = (
    Channel("mass_factor"),
    *(Channel(f"rotor_{i}_thrust_factor", "1", "motor") for i in (1, 2, 3, 4)),
    *(Channel(f"inertia_{axis}_factor", "1", "body") for axis in "xyz"),
    Channel("rotor_lag_factor"),
    *(Channel(f"wind_{axis}", "m/s^2", "body") for axis in "xyz"),
    *(Channel(f"gust_{axis}", "m/s^2", "body") for axis in "xyz"),
)
"""Privileged entries if any parameter is drawn."""

_BATTERY = (Channel("battery_sag", "1/s", "motor"), Channel("battery_loss", "1", "motor"))
"""Entries of a battery: its loss of thrust per time, and this times the time of the episode."""


def channels(randomization: Randomization) -> tuple[Channel, ...]:
    """Privileged entries of the hidden parameters; empty if no parameter is drawn."""
    if not randomization.draws_anything:
        return ()
    alone = tuple(Channel(f"{name}_factor") for name in _ALONE if getattr(randomization, name) > 0.0)
    return CHANNELS + alone + (_BATTERY if randomization.battery_sag > 0.0 else ())


def draw(
    randomization: Randomization, num: int, generator: torch.Generator, noise_key: Tensor, dtype: torch.dtype
) -> HiddenParameters:
    """Draw hidden parameters: uniform factors, normal wind, gusts from their stationary distribution.

    Args:
        randomization: The ranges.
        num: Number of rows.
        generator: Source of factors and wind.
        noise_key: (num,) keys of the rows, for the gusts.
        dtype: Type of the parameters.
    """
    device = noise_key.device

    def factor(size: int, share: float) -> Tensor:
        unit = torch.rand(num, size, generator=generator, dtype=dtype, device=device)
        return 1.0 + share * (2.0 * unit - 1.0)

    counter = torch.zeros_like(noise_key)
    return HiddenParameters(
        mass=factor(1, randomization.mass),
        rotor_thrust=factor(4, randomization.rotor_thrust),
        inertia=factor(3, randomization.inertia),
        rotor_lag=factor(1, randomization.rotor_lag),
        wind=randomization.wind * torch.randn(num, 3, generator=generator, dtype=dtype, device=device),
        gust=randomization.gust * noise.normal(noise_key, counter, 3, dtype),
        gust_steps=counter,
        **{name: factor(1, share) for name in _ALONE if (share := getattr(randomization, name)) > 0.0},
        battery_sag=0.5 * sag * factor(1, 1.0) if (sag := randomization.battery_sag) > 0.0 else (),
    )


def unchanged(like: Tensor) -> HiddenParameters:
    """Hidden parameters of the nominal airframe in still air, for as many rows as `like`."""
    one, steps = like.new_ones(len(like), 1), torch.zeros(len(like), dtype=torch.int64, device=like.device)
    still = like.new_zeros(len(like), 3)
    return HiddenParameters(one, one.repeat(1, 4), one.repeat(1, 3), one, still, still, steps)


class Gusts:
    """Gusts after one step: g' = a g + sqrt(1 - a^2) sigma xi with a = exp(-h / tau).

    This is the exact transition of the Ornstein-Uhlenbeck process. Its stationary standard deviation sigma does not
    depend on the step length.

    Args:
        randomization: The ranges.
        duration: Step length h [s].
        dtype: Type of the parameters.
    """

    def __init__(self, randomization: Randomization, duration: float, dtype: torch.dtype) -> None:
        keep = math.exp(-duration / randomization.gust_time)
        fresh = math.sqrt(1.0 - keep * keep) * randomization.gust
        self._still = randomization.gust == 0.0
        self._kernel = Kernel(next_gusts, dtype, [Output((3,)), Output((), torch.int64)], [keep, fresh])

    def __call__(self, hidden: HiddenParameters, noise_key: Tensor) -> HiddenParameters:
        """Hidden parameters after one step of rows with noise keys (B,)."""
        if self._still:
            return hidden
        gust, counter = self._kernel(hidden.gust, hidden.gust_steps, noise_key)
        return hidden._replace(gust=gust, gust_steps=counter)


def shown(hidden: HiddenParameters, rows: Tensor, time: Tensor) -> list[Tensor]:
    """Values of `channels`, component-first.

    Args:
        hidden: Hidden parameters of B rows.
        rows: (3, 3, B) rotation matrices that turn wind and gust into the body frame.
        time: (B,) time since the start of the episode [s].
    """
    factors = [x.t() for x in (hidden.mass, hidden.rotor_thrust, hidden.inertia, hidden.rotor_lag)]
    alone = (getattr(hidden, name) for name in _ALONE)
    moving = (to_body(rows, x.t()) for x in (hidden.wind, hidden.gust))
    values = [*factors, *moving, *(x.t() for x in alone if isinstance(x, Tensor))]
    if isinstance(hidden.battery_sag, Tensor):
        sag = hidden.battery_sag.t()
        values += [sag, sag * time]
    return values
