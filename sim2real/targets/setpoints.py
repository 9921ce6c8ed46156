"""What autopilots that fly by setpoints have in common: a goal, a share of full thrust, velocities in the world."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policies.spec import PolicySpec
from sim2real.flight.target import Reading, TargetError
from sim2real.policy.metadata import action_type
from sim2real.targets.goals import GoalOptions, Goals
from sim2real.targets.ned import from_heading, rotation
from sim2real.targets.observation import Motion, QuadrotorObservation

DEFAULT_MAX_AGE = 0.1  # [s], as of the loop's options
Known = tuple[Motion, float]
"""A motion, and when its older part came [s]."""


def doubt(known: Known | None, now: float, max_age: float) -> str:
    """Why nobody should take off by what is known of a motion.

    Args:
        known: The motion and when it came; None where a part of it never did.
        now: The present [s].
        max_age: What it may be old [s].

    Returns:
        The reason, in words; empty where there is none.
    """
    if known is None:
        return "no estimate of its motion has come"
    motion, stamp = known
    for name, value, checked in (
        ("position", motion.position, motion.position),
        ("velocity", motion.velocity, motion.velocity),
        ("attitude", motion.quaternion, rotation(motion.quaternion)),
        ("angular velocity", motion.angular_velocity, motion.angular_velocity),
    ):
        if not np.isfinite(checked).all():
            return f"the {name} that it says is {value.tolist()}"
    if not now - stamp <= max_age:
        return f"what it says of its motion is {now - stamp:.2f} s old; allowed: max_age, {max_age:g} s"
    return ""


class Setpoints:
    """Between a policy that commands ctbr or velocity and an autopilot; `kind` is which.

    Raises TargetError for a policy of another kind, with `refusal` as the end of the sentence, and for a `hover_thrust`
    that is no share of full thrust.
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
            raise TargetError(f"hover_thrust is a share of full thrust between 0 and 1; given {hover_thrust}")
        self._observation = QuadrotorObservation(spec, Goals(goals))
        self._hover_thrust = hover_thrust
        self._attitude = np.eye(3)

    def take_off_from(self, position: NDArray[np.float64]) -> None:
        """Place the goal, once the flight's first position (3,) [m] is known."""
        self._observation.goals.take_off_from(position)

    def reading(self, motion: Motion, stamp: float) -> Reading:
        """The policy's observation of a motion, whose attitude turns velocities until the next.

        A motion with a number that is not finite makes all of it so, since the policy may not read that number.
        """
        attitude = rotation(motion.quaternion)
        if np.isfinite(attitude).all():
            self._attitude = attitude
        observation = self._observation.build(motion)
        if not all(np.isfinite(part).all() for part in motion):
            observation = np.full_like(observation, np.nan)
        return Reading(observation, stamp)

    def applied(self, action: NDArray[np.float64]) -> None:
        """Remember an action (A,) that was sent."""
        self._observation.applied(action)

    def thrust(self, action: NDArray[np.float64]) -> float:
        """Share of full thrust for a collective thrust in g, about linear: hover_thrust times it. Not limited."""
        return float(self._hover_thrust * action[0])

    def velocity(self, action: NDArray[np.float64]) -> NDArray[np.float64]:
        """(3,) velocity in the world [m/s], x north, y west, z up, of one in the heading frame."""
        return from_heading(self._attitude, action[:3])
