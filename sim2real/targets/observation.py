"""Observations of the quadrotor tasks, from the measured motion of a vehicle."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.spec import Channel, PolicySpec, past_action
from sim2real.flight.target import TargetError
from sim2real.targets.goals import Goals
from sim2real.targets.ned import rotation

SENSED = {
    "position_error": "m",
    "this_point": "m",
    "next_point": "m",
    "velocity": "m/s",
    "up": "1",
    "angular_velocity": "rad/s",
}
"""Vectors that can be built, with their units; all are in the body frame."""


class Motion(NamedTuple):
    """Motion of a vehicle. World: z up. Body: x forward, y left, z up."""

    position: NDArray[np.float64]
    """Position (3,) in the world [m]."""
    velocity: NDArray[np.float64]
    """Velocity (3,) in the world [m/s]."""
    quaternion: NDArray[np.float64]
    """Attitude (4,) w, x, y, z, body to world."""
    angular_velocity: NDArray[np.float64]
    """Angular velocity (3,) in the body [rad/s]."""


class QuadrotorObservation:
    """Observation (O,) of a spec, from motion, goals and the actions that were applied.

    `position_error` and `this_point` are the current goal minus the position; `next_point` is the goal after it minus
    the position. Past actions before the first are the safe action, as at the start of an episode. Raises TargetError
    for an entry that cannot be built.
    """

    def __init__(self, spec: PolicySpec, goals: Goals) -> None:
        self.goals = goals
        count = spec.action_history
        self._past = [np.array(spec.safe_action, np.float64) for _ in range(count)]
        names = [f"{name}_{axis}" for name in SENSED for axis in "xyz"]
        names += [f"{past_action(age)}_{entry.name}" for age in range(1, count + 1) for entry in spec.action]
        past = {f"{past_action(age)}_{entry.name}": entry.unit for age in range(1, count + 1) for entry in spec.action}
        for entry in spec.observation:
            _require_known(entry, past)
        self._order = np.array([names.index(entry.name) for entry in spec.observation])

    def build(self, motion: Motion) -> NDArray[np.float32]:
        """Observation (O,) of a motion; advances the goals."""
        self.goals.update(motion.position)
        to_body = rotation(motion.quaternion).T
        error = self.goals.current - motion.position
        vectors = (
            to_body @ error,
            to_body @ error,
            to_body @ (self.goals.next - motion.position),
            to_body @ motion.velocity,
            to_body[:, 2],
            motion.angular_velocity,
        )
        return np.concatenate([*vectors, *self._past])[self._order].astype(np.float32)

    def applied(self, action: NDArray[np.float64]) -> None:
        """Store an action (A,) that was sent."""
        if self._past:
            self._past = [action.copy(), *self._past[:-1]]


def _require_known(entry: Channel, past: dict[str, str]) -> None:
    name, _, axis = entry.name.rpartition("_")
    sensed = axis in ("x", "y", "z") and SENSED.get(name) == entry.unit and entry.frame == "body"
    if not sensed and past.get(entry.name) != entry.unit:
        known = ", ".join(f"{name} [{unit}]" for name, unit in SENSED.items())
        raise TargetError(
            f"observation entry {entry.name!r} [{entry.unit}] in {entry.frame or 'no frame'} has no source on this "
            f"vehicle; allowed, all in body: {known}, past actions"
        )
