"""The eighteen equations of the paper, each with numbers worked out by hand, in its order."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
from support.analytic_envs import TwoStepCredit, fresh_policy

from hgrpo_control.algorithms import advantages, losses
from hgrpo_control.algorithms.group_advantages import compare
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.rewards import transforms
from hgrpo_control.sampling.proposals import importance_weights
from hgrpo_control.sampling.sampler import Sampler
from policies import gaussian

NEVER = torch.zeros(1, 1, 1, dtype=torch.bool)


def column(*values: float) -> torch.Tensor:
    """(1, 1, N) one step of one root."""
    return torch.tensor(values).view(1, 1, -1)


def test_advantage_is_what_an_action_earns_beyond_the_state() -> None:
    """Eq. 1 and 2 (eq. 1, eq. 2): Q = R + gamma V(s') = 1 + .9 x 3 = 3.7, less V(s) = 2."""
    advantage = advantages.td_error(column(1.0), column(2.0), column(3.0), NEVER, gamma=0.9)
    assert advantages.gae(advantage, NEVER, 0.9, gae_lambda=0.0).item() == pytest.approx(1.7)


@pytest.mark.parametrize(
    ("ratio", "advantage", "gain"),
    [(1.1, 1.0, 1.1), (1.5, 1.0, 1.2), (0.5, 1.0, 0.5), (1.5, -1.0, -1.5), (0.5, -1.0, -0.8)],
)
def test_the_surrogate_is_clipped_where_that_is_pessimistic(ratio: float, advantage: float, gain: float) -> None:
    """Eq. 3, the same as eq. 9 and eq. 14: min(rho A, clip(rho, .8, 1.2) A), to be maximised."""
    log_ratio, one = torch.tensor([math.log(ratio)]), torch.ones(1)
    loss = losses.clipped_surrogate(log_ratio, torch.zeros(1), advantage * one, one, clip_coef=0.2).loss
    assert loss.item() == pytest.approx(-gain)


def test_the_ratio_is_that_of_two_densities() -> None:
    """Eq. 4: at a = 1, N(1, 1) over N(0, 1) is exp(0) / exp(-1/2) = 1.6487."""
    action, sigma = torch.ones(1, 1), torch.ones(1)
    log_ratio = gaussian.log_density(action, torch.ones(1, 1), sigma) - gaussian.log_density(
        action, torch.zeros(1, 1), sigma
    )
    assert log_ratio.exp().item() == pytest.approx(1.6487, abs=1e-4)


def test_n_actions_are_drawn_from_one_state_and_each_is_paid() -> None:
    """Eq. 5 and 6, the same as eq. 10 and 11 (eq. 5, eq. 6, eq. 10, eq. 11): four actions, four rewards, one state.

    The first action earns -(a - 1)^2 in the second step, so rewards tell the actions apart.
    """
    simulator = TwoStepCredit(target=1.0)
    sampler = Sampler(
        simulator, fresh_policy(simulator), num_envs=3, num_samples=4, branch_length=2, rollout_steps=2, seed=0
    )
    rollout, _ = sampler.collect()
    assert (rollout.observation[0] == rollout.observation[0][:, :1]).all()
    first = sampler.policy.to_environment(rollout.action[0])[..., 0]
    assert first.unique().numel() == 12
    torch.testing.assert_close(rollout.reward[1], -(first - 1.0).square())


@pytest.mark.parametrize("earned", [(1.0, 2.0, 3.0, 4.0), (-2.0, -1.0), (5.0, 5.0, 8.0)])
def test_the_printed_advantage_of_grpo_is_zero_and_its_comparison_is_not(earned: tuple[float, ...]) -> None:
    """Eq. 7 with eq. 8 put in is the mean less the same mean; what is built compares each sample with its group."""
    group = torch.tensor(earned)
    expectation = group.mean()  # eq. 8
    assert (group.mean() - expectation).item() == 0.0  # eq. 7
    compared = compare(group, torch.ones_like(group, dtype=torch.bool))
    assert compared.abs().max() > 0.5
    assert compared[group.argmax()] == compared.max()


def test_tanh_prefers_two_small_rewards_to_one_large() -> None:
    """Eq. 12 with its default: tanh 1 + tanh 1 = 1.523 though 1 + 1 < 3, and tanh 3 = .995."""
    twice, once = torch.tensor([1.0, 1.0]), torch.tensor([3.0])
    assert twice.sum() < once.sum()
    assert twice.tanh().sum() > once.tanh().sum()


def test_the_printed_advantage_of_hybrid_grpo_is_one_number_for_all_samples() -> None:
    """Eq. 13: TD errors 1 + .9 x 2 - 1 = 1.8 and 3 + .9 x 0 - 1 = 2, their mean 1.9; per_sample keeps them apart."""
    delta = advantages.td_error(column(1.0, 3.0), column(1.0), column(2.0, 0.0), NEVER.expand(1, 1, 2), gamma=0.9)
    arguments = (delta, column(1.0), NEVER.expand(1, 1, 2), 0.9, 1.0, 1)
    assert advantages.hybrid(*arguments, "paper").advantage.flatten().tolist() == pytest.approx([1.9, 1.9])
    assert advantages.hybrid(*arguments, "per_sample").advantage.flatten().tolist() == pytest.approx([1.8, 2.0])
    assert advantages.hybrid(*arguments, "group").advantage.flatten().tolist() == pytest.approx([-0.2, 0.2])


def test_a_gaussian_has_the_entropy_that_the_bonus_pays_for() -> None:
    """Eq. 15: H of N(., .5^2) in two dimensions is 2 x (1/2) ln(2 pi e / 4) = 1.4516."""
    assert gaussian.entropy(torch.tensor([0.5, 0.5])).item() == pytest.approx(1.4516, abs=1e-4)


def test_the_n_step_form_sums_rewards_and_bootstraps_once() -> None:
    """Eq. 16 with n = 2, N = 2, gamma = .5: (1 + .5 x 2 + .25 x 4 - 1 + 0 + .5 x 2 + .25 x 8 - 1) / 2 = 2."""
    reward = torch.tensor([[[1.0, 0.0]], [[2.0, 2.0]]])
    value = torch.tensor([[[1.0, 1.0]], [[7.0, -3.0]]])
    next_value = torch.tensor([[[7.0, -3.0]], [[4.0, 8.0]]])
    never = torch.zeros(2, 1, 2, dtype=torch.bool)
    delta = advantages.td_error(reward, value, next_value, never, gamma=0.5)
    estimate = advantages.hybrid(delta, value, never, 0.5, 1.0, 2, "paper")
    assert estimate.advantage[0].flatten().tolist() == pytest.approx([2.0, 2.0])


def test_rolling_normalisation_centres_and_scales() -> None:
    """Eq. 17 over 1, 2, 3, 6: mu = 3, sigma = sqrt((4 + 1 + 0 + 9) / 4) = 1.8708."""
    rolling = transforms.make(PPO(reward_transform="rolling"), num_envs=1)
    reward = torch.tensor([1.0, 2.0, 3.0, 6.0]).view(4, 1, 1)
    expected = [-1.0690, -0.5345, 0.0, 1.6036]
    assert rolling(reward, NEVER.expand(4, 1, 1)).flatten().tolist() == pytest.approx(expected, abs=1e-4)


def test_the_arg_max_is_one_action_and_the_resampling_is_not() -> None:
    """Eq. 18 with Q = a and pi = N(0, 1) on a grid: all samples of the arg max are a = beta^-1; softmax spreads."""
    grid = torch.linspace(-3.0, 3.0, 601)
    score = grid - 0.5 * grid.square()  # Q + beta log pi, beta = 1, up to a constant
    samples = torch.stack([grid[score.argmax()] for _ in range(4)])
    assert samples.unique().tolist() == pytest.approx([1.0], abs=0.01)
    candidates = torch.tensor([0.0, math.log(3.0)])  # resampled with probabilities 1/4 and 3/4
    assert importance_weights(candidates).tolist() == pytest.approx([2.0, 2.0 / 3.0])


@pytest.mark.parametrize("number", range(1, 19))
def test_every_equation_can_be_found_in_the_code_and_in_the_tests(number: int) -> None:
    root = Path(__file__).parents[3]
    wanted = re.compile(rf"[Ee]q\. {number}\b")
    for folder in ("hgrpo_control", "tests"):
        texts = (path.read_text(encoding="utf-8") for path in (root / folder).rglob("*.py"))
        assert any(wanted.search(text) for text in texts), f"eq. {number} in {folder}"
