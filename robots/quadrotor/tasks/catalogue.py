"""The quadrotor's tasks by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from robots.quadrotor.flight.simulator import QuadrotorFlight, make_flight
from robots.quadrotor.tasks.gates.task import GateOptions, Gates
from robots.quadrotor.tasks.hover import HoverOptions, make_hover
from robots.quadrotor.tasks.obstacles.task import ObstacleOptions, Obstacles
from robots.quadrotor.tasks.pursuit import Pursuit, PursuitOptions
from robots.quadrotor.tasks.track.task import Track, TrackOptions
from robots.quadrotor.tasks.waypoints import WaypointOptions, Waypoints

_RANDOMIZED = HoverOptions(mass=0.3, rotor_thrust=0.09, inertia=0.3, rotor_lag=0.3, wind=1.0)
_GUSTY = HoverOptions(mass=0.3, rotor_thrust=0.09, inertia=0.3, rotor_lag=0.3, wind=1.0, gust=1.5)
_ANY: dict[str, Any] = {
    **{"quadrotor": "any", "observation": "raptor", "heading": 45.0},
    **{"battery_sag": 0.02, "wind": 0.5, "gust": 0.5},
}

TASKS: dict[str, Callable[..., QuadrotorFlight]] = {
    "quadrotor-any": partial(make_hover, "quadrotor-any", HoverOptions(**_ANY)),
    "quadrotor-any-track": partial(make_flight, "quadrotor-any-track", Track, TrackOptions(**_ANY)),
    "quadrotor-gates": partial(make_flight, "quadrotor-gates", Gates, GateOptions()),
    "quadrotor-hover": partial(make_hover, "quadrotor-hover", HoverOptions()),
    "quadrotor-hover-gusty": partial(make_hover, "quadrotor-hover-gusty", _GUSTY),
    "quadrotor-hover-randomized": partial(make_hover, "quadrotor-hover-randomized", _RANDOMIZED),
    "quadrotor-obstacles": partial(make_flight, "quadrotor-obstacles", Obstacles, ObstacleOptions()),
    "quadrotor-pursuit": partial(make_flight, "quadrotor-pursuit", Pursuit, PursuitOptions()),
    "quadrotor-track": partial(make_flight, "quadrotor-track", Track, TrackOptions()),
    "quadrotor-waypoints": partial(make_flight, "quadrotor-waypoints", Waypoints, WaypointOptions()),
}
"""Builder of each task; it takes the options of the task, `dtype` and `device`."""
