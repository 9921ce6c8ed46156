"""The three readings of a rollout: what they promise about each other, bit for bit, and about the policy gradient."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.analytic_envs import ScalarLQR, lqr_policy
from support.replay_env import Ledger, spelled_out_critic
from torch import Tensor

from hgrpo_control import algorithms
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning
from hgrpo_control.learning.learner import Learner
from hgrpo_control.sampling.sampler import Sampler

ESTIMATORS = pytest.mark.parametrize("estimator", ["group", "group_shrunk", "per_sample"])


def random_rollout(seed: int, num_samples: int, branch_steps: int, steps: int = 8, critic: bool = True) -> Rollout:
    """Noise of the right shapes; episodes end at random, half of them for good."""
    generator = torch.Generator().manual_seed(seed)
    shape, shared = (steps, 5, num_samples), 1 if branch_steps == 1 else num_samples

    def noise(*size: int) -> Tensor:
        return torch.randn(size, generator=generator)

    done = torch.rand(shape, generator=generator) < 0.2
    return Rollout(
        observation=noise(*shape[:2], shared, 3),
        action=noise(*shape, 2),
        log_prob=noise(*shape),
        reward=noise(*shape),
        value=noise(*shape[:2], shared) if critic else None,
        next_value=noise(*shape) if critic else None,
        terminated=done & (torch.rand(shape, generator=generator) < 0.5),
        done=done,
        branch_length=branch_steps,
    )


def equal(one: Any, other: Any) -> bool:
    return all(x is y is None or torch.equal(x, y) for x, y in zip(one, other, strict=True))


@ESTIMATORS
@pytest.mark.parametrize("branch_steps", [1, 4, 8])
@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), gae_lambda=st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_hybrid_with_one_sample_is_ppo(estimator: Any, branch_steps: int, seed: int, gae_lambda: float) -> None:
    rollout = random_rollout(seed, 1, branch_steps)
    hybrid = HybridGRPO(0.97, gae_lambda, num_samples=1, branch_steps=branch_steps, estimator=estimator)
    ppo = algorithms.make_batch(rollout, PPO(0.97, gae_lambda))
    assert ppo.advantage.any()
    assert equal(algorithms.make_batch(rollout, hybrid), ppo)


@ESTIMATORS
def test_a_whole_update_of_hybrid_with_one_sample_is_ppos(estimator: Any) -> None:
    def updated(algorithm: Algorithm) -> list[Tensor]:
        ledger = Ledger()
        policy = spelled_out_critic(ledger)
        sampler = Sampler(ledger, policy, 8, algorithm.num_samples, algorithm.branch_length(8), 8, seed=1)
        learner = Learner(policy, Learning(update_epochs=2, num_minibatches=4), seed=2)
        for _ in range(3):
            rollout, _ = sampler.collect()
            learner.update(algorithms.make_batch(rollout, algorithm))
            policy.normalizer.update(rollout.executed_observation)
        return [*policy.state_dict().values()]

    before = [*spelled_out_critic(Ledger()).state_dict().values()]
    ppo = updated(PPO(gae_lambda=0.9))
    assert not equal(ppo, before)
    assert equal(updated(HybridGRPO(gae_lambda=0.9, num_samples=1, estimator=estimator)), ppo)


@pytest.mark.parametrize("branch_steps", [1, 4, 8])
def test_grpo_gives_steps_after_the_first_episode_of_a_branch_no_weight(branch_steps: int) -> None:
    rollout = random_rollout(0, 4, branch_steps, critic=False)
    batch = algorithms.make_batch(rollout, GRPO(num_samples=4, branch_steps=branch_steps))
    weight, advantage = (x.reshape(rollout.done.shape) for x in (batch.weight, batch.advantage))
    for start in range(0, 8, branch_steps):
        for env in range(5):
            for i in range(4):
                done = rollout.done[start : start + branch_steps, env, i].tolist()
                expected = [float(not any(done[:j])) for j in range(branch_steps)]
                assert weight[start : start + branch_steps, env, i].tolist() == expected
        branch = advantage[start : start + branch_steps]
        assert torch.equal(branch, branch[:1].expand_as(branch))  # one number for the whole branch
    assert batch.value is None
    assert batch.value_target is None


def test_algorithms_refuse_rollouts_they_cannot_read() -> None:
    with pytest.raises(ValueError, match="PPO needs one sample per root and a critic; given 4 samples"):
        algorithms.make_batch(random_rollout(0, 4, 8), PPO())
    with pytest.raises(ValueError, match=r"PPO needs .* a critic"):
        algorithms.make_batch(random_rollout(0, 1, 8, critic=False), PPO())
    with pytest.raises(ValueError, match="Hybrid GRPO needs a policy with a critic"):
        algorithms.make_batch(random_rollout(0, 4, 8, critic=False), HybridGRPO())
    with pytest.raises(ValueError, match="at least 2 samples"):
        algorithms.make_batch(random_rollout(0, 1, 8, critic=False), GRPO())


DRAWN = pytest.mark.parametrize(
    ("kind", "num_samples", "branch_steps"),
    [("ppo", 1, 8)]
    + [(kind, n, steps) for kind in ("group", "group_shrunk", "per_sample") for n, steps in ((4, 8), (4, 4), (3, 1))],
)

# The policy gradient on the scalar LQR, where V is known. Under u ~ N(mu, s^2), mu = -k x,
#   A(x, u) = -(q x^2 + r u^2) - gamma (P (a x + b u)^2 + c) + P x^2 + c,
# so d/d mu E[A] = -2 r mu - 2 gamma b P (a x + b mu), and E[A d log pi / d mu | x] is just that.
GAMMA, GAIN, SIGMA, BOUND = 0.9, 0.4, 0.5, 20.0


def lqr_rollout(seed: int, num_envs: int, num_samples: int, branch_steps: int) -> tuple[ScalarLQR, Rollout]:
    """A rollout under the gain with the exact V; episodes are cut after 5 steps, inside branches too."""
    lqr = ScalarLQR(GAMMA, BOUND, max_episode_steps=5)
    policy = lqr_policy(lqr, GAIN, SIGMA)
    return lqr, Sampler(lqr, policy, num_envs, num_samples, branch_steps, 8, seed).collect()[0]


def gradient_error(rollout: Rollout, algorithm: Algorithm, lqr: ScalarLQR, times: float = 1.0) -> tuple[float, float]:
    """Mean and standard error over roots of (times x advantage x score - exact gradient) x d mu / d gain."""
    x = rollout.observation[..., 0].expand(rollout.done.shape).double()
    u = BOUND * rollout.action[..., 0].double()
    mu = -GAIN * x
    p, _ = lqr.value_coefficients(GAIN, SIGMA)
    exact = -2.0 * lqr.r * mu - 2.0 * GAMMA * lqr.b * p * (lqr.a * x + lqr.b * mu)
    advantage = algorithms.make_batch(rollout, algorithm).advantage.reshape(rollout.done.shape).double()
    error = (times * advantage * (u - mu) / SIGMA**2 - exact) * -x
    by_root = error.mean(dim=(0, 2))
    return by_root.mean().item(), by_root.std().item() / math.sqrt(len(by_root))


@pytest.mark.parametrize("gae_lambda", [0.0, 0.5, 1.0])
@DRAWN
def test_every_estimator_is_right_on_average(kind: Any, num_samples: int, branch_steps: int, gae_lambda: float) -> None:
    algorithm: Algorithm = PPO(GAMMA, gae_lambda)
    if kind != "ppo":
        algorithm = HybridGRPO(GAMMA, gae_lambda, num_samples, branch_steps, kind)
    lqr, rollout = lqr_rollout(0, 4000, num_samples, branch_steps)
    mean, standard_error = gradient_error(rollout, algorithm, lqr)
    assert abs(mean) < 3.0 * standard_error
    assert standard_error < 0.05


def test_the_papers_estimator_is_right_after_multiplying_by_the_number_of_samples() -> None:
    # the mean of N samples holds 1/N of the part that depends on each sample's own action
    lqr, rollout = lqr_rollout(0, 4000, 4, 1)
    paper = HybridGRPO(GAMMA, 1.0, 4, 1, "paper")
    mean, standard_error = gradient_error(rollout, paper, lqr, times=4.0)
    assert abs(mean) < 3.0 * standard_error
    mean, standard_error = gradient_error(rollout, paper, lqr)
    assert abs(mean) > 10.0 * standard_error


@DRAWN
def test_with_lambda_1_a_wrong_value_function_does_no_harm(kind: Any, num_samples: int, branch_steps: int) -> None:
    # V = 0 but where an episode or the rollout ends. The siblings' branches then miss what comes after them, and the
    # executed sample's tail, weighted by N, has to make up for all of them.
    lqr, rollout = without_value_inside(lqr_rollout(0, 8000, num_samples, branch_steps))
    algorithm: Algorithm = PPO(GAMMA, 1.0) if kind == "ppo" else HybridGRPO(GAMMA, 1.0, num_samples, branch_steps, kind)
    mean, standard_error = gradient_error(rollout, algorithm, lqr)
    assert abs(mean) < 3.0 * standard_error
    assert standard_error < 0.15


def test_siblings_take_the_place_of_a_value_function() -> None:
    lqr, rollout = without_value_inside(lqr_rollout(0, 4000, 4, 8))
    kinds: tuple[Any, ...] = ("group", "per_sample")
    group, alone = (gradient_error(rollout, HybridGRPO(GAMMA, 1.0, 4, 8, kind), lqr)[1] for kind in kinds)
    assert group < 0.8 * alone


def without_value_inside(drawn: tuple[ScalarLQR, Rollout]) -> tuple[ScalarLQR, Rollout]:
    """V = 0 everywhere but after the last step of an episode or of the rollout."""
    lqr, rollout = drawn
    assert rollout.value is not None
    assert rollout.next_value is not None
    last = torch.arange(len(rollout.done)).view(-1, 1, 1) == len(rollout.done) - 1
    next_value = torch.where(rollout.done | last, rollout.next_value, 0.0)
    return lqr, rollout._replace(value=torch.zeros_like(rollout.value), next_value=next_value)
