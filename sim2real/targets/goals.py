"""The goal points of a flight, and which of them is current."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from hgrpo_errors import HgrpoError
from hgrpo_fields import Range, check


@dataclass(frozen=True)
class GoalOptions:
    """Points to fly to in order."""

    goal: tuple[float, ...] = (0.0, 0.0, 1.0)
    """Points x y z to fly to in order [m], z up; over MAVLink x is north and y west."""
    goal_from: Literal["takeoff", "origin"] = "takeoff"
    """Origin of the goals: where the vehicle takes off, or the origin of its estimate."""
    goal_radius: Annotated[float, Range(above=0, infinite=True)] = 0.2
    """Distance at which a point is reached and the next one becomes the goal [m]."""

    def __post_init__(self) -> None:
        if not self.goal or len(self.goal) % 3 or not np.isfinite(self.goal).all():
            given = " ".join(map(str, self.goal))
            raise HgrpoError(f"goal takes three finite numbers x y z for each point; given {given or 'none'}")
        check(self)
        if len(self.goal) == 3 and self.goal_radius != GoalOptions.goal_radius:
            raise HgrpoError(
                f"goal_radius {self.goal_radius:g} does nothing with one goal, which is held; allowed: several goals"
            )


DEFAULT_GOALS = GoalOptions()


class Goals:
    """The points (P, 3) [m] in the world; `update` advances to the next one.

    The path between two positions counts as a straight segment, so a fast vehicle cannot jump over a point. At most one
    point is reached per position, and the last point stays the goal.
    """

    def __init__(self, options: GoalOptions = DEFAULT_GOALS) -> None:
        self._points = np.array(options.goal, np.float64).reshape(-1, 3)
        self._from_takeoff = options.goal_from == "takeoff"
        self._radius = options.goal_radius
        self._index = 0
        self._last: NDArray[np.float64] | None = None

    def take_off_from(self, position: NDArray[np.float64]) -> None:
        """Place the points at the position (3,) [m] of the takeoff."""
        if self._from_takeoff:
            self._points = self._points + position

    def go_to(self, point: NDArray[np.float64]) -> None:
        """Replace the points by one (3,) [m]."""
        self._points, self._index = point[None].astype(np.float64), 0

    @property
    def current(self) -> NDArray[np.float64]:
        """(3,) the point to reach [m]."""
        return self._points[self._index]

    @property
    def next(self) -> NDArray[np.float64]:
        """(3,) the point after it [m]; the last point is followed by itself."""
        return self._points[min(self._index + 1, len(self._points) - 1)]

    def update(self, position: NDArray[np.float64]) -> None:
        """Advance if the path to this position (3,) [m] has reached the point.

        One that is not finite is skipped.
        """
        if not np.isfinite(position).all():
            return
        start = position if self._last is None else self._last
        way, to_point = position - start, self.current - start
        length_squared = float(way @ way)
        share = float(np.clip(to_point @ way / length_squared, 0.0, 1.0)) if length_squared > 0.0 else 0.0
        self._last = position
        if np.linalg.norm(start + share * way - self.current) <= self._radius:
            self._index = min(self._index + 1, len(self._points) - 1)
