"""From a config to the parts of a run."""

from __future__ import annotations

import dataclasses
import random
from typing import Any, NamedTuple

import torch

from hgrpo_control.config.device import find_device
from hgrpo_control.config.ranks import share_of
from hgrpo_control.config.roots import archive_share
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.config.schedules import SuccessSchedule
from hgrpo_control.learning import reference
from hgrpo_control.learning.learner import Learner
from hgrpo_control.learning.wishes import Wishes
from hgrpo_control.ranks.ranks import ALONE, Ranks
from hgrpo_control.rewards import transforms
from hgrpo_control.rewards.transform import RewardTransform
from hgrpo_control.sampling import guidance
from hgrpo_control.sampling.guidance import Guidance
from hgrpo_control.sampling.guided_sampler import sampler_class
from hgrpo_control.sampling.sampler import Sampler
from hgrpo_control.training.curriculum import Curriculum
from hgrpo_control.training.simulation import policy_spec, training_simulator
from policies.actor_critic import ActorCritic
from robots.simulator import closed_on_error


class Parts(NamedTuple):
    """The parts of a run.

    `sampler` and `curriculum` share one simulator; all but `curriculum` and `reward_transform` share one policy.
    """

    policy: ActorCritic
    sampler: Sampler
    reward_transform: RewardTransform
    learner: Learner
    curriculum: Curriculum
    guidance: Guidance | None
    """None where guided sampling is off."""
    wishes: Wishes | None
    """None without slopes."""
    ranks: Ranks = ALONE


def build(
    config: Config, saved_reference: dict[str, Any] | None = None, ranks: Ranks = ALONE, streams: int = 0
) -> Parts:
    """The parts of a run that has not begun.

    Each process has its share of the roots, and draws them and their branches from random numbers of its own. All other
    parts are equal in all processes.

    Args:
        config: Every setting of the run.
        saved_reference: State of the reference policy from a checkpoint; without it the policy that the config names
            is loaded.
        ranks: Processes of the run.
        streams: Number of the streams of random numbers; a resumed run with another number of processes takes new ones.

    Raises ConfigError for settings that do not fit the task, DeviceError for a device that is not there, and
    CheckpointError for a reference that cannot be loaded.
    """
    parts = ranks.together(lambda: _build(config, saved_reference, ranks, streams))
    parts.policy.update_normalizers(parts.sampler.root_observation, ranks.gathered)
    return parts


def _build(config: Config, saved_reference: dict[str, Any] | None, ranks: Ranks, streams: int) -> Parts:
    own = dataclasses.replace(share_of(config, ranks.size), device=ranks.device(config.device))
    simulator = training_simulator(own)
    with closed_on_error(simulator):
        curriculum = Curriculum(config.curriculum, simulator)  # before any episode begins
        seeds = torch.randint(2**31, (4,), generator=torch.Generator().manual_seed(config.seed)).tolist()
        device = find_device(own.device)
        spec = policy_spec(simulator.spec, config.network, critic=config.algorithm.needs_critic)
        # Weights are drawn on the CPU, so that a run begins with the same ones on every device.
        weights = torch.Generator().manual_seed(seeds[0])
        policy = ActorCritic(spec, config.network.init_sigma, weights).to(device)
        guide = guidance.make(policy, config.algorithm, config.learning, seeds[3], ranks)
        sampler = sampler_class(None if guide is None else guide.proposals)(
            simulator,
            policy,
            own.num_envs,
            config.algorithm.num_samples,
            config.branch_length,
            config.rollout_steps,
            _stream(seeds[1], ranks.rank, streams),
            split_noise=config.algorithm.sibling_noise == "split",
            initial_states=config.algorithm.restarts_branches,
            archive_share=archive_share(config.roots),
            slope_gamma=config.algorithm.gamma if config.algorithm.uses_slopes else None,
            ranks=ranks,
        )
        _require_whole_episodes(sampler, curriculum)
        transform = transforms.make(config.algorithm, config.num_envs, device)
        frozen = None
        if saved_reference is not None:
            frozen = reference.from_state(saved_reference, device)
        elif config.learning.reference is not None:
            frozen = reference.load(config.learning.reference, spec, device)
        steps = config.sequence_steps if policy.recurrent else 1
        learner = Learner(policy, config.learning, seeds[2], frozen, steps, ranks)
    wishes = Wishes(config.algorithm, ranks) if config.algorithm.uses_slopes else None
    return Parts(policy, sampler, transform, learner, curriculum, guide, wishes, ranks)


def _stream(seed: int, rank: int, streams: int) -> int:
    """Seed of the roots and branches of a rank; that of rank 0 is the seed itself."""
    if not rank and not streams:
        return seed
    return random.Random(f"{seed} {rank} {streams}").getrandbits(62)


def _require_whole_episodes(sampler: Sampler, curriculum: Curriculum) -> None:
    """Raise ConfigError where a curriculum needs a success rate and branches end before episodes do."""
    schedules = curriculum.schedules.values()
    if sampler.cuts_episodes and any(isinstance(schedule, SuccessSchedule) for schedule in schedules):
        limit = sampler.simulator.spec.max_episode_steps
        raise ConfigError(
            f"groups initial_states with branch_steps {sampler.branch_length} cuts episodes of {limit} steps, so no "
            f"success rate is known for a curriculum; allowed: branch_steps of at least {limit}, or @steps"
        )
