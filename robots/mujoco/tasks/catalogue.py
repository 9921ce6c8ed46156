"""Robots by the names of their Gymnasium environments."""

from __future__ import annotations

from robots.mujoco.robot import Robot
from robots.mujoco.tasks.ant import Ant
from robots.mujoco.tasks.half_cheetah import HalfCheetah
from robots.mujoco.tasks.hopper import Hopper
from robots.mujoco.tasks.humanoid import Humanoid
from robots.mujoco.tasks.humanoid_standup import HumanoidStandup
from robots.mujoco.tasks.inverted_double_pendulum import InvertedDoublePendulum
from robots.mujoco.tasks.inverted_pendulum import InvertedPendulum
from robots.mujoco.tasks.pusher import Pusher
from robots.mujoco.tasks.reacher import Reacher
from robots.mujoco.tasks.swimmer import Swimmer
from robots.mujoco.tasks.walker2d import Walker2d

ROBOTS: dict[str, type[Robot]] = {
    "Ant-v5": Ant,
    "HalfCheetah-v5": HalfCheetah,
    "Hopper-v5": Hopper,
    "Humanoid-v5": Humanoid,
    "HumanoidStandup-v5": HumanoidStandup,
    "InvertedDoublePendulum-v5": InvertedDoublePendulum,
    "InvertedPendulum-v5": InvertedPendulum,
    "Pusher-v5": Pusher,
    "Reacher-v5": Reacher,
    "Swimmer-v5": Swimmer,
    "Walker2d-v5": Walker2d,
}
