"""Q_phi: where it starts, what it learns, what it sees and what it refuses."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from support.analytic_envs import fresh_policy
from support.replay_env import Ledger
from torch import Tensor

from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.algorithms.rollout import NotFiniteError
from hgrpo_control.config.algorithms import HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_control.sampling.action_value import ActionValue, ActionValueLearner
from hgrpo_control.training.trainer import Trainer

ONE_STEP = {"update_epochs": 1, "num_minibatches": 1}


def learner(seed: int = 0, hidden_sizes: tuple[int, ...] = (), **learning: Any) -> ActionValueLearner:
    return ActionValueLearner(fresh_policy(Ledger(), hidden_sizes), Learning(**learning), seed)


def batch(rows: int = 256) -> tuple[Batch, Tensor]:
    """Two actions per row and the target of Q = V + action / 2, V being noise."""
    generator = torch.Generator().manual_seed(0)
    observation, value = torch.randn(rows, 3, generator=generator), 10.0 * torch.randn(rows, generator=generator)
    action = 0.3 * torch.randn(rows, 2, 1, generator=generator)
    zero = torch.zeros(rows, 2)
    target = value.unsqueeze(-1) + 0.5 * action.squeeze(-1)
    return Batch(observation, action, zero, zero, zero, value, value), target


def parameters(learning: ActionValueLearner) -> Tensor:
    return torch.cat([p.detach().flatten().clone() for p in learning.action_value.parameters()])


@pytest.mark.parametrize("hidden_sizes", [(), (16, 16)])
def test_before_the_first_update_every_action_is_as_good_as_another(hidden_sizes: tuple[int, ...]) -> None:
    fresh = ActionValue(fresh_policy(Ledger(), hidden_sizes).spec)
    assert (fresh(torch.randn(50, 3), torch.randn(50, 1)) == 0.0).all()


def test_the_first_update_judges_q_as_it_was() -> None:
    # Q - V = 0 explains nothing of action / 2, and its loss is half the mean of action^2 / 4
    given, target = batch()
    stats = learner(**ONE_STEP).update(given, target, 0.01)
    assert stats["guidance_explained_variance"] == pytest.approx(0.0, abs=1e-6)
    assert stats["guidance_loss"] == pytest.approx(0.125 * given.action.square().mean().item(), rel=1e-4)


def test_it_finds_how_the_target_depends_on_the_action() -> None:
    learning = learner(update_epochs=20, num_minibatches=4)
    learning.update(*batch(), 0.03)
    stats = learning.update(*batch(), 0.003)
    (weight, bias) = learning.action_value.parameters()
    assert weight.flatten().tolist() == pytest.approx([0.0, 0.0, 0.0, 0.5], abs=0.01)
    assert bias.item() == pytest.approx(0.0, abs=0.01)
    assert stats["guidance_explained_variance"] > 0.99


def test_actions_beyond_the_bounds_are_worth_what_the_environment_makes_of_them() -> None:
    learning = learner(hidden_sizes=(8,), update_epochs=4)
    learning.update(*batch(), 0.03)
    features = torch.randn(1, 3).expand(4, -1)
    low, inside, high, far = learning.action_value(features, torch.tensor([[-1.0], [0.9], [1.0], [3.0]])).tolist()
    assert high == far
    assert len({low, inside, high}) == 3


@pytest.mark.parametrize("privileged", [False, True])
def test_it_sees_what_the_critic_sees(privileged: bool) -> None:
    config = Config(
        task="quadrotor-hover-randomized",
        algorithm=HybridGRPO(num_samples=2, branch_steps=2, guided_candidates=3),
        total_steps=2 * 16 * 4 * 2,
        num_envs=16,
        rollout_steps=4,
        network=Network(hidden_sizes=(8,), privileged_critic=privileged),
        learning=Learning(num_minibatches=2),
    )
    trainer = Trainer.from_config(config)
    for _ in range(2):
        trainer.step()
    assert trainer.guidance is not None
    network, spec = trainer.guidance.learner.action_value.network, trainer.policy.spec
    seen = trainer.sampler.root_observation.shape[1]
    assert seen == spec.observation_size + spec.privileged_size
    assert (spec.privileged_size > 0) == privileged
    first = network[0]
    assert isinstance(first, torch.nn.Linear)
    assert first.in_features == seen + 4
    assert trainer.policy.critic_features(trainer.sampler.root_observation).shape == (16, seen)
    names = {name.split(".")[0] for name in trainer.policy.state_dict()}
    assert names <= {"normalizer", "privileged_normalizer", "actor", "critic", "raw_sigma"}  # no Q in the policy


def test_what_is_not_finite_never_reaches_the_parameters() -> None:
    learning = learner(hidden_sizes=(8,), **ONE_STEP)
    learning.update(*batch(), 0.01)
    before = parameters(learning)
    given, target = batch()
    target[3, 1] = torch.nan
    with pytest.raises(NotFiniteError, match="the loss of Q is not finite: nan"):
        learning.update(given, target, 0.01)
    assert torch.equal(parameters(learning), before)


def test_a_batch_without_values_is_refused() -> None:
    given, target = batch()
    with pytest.raises(ValueError, match="values"):
        learner().update(given._replace(value=None), target, 0.01)


def test_a_learner_goes_on_bit_for_bit_from_its_saved_state() -> None:
    first, second = learner(hidden_sizes=(8,), update_epochs=2), learner(seed=9, hidden_sizes=(8,), update_epochs=2)
    first.update(*batch(), 0.01)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert first.update(*batch(), 0.005) == second.update(*batch(), 0.005)
    assert torch.equal(parameters(first), parameters(second))
