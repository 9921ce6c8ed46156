"""One cf2x of gym-pybullet-drones with commanded rotor speeds; runs in a worker.

Drag, ground effect and downwash act on it.

It is the CtrlAviary of that package, set to a state before each control step as in aviary.py. A row also has the rotor
speeds of the control step before, because drag depends on those of the physics step before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pybullet
from gym_pybullet_drones.envs import CtrlAviary
from gym_pybullet_drones.utils.enums import DroneModel, Physics

from robots.pybullet_drones.aviary import Aviary

ROW = (3, 4, 3, 3, 4, 4, 4)
"""Sizes of the parts of a row.

The parts are position [m], quaternion xyzw, velocity [m/s] and angular velocity [rad/s] in the world, quaternion of the
links one physics step before, and rotor speeds before and commanded [1/min].
"""
_DISTANCE = 8  # index of the distance in a contact of getContactPoints


class Vehicle:
    """A cf2x with constant rotor speeds during a control step.

    Args:
        control_hz: Control steps per second [Hz].
        physics_hz: Physics steps per second [Hz].
    """

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
        """Largest rotor speed [1/min]."""
        return {"max_rpm": float(self.env.MAX_RPM)}

    def step(self, row: np.ndarray) -> np.ndarray:
        """Take one control step from a row.

        Returns:
            (14,) position, quaternion, velocity, angular velocity, and 1 if the floor is touched, else 0.
        """
        env, parts = self.env, np.split(row, np.cumsum(ROW)[:-1])
        position, quaternion, velocity, spin, link, before, to_come = (part[None] for part in parts)
        rpy = np.array(pybullet.getEulerFromQuaternion(quaternion[0]))
        self.aviary.place(position, quaternion, velocity, spin, link, rpy[None])
        env.last_clipped_action = before
        env.step(to_come)
        contacts = pybullet.getContactPoints(self.aviary.bodies[0], env.PLANE_ID, physicsClientId=self.aviary.client)
        touches = any(contact[_DISTANCE] <= 0.0 for contact in contacts)
        return np.concatenate((env.pos[0], env.quat[0], env.vel[0], env.ang_v[0], (float(touches),)))
