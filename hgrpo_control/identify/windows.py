"""Windows of a log: what was measured in them, and what a model gives from their first states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hgrpo_control.identify.log import Array, Log
from hgrpo_control.identify.model import Rotors, coefficients, delays, rollout, rotor_speeds
from robots.quadrotor.body.parameters import QuadrotorParameters

_WARM_UP, _LEAST_WARM_UP, _MOST_WARM_UP = 15.0, 0.5, 2.0
"""Time before a window from which its rotor speeds are computed: in lags of the start, and its bounds [s]."""
STATE = 9
"""Numbers of a window's first state: velocity, small rotation, body rates."""


class Windows(NamedTuple):
    """W windows."""

    log: Log
    place: tuple[tuple[int, int], ...]
    """Segment and first sample of each window."""
    steps: int
    """Steps of a window."""
    warm_up: int
    """Samples before a window from which its rotor speeds are computed."""
    first: Array
    """(10, W) first measured velocity, quaternion and body rates; zero or upright where not measured."""
    measured: dict[str, Array]
    """(steps + 1, C, W) samples of each channel."""


def windows_of(log: Log, start: QuadrotorParameters, seconds: float, stride: float) -> Windows:
    """Windows of a log, each in one segment.

    Args:
        log: The log.
        start: Drone whose lag gives the time that the rotor speeds need to be known.
        seconds: Length of a window [s].
        stride: Time between the starts of two windows [s].
    """
    lag = _WARM_UP * max(start.rotor_time_up, start.rotor_time_down)
    warm_up = min(max(lag, _LEAST_WARM_UP), _MOST_WARM_UP)
    count, skip, every = (max(1, round(time / log.step)) for time in (seconds, warm_up, stride))
    place = tuple(
        (number, int(first))
        for number, segment in enumerate(log.segments)
        for first in range(skip, len(segment) - count, every)
    )
    names = log.segments[0].channels
    measured = {
        name: np.stack([log.segments[n].channels[name][k : k + count + 1] for n, k in place], axis=2) for name in names
    }
    upright = np.zeros((4, len(place)))
    upright[0] = 1.0
    velocity = measured["velocity"][0] if "velocity" in measured else np.zeros((3, len(place)))
    attitude = measured["attitude"][0] if "attitude" in measured else upright
    first = np.concatenate((velocity, attitude, measured["rate"][0]))
    return Windows(log, place, count, skip, first, measured)


def residuals(
    windows: Windows, points: Array, offsets: Array, start: QuadrotorParameters, shared: Sequence[int]
) -> dict[str, Array]:
    """Measured minus modelled samples (steps + 1, C, P, W) of each channel.

    Args:
        windows: The windows.
        points: (Q, 17) points of the fit.
        offsets: (9, P, W) changes of the first states.
        start: Drone with mass, rotor places, torque per thrust and idle speed.
        shared: Point of each of the P variants.
    """
    speeds = _speeds(windows, points, start.rotor_speed_min, shared)
    first = np.broadcast_to(windows.first[:, None], (10, *offsets.shape[1:])).copy()
    first[:3] += offsets[:3]
    first[3:7] = _times(first[3:7], _small(offsets[3:6]))
    first[7:] += offsets[6:]
    c = coefficients(points[list(shared)], start)
    states, forces = rollout(first, speeds, c, windows.log.step, windows.steps, "force" in windows.measured)
    found = {}
    for name, measured in windows.measured.items():
        wanted = measured[:, :, None]
        if name == "attitude":
            error = _times(states[:, 3:7].swapaxes(0, 1) * _CONJUGATE, wanted.swapaxes(0, 1))
            found[name] = (2.0 * np.sign(error[0]) * error[1:]).swapaxes(0, 1)
        else:
            modelled = {"velocity": states[:, :3], "rate": states[:, 7:], "force": forces}[name]
            found[name] = wanted - modelled
    return found


_CONJUGATE = np.array([1.0, -1.0, -1.0, -1.0])[:, None, None, None]


def _speeds(windows: Windows, points: Array, idle: float, shared: Sequence[int]) -> Rotors:
    """Rotor speeds (steps + 1, 4, P, W) of every window."""
    step, length = windows.log.step, windows.warm_up + windows.steps + 1
    whole = delays(points, step)[0]
    commands = np.empty((2, length, len(points), len(windows.place), 4))
    for w, (number, first) in enumerate(windows.place):
        command = windows.log.segments[number].command
        index = (first - windows.warm_up + np.arange(length))[:, None] - whole
        for age in (0, 1):
            commands[age, :, :, w] = command[np.clip(index - age, 0, len(command) - 1)]
    after, before = idle + (1.0 - idle) * commands.transpose(0, 1, 4, 2, 3)
    rotors = rotor_speeds(points, np.ascontiguousarray(before), np.ascontiguousarray(after), step)
    at, middle = (part[windows.warm_up :][:, :, list(shared)] for part in rotors)
    return Rotors(at, middle)


def _small(rotation: Array) -> Array:
    """Quaternions (4, ...) of small rotations (3, ...)."""
    half = 0.5 * rotation
    return np.concatenate((np.sqrt(np.maximum(0.0, 1.0 - (half**2).sum(axis=0, keepdims=True))), half))


def _times(a: Array, b: Array) -> Array:
    """Products of quaternions (4, ...)."""
    (aw, ax, ay, az), (bw, bx, by, bz) = a, b
    return np.stack(
        (
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        )
    )
