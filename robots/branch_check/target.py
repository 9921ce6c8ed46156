"""Environments that the branch check can test: Gymnasium instances and simulators of one row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import gymnasium
import numpy as np
import torch

from robots.from_gymnasium.instance import Instance
from robots.from_gymnasium.options import EnvironmentRefusedError, split_options
from robots.from_gymnasium.returns import Outcome
from robots.from_gymnasium.source import Source
from robots.registry import families, make, names
from robots.simulator import Simulator, close, closed_on_error, map_state


class BranchTarget(Protocol):
    """One environment that can be reset, stepped, saved and restored."""

    low: np.ndarray
    """(A,) smallest value of each action entry."""
    high: np.ndarray
    """(A,) largest value of each action entry."""
    obstacle: str
    """Reason why no state can be saved; empty if states can be saved."""
    left_out: tuple[str, ...]
    """Attributes that snapshots do not contain."""

    def reset(self, seed: int) -> Outcome:
        """Start an episode."""
        ...

    def step(self, action: np.ndarray) -> Outcome:
        """Take one control step with an action (A,) float32."""
        ...

    def save(self) -> Any:
        """Save the whole state."""
        ...

    def restore(self, saved: Any) -> None:
        """Restore a state that was saved by any target of the same environment."""
        ...

    def renew(self) -> bool:
        """Restore the environment to its state before the first reset; false if that is not possible."""
        ...

    def is_inside(self, observation: np.ndarray) -> bool:
        """Whether an observation (O,) is in the declared space."""
        ...

    def close(self) -> None:
        """Close the environment."""
        ...


class InstanceTarget:
    """A Gymnasium environment."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.low, self.high = instance.spaces.low, instance.spaces.high
        self.obstacle, self.left_out = instance.obstacle, instance.unsaved
        flat = gymnasium.spaces.utils.flatten_space(instance.spaces.observation)
        assert isinstance(flat, gymnasium.spaces.Box)
        self._bounds = flat.low.astype(np.float64), flat.high.astype(np.float64)

    def reset(self, seed: int) -> Outcome:
        """Start an episode."""
        return self.instance.reset(seed)

    def step(self, action: np.ndarray) -> Outcome:
        """Take one control step."""
        return self.instance.step(action)

    def save(self) -> np.ndarray:
        """Save a snapshot (K,) uint8."""
        saved = np.empty(self.instance.snapshot_size, dtype=np.uint8)
        self.instance.save(saved)
        self.instance.verify()
        return saved

    def restore(self, saved: np.ndarray) -> None:
        """Restore a snapshot (K,)."""
        self.instance.verify()
        self.instance.restore(saved)

    def renew(self) -> bool:
        """Restore the state after the constructor; false if the first snapshot is later."""
        self.instance.restore(self.instance.fresh)
        return not self.instance.offers_protocol

    def close(self) -> None:
        """Close the environment."""
        self.instance.close()

    def is_inside(self, observation: np.ndarray) -> bool:
        """Whether every entry is within the bounds of its space."""
        low, high = self._bounds
        return bool(((observation >= low.reshape(-1)) & (observation <= high.reshape(-1))).all())


class SimulatorTarget:
    """One row of a simulator, with success, position and signals as info."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator, self._state = simulator, simulator.reset(1, 0)
        self.low = np.array(simulator.spec.action_low, dtype=np.float32)
        self.high = np.array(simulator.spec.action_high, dtype=np.float32)
        self.obstacle = simulator.spec.branching_obstacle
        self.left_out: tuple[str, ...] = ()

    def reset(self, seed: int) -> Outcome:
        """Start an episode."""
        self._state = self.simulator.reset(1, seed)
        return self._outcome(self.simulator.observe(self._state), 0.0, False)

    def step(self, action: np.ndarray) -> Outcome:
        """Take one control step."""
        step = self.simulator.step(self._state, torch.from_numpy(action).unsqueeze(0))
        self._state = step.state
        return self._outcome(step.observation, float(step.reward[0]), bool(step.terminated[0]))

    def save(self) -> Any:
        """Copy the state."""
        return map_state(torch.clone, self._state)

    def restore(self, saved: Any) -> None:
        """Continue from a copy of a saved state."""
        self._state = map_state(torch.clone, saved)

    def renew(self) -> bool:
        """True, because a simulator itself has no state."""
        return True

    def close(self) -> None:
        """Close the simulator."""
        close(self.simulator)

    def is_inside(self, observation: np.ndarray) -> bool:
        """True, because a simulator declares no bounds."""
        return True

    def _outcome(self, observation: torch.Tensor, reward: float, terminated: bool) -> Outcome:
        info: dict[str, Any] = {
            name: value[0].double().numpy() for name, value in self.simulator.signals(self._state).items()
        }
        info["success"] = bool(self.simulator.success(self._state)[0])
        info["position"] = self.simulator.position(self._state)[0].double().numpy()
        return Outcome(observation[0].double().numpy().copy(), reward, terminated, False, info)


def branch_targets(name: str, options: dict[str, Any]) -> tuple[BranchTarget, BranchTarget, BranchTarget | None]:
    """Two instances to check, and a plain one that is never restored.

    Args:
        name: A task, gymnasium/NAME, a Gymnasium id, MODULE:ID or MODULE:FACTORY.
        options: Options of the task.

    Returns:
        Two targets, and a third one or None. There is no third one for a simulator, whose state is explicit, and for an
        environment without snapshots.

    Raises:
        UnknownTaskError: There is no such task.
        EnvironmentRefusedError: The environment cannot be adapted.
    """
    prefix, slash, member = name.partition("/")
    if name in names() or (slash and prefix in families() and prefix != "gymnasium"):
        first_of_two = make(name, **options)
        with closed_on_error(first_of_two):
            return SimulatorTarget(first_of_two), SimulatorTarget(make(name, **options)), None
    own, kwargs = split_options(options)
    source = Source(member if slash and prefix == "gymnasium" else name, kwargs)
    made: list[Instance] = []
    try:
        for given in (own, own, replace(own, snapshots="none")):
            if len(made) < 2 or not made[0].obstacle:
                made.append(Instance.open(source, given))
            if len(made) > 1 and made[-1].env is made[-2].env:
                raise EnvironmentRefusedError(
                    f"{name} returns the same environment object in every call; allowed: a new one"
                )
    except BaseException:
        for instance in made:
            instance.close()
        raise
    one, other, *plain = (InstanceTarget(instance) for instance in made)
    return one, other, plain[0] if plain else None
