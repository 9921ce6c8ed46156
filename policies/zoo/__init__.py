"""Policies that are trained already, one per task: `zoo:NAME` where a command takes a policy.

Each is an ONNX file beside this one. zoo.json says how it was trained and how well it flies. Importable without torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hgrpo_errors import HgrpoError, unknown

PREFIX = "zoo:"
FOLDER = Path(__file__).parent
INDEX = FOLDER / "zoo.json"


@dataclass(frozen=True)
class Entry:
    """How a policy was trained, and its figures over fresh episodes."""

    task: str
    """Name of the task."""
    command: str
    """Command that trained it."""
    simulator_steps: int
    """Simulator steps of the training."""
    observations: int
    """Observations in the statistics of its normaliser."""
    episodes: int
    """Episodes of the figures."""
    seed: int
    """Seed of these episodes."""
    success_rate: float | None
    """Share of the episodes with success; None for a task without success."""
    return_mean: float
    """Mean return."""
    return_std: float
    """Standard deviation of the return."""

    def figures(self) -> str:
        """The figures in words."""
        success = "" if self.success_rate is None else f"success {self.success_rate:.3f}, "
        return f"{success}return {self.return_mean:.1f} +- {self.return_std:.1f}"


@cache
def entries() -> dict[str, Entry]:
    """Every policy of the zoo by name, in alphabetical order."""
    return {name: Entry(**fields) for name, fields in json.loads(INDEX.read_text()).items()}


def find(name: str) -> Path:
    """The ONNX file of a policy of the zoo; raises HgrpoError for an unknown name."""
    if name not in entries():
        raise HgrpoError(unknown("policy of the zoo", name, tuple(entries())))
    return FOLDER / f"{name}.onnx"


def resolved(policy: str) -> str:
    """The path of `zoo:NAME`; any other text as it is."""
    return str(find(policy.removeprefix(PREFIX))) if policy.startswith(PREFIX) else policy
