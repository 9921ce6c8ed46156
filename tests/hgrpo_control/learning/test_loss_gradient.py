"""The gradient without autograd is that of autograd, for every option of the loss and shape of the networks."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hgrpo_control.algorithms import losses
from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.config.learning import Learning
from hgrpo_control.learning import loss_gradient
from hgrpo_control.learning.adam import Adam
from hgrpo_control.learning.loss_gradient import LossGradient, LossTerms
from hgrpo_control.learning.mlp_gradient import MlpGradient
from policies import gaussian
from policies.actor_critic import ActorCritic
from policies.spec import Channel, PolicySpec

SPEC = PolicySpec(
    task="test",
    robot="",
    control_hz=1.0,
    observation=tuple(Channel(f"o{i}") for i in range(5)),
    action=tuple(Channel(f"a{i}") for i in range(3)),
    action_low=(-1.0,) * 3,
    action_high=(1.0,) * 3,
    safe_action=(0.0,) * 3,
)


def drawn(
    spec: PolicySpec, seed: int, rows: int, samples: int, reference: bool, wishes: bool = False
) -> tuple[ActorCritic, Batch]:
    """A policy and a batch in double precision, with ratios on both sides of any clip range."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    policy = ActorCritic(spec, 0.5, generator).double()
    for parameter in policy.parameters():
        parameter.data += 0.3 * random(*parameter.shape)
    features = random(rows, spec.observation_size + spec.privileged_size)
    with torch.no_grad():
        mean, sigma = policy.actor(features[:, : spec.observation_size]).unsqueeze(1), policy.sigma
        action = mean + sigma * random(rows, samples, 3)
        log_prob = gaussian.log_density(action, mean, sigma)
    old, leash = (log_prob + 0.3 * random(rows, samples) for _ in range(2))
    weight = random(rows, samples).clamp_min(0.0)
    target = random(rows) if spec.critic else None
    batch = Batch(features, action, old, random(rows, samples), weight, None, target, leash if reference else None)
    if wishes:
        former = torch.stack((random(rows, 3), (0.3 * random(3)).exp().expand(rows, 3)), dim=1)
        batch = batch._replace(wish=random(rows, samples, 2, 3), old=former)
    return policy, batch


def by_autograd(policy: ActorCritic, batch: Batch, config: Learning, alpha: float) -> tuple[Tensor, LossTerms]:
    """Flat gradient and terms of the loss."""
    mean = policy.actor(batch.observation[:, : policy.spec.observation_size])
    log_prob = gaussian.log_density(batch.action, mean.unsqueeze(1), policy.sigma)
    surrogate = losses.clipped_surrogate(
        log_prob, batch.old_log_prob, batch.advantage, batch.weight, config.clip_coef, config.clip_high
    )
    terms = (surrogate.loss, surrogate.approx_kl, surrogate.clip_fraction)
    if batch.wish is not None and batch.old is not None:
        old = torch.distributions.Normal(*batch.old.unbind(1))
        away = torch.stack(((mean - old.mean) / old.stddev, (policy.sigma / old.stddev).log()), dim=1).unsqueeze(1)
        kl = torch.distributions.kl_divergence(old, torch.distributions.Normal(mean, policy.sigma)).sum(-1).mean()
        gain = (batch.wish * away).sum((-1, -2)).mean()
        terms = (config.leash * kl - gain, kl, torch.tensor(math.nan))
    policy_loss, approx_kl, clip_fraction = terms
    loss = policy_loss - alpha * policy.entropy()
    value_loss = reference_kl = torch.tensor(math.nan)
    if policy.critic is not None and batch.value_target is not None:
        value_loss = losses.value_loss(policy.critic(batch.observation).squeeze(-1), batch.value_target)
        loss = loss + config.vf_coef * value_loss
    if batch.reference_log_prob is not None:
        leash = losses.reference_kl(log_prob, batch.reference_log_prob, batch.weight)
        loss, reference_kl = loss + config.kl_coef * leash.loss, leash.divergence
    slopes = torch.autograd.grad(loss, list(policy.parameters()))
    figures = LossTerms(loss, policy_loss, value_loss, policy.entropy(), approx_kl, reference_kl, clip_fraction)
    return torch.cat([slope.flatten() for slope in slopes]), figures


@settings(max_examples=150, deadline=None)
@given(
    hidden_sizes=st.sampled_from([(), (7,), (16, 8)]),
    activation=st.sampled_from(["tanh", "relu", "elu"]),
    critic=st.booleans(),
    privileged=st.booleans(),
    samples=st.integers(1, 3),
    rows=st.integers(1, 40),
    block=st.sampled_from([1, 7, 8192]),
    seed=st.integers(0, 2**31),
    clip=st.sampled_from([(0.2, None), (0.1, 0.4), (math.inf, None)]),
    vf_coef=st.sampled_from([0.0, 0.5, 2.0]),
    alpha=st.sampled_from([0.0, 0.1]),
    kl_coef=st.sampled_from([0.0, 0.7]),
    leash=st.sampled_from([None, 0.0, 5.0]),
)
def test_the_gradient_is_that_of_autograd(
    hidden_sizes: tuple[int, ...],
    activation: str,
    critic: bool,
    privileged: bool,
    samples: int,
    rows: int,
    block: int,
    seed: int,
    clip: tuple[float, float | None],
    vf_coef: float,
    alpha: float,
    kl_coef: float,
    leash: float | None,
) -> None:
    """Of the clipped surrogate where `leash` is None, else of wishes."""
    spec = dataclasses.replace(
        SPEC,
        hidden_sizes=hidden_sizes,
        activation=activation,
        critic=critic,
        privileged=(Channel("p0"), Channel("p1")) if privileged else (),
    )
    policy, batch = drawn(spec, seed, rows, samples, reference=kl_coef > 0.0, wishes=leash is not None)
    config = Learning(clip_coef=clip[0], clip_high=clip[1], vf_coef=vf_coef, kl_coef=kl_coef, leash=leash or 0.0)
    expected, expected_terms = by_autograd(policy, batch, config, alpha)
    adam = Adam(policy.parameters())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loss_gradient, "_BLOCK_ROWS", block)
        terms = LossGradient(policy, config).add(batch, alpha)
    assert (adam.gradient - expected).norm() <= 1e-6 * expected.norm()
    for ours, theirs in zip(terms, expected_terms, strict=True):
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-9, abs=1e-12, nan_ok=True)


def test_single_precision_is_near_double() -> None:
    policy, batch = drawn(SPEC, 0, 10_000, 1, reference=False)
    expected = by_autograd(policy, batch, Learning(), 0.0)[0]
    policy.float()
    adam = Adam(policy.parameters())
    LossGradient(policy, Learning()).add(Batch(*(x if x is None else x.float() for x in batch)), 0.0)
    assert (adam.gradient - expected).norm() <= 1e-5 * expected.norm()


def test_blocks_of_changing_sizes_do_not_disturb_each_other() -> None:
    policy, batch = drawn(SPEC, 0, 9, 1, reference=False)
    adam = Adam(policy.parameters())
    gradient = LossGradient(policy, Learning())
    seen = []
    for rows in (9, 4, 9, 1, 9):
        adam.gradient.zero_()
        gradient.add(Batch(*(x if x is None else x[:rows] for x in batch)), 0.0)
        seen.append(adam.gradient.clone())
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[0], seen[4])


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 1)),
        nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1)),
        nn.Sequential(nn.Conv1d(2, 3, 1)),
    ],
)
def test_another_network_is_refused(network: nn.Sequential) -> None:
    with pytest.raises(TypeError, match="no gradient for"):
        MlpGradient(network)
