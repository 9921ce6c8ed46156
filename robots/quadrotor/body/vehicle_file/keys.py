"""Keys of a vehicle file, with units and how to measure them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from hgrpo_fields import Range
from robots.options import OptionError

CORNERS = ("front right", "back right", "back left", "front left")
SIGNS = ((1.0, -1.0), (-1.0, -1.0), (-1.0, 1.0), (1.0, 1.0))
"""Signs of x and y of the rotors, in the order of CORNERS."""
SPINS = ("ccw", "cw", "ccw", "cw")
REVERSED = ("cw", "ccw", "cw", "ccw")
_TIME = Range(least=0, most=1, unit="s")


class VehicleError(OptionError):
    """Raised for a vehicle file that cannot be used; the line has the file and the key."""


@dataclass(frozen=True)
class VehicleKeys:
    """Numbers of a drone. The body frame is x forward, y left, z up, its origin the centre of mass."""

    name: str
    """Name of the drone: letters, digits, dots, dashes. Not the name of a preset."""
    mass: Annotated[float, Range(least=0.01, most=25, unit="kg")]
    """Mass [kg], ready to fly, with battery. Measure: a scale."""
    inertia: Annotated[tuple[float, ...], Range(least=1e-7, most=5, unit="kg m^2")]
    """Principal moments Jxx, Jyy, Jzz [kg m^2]. Measure: a bifilar pendulum per axis, J = m g d^2 T^2 / (16 pi^2 L)
    with distance d and length L of the strings and period T; or from CAD.
    """
    rotor_places: Annotated[tuple[tuple[float, float], ...], Range(least=-2, most=2, unit="m")]
    """x, y [m] of the rotors front right, back right, back left, front left. Measure: a ruler. All |x| are equal, and
    so are all |y|.
    """
    rotor_spins: tuple[str, ...]
    """Direction of each rotor seen from above: "ccw" or "cw". Neighbours turn in opposite directions."""
    thrust_curve: tuple[float, ...]
    """c0, c1, c2 [N]: thrust of one rotor c0 + c1 u + c2 u^2 over the command u from 0 to 1. Measure: a thrust stand at
    ten commands, with the battery half full, and a fit of the parabola.
    """
    torque_per_thrust: Annotated[float, Range(least=1e-4, most=0.5, unit="m")]
    """Yaw torque over thrust [m]. Measure: a thrust stand with a torque cell."""
    rotor_speed_min: Annotated[float, Range(least=0, most=0.9)]
    """Command u at idle, share of full speed. Look up: the idle speed of the motor controllers."""
    rotor_time_up: Annotated[float, _TIME]
    """Time constant of a rotor that speeds up [s]: time to 63 % of a step of the command. Measure: a step on a thrust
    stand, or the motor controllers' telemetry; `hgrpo identify` fits it.
    """
    rotor_time_down: Annotated[float, _TIME]
    """Time constant of a rotor that slows down [s]."""
    drag: Annotated[tuple[float, ...], Range(least=0, most=20, unit="N s/m")]
    """Linear drag across (body x, y) and along (body z) the rotor axis [N s/m]. Measure: the tilt a at a steady speed v
    gives m g tan(a) / v; `hgrpo identify` fits it; 0 is no drag.
    """
    source: str = ""
    """Where the numbers are from."""


@dataclass(frozen=True)
class AutopilotKeys:
    """Keys of the optional table [autopilot]; a key that is left out is designed from the lag of the rotors."""

    rate: tuple[float, ...]
    """Angular acceleration per error of the body rates about x, y, z [1/s]."""
    rate_integral: tuple[float, ...]
    """Angular acceleration per integrated error of the body rates [1/s^2]."""
    rate_derivative: tuple[float, ...]
    """Reduction of angular acceleration per measured angular acceleration [1]."""
    attitude: float
    """Body rate per error of the thrust direction [1/s]."""
    velocity: float
    """Acceleration per error of velocity [1/s]."""
    max_tilt: Annotated[float, Range(above=0, most=1.5, unit="rad")]
    """Limit of the tilt [rad]."""
    max_rate: tuple[float, ...]
    """Limits of a rate command about x, y, z [rad/s]."""
    max_speed: tuple[float, ...]
    """Limits of a velocity command forwards, sideways, upwards [m/s]."""
