"""Evaluation of a policy: deterministic actions in new episodes, all of them in one batch."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from hgrpo_control.evaluation.episode_log import EpisodeLog
from hgrpo_errors import HgrpoError
from hgrpo_files import write_text
from policies.actor_critic import ActorCritic
from policies.carried import Carried
from policies.spec import PolicySpec
from robots.episodes import Episodes, Transition, reset_episodes, step_episodes
from robots.interventions import Disturbable, Disturbance
from robots.simulator import Simulator, episode_metrics, map_state, select


class PolicyMismatchError(HgrpoError):
    """Raised for a policy and a simulator of different tasks."""


class Policy(Protocol):
    """A deterministic policy: a torch policy, or an exported one as an ArrayPolicy."""

    @property
    def spec(self) -> PolicySpec:
        """Its observation and action channels."""
        ...

    def __call__(self, observation: Tensor) -> Tensor:
        """Action (B, A) for an observation (B, O), without exploration."""
        ...


@runtime_checkable
class Resets(Protocol):
    """A policy that remembers earlier calls, or may."""

    def reset(self) -> None:
        """Forget what was observed; called before new episodes."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """Figures over a number of new episodes."""

    task: str
    episodes: int
    seed: int
    return_mean: float
    return_std: float
    success_rate: float
    """NaN if the task has no goal but its reward."""
    length_mean: float
    """Control steps."""
    terminated_rate: float
    """Share of episodes that ended before the time limit."""
    final_second: dict[str, float]
    """Mean norm of each signal over the last second of the episodes that reached the time limit; NaN if none did."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Mean of each of the task's own figures over the episodes that have it; NaN if none has."""
    task_options: dict[str, Any] = field(default_factory=dict)
    """Options of the task."""
    judged_at: dict[str, Any] = field(default_factory=dict)
    """Difficulty and reward weights, and the words that chose them; empty for a plain `evaluate`."""
    disturbances: dict[str, float] = field(default_factory=dict)
    """Disturbances of all episodes by name."""

    def summary(self) -> str:
        """The main figures on one line, and those of the task on a second.

        A task without a goal has no success rate.
        """
        success = "" if math.isnan(self.success_rate) else f"success_rate {self.success_rate:.3f}, "
        own = ", ".join(f"{name} {value:.3g}" for name, value in self.metrics.items() if not math.isnan(value))
        return (
            f"{self.episodes} episodes: return {self.return_mean:.1f} +- {self.return_std:.1f}, "
            f"{success}length {self.length_mean:.0f}" + (f"\n{own}" if own else "")
        )

    @property
    def figures(self) -> dict[str, float]:
        """The main figures and the task's own by name; NaN where one was not measured."""
        names = ("return_mean", "return_std", "success_rate", "length_mean", "terminated_rate")
        return {name: getattr(self, name) for name in names} | self.metrics

    def write(self, path: Path) -> None:
        """Write as JSON."""
        write_text(path, self.to_json())

    def to_json(self) -> str:
        """JSON text, as `write` writes it."""
        return json.dumps(self.for_json(), indent=2, allow_nan=False) + "\n"

    def for_json(self) -> dict[str, Any]:
        """The fields with None in place of NaN, which JSON does not have."""
        fields = asdict(self)
        for name in ("final_second", "metrics"):
            fields[name] = {k: None if math.isnan(v) else v for k, v in fields[name].items()}
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in fields.items()}


class Recording(NamedTuple):
    """The first few episodes of an evaluation, step by step."""

    states: list[Any]
    """One state of K rows per control step, the initial one included."""
    alive: Tensor
    """(steps + 1, K) bool, whether the episode was still running when the step began."""
    signals: dict[str, np.ndarray]
    """Per signal (steps + 1, K, size); NaN once an episode has ended."""
    episode_return: Tensor
    """(K,) return of each episode."""
    terminated: Tensor
    """(K,) bool, whether the episode ended before the time limit."""

    def last_step(self, row: int) -> int:
        """Index of the state in which an episode ended."""
        return min(int(self.alive[:, row].sum()), len(self.states) - 1)


def require_same_interface(policy: Policy | ActorCritic, simulator: Simulator) -> None:
    """Raise PolicyMismatchError unless task, observation and action of policy and simulator are the same."""
    ours, theirs = policy.spec, simulator.spec
    if ours.task != theirs.name:
        raise PolicyMismatchError(f"the policy was trained for {ours.task!r}; the task here is {theirs.name!r}")
    hidden = {entry.name for entry in ours.privileged}  # a simulator that returns them has the same task
    names = ([entry.name for entry in ours.observation], [entry.name for entry in ours.action])
    if names != ([q.name for q in theirs.observation if q.name not in hidden], [q.name for q in theirs.action]):
        raise PolicyMismatchError(
            f"the policy for {ours.task!r} has other observation or action entries than this release"
        )


@torch.no_grad()
def evaluate(
    policy: Policy | ActorCritic,
    simulator: Simulator,
    episodes: int = 100,
    seed: int = 0,
    record: int = 0,
    disturbance: Disturbance | None = None,
    log: EpisodeLog | None = None,
) -> tuple[Evaluation, Recording]:
    """Run the policy's mean action in new episodes, each to its end.

    Args:
        policy: A torch policy, or an `ArrayPolicy` around a policy on arrays.
        simulator: The task.
        episodes: Number of episodes, at least 1.
        seed: Seed of their starts and noise.
        record: Number of episodes that are kept step by step.
        disturbance: Hidden parameters of all episodes, for a simulator that is Disturbable.
        log: Filled with every step of all episodes.

    Returns:
        The figures, and the recording of the first `record` episodes.

    Raises:
        PolicyMismatchError: If the policy was made for another task.
        HgrpoError: For fewer than one episode.
    """
    if episodes < 1:
        raise HgrpoError(f"episodes must be at least 1; given {episodes}")
    require_same_interface(policy, simulator)
    act = Carried(policy) if isinstance(policy, ActorCritic) else policy
    if isinstance(act, Resets):
        act.reset()
    spec, keep = simulator.spec, slice(0, min(record, episodes))
    running = reset_episodes(simulator, episodes, seed)
    if disturbance is not None:
        assert isinstance(simulator, Disturbable)  # else refused before
        running = running._replace(state=simulator.disturbed(running.state, disturbance))
    observation = simulator.observe(running.state)
    tally = _Tally(running, simulator, tuple(simulator.signals(running.state)))
    states, alive = [_clone(select(running.state, keep))], [tally.alive[keep].clone()]
    for _ in range(spec.max_episode_steps):
        action = act(observation)
        transition = step_episodes(simulator, running, action)
        if log is not None:
            log.add(running.state, observation, action, transition, tally.alive)
        tally.count(transition)
        running, observation = transition.episodes, transition.observation
        states.append(_clone(select(running.state, keep)))
        alive.append(tally.alive[keep].clone())
        if not bool(tally.alive.any()):
            break
    shown = torch.stack(alive)
    signals = _signals(simulator, states, shown) if record else {}
    return tally.evaluation(seed), Recording(states, shown, signals, tally.total[keep], tally.terminated[keep])


class _Tally:
    """Returns, lengths and successes of one episode per row.

    Steps after its end are not counted.
    """

    def __init__(self, begun: Episodes, simulator: Simulator, names: tuple[str, ...]) -> None:
        self.simulator = simulator
        self.alive = torch.ones_like(begun.elapsed, dtype=torch.bool)
        self.total = torch.zeros_like(begun.elapsed, dtype=torch.float64)
        self.length = torch.zeros_like(begun.elapsed)
        self.success = torch.zeros_like(self.alive)
        self.terminated = torch.zeros_like(self.alive)
        self.final_second: dict[str, list[Tensor]] = {}
        self.metrics: dict[str, list[Tensor]] = {}
        self.names = names

    def count(self, transition: Transition) -> None:
        """Count one step of all rows."""
        self.total += torch.where(self.alive, transition.reward, 0.0).double()
        self.length += self.alive
        ended = (transition.terminated | transition.truncated) & self.alive
        if bool(ended.any()):
            self.success |= self.simulator.success(transition.episodes.state) & ended
            self.terminated |= transition.terminated & ended
            for name, values in episode_metrics(self.simulator, transition.episodes.state).items():
                self.metrics.setdefault(name, []).append(values[ended].double())
        spec = self.simulator.spec
        if int(self.length.max()) > spec.max_episode_steps - round(spec.control_hz):
            self._note_signals(transition.episodes)
        self.alive &= ~ended

    def _note_signals(self, episodes: Episodes) -> None:
        for name, values in self.simulator.signals(episodes.state).items():
            self.final_second.setdefault(name, []).append(values.double().norm(dim=1))

    def _final_second(self, name: str, rows: Tensor) -> float:
        """Mean norm of a signal over the last second of some rows.

        NaN if no episode lasted that long.
        """
        if name not in self.final_second:
            return math.nan
        return torch.stack(self.final_second[name])[:, rows].mean().item()

    def evaluation(self, seed: int) -> Evaluation:
        """The figures so far."""
        complete = ~self.terminated
        return Evaluation(
            task=self.simulator.spec.name,
            episodes=len(self.total),
            seed=seed,
            return_mean=self.total.mean().item(),
            return_std=self.total.std(correction=0).item(),
            success_rate=self.success.double().mean().item() if self.simulator.spec.goal else math.nan,
            length_mean=self.length.double().mean().item(),
            terminated_rate=self.terminated.double().mean().item(),
            final_second={name: self._final_second(name, complete) for name in self.names},
            metrics={name: torch.cat(values).nanmean().item() for name, values in self.metrics.items()},
        )


def _clone(state: Any) -> Any:
    return map_state(torch.clone, state)


def _signals(simulator: Simulator, states: list[Any], alive: Tensor) -> dict[str, np.ndarray]:
    """Signals of recorded states up to the last state of each episode; NaN after it."""
    shown = torch.cat((alive[:1], alive[:-1]))
    per_step = [simulator.signals(state) for state in states]
    return {
        name: torch.stack(
            [
                torch.where(row.unsqueeze(1), signals[name], torch.nan)
                for row, signals in zip(shown, per_step, strict=True)
            ]
        )
        .double()
        .cpu()
        .numpy()
        for name in per_step[0]
    }
