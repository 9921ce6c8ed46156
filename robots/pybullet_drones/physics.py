"""physics=gym-pybullet-drones: its cf2x in PyBullet with drag, ground effect and downwash.

physics_frames.py converts frames and units. The rotors have no lag. PyBullet takes 500 steps per second at any control
rate; that is of the order of the 240 of its own environments and a multiple of the control rates of this package.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from robots.pybullet_drones.physics_frames import Conventions, to_ours, to_theirs
from robots.pybullet_drones.worker_pool import WorkerPool
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.physics.physics import PhysicsError

PHYSICS_HZ = 500
_ANSWER = 14


class PybulletDrone:
    """gym-pybullet-drones as Physics, in as many processes as torch has threads.

    Args:
        parameters: The airframe, which is cf2x.
        duration: Length of a period [s].
        physics_hz: Smallest rate of physics steps [Hz].

    Raises:
        MissingDronesError: gym-pybullet-drones is not installed.
    """

    def __init__(self, parameters: QuadrotorParameters, duration: float, physics_hz: int = PHYSICS_HZ) -> None:
        control_hz = round(1.0 / duration)
        physics_hz = control_hz * math.ceil(physics_hz / control_hz)
        self.workers = WorkerPool(torch.get_num_threads(), "vehicle", str(control_hz), str(physics_hz))
        self.conventions = Conventions(self.workers.facts["max_rpm"], 1.0 / physics_hz)

    def step(self, body: QuadrotorState, motors: Tensor) -> tuple[QuadrotorState, Tensor]:
        """As Physics.step; also raises WorkerError."""
        rows = to_theirs(body, motors, self.conventions)
        _require_finite(rows)  # PyBullet would not return from such a step
        answers = self.workers.step(rows, _ANSWER)
        _require_finite(answers)
        touches = torch.from_numpy(answers[:, -1] != 0.0).to(body.position.device)
        return to_ours(answers, motors, body), touches

    def close(self) -> None:
        """Stop the worker processes."""
        self.workers.close()


def _require_finite(rows: np.ndarray) -> None:
    lost = ~np.isfinite(rows).all(axis=1)
    if lost.any():
        raise PhysicsError(f"gym-pybullet-drones diverged in {int(lost.sum())} of {len(rows)} flights")
