"""Who flies: a policy, the newest checkpoint of a run that is trained, or nobody."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from hgrpo_control.evaluation.evaluate import Policy, Resets, require_same_interface
from policies.carried import Carried
from policies.checkpoint import CheckpointError, restore
from robots.simulator import Simulator


class Pilot:
    """A policy, or the neutral action of the task without one.

    Args:
        name: Name on the page.
        policy: The policy; None holds the task's neutral action.
    """

    def __init__(self, name: str, policy: Policy | None = None) -> None:
        self.name, self.policy = name, policy

    @property
    def note(self) -> str:
        """What the page prints behind the name; empty for a policy that does not change."""
        return "" if self.policy is not None else "no policy: the neutral action of the task is held"

    def require_fit(self, simulator: Simulator) -> None:
        """Raise PolicyMismatchError for a policy of another task, observation or action."""
        if self.policy is not None:
            require_same_interface(self.policy, simulator)

    def begin(self, simulator: Simulator) -> None:
        """Forget the last episode; called before a new one."""
        if isinstance(self.policy, Resets):
            self.policy.reset()

    @torch.no_grad()
    def act(self, observation: Tensor, simulator: Simulator) -> Tensor:
        """Action (1, A) for an observation (1, O)."""
        if self.policy is None:
            return torch.tensor([simulator.spec.neutral_action], dtype=torch.float32)
        return self.policy(observation)


class TrainingPilot(Pilot):
    """The newest checkpoint of a run, read again before every episode if the file has changed.

    Args:
        name: Name on the page.
        checkpoint: The file; before the first checkpoint the neutral action is held.
    """

    def __init__(self, name: str, checkpoint: Path) -> None:
        super().__init__(name)
        self.checkpoint = checkpoint
        self.loaded = 0
        """Number of checkpoints that were loaded."""
        self._read: tuple[int, int, int] | None = None
        self._note = "no checkpoint yet: the neutral action of the task is held"

    @property
    def note(self) -> str:
        """The iteration and the steps of the checkpoint."""
        return self._note

    def begin(self, simulator: Simulator) -> None:
        """Load the checkpoint if it is new; one that cannot be read is tried again before the next episode."""
        found = self._stamp()
        if found is not None and found != self._read:
            try:
                policy, training = restore(self.checkpoint)
            except CheckpointError as error:
                self._note = f"{self._note.partition(' (')[0]} (not read: {error})"
            else:
                require_same_interface(policy, simulator)
                self.policy, self._read = Carried(policy), found
                self.loaded += 1
                steps = training.get("simulator_steps")
                at = f"iteration {training.get('iteration', '?')}" + (f", {steps:,} steps" if steps else "")
                self._note = f"checkpoint of {at}"
        super().begin(simulator)

    def _stamp(self) -> tuple[int, int, int] | None:
        """Identity of the present file; None without one."""
        try:
            status = self.checkpoint.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns
