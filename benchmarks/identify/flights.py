"""Flights of drones with known numbers: excitation, noise, latency, wind and unequal rotors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch

from hgrpo_control.identify.log import Array, Log, Segment, continuous
from hgrpo_control.identify.model import LATENCY, WIND, point_of, values_of
from robots.quadrotor.body.dynamics import QuadrotorState, airframe
from robots.quadrotor.body.kernels import PUSH
from robots.quadrotor.body.kernels import WIND as WIND_OF_FRAME
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.interfaces import make_interface
from robots.quadrotor.interfaces.control_step import ControlStep, LoopStep

HZ = 100.0
NOISE = {"velocity": 0.02, "attitude": 0.01, "rate": 0.05}
"""Deviation of the measurements [m/s, rad, rad/s]."""
_PATTERNS = np.array([[-1.0, -1.0, 1.0, 1.0], [-1.0, 1.0, 1.0, -1.0], [-1.0, 1.0, -1.0, 1.0]])


def drawn_like(p: QuadrotorParameters, rng: np.random.Generator) -> QuadrotorParameters:
    """Another drone: thrust, moments, lags and drag differ from those of `p` by up to 20 or 30 %."""

    def factor(share: float) -> float:
        return 1.0 + share * float(rng.uniform(-1.0, 1.0))

    thrust, lag = factor(0.2), factor(0.3)
    jx, jy, jz = (j * factor(0.2) for j in p.inertia)
    c0, c1, c2 = (c * thrust * factor(0.05) for c in p.thrust_curve)
    up, down = p.rotor_time_up * lag, p.rotor_time_down * lag * factor(0.2)
    across, along = (d * factor(0.3) for d in p.drag)
    return dataclasses.replace(
        p,
        inertia=(jx, jy, jz),
        thrust_curve=(c0, c1, c2),
        rotor_time_up=up,
        rotor_time_down=down,
        drag=(across, along),
    )


def fly_one(
    start: QuadrotorParameters, seed: int, seconds: float = 30.0, noise: Mapping[str, float] = NOISE
) -> tuple[Log, QuadrotorParameters, Array]:
    """A flight of a drone like `start`.

    Args:
        start: Numbers that the autopilot and the fit have.
        seed: Seed of drone, wind, latency, excitation and noise.
        seconds: Duration [s].
        noise: Deviation of the measurements.

    Returns:
        The log, the start of the fit, and the true values (17,) of the parameters.
    """
    rng = np.random.default_rng(seed)
    true, latency = drawn_like(start, rng), int(rng.integers(0, 4))
    wind, balance = rng.normal(0.0, 0.7, 3), rng.uniform(-0.03, 0.03, 3)
    dtype, cpu, step = torch.float64, torch.device("cpu"), 1.0 / HZ
    frame = airframe(true, step, dtype, cpu)
    factors = torch.from_numpy(1.0 + balance @ _PATTERNS)
    for k in range(3):
        frame[:, PUSH + 4 * k : PUSH + 4 * k + 4] *= factors
    frame[:, WIND_OF_FRAME : WIND_OF_FRAME + 3] = torch.from_numpy(wind)
    loops, motors = (make_interface(name, start, HZ, dtype, cpu) for name in ("velocity", "motors"))
    pilot, fly = LoopStep(loops, step, dtype), ControlStep(motors, step, dtype)
    hover = start.hover_rotor_speed
    high_up = [0.0, 0.0, 1000.0, *(0.0,) * 3, 1.0, *(0.0,) * 6, *(hover,) * 4]
    body = QuadrotorState(torch.tensor([high_up], dtype=dtype))
    memory, sent, rows, commands = loops.begin(body), [torch.full((1, 4), 2.0 * hover - 1.0, dtype=dtype)] * 8, [], []
    aim, kick = torch.zeros(1, len(loops.low), dtype=dtype), torch.zeros(1, 4, dtype=dtype)
    low, high = (torch.tensor(bound, dtype=dtype) for bound in (loops.low, loops.high))
    for k in range(round(seconds * HZ)):
        if k % 60 == 0:
            aim = 0.6 * (low + (high - low) * torch.from_numpy(rng.uniform(0.0, 1.0, (1, len(loops.low)))))
        if k % 5 == 0:
            kick = torch.from_numpy(rng.uniform(-0.25, 0.25, (1, 4)))
        command, memory = pilot(body, memory, aim)
        command = (command + kick).clamp(-1.0, 1.0)
        rows.append(body.values[0].numpy().copy())
        commands.append(command[0].numpy().copy())
        sent = [command, *sent[:-1]]
        body = fly(body, (), sent[latency], frame).body
    states, size = np.array(rows), len(rows)
    tilt = np.concatenate((np.ones((size, 1)), 0.5 * rng.normal(0.0, noise["attitude"], (size, 3))), axis=1)
    segment = Segment(
        rate=states[:, 10:13] + rng.normal(0.0, noise["rate"], (size, 3)),
        command=0.5 * (np.array(commands) + 1.0),
        velocity=states[:, 3:6] + rng.normal(0.0, noise["velocity"], (size, 3)),
        quaternion=continuous(_times(states[:, 6:10], tilt)),
    )
    values = values_of(point_of(true))
    values[WIND:LATENCY], values[LATENCY], values[LATENCY + 1 :] = wind, latency * step, balance
    return Log(f"seed {seed}", step, (segment,)), start, values


def _times(a: Array, b: Array) -> Array:
    """Products of quaternions (K, 4)."""
    w, v, x, u = a[:, :1], a[:, 1:], b[:, :1], b[:, 1:]
    return np.concatenate((w * x - (v * u).sum(axis=1, keepdims=True), w * u + x * v + np.cross(v, u)), axis=1)
