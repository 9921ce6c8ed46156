"""Every algorithm learns what it can learn on simulators whose answer is known in closed form.

Actor and critic are linear, which each probe's answer is too, so what is left is noise and the number of updates: the
tolerances are a few times the spread over seeds.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.analytic_envs import ActionReward, ConstantReward, ObservationReward, ScalarLQR, TwoStepCredit, train

from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning

pytestmark = pytest.mark.slow

GAMMA = 0.8
LEARNING = Learning(learning_rate=0.1, update_epochs=4, num_minibatches=2)

WITH_CRITIC: list[Algorithm] = [
    PPO(GAMMA, gae_lambda=0.9),
    HybridGRPO(GAMMA, num_samples=2),
    HybridGRPO(GAMMA, num_samples=2, branch_steps=1),
]
ONE_STEP: list[Algorithm] = [
    HybridGRPO(GAMMA, num_samples=2, branch_steps=1),
    HybridGRPO(GAMMA, num_samples=4, branch_steps=1, estimator="per_sample"),
    HybridGRPO(GAMMA, num_samples=4, branch_steps=1, guided_candidates=8),
]
WHOLE_ROLLOUTS: list[Algorithm] = [
    PPO(GAMMA, gae_lambda=0.9),
    HybridGRPO(GAMMA, num_samples=2),
    GRPO(GAMMA, num_samples=4),
]


def name(algorithm: Algorithm) -> str:
    kind = getattr(algorithm, "estimator", "")
    guided = " guided" if getattr(algorithm, "guided_candidates", 0) else ""
    return f"{type(algorithm).__name__} {kind} n={getattr(algorithm, 'branch_steps', None) or 'T'}{guided}"


@pytest.mark.parametrize("algorithm", WITH_CRITIC, ids=name)
def test_value_of_a_constant_reward_up_to_the_end_of_the_episode(algorithm: Algorithm) -> None:
    policy = train(ConstantReward(5, ends=True), algorithm, 20, 16, 10, LEARNING)
    # (1 - 0.8^k) / 0.2 with k steps to go: k = 5 ... 1
    value = policy.value(torch.eye(5)).tolist()
    assert value == pytest.approx([3.3616, 2.952, 2.44, 1.8, 1.0], abs=0.1)


@pytest.mark.parametrize("algorithm", WITH_CRITIC, ids=name)
def test_a_time_limit_does_not_lower_the_value(algorithm: Algorithm) -> None:
    # episodes are cut after 7 steps in every phase of the clock, but the reward would have gone on: 1 / (1 - 0.8) = 5
    policy = train(ConstantReward(5, ends=False, max_episode_steps=7), algorithm, 25, 16, 10, LEARNING)
    assert policy.value(torch.eye(5)).tolist() == pytest.approx([5.0] * 5, abs=0.25)


def test_value_of_a_reward_that_is_seen() -> None:
    policy = train(ObservationReward(max_episode_steps=6), HybridGRPO(GAMMA, num_samples=2), 15, 16, 10, LEARNING)
    # s / 1.8
    assert policy.value(torch.tensor([[-1.0], [1.0]])).tolist() == pytest.approx([-0.5556, 0.5556], abs=0.03)


def test_the_papers_estimator_finds_the_best_action_of_a_bandit() -> None:
    # -(a - 2)^2, bounds +-4
    paper = HybridGRPO(GAMMA, num_samples=2, branch_steps=1, estimator="paper")
    policy = train(ActionReward(target=2.0), paper, 25, 64, 8, LEARNING)
    assert policy(torch.zeros(1)).item() == pytest.approx(2.0, abs=0.3)


@pytest.mark.parametrize("algorithm", ONE_STEP, ids=name)
def test_credit_reaches_the_step_that_earned_it(algorithm: Algorithm) -> None:
    # -(a_0 + 1)^2 paid in the second step, bounds +-2
    learning = replace(LEARNING, learning_rate=0.05)
    policy = train(TwoStepCredit(target=-1.0), algorithm, 40, 128, 2, learning)
    assert policy(torch.zeros(1, 2)).item() == pytest.approx(-1.0, abs=0.1)


def test_one_step_groups_without_value_function_cannot_give_credit_to_the_first_step() -> None:
    # in phase 0 all siblings earn 0, in phase 1 all earn the same: not one sample is better than another
    policy = train(TwoStepCredit(target=-1.0), GRPO(GAMMA, num_samples=4, branch_steps=1), 10, 64, 2, LEARNING)
    fresh = train(TwoStepCredit(target=-1.0), GRPO(GAMMA, num_samples=4, branch_steps=1), 0, 64, 2, LEARNING)
    assert torch.equal(policy.actor[0].bias, fresh.actor[0].bias)


@pytest.mark.parametrize("algorithm", WHOLE_ROLLOUTS, ids=name)
def test_gain_and_value_of_the_scalar_lqr(algorithm: Algorithm) -> None:
    grpo = isinstance(algorithm, GRPO)  # sees only what its branches show, so they last as long as the discount
    lqr = ScalarLQR(GAMMA, bound=2.0, max_episode_steps=20 if grpo else 5)
    learning = replace(LEARNING, learning_rate=0.05)
    iterations, steps = (30, 20) if grpo else (60, 10)
    policy = train(lqr, algorithm, iterations, 32, steps, learning, init_sigma=0.2, min_sigma=0.1)
    action = policy(torch.tensor([[1.0, 1.0], [-1.0, 1.0]])).flatten()
    gain = 0.5 * (action[1] - action[0]).item()
    # k solves k = 0.8 P / (1 + 0.8 P), P = (1 + k^2) / (1 - 0.8 (1 - k)^2): k = 0.55425, P = 1.55425
    assert lqr.best_gain() == pytest.approx(0.55425, abs=1e-5)
    assert gain == pytest.approx(0.554, abs=0.1 if grpo else 0.06)
    if not grpo:
        at_zero, at_one, at_minus_one = policy.value(torch.tensor([[0.0, 0.0], [1.0, 1.0], [-1.0, 1.0]])).tolist()
        p, c = lqr.value_coefficients(gain, 2.0 * policy.sigma.item())
        assert at_zero - 0.5 * (at_one + at_minus_one) == pytest.approx(p, rel=0.2)
        assert at_zero == pytest.approx(-c, abs=0.15)
