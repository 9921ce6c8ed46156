"""One environment of gym-pybullet-drones with explicit states; runs in a worker process.

PyBullet keeps contacts between steps. To remove them, a saved state in which every drone is far from everything is
restored first, and collision detection runs. Then poses and velocities are set. One thing cannot be set: PyBullet turns
forces in link frames by the links' attitude of the physics step before, and setting a pose changes that attitude. The
first physics step after a restore therefore applies the same forces in the world frame, turned by the attitude in the
state.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pybullet
from gym_pybullet_drones import envs
from gym_pybullet_drones.utils.enums import ActionType, ObservationType

from robots.pybullet_drones.row import (
    ENDED,
    FAILED,
    GOES_ON,
    WorkerRow,
)

_PARKED = 100.0  # m, above the ground
_MEMORY = ("last_rpy", "last_pos_e", "integral_pos_e", "last_rpy_e", "integral_rpy_e")


def open_aviary(name: str, action: str, drones: int) -> Aviary:
    """Make an environment.

    Args:
        name: Class of the environment.
        action: Type of its actions.
        drones: Number of drones.
    """
    options: dict[str, Any] = {} if name == "HoverAviary" else {"num_drones": drones}
    if name == "VelocityAviary":
        options["user_debug_gui"] = False
    else:
        options |= {"obs": ObservationType.KIN, "act": ActionType(action)}
    return Aviary(getattr(envs, name)(**options))


class Aviary:
    """An environment whose state is set before each step and read after it."""

    def __init__(self, env: Any) -> None:
        self.env = env
        drones = int(env.NUM_DRONES)
        self.client, self.row = env.CLIENT, WorkerRow(drones)
        self.action_shape = env.action_space.shape
        self.row_size = self.row.width + int(np.prod(self.action_shape))
        self.bodies = [int(body) for body in self.env.DRONE_IDS]
        self.controllers = list(getattr(self.env, "ctrl", ()))
        self.start = self.env.pos.copy()
        self._turned_by: list[np.ndarray | None] = [None] * drones
        self._own_forces = self.env._physics
        self.env._physics = self._forces
        self.env._computeObs = lambda: None  # observations are computed from states
        self._empty = self._save_empty()

    def facts(self) -> dict[str, Any]:
        """Values for the specification."""
        env = self.env
        target = np.reshape(getattr(env, "TARGET_POS", np.zeros((0, 3))), (-1, 3))
        return {
            "start": self.start.tolist(),
            "target": target.tolist(),
            "control_hz": float(env.CTRL_FREQ),
            "max_rpm": float(env.MAX_RPM),
            "low": np.asarray(env.action_space.low, float).tolist(),
            "high": np.asarray(env.action_space.high, float).tolist(),
            "history": int(getattr(env, "ACTION_BUFFER_SIZE", 0)),
        }

    def step(self, row: np.ndarray) -> np.ndarray:
        """Step a packed row with its action (n, A).

        Returns:
            (width + 4 n + 2,) new physics, rotor speeds, reward and outcome.
        """
        env, action = self.env, row[self.row.width :].reshape(self.action_shape)
        if not np.isfinite(row).all():  # PyBullet would not return from such a step
            return np.concatenate((row[: self.row.width], np.zeros(4 * len(self.bodies)), (0.0, FAILED)))
        self.restore(row)
        _, reward, terminated, gone, _ = env.step(action.astype(np.float32))
        # the step counter is 0, so `gone` is never the time limit
        outcome = FAILED if gone else ENDED if terminated else GOES_ON
        return np.concatenate((self.save(), env.last_clipped_action.reshape(-1), (reward, outcome)))

    def restore(self, row: np.ndarray) -> None:
        """Set the world and the controllers to a packed state."""
        position, quaternion, velocity, spin, link, memory, rpy = self.row.unpack(row[: self.row.width])
        self.place(position, quaternion, velocity, spin, link, rpy)
        for controller, values in zip(self.controllers, memory, strict=False):
            controller.control_counter = int(values[0])
            for name, value in zip(_MEMORY, values[1:].reshape(5, 3), strict=True):
                setattr(controller, name, value.copy())

    def place(
        self,
        position: np.ndarray,
        quaternion: np.ndarray,
        velocity: np.ndarray,
        spin: np.ndarray,
        link: np.ndarray,
        rpy: np.ndarray,
    ) -> None:
        """Set the drones in a world without contacts.

        Args:
            position: (n, 3) [m].
            quaternion: (n, 4) xyzw.
            velocity: (n, 3) [m/s].
            spin: (n, 3) angular velocity in the world frame [rad/s].
            link: (n, 4) xyzw attitude that turns the forces of the first physics step.
            rpy: (n, 3) roll, pitch and yaw [rad].
        """
        env, client = self.env, self.client
        pybullet.restoreState(self._empty, physicsClientId=client)
        pybullet.performCollisionDetection(physicsClientId=client)
        for i, body in enumerate(self.bodies):
            pybullet.resetBasePositionAndOrientation(body, position[i], quaternion[i], physicsClientId=client)
            pybullet.resetBaseVelocity(body, velocity[i], spin[i], physicsClientId=client)
            self._turned_by[i] = link[i]
        env.pos[:], env.quat[:], env.rpy[:], env.vel[:], env.ang_v[:] = position, quaternion, rpy, velocity, spin
        env.step_counter = 0

    def save(self) -> np.ndarray:
        """State (width,) of the environment."""
        env = self.env
        link = [pybullet.getLinkState(body, 4, physicsClientId=self.client)[1] for body in self.bodies]
        memory = np.zeros((len(self.bodies), 16))
        for values, controller in zip(memory, self.controllers, strict=False):
            values[0] = controller.control_counter
            values[1:] = np.concatenate([getattr(controller, name) for name in _MEMORY])
        parts = (env.pos, env.quat, env.vel, env.ang_v, np.array(link), memory, env.rpy)
        return np.concatenate([np.reshape(part, -1) for part in parts])

    def _save_empty(self) -> int:
        """Id of a saved PyBullet state without contacts."""
        for settled in (False, True):
            for i, body in enumerate(self.bodies):
                place = (10.0 * i, 0.0, _PARKED + 10.0 * i)
                pybullet.resetBasePositionAndOrientation(body, place, (0, 0, 0, 1), physicsClientId=self.client)
                pybullet.resetBaseVelocity(body, (0, 0, 0), (0, 0, 0), physicsClientId=self.client)
            if not settled:
                pybullet.stepSimulation(physicsClientId=self.client)
                pybullet.performCollisionDetection(physicsClientId=self.client)
        return int(pybullet.saveState(physicsClientId=self.client))

    def _forces(self, rpm: np.ndarray, drone: int) -> None:
        """Apply the rotor forces of rpm (4,), after a restore turned by the attitude in the state."""
        turned_by = self._turned_by[drone]
        if turned_by is None:
            self._own_forces(rpm, drone)
            return
        self._turned_by[drone] = None
        env, body, client = self.env, self.bodies[drone], self.client
        up = np.array(pybullet.getMatrixFromQuaternion(turned_by))[2::3]
        forces, torques = rpm**2 * env.KF, rpm**2 * env.KM
        torque = -torques[0] + torques[1] - torques[2] + torques[3]
        places = pybullet.getLinkStates(body, [0, 1, 2, 3], physicsClientId=client)
        for rotor, (force, place) in enumerate(zip(forces, places, strict=True)):
            pybullet.applyExternalForce(body, rotor, up * force, place[0], pybullet.WORLD_FRAME, physicsClientId=client)
        pybullet.applyExternalTorque(body, 4, up * torque, pybullet.WORLD_FRAME, physicsClientId=client)
