"""physics=mujoco: the airframe as a free body in MuJoCo.

Both use world z up, quaternions (w, x, y, z) and angular velocity in the body frame, so the state of the body is not
converted. Rotor speeds and speed commands are converted to thrusts by the thrust curve of the airframe, and back by its
inverse.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from robots.mujoco.batch import RowPool, state_slices
from robots.mujoco.readout import Derived
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.physics.free_body_model import build_model, physics_steps
from robots.quadrotor.physics.physics import PhysicsError


class FreeBody:
    """MuJoCo as the Physics of an airframe in periods of `duration` [s], with torch's number of threads."""

    def __init__(self, parameters: QuadrotorParameters, duration: float) -> None:
        self.parameters = parameters
        steps = physics_steps(duration)
        self.model = build_model(parameters, duration / steps)
        self.pool = RowPool(self.model, steps, {"contacts": Derived("sensordata")}, _LagOfEachRow())
        self._slices = state_slices(self.model, "QPOS", "QVEL", "ACT")
        self._lags = (parameters.rotor_time_up, parameters.rotor_time_down)
        aloft = np.array([[0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]])
        self._rest = self.pool.initial(aloft, np.zeros((1, 6)), np.full((1, 4), self._lags[0])).physics

    def step(self, body: QuadrotorState, motors: Tensor) -> tuple[QuadrotorState, Tensor]:
        """As Physics.step.

        Each rotor approaches its constant command from one side and has the time constant of that side.
        """
        position, velocity, quaternion, rate, speed = (part.detach().cpu().double().numpy() for part in body.parts)
        thrust, command = self._thrust(speed), self._thrust(self._commanded(motors.detach().cpu().double().numpy()))
        rows = np.repeat(self._rest, len(position), axis=0)
        rows[:, self._slices["QPOS"]] = np.concatenate((position, quaternion), axis=1)
        rows[:, self._slices["QVEL"]] = np.concatenate((velocity, rate), axis=1)
        rows[:, self._slices["ACT"]] = thrust
        up, down = self._lags
        moved = self.pool.step(rows, command, np.where(command >= thrust, up, down))
        if moved.diverged.any():
            raise PhysicsError(f"MuJoCo diverged in {int(moved.diverged.sum())} of {len(rows)} flights")
        pose, motion = moved.physics[:, self._slices["QPOS"]], moved.physics[:, self._slices["QVEL"]]
        speed = self._speed(moved.physics[:, self._slices["ACT"]])
        parts = (pose[:, :3], motion[:, :3], pose[:, 3:], motion[:, 3:], speed)
        touches = torch.from_numpy(moved.derived["contacts"][:, 0] > 0.0).to(body.position.device)
        return QuadrotorState.of(*(torch.from_numpy(part).to(body.position) for part in parts)), touches

    def close(self) -> None:
        """Nothing to close."""

    def _commanded(self, motors: np.ndarray) -> np.ndarray:
        """Rotor speeds (B, 4) of motor commands in [-1, 1]."""
        low = self.parameters.rotor_speed_min
        return np.asarray(low + 0.5 * (motors + 1.0) * (1.0 - low))

    def _thrust(self, speed: np.ndarray) -> np.ndarray:
        """Thrusts (B, 4) [N] of rotor speeds."""
        c0, c1, c2 = self.parameters.thrust_curve
        return np.asarray(c0 + (c1 + c2 * speed) * speed)

    def _speed(self, thrust: np.ndarray) -> np.ndarray:
        """Rotor speeds (B, 4) of thrusts [N], on the upper branch of the curve."""
        c0, c1, c2 = self.parameters.thrust_curve
        return np.asarray((np.sqrt(np.maximum(c1 * c1 - 4.0 * c2 * (c0 - thrust), 0.0)) - c1) / (2.0 * c2))


class _LagOfEachRow:
    """Time constants of the rotors as RowFields of a batch."""

    def bind(self, batch: Any) -> _BoundLag:
        """Bind the time constants to the rows of a batch."""
        return _BoundLag(batch)


class _BoundLag:
    def __init__(self, batch: Any) -> None:
        self.parameters = batch.expand("actuator_dynprm")

    def write(self, factors: np.ndarray) -> None:
        """Set the time constants (B, 4) [s] of the first B rows."""
        self.parameters[: len(factors), :, 0] = factors
