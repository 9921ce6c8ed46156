"""What a new policy takes from a trained one, layer by layer, and what it says that it did not take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.small_spec import small_spec

from hgrpo_errors import HgrpoError
from policies import checkpoint
from policies.actor_critic import ActorCritic
from policies.initialization import begin_with


def made(names: str = "xyz", seed: int = 0, **changed: Any) -> ActorCritic:
    """A policy that observes one entry per letter, with statistics of its own."""
    policy = ActorCritic(small_spec(names, **changed), generator=torch.Generator().manual_seed(seed))
    seen = torch.randn(50, len(names), generator=torch.Generator().manual_seed(seed + 1))
    policy.update_normalizers(3.0 + 2.0 * seen * torch.arange(1, len(names) + 1))
    with torch.no_grad():
        for parameter in policy.actor.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed + 2)))
    return policy


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sources")


def stored(policy: ActorCritic, home: Path) -> str:
    path = home / "source.pt"
    checkpoint.save(path, policy)
    return str(path)


@pytest.mark.parametrize(("memory", "size"), [("none", 0), ("gru", 3), ("history", 2)])
def test_an_equal_policy_takes_everything_but_sigma(home: Path, memory: str, size: int) -> None:
    source, policy = (made(seed=seed, memory=memory, memory_size=size) for seed in (0, 9))
    with torch.no_grad():
        source.raw_sigma.sub_(1.0)
    sigma = policy.sigma.clone()
    assert begin_with(policy, stored(source, home)) == ()
    assert torch.equal(policy.sigma, sigma)
    theirs = source.state_dict()
    for name, tensor in policy.state_dict().items():
        assert torch.equal(tensor, theirs[name]) == (name != "raw_sigma"), name


@given(
    st.permutations("uvwxyz").flatmap(
        lambda names: st.tuples(st.integers(1, 6), st.integers(1, 6)).map(
            lambda sizes: ("".join(names[: sizes[0]]), "".join(sorted(names)[: sizes[1]]))
        )
    )
)
def test_shared_inputs_act_as_before_whatever_their_order(home: Path, names: tuple[str, str]) -> None:
    source, policy = made(names[0]), made(names[1], seed=9)
    shared = [name for name in names[1] if name in names[0]]
    if not shared:
        with pytest.raises(HgrpoError, match="nothing in common"):
            begin_with(policy, stored(source, home))
        return
    lines = begin_with(policy, stored(source, home))
    assert any("does not observe" in line for line in lines) == (set(names[0]) != set(names[1]))
    observation = torch.randn(20, len(names[1]), generator=torch.Generator().manual_seed(4))
    as_seen = source.normalizer.mean.float().expand(20, -1).clone()  # what is missing counts as its mean
    for name in shared:
        as_seen[:, names[0].index(name)] = observation[:, names[1].index(name)]
    torch.testing.assert_close(policy(observation), source(as_seen))


@pytest.mark.parametrize(
    ("source", "ours", "said", "same"),
    [
        ({"hidden_sizes": (5, 6)}, {}, "layers 2 to 3 of the actor start anew: Linear 6 x 5 there, Linear 4 x 5", 1),
        ({"hidden_sizes": (5,)}, {}, "layers 2 to 3 of the actor start anew", 1),
        ({"action": "abc"}, {}, "layer 3 of the actor starts anew: it commands other actions", 2),
        ({"action_high": (3.0, 2.0)}, {}, "layer 3 of the actor starts anew: it commands other actions", 2),
        ({}, {"memory": "gru", "memory_size": 3}, "layers 3 to 4 of the actor start anew: Linear 2 x 4 there, GRUC", 2),
        ({"task": "other"}, {}, "the critic starts anew: that of the source values other", 3),
        ({"critic": False}, {}, "the critic starts anew: the source has none", 3),
    ],
)
def test_the_first_layer_that_does_not_fit_ends_it(
    home: Path, source: dict[str, Any], ours: dict[str, Any], said: str, same: int
) -> None:
    theirs, policy = made(**source), made(seed=9, **ours)
    assert any(said in line for line in begin_with(policy, stored(theirs, home)))
    equal = [
        torch.equal(mine, other)
        for (name, mine), other in zip(policy.actor.named_parameters(), theirs.actor.parameters(), strict=False)
        if name.endswith("weight") and mine.shape == other.shape
    ]
    assert equal[:same] == [True] * same
    assert not any(equal[same:])


@pytest.mark.parametrize(
    ("source", "ours", "said"),
    [
        ({"activation": "relu"}, {}, "activation relu there, tanh here"),
        ({"hidden_sizes": (7, 4)}, {}, "hidden_sizes (7, 4) there, (5, 4) here"),
        ({"names": "abc"}, {}, "nothing in common"),
        ({"memory": "history", "memory_size": 2}, {}, "a history of 2 steps there, of 0 here"),
    ],
)
def test_a_source_of_another_kind_is_refused(
    home: Path, source: dict[str, Any], ours: dict[str, Any], said: str
) -> None:
    theirs, policy = made(**source), made(seed=9, **ours)
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    with pytest.raises(HgrpoError, match="nothing of ") as refused:
        begin_with(policy, stored(theirs, home))
    assert said in str(refused.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in policy.state_dict().items())


def test_a_missing_source_is_named() -> None:
    with pytest.raises(HgrpoError, match="no checkpoint at runs/absent"):
        begin_with(made(), "runs/absent")
    with pytest.raises(HgrpoError, match="unknown policy of the zoo 'quadrotor-hove'; did you mean"):
        begin_with(made(), "zoo:quadrotor-hove")
