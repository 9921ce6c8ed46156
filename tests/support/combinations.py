"""Tasks to test: every registered one, and a sample of what the options of a quadrotor task can be put together to."""

from __future__ import annotations

from typing import Any

import robots

EVERY_FACTOR = dict.fromkeys(
    ("mass", "rotor_thrust", "inertia", "rotor_lag", "drag", "yaw_torque", "rotor_offset", "idle_speed"), 0.2
)
EVERY_ERROR = {
    f"{kind}_{error}": 0.02 for kind in ("position", "velocity", "attitude", "rate") for error in ("noise", "bias")
}
LATE = {"observation_latency": 2, "action_latency": 3}
COMBINATIONS: list[dict[str, Any]] = [
    {"interface": "motors", **EVERY_FACTOR, **EVERY_ERROR, **LATE, "latency": "drawn", "action_history": 2},
    {"interface": "ctbr", "wind": 1.0, "gust": 2.0, **LATE, "action_difference_penalty": 0.5},
    {"interface": "velocity", "mass": 0.2, "rate_noise": 0.1, "difficulty": 0.5, "action_history": 0},
    {"interface": "ctbr", "physics": "mujoco", **EVERY_ERROR, **LATE},
]
"""Options of any quadrotor task: each interface and each of the others at least once."""
TASKS: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in robots.names()]
TASKS += [("quadrotor-hover", options) for options in COMBINATIONS]
NAMES = [
    name + "".join(f"-{v}" for k, v in options.items() if k in ("interface", "physics")) for name, options in TASKS
]
