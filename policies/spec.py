"""The interface of a policy: names, units and bounds of what it reads and commands.

It is stored in checkpoints and exported files. Importable without torch.
"""

from __future__ import annotations

import json
import math
import reprlib
from dataclasses import asdict, dataclass
from typing import Any

from hgrpo_errors import HgrpoError, unknown

SCHEMA_VERSION = 1
CHECKPOINT_NAME = "checkpoint.pt"
"""Name of the checkpoint in a run folder."""
ACTIVATIONS = ("tanh", "relu", "elu")
MEMORIES = ("none", "gru", "history")


@dataclass(frozen=True)
class Channel:
    """One entry of an observation or an action: its name, its unit and its frame."""

    name: str
    unit: str = "1"
    frame: str = ""


@dataclass(frozen=True)
class PolicySpec:
    """The interface of a policy and the shape of its networks.

    Names, units, frames, the task and the robot are printable text without backslashes, because they are written into
    source code and tables. Raises HgrpoError for an empty observation or action, for sizes that differ, and for a value
    outside its range.
    """

    task: str
    """Name of the task."""
    robot: str
    """Name of the drone preset; empty for a robot that is no preset."""
    control_hz: float
    """Rate at which the policy acts [Hz]."""
    observation: tuple[Channel, ...]
    """The O entries that the policy reads."""
    action: tuple[Channel, ...]
    """The A entries that the policy commands."""
    action_low: tuple[float, ...]
    """Lower bounds (A,), in the units of the action."""
    action_high: tuple[float, ...]
    """Upper bounds (A,)."""
    safe_action: tuple[float, ...]
    """Action (A,) to send when the policy gives no valid one."""
    hidden_sizes: tuple[int, ...] = (64, 64)
    """Units of each hidden layer, of actor and critic."""
    activation: str = "tanh"
    """One of ACTIVATIONS."""
    min_sigma: float = 0.01
    """Smallest standard deviation of the action, in normalised units."""
    critic: bool = True
    """Whether the policy has a value function V."""
    privileged: tuple[Channel, ...] = ()
    """The P entries that only the critic reads, in training."""
    memory: str = "none"
    """One of MEMORIES: a GRU before the output layer, or a history of observations and actions."""
    memory_size: int = 0
    """Units of the GRU, or steps of the history; 0 without memory."""

    def __post_init__(self) -> None:
        self._require_texts()
        for name in ("observation", "action"):
            if not getattr(self, name):
                raise HgrpoError(f"{name} has no entries; allowed: one or more")
        for name in ("action_low", "action_high", "safe_action"):
            if len(getattr(self, name)) != len(self.action):
                raise HgrpoError(f"{name} has {len(getattr(self, name))} entries for {len(self.action)} actions")
        limits = zip(self.action, self.action_low, self.safe_action, self.action_high, strict=True)
        for entry, low, safe, high in limits:
            if not -math.inf < low < high < math.inf:
                raise HgrpoError(f"action {entry.name!r} has bounds [{low}, {high}]; allowed: finite, low < high")
            if not low <= safe <= high:
                raise HgrpoError(f"safe action of {entry.name!r} is {safe}; allowed: [{low}, {high}]")
        if not 0.0 < self.control_hz < math.inf:
            raise HgrpoError(f"control_hz must be above 0 and finite; given {self.control_hz}")
        if self.activation not in ACTIVATIONS:
            raise HgrpoError(unknown("activation", self.activation, ACTIVATIONS))
        if self.memory not in MEMORIES:
            raise HgrpoError(unknown("memory", self.memory, MEMORIES))
        if (self.memory_size < 1) != (self.memory == "none"):
            allowed = "0" if self.memory == "none" else "1 or more"
            raise HgrpoError(f"memory_size of memory {self.memory} is {self.memory_size}; allowed: {allowed}")

    def _require_texts(self) -> None:
        _require_text("task", self.task)
        _require_text("robot", self.robot)
        for name in ("observation", "action", "privileged"):
            for index, entry in enumerate(getattr(self, name)):
                for part, text in asdict(entry).items():
                    _require_text(f"{part} of {name} entry {index}", text)

    @property
    def observation_size(self) -> int:
        """Number of entries O of one observation."""
        return len(self.observation)

    @property
    def action_size(self) -> int:
        """Number of entries A of one action."""
        return len(self.action)

    @property
    def privileged_size(self) -> int:
        """Number of entries P that only the critic reads; acting does not need them."""
        return len(self.privileged)

    @property
    def memory_width(self) -> int:
        """Number of entries M that an acting policy carries from step to step; 0 without memory."""
        entries = {"gru": 1, "history": self.observation_size + self.action_size}
        return self.memory_size * entries.get(self.memory, 0)

    @property
    def action_history(self) -> int:
        """Number of past actions in the observation.

        Their entries are previous_NAME, previous_2_NAME and so on.
        """
        shown = {entry.name for entry in self.observation}
        count = 0
        while all(f"{past_action(count + 1)}_{entry.name}" in shown for entry in self.action):
            count += 1
        return count

    def to_json(self) -> str:
        """JSON with every field; `from_json` reads it."""
        return json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> PolicySpec:
        """Spec from its JSON; raises HgrpoError for another text or another schema version."""
        fields: Any = json.loads(text)
        if not isinstance(fields, dict):
            raise HgrpoError(f"not a policy spec: {text[:40]!r}")
        version = fields.pop("schema_version", None)
        if version != SCHEMA_VERSION:
            raise HgrpoError(f"policy spec has schema version {version}; this release reads version {SCHEMA_VERSION}")
        try:
            fields.setdefault("privileged", ())  # absent in specs of earlier releases
            for name in ("observation", "action", "privileged"):
                fields[name] = tuple(Channel(**entry) for entry in fields[name])
            for name in ("action_low", "action_high", "safe_action", "hidden_sizes"):
                fields[name] = tuple(fields[name])
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise HgrpoError(f"not a policy spec: {error}") from error


def _require_text(what: str, text: object) -> None:
    if not isinstance(text, str) or not text.isprintable() or "\\" in text:
        raise HgrpoError(f"{what} is {reprlib.repr(text)}; allowed: printable text without backslashes")


def past_action(age: int) -> str:
    """Prefix of the observed actions of `age` steps ago: previous, previous_2, previous_3, ..."""
    return "previous" if age == 1 else f"previous_{age}"
