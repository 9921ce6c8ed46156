"""One cf2x of gym-pybullet-drones, flown by rotor speeds with drag, ground effect and downwash; runs in a worker.

It is the package's own CtrlAviary, put into a state before each control step as aviary.py does it. A row is a pose, a
motion, and the rotor speeds of the control step before: its drag goes by those of the physics step before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pybullet
from gym_pybullet_drones.envs import CtrlAviary
from gym_pybullet_drones.utils.enums import DroneModel, Physics

from robots.pybullet_drones.aviary import Aviary

ROW = (3, 4, 3, 3, 4, 4, 4)
"""Position [m], quaternion xyzw, velocity [m/s], angular velocity [rad/s] in the world, quaternion of the links one
physics step ago, rotor speeds before and to come [1/min]."""
_DISTANCE = 8  # place of the contact distance in what getContactPoints returns


class Vehicle:
    """A cf2x whose rotors hold a speed for 1 / `control_hz` seconds, in physics steps of 1 / `physics_hz`."""

    row_size = sum(ROW)

    def __init__(self, control_hz: int, physics_hz: int) -> None:
        self.env = CtrlAviary(
            drone_model=DroneModel.CF2X,
            num_drones=1,
            physics=Physics.PYB_GND_DRAG_DW,
            pyb_freq=physics_hz,
            ctrl_freq=control_hz,
            user_debug_gui=False,
        )
        self.aviary = Aviary(self.env)

    def facts(self) -> dict[str, Any]:
        """The largest rotor speed [1/min]."""
        return {"max_rpm": float(self.env.MAX_RPM)}

    def step(self, row: np.ndarray) -> np.ndarray:
        """(14,) position, quaternion, velocity and angular velocity after a control step, and whether the floor is
        touched."""
        env, parts = self.env, np.split(row, np.cumsum(ROW)[:-1])
        position, quaternion, velocity, spin, link, before, to_come = (part[None] for part in parts)
        rpy = np.array(pybullet.getEulerFromQuaternion(quaternion[0]))
        self.aviary.place(position, quaternion, velocity, spin, link, rpy[None])
        env.last_clipped_action = before
        env.step(to_come)
        contacts = pybullet.getContactPoints(self.aviary.bodies[0], env.PLANE_ID, physicsClientId=self.aviary.client)
        touches = any(contact[_DISTANCE] <= 0.0 for contact in contacts)
        return np.concatenate((env.pos[0], env.quat[0], env.vel[0], env.ang_v[0], (float(touches),)))
