"""Entries of Gymnasium's observations that may stand still, by patterns of their names, and why."""

from __future__ import annotations

import re

ALWAYS: dict[str, dict[str, str]] = {
    "Humanoid-v5": {r"\w+_com_mass": "the mass of a body"},
    "HumanoidStandup-v5": {r"\w+_com_mass": "the mass of a body"},
    "Pusher-v5": {r"goal_[xyz]": "the goal never moves", r"object_z": "the object slides on the table"},
}
"""Never change."""

SELDOM: dict[str, dict[str, str]] = {
    "Ant-v5": {r"\w+_contact_(torque|force)_[xyz]": "some bodies hardly ever touch anything"},
    "Humanoid-v5": {r"\w+_contact_(torque|force)_[xyz]": "some bodies hardly ever touch anything"},
    "InvertedDoublePendulum-v5": {r"constraint_force": "none acts before the cart is at the end of its rail"},
}
"""Change only in rare states."""


def matches(table: dict[str, dict[str, str]], task: str, entry: str) -> bool:
    """Whether a table has a pattern for an entry of a task's observation."""
    return any(re.fullmatch(pattern, entry) for pattern in table.get(task, ()))
