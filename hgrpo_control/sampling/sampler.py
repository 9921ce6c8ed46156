"""The one sampler behind PPO, GRPO and Hybrid GRPO: E roots x N samples x n steps.

From each of E executed environments, N branches start in exactly the same simulator state (eq. 5, eq. 10), and each is
paid what it earns there (eq. 6, eq. 11), for n steps. Sample 0 is the executed one: its index is fixed before any
reward is seen, and the next branches start where it ended. The others are dropped at the end of their branch. Any
sample whose episode ends restarts within its branch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hgrpo_control.algorithms.importance import guided_count
from hgrpo_control.algorithms.rollout import (
    FinishedEpisodes,
    NotFiniteError,
    Rollout,
    RolloutFailedError,
    RolloutRecorder,
)
from hgrpo_control.sampling.proposals import GuidedProposals
from hgrpo_errors import HgrpoError
from policies.actor_critic import ActorCritic
from policies.gaussian import standard_log_density
from robots.episodes import Episodes, Transition, autoreset, reset_episodes, step_episodes
from robots.simulator import Simulator, repeat, select


class Sampler:
    """Draws rollouts of T steps from E roots that go on from one rollout to the next.

    Randomness comes from separate generators for the executed sample and for its siblings, so branching changes no bit
    of the executed trajectory, with as many threads on the same machine. With `split_noise` each sibling meets
    randomness of its own, gusts for example; without, all samples of a root meet the same. With `proposals` the last
    floor(N / 2) siblings start with guided actions (eq. 18). `state_dict` holds everything that
    the next rollout depends on besides the policy and the proposals.

    With `initial_states` every branch starts in a freshly drawn initial state instead of going on from the executed
    sample's end. An episode that has not ended with its branch is given up: it is not among the finished ones.
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
        proposals: GuidedProposals | None = None,
    ) -> None:
        if rollout_steps % branch_length:
            raise HgrpoError(f"branch_length {branch_length} does not divide rollout_steps {rollout_steps}")
        self.simulator, self.policy = simulator, policy
        self.num_envs, self.num_samples = num_envs, num_samples
        self.branch_length, self.rollout_steps, self.split_noise = branch_length, rollout_steps, split_noise
        self.initial_states = initial_states
        self.proposals = proposals
        streams = ("executed", "siblings", "executed_restarts", "sibling_restarts")
        seeds = torch.randint(2**62, (len(streams),), generator=torch.Generator().manual_seed(seed))
        self.generators = {
            name: torch.Generator(policy.device).manual_seed(s) for name, s in zip(streams, seeds.tolist(), strict=True)
        }
        self.roots = reset_episodes(simulator, num_envs, self.generators["executed_restarts"])
        self.root_observation = simulator.observe(self.roots.state)
        self.running_return = torch.zeros(num_envs, dtype=torch.float64, device=policy.device)

    @torch.no_grad()
    def collect(self) -> tuple[Rollout, FinishedEpisodes]:
        """Run T steps; raises NotFiniteError if an observation, an action or a reward is not finite.

        Raises RolloutFailedError where the simulator fails; the sampler then stands where the rollout began.
        """
        roots, observation, saved = self.roots, self.root_observation, self.state_dict()
        try:
            return self._collect()
        except NotFiniteError:
            raise
        except HgrpoError as error:
            self.roots, self.root_observation = roots, observation
            self.running_return.copy_(saved["running_return"])
            for name, generator in self.generators.items():
                generator.set_state(saved["generators"][name])
            raise RolloutFailedError(str(error)) from error

    def _collect(self) -> tuple[Rollout, FinishedEpisodes]:
        spec = self.simulator.spec
        recorder = RolloutRecorder(
            self.rollout_steps,
            self.num_envs,
            self.num_samples,
            self.branch_length,
            spec.observation_size,
            spec.action_size,
            self.policy.device,
        )
        for start in range(0, self.rollout_steps, self.branch_length):
            self._run_branches(start, recorder)
        return recorder.rollout(self.policy), recorder.finished()

    def state_dict(self) -> dict[str, Any]:
        """Roots, running returns and generators, as containers of tensors."""
        return {
            "roots": _to_lists(self.roots),
            "running_return": self.running_return.clone(),
            "generators": {name: generator.get_state() for name, generator in self.generators.items()},
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on exactly where the sampler that gave this `state_dict` stood; where the simulator cannot restore states,
        every root is at the beginning of a new episode instead."""
        for name, generator in self.generators.items():
            generator.set_state(saved["generators"][name])
        if self.simulator.spec.branching_obstacle:
            if self.roots.elapsed.any():  # else they have only just begun, and each new one takes an environment more
                self._begin_anew()
            return
        self.roots = _from_lists(self.roots, saved["roots"])
        self.root_observation = self.simulator.observe(self.roots.state)
        self.running_return.copy_(saved["running_return"])

    def _begin_anew(self) -> None:
        """Give up every root's episode and draw a fresh initial state for it."""
        self.roots = reset_episodes(self.simulator, self.num_envs, self.generators["executed_restarts"])
        self.root_observation = self.simulator.observe(self.roots.state)
        self.running_return.zero_()

    def _run_branches(self, start: int, recorder: RolloutRecorder) -> None:
        """One macro-step: branch N samples from every root, n steps each; the roots move to where sample 0 ended."""
        if self.initial_states:
            self._begin_anew()
        n = self.num_samples
        branches, observation = self.roots, self.root_observation
        if n > 1:
            branches = repeat(branches, n)
            if self.split_noise:
                sample = torch.arange(n, device=self.policy.device).repeat(self.num_envs)
                branches = branches._replace(state=self.simulator.split_noise(branches.state, sample))
            if self.branch_length > 1:
                observation = observation.repeat_interleave(n, dim=0)
        for t in range(start, start + self.branch_length):
            action, log_prob, weight = self._act(observation, self.proposals if t == start else None)
            transition = step_episodes(self.simulator, branches, self.policy.to_environment(action).flatten(0, 1))
            # The one look at what ended: on a GPU each further one would wait for it to catch up.
            ended = (transition.terminated | transition.truncated).nonzero().squeeze(1)
            recorder.write(t, observation, action, log_prob, transition, ended)
            if weight is not None:
                recorder.weigh(t, weight)
            self.running_return += transition.reward[::n].double()
            branches, observation = transition.episodes, transition.observation
            if ended.numel():
                executed = ended[ended % n == 0]
                self._account(transition, executed, recorder)
                siblings = None if t + 1 == start + self.branch_length else ended[ended % n != 0]
                branches, observation = self._restart(transition, executed, siblings)
        self.roots = select(branches, slice(None, None, n))
        self.root_observation = observation[::n]

    def _act(self, observation: Tensor, proposals: GuidedProposals | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Draw actions (E, N, A) with their log densities (E, N) under pi, from observations (E, O) that siblings share
        or (E N, O), and importance weights (E, N) if `proposals` guide the last floor(N / 2) samples.

        The executed sample's mean is computed in a batch of its own: a matrix product's bits depend on its number of
        rows.
        """
        e, n, size = self.num_envs, self.num_samples, self.simulator.spec.action_size
        grouped = observation.reshape(e, -1, observation.shape[-1])
        mean = self.policy.mean(grouped[:, 0].contiguous()).unsqueeze(1)
        if grouped.shape[1] > 1:
            siblings = self.policy.mean(grouped[:, 1:].flatten(0, 1)).reshape(e, n - 1, size)
            mean = torch.cat((mean, siblings), dim=1)
        guided = 0 if proposals is None else guided_count(n)
        stream = self.generators["siblings"]
        noise = torch.randn(e, 1, size, generator=self.generators["executed"], dtype=mean.dtype, device=mean.device)
        if n > 1:
            others = torch.randn(e, n - 1 - guided, size, generator=stream, dtype=mean.dtype, device=mean.device)
            noise = torch.cat((noise, others), dim=1)
        weight = None
        if proposals is not None:
            chosen = proposals.draw(grouped[:, 0], mean[:, 0], guided, stream)
            noise = torch.cat((noise, chosen.noise), dim=1)
            weight = torch.cat((chosen.weight.new_ones(e, n - guided), chosen.weight), dim=1)
        sigma = self.policy.sigma
        return mean + sigma * noise, standard_log_density(noise) - sigma.log().sum(), weight

    def _account(self, transition: Transition, executed: Tensor, recorder: RolloutRecorder) -> None:
        """Hand on what diverged, and the executed samples' episodes that ended in the rows `executed` (k,) int64."""
        recorder.count_diverged(self.simulator.diverged(transition.episodes.state) & transition.terminated)
        if executed.numel():
            ended, roots = select(transition.episodes, executed), executed // self.num_samples
            success = self.simulator.success(ended.state)
            recorder.finish(FinishedEpisodes(self.running_return[roots], ended.elapsed, success))
            self.running_return[roots] = 0.0

    def _restart(self, transition: Transition, executed: Tensor, siblings: Tensor | None) -> tuple[Episodes, Tensor]:
        """Begin new episodes in rows of executed samples and of siblings, both (k,) int64; at the end of a branch no
        sibling goes on, and `siblings` is None."""
        branches, observation = transition.episodes, transition.observation
        for rows, stream in ((executed, "executed_restarts"), (siblings, "sibling_restarts")):
            if rows is not None and rows.numel():
                branches, observation = autoreset(self.simulator, branches, observation, rows, self.generators[stream])
        return branches, observation


def _to_lists(state: Any) -> Any:
    """A state as nested lists of tensors, which a checkpoint can hold without naming our classes."""
    return [_to_lists(part) for part in state] if isinstance(state, tuple) else state


def _from_lists(like: Any, saved: Any) -> Any:
    """The inverse of `_to_lists`, with the types of `like` and on its device."""
    if not isinstance(like, tuple):
        return saved.to(like.device)
    return type(like)(*(_from_lists(a, b) for a, b in zip(like, saved, strict=True)))
