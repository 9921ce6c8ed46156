"""Setpoints of autopilots: share of full thrust, velocity in the world, and the observation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policies.spec import PolicySpec
from sim2real.flight.target import Reading, TargetError
from sim2real.policy.metadata import action_type
from sim2real.targets.goals import GoalOptions, Goals
from sim2real.targets.ned import from_heading, rotation
from sim2real.targets.observation import Motion, QuadrotorObservation

DEFAULT_MAX_AGE = 0.1  # [s], as in the options of the loop
Known = tuple[Motion, float]
"""A motion, and the arrival of its older part [s]."""


def motion_problem(known: Known | None, now: float, max_age: float) -> str:
    """Why a motion is not good enough to take off.

    Args:
        known: The motion and its arrival; None if a part of it has not arrived.
        now: The current time [s].
        max_age: Age that the motion may have [s].

    Returns:
        The reason; empty if there is none.
    """
    if known is None:
        return "no estimate of its motion has arrived"
    motion, stamp = known
    for name, value, checked in (
        ("position", motion.position, motion.position),
        ("velocity", motion.velocity, motion.velocity),
        ("attitude", motion.quaternion, rotation(motion.quaternion)),
        ("angular velocity", motion.angular_velocity, motion.angular_velocity),
    ):
        if not np.isfinite(checked).all():
            return f"its {name} is {value.tolist()}"
    if not now - stamp <= max_age:
        return f"its motion is {now - stamp:.2f} s old; allowed: max_age, {max_age:g} s"
    return ""


class Setpoints:
    """Converts between a policy that commands ctbr or velocity and an autopilot.

    `kind` is the type of the actions.

    Args:
        spec: Interface of the policy.
        goals: Points to fly to.
        hover_thrust: Share of full thrust at which the vehicle hovers, between 0 and 1.
        refusal: End of the error line for another type of actions.

    Raises TargetError for another type of actions and for a `hover_thrust` outside its range.
    """

    def __init__(
        self,
        spec: PolicySpec,
        goals: GoalOptions,
        hover_thrust: float,
        refusal: str,
    ) -> None:
        self.kind = action_type(spec)
        if self.kind not in ("ctbr", "velocity"):
            raise TargetError(f"actions of type {self.kind!r} cannot be sent {refusal}")
        if not 0.0 < hover_thrust < 1.0:
            raise TargetError(f"hover_thrust must be between 0 and 1; given {hover_thrust}")
        self._observation = QuadrotorObservation(spec, Goals(goals))
        self._hover_thrust = hover_thrust
        self._attitude = np.eye(3)

    def take_off_from(self, position: NDArray[np.float64]) -> None:
        """Place the goals at the first position (3,) [m] of the flight."""
        self._observation.goals.take_off_from(position)

    def go_to(self, point: NDArray[np.float64]) -> None:
        """Fly to a point (3,) [m] in place of the goals."""
        self._observation.goals.go_to(point)

    def reading(self, motion: Motion, stamp: float) -> Reading:
        """Observation of a motion; its attitude rotates velocities until the next one.

        If any number of the motion is not finite, the whole observation is NaN, because the policy may not read that
        number.

        Args:
            motion: The motion.
            stamp: Its arrival [s].
        """
        attitude = rotation(motion.quaternion)
        if np.isfinite(attitude).all():
            self._attitude = attitude
        observation = self._observation.build(motion)
        if not all(np.isfinite(part).all() for part in motion):
            observation = np.full_like(observation, np.nan)
        return Reading(observation, stamp)

    def applied(self, action: NDArray[np.float64]) -> None:
        """Store an action (A,) that was sent."""
        self._observation.applied(action)

    def thrust(self, action: NDArray[np.float64]) -> float:
        """Share of full thrust of an action (A,): hover_thrust times its thrust in g."""
        return float(self._hover_thrust * action[0])

    def velocity(self, action: NDArray[np.float64]) -> NDArray[np.float64]:
        """Velocity (3,) in the world [m/s] of an action (A,) in the heading frame."""
        return from_heading(self._attitude, action[:3])
