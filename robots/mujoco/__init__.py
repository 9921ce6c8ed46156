"""MuJoCo robots as batched simulators. The names below define a robot of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgrpo_imports import lazy_names

if TYPE_CHECKING:
    from robots.mujoco.channels import body_channels, joint_channels
    from robots.mujoco.initial_noise import uniform
    from robots.mujoco.readout import Derived, Outcome, Readout, length, squared, squared_sum
    from robots.mujoco.robot import Robot, View
    from robots.mujoco.simulator import make_mujoco

_LAZY = {
    "Derived": "robots.mujoco.readout",
    "Outcome": "robots.mujoco.readout",
    "Readout": "robots.mujoco.readout",
    "Robot": "robots.mujoco.robot",
    "View": "robots.mujoco.robot",
    "body_channels": "robots.mujoco.channels",
    "joint_channels": "robots.mujoco.channels",
    "length": "robots.mujoco.readout",
    "make_mujoco": "robots.mujoco.simulator",
    "squared": "robots.mujoco.readout",
    "squared_sum": "robots.mujoco.readout",
    "uniform": "robots.mujoco.initial_noise",
}
__getattr__, __dir__ = lazy_names(__name__, _LAZY)

__all__ = [
    "Derived",
    "Outcome",
    "Readout",
    "Robot",
    "View",
    "body_channels",
    "joint_channels",
    "length",
    "make_mujoco",
    "squared",
    "squared_sum",
    "uniform",
]
