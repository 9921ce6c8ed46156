"""Specification of aviaries: names, units and frames of their entries."""

from __future__ import annotations

from typing import Any

import numpy as np

from robots.pybullet_drones.options import DroneOptions
from robots.simulator import Channel, SimulatorSpec

SUCCESS_RADIUS = 0.1  # m
EPISODE_SECONDS = 8.0

_ENTRIES = {
    "rpm": tuple((f"rotor_{i}", "1", "rotor") for i in range(4)),
    "one_d_rpm": (("rotors", "1", "rotor"),),
    "pid": tuple((f"target_{axis}", "m", "world") for axis in "xyz"),
    "vel": (*((f"direction_{axis}", "1", "world") for axis in "xyz"), ("speed", "1", "world")),
    "one_d_pid": (("climb", "1", "world"),),
}


def specification(aviary: str, options: DroneOptions, facts: dict[str, Any]) -> SimulatorSpec:
    """Specification of gpd/`aviary`.

    Args:
        aviary: Class of the environment.
        options: Options of the task.
        facts: Values of the environment, from Aviary.facts.
    """
    low, high = np.array(facts["low"]), np.array(facts["high"])
    drones = len(low)
    # the environment ends an episode when the time before a step exceeds 8 s: at the 242nd step of 1/30 s
    steps = round(EPISODE_SECONDS * facts["control_hz"]) + 2
    neutral = np.zeros_like(low)
    if options.action == "pid":
        neutral = np.clip(np.array(facts["start"]), low, high)
    target = bool(facts["target"])
    return SimulatorSpec(
        name=f"gpd/{aviary}",
        observation=tuple(q for i in range(drones) for q in _shown(_prefix(i, drones), options.action, facts)),
        action=tuple(q for i in range(drones) for q in _action(_prefix(i, drones), options.action)),
        action_low=tuple(low.reshape(-1).tolist()),
        action_high=tuple(high.reshape(-1).tolist()),
        control_hz=facts["control_hz"],
        max_episode_steps=steps,
        neutral_action=tuple(neutral.reshape(-1).tolist()),
        robot="cf2x",
        goal=f"every drone ends within {SUCCESS_RADIUS:g} m of its target" if target else "",
        noise=False,
        reward="that of the aviary",
    )


def _prefix(drone: int, drones: int) -> str:
    return f"drone_{drone}_" if drones > 1 else ""


def _action(prefix: str, kind: str) -> tuple[Channel, ...]:
    return tuple(Channel(prefix + name, unit, frame) for name, unit, frame in _ENTRIES[kind])


def _shown(prefix: str, kind: str, facts: dict[str, Any]) -> list[Channel]:
    position, velocity, spin = (
        [(f"{name}_{axis}", unit, "world") for axis in "xyz"]
        for name, unit in (("position", "m"), ("velocity", "m/s"), ("angular_velocity", "rad/s"))
    )
    attitude = [(name, "rad", "world") for name in ("roll", "pitch", "yaw")]
    if not facts["history"]:
        quaternion = [(f"quaternion_{axis}", "1", "world") for axis in "xyzw"]
        rotors = [(f"rotor_speed_{i}", "1/min", "rotor") for i in range(4)]
        entries = [*position, *quaternion, *attitude, *velocity, *spin, *rotors]
    else:
        past = [
            (f"{name}_{ago}_ago", unit, frame)
            for ago in range(facts["history"], 0, -1)
            for name, unit, frame in _ENTRIES[kind]
        ]
        entries = [*position, *attitude, *velocity, *spin, *past]
    return [Channel(prefix + name, unit, frame) for name, unit, frame in entries]
