"""The model that is fitted: rotors with lag and latency, and a rigid body, over many windows at once.

The equations are those of robots/quadrotor/body/kernels.py, divided by the mass and the moments of inertia, because a
log shows only these ratios. A command acts after the latency d, also between two samples. Arrays have components first.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hgrpo_control.identify.log import Array
from robots.quadrotor.body.parameters import GRAVITY, QuadrotorParameters


class Parameter(NamedTuple):
    """A fitted parameter."""

    name: str
    unit: str
    logarithmic: bool
    """Whether the fit uses its logarithm, because it is positive."""
    width: float
    """Standard deviation of the prior, in the unit of the fit."""


PARAMETERS = (
    *(Parameter(f"thrust_c{k} / mass", "m/s^2", False, 30.0) for k in range(3)),
    *(Parameter(f"rotor_time_{way}", "s", True, 1.5) for way in ("up", "down")),
    *(Parameter(f"turn_gain_{axis}", "rad/m", True, 1.5) for axis in "xyz"),
    *(Parameter(f"drag_{axis} / mass", "1/s", False, 2.0) for axis in ("across", "along")),
    *(Parameter(f"wind_{axis}", "m/s^2", False, 5.0) for axis in "xyz"),
    Parameter("latency", "s", False, 0.1),
    *(Parameter(f"rotor_balance_{axis}", "1", False, 0.3) for axis in "xyz"),
)
"""Turn gain: angular acceleration about an axis per acceleration of two rotors against the other two, m l / J.
Balance: relative difference of thrust at equal commands between the rotors that turn the body about + and about -."""
CURVE, LAG, TURN, DRAG, WIND, LATENCY, BALANCE = 0, 3, 5, 8, 10, 13, 14
SIZE = len(PARAMETERS)
_PATTERNS = np.array([[-1.0, -1.0, 1.0, 1.0], [-1.0, 1.0, 1.0, -1.0], [-1.0, 1.0, -1.0, 1.0]])
"""Sign of each rotor's turn about x, y, z."""
_LOGARITHMIC = np.array([parameter.logarithmic for parameter in PARAMETERS])
_LEAST_LAG = 0.002  # s; a smaller lag cannot be told from none
_FIRST_LAG = 0.03  # s; where the fit begins if the start has no lag


def values_of(point: Array) -> Array:
    """Values of the parameters at a point of the fit, (..., 17)."""
    return np.where(_LOGARITHMIC, np.exp(np.where(_LOGARITHMIC, point, 0.0)), point)


def point_at(values: Array) -> Array:
    """The point of the fit at which the parameters have these values (17,)."""
    return np.where(_LOGARITHMIC, np.log(np.where(_LOGARITHMIC, values, 1.0)), values)


def point_of(p: QuadrotorParameters) -> Array:
    """The point of the fit (17,) of a drone without latency, wind and imbalance."""
    (jx, jy, jz), (x, y) = p.inertia, p.rotor_offset
    lags = (p.rotor_time_up, p.rotor_time_down)
    gains = (p.mass * y / jx, p.mass * x / jy, p.mass * abs(p.torque_per_thrust) / jz)
    head = [*(c / p.mass for c in p.thrust_curve), *(np.log(tau if tau > _LEAST_LAG else _FIRST_LAG) for tau in lags)]
    return np.array([*head, *np.log(gains), *(d / p.mass for d in p.drag), *(0.0,) * 7])


def vehicle_of(point: Array, start: QuadrotorParameters, name: str, source: str) -> QuadrotorParameters:
    """The drone of a point of the fit, with mass, rotor places and torque per thrust of the start.

    Args:
        point: Point of the fit (17,).
        start: Drone that the fit began with.
        name: Name of the drone.
        source: Where its numbers are from.
    """
    v, (x, y), m = values_of(point), start.rotor_offset, start.mass
    lags = [0.0 if tau < _LEAST_LAG else float(tau) for tau in v[LAG : LAG + 2]]
    jx, jy, jz = (
        m * each / gain for each, gain in zip((y, x, abs(start.torque_per_thrust)), v[TURN:DRAG], strict=True)
    )
    c0, c1, c2 = (float(m * c) for c in v[CURVE:LAG])
    across, along = (float(m * max(0.0, d)) for d in v[DRAG:WIND])
    return dataclasses.replace(
        start,
        name=name,
        source=source,
        inertia=(float(jx), float(jy), float(jz)),
        thrust_curve=(c0, c1, c2),
        rotor_time_up=lags[0],
        rotor_time_down=lags[1],
        drag=(across, along),
    )


class Rotors(NamedTuple):
    """Speeds of the rotors in W windows of T samples for P points."""

    at: Array
    """(T, 4, P, W) speed at each sample."""
    middle: Array
    """(T, 4, P, W) speed half a step later."""


def delays(points: Array, step: float) -> tuple[NDArray[np.int64], Array]:
    """Whole steps (P,) of the latency, and the rest as a share of a step (P,).

    Args:
        points: (P, 17) points of the fit.
        step: Time between two samples [s].
    """
    delay = points[:, LATENCY] / step
    whole = np.floor(delay).astype(np.int64)
    return whole, delay - whole


def rotor_speeds(points: Array, before: Array, after: Array, step: float) -> Rotors:
    """Speeds under a command that changes once in every step: u = c + (u0 - c) exp(-t / tau).

    Args:
        points: (P, 17) points of the fit.
        before: (T, 4, P, W) command that acts for the first share of each step, as a speed; the first is the first
            speed too.
        after: (T, 4, P, W) command for the rest of the step.
        step: Time between two samples [s].
    """
    values, share = values_of(points), delays(points, step)[1]
    phases = (share, 1.0 - share, np.minimum(share, 0.5), 0.5 - np.minimum(share, 0.5))
    decays = [[np.exp(-phase * step / values[:, LAG + way])[:, None] for way in (0, 1)] for phase in phases]

    def towards(speed: Array, target: Array, decay: list[Array]) -> Array:
        error = speed - target
        return target + error * decay[0] + np.maximum(error, 0.0) * (decay[1] - decay[0])

    at, middle, speed = np.empty(before.shape), np.empty(before.shape), before[0]
    for k in range(len(before)):
        at[k] = speed
        middle[k] = towards(towards(speed, before[k], decays[2]), after[k], decays[3])
        speed = towards(towards(speed, before[k], decays[0]), after[k], decays[1])
    return Rotors(at, middle)


class Coefficients(NamedTuple):
    """Coefficients of the body for P points; shapes broadcast against (P, W)."""

    push: Array
    """(3, 4, P, 1) thrust curve over mass of each rotor."""
    turn: Array
    """(3, P, 1) turn gains with sign."""
    gyroscopic: Array
    """(3, P, 1) differences of moments over moments."""
    drag: Array
    """(2, P, 1)."""
    wind: Array
    """(3, P, 1)."""


def coefficients(points: Array, start: QuadrotorParameters) -> Coefficients:
    """Coefficients of P points (P, 17)."""
    v, (x, y), m = values_of(points).T, start.rotor_offset, start.mass
    factors = 1.0 + np.einsum("ai,ap->ip", _PATTERNS, v[BALANCE : BALANCE + 3])
    jx, jy, jz = (
        m * lever / gain for lever, gain in zip((y, x, abs(start.torque_per_thrust)), v[TURN:DRAG], strict=True)
    )
    signs = np.array([[1.0], [1.0], [np.sign(start.torque_per_thrust)]])
    gyroscopic = np.stack(((jy - jz) / jx, (jz - jx) / jy, (jx - jy) / jz))
    push = v[:3, None] * factors
    parts = (push, v[TURN:DRAG] * signs, gyroscopic, v[DRAG:WIND], v[WIND:LATENCY])
    return Coefficients(*(part[..., None] for part in parts))


def accelerations(speed: Array, c: Coefficients) -> tuple[Array, Array]:
    """Thrust over mass (P, W), and angular acceleration (3, P, W) that rotors at speeds (4, P, W) give."""
    push = c.push[0] + (c.push[1] + c.push[2] * speed) * speed
    return push.sum(axis=0), np.einsum("ai,ipw->apw", _PATTERNS, push) * c.turn


def derivative(state: Array, lift: Array, turn: Array, c: Coefficients) -> Array:
    """d/dt of velocity, quaternion and body rates (10, P, W)."""
    vx, vy, vz, w, x, y, z, rx, ry, rz = state
    zx, zy, zz = 2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 2.0 * (w * w + z * z) - 1.0
    up = lift - (vx * zx + vy * zy + vz * zz) * (c.drag[1] - c.drag[0])
    out = np.empty_like(state)
    out[0] = zx * up - c.drag[0] * vx + c.wind[0]
    out[1] = zy * up - c.drag[0] * vy + c.wind[1]
    out[2] = zz * up - c.drag[0] * vz + c.wind[2] - GRAVITY
    out[3] = -0.5 * (x * rx + y * ry + z * rz)
    out[4] = 0.5 * (w * rx + y * rz - z * ry)
    out[5] = 0.5 * (w * ry + z * rx - x * rz)
    out[6] = 0.5 * (w * rz + x * ry - y * rx)
    out[7] = ry * rz * c.gyroscopic[0] + turn[0]
    out[8] = rz * rx * c.gyroscopic[1] + turn[1]
    out[9] = rx * ry * c.gyroscopic[2] + turn[2]
    return out


def rollout(
    state: Array, speeds: Rotors, c: Coefficients, step: float, count: int, with_force: bool
) -> tuple[Array, Array]:
    """States (count + 1, 10, P, W) by the classical Runge-Kutta method, and the specific forces (count + 1, 3, P, W).

    Args:
        state: (10, P, W) velocity, quaternion and body rates at the first sample.
        speeds: Rotor speeds of the windows, (count + 1, 4, P, W).
        c: Coefficients of the P points.
        step: Time between two samples [s].
        count: Number of steps.
        with_force: Whether the specific forces are needed; they are zero otherwise.
    """
    states, forces = np.empty((count + 1, *state.shape)), np.zeros((count + 1, 3, *state.shape[1:]))
    begin = accelerations(speeds.at[0], c)
    for k in range(count + 1):
        states[k] = state
        if with_force:
            forces[k] = _force(state, begin[0], c)
        if k == count:
            break
        middle, end = accelerations(speeds.middle[k], c), accelerations(speeds.at[k + 1], c)
        k1 = derivative(state, *begin, c)
        k2 = derivative(state + 0.5 * step * k1, *middle, c)
        k3 = derivative(state + 0.5 * step * k2, *middle, c)
        k4 = derivative(state + step * k3, *end, c)
        state = state + (step / 6.0) * (k1 + k4 + 2.0 * (k2 + k3))
        state[3:7] /= np.sqrt((state[3:7] ** 2).sum(axis=0))
        begin = end
    return states, forces


def _force(state: Array, lift: Array, c: Coefficients) -> Array:
    """Specific force in the body frame: thrust, drag and wind."""
    velocity, wind = (_back(state[3:7], np.broadcast_to(part, (3, *lift.shape))) for part in (state[:3], c.wind))
    drag = np.stack((c.drag[0], c.drag[0], c.drag[1])) * velocity
    force = wind - drag
    force[2] += lift
    return force


def _back(quaternion: Array, vector: Array) -> Array:
    """World vectors (3, P, W) in the body frame."""
    w, axis = quaternion[0], -quaternion[1:]
    twice = 2.0 * np.cross(axis, vector, axis=0)
    return vector + w * twice + np.cross(axis, twice, axis=0)
