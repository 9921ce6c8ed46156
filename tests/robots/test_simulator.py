"""Copying, choosing and replacing rows of nested states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from robots import simulator
from robots.simulator import Channel, SimulatorSpec


class Wheel(NamedTuple):
    angle: Tensor
    """(B,)"""
    axis: Tensor
    """(B, 3)"""


class Cart(NamedTuple):
    wheels: Wheel
    frames: Tensor
    """(B, 2, 3)"""
    key: Tensor
    """(B,) int64"""
    broken: Tensor
    """(B,) bool"""


def cart(rows: int, seed: int = 0) -> Cart:
    generator = torch.Generator().manual_seed(seed)
    return Cart(
        wheels=Wheel(
            angle=torch.randn(rows, generator=generator),
            axis=torch.randn(3, rows, generator=generator, dtype=torch.float64).t(),  # not contiguous
        ),
        frames=torch.randn(rows, 2, 3, generator=generator),
        key=torch.randint(-(1 << 62), 1 << 62, (rows,), generator=generator),
        broken=torch.rand(rows, generator=generator) < 0.5,
    )


def leaves(state: Cart) -> list[Tensor]:
    return [*state.wheels, *state[1:]]


def same(a: Cart, b: Cart) -> bool:
    """Equal in type, dtype, shape and every bit."""
    assert type(a) is type(b)
    assert type(a.wheels) is type(b.wheels)
    return all(x.dtype == y.dtype and torch.equal(x, y) for x, y in zip(leaves(a), leaves(b), strict=True))


def overwrite(state: Cart) -> None:
    for leaf in leaves(state):
        leaf.fill_(1)


ROWS, SAMPLES, SEEDS = st.integers(1, 6), st.integers(1, 5), st.integers(0, 1000)


@settings(max_examples=40)
@given(rows=ROWS, samples=SAMPLES, seed=SEEDS)
def test_repeat_puts_siblings_side_by_side(rows: int, samples: int, seed: int) -> None:
    state = cart(rows, seed)
    copies = simulator.repeat(state, samples)
    assert simulator.num_rows(copies) == rows * samples
    for sibling in range(samples):
        assert same(simulator.select(copies, slice(sibling, None, samples)), state)


@settings(max_examples=40)
@given(rows=ROWS, seed=SEEDS, data=st.data())
def test_select_takes_rows_by_index_mask_and_slice(rows: int, seed: int, data: st.DataObject) -> None:
    state = cart(rows, seed)
    index = data.draw(st.lists(st.integers(0, rows - 1), max_size=8))
    chosen = simulator.select(state, torch.tensor(index, dtype=torch.int64))
    assert simulator.num_rows(chosen) == len(index)
    for place, row in enumerate(index):
        one = slice(row, row + 1)
        assert same(simulator.select(chosen, slice(place, place + 1)), simulator.select(state, one))
    mask = torch.tensor(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    assert same(simulator.select(state, mask), simulator.select(state, mask.nonzero().flatten()))


@settings(max_examples=40)
@given(rows=ROWS, seed=SEEDS, data=st.data())
def test_where_chooses_row_by_row(rows: int, seed: int, data: st.DataObject) -> None:
    a, b = cart(rows, seed), cart(rows, seed + 1)
    mask = torch.tensor(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    assert same(simulator.where(torch.ones(rows, dtype=torch.bool), a, b), a)
    assert same(simulator.where(torch.zeros(rows, dtype=torch.bool), a, b), b)
    mixed = simulator.where(mask, a, b)
    for row in range(rows):
        one = slice(row, row + 1)
        assert same(simulator.select(mixed, one), simulator.select(a if mask[row] else b, one))


@settings(max_examples=40)
@given(rows=ROWS, seed=SEEDS, data=st.data())
def test_replace_changes_the_named_rows_of_a_copy(rows: int, seed: int, data: st.DataObject) -> None:
    state, kept = cart(rows, seed), cart(rows, seed)
    index = data.draw(st.lists(st.integers(0, rows - 1), unique=True))
    new = cart(len(index), seed + 1)
    replaced = simulator.replace(state, torch.tensor(index, dtype=torch.int64), new)
    for row in range(rows):
        one = slice(row, row + 1)
        place = slice(index.index(row), index.index(row) + 1) if row in index else one
        assert same(simulator.select(replaced, one), simulator.select(new if row in index else kept, place))
    overwrite(replaced)
    assert same(state, kept)


def test_copies_share_no_memory_with_the_original() -> None:
    kept = cart(4)
    ones, index = torch.ones(4, dtype=torch.bool), torch.arange(4)
    copies: tuple[Callable[[Cart], Cart], ...] = (
        lambda state: simulator.repeat(state, 1),
        lambda state: simulator.repeat(state, 3),
        lambda state: simulator.select(state, ones),
        lambda state: simulator.select(state, index),
        lambda state: simulator.where(ones, state, state),
        lambda state: simulator.replace(state, index[:0], cart(0)),
    )
    for copy in copies:
        state = cart(4)
        overwrite(copy(state))
        assert same(state, kept)


def test_a_slice_shares_memory() -> None:
    state = cart(4)
    overwrite(simulator.select(state, slice(1, 3)))
    assert state.frames[1:3].eq(1.0).all()


def test_map_state_walks_several_states_in_step() -> None:
    a, b = cart(3, 0), cart(3, 1)
    total = simulator.map_state(lambda x, y: x.double() + y.double(), a, b)
    assert isinstance(total, Cart)
    assert isinstance(total.wheels, Wheel)
    for x, y, z in zip(leaves(a), leaves(b), leaves(total), strict=True):
        assert torch.equal(z, x.double() + y.double())


def test_map_state_refuses_states_of_different_shape() -> None:
    other: Any = cart(2).wheels
    with pytest.raises(ValueError, match="zip"):
        simulator.map_state(torch.add, cart(2), other)


def test_spec_counts_its_entries() -> None:
    spec = SimulatorSpec(
        name="cart",
        observation=(Channel("x", "m"), Channel("v", "m/s"), Channel("angle", "rad")),
        action=(Channel("force", "N"),),
        action_low=(-1.0,),
        action_high=(1.0,),
        control_hz=50.0,
        max_episode_steps=200,
        neutral_action=(0.0,),
    )
    assert (spec.observation_size, spec.action_size) == (3, 1)
