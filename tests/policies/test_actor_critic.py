"""A fresh policy, its action scaling and its spread."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from policies import gaussian
from policies.actor_critic import ActorCritic
from policies.spec import Channel, PolicySpec

LOW, HIGH, SAFE = (-1.0, 0.1, -7.0), (2.0, 0.3, -3.0), (0.5, 0.15, -6.5)


def spec(**changes: Any) -> PolicySpec:
    """Four observations, three actions with bounds that are nowhere symmetric."""
    fields: dict[str, Any] = {
        "task": "reach",
        "robot": "",
        "control_hz": 50.0,
        "observation": tuple(Channel(f"o{i}") for i in range(4)),
        "action": tuple(Channel(f"a{i}") for i in range(3)),
        "action_low": LOW,
        "action_high": HIGH,
        "safe_action": SAFE,
        "hidden_sizes": (16, 8),
    }
    return PolicySpec(**(fields | changes))


def fresh(seed: int = 0, init_sigma: float = 0.5, **changes: Any) -> ActorCritic:
    return ActorCritic(spec(**changes), init_sigma, torch.Generator().manual_seed(seed))


def linear_layers(network: nn.Module) -> list[nn.Linear]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Linear)]


def some_observations(rows: int = 32) -> Tensor:
    return torch.randn(rows, 4, generator=torch.Generator().manual_seed(1))


def test_weights_start_orthogonal_with_the_gain_of_their_layer() -> None:
    policy = fresh()
    assert policy.critic is not None
    # an orthogonal matrix with gain g has all its min(rows, columns) singular values equal to g
    gains = {policy.actor: (math.sqrt(2.0), math.sqrt(2.0), 0.01), policy.critic: (math.sqrt(2.0), math.sqrt(2.0), 1.0)}
    for network, expected in gains.items():
        layers = linear_layers(network)
        assert len(layers) == len(expected)
        for layer, gain in zip(layers, expected, strict=True):
            singular = torch.linalg.svdvals(layer.weight)
            torch.testing.assert_close(singular, torch.full_like(singular, gain))


def test_biases_start_at_zero_but_for_the_safe_action() -> None:
    policy = fresh()
    assert policy.critic is not None
    biases = [layer.bias for layer in linear_layers(policy.actor)[:-1] + linear_layers(policy.critic)]
    assert all(torch.equal(bias, torch.zeros_like(bias)) for bias in biases)


def test_the_first_action_is_nearly_the_safe_one() -> None:
    # the last layer's weights have gain 0.01 and its inputs are 8 tanh values: |mean - safe| <= 0.01 sqrt(8) = 0.029
    policy = fresh()
    away = policy.mean(some_observations()) - policy.from_environment(torch.tensor(SAFE))
    assert away.norm(dim=-1).max() <= 0.01 * math.sqrt(8.0) + 1e-6
    half_range = 0.5 * (torch.tensor(HIGH) - torch.tensor(LOW))
    assert bool(((policy(some_observations()) - torch.tensor(SAFE)).abs() <= 0.03 * half_range).all())


def test_actor_and_critic_share_no_parameter() -> None:
    policy = fresh()
    assert policy.critic is not None
    actor, critic = ({p.data_ptr() for p in network.parameters()} for network in (policy.actor, policy.critic))
    assert not actor & critic
    policy.value(some_observations()).sum().backward()
    assert all(p.grad is None for p in (*policy.actor.parameters(), policy.raw_sigma))
    assert all(p.grad is not None for p in policy.critic.parameters())


def test_the_seed_decides_the_weights() -> None:
    same, again, other = (torch.cat([p.flatten() for p in fresh(seed).parameters()]) for seed in (3, 3, 4))
    assert torch.equal(same, again)
    assert not torch.equal(same, other)


@pytest.mark.parametrize("init_sigma", [0.011, 0.5, 3.0])
def test_sigma_starts_as_asked(init_sigma: float) -> None:
    torch.testing.assert_close(fresh(init_sigma=init_sigma).sigma, torch.full((3,), init_sigma))


def test_sigma_has_a_floor_that_leaves_the_gradient_alive() -> None:
    policy = fresh(min_sigma=0.2)
    with torch.no_grad():
        policy.raw_sigma.fill_(-10.0)
    assert bool((policy.sigma > 0.2).all())
    torch.testing.assert_close(policy.sigma, torch.full((3,), 0.2), atol=1e-4, rtol=0.0)
    policy.entropy().backward()
    assert policy.raw_sigma.grad is not None
    assert bool((policy.raw_sigma.grad > 0.0).all())


def test_the_middle_and_the_ends_of_asymmetric_bounds() -> None:
    policy = fresh()
    middle = [(low + high) / 2.0 for low, high in zip(LOW, HIGH, strict=True)]
    for normalised, expected in ((-1.0, LOW), (0.0, middle), (1.0, HIGH)):
        assert policy.to_environment(torch.full((3,), normalised)).tolist() == pytest.approx(list(expected), abs=1e-6)


@settings(max_examples=50)
@given(action=st.lists(st.floats(-1.0, 1.0, width=32), min_size=3, max_size=3))
def test_scaling_there_and_back(action: list[float]) -> None:
    policy = fresh()
    torch.testing.assert_close(
        policy.from_environment(policy.to_environment(torch.tensor(action))), torch.tensor(action), atol=1e-5, rtol=0.0
    )


@settings(max_examples=100)
@given(
    low=st.floats(-10.0, 10.0, width=32),
    width=st.floats(0.125, 10.0, width=32),
    beyond=st.floats(1.0, 1e6, width=32),
)
def test_the_environment_never_gets_more_than_its_bounds(low: float, width: float, beyond: float) -> None:
    high, middle = low + width, low + 0.5 * width
    policy = fresh(action_low=(low,) * 3, action_high=(high,) * 3, safe_action=(middle,) * 3)
    sent = policy.to_environment(torch.tensor([-beyond, 0.9999999, beyond]))
    assert sent[[0, 2]].tolist() == [policy.action_low[0].item(), policy.action_high[0].item()]
    assert policy.action_low[0] <= sent[1] <= policy.action_high[0]


def test_an_action_beyond_the_bounds_keeps_its_own_density_and_flies_clipped() -> None:
    policy = fresh()
    observation = some_observations(1)
    action = torch.tensor([[3.0, -5.0, 0.5]])
    expected = torch.distributions.Normal(policy.mean(observation), policy.sigma).log_prob(action).sum(-1)
    torch.testing.assert_close(policy.log_prob(observation, action), expected)
    clipped = policy.log_prob(observation, action.clamp(-1.0, 1.0))
    assert (clipped - expected).abs().item() > 1.0
    assert policy.to_environment(action)[0].tolist() == pytest.approx([HIGH[0], LOW[1], -4.0], abs=1e-6)


def test_what_flies_is_the_clipped_mean() -> None:
    policy = fresh()
    with torch.no_grad():
        linear_layers(policy.actor)[-1].bias.copy_(torch.tensor([9.0, -9.0, 0.0]))
    assert policy(some_observations(1))[0, :2].tolist() == pytest.approx([HIGH[0], LOW[1]], abs=1e-6)


def test_actor_and_critic_see_normalised_observations() -> None:
    policy = fresh()
    policy.normalizer.update(some_observations(200) * 3.0 + 50.0)
    x = some_observations() * 3.0 + 50.0
    assert policy.critic is not None
    torch.testing.assert_close(policy.mean(x), policy.actor(policy.normalizer(x)))
    torch.testing.assert_close(policy.value(x), policy.critic(policy.normalizer(x)).squeeze(-1))


def test_acting_is_the_mean_with_the_statistics_of_its_beginning() -> None:
    policy, x = fresh(), some_observations()
    policy.update_normalizers(3.0 * x + 1.0)
    acting, before = policy.acting(), policy.mean(x)
    assert torch.equal(acting(x)[0], before)
    policy.update_normalizers(9.0 * x)
    assert torch.equal(acting(x)[0], before)
    assert torch.equal(policy.acting()(x)[0], policy.mean(x))


@pytest.mark.parametrize("leading", [(), (5,), (2, 3, 4)])
def test_any_leading_shape_is_kept(leading: tuple[int, ...]) -> None:
    policy, observation = fresh(), torch.zeros(*leading, 4)
    assert policy(observation).shape == (*leading, 3)
    assert policy.value(observation).shape == leading
    assert policy.log_prob(observation, torch.zeros(*leading, 3)).shape == leading


def test_entropy_is_that_of_its_sigma() -> None:
    policy = fresh(init_sigma=0.3)
    torch.testing.assert_close(policy.entropy(), gaussian.entropy(torch.full((3,), 0.3)))


def test_a_policy_without_critic_says_so() -> None:
    policy = fresh(critic=False)
    assert policy.critic is None
    with pytest.raises(ValueError, match="no critic"):
        policy.value(some_observations())


def test_without_hidden_layers_the_policy_is_linear() -> None:
    policy = fresh(hidden_sizes=())
    assert policy.critic is not None
    assert [tuple(layer.weight.shape) for layer in linear_layers(policy)] == [(3, 4), (1, 4)]


@pytest.mark.parametrize("activation", ["tanh", "relu", "elu"])
def test_the_activation_is_the_one_asked_for(activation: str) -> None:
    kinds = {"tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU}
    hidden = [m for m in fresh(activation=activation).actor if not isinstance(m, nn.Linear)]
    assert [type(m) for m in hidden] == [kinds[activation]] * 2
