"""Tolerances between single-precision programs: against float64, and tight enough to find what is wrong."""

import numpy as np
import pytest
import torch
from support.exported_policies import make_policy, make_spec

from policies.actor_critic import ActorCritic
from sim2real.export.exportable import actions_of, check_observations
from sim2real.export.rounding import tolerance
from sim2real.policy.metadata import TOLERANCE


def scaled(weight: float) -> ActorCritic:
    policy = make_policy(make_spec(hidden_sizes=(32, 32)))
    with torch.no_grad():
        for layer in (policy.actor[0], policy.actor[2]):
            layer.weight.mul_(weight)
    return policy


@pytest.mark.parametrize("weight", [1.0, 10.0, 300.0, 3000.0])
def test_single_precision_lies_within_the_tolerance_of_double(weight: float) -> None:
    policy = scaled(weight)
    observation = check_observations(policy.normalizer, 1000)
    allowed = tolerance(policy, observation)
    single = policy.mean(torch.from_numpy(observation)).detach().clamp(-1.0, 1.0)
    features = policy.normalizer(torch.from_numpy(observation)).double()
    double = policy.actor.double()(features).detach().clamp(-1.0, 1.0)
    assert ((single - double).abs().numpy() <= 2.0 * allowed).all()


def test_it_is_that_of_the_arithmetic_for_one_sum() -> None:
    # one product w x and no hidden layer: e^2 = (w u x)^2 + (2 u w x)^2
    policy = make_policy(make_spec(size=1, hidden_sizes=()))
    with torch.no_grad():
        policy.actor[0].weight.fill_(2.0e4)
        policy.actor[0].bias.zero_()
    x = policy.normalizer(torch.tensor([[3.0]])).item()
    error = 2.0**-24 * 2.0e4 * abs(x) * np.sqrt(1.0 + 4.0)
    expected = np.clip(4.0 * np.sqrt(2.0) * error / 2.0, TOLERANCE, 0.09)
    assert tolerance(policy, np.array([[3.0]], np.float32)) == pytest.approx(expected, rel=1e-6)
    assert expected > 10 * TOLERANCE


def test_an_ordinary_policy_is_held_to_a_ten_thousandth() -> None:
    policy = scaled(1.0)
    observation = check_observations(policy.normalizer, 1000)
    assert tolerance(policy, observation).max() < 1e-4
    wrong = scaled(1.0)
    with torch.no_grad():
        wrong.actor[2].weight[0, 0] += 0.05
    difference = np.abs(actions_of(policy, observation) - actions_of(wrong, observation))
    span = np.array(policy.spec.action_high) - np.array(policy.spec.action_low)
    assert (difference > tolerance(policy, observation) * span).any()
