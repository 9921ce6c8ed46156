"""The parts of a run: what they share, and which settings choose them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.learning import reference
from hgrpo_control.sampling.guided_sampler import GuidedSampler
from hgrpo_control.training import build as building
from hgrpo_control.training.build import build
from hgrpo_control.training.trainer import Trainer


def tiny(algorithm: Algorithm | None = None, **changes: Any) -> Config:
    learning = changes.pop("learning", Learning(num_minibatches=2, update_epochs=1))
    sizes = {"num_envs": 4, "rollout_steps": 8, "network": Network(hidden_sizes=(8,)), "learning": learning}
    return Config("quadrotor-hover", algorithm or PPO(), **(sizes | changes))


def test_parts_share_one_policy_and_one_simulator() -> None:
    parts = build(tiny(HybridGRPO(num_samples=2, guided_candidates=2)))
    assert parts.sampler.policy is parts.learner.policy is parts.policy
    assert parts.sampler.simulator is parts.curriculum.simulator
    assert parts.guidance is not None
    assert parts.guidance.proposals.policy is parts.policy


@pytest.mark.parametrize("algorithm", [PPO(), GRPO(num_samples=2), HybridGRPO(num_samples=2)])
def test_a_run_without_guidance_has_no_part_of_it(algorithm: Algorithm) -> None:
    parts = build(tiny(algorithm))
    assert parts.guidance is None
    assert not isinstance(parts.sampler, GuidedSampler)
    assert parts.sampler.collect()[0].weight is None


def test_a_guided_run_samples_from_its_own_proposals() -> None:
    parts = build(tiny(HybridGRPO(num_samples=4, branch_steps=4, guided_candidates=2)))
    assert parts.guidance is not None
    assert isinstance(parts.sampler, GuidedSampler)
    assert parts.sampler.proposals is parts.guidance.proposals


def test_the_sampler_has_the_sizes_of_the_config() -> None:
    sampler = build(tiny(GRPO(num_samples=3, branch_steps=4, groups="initial_states"))).sampler
    sizes = (sampler.num_envs, sampler.num_samples, sampler.branch_length, sampler.rollout_steps)
    assert sizes == (4, 3, 4, 8)
    assert sampler.initial_states
    assert not sampler.split_noise


def test_a_saved_reference_takes_the_place_of_the_named_one() -> None:
    other = build(tiny(seed=1)).policy
    config = tiny(learning=Learning(num_minibatches=2, kl_coef=0.1, reference="nowhere"))
    held = build(config, reference.to_state(other)).learner.reference
    assert held is not None
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(held.parameters(), other.parameters(), strict=True))


def test_a_simulator_is_closed_where_a_later_part_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    make = building.training_simulator

    def simulator(config: Config) -> Any:
        made = make(config)
        made.close = lambda: closed.append(made)
        return made

    monkeypatch.setattr(building, "training_simulator", simulator)
    with pytest.raises(ConfigError, match="no setting 'speed'"):
        build(tiny(curriculum={"speed": "0:1@steps:0:8"}))
    assert len(closed) == 1


def test_a_trainer_takes_parts_that_were_built_before() -> None:
    config = tiny(HybridGRPO(num_samples=2))
    ours, theirs = Trainer(config, build(config)), Trainer.from_config(config)
    ours.step()
    theirs.step()
    for one, other in zip(ours.policy.parameters(), theirs.policy.parameters(), strict=True):
        assert torch.equal(one, other)
