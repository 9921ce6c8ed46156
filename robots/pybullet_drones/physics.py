"""physics=gym-pybullet-drones: its cf2x in PyBullet, with its drag, ground effect and downwash.

pybullet_frames.py maps frames and units. The rotors of that drone have no lag. PyBullet takes 500 steps per second,
whatever the control rate, which is near the 240 of its own environments and a multiple of ours.
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
    """gym-pybullet-drones as Physics in periods of `duration` seconds, in as many processes as torch has threads.

    Raises MissingDronesError where it is not installed.
    """

    def __init__(self, parameters: QuadrotorParameters, duration: float, physics_hz: int = PHYSICS_HZ) -> None:
        control_hz = round(1.0 / duration)
        physics_hz = control_hz * math.ceil(physics_hz / control_hz)
        self.workers = WorkerPool(torch.get_num_threads(), "vehicle", str(control_hz), str(physics_hz))
        self.conventions = Conventions(self.workers.facts["max_rpm"], 1.0 / physics_hz)

    def step(self, body: QuadrotorState, motors: Tensor) -> tuple[QuadrotorState, Tensor]:
        """Bodies one period later, and (B,) bool, which of them touch the floor; raises PhysicsError, WorkerError."""
        rows = to_theirs(body, motors, self.conventions)
        _require_finite(rows)  # PyBullet never returns from a step of what is not
        answers = self.workers.step(rows, _ANSWER)
        _require_finite(answers)
        touches = torch.from_numpy(answers[:, -1] != 0.0).to(body.position.device)
        return to_ours(answers, motors, body), touches

    def close(self) -> None:
        """End the worker processes."""
        self.workers.close()


def _require_finite(rows: np.ndarray) -> None:
    lost = ~np.isfinite(rows).all(axis=1)
    if lost.any():
        raise PhysicsError(f"gym-pybullet-drones gave up in {int(lost.sum())} of {len(rows)} flights")
