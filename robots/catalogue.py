"""The tasks that come with the package, registered by name.

A task's modules are imported when the task is made. `import robots` is therefore fast and loads neither torch nor
MuJoCo, which decides at its import how it draws.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from robots.quadrotor.physics.catalogue import AIRFRAMES, FOREIGN
from robots.registry import Summary, register, register_family

if TYPE_CHECKING:
    import torch

    from robots.quadrotor.body.parameters import QuadrotorParameters
    from robots.quadrotor.physics.physics import Physics
    from robots.simulator import Simulator


def _flight(observation_size: int, max_episode_steps: int, goal: str) -> Summary:
    """Summary of a task of the default quadrotor, whose four motors are commanded at 100 Hz."""
    return Summary("cf21B_500", observation_size, 4, 100.0, max_episode_steps, goal)


_HOVERING = _flight(16, 500, "the last 1 s are spent within 0.1 m of the target")

_ON_TRACK = "the RMS position error, from 2 s after the start to the time limit, is at most 0.15 m"

QUADROTOR_TASKS = {
    "quadrotor-any": Summary("any", 22, 4, 100.0, 500, _HOVERING.goal),
    "quadrotor-any-track": Summary("any", 22, 4, 100.0, 600, _ON_TRACK),
    "quadrotor-gates": _flight(
        37, 1200, "a whole lap is flown and no gate is missed, and no frame or ground touched, until the time is up"
    ),
    "quadrotor-hover": _HOVERING,
    "quadrotor-hover-gusty": _HOVERING,
    "quadrotor-hover-randomized": _HOVERING,
    "quadrotor-obstacles": _flight(
        53, 1000, "the drone comes within 0.3 m of the goal before it touches anything or leaves the arena"
    ),
    "quadrotor-pursuit": _flight(
        19,
        800,
        "the last 2 s are spent within 0.25 m of the distance to keep, with the target at most 30 degrees off body x",
    ),
    "quadrotor-track": _flight(28, 600, _ON_TRACK),
    "quadrotor-waypoints": _flight(
        19, 1000, "all points are reached in order, without touching the ground, before the time is up"
    ),
}
"""Summaries of the tasks in robots/quadrotor/tasks/catalogue.py."""

MUJOCO_TASKS = {
    "Ant-v5": Summary("", 105, 8, 20.0, 1000),
    "HalfCheetah-v5": Summary("", 17, 6, 20.0, 1000),
    "Hopper-v5": Summary("", 11, 3, 125.0, 1000),
    "Humanoid-v5": Summary("", 348, 17, 66.666667, 1000),
    "HumanoidStandup-v5": Summary("", 348, 17, 66.666667, 1000),
    "InvertedDoublePendulum-v5": Summary("", 9, 1, 20.0, 1000, "the poles stand at the time limit"),
    "InvertedPendulum-v5": Summary("", 4, 1, 25.0, 1000, "the pole stands at the time limit"),
    "Pusher-v5": Summary("", 23, 7, 20.0, 100, "the object is within 5 cm of the goal at the end"),
    "Reacher-v5": Summary("", 10, 2, 50.0, 50, "the fingertip is within 2 cm of the target at the end"),
    "Swimmer-v5": Summary("", 8, 2, 25.0, 1000),
    "Walker2d-v5": Summary("", 17, 6, 125.0, 1000),
}
"""Summaries of the robots in robots/mujoco/tasks/catalogue.py, by Gymnasium's names."""


def _quadrotor(name: str, device: str | torch.device = "cpu", **options: Any) -> Simulator:
    from robots.quadrotor.tasks.catalogue import TASKS

    return TASKS[name](device=device, **options)


def _mujoco(name: str, **options: Any) -> Simulator:
    from robots.mujoco.simulator import make_mujoco
    from robots.mujoco.tasks.catalogue import ROBOTS

    return make_mujoco(name, ROBOTS[name](), **options)


for _name, _summary in QUADROTOR_TASKS.items():
    register(_name, partial(_quadrotor, _name), _summary)
for _name, _summary in MUJOCO_TASKS.items():
    register(_name, partial(_mujoco, _name), _summary)


def _gymnasium(name: str, **options: Any) -> Simulator:
    from robots.from_gymnasium.simulator import make_gymnasium

    return make_gymnasium(name, **options)


register_family("gymnasium", _gymnasium, "any Gymnasium environment: gymnasium/ID, gymnasium/MODULE:ID or :FACTORY")


def _drones(name: str, **options: Any) -> Simulator:
    from robots.pybullet_drones.simulator import make_drones

    return make_drones(name, **options)


register_family("gpd", _drones, "gym-pybullet-drones: gpd/HoverAviary, gpd/MultiHoverAviary or gpd/VelocityAviary")


def _pybullet_physics(parameters: QuadrotorParameters, duration: float) -> Physics:
    from robots.pybullet_drones.physics import PybulletDrone

    return PybulletDrone(parameters, duration)


FOREIGN["gym-pybullet-drones"] = _pybullet_physics
AIRFRAMES["gym-pybullet-drones"] = "cf2x"
