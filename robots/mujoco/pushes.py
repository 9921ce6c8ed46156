"""Pushes of a MuJoCo robot."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from robots.mujoco.batch import without_warnings


def pushed_velocities(model: Any, qpos: np.ndarray, qvel: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """Velocities after an impulse on the whole robot.

    The impulse p = m v acts at the centre of mass of everything that moves, of mass m:
    qvel' = qvel + M^-1 J^T p, with the inertia M and the Jacobian J of that point (MuJoCo, mj_jacSubtreeCom).

    Args:
        model: The model.
        qpos: (B, nq) joint positions.
        qvel: (B, nv) velocities.
        velocity: (B, 3) change v of the velocity of a robot that is free to move [m/s].

    Returns:
        (B, nv) velocities.
    """
    data, jacobian, after = mujoco.MjData(model), np.zeros((3, model.nv)), qvel.copy()
    change = np.zeros((1, model.nv))
    mass = float(model.body_subtreemass[0])
    for row in range(len(qpos)):
        data.qpos[:] = qpos[row]
        with without_warnings():
            mujoco.mj_fwdPosition(model, data)
        mujoco.mj_jacSubtreeCom(model, data, jacobian, 0)
        mujoco.mj_solveM(model, data, change, (mass * velocity[row] @ jacobian)[None])
        after[row] += change[0]
    return after
