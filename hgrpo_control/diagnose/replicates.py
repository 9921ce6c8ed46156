"""Replicates of gradients: the same estimators over independent rollouts from the same roots."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.run import Config
from hgrpo_control.diagnose.estimators import Estimator
from hgrpo_control.diagnose.fixed_roots import rollouts
from hgrpo_control.diagnose.policy_gradient import along_paths, gradients
from hgrpo_control.diagnose.settings import DiagnoseSettings
from hgrpo_control.rewards.transform import RewardTransform
from hgrpo_control.sampling.proposals import GuidedProposals
from policies.actor_critic import ActorCritic
from robots.episodes import Episodes
from robots.simulator import Simulator

_PILOTS = 16  # of one policy: the running mean of training holds about as many
_PILOT_SEED = 2**32  # added to the seed, which is smaller in practice


def with_best_shares(
    policy: ActorCritic,
    simulator: Simulator,
    roots: Episodes,
    members: list[Estimator],
    run: Config,
    settings: DiagnoseSettings,
    tally: Callable[[int], None],
) -> list[Estimator]:
    """The estimators of one N and n, with alpha chosen where it is `auto`.

    It is chosen from rollouts of their own, so the gradients that are measured do not depend on it, and with it the mix
    has no bias that its terms do not have.

    Args:
        policy: Of a checkpoint.
        simulator: Of the run's task.
        roots: E states.
        members: The estimators.
        run: Has gamma, and whether siblings share noise.
        settings: T and the number of rollouts.
        tally: Called with the simulator steps of every rollout.
    """
    number, seed = pilots(settings, members), settings.seed + _PILOT_SEED
    settled = []
    for member in members:
        if member.mix is not None and member.mix.share is None:
            drawn = _rollouts(policy, simulator, roots, members, run, settings, tally, number, seed)
            member = member._replace(read=member.mix.with_best_share(drawn))
        settled.append(member)
    return settled


def draw_gradients(
    policy: ActorCritic,
    simulator: Simulator,
    roots: Episodes,
    members: list[Estimator],
    run: Config,
    settings: DiagnoseSettings,
    tally: Callable[[int], None],
    transform: RewardTransform | None = None,
    proposals: GuidedProposals | None = None,
    sequence_steps: int | None = None,
) -> Tensor:
    """(R, K, P) gradients of K estimators from the same R rollouts.

    Siblings share randomness as in the run.

    Args:
        policy: Of a checkpoint.
        simulator: Of the run's task.
        roots: E states.
        members: The K estimators, of one N and n.
        run: Says whether siblings share noise.
        settings: T and R.
        tally: Called with the simulator steps of every rollout.
        transform: f(R); None takes rewards as they are.
        proposals: Guide first actions; None draws all from the policy.
        sequence_steps: Of the sequences on which a recurrent policy is trained; None takes whole paths.
    """
    number = settings.replicates(members[0].num_samples)
    drawn = _rollouts(policy, simulator, roots, members, run, settings, tally, number, settings.seed, proposals)
    found = []
    for rollout in with_transformed_rewards(drawn, transform):
        batches = [along_paths(member.read(rollout), rollout, policy, sequence_steps) for member in members]
        found.append(gradients(policy, batches))
    return torch.stack(found)


def _rollouts(
    policy: ActorCritic,
    simulator: Simulator,
    roots: Episodes,
    members: list[Estimator],
    run: Config,
    settings: DiagnoseSettings,
    tally: Callable[[int], None],
    number: int,
    seed: int,
    proposals: GuidedProposals | None = None,
) -> Iterator[Rollout]:
    """So many rollouts for estimators of one N and n, with slopes where one of them needs slopes."""
    samples, steps = members[0].num_samples, members[0].branch_length
    split = run.algorithm.sibling_noise == "split"
    gamma = run.algorithm.gamma if any(member.mix is not None for member in members) else None
    sizes = (samples, steps, settings.steps, number, seed)
    for rollout in rollouts(simulator, policy, roots, *sizes, split, proposals, slope_gamma=gamma):
        yield rollout
        tally(rollout.simulator_steps)


def with_transformed_rewards(drawn: Iterator[Rollout], transform: RewardTransform | None) -> Iterator[Rollout]:
    """The same rollouts with f(R) for R; its statistics do not change."""
    for rollout in drawn:
        yield rollout if transform is None else rollout._replace(reward=transform.apply(rollout.reward))


def pilots(settings: DiagnoseSettings, members: list[Estimator]) -> int:
    """Number of rollouts that choose alpha for estimators of one N and n."""
    wanted = any(member.mix is not None and member.mix.share is None for member in members)
    return min(_PILOTS, settings.replicates(members[0].num_samples)) if wanted else 0
