"""Aviaries of gym-pybullet-drones as simulators with explicit states, stepped by worker processes.

docs/guides/gym-pybullet-drones.md has frames, units, exactness and the differences from the environments.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from robots.pybullet_drones.options import DroneOptions, drone_options
from robots.pybullet_drones.picture import Painter
from robots.pybullet_drones.row import (
    CONTROLLER,
    FAILED,
    GOES_ON,
    WorkerRow,
)
from robots.pybullet_drones.specification import SUCCESS_RADIUS, specification
from robots.pybullet_drones.state import AviaryState, pack
from robots.pybullet_drones.worker_pool import WorkerPool
from robots.simulator import Step

START_OFFSET = (0.05, 0.05, 0.05)  # m, half widths of the box around the environment's own start
START_ANGLE = 0.1  # rad, largest roll, pitch and yaw


def make_drones(aviary: str, **given: Any) -> AviarySimulator:
    """Simulator of gpd/`aviary` with options of DroneOptions.

    Raises:
        UnknownTaskError: There is no such aviary.
        OptionError: There is no such option, or its value is not allowed.
        MissingDronesError: gym-pybullet-drones is not installed.
    """
    return AviarySimulator(aviary, drone_options(aviary, given))


class AviarySimulator:
    """Simulator of one aviary; raises MissingDronesError if gym-pybullet-drones is not installed."""

    def __init__(self, aviary: str, options: DroneOptions) -> None:
        self.options, self.drones = options, options.drones
        self.workers = WorkerPool(options.workers, "aviary", aviary, options.action, str(self.drones))
        facts = self.workers.facts
        self.row = WorkerRow(self.drones)
        self.start = torch.tensor(facts["start"], dtype=torch.float64)
        self.target = torch.tensor(facts["target"], dtype=torch.float64)
        self.low, self.high = (torch.tensor(facts[bound], dtype=torch.float32) for bound in ("low", "high"))
        self.history = facts["history"]
        self.spec = specification(aviary, options, facts)
        self._painter = Painter(facts["max_rpm"], self.target.numpy())

    def reset(self, num: int, seed: int | torch.Generator) -> AviaryState:
        """Draw initial states of drones at rest.

        With start=fixed they are at the environment's own start. With start=drawn they are uniform within 5 cm of it
        per axis and within 0.1 rad in roll, pitch and yaw.
        """
        generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        shape = (num, self.drones, 3)
        offset, angle = torch.zeros(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64)
        if self.options.start == "drawn":
            drawn = 2.0 * torch.rand(2, *shape, generator=generator, dtype=torch.float64) - 1.0
            offset, angle = drawn[0] * torch.tensor(START_OFFSET, dtype=torch.float64), drawn[1] * START_ANGLE
        quaternion, zero = _quaternion(angle), torch.zeros(shape, dtype=torch.float64)
        return AviaryState(
            position=self.start + offset,
            quaternion=quaternion,
            velocity=zero,
            angular_velocity=zero.clone(),
            link_quaternion=quaternion.clone(),
            controller=torch.zeros(num, self.drones, CONTROLLER, dtype=torch.float64),
            rpy=angle,
            rpm=torch.zeros(num, self.drones, 4, dtype=torch.float64),
            actions=torch.zeros(num, self.history, *self.low.shape, dtype=torch.float32),
            failed=torch.zeros(num, dtype=torch.bool),
        )

    def observe(self, state: AviaryState) -> Tensor:
        """(B, O) float32 in the environment's order: drone by drone with its past actions."""
        if self.history:
            shown = (state.position, state.rpy, state.velocity, state.angular_velocity)
            past = state.actions.transpose(1, 2).flatten(2)
            return torch.cat([*(part.float() for part in shown), past], dim=2).flatten(1)
        parts = (state.position, state.quaternion, state.rpy, state.velocity, state.angular_velocity, state.rpm)
        return torch.cat([part.float() for part in parts], dim=2).flatten(1)

    def privileged(self, state: AviaryState) -> Tensor:
        """(B, 0), because nothing is hidden."""
        return state.position.new_zeros(len(state.position), 0, dtype=torch.float32)

    def split_noise(self, state: AviaryState, index: Tensor) -> AviaryState:
        """The state itself, because steps draw no random numbers."""
        return state

    def step(self, state: AviaryState, action: Tensor) -> Step:
        """Take one control step with actions (B, n A), clipped to their bounds; raises WorkerError."""
        command = action.float().reshape(-1, *self.low.shape).clamp(self.low, self.high)
        answers = self.workers.step(pack(state, command), self.row.width + 4 * self.drones + 2)
        position, quaternion, velocity, spin, link, memory, rpy = (
            torch.from_numpy(part.copy()) for part in self.row.unpack(answers)
        )
        rpm = torch.from_numpy(answers[:, self.row.width : -2].reshape(-1, self.drones, 4).copy())
        actions = torch.cat((state.actions[:, 1:], command.unsqueeze(1)), dim=1) if self.history else state.actions
        outcome = torch.from_numpy(answers[:, -1].copy())
        new = AviaryState(position, quaternion, velocity, spin, link, memory, rpy, rpm, actions, outcome == FAILED)
        reward = torch.from_numpy(answers[:, -2].astype(np.float32))
        return Step(new, self.observe(new), reward, (outcome != GOES_ON) | self.diverged(new))

    def success(self, state: AviaryState) -> Tensor:
        """(B,) bool, true where every drone is within 0.1 m of its target without failure."""
        if not len(self.target):
            return torch.zeros(len(state.position), dtype=torch.bool)
        return ((state.position - self.target).norm(dim=2) <= SUCCESS_RADIUS).all(dim=1) & ~state.failed

    def diverged(self, state: AviaryState) -> Tensor:
        """(B,) bool, true where a pose or a velocity is not finite."""
        parts = (state.position, state.quaternion, state.velocity, state.angular_velocity)
        return ~torch.cat([part.flatten(1) for part in parts], dim=1).isfinite().all(dim=1)

    def signals(self, state: AviaryState) -> dict[str, Tensor]:
        """Position, velocity, attitude and rotor speeds, drone by drone."""
        return {
            "position [m]": state.position.flatten(1),
            "velocity [m/s]": state.velocity.flatten(1),
            "roll, pitch, yaw [deg]": torch.rad2deg(state.rpy).flatten(1),
            "rotor speed [1/min]": state.rpm.flatten(1),
        }

    def position(self, state: AviaryState) -> Tensor:
        """(B, 3) position of the first drone [m]."""
        return state.position[:, 0]

    def render(
        self, state: AviaryState, row: int = 0, width: int = 640, height: int = 480, trail: np.ndarray | None = None
    ) -> np.ndarray:
        """As Simulator.render, with the first drone in detail and the others as discs.

        Raises:
            MissingGraphicsError: This machine cannot draw.
        """
        position, quaternion, rpm = (part[row].numpy() for part in (state.position, state.quaternion, state.rpm))
        return self._painter.draw(position, quaternion, rpm, width, height, trail)

    def close(self) -> None:
        """Stop the worker processes."""
        self.workers.close()


def _quaternion(angle: Tensor) -> Tensor:
    """Quaternions (..., 4) xyzw of roll, pitch and yaw (..., 3) [rad]: about x, then y, then z of the world."""
    (cr, cp, cy), (sr, sp, sy) = torch.cos(0.5 * angle).unbind(-1), torch.sin(0.5 * angle).unbind(-1)
    x, y = sr * cp * cy - cr * sp * sy, cr * sp * cy + sr * cp * sy
    return torch.stack((x, y, cr * cp * sy - sr * sp * cy, cr * cp * cy + sr * sp * sy), dim=-1)
