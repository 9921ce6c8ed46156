"""Many independent rollouts from one fixed set of states, for measuring what differs between them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.sampling.guided_sampler import sampler_class
from hgrpo_control.sampling.proposals import GuidedProposals
from hgrpo_control.sampling.sampler import Sampler
from policies.actor_critic import ActorCritic
from robots.episodes import Episodes
from robots.simulator import Simulator, map_state, num_rows, replace, select

_ROWS_AT_ONCE = 4096  # wide enough for full speed
_STEPS_AT_ONCE = 2**20  # in all rows, so that the critic's activations on a long rollout fit into memory
_SLOPES_AT_ONCE = 2**18  # in all rows of a branch, whose record takes about 2 kB per step and row


def on_policy_states(simulator: Simulator, policy: ActorCritic, num: int, seed: int) -> Episodes:
    """States as the exploring policy meets them while it trains, with their clocks at 0.

    State i was met i / num of a time limit after its environment began, restarts included, so early states of an
    episode are among them.

    Args:
        simulator: Of the task.
        policy: The one that explores.
        num: Number of states.
        seed: Of actions and initial states.
    """
    stride = max(1, simulator.spec.max_episode_steps // num)
    sampler = Sampler(simulator, policy, num, 1, stride, stride, seed)
    met = sampler.roots
    for i in range(1, num):
        sampler.collect()
        row = torch.tensor([i], device=policy.device)
        met = replace(met, row, select(sampler.roots, row))
    # With the clock at 0, no time limit falls into a rollout shorter than an episode.
    return met._replace(elapsed=torch.zeros_like(met.elapsed))


def rollouts(
    simulator: Simulator,
    policy: ActorCritic,
    roots: Episodes,
    num_samples: int,
    branch_length: int,
    rollout_steps: int,
    number: int,
    seed: int,
    split_noise: bool = False,
    proposals: GuidedProposals | None = None,
    slope_gamma: float | None = None,
) -> Iterator[Rollout]:
    """Independent rollouts from the same E roots, with the sampler of training.

    What a root's state already holds, such as a mass drawn for its episode, is the same in all of them.

    Args:
        simulator: Of the task.
        policy: The one that acts.
        roots: E states.
        num_samples: N.
        branch_length: n.
        rollout_steps: T.
        number: Of rollouts.
        seed: Of all of them.
        split_noise: Whether siblings have their own randomness, such as gusts.
        proposals: Guide first actions; None draws all actions from the policy.
        slope_gamma: Discount of the returns whose slopes are recorded; None records none.
    """
    num_roots = num_rows(roots)
    rows = num_roots * num_samples
    at_once = min(number, _ROWS_AT_ONCE // rows, _STEPS_AT_ONCE // (rows * rollout_steps))
    if slope_gamma is not None:
        at_once = min(at_once, _SLOPES_AT_ONCE // (rows * branch_length))
    at_once = max(1, at_once)
    for start in range(0, number, at_once):
        copies = min(at_once, number - start)
        chunk_seed = _derived_seed(seed, num_samples, branch_length, rollout_steps, start)
        sizes = (num_roots * copies, num_samples, branch_length, rollout_steps)
        sampler = sampler_class(proposals)(
            simulator, policy, *sizes, chunk_seed, split_noise=split_noise, slope_gamma=slope_gamma
        )
        sampler.roots = _copies(simulator, roots, copies, _derived_seed(chunk_seed, 1))
        sampler.root_observation = simulator.observe(sampler.roots.state)
        drawn, _ = sampler.collect()
        for copy in range(copies):
            yield _of_roots(drawn, slice(copy * num_roots, (copy + 1) * num_roots))


def _copies(simulator: Simulator, roots: Episodes, copies: int, seed: int) -> Episodes:
    """The E roots, `copies` times one after the other, each copy with its own randomness."""
    tiled = map_state(lambda x: x.repeat(copies, *(1,) * (x.dim() - 1)), roots)
    index = torch.randint(1, 2**62, (copies,), generator=torch.Generator().manual_seed(seed)).to(roots.elapsed.device)
    return tiled._replace(state=simulator.split_noise(tiled.state, index.repeat_interleave(num_rows(roots))))


def first_steps(rollout: Rollout, steps: int) -> Rollout:
    """The first `steps` steps of a rollout."""
    return _cut(rollout, (slice(steps),))


def _of_roots(rollout: Rollout, roots: slice) -> Rollout:
    return _cut(rollout, (slice(None), roots))


def _cut(rollout: Rollout, where: tuple[slice, ...]) -> Rollout:
    return Rollout(*(part[where] if isinstance(part, Tensor) else part for part in rollout))  # type: ignore[arg-type]


def _derived_seed(*numbers: int) -> int:
    """A seed that differs wherever one of the numbers does."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
