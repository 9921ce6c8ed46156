"""A critic that sees what the policy does not: who uses which entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from policies import checkpoint
from policies.actor_critic import ActorCritic
from policies.normalizer import ObservationNormalizer
from policies.spec import Channel, PolicySpec

O, P, A = 4, 3, 2  # noqa: E741  (the letters of the docstrings)
SPEC = PolicySpec(
    task="reach",
    robot="arm",
    control_hz=50.0,
    observation=tuple(Channel(f"o{i}") for i in range(O)),
    action=tuple(Channel(f"a{i}") for i in range(A)),
    action_low=(-1.0, 0.0),
    action_high=(1.0, 0.3),
    safe_action=(0.0, 0.1),
    hidden_sizes=(16, 8),
    privileged=tuple(Channel(f"p{i}", "m/s^2", "body") for i in range(P)),
)


def observations(rows: int = 40, seed: int = 1) -> Tensor:
    """(rows, O + P), away from zero and from unit variance."""
    return 5.0 + 3.0 * torch.randn(rows, O + P, generator=torch.Generator().manual_seed(seed))


def trained(spec: PolicySpec = SPEC) -> ActorCritic:
    """A policy whose every tensor differs from a fresh one's."""
    generator = torch.Generator().manual_seed(0)
    policy = ActorCritic(spec, 0.5, generator)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    policy.update_normalizers(observations(500))
    return policy


def other_hidden(x: Tensor) -> Tensor:
    """The same observations with other hidden entries, not all of them finite."""
    y = x.clone()
    y[:, O:] = -7.0 * x[:, O:].flip(0)
    y[0, O:], y[1, O:] = torch.nan, torch.inf
    return y


def test_the_value_uses_every_hidden_entry() -> None:
    policy, x = trained(), observations()
    for entry in range(O + P):
        changed = x.clone()
        changed[:, entry] += 1.0
        assert not (policy.value(changed) == policy.value(x)).any(), entry


def test_the_value_is_made_of_what_the_critic_sees() -> None:
    for policy, x in ((trained(), observations()), (ActorCritic(replace(SPEC, privileged=())), observations()[:, :O])):
        assert policy.critic is not None
        assert policy.critic_features(x).shape == x.shape
        assert torch.equal(policy.critic(policy.critic_features(x)).squeeze(-1), policy.value(x))


def test_the_value_by_hand() -> None:
    """Without hidden layers V = w . z + b, where z has the hidden entries normalised by their own statistics."""
    policy = ActorCritic(replace(SPEC, hidden_sizes=()))
    assert policy.critic is not None
    assert policy.privileged_normalizer is not None
    policy.normalizer.variance.fill_(4.0)
    policy.privileged_normalizer.mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    policy.privileged_normalizer.variance.fill_(0.25)
    with torch.no_grad():
        policy.critic[0].weight.copy_(torch.tensor([[1.0, 0, 0, 0, 10.0, 100.0, 1000.0]]))
        policy.critic[0].bias.fill_(0.5)
    # z = (6/2, ., ., ., (2-1)/0.5, (2-2)/0.5, (2-3)/0.5) = (3, ., ., ., 2, 0, -2): V = 3 + 20 + 0 - 2000 + 0.5
    assert policy.value(torch.tensor([6.0, 9.0, 9.0, 9.0, 2.0, 2.0, 2.0])).item() == -1976.5


def test_no_hidden_entry_reaches_the_mean_or_its_density() -> None:
    policy, x = trained(), observations()
    action = torch.randn(40, A, generator=torch.Generator().manual_seed(2))
    for seen in (other_hidden(x), x[:, :O], x[:, :O].contiguous()):
        assert torch.equal(policy.mean(seen), policy.mean(x))
        assert torch.equal(policy.log_prob(seen, action), policy.log_prob(x, action))
    assert torch.equal(policy(x[:, :O]), policy.to_environment(policy.mean(x)))


def test_what_flies_takes_the_observation_alone() -> None:
    policy = trained()
    assert policy(observations()[:, :O]).shape == (40, A)
    assert policy(observations()[0, :O]).shape == (A,)
    with pytest.raises(RuntimeError):
        policy(observations())


def test_the_actor_is_the_one_of_a_policy_without_privilege() -> None:
    """The seed gives both the same actor, so a privileged critic changes nothing about how a run begins to act."""
    seen = replace(SPEC, privileged=())
    ours, theirs = (ActorCritic(spec, 0.5, torch.Generator().manual_seed(3)) for spec in (SPEC, seen))
    assert ours.critic is not None
    assert theirs.critic is not None
    assert torch.equal(ours.mean(observations()), theirs.mean(observations()[:, :O]))
    assert [tuple(critic[0].weight.shape) for critic in (ours.critic, theirs.critic)] == [(16, O + P), (16, O)]
    assert theirs.privileged_normalizer is None


@pytest.mark.parametrize("leading", [(), (5,), (2, 3, 4)])
def test_any_leading_shape_is_kept(leading: tuple[int, ...]) -> None:
    policy, x = trained(), torch.zeros(*leading, O + P)
    assert policy.mean(x).shape == (*leading, A)
    assert policy.value(x).shape == leading
    assert policy.critic_features(x).shape == (*leading, O + P)


def test_gradients_of_the_value_stay_in_the_critic() -> None:
    policy = trained()
    assert policy.critic is not None
    policy.value(observations()).sum().backward()
    assert all(p.grad is None for p in (*policy.actor.parameters(), policy.raw_sigma))
    assert all(p.grad is not None for p in policy.critic.parameters())


def test_normalisers_are_updated_apart() -> None:
    policy, expected = ActorCritic(SPEC), [ObservationNormalizer(O), ObservationNormalizer(P)]
    assert policy.privileged_normalizer is not None
    for rows, seed in ((30, 1), (50, 2)):
        x = observations(rows, seed)
        policy.update_normalizers(x.reshape(2, -1, O + P))
        expected[0].update(x[:, :O])
        expected[1].update(x[:, O:])
    for ours, theirs in zip((policy.normalizer, policy.privileged_normalizer), expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours.buffers(), theirs.buffers(), strict=True))
    assert policy.normalizer.count == policy.privileged_normalizer.count == 80.0


def test_hidden_entries_do_not_move_the_statistics_of_the_observation() -> None:
    policies = [ActorCritic(SPEC), ActorCritic(SPEC), ActorCritic(replace(SPEC, privileged=()))]
    for policy, seen in zip(policies, (observations(), 3.0 * observations(), observations()), strict=True):
        seen[:, :O] = observations()[:, :O]
        policy.update_normalizers(seen if policy.privileged_normalizer is not None else seen[:, :O])
    for other in policies[1:]:
        assert all(
            torch.equal(a, b) for a, b in zip(policies[0].normalizer.buffers(), other.normalizer.buffers(), strict=True)
        )


@pytest.mark.parametrize("hidden", [1, P])
@pytest.mark.parametrize("ask", [ActorCritic.value, ActorCritic.critic_features, ActorCritic.update_normalizers])
def test_a_privileged_critic_that_is_shown_too_little_says_so(
    ask: Callable[[ActorCritic, Tensor], object], hidden: int
) -> None:
    """Also with one hidden entry, where an empty tensor would broadcast; nothing is taken in before."""
    policy = ActorCritic(replace(SPEC, privileged=SPEC.privileged[:hidden]))
    with pytest.raises(ValueError, match=r".") as caught:
        ask(policy, observations()[:, :O])
    assert f"4 + {hidden} entries" in str(caught.value)
    assert str(caught.value).endswith("given 4")
    assert policy.normalizer.count == 0.0


def test_a_checkpoint_gives_back_a_privileged_policy_bit_for_bit(tmp_path: Path) -> None:
    policy, x = trained(), observations()
    checkpoint.save(tmp_path / checkpoint.CHECKPOINT_NAME, policy, {"iteration": 1})
    restored, _ = checkpoint.restore(tmp_path)
    assert restored.spec == policy.spec == SPEC
    mine, theirs = policy.state_dict(), restored.state_dict()
    assert mine.keys() == theirs.keys()
    assert "privileged_normalizer.variance" in mine
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert torch.equal(restored.value(x), policy.value(x))
    assert torch.equal(restored(x[:, :O]), policy(x[:, :O]))
