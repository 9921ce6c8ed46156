"""The learner: what one update does, when it stops, what it refuses and what it remembers."""

from __future__ import annotations

import copy
import math
from itertools import chain
from typing import Any

import pytest
import torch
from support.analytic_envs import fresh_policy
from support.replay_env import Ledger
from torch import Tensor

from hgrpo_control import algorithms
from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.algorithms.rollout import NotFiniteError
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning
from hgrpo_control.learning.learner import Learner, standardize
from hgrpo_control.sampling.sampler import Sampler
from policies.actor_critic import ActorCritic

ONE_STEP = {"update_epochs": 1, "num_minibatches": 1, "max_grad_norm": 1e9}


def drawn(algorithm: Algorithm | None = None, hidden_sizes: tuple[int, ...] = (8,)) -> tuple[ActorCritic, Batch]:
    """A policy and a batch of 64 rows that it drew itself."""
    algorithm = algorithm or PPO()
    ledger = Ledger()
    policy = fresh_policy(ledger, hidden_sizes, critic=algorithm.needs_critic)
    sampler = Sampler(ledger, policy, 8 // algorithm.num_samples, algorithm.num_samples, 8, 8, seed=1)
    return policy, algorithms.make_batch(sampler.collect()[0], algorithm)


def learner(policy: ActorCritic, seed: int = 0, **settings: Any) -> Learner:
    return Learner(policy, Learning(**settings), seed)


def parameters(policy: ActorCritic) -> Tensor:
    return torch.cat([p.detach().flatten().clone() for p in policy.parameters()])


@pytest.mark.parametrize("algorithm", [PPO(), GRPO(num_samples=4), HybridGRPO(num_samples=4)])
def test_the_first_minibatch_has_ratio_1(algorithm: Algorithm) -> None:
    policy, batch = drawn(algorithm)
    stats = learner(policy, **ONE_STEP).update(batch)
    assert stats["approx_kl"] == pytest.approx(0.0, abs=1e-10)
    assert stats["clip_fraction"] == 0.0
    # ratio 1: the loss is minus the mean of w A, and standardised advantages of weight 1 have mean 0
    if algorithm.needs_critic:
        assert stats["policy_loss"] == pytest.approx(0.0, abs=1e-5)
    assert parameters(policy).isfinite().all()


def test_later_minibatches_move_away_from_the_policy_that_acted() -> None:
    policy, batch = drawn()
    stats = learner(policy, learning_rate=0.05, update_epochs=4, num_minibatches=4).update(batch)
    assert stats["approx_kl"] > 1e-3
    assert stats["clip_fraction"] > 0.0


def test_an_update_raises_the_density_of_good_actions_and_lowers_that_of_bad_ones() -> None:
    policy, batch = drawn()
    before = policy.log_prob(batch.observation, batch.action[:, 0]).detach()
    learner(policy, learning_rate=1e-3, **ONE_STEP).update(batch)
    change = policy.log_prob(batch.observation, batch.action[:, 0]).detach() - before
    assert (change * standardize(batch.advantage, batch.weight)[:, 0]).mean() > 0.0


def test_losses_before_the_first_step_are_the_batchs_own() -> None:
    policy, batch = drawn()
    assert batch.value is not None
    assert batch.value_target is not None
    stats = learner(policy, normalize_advantage=False, **ONE_STEP).update(batch)
    assert stats["policy_loss"] == pytest.approx(-batch.advantage.mean().item(), abs=1e-6)
    assert stats["value_loss"] == pytest.approx(
        0.5 * (batch.value - batch.value_target).square().mean().item(), rel=1e-5
    )
    # sigma 0.5: 1.418939 + ln 0.5 = 0.725791
    assert stats["entropy"] == pytest.approx(0.725791, abs=1e-5)
    unexplained = (batch.value_target - batch.value).var(correction=0) / batch.value_target.var(correction=0)
    assert stats["explained_variance"] == pytest.approx(1.0 - unexplained.item(), abs=1e-5)


def test_samples_without_weight_teach_nothing() -> None:
    policy, batch = drawn(GRPO(num_samples=4))
    assert {0.0, 1.0} == set(batch.weight.flatten().tolist())
    other = copy.deepcopy(policy)
    learner(policy, **ONE_STEP).update(batch)
    nonsense = torch.where(batch.weight > 0.0, batch.advantage, 1e3)
    learner(other, **ONE_STEP).update(batch._replace(advantage=nonsense))
    assert torch.equal(parameters(policy), parameters(other))


def test_the_value_loss_moves_the_critic_alone_and_the_policy_loss_the_actor_alone() -> None:
    policy, batch = drawn()
    assert policy.critic is not None
    actor, critic = ([p.detach().clone() for p in part.parameters()] for part in (policy.actor, policy.critic))
    learner(policy, **ONE_STEP).update(batch._replace(advantage=torch.zeros_like(batch.advantage)))
    assert all(torch.equal(p, q) for p, q in zip(policy.actor.parameters(), actor, strict=True))
    assert not any(torch.equal(p, q) for p, q in zip(policy.critic.parameters(), critic, strict=True))

    policy, batch = drawn()
    learner(policy, vf_coef=0.0, **ONE_STEP).update(batch)
    assert policy.critic is not None
    assert all(torch.equal(p, q) for p, q in zip(policy.critic.parameters(), critic, strict=True))
    assert not any(torch.equal(p, q) for p, q in zip(policy.actor.parameters(), actor, strict=True))


def test_the_entropy_bonus_widens_the_policy() -> None:
    policy, batch = drawn()
    before = policy.sigma.detach().clone()
    learner(policy, ent_coef=0.1, **ONE_STEP).update(batch._replace(advantage=torch.zeros_like(batch.advantage)))
    assert bool((policy.sigma > before).all())


@pytest.mark.parametrize("settings", [{}, {"ent_coef": 0.1}])
def test_a_batch_in_which_no_sample_counts_changes_nothing(settings: dict[str, float]) -> None:
    policy, batch = drawn(GRPO(num_samples=4))
    learning = learner(policy, **settings)
    learning.update(batch)  # from here on Adam would move by what it remembers, whatever the gradient
    before, moments = parameters(policy), copy.deepcopy(learning.optimizer.state_dict())
    stats = learning.update(batch._replace(weight=torch.zeros_like(batch.weight)))
    assert torch.equal(parameters(policy), before)
    assert all(torch.equal(moment, moments[name]) for name, moment in learning.optimizer.state_dict().items())
    assert (stats["policy_loss"], stats["grad_norm"], stats["approx_kl"], stats["epochs"]) == (0.0, 0.0, 0.0, 0)
    assert stats["entropy"] == pytest.approx(policy.entropy().item())
    assert learning.update(batch)["epochs"] > 0


def test_the_upper_clip_bound_lets_good_actions_get_likelier() -> None:
    policy, batch = drawn()
    grown = []
    for clip_high in (None, 0.5):
        other = copy.deepcopy(policy)
        learner(other, learning_rate=0.01, update_epochs=20, num_minibatches=1, clip_high=clip_high).update(batch)
        ratio = (other.log_prob(batch.observation, batch.action[:, 0]) - batch.old_log_prob[:, 0]).exp()
        grown.append(ratio[standardize(batch.advantage, batch.weight)[:, 0] > 0.0].mean().item())
    assert grown[1] > grown[0] + 0.02


def test_without_critic_there_is_no_value_loss() -> None:
    policy, batch = drawn(GRPO(num_samples=4))
    stats = learner(policy).update(batch)
    assert math.isnan(stats["value_loss"])
    assert math.isnan(stats["explained_variance"])
    assert math.isfinite(stats["policy_loss"])


@pytest.mark.parametrize(("schedule", "expected"), [("linear", [0.01, 0.0075, 0.0]), ("constant", [0.01] * 3)])
def test_learning_rate_schedule(schedule: str, expected: list[float]) -> None:
    policy, batch = drawn()
    learning = learner(policy, learning_rate=0.01, lr_schedule=schedule, **ONE_STEP)
    rates = []
    for progress in (0.0, 0.25, 1.0):
        before = parameters(policy)
        rates.append(learning.update(batch, progress)["learning_rate"])
        assert torch.equal(before, parameters(policy)) == (rates[-1] == 0.0)
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize("limit", [1e9, 0.05])
def test_gradients_of_actor_and_critic_are_shortened_apart(limit: float) -> None:
    policy, batch = drawn()
    assert policy.critic is not None
    assert batch.value_target is not None
    # vf_coef 0.5 x half the mean square
    (0.25 * (policy.value(batch.observation) - batch.value_target).square().mean()).backward()
    whole = torch.cat([p.grad.flatten() for p in policy.critic.parameters() if p.grad is not None]).norm().item()
    learning = learner(policy, update_epochs=1, num_minibatches=1, max_grad_norm=limit)
    stats = learning.update(batch)
    assert min(stats["grad_norm"], whole) > 0.1  # grad_norm is the actor's, before it is shortened
    arrived = 10.0 * learning.optimizer.mean  # after the first step the mean is 0.1 x gradient
    critic_size = sum(parameter.numel() for parameter in policy.critic.parameters())
    assert arrived[:-critic_size].norm().item() == pytest.approx(min(stats["grad_norm"], limit), rel=1e-3)
    assert arrived[-critic_size:].norm().item() == pytest.approx(min(whole, limit), rel=1e-3)


@pytest.mark.parametrize("minibatches", [1, 2, 8])
def test_every_row_is_seen_once_per_epoch(minibatches: int) -> None:
    policy, batch = drawn()
    learning = learner(policy, update_epochs=3, num_minibatches=minibatches)
    seen: list[list[float]] = []
    step = learning._step

    def watched(part: Batch, learning_rate: float) -> Tensor:
        seen.append(part.old_log_prob.flatten().tolist())
        return step(part, learning_rate)

    learning._step = watched  # type: ignore[method-assign]
    learning.update(batch)
    assert [len(rows) for rows in seen] == [64 // minibatches] * 3 * minibatches
    epochs = [[*chain(*seen[i : i + minibatches])] for i in range(0, len(seen), minibatches)]
    assert all(sorted(epoch) == sorted(batch.old_log_prob.flatten().tolist()) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_the_kl_stop_ends_an_update_early() -> None:
    policy, batch = drawn()
    free, stopped = (
        learner(copy.deepcopy(policy), learning_rate=0.05, update_epochs=10, target_kl=target).update(batch)
        for target in (None, 1e-4)
    )
    assert free["epochs"] == 10
    assert stopped["epochs"] < 10
    assert stopped["approx_kl"] > 1e-4


def broken(batch: Batch, how: str) -> Batch:
    if how == "advantage":
        advantage = batch.advantage.clone()
        advantage[0] = torch.nan
        return batch._replace(advantage=advantage)
    if how == "target":
        assert batch.value_target is not None
        return batch._replace(value_target=torch.full_like(batch.value_target, torch.inf))
    # the ratio is infinite, the loss clipped and finite, its gradient 0 x infinity
    return batch._replace(old_log_prob=batch.old_log_prob - 200.0, advantage=torch.ones_like(batch.advantage))


@pytest.mark.parametrize(
    ("how", "standardized"), [("advantage", False), ("advantage", True), ("target", True), ("ratio", False)]
)
def test_what_is_not_finite_never_reaches_the_parameters(how: str, standardized: bool) -> None:
    policy, batch = drawn()
    before = parameters(policy)
    with pytest.raises(NotFiniteError, match="not finite"):
        learner(policy, normalize_advantage=standardized, **ONE_STEP).update(broken(batch, how))
    assert torch.equal(parameters(policy), before)


def test_a_learner_goes_on_bit_for_bit_from_its_saved_state() -> None:
    policy, batch = drawn()
    first = learner(policy, update_epochs=2)
    first.update(batch)
    saved = copy.deepcopy(first.state_dict())
    other = copy.deepcopy(policy)
    second = learner(other, seed=99, update_epochs=2)
    second.load_state_dict(saved)
    assert repr(first.update(batch, 0.5)) == repr(second.update(batch, 0.5))  # NaN too
    assert torch.equal(parameters(policy), parameters(other))


def test_the_seed_decides_the_order_of_the_rows() -> None:
    policy, batch = drawn()
    ends = []
    for seed in (0, 0, 1):
        copied = copy.deepcopy(policy)
        learner(copied, seed).update(batch)
        ends.append(parameters(copied))
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_standardised_advantages_by_hand() -> None:
    # 1, 2, 3 count: mean 2, std sqrt(2/3) = 0.816497; 100 does not
    advantage, weight = torch.tensor([[1.0, 2.0], [3.0, 100.0]]), torch.tensor([[1.0, 1.0], [0.5, 0.0]])
    standard = standardize(advantage, weight)
    assert standard[weight > 0.0].tolist() == pytest.approx([-1.224745, 0.0, 1.224745], abs=1e-6)


@pytest.mark.parametrize("constant", [0.0, 0.1, 0.3, 5.3, -1e4])
@pytest.mark.parametrize("rows", [3, 7, 1000])
def test_advantages_that_do_not_vary_become_zeros_not_rounding_noise(constant: float, rows: int) -> None:
    advantage = torch.full((rows, 1), constant)
    assert not standardize(advantage, torch.ones(rows, 1)).any()
    weight = torch.ones(rows, 1)
    weight[0] = 0.0
    advantage[0] = 7.0
    assert not standardize(advantage, weight)[1:].any()


def test_a_batch_in_which_no_sample_counts_is_left_alone() -> None:
    assert standardize(torch.ones(4, 1), torch.zeros(4, 1)).isfinite().all()
