"""Memory of policies: steps of a GRU, packed sequences, histories, and what a carried policy remembers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.small_spec import small_spec
from torch import Tensor, nn

from hgrpo_errors import HgrpoError
from policies.actor_critic import ActorCritic
from policies.carried import Carried
from policies.memory import Recurrent, gru_step, pack, remember
from policies.spec import Channel, PolicySpec

O, A = 3, 2  # noqa: E741


def spec(memory: str, size: int, privileged: int = 0) -> PolicySpec:
    hidden = tuple(Channel(f"p{i}") for i in range(privileged))
    return small_spec(hidden_sizes=(5,), memory=memory, memory_size=size, privileged=hidden)


def policy(memory: str, size: int, privileged: int = 0) -> ActorCritic:
    made = ActorCritic(spec(memory, size, privileged), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        made.actor[-1].weight.mul_(50.0)  # type: ignore[operator]
    return made


def test_a_gru_step_by_hand() -> None:
    cell = nn.GRUCell(1, 1)
    with torch.no_grad():
        for parameter, values in zip(
            cell.parameters(),
            ([[1.0], [2.0], [3.0]], [[0.5], [1.0], [2.0]], [0.1, 0.2, 0.3], [0.0, 0.0, 0.4]),
            strict=True,
        ):
            parameter.copy_(torch.tensor(values))
    x, h = 0.7, -0.4
    reset, update = (1.0 / (1.0 + math.exp(-s)) for s in (x + 0.1 + 0.5 * h, 2.0 * x + 0.2 + h))
    new = math.tanh(3.0 * x + 0.3 + reset * (2.0 * h + 0.4))
    expected = (1.0 - update) * new + update * h
    assert gru_step(cell, torch.tensor([[x]]), torch.tensor([[h]])).item() == pytest.approx(expected, abs=1e-6)


def test_a_gru_step_is_that_of_torch() -> None:
    cell, x, h = nn.GRUCell(4, 3), torch.randn(6, 4), torch.randn(6, 3)
    torch.testing.assert_close(gru_step(cell, x, h), cell(x, h))


@given(st.lists(st.integers(1, 7), min_size=1, max_size=6))
def test_packing_orders_rows_by_step(lengths: list[int]) -> None:
    begins = torch.cat([torch.tensor([True] + [False] * (length - 1)) for length in lengths])
    packing = pack(begins)
    assert packing.sizes.tolist() == [sum(length > t for length in lengths) for t in range(max(lengths))]
    assert torch.equal(packing.order[packing.back], torch.arange(len(begins)))
    steps = torch.cat([torch.arange(length) for length in lengths])
    assert steps[packing.order].tolist() == sorted(steps.tolist())
    firsts = set(begins.nonzero().squeeze(1).tolist())
    assert set(packing.firsts.tolist()) == firsts
    # The k-th row of each step belongs to the k-th sequence of `firsts`.
    blocks = packing.order.split(packing.sizes.tolist())
    assert all(torch.equal(rows, packing.firsts[: len(rows)] + t) for t, rows in enumerate(blocks))


def test_history_keeps_the_newest_steps_first() -> None:
    memory = torch.zeros(1, 2 * (O + A))
    for step in range(3):
        memory = remember(memory, torch.full((1, O), float(step)), torch.full((1, A), 10.0 * step))
    assert memory.tolist() == [[2.0] * O + [1.0] * A + [1.0] * O + [1.0] * A]


def test_a_policy_without_memory_carries_nothing() -> None:
    plain = policy("none", 0)
    assert plain.memory_width == 0
    assert not plain.recurrent
    carried, x = Carried(plain), torch.randn(4, O)
    assert torch.equal(carried(x), plain(x))
    assert torch.equal(carried(x[:2]), plain(x[:2]))


@pytest.mark.parametrize("memory", ["gru", "history"])
def test_acting_step_by_step_is_the_exported_function(memory: str) -> None:
    made = policy(memory, 4)
    made.update_normalizers(torch.randn(100, O + made.memory_width))
    row_memory, flown = torch.zeros(2, made.memory_width), torch.zeros(2, made.spec.memory_width)
    acting = made.acting()
    for _ in range(6):
        x = 2.0 * torch.randn(2, O)
        row = torch.cat((x, row_memory), dim=1)
        mean, states = acting(row)
        row_memory = made.carry(row, states, mean)
        action, flown = made(x, flown)
        torch.testing.assert_close(made.to_environment(mean), action)
        torch.testing.assert_close(row_memory[:, : flown.shape[1]], flown)


@pytest.mark.parametrize("memory", ["gru", "history"])
def test_an_earlier_observation_changes_a_later_action_until_a_reset(memory: str) -> None:
    carried = Carried(policy(memory, 4))
    x = torch.randn(3, O)
    first = carried(x)
    assert not torch.equal(carried(x), first)
    carried.reset()
    assert torch.equal(carried(x), first)
    carried.reset(torch.tensor([1]))
    again = carried(x)
    assert torch.equal(again[1], first[1])
    assert not torch.equal(again[0], first[0])
    with pytest.raises(HgrpoError, match="2 episodes after 3"):
        carried(x[:2])


def test_carried_predicts_arrays_of_one_or_several_episodes() -> None:
    made, x = policy("gru", 4), torch.randn(3, O)
    expected = Carried(made)(x)
    torch.testing.assert_close(torch.from_numpy(Carried(made).predict(x.numpy())), expected)
    torch.testing.assert_close(torch.from_numpy(Carried(made).predict(x[1].numpy())), expected[1])
    with pytest.raises(HgrpoError, match=r"\(4,\)"):
        Carried(made).predict([0.0] * 4)


def test_a_privileged_critic_has_no_gru() -> None:
    made = policy("gru", 4, privileged=2)
    assert not isinstance(made.critic, Recurrent)
    assert made.memory_width == 4
    rows = torch.randn(5, O + 2 + 4)
    assert made.value(rows).shape == (5,)
    changed = rows.clone()
    changed[:, O + 2 :] += 1.0
    assert torch.equal(made.value(rows), made.value(changed))
    assert not torch.equal(made.mean(rows), made.mean(changed))


def test_the_critic_of_a_gru_policy_reads_its_own_memory() -> None:
    made = policy("gru", 4)
    rows = torch.randn(5, O + 8)

    def changed(columns: slice) -> Tensor:
        other = rows.clone()
        other[:, columns] += 1.0
        return other

    actors, critics = changed(slice(O, O + 4)), changed(slice(O + 4, None))
    assert torch.equal(made.value(rows), made.value(actors))
    assert not torch.equal(made.value(rows), made.value(critics))
    assert torch.equal(made.mean(rows), made.mean(critics))


@pytest.mark.parametrize(("memory", "size"), [("gru", 0), ("none", 3), ("lstm", 4)])
def test_a_memory_that_does_not_fit_is_refused(memory: str, size: int) -> None:
    with pytest.raises(HgrpoError, match=memory):
        spec(memory, size)


def test_specs_keep_their_memory_in_json() -> None:
    assert PolicySpec.from_json(spec("history", 3).to_json()).memory_width == 3 * (O + A)
    assert PolicySpec.from_json(spec("gru", 3).to_json()) == spec("gru", 3)


def test_a_policy_with_memory_needs_it() -> None:
    made = policy("gru", 4)
    with pytest.raises(HgrpoError, match="memory gru"):
        made(torch.zeros(1, O))
    with pytest.raises(HgrpoError, match="Carried"):
        made.predict([0.0] * O)
