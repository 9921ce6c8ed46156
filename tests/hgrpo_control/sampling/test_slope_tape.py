"""Slopes of branches, against closed forms and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from support.analytic_envs import ScalarLQR, TwoStepCredit, fresh_policy, lqr_policy
from torch import Tensor

import robots
from hgrpo_control import algorithms
from hgrpo_control.algorithms import slopes
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import HybridGRPO
from hgrpo_control.config.learning import Network
from hgrpo_control.sampling.sampler import Sampler
from hgrpo_control.sampling.slope_tape import SlopeTape
from hgrpo_control.training.simulation import policy_spec
from policies.actor_critic import ActorCritic
from robots.episodes import after_step, reset_episodes

GAMMA, GAIN, SIGMA, BOUND, LIMIT = 0.9, 0.4, 0.5, 20.0, 5


def lqr_rollout(num_envs: int, num_samples: int, branch_length: int, seed: int = 0) -> tuple[ScalarLQR, Rollout]:
    """A rollout with slopes under u = -GAIN x + SIGMA eps and the exact V."""
    lqr = ScalarLQR(GAMMA, BOUND, LIMIT)
    policy = lqr_policy(lqr, GAIN, SIGMA)
    sampler = Sampler(lqr, policy, num_envs, num_samples, branch_length, 8, seed, slope_gamma=GAMMA)
    return lqr, sampler.collect()[0]


def slopes_by_hand(lqr: ScalarLQR, rollout: Rollout) -> Tensor:
    """(T, E, N) dR/du by the chain rule of the linear system, backwards through each branch.

    dR_t/du_t = -2 r u_t + gamma b G_{t+1} and G_t = dR_t/dx_t = -2 q x_t + gamma a G_{t+1} - k dR_t/du_t. At the end of
    a branch and at a time limit G_{t+1} = dV/dx = -2 P x_{t+1}.
    """
    p, _ = lqr.value_coefficients(GAIN, SIGMA)
    x = rollout.observation[..., 0].expand(rollout.done.shape).double()
    u = BOUND * rollout.action[..., 0].double()
    by_u = torch.zeros_like(u)
    following = torch.zeros_like(u[0])
    for t in reversed(range(len(u))):
        last = (t + 1) % rollout.branch_length == 0
        end = -2.0 * p * (lqr.a * x[t] + lqr.b * u[t])
        following = end if last else torch.where(rollout.done[t], end, following)
        by_u[t] = -2.0 * lqr.r * u[t] + GAMMA * lqr.b * following
        following = -2.0 * lqr.q * x[t] + GAMMA * lqr.a * following - GAIN * by_u[t]
    return by_u


@pytest.mark.parametrize(("num_samples", "branch_length"), [(1, 8), (4, 8), (3, 4), (4, 1)])
def test_slopes_of_the_lqr_are_the_chain_rule(num_samples: int, branch_length: int) -> None:
    lqr, rollout = lqr_rollout(64, num_samples, branch_length)
    assert rollout.slope is not None
    assert rollout.done.any(), "episodes end within the rollout"
    torch.testing.assert_close(
        rollout.slope[..., 0].double() / BOUND, slopes_by_hand(lqr, rollout), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(("num_samples", "branch_length"), [(1, 8), (4, 8), (3, 1)])
def test_score_slope_and_mix_estimate_one_gradient(num_samples: int, branch_length: int) -> None:
    """Means within three standard errors; slope and mix vary less than the score."""
    lqr, rollout = lqr_rollout(4000, num_samples, branch_length)
    assert rollout.slope is not None
    assert rollout.noise is not None
    algorithm = HybridGRPO(GAMMA, 1.0, num_samples, branch_length, "per_sample")
    advantage = algorithms.make_batch(rollout, algorithm).advantage.view_as(rollout.reward).double()
    score = advantage * rollout.noise[..., 0] / SIGMA
    slope = rollout.slope[..., 0].double() / BOUND
    moments = slopes.sibling_moments(score.unsqueeze(-1), slope.unsqueeze(-1), branch_length)
    alpha = slopes.best_share(moments, num_samples).repeat(8 // branch_length, 1).unsqueeze(-1)
    mix = alpha * slope + (1.0 - alpha) * score

    x = rollout.observation[..., 0].expand(rollout.done.shape).double()
    p, _ = lqr.value_coefficients(GAIN, SIGMA)
    mu = -GAIN * x
    exact = -2.0 * lqr.r * mu - 2.0 * GAMMA * lqr.b * p * (lqr.a * x + lqr.b * mu)
    errors = {}
    for name, estimate in (("score", score), ("slope", slope), ("mix", mix)):
        by_root = ((estimate - exact) * -x).mean(dim=(0, 2))
        errors[name] = by_root.std().item() / math.sqrt(len(by_root))
        assert abs(by_root.mean().item()) < 3.0 * errors[name], name
    assert errors["slope"] < 0.7 * errors["score"]
    assert errors["mix"] < 0.7 * errors["score"]
    if num_samples > 1:  # siblings of one state
        of_score, of_slope, of_mix = (estimate[0].var(1).mean() for estimate in (score, slope, mix))
        assert of_mix <= 1.02 * min(of_score, of_slope)


@pytest.mark.parametrize(
    ("action", "slope", "expected"),
    [
        (0.5, 2.0, 8.0),  # inside: the slope times half the range of 4
        (1.0, 2.0, 8.0),
        (1.5, 2.0, 0.0),  # outward: the command cannot follow
        (1.5, -2.0, -8.0),  # inward: as at the bound
        (-1.5, -2.0, 0.0),
        (-1.5, 2.0, 8.0),
    ],
)
def test_at_a_bound_slopes_point_inward(action: float, slope: float, expected: float) -> None:
    class Paid(ScalarLQR):
        """The reward is the command times the slope."""

        def step(self, state, action):  # type: ignore[no-untyped-def]
            return super().step(state, action)._replace(reward=slope * action[:, 0])

    simulator = Paid(GAMMA, 4.0, LIMIT)
    policy = fresh_policy(simulator, critic=False)
    tape, episodes = SlopeTape(simulator, policy, GAMMA), reset_episodes(simulator, 1, 0)
    given, rows = torch.tensor([[action]]), simulator.observe(episodes.state)
    step = tape.step(episodes.state, policy.to_environment(given))
    assert step.reward.item() == slope * 4.0 * max(-1.0, min(1.0, action))
    tape.add(rows, given, after_step(episodes, step, LIMIT), torch.arange(0), last=True)
    assert tape.finish().item() == expected


def quadrotor(task: str, dtype: torch.dtype = torch.float64) -> tuple[robots.simulator.Simulator, ActorCritic]:
    simulator = robots.make(task, dtype=dtype)
    spec = policy_spec(simulator.spec, Network(hidden_sizes=(8,)), critic=True)
    return simulator, ActorCritic(spec, 0.1, torch.Generator().manual_seed(1)).to(dtype)


def test_recording_slopes_changes_no_bit_of_the_rollout() -> None:
    simulator, policy = quadrotor("quadrotor-gates", torch.float32)
    plain, recorded = (
        Sampler(simulator, policy, 6, 2, 8, 16, 3, slope_gamma=gamma).collect()[0] for gamma in (None, 0.99)
    )
    assert recorded.slope is not None
    assert not recorded.dropped_slopes
    for name in ("observation", "action", "log_prob", "reward", "value", "next_value", "terminated", "done"):
        assert torch.equal(getattr(plain, name), getattr(recorded, name)), name


def test_a_slope_that_is_not_finite_is_dropped_and_counted() -> None:
    class Broken(ScalarLQR):
        """The reward's derivative by the action is infinite where the action is 0."""

        def step(self, state, action):  # type: ignore[no-untyped-def]
            step = super().step(state, action)
            return step._replace(reward=step.reward + (action[:, 0] * 0.0).sqrt())

    lqr = Broken(GAMMA, BOUND, LIMIT)
    policy = fresh_policy(lqr, init_sigma=SIGMA / BOUND)
    rollout, _ = Sampler(lqr, policy, 3, 1, 4, 4, 0, slope_gamma=GAMMA).collect()
    assert rollout.dropped_slopes == 12
    assert rollout.slope is not None
    assert torch.equal(rollout.slope, torch.zeros_like(rollout.slope))
    assert rollout.metrics()["dropped_slopes"] == 12


def test_an_action_without_effect_has_the_slope_0() -> None:
    """Of two actions only the first is paid, in the second step: -(a - 1)^2 has the derivative 2 (1 - a) gamma."""
    credit = TwoStepCredit(target=1.0)
    policy = fresh_policy(credit, critic=False, init_sigma=0.1)
    rollout, _ = Sampler(credit, policy, 5, 2, 2, 2, 0, slope_gamma=GAMMA).collect()
    assert rollout.slope is not None
    paid = 2.0 * rollout.action[0]  # bounds of 2
    torch.testing.assert_close(rollout.slope[0], 2.0 * 2.0 * (1.0 - paid) * GAMMA)
    assert torch.equal(rollout.slope[1], torch.zeros_like(rollout.slope[1]))
