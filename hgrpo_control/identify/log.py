"""A flight's log as uniform samples, whatever its source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hgrpo_errors import HgrpoError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


class LogError(HgrpoError):
    """Raised for a log that cannot be used; the line has the file and the reason."""


@dataclass(frozen=True)
class Segment:
    """K uniform samples without a gap. World frame: z up; body frame: x forward, y left, z up."""

    rate: Array
    """(K, 3) body rates [rad/s]."""
    command: Array
    """(K, 4) commands u from 0 to 1 of the rotors front right, back right, back left, front left. Each holds until the
    next sample.
    """
    velocity: Array | None = None
    """(K, 3) in the world [m/s]; None if it was not measured."""
    quaternion: Array | None = None
    """(K, 4) w, x, y, z, body to world; None if it was not measured."""
    force: Array | None = None
    """(K, 3) specific force in the body frame, as an accelerometer measures it [m/s^2]; None if it was not measured."""

    @property
    def channels(self) -> dict[str, Array]:
        """What was measured, by name."""
        named = {"velocity": self.velocity, "attitude": self.quaternion, "rate": self.rate, "force": self.force}
        return {name: values for name, values in named.items() if values is not None}

    def __len__(self) -> int:
        return len(self.rate)

    def cut(self, first: int, last: int) -> Segment:
        """The samples from `first` to before `last`."""
        velocity, quaternion, force = (
            None if part is None else part[first:last] for part in (self.velocity, self.quaternion, self.force)
        )
        return Segment(self.rate[first:last], self.command[first:last], velocity, quaternion, force)


@dataclass(frozen=True)
class Log:
    """The segments of a log."""

    path: str
    step: float
    """Time between two samples [s]."""
    segments: tuple[Segment, ...]

    @property
    def seconds(self) -> float:
        """Duration of all segments [s]."""
        return self.step * sum(map(len, self.segments))

    def flown(self, least: float, shortest: float) -> Log:
        """The parts of the log in which the drone flies.

        Args:
            least: Mean command above which it flies.
            shortest: Duration of the shortest part that is kept [s].

        Raises LogError if nothing is left.
        """
        parts = [part for segment in self.segments for part in _flown(segment, least, round(shortest / self.step))]
        if not parts:
            raise LogError(
                f"{self.path}: no {shortest:g} s of flight in it, with a mean motor command above {least:.2f}; "
                f"{self.seconds:.1f} s were read"
            )
        return replace(self, segments=tuple(parts))


def _flown(segment: Segment, least: float, shortest: int) -> Iterator[Segment]:
    flies = np.concatenate(([False], segment.command.mean(axis=1) > least, [False]))
    for first, last in np.flatnonzero(flies[1:] != flies[:-1]).reshape(-1, 2):
        if last - first >= shortest:
            yield segment.cut(int(first), int(last))


def resampled(times: Array, values: Array, grid: Array, hold: bool = False) -> Array:
    """Values (G, N) at the times of a grid (G,), from values (K, N) at `times` (K,).

    Args:
        times: Increasing times [s].
        values: The values.
        grid: Times of the result [s].
        hold: Whether a value holds until the next one; else it is interpolated.
    """
    if hold:
        return values[np.clip(np.searchsorted(times, grid, side="right") - 1, 0, len(times) - 1)]
    return np.stack([np.interp(grid, times, column) for column in values.T], axis=1)


def continuous(quaternion: Array) -> Array:
    """Unit quaternions (K, 4) whose sign does not jump."""
    unit = quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)
    flips = np.cumprod(np.concatenate(([1.0], np.where((unit[1:] * unit[:-1]).sum(axis=1) < 0.0, -1.0, 1.0))))
    return unit * flips[:, None]


def quaternion_of(up: Array, rate: Array, step: float) -> Array:
    """Attitude (K, 4) from the direction of world z in the body frame and the body rates; the first heading is 0.

    Heading: psi' = (rate_y up_y + rate_z up_z) / (up_y^2 + up_z^2).

    Args:
        up: (K, 3) direction of world z in the body frame.
        rate: (K, 3) body rates [rad/s].
        step: Time between two samples [s].
    """
    up = up / np.linalg.norm(up, axis=1, keepdims=True)
    turn = (rate[:, 1] * up[:, 1] + rate[:, 2] * up[:, 2]) / np.maximum(up[:, 1] ** 2 + up[:, 2] ** 2, 1e-3)
    heading = np.concatenate(([0.0], np.cumsum(0.5 * step * (turn[1:] + turn[:-1]))))
    pitch, roll = np.arcsin(np.clip(-up[:, 0], -1.0, 1.0)), np.arctan2(up[:, 1], up[:, 2])
    (cy, cp, cr), (sy, sp, sr) = ([f(0.5 * angle) for angle in (heading, pitch, roll)] for f in (np.cos, np.sin))
    parts = (
        cy * cp * cr + sy * sp * sr,
        cy * cp * sr - sy * sp * cr,
        cy * sp * cr + sy * cp * sr,
        sy * cp * cr - cy * sp * sr,
    )
    return continuous(np.stack(parts, axis=1))


def into_world(quaternion: Array, vector: Array) -> Array:
    """Body vectors (K, 3) in the world frame."""
    axis = quaternion[:, 1:]
    twice = 2.0 * np.cross(axis, vector)
    return vector + quaternion[:, :1] * twice + np.cross(axis, twice)
