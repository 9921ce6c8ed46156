"""What a policy reads and writes, in words and numbers; importable without torch, so that it can travel with an
export."""

from __future__ import annotations

import json
import math
import reprlib
from dataclasses import asdict, dataclass
from typing import Any

from hgrpo_errors import HgrpoError

SCHEMA_VERSION = 1
ACTIVATIONS = ("tanh", "relu", "elu")


@dataclass(frozen=True)
class Channel:
    """One entry of an observation or an action: name, unit, and the frame it is expressed in."""

    name: str
    unit: str = "1"
    frame: str = ""


@dataclass(frozen=True)
class PolicySpec:
    """The interface of a policy and the shape of its networks.

    `safe_action` is what to send when the policy has nothing valid to say. `critic` is false for policies trained
    without V. Raises ValueError without an observation or an action, where sizes disagree, a range is empty or not
    finite, the safe action lies outside the bounds, the rate is not positive or the activation is unknown. Names,
    units, frames, the task and the robot are printable text without backslashes: they become source code and tables.
    """

    task: str
    robot: str
    control_hz: float
    observation: tuple[Channel, ...]
    action: tuple[Channel, ...]
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    safe_action: tuple[float, ...]
    hidden_sizes: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    min_sigma: float = 0.01
    critic: bool = True
    privileged: tuple[Channel, ...] = ()

    def __post_init__(self) -> None:
        self._require_texts()
        for name in ("observation", "action"):
            if not getattr(self, name):
                raise HgrpoError(f"{name} has no entries; expected one or more")
        for name in ("action_low", "action_high", "safe_action"):
            if len(getattr(self, name)) != len(self.action):
                raise HgrpoError(f"{name} has {len(getattr(self, name))} entries for {len(self.action)} actions")
        limits = zip(self.action, self.action_low, self.safe_action, self.action_high, strict=True)
        for entry, low, safe, high in limits:
            if not -math.inf < low < high < math.inf:
                raise HgrpoError(f"action {entry.name!r} has bounds [{low}, {high}]; allowed: finite, lower one first")
            if not low <= safe <= high:
                raise HgrpoError(f"safe action of {entry.name!r} is {safe}; allowed: [{low}, {high}]")
        if not 0.0 < self.control_hz < math.inf:
            raise HgrpoError(f"control_hz must be above 0; given {self.control_hz}")
        if self.activation not in ACTIVATIONS:
            raise HgrpoError(f"unknown activation {self.activation!r}; allowed: {', '.join(ACTIVATIONS)}")

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
        """Number of entries P that the critic saw in training besides the observation; acting does not need them."""
        return len(self.privileged)

    @property
    def action_history(self) -> int:
        """How many of the last actions the observation shows: entries previous_NAME, previous_2_NAME, ... of every
        action."""
        shown = {entry.name for entry in self.observation}
        count = 0
        while all(f"{past_action(count + 1)}_{entry.name}" in shown for entry in self.action):
            count += 1
        return count

    def to_json(self) -> str:
        """JSON with every field; `from_json` gives back an equal spec."""
        return json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> PolicySpec:
        """Spec from its JSON; raises ValueError if the text is not one, or another schema version's."""
        fields: Any = json.loads(text)
        if not isinstance(fields, dict):
            raise HgrpoError(f"not a policy spec: {text[:40]!r}")
        version = fields.pop("schema_version", None)
        if version != SCHEMA_VERSION:
            raise HgrpoError(f"policy spec has schema version {version}; this release reads {SCHEMA_VERSION}")
        try:
            fields.setdefault("privileged", ())  # specs of earlier releases have none
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
    """What the observation calls actions of `age` steps ago: previous, previous_2, previous_3, ..."""
    return "previous" if age == 1 else f"previous_{age}"
