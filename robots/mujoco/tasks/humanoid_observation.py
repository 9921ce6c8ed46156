"""Observation of Humanoid-v5 and HumanoidStandup-v5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

from robots.mujoco.channels import CONTACT_FORCE, body_channels, joint_channels
from robots.mujoco.readout import Derived, Readout
from robots.simulator import Channel

HUMANOID_DERIVED: Mapping[str, Derived] = {
    "inertia": Derived("cinert"),
    "velocity": Derived("cvel"),
    "actuator_force": Derived("qfrc_actuator"),
    "contact_force": Derived("cfrc_ext"),
}
"""Derived fields, which lag one physics step behind the joints, as in Gymnasium."""

_INERTIA = (
    *((f"inertia_{axes}", "kg m^2") for axes in ("xx", "yy", "zz", "xy", "xz", "yz")),
    *((f"mass_moment_{axis}", "kg m") for axis in "xyz"),
    ("mass", "kg"),
)
_VELOCITY = (
    *((f"angular_velocity_{axis}", "rad/s") for axis in "xyz"),
    *((f"velocity_{axis}", "m/s") for axis in "xyz"),
)


def humanoid_observation(now: Readout) -> np.ndarray:
    """Observation (B, 348) float64.

    Its parts are positions without x and y, velocities, inertia and velocity of each body about the centre of mass,
    actuator forces without the free joint, and contact forces of each body. The world is not among the bodies.
    """
    bodies = {
        key: now.derived[key][:, 1:].reshape(len(now.qpos), -1) for key in ("inertia", "velocity", "contact_force")
    }
    force = now.derived["actuator_force"][:, 6:]
    parts = (now.qpos[:, 2:], now.qvel, bodies["inertia"], bodies["velocity"], force, bodies["contact_force"])
    return np.concatenate(parts, axis=1)


def humanoid_channels(model: Any) -> tuple[Channel, ...]:
    """Channels of humanoid_observation."""
    hinges = [model.joint(i).name for i in range(model.njnt) if model.jnt_type[i] != mujoco.mjtJoint.mjJNT_FREE]
    return (
        *joint_channels(model, skip_positions=2),
        *body_channels(model, "com", _INERTIA),
        *body_channels(model, "com", _VELOCITY),
        *(Channel(f"{name}_actuator_force", "N m", "joint") for name in hinges),
        *body_channels(model, "contact", CONTACT_FORCE),
    )
