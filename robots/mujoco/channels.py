"""Channels of MuJoCo models: names, units and frames of joints and bodies."""

from __future__ import annotations

from typing import Any

import mujoco

from robots.simulator import Channel


def joint_channels(model: Any, skip_positions: int = 0) -> tuple[Channel, ...]:
    """Joint positions without the first `skip_positions` entries, then joint velocities."""
    positions: list[Channel] = []
    velocities: list[Channel] = []
    for i in range(model.njnt):
        name, kind = model.joint(i).name or f"joint_{i}", int(model.jnt_type[i])
        if kind == mujoco.mjtJoint.mjJNT_FREE:
            positions += [Channel(f"{name}_{axis}", "m", "world") for axis in "xyz"]
            positions += [Channel(f"{name}_quaternion_{part}", "1", "world") for part in "wxyz"]
            velocities += [Channel(f"{name}_velocity_{axis}", "m/s", "world") for axis in "xyz"]
            velocities += [Channel(f"{name}_angular_velocity_{axis}", "rad/s", "body") for axis in "xyz"]
        else:
            unit = "m" if kind == mujoco.mjtJoint.mjJNT_SLIDE else "rad"
            positions.append(Channel(name, unit, "joint"))
            velocities.append(Channel(f"{name}_velocity", f"{unit}/s", "joint"))
    return (*positions[skip_positions:], *velocities)


def body_channels(model: Any, what: str, parts: tuple[tuple[str, str], ...]) -> tuple[Channel, ...]:
    """Entries of every body except the world.

    Args:
        model: The MuJoCo model.
        what: Word in the names, such as contact.
        parts: Name and unit of each entry of a body.
    """
    bodies = [model.body(i).name or f"body_{i}" for i in range(1, model.nbody)]
    return tuple(Channel(f"{body}_{what}_{part}", unit, "world") for body in bodies for part, unit in parts)


CONTACT_FORCE = (
    *((f"torque_{axis}", "N m") for axis in "xyz"),
    *((f"force_{axis}", "N") for axis in "xyz"),
)
"""Name and unit of each entry of MjData.cfrc_ext of a body."""
