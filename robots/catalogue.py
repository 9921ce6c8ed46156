"""The tasks that come with the package, registered by name.

A task's modules are imported when the task is made. `import robots` is therefore fast and loads neither torch nor
MuJoCo, which decides at its import how it draws.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from robots.quadrotor.physics.catalogue import AIRFRAMES, FOREIGN
from robots.registry import register, register_family

if TYPE_CHECKING:
    import torch

    from robots.quadrotor.body.parameters import QuadrotorParameters
    from robots.quadrotor.physics.physics import Physics
    from robots.simulator import Simulator

QUADROTOR_TASKS = (
    "quadrotor-gates",
    "quadrotor-hover",
    "quadrotor-hover-gusty",
    "quadrotor-hover-randomized",
    "quadrotor-obstacles",
    "quadrotor-pursuit",
    "quadrotor-track",
    "quadrotor-waypoints",
)
"""Names of the tasks in robots/quadrotor/tasks/catalogue.py."""

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
"""Gymnasium's names of the robots in robots/mujoco/tasks/catalogue.py."""


def _quadrotor(name: str, device: str | torch.device = "cpu", **options: Any) -> Simulator:
    from robots.quadrotor.tasks.catalogue import TASKS

    return TASKS[name](device=device, **options)


def _mujoco(name: str, **options: Any) -> Simulator:
    from robots.mujoco.simulator import make_mujoco
    from robots.mujoco.tasks.catalogue import ROBOTS

    return make_mujoco(name, ROBOTS[name](), **options)


for _name in QUADROTOR_TASKS:
    register(_name, partial(_quadrotor, _name))
for _name in MUJOCO_TASKS:
    register(_name, partial(_mujoco, _name))


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
