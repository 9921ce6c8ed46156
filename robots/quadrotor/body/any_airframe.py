"""quadrotor=any: an airframe drawn for every episode from the range that people fly.

The sampler follows that of RAPTOR (Eschmann, Albani and Loianno, 2025; rl_tools, l2f): thrust to weight and mass are
drawn, the size of the frame follows the cube root of the mass, and the ratio of torque to inertia is bounded. The
widths cover mass, thrust, arm, inertia and lag of the presets, but for flightmare's thrust and cf2x's lag. With U a
uniform and L a log-uniform number:

    m = L(0.02, 3.5) kg        full thrust F = U(1.3, 5) m g        arm l = 0.16 m (m / kg)^(1/3) e^U(-0.3, 0.3)
    offsets l (cos a, sin a), a = 45 deg + U(-8, 8) deg             thrust f(u) = F/4 (c0 + c1 u + (1 - c0 - c1) u^2)
    Jxx = L(0.065, 0.4) m l^2, bounded so that l F/4 / Jxx lies in [40, 1600] rad/s^2
    Jyy = U(0.8, 1.2) Jxx      Jzz = U(1.5, 1.9) (Jxx + Jyy) / 2    kappa = L(0.045, 0.6) l
    tau_up = L(5, 250) ms      tau_down = tau_up in one half of the airframes, L(tau_up, 300 ms) in the other
    c0 = U(-0.1, 0.03)         c1 = U(0, 1.1)       d_xy = U(0, 0.6) m / s       d_z = U(0.7, 1.3) d_xy
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from robots.quadrotor.body.gains import tuned
from robots.quadrotor.body.parameters import GRAVITY, QuadrotorParameters, preset
from robots.quadrotor.body.vehicle import CURVE, DRAG, INERTIA, LAG, MASS, OFFSET, TORQUE, VEHICLE
from robots.quadrotor.body.vehicle_file.read import is_vehicle_text, vehicle_from_text
from robots.simulator import Channel

ANY = "any"
"""Name of the airframe that is drawn in every episode."""

_LIGHTEST, _HEAVIEST = 0.02, 3.5  # kg
_ARM = 0.16  # m, of 1 kg
_TURN = (40.0, 1600.0)  # rad/s^2
_SLOWEST = 0.3  # s


def _typical() -> QuadrotorParameters:
    """An airframe in the middle of the ranges; it hovers at command 0."""
    mass = math.sqrt(_LIGHTEST * _HEAVIEST)
    arm, curve = _ARM * mass ** (1.0 / 3.0), (-0.035, 0.55, 0.485)
    full = mass * GRAVITY / 4.0 / (curve[0] + 0.5 * curve[1] + 0.25 * curve[2])
    moment = 0.16 * mass * arm * arm
    return QuadrotorParameters(
        name=ANY,
        source="the middle of the ranges from which episodes draw their airframes",
        mass=mass,
        inertia=(moment, moment, 1.7 * moment),
        rotor_offset=(arm / math.sqrt(2.0), arm / math.sqrt(2.0)),
        thrust_curve=(curve[0] * full, curve[1] * full, curve[2] * full),
        torque_per_thrust=0.16 * arm,
        rotor_speed_min=0.0,
        rotor_time_up=0.04,
        rotor_time_down=0.04,
        drag=(0.3 * mass, 0.3 * mass),
        gains=tuned(0.04, bandwidth=25.0, yaw_bandwidth=10.0, attitude=5.0, velocity=2.0),
    )


TYPICAL = _typical()
"""Airframe of pictures, and of the command before the first step."""

SHOWN = (
    Channel("log_mass", "log kg"),
    Channel("log_thrust_to_weight"),
    Channel("hover_command", "1", "motor"),
    *(Channel(f"log_{axis}_authority", "log rad/s^2", "body") for axis in ("roll", "pitch", "yaw")),
    *(Channel(f"log_rotor_time_{way}", "log s") for way in ("up", "down")),
    *(Channel(f"drag_{axis}", "1/s", "body") for axis in ("across", "along")),
    Channel("thrust_curve_linear_share"),
)
"""Privileged entries of a drawn airframe. Authority: angular acceleration of one rotor's full thrust."""


def parameters_of(quadrotor: str) -> QuadrotorParameters:
    """Preset of a name, TYPICAL for `any`, or the drone of a vehicle's text; raises HgrpoError for another word."""
    if is_vehicle_text(quadrotor):
        return vehicle_from_text(quadrotor)
    return TYPICAL if quadrotor == ANY else preset(quadrotor)


def draw_vehicles(num: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Parameters (num, 15) of airframes in the order of vehicle.py.

    Args:
        num: Number of airframes.
        generator: Source of random numbers.
        dtype: Type of the parameters.
    """
    unit = torch.rand(num, 16, generator=generator, dtype=dtype, device=generator.device).unbind(1)

    def uniform(index: int, low: float, high: float) -> Tensor:
        return low + (high - low) * unit[index]

    def log_uniform(index: int, low: float, high: float) -> Tensor:
        return torch.exp(uniform(index, math.log(low), math.log(high)))

    mass = log_uniform(0, _LIGHTEST, _HEAVIEST)
    full = uniform(1, 1.3, 5.0) * mass * (GRAVITY / 4.0)  # of one rotor
    arm = _ARM * mass ** (1.0 / 3.0) * torch.exp(uniform(2, -0.3, 0.3))
    angle = math.radians(45.0) + uniform(3, -math.radians(8.0), math.radians(8.0))
    c0, c1 = uniform(4, -0.1, 0.03), uniform(5, 0.0, 1.1)
    lever = arm * full
    jx = torch.clamp(log_uniform(6, 0.065, 0.4) * mass * arm * arm, lever / _TURN[1], lever / _TURN[0])
    jy = uniform(7, 0.8, 1.2) * jx
    jz = uniform(8, 1.5, 1.9) * 0.5 * (jx + jy)
    up = log_uniform(9, 0.005, 0.25)
    slower = up * (_SLOWEST / up) ** unit[10]
    down = torch.where(unit[11] < 0.5, up, slower)
    across = uniform(12, 0.0, 0.6) * mass
    columns = (
        *(mass, jx, jy, jz, arm * torch.cos(angle), arm * torch.sin(angle)),
        *(c0 * full, c1 * full, (1.0 - c0 - c1) * full),
        *(log_uniform(13, 0.045, 0.6) * arm, torch.zeros_like(mass), up, down),
        *(across, uniform(14, 0.7, 1.3) * across),
    )
    return torch.stack(columns, dim=1)


def hover_speed(vehicle: Tensor) -> Tensor:
    """Rotor speed (B, 1) at which four rotors carry the weight; it is between idle and full speed.

    The root of c0 + c1 u + c2 u^2 = m g / 4 in the form that holds for c2 = 0.
    """
    c0, c1, c2 = vehicle[:, CURVE : CURVE + 3].split(1, dim=1)
    missing = vehicle[:, MASS : MASS + 1] * (GRAVITY / 4.0) - c0
    return 2.0 * missing / (c1 + torch.sqrt(c1 * c1 + 4.0 * c2 * missing))


def shown_entries(vehicle: Tensor) -> Tensor:
    """Entries (B, 11) of SHOWN for drawn airframes (B, 15)."""
    mass, full = vehicle[:, MASS : MASS + 1], vehicle[:, CURVE : CURVE + 3].sum(dim=1, keepdim=True)
    x, y = vehicle[:, OFFSET : OFFSET + 2].split(1, dim=1)
    levers = torch.cat((y, x, vehicle[:, TORQUE : TORQUE + 1]), dim=1)
    parts = (
        *(torch.log(mass), torch.log(4.0 * full / (mass * GRAVITY)), 2.0 * hover_speed(vehicle) - 1.0),
        torch.log(full * levers / vehicle[:, INERTIA : INERTIA + 3]),
        *(torch.log(vehicle[:, LAG : LAG + 2]), vehicle[:, DRAG:VEHICLE] / mass),
        vehicle[:, CURVE + 1 : CURVE + 2] / full,
    )
    return torch.cat(parts, dim=1)
