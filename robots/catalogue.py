"""The tasks that come with the package, registered by name.

MuJoCo is imported only when one of its tasks is made: it decides at its import how it draws.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.flight.simulator import make_flight
from robots.quadrotor.physics.catalogue import AIRFRAMES, FOREIGN
from robots.quadrotor.physics.physics import Physics
from robots.quadrotor.tasks.gates.task import GateOptions, Gates
from robots.quadrotor.tasks.hover import HoverOptions, make_hover
from robots.quadrotor.tasks.obstacles.task import ObstacleOptions, Obstacles
from robots.quadrotor.tasks.pursuit import Pursuit, PursuitOptions
from robots.quadrotor.tasks.track.task import Track, TrackOptions
from robots.quadrotor.tasks.waypoints import WaypointOptions, Waypoints
from robots.registry import register, register_family
from robots.simulator import Simulator

_AIRFRAMES = HoverOptions(mass=0.3, rotor_thrust=0.09, inertia=0.3, rotor_lag=0.3, wind=1.0)
_GUSTY = HoverOptions(mass=0.3, rotor_thrust=0.09, inertia=0.3, rotor_lag=0.3, wind=1.0, gust=4.0)

register("quadrotor-hover", partial(make_hover, "quadrotor-hover", HoverOptions()))
register("quadrotor-hover-randomized", partial(make_hover, "quadrotor-hover-randomized", _AIRFRAMES))
register("quadrotor-hover-gusty", partial(make_hover, "quadrotor-hover-gusty", _GUSTY))
register("quadrotor-waypoints", partial(make_flight, "quadrotor-waypoints", Waypoints, WaypointOptions()))
register("quadrotor-gates", partial(make_flight, "quadrotor-gates", Gates, GateOptions()))
register("quadrotor-track", partial(make_flight, "quadrotor-track", Track, TrackOptions()))
register("quadrotor-obstacles", partial(make_flight, "quadrotor-obstacles", Obstacles, ObstacleOptions()))
register("quadrotor-pursuit", partial(make_flight, "quadrotor-pursuit", Pursuit, PursuitOptions()))

MUJOCO_TASKS = (
    "Ant-v5",
    "HalfCheetah-v5",
    "Hopper-v5",
    "Humanoid-v5",
    "HumanoidStandup-v5",
    "InvertedDoublePendulum-v5",
    "InvertedPendulum-v5",
    "Pusher-v5",
    "Reacher-v5",
    "Swimmer-v5",
    "Walker2d-v5",
)
"""Gymnasium's names of the robots in robots/mujoco/tasks."""


def _mujoco(name: str, **options: Any) -> Simulator:
    from robots.mujoco.simulator import make_mujoco
    from robots.mujoco.tasks.catalogue import ROBOTS

    return make_mujoco(name, ROBOTS[name](), **options)


for _name in MUJOCO_TASKS:
    register(_name, partial(_mujoco, _name))


def _gymnasium(name: str, **options: Any) -> Simulator:
    from robots.from_gymnasium.simulator import make_gymnasium  # only whoever names such a task pays for the import

    return make_gymnasium(name, **options)


register_family("gymnasium", _gymnasium, "any Gymnasium environment: gymnasium/ID, gymnasium/MODULE:ID or :FACTORY")


def _drones(name: str, **options: Any) -> Simulator:
    from robots.pybullet_drones.simulator import make_drones  # only whoever names such a task pays for the import

    return make_drones(name, **options)


register_family("gpd", _drones, "gym-pybullet-drones: gpd/HoverAviary, gpd/MultiHoverAviary or gpd/VelocityAviary")


def _pybullet_physics(parameters: QuadrotorParameters, duration: float) -> Physics:
    from robots.pybullet_drones.physics import PybulletDrone

    return PybulletDrone(parameters, duration)


FOREIGN["gym-pybullet-drones"] = _pybullet_physics
AIRFRAMES["gym-pybullet-drones"] = "cf2x"
