"""The temperature of the entropy bonus: fixed, or moved until the policy is as wide as asked for."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.analytic_envs import ActionReward, fresh_policy, train

from hgrpo_control import algorithms
from hgrpo_control.config.algorithms import PPO, HybridGRPO
from hgrpo_control.config.entropy import HIGHEST, LOWEST
from hgrpo_control.config.learning import Learning
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.learning import temperature
from hgrpo_control.learning.learner import Learner
from hgrpo_control.learning.temperature import Temperature, gaussian_entropy
from hgrpo_control.sampling.sampler import Sampler
from policies import gaussian

pytestmark = pytest.mark.slow

many = settings(max_examples=60)
gaps = st.floats(1e-3, 5.0)


def test_entropy_of_a_gaussian_by_hand() -> None:
    # eq. 15: 1/2 ln(2 pi e) = 1.418939 per dimension; sigma 1/2 takes ln 2 = 0.693147 off each
    assert gaussian_entropy(1.0, 1) == pytest.approx(1.418939, abs=1e-6)
    assert gaussian_entropy(0.5, 2) == pytest.approx(2.0 * (1.418939 - 0.693147), abs=2e-6)


@pytest.mark.parametrize(("sigma", "size"), [(0.02, 4), (0.5, 1), (3.0, 7)])
def test_the_target_is_the_entropy_that_the_policy_would_have(sigma: float, size: int) -> None:
    assert gaussian_entropy(sigma, size) == pytest.approx(gaussian.entropy(torch.full((size,), sigma)).item(), rel=1e-5)


def test_two_steps_by_hand() -> None:
    # eq. 15: half a nat is missing, rate 0.02: the level becomes 0.1 e^0.01 = 0.101005, alpha level x e^0.5 = 0.166530
    alpha = Temperature(0.1, target_entropy=2.0, learning_rate=0.02)
    assert alpha.value == 0.1
    alpha.update(1.5)
    assert alpha.value == pytest.approx(0.166530, abs=1e-6)
    # a quarter too much at half the rate: level 0.101005 e^-0.0025 = 0.100753, alpha level x e^-0.25 = 0.078466
    alpha.update(2.25, share=0.5)
    assert alpha.value == pytest.approx(0.078466, abs=1e-6)


@many
@given(gap=gaps, target=st.floats(-5.0, 5.0))
def test_missing_entropy_raises_alpha_and_too_much_lowers_it(gap: float, target: float) -> None:
    # eq. 15, the sign
    below, above = (Temperature(0.1, target, 0.01) for _ in range(2))
    below.update(target - gap)
    above.update(target + gap)
    assert above.value < 0.1 < below.value


@many
@given(start=st.floats(LOWEST * 1.01, HIGHEST * 0.99), target=st.floats(-5.0, 5.0))
def test_at_the_target_alpha_stays(start: float, target: float) -> None:
    # eq. 15, the fixed point
    alpha = Temperature(start, target, 0.1)
    for _ in range(10):
        alpha.update(target)
    assert alpha.value == pytest.approx(start, rel=1e-9)


def test_after_an_error_alpha_has_moved_for_good() -> None:
    # eq. 15: the level is what ten steps of rate 0.1 at one missing nat leave, 0.01 e
    alpha = Temperature(0.01, 0.0, 0.1)
    for _ in range(10):
        alpha.update(-1.0)
    alpha.update(0.0)
    assert alpha.value == pytest.approx(0.01 * math.e)


@pytest.mark.parametrize(("entropy", "bound"), [(-50.0, HIGHEST), (50.0, LOWEST)])
def test_alpha_stays_within_bounds_and_comes_back_from_them(entropy: float, bound: float) -> None:
    alpha = Temperature(0.1, 0.0, 0.1)
    for _ in range(1000):
        alpha.update(entropy)
    assert alpha.value == pytest.approx(bound)
    alpha.update(-entropy / 50.0)
    assert abs(math.log(alpha.value / bound)) > 0.5


@many
@given(st.lists(st.floats(-5.0, 5.0), max_size=5))
def test_a_fixed_alpha_stays(entropies: list[float]) -> None:
    alpha = Temperature(0.0)
    for entropy in entropies:
        alpha.update(entropy)
    assert alpha.value == 0.0


WIDTHS = Learning(learning_rate=0.02, lr_schedule="constant", update_epochs=8, num_minibatches=1, ent_coef=0.3)


@pytest.mark.parametrize(
    ("algorithm", "start", "target"),
    [(PPO(0.8), 0.5, 0.2), (HybridGRPO(0.8, num_samples=2, branch_steps=1), 0.1, 0.3)],
    ids=["ppo narrows", "hybrid widens"],
)
def test_the_policy_becomes_as_wide_as_asked_for(algorithm: Any, start: float, target: float) -> None:
    # eq. 15 on -(a - 2)^2, bounds +-4, for which no noise at all would be best
    adapted = replace(WIDTHS, target_sigma=target, ent_learning_rate=0.03)
    policy = train(ActionReward(2.0), algorithm, 40, 64, 8, adapted, init_sigma=start)
    assert policy.sigma.item() == pytest.approx(target, rel=0.15)
    assert policy(torch.zeros(1)).item() == pytest.approx(2.0, abs=0.3)


def test_a_fixed_temperature_of_the_same_size_lets_it_become_narrow() -> None:
    assert train(ActionReward(2.0), PPO(0.8), 20, 64, 8, WIDTHS, init_sigma=0.5).sigma.item() < 0.1


def drawn(**settings: Any) -> tuple[Learner, Any]:
    """A learner and a batch of 64 rows."""
    probe = ActionReward(2.0)
    policy = fresh_policy(probe)
    rollout, _ = Sampler(probe, policy, 8, 1, 8, 8, seed=1).collect()
    return Learner(policy, Learning(update_epochs=2, num_minibatches=4, **settings), seed=0), algorithms.make_batch(
        rollout, PPO()
    )


def test_the_learner_takes_one_step_per_minibatch_at_the_pace_of_its_own_learning_rate() -> None:
    learner, batch = drawn(ent_coef=0.1, target_sigma=0.25, ent_learning_rate=0.01)
    by_hand = Temperature(0.1, gaussian_entropy(0.25, 1), 0.01)
    entropy = learner.policy.entropy().item()
    stats = learner.update(batch, progress=1.0)  # linear schedule: nothing moves, so neither does the level
    by_hand.update(entropy, share=0.0)
    assert stats["temperature"] == pytest.approx(by_hand.value)
    before = copy.deepcopy(learner.temperature)
    stats = learner.update(batch, progress=0.5)
    # 8 minibatches at half the rate; sigma moves by 0.05 % in each at most
    for _ in range(8):
        before.update(entropy, share=0.5)
    assert stats["temperature"] == pytest.approx(before.value, rel=0.02)


def test_a_fixed_temperature_is_reported_as_it_is() -> None:
    learner, batch = drawn(ent_coef=0.125)
    assert learner.update(batch)["temperature"] == 0.125
    assert "temperature" not in learner.state_dict()


def test_a_learner_with_a_target_goes_on_bit_for_bit_from_its_saved_state() -> None:
    settings = {"ent_coef": 0.1, "target_sigma": 0.2, "ent_learning_rate": 0.05}
    first, batch = drawn(**settings)
    first.update(batch)
    saved, policy = copy.deepcopy((first.state_dict(), first.policy))
    second = Learner(policy, first.config, seed=99)
    second.load_state_dict(saved)
    assert second.temperature.state_dict() == first.temperature.state_dict()
    assert [repr(x) for x in first.update(batch, 0.5)] == [repr(x) for x in second.update(batch, 0.5)]
    assert torch.equal(first.policy.sigma, second.policy.sigma)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target_sigma": 0.01}, "target_sigma must be above min_sigma 0.01; given 0.01"),
        ({"target_sigma": float("nan")}, "target_sigma must be above 0; given nan"),
        (
            {"target_sigma": 0.1},
            "with target_sigma the temperature starts at ent_coef, which must lie in [0.0001, 100]; given 0.0",
        ),
        (
            {"target_sigma": 0.1, "ent_coef": -0.1},
            "ent_coef must be at least 0; given -0.1",
        ),
        ({"ent_learning_rate": 0.0}, "ent_learning_rate must be above 0; given 0.0"),
        (
            {"ent_learning_rate": 0.1},
            "ent_learning_rate 0.1 does nothing without target_sigma, towards which it moves alpha",
        ),
    ],
)
def test_settings_that_cannot_be_met_are_refused_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Config("quadrotor-hover", PPO(), learning=Learning(**settings))
    assert str(raised.value) == message


def test_the_bounds_are_those_of_the_documentation() -> None:
    assert (LOWEST, HIGHEST, temperature.DAMPING) == (1e-4, 100.0, 1.0)
