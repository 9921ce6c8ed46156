"""The gradient of a batch by hand, by finite differences, and against what the learner's loss gives."""

from __future__ import annotations

import pytest
import torch
from support.analytic_envs import ScalarLQR, fresh_policy
from support.finite_differences import by_parameters
from torch import Tensor

from hgrpo_control.algorithms import losses
from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.diagnose.policy_gradient import actor_parameters, gradient, gradients
from policies.actor_critic import ActorCritic


def batch_of(observation: Tensor, action: Tensor, advantage: Tensor, weight: Tensor) -> Batch:
    return Batch(observation, action, torch.zeros_like(advantage), advantage, weight, None, None)


def random_batch(policy: ActorCritic, seed: int, rows: int = 7, samples: int = 3) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    observation = torch.randn(rows, 2, generator=generator)
    action = torch.randn(rows, samples, 1, generator=generator)
    advantage = torch.randn(rows, samples, generator=generator)
    weight = (torch.rand(rows, samples, generator=generator) < 0.7).float()
    return batch_of(observation, action, advantage, weight)


@pytest.fixture
def policy() -> ActorCritic:
    return fresh_policy(ScalarLQR(0.9, 20.0, 100), hidden_sizes=(5,), init_sigma=0.4)


def test_two_rows_by_hand() -> None:
    # mean = W (x, y) + b = 0, sigma = 0.5, d sigma / d raw = sigma - 0.01 = 0.49. The score of the mean is a / sigma^2,
    # that of sigma (a^2 / sigma^2 - 1) / sigma. Row 1: (1, 2), a = 0.5, w A = 3: score 2, sigma's 0.
    # Row 2: (3, 4), a = -1, w A = 1: score -4, sigma's (4 - 1) / 0.5 = 6. Halved for the mean over two samples:
    # d/dW = (3 * 2 * (1, 2) + -4 * (3, 4)) / 2 = (-3, -2), d/db = (6 - 4) / 2 = 1, d/d raw = 6 * 0.49 / 2 = 1.47
    policy = fresh_policy(ScalarLQR(0.9, 20.0, 100), init_sigma=0.5)
    with torch.no_grad():
        policy.actor[0].weight.zero_()
    batch = batch_of(
        torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[[0.5]], [[-1.0]]]), torch.tensor([[6.0], [1.0]]),
        torch.tensor([[0.5], [1.0]]),
    )  # fmt: skip
    assert gradient(policy, batch).tolist() == pytest.approx([-3.0, -2.0, 1.0, 1.47], rel=1e-5)


def test_wishes_by_hand() -> None:
    # d mean / d (W, b) = (x, y, 1); wishes 3 and -1 for the mean and 2 and 4 for log sigma, all divided by sigma = 0.5:
    # d/dW = (6 (1, 2) - 2 (3, 4)) / 2 = (0, 2), d/db = (6 - 2) / 2 = 2, d/d raw = (2 + 4) / 2 * 0.49 / 0.5 = 2.94
    policy = fresh_policy(ScalarLQR(0.9, 20.0, 100), init_sigma=0.5)
    with torch.no_grad():
        policy.actor[0].weight.zero_()
    zeros = torch.zeros(2, 1)
    batch = batch_of(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), zeros.unsqueeze(2), zeros, zeros + 1.0)._replace(
        wish=torch.tensor([[[[3.0], [2.0]]], [[[-1.0], [4.0]]]]), old=torch.tensor([[[0.0], [0.5]]] * 2)
    )
    assert gradient(policy, batch).tolist() == pytest.approx([0.0, 2.0, 2.0, 2.94], rel=1e-5)


def test_a_wish_that_is_the_score_gives_the_gradient_of_the_surrogate(policy: ActorCritic) -> None:
    batch = random_batch(policy, 4)
    mean = policy.mean(batch.observation).detach()
    noise = (batch.action - mean.unsqueeze(1)) / policy.sigma.detach()
    weighted = (batch.weight * batch.advantage).unsqueeze(-1)
    wish = torch.stack((weighted * noise, weighted * (noise.square() - 1.0)), dim=-2)
    old = torch.stack((mean, policy.sigma.detach().expand_as(mean)), dim=1)
    torch.testing.assert_close(gradient(policy, batch._replace(wish=wish, old=old)), gradient(policy, batch))


def test_it_is_uphill_by_finite_differences(policy: ActorCritic) -> None:
    batch = random_batch(policy, 0)

    def surrogate() -> float:
        log_prob = policy.log_prob(batch.observation.unsqueeze(1), batch.action).double()
        return (batch.weight * batch.advantage * log_prob).mean().item()

    uphill = by_parameters(actor_parameters(policy), surrogate, 1e-2)
    torch.testing.assert_close(gradient(policy, batch).double(), uphill, rtol=5e-3, atol=2e-3)


def test_it_is_the_first_step_of_the_clipped_loss(policy: ActorCritic) -> None:
    batch = random_batch(policy, 1)
    log_prob = policy.log_prob(batch.observation.unsqueeze(1), batch.action)
    loss = losses.clipped_surrogate(log_prob, log_prob.detach(), batch.advantage, batch.weight, clip_coef=0.2).loss
    loss.backward()
    expected = torch.cat([-parameter.grad.flatten() for parameter in actor_parameters(policy)])  # type: ignore[union-attr]
    torch.testing.assert_close(gradient(policy, batch), expected)


def test_several_at_once_are_those_one_by_one(policy: ActorCritic) -> None:
    batch = random_batch(policy, 2)
    other = batch._replace(advantage=batch.advantage.square())
    together = gradients(policy, (batch, other))
    assert torch.equal(together, torch.stack((gradient(policy, batch), gradient(policy, other))))
    assert not torch.equal(together[0], together[1])
    with pytest.raises(ValueError, match="must share observations and actions"):
        gradients(policy, (batch, random_batch(policy, 3)))
