"""A small interface of a policy, for tests of networks."""

from __future__ import annotations

from typing import Any

from policies.spec import Channel, PolicySpec


def small_spec(observation: str = "xyz", action: str = "ab", **changed: Any) -> PolicySpec:
    """A spec with one entry per letter; other fields are those of `changed`."""
    fields: dict[str, Any] = {
        "task": "t",
        "robot": "",
        "control_hz": 50.0,
        "observation": tuple(map(Channel, observation)),
        "action": tuple(map(Channel, action)),
        "action_low": (-2.0,) * len(action),
        "action_high": (2.0,) * len(action),
        "safe_action": (0.5,) * len(action),
        "hidden_sizes": (5, 4),
    }
    return PolicySpec(**{**fields, **changed})
