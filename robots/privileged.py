"""A simulator that shows what it hides, for a critic that is thrown away after training."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hgrpo_errors import HgrpoError
from robots.simulator import Adjustable, Simulator, Step, close, episode_metrics


class Privileged:
    """The same simulator whose observation (B, O + P) ends with the P entries of `privileged`.

    Raises ValueError for a simulator that hides nothing.
    """

    def __init__(self, simulator: Simulator) -> None:
        hidden = simulator.spec.privileged
        if not hidden:
            raise HgrpoError(
                f"{simulator.spec.name} hides nothing that a privileged critic could see; randomise it, "
                "for example with --task-options mass=0.3"
            )
        self.simulator = simulator
        self.spec = dataclasses.replace(
            simulator.spec, observation=simulator.spec.observation + hidden, privileged=hidden
        )

    def reset(self, num: int, seed: int | torch.Generator) -> Any:
        """Initial states of the simulator."""
        return self.simulator.reset(num, seed)

    def observe(self, state: Any) -> Tensor:
        """(B, O + P) observation, then what it leaves out."""
        return torch.cat((self.simulator.observe(state), self.simulator.privileged(state)), dim=1)

    def privileged(self, state: Any) -> Tensor:
        """(B, P) of the simulator."""
        return self.simulator.privileged(state)

    def split_noise(self, state: Any, index: Tensor) -> Any:
        """That of the simulator."""
        return self.simulator.split_noise(state, index)

    def step(self, state: Any, action: Tensor) -> Step:
        """One step of the simulator, seen in full."""
        step = self.simulator.step(state, action)
        return step._replace(observation=torch.cat((step.observation, self.simulator.privileged(step.state)), dim=1))

    def success(self, state: Any) -> Tensor:
        """(B,) that of the simulator."""
        return self.simulator.success(state)

    def metrics(self, state: Any) -> dict[str, Tensor]:
        """Those of the simulator, if it has any."""
        return episode_metrics(self.simulator, state)

    @property
    def settings(self) -> dict[str, float]:
        """Those of the simulator, if it has any."""
        return self.simulator.settings if isinstance(self.simulator, Adjustable) else {}

    def adjust(self, name: str, value: float) -> None:
        """Change a setting of the simulator; raises ValueError for one that it does not have."""
        if not isinstance(self.simulator, Adjustable):
            raise HgrpoError(f"{self.spec.name} has no settings to adjust; given {name!r}")
        self.simulator.adjust(name, value)

    def close(self) -> None:
        """Close the simulator."""
        close(self.simulator)

    def diverged(self, state: Any) -> Tensor:
        """(B,) that of the simulator."""
        return self.simulator.diverged(state)

    def signals(self, state: Any) -> dict[str, Tensor]:
        """Those of the simulator."""
        return self.simulator.signals(state)

    def position(self, state: Any) -> Tensor:
        """(B, 3) that of the simulator [m]."""
        return self.simulator.position(state)

    def render(
        self, state: Any, row: int = 0, width: int = 640, height: int = 480, trail: np.ndarray | None = None
    ) -> np.ndarray:
        """Picture (height, width, 3) by the simulator."""
        return self.simulator.render(state, row, width, height, trail)
