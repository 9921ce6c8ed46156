"""What a sampler returns: a rollout, and the episodes that ended in it."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from hgrpo_errors import HgrpoError
from policies.actor_critic import ActorCritic
from robots.episodes import Transition

_VALUE_ROWS = 4096
_CHECKED_NUMBERS = 2**20  # at once; the check of an array takes as much memory again


class Rollout(NamedTuple):
    """T steps of E roots with N samples each; a branch is n consecutive steps.

    G is 1 when branches are one step long, since N samples then share their root's observation, and N otherwise.
    """

    observation: Tensor
    """(T, E, G, O) what the policy saw; with its memory before it acted, (T, E, G, O + M)."""
    action: Tensor
    """(T, E, N, A) unclipped, in normalised units."""
    log_prob: Tensor
    """(T, E, N) log pi of `action` when it was drawn."""
    reward: Tensor
    """(T, E, N) of the simulator, or f(R) after the reward transform."""
    value: Tensor | None
    """(T, E, G) V of `observation`; None for a policy without critic."""
    next_value: Tensor | None
    """(T, E, N) V of the observation after the step, of a finished episode's last one; to be ignored where
    terminated."""
    terminated: Tensor
    """(T, E, N) bool, ended otherwise than by the time limit."""
    done: Tensor
    """(T, E, N) bool, terminated or cut by the time limit."""
    branch_length: int
    """n, divides T."""
    diverged: int = 0
    """Steps in which the physics of a sample failed."""
    weight: Tensor | None = None
    """(T, E, N) importance weights of actions that were not drawn from pi, 1 for the others; None where all were."""
    slope: Tensor | None = None
    """(T, E, N, A) derivative by `action` of the branch's return from each step on; None where none was recorded."""
    noise: Tensor | None = None
    """(T, E, N, A) (action - mean) / sigma of each action; None without slopes."""
    dropped_slopes: int = 0
    """Entries of `slope` that were not finite and are 0."""

    @property
    def executed_steps(self) -> int:
        """Steps of the executed samples, T x E: those that a real robot would take."""
        return self.done.shape[0] * self.done.shape[1]

    @property
    def simulator_steps(self) -> int:
        """Steps of all branches, T x E x N."""
        return self.done.numel()

    def metrics(self) -> dict[str, float]:
        """Faults of the physics.

        `diverged`: steps in which the physics of a sample failed, which ended its episode.
        `dropped_slopes`: entries of slopes that were not finite; only where slopes are recorded.
        """
        faults: dict[str, float] = {"diverged": self.diverged}
        return faults if self.slope is None else faults | {"dropped_slopes": self.dropped_slopes}

    @property
    def executed_observation(self) -> Tensor:
        """(T, E, O) observations of the executed sample."""
        return self.observation[:, :, 0]


class FinishedEpisodes(NamedTuple):
    """Executed episodes from initial states that ended during a rollout, in no particular order."""

    episode_return: Tensor
    """(K,) sum of rewards."""
    length: Tensor
    """(K,) control steps."""
    success: Tensor
    """(K,) bool, whether the task's goal was reached."""

    def metrics(self, goal: bool) -> dict[str, float]:
        """Means over the episodes, NaN where none ended.

        `episode_return`: before any reward transform.
        `episode_length`: in control steps.
        `success_rate`: share that reached the task's goal; NaN for a task without `goal`.
        """
        return {
            "episode_return": self.episode_return.mean().item(),
            "episode_length": self.length.double().mean().item(),
            "success_rate": self.success.double().mean().item() if goal else math.nan,
        }


class NotFiniteError(HgrpoError):
    """Raised when a simulator or a loss produced NaN or infinity; names which."""


class RolloutFailedError(HgrpoError):
    """Raised when a simulator fails in a rollout; the run can continue from before it."""


class Drawn(NamedTuple):
    """Actions of N samples of E roots."""

    action: Tensor
    """(E, N, A) unclipped, in normalised units."""
    log_prob: Tensor
    """(E, N) log density of the action."""
    noise: Tensor
    """(E, N, A) (action - mean) / sigma."""
    memory: Tensor | None = None
    """(E N, M) memory of the policy after the action; None without memory."""


class RolloutRecorder:
    """Records a rollout step by step; the critic is evaluated once, at the end."""

    def __init__(
        self,
        rollout_steps: int,
        num_envs: int,
        num_samples: int,
        branch_length: int,
        observation_size: int,
        action_size: int,
        device: torch.device | None = None,
        slopes: bool = False,
    ) -> None:
        self._shape = (num_envs, num_samples)
        self._branch_length = branch_length
        self._observations_per_root = 1 if branch_length == 1 else num_samples
        t, e, n = rollout_steps, num_envs, num_samples
        empty = partial(torch.empty, dtype=torch.float32, device=device)
        self.observation = empty(t, e, self._observations_per_root, observation_size)
        self.end_observation = empty(t // branch_length, e, n, observation_size)
        self.action = empty(t, e, n, action_size)
        self.log_prob = empty(t, e, n)
        self.reward = empty(t, e, n)
        self.terminated = torch.empty(t, e, n, dtype=torch.bool, device=device)
        self.truncated = torch.empty_like(self.terminated)
        self.slope = empty(t, e, n, action_size) if slopes else None
        self.noise = empty(t, e, n, action_size) if slopes else None
        self._diverged = torch.zeros((), dtype=torch.int64, device=device)
        self._dropped = torch.zeros_like(self._diverged)
        self._truncated_rows: list[tuple[int, Tensor, Tensor]] = []
        self._finished: list[FinishedEpisodes] = []

    def write(
        self,
        t: int,
        observation: Tensor,
        drawn: Drawn,
        transition: Transition,
        ended: Tensor,
    ) -> None:
        """Record a step.

        Args:
            t: Number of the step.
            observation: (E G, O) before the step.
            drawn: The actions.
            transition: What the simulator returned, E N rows.
            ended: (k,) int64 rows in which an episode ended.
        """
        self.observation[t] = observation.reshape(self.observation.shape[1:])
        self.action[t], self.log_prob[t] = drawn.action, drawn.log_prob
        if self.noise is not None:
            self.noise[t] = drawn.noise
        self.reward[t] = transition.reward.reshape(self._shape)
        self.terminated[t] = transition.terminated.reshape(self._shape)
        self.truncated[t] = transition.truncated.reshape(self._shape)
        macro_step, within = divmod(t, self._branch_length)
        if within == self._branch_length - 1:
            self.end_observation[macro_step] = transition.observation.reshape(self.end_observation.shape[1:])
        elif ended.numel():
            rows = ended[transition.truncated[ended]]
            if rows.numel():
                self._truncated_rows.append((t, rows, transition.observation[rows]))

    def write_slopes(self, start: int, slope: Tensor) -> None:
        """Record the slopes (n, E N, A) of the branch that began at step `start`; 0 in place of NaN and infinity."""
        assert self.slope is not None
        finite = torch.isfinite(slope)
        branch = self.slope[start : start + len(slope)]
        branch.copy_(torch.where(finite, slope, 0.0).reshape(branch.shape))
        self._dropped += (~finite).sum()

    def count_diverged(self, diverged: Tensor) -> None:
        """Count rows (B,) bool whose physics failed."""
        self._diverged += diverged.sum()

    def finish(self, episodes: FinishedEpisodes) -> None:
        """Record executed episodes that ended."""
        self._finished.append(episodes)

    def finished(self) -> FinishedEpisodes:
        """All executed episodes that ended during the rollout."""
        if not self._finished:
            kinds = (torch.float64, torch.int64, torch.bool)
            return FinishedEpisodes(*(torch.empty(0, dtype=kind, device=self.reward.device) for kind in kinds))
        return FinishedEpisodes(*(torch.cat(parts) for parts in zip(*self._finished, strict=True)))

    def rollout(self, policy: ActorCritic) -> Rollout:
        """The finished rollout, V included if the policy has a critic; raises NotFiniteError."""
        _require_finite("observation", self.observation)
        _require_finite("reward", self.reward)
        _require_finite("action", self.action)
        self._require_finite_ends()
        value, next_value = self._values(policy) if policy.critic is not None else (None, None)
        done = self.terminated | self.truncated
        return Rollout(
            self.observation,
            self.action,
            self.log_prob,
            self.reward,
            value,
            next_value,
            self.terminated,
            done,
            self._branch_length,
            int(self._diverged),
            slope=self.slope,
            noise=self.noise,
            dropped_slopes=int(self._dropped),
        )

    def _require_finite_ends(self) -> None:
        """Raise NotFiniteError for an observation after a step that V is taken of.

        V of the observation after a termination is not used, so that one need not be finite.
        """
        ended_for_good = self.terminated[self._branch_length - 1 :: self._branch_length].unsqueeze(-1)
        ends = [torch.where(ended_for_good, 0.0, self.end_observation).flatten()]
        ends += [observation.flatten() for _, _, observation in self._truncated_rows]
        bad = int(torch.stack([(~torch.isfinite(end)).sum() for end in ends]).sum())
        if bad:
            raise NotFiniteError(f"{bad} observation values are not finite, at the end of a branch or of an episode")

    def _values(self, policy: ActorCritic) -> tuple[Tensor, Tensor]:
        """V of every observation (T, E, G) and of the observation after every step (T, E, N)."""
        n = self._branch_length
        value = value_of(policy, self.observation.flatten(0, 2)).reshape(self.observation.shape[:-1])
        next_value = torch.empty_like(self.reward)
        next_value[n - 1 :: n] = value_of(policy, self.end_observation.flatten(0, 2)).reshape(-1, *self._shape)
        if n > 1:
            branches = next_value.unflatten(0, (-1, n))
            branches[:, :-1] = value.unflatten(0, (-1, n))[:, 1:]
        if self._truncated_rows:
            final_value = value_of(policy, torch.cat([observation for _, _, observation in self._truncated_rows]))
            sizes = [len(rows) for _, rows, _ in self._truncated_rows]
            for (t, rows, _), values in zip(self._truncated_rows, final_value.split(sizes), strict=True):
                next_value[t].view(-1)[rows] = values
        return value, next_value


def value_of(policy: ActorCritic, observation: Tensor) -> Tensor:
    """V (R,) of observations (R, O), in blocks whose layers stay in the processor's cache."""
    return torch.cat([policy.value(block) for block in observation.split(_VALUE_ROWS)])


def _require_finite(name: str, values: Tensor) -> None:
    """Raise NotFiniteError that counts the bad entries."""
    blocks = values.flatten().split(_CHECKED_NUMBERS)
    if not bool(torch.stack([torch.isfinite(block).all() for block in blocks]).all()):
        bad = ~torch.isfinite(values)
        step, env = (int(i) for i in bad.nonzero()[0][:2])
        raise NotFiniteError(f"{int(bad.sum())} {name} values are not finite, the first at step {step} of root {env}")
