"""The sampler of PPO, GRPO and Hybrid GRPO: E roots x N samples x n steps.

From each of E executed environments, N branches start in exactly the same simulator state (eq. 5, eq. 10) and collect
their own rewards (eq. 6, eq. 11) for n steps. Sample 0 is the executed one: its index is fixed before any reward is
seen, and the next branches start where it ended. The others are dropped at the end of their branch. Any sample whose
episode ends restarts within its branch.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from hgrpo_control.algorithms.rollout import (
    FinishedEpisodes,
    NotFiniteError,
    Rollout,
    RolloutFailedError,
    RolloutRecorder,
)
from hgrpo_control.ranks.ranks import ALONE, Ranks
from hgrpo_control.sampling.acting import Acting
from hgrpo_control.sampling.archive import Archive
from hgrpo_control.sampling.nested_lists import from_lists, to_lists
from hgrpo_control.sampling.slope_tape import SlopeTape
from hgrpo_errors import HgrpoError
from policies.actor_critic import ActorCritic
from robots.episodes import Beginning, Episodes, FreshEpisodes, Transition, after_step, autoreset, reset_episodes
from robots.simulator import Simulator, map_state, repeat, select


class Sampler:
    """Draws rollouts of T steps; each continues from the roots of the last one.

    Randomness comes from separate generators for the executed sample and for its siblings, so branching changes no bit
    of the executed trajectory, with as many threads on the same machine. `state_dict` holds everything that the next
    rollout depends on besides the policy.

    Args:
        simulator: Of the task.
        policy: The one that acts.
        num_envs: E.
        num_samples: N.
        branch_length: n, divides T.
        rollout_steps: T.
        seed: Of actions and episodes.
        split_noise: Give each sibling its own randomness, gusts for example; else all samples of a root share it.
        initial_states: Start every branch in a new initial state instead of where the executed sample ended. An episode
            that has not ended with its branch is dropped and is not among the finished ones.
        archive_share: Share of the new executed episodes that start from an archive of saved states; None has no
            archive. Such episodes are not among the finished ones.
        slope_gamma: Discount of the returns whose slopes are recorded; None records none.
        ranks: Processes of the run; a rollout that fails in one of them fails in all.
    """

    def __init__(
        self,
        simulator: Simulator,
        policy: ActorCritic,
        num_envs: int,
        num_samples: int,
        branch_length: int,
        rollout_steps: int,
        seed: int,
        split_noise: bool = False,
        initial_states: bool = False,
        archive_share: float | None = None,
        slope_gamma: float | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        if rollout_steps % branch_length:
            raise HgrpoError(f"branch_length {branch_length} does not divide rollout_steps {rollout_steps}")
        self.simulator, self.policy, self.ranks = simulator, policy, ranks
        self.num_envs, self.num_samples = num_envs, num_samples
        self.branch_length, self.rollout_steps, self.split_noise = branch_length, rollout_steps, split_noise
        self.initial_states = initial_states
        self.slope_gamma = slope_gamma
        self.cuts_episodes = initial_states and branch_length < simulator.spec.max_episode_steps
        streams = ("executed", "siblings", "executed_restarts", "sibling_restarts")
        source = torch.Generator().manual_seed(seed)
        seeds = torch.randint(2**62, (len(streams),), generator=source)
        self.generators = {
            name: torch.Generator(policy.device).manual_seed(s) for name, s in zip(streams, seeds.tolist(), strict=True)
        }
        self.restarts = {
            name: FreshEpisodes(simulator, rows, self.generators[f"{name}_restarts"], policy.memory_width)
            for name, rows in (("executed", num_envs), ("sibling", num_envs * (num_samples - 1)))
        }
        self.roots = self._reset()
        self.archive: Archive | None = None
        if archive_share is not None:
            own_seed = int(torch.randint(2**62, (), generator=source))
            self.archive = Archive(simulator, self.roots, archive_share, own_seed)
        self.root_observation = simulator.observe(self.roots.state)
        self.running_return = torch.zeros(num_envs, dtype=torch.float64, device=policy.device)
        self._acting = Acting(policy)

    @torch.no_grad()
    def collect(self) -> tuple[Rollout, FinishedEpisodes]:
        """Run T steps.

        Raises NotFiniteError if an observation, an action or a reward is not finite, and RolloutFailedError where the
        simulator fails; the sampler is then where the rollout began.
        """
        roots, observation, saved = self.roots, self.root_observation, self.state_dict()
        self._acting = Acting(self.policy)
        try:
            return self.ranks.together(self._collect)
        except NotFiniteError:
            raise
        except HgrpoError as error:
            self.roots, self.root_observation = roots, observation
            self.running_return.copy_(saved["running_return"])
            self._load_streams(saved)
            raise RolloutFailedError(str(error)) from error

    def _collect(self) -> tuple[Rollout, FinishedEpisodes]:
        spec = self.simulator.spec
        recorder = RolloutRecorder(
            self.rollout_steps,
            self.num_envs,
            self.num_samples,
            self.branch_length,
            spec.observation_size + self.policy.memory_width,
            spec.action_size,
            self.policy.device,
            slopes=self.slope_gamma is not None,
        )
        if self.archive is not None:
            self.archive.begin_rollout()
        for start in range(0, self.rollout_steps, self.branch_length):
            self._run_branches(start, recorder)
        if self.archive is not None:
            self.archive.end_rollout(self.roots)
        return recorder.rollout(self.policy), recorder.finished()

    def state_dict(self) -> dict[str, Any]:
        """Roots, running returns, generators, restarts and archive, as containers of tensors and numbers."""
        return {
            "roots": to_lists(self.roots),
            "running_return": self.running_return.clone(),
            "generators": {name: generator.get_state() for name, generator in self.generators.items()},
            "restarts": {name: fresh.state_dict() for name, fresh in self.restarts.items()},
            **({} if self.archive is None else {"archive": self.archive.state_dict()}),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue exactly from a `state_dict`.

        Where the simulator cannot restore states, every root begins a new episode instead.
        """
        self._load_streams(saved)
        if self.simulator.spec.branching_obstacle:
            if self.roots.elapsed.any():  # otherwise they are new already, and each new one takes one more environment
                self.begin_anew()
            return
        self.roots = from_lists(self.roots, saved["roots"])
        self.root_observation = self.simulator.observe(self.roots.state)
        self.running_return.copy_(saved["running_return"])

    def _load_streams(self, saved: dict[str, Any]) -> None:
        """Set the generators, restarts and archive of a `state_dict`; those of earlier versions have no restarts."""
        for name, generator in self.generators.items():
            generator.set_state(saved["generators"][name])
        for name, fresh in self.restarts.items():
            fresh.load_state_dict(saved.get("restarts", {}).get(name, {}))
        if self.archive is not None:
            self.archive.load_state_dict(saved["archive"])

    def _reset(self) -> Episodes:
        """New episodes of the executed samples."""
        source = self.generators["executed_restarts"]
        return reset_episodes(self.simulator, self.num_envs, source, self.policy.memory_width)

    def begin_anew(self) -> None:
        """Drop every root's episode and draw a new initial state for it."""
        self.roots = self._reset()
        self.root_observation = self.simulator.observe(self.roots.state)
        self.running_return.zero_()

    def _run_branches(self, start: int, recorder: RolloutRecorder) -> None:
        """One macro-step: n steps of N samples from every root.

        The roots move to where sample 0 ended.
        """
        if self.initial_states:
            self.begin_anew()
        n = self.num_samples
        branches, observation = self.roots, self.root_observation
        if n > 1:
            branches = repeat(branches, n)
            if self.split_noise:
                sample = torch.arange(n, device=self.policy.device).repeat(self.num_envs)
                branches = branches._replace(state=self.simulator.split_noise(branches.state, sample))
            if self.branch_length > 1:
                observation = observation.repeat_interleave(n, dim=0)
        tape = None if self.slope_gamma is None else SlopeTape(self.simulator, self.policy, self.slope_gamma)
        for t in range(start, start + self.branch_length):
            branches, observation = self._step(t, branches, observation, recorder, tape)
        if tape is not None:
            recorder.write_slopes(start, tape.finish())
        self.roots = select(branches, slice(None, None, n))
        self.root_observation = observation[::n]

    def _step(
        self, t: int, branches: Episodes, observation: Tensor, recorder: RolloutRecorder, tape: SlopeTape | None
    ) -> tuple[Episodes, Tensor]:
        """Step t of the rollout in E N rows; returns the episodes that go on, and what they show (E N, O).

        `observation` is (E, O) where the siblings of a root share it, else (E N, O).
        """
        n, within = self.num_samples, t % self.branch_length
        last = within + 1 == self.branch_length
        if self.archive is not None:
            self.archive.watch(branches, n)
        rows = self._acting.rows(observation, branches.memory)
        drawn = self._acting.draw(rows, self.num_envs, n, partial(self._noise, first=within == 0))
        action = drawn.action.flatten(0, 1)
        step = (self.simulator if tape is None else tape).step(branches.state, self.policy.to_environment(action))
        following = after_step(branches, step, self.simulator.spec.max_episode_steps, drawn.memory)
        shown = self._acting.rows(following.observation, following.episodes.memory)
        transition = following._replace(observation=shown)
        # The only read of what ended: each read waits until the GPU has finished.
        ended = (transition.terminated | transition.truncated).nonzero().squeeze(1)
        if tape is not None:
            tape.add(rows, action, transition, ended, last)
        recorder.write(t, rows, drawn, transition, ended)
        self.running_return += transition.reward[::n].double()
        if not ended.numel():
            return following.episodes, following.observation
        executed = ended[ended % n == 0]
        self._account(following, executed, recorder)
        return self._restart(following, executed, None if last else ended[ended % n != 0])

    def _noise(self, observation: Tensor, mean: Tensor, first: bool) -> Tensor:
        """(action - mean) / sigma of every sample (E, N, A), standard normal here.

        Args:
            observation: (E, O + M) of the roots' executed samples.
            mean: (E, N, A) of the policy.
            first: Whether these are the first actions of a branch.
        """
        executed = self._normal(mean[:, :1], "executed")
        return torch.cat((executed, self._normal(mean[:, 1:], "siblings")), dim=1) if mean.shape[1] > 1 else executed

    def _normal(self, like: Tensor, stream: str) -> Tensor:
        """Standard normal numbers of the shape of `like`, from one of the generators."""
        return torch.randn(like.shape, generator=self.generators[stream], dtype=like.dtype, device=like.device)

    def _account(self, transition: Transition, executed: Tensor, recorder: RolloutRecorder) -> None:
        """Record what diverged, and the episodes that ended in executed rows (k,) int64."""
        recorder.count_diverged(self.simulator.diverged(transition.episodes.state) & transition.terminated)
        if executed.numel():
            ended, roots = select(transition.episodes, executed), executed // self.num_samples
            success = self.simulator.success(ended.state)
            finished = FinishedEpisodes(self.running_return[roots], ended.elapsed, success)
            if self.archive is not None:
                whole = self.archive.finish(roots, transition.terminated[executed] & ~success)
                finished = FinishedEpisodes(*(part[whole] for part in finished))
            recorder.finish(finished)
            self.running_return[roots] = 0.0

    def _restart(self, transition: Transition, executed: Tensor, siblings: Tensor | None) -> tuple[Episodes, Tensor]:
        """Begin new episodes in rows of executed samples and of siblings, both (k,) int64.

        `siblings` is None at the end of a branch, where no sibling continues.
        """
        chosen = []
        if executed.numel():
            chosen.append((executed, self._begin_executed(executed // self.num_samples)))
        if siblings is not None and siblings.numel():
            chosen.append((siblings, self.restarts["sibling"].draw(len(siblings))))
        if not chosen:
            return transition.episodes, transition.observation
        rows, fresh = chosen[0]
        if len(chosen) > 1:
            rows = torch.cat([rows for rows, _ in chosen])
            fresh = map_state(lambda *x: torch.cat(x), *(fresh for _, fresh in chosen))
        return autoreset(transition.episodes, transition.observation, rows, fresh)

    def _begin_executed(self, roots: Tensor) -> Beginning:
        """New episodes of the executed samples of roots (k,) int64."""
        fresh = self.restarts["executed"]
        return fresh.draw(len(roots)) if self.archive is None else self.archive.draw(roots, fresh)
