"""A simulator whose observation includes its hidden entries, for a privileged critic."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hgrpo_errors import HgrpoError
from robots.simulator import Adjustable, Simulator, Step, close, episode_metrics


class Privileged:
    """The same simulator with the P privileged entries appended to its observation: (B, O + P).

    Raises:
        HgrpoError: The simulator has no privileged entries.
    """

    def __init__(self, simulator: Simulator) -> None:
        hidden = simulator.spec.privileged
        if not hidden:
            raise HgrpoError(
                f"{simulator.spec.name} has no hidden entries for a privileged critic; randomise it, "
                "for example with --task-options mass=0.3"
            )
        self.simulator = simulator
        self.spec = dataclasses.replace(
            simulator.spec, observation=simulator.spec.observation + hidden, privileged=hidden
        )

    def reset(self, num: int, seed: int | torch.Generator) -> Any:
        """As Simulator.reset."""
        return self.simulator.reset(num, seed)

    def observe(self, state: Any) -> Tensor:
        """(B, O + P) observation, then privileged entries."""
        return torch.cat((self.simulator.observe(state), self.simulator.privileged(state)), dim=1)

    def privileged(self, state: Any) -> Tensor:
        """(B, P) as Simulator.privileged."""
        return self.simulator.privileged(state)

    def split_noise(self, state: Any, index: Tensor) -> Any:
        """As Simulator.split_noise."""
        return self.simulator.split_noise(state, index)

    def step(self, state: Any, action: Tensor) -> Step:
        """As Simulator.step, with the observation (B, O + P)."""
        step = self.simulator.step(state, action)
        return step._replace(observation=torch.cat((step.observation, self.simulator.privileged(step.state)), dim=1))

    def success(self, state: Any) -> Tensor:
        """(B,) bool as Simulator.success."""
        return self.simulator.success(state)

    def metrics(self, state: Any) -> dict[str, Tensor]:
        """Figures (B,) of a Measured simulator; empty for any other."""
        return episode_metrics(self.simulator, state)

    @property
    def settings(self) -> dict[str, float]:
        """Settings of an Adjustable simulator; empty for any other."""
        return self.simulator.settings if isinstance(self.simulator, Adjustable) else {}

    def adjust(self, name: str, value: float) -> None:
        """Change a setting; raises HgrpoError for one that the simulator does not have."""
        if not isinstance(self.simulator, Adjustable):
            raise HgrpoError(f"{self.spec.name} has no settings to adjust; given {name!r}")
        self.simulator.adjust(name, value)

    def close(self) -> None:
        """Close the simulator."""
        close(self.simulator)

    def diverged(self, state: Any) -> Tensor:
        """(B,) bool as Simulator.diverged."""
        return self.simulator.diverged(state)

    def signals(self, state: Any) -> dict[str, Tensor]:
        """As Simulator.signals."""
        return self.simulator.signals(state)

    def position(self, state: Any) -> Tensor:
        """(B, 3) as Simulator.position [m]."""
        return self.simulator.position(state)

    def render(
        self, state: Any, row: int = 0, width: int = 640, height: int = 480, trail: np.ndarray | None = None
    ) -> np.ndarray:
        """As Simulator.render."""
        return self.simulator.render(state, row, width, height, trail)
