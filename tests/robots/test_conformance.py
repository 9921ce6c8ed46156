"""What every registered simulator promises; a new task is covered as soon as it is registered."""

from __future__ import annotations

import io
import math
import re
from typing import Any

import pytest
import torch
from support.inherited_observations import ALWAYS, SELDOM, matches
from support.states import ROWS, bounds, clone, follow, leaves, random_actions, running_states, same
from torch import Tensor

import robots
from robots.episodes import Episodes, step_episodes
from robots.simulator import Simulator, map_state, num_rows, repeat, select, where

pytestmark = pytest.mark.slow

# --- the specification ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", robots.names())
def test_it_is_registered_under_the_name_it_goes_by(name: str) -> None:
    simulator = robots.make(name)
    assert isinstance(simulator, Simulator)
    assert simulator.spec.name == name


def test_the_specification_is_complete(simulator: Simulator) -> None:
    spec = simulator.spec
    assert spec.observation_size > 0
    assert len(spec.action_low) == len(spec.action_high) == len(spec.neutral_action) == spec.action_size > 0
    for low, neutral, high in zip(spec.action_low, spec.neutral_action, spec.action_high, strict=True):
        assert math.isfinite(low)
        assert math.isfinite(high)
        assert low < high
        assert low <= neutral <= high
    for channels in (spec.observation, spec.action, spec.privileged):
        assert len({channel.name for channel in channels}) == len(channels)
        assert all(channel.name and channel.unit for channel in channels)
    assert not {channel.name for channel in spec.observation} & {channel.name for channel in spec.privileged}
    assert spec.control_hz > 0.0
    assert spec.max_episode_steps > 0


@pytest.mark.parametrize("rows", [1, 7])
def test_states_hold_only_tensors_with_one_entry_per_row(simulator: Simulator, rows: int) -> None:
    for state in running_states(simulator, rows, num=2):
        assert num_rows(state) == rows
        for leaf in leaves(state):
            assert isinstance(leaf, Tensor)
            assert leaf.shape[0] == rows
            assert not leaf.requires_grad
            assert leaf.isfinite().all()


@pytest.mark.parametrize("rows", [1, 7])
def test_a_step_returns_what_the_specification_says(simulator: Simulator, rows: int) -> None:
    state = simulator.reset(rows, 0)
    layout = [(leaf.dtype, leaf.shape) for leaf in leaves(state)]
    observation = simulator.observe(state)
    assert observation.shape == (rows, simulator.spec.observation_size)
    assert observation.is_floating_point()
    for step in follow(simulator, state, random_actions(simulator, 4, rows)):
        assert type(step.state) is type(state)
        assert [(leaf.dtype, leaf.shape) for leaf in leaves(step.state)] == layout
        assert torch.equal(step.observation, simulator.observe(step.state))
        assert step.observation.dtype == observation.dtype
        assert step.observation.isfinite().all()
        assert step.reward.shape == step.terminated.shape == (rows,)
        assert step.reward.is_floating_point()
        assert step.reward.isfinite().all()
        assert step.terminated.dtype == torch.bool
        position = simulator.position(step.state)
        assert position.shape == (rows, 3)
        assert position.isfinite().all()
        success = simulator.success(step.state)
        assert success.shape == (rows,)
        assert success.dtype == torch.bool


@pytest.mark.parametrize("rows", [1, 7])
def test_what_is_hidden_is_told_to_whoever_asks(simulator: Simulator, rows: int) -> None:
    for state in running_states(simulator, rows, num=3):
        hidden = simulator.privileged(state)
        assert hidden.shape == (rows, simulator.spec.privileged_size)
        assert hidden.dtype == simulator.observe(state).dtype
        assert hidden.isfinite().all()
    if simulator.spec.privileged:
        many = simulator.privileged(simulator.reset(16, 0))
        assert len(torch.unique(many, dim=0)) == 16  # every row hides something else


def test_signals_are_named_with_their_unit(simulator: Simulator) -> None:
    for state in running_states(simulator, num=2):
        signals = simulator.signals(state)
        assert signals
        for name, values in signals.items():
            assert re.fullmatch(r"\S.* \[.+\]", name), name
            assert values.dim() == 2
            assert values.shape[0] == ROWS
            assert values.isfinite().all()


# --- randomness -------------------------------------------------------------------------------------------------------


def test_the_seed_alone_decides_where_episodes_begin(simulator: Simulator) -> None:
    torch.manual_seed(1)
    first = simulator.reset(ROWS, 5)
    torch.manual_seed(2)
    untouched = torch.get_rng_state()
    assert same(first, simulator.reset(ROWS, 5))
    assert torch.equal(torch.get_rng_state(), untouched)
    other = simulator.reset(ROWS, 6)
    assert not (simulator.observe(first) == simulator.observe(other)).all(dim=1).any()
    assert len(torch.unique(simulator.observe(first), dim=0)) == ROWS  # rows differ among themselves


def test_a_generator_is_advanced(simulator: Simulator) -> None:
    generator = torch.Generator().manual_seed(5)
    first, second = simulator.reset(ROWS, generator), simulator.reset(ROWS, generator)
    assert same(first, simulator.reset(ROWS, 5))
    assert not same(first, second)


def test_index_zero_keeps_the_future_to_the_bit(simulator: Simulator) -> None:
    """Over a rollout, and whatever other indices lie beside it."""
    state, actions = running_states(simulator)[1], random_actions(simulator, 12, seed=9)
    kept = simulator.split_noise(state, torch.zeros(ROWS, dtype=torch.int64))
    assert same(kept, state)
    index = torch.arange(ROWS) % 3
    mixed, executed = simulator.split_noise(state, index), index == 0
    for action in actions:
        alone, beside = simulator.step(state, action), simulator.step(mixed, action)
        assert same(select(beside, executed), select(alone, executed))
        state, mixed = alone.state, beside.state


def test_other_indices_change_the_future_alone(simulator: Simulator) -> None:
    """What is there stays as it was; a split state flies on as validly and as repeatably as any other."""
    state, actions = running_states(simulator)[1], random_actions(simulator, 12, seed=9)
    kept, index = clone(state), torch.arange(1, ROWS + 1)
    split = simulator.split_noise(state, index)
    assert same(state, kept)
    assert same(split, simulator.split_noise(state, index))
    assert type(split) is type(state)
    assert [(x.dtype, x.shape) for x in leaves(split)] == [(x.dtype, x.shape) for x in leaves(state)]
    assert torch.equal(simulator.observe(split), simulator.observe(state))
    assert torch.equal(simulator.privileged(split), simulator.privileged(state))
    assert torch.equal(simulator.position(split), simulator.position(state))
    first = follow(simulator, split, actions)
    assert all(same(a, b) for a, b in zip(first, follow(simulator, split, actions), strict=True))
    assert all(step.observation.isfinite().all() and step.reward.isfinite().all() for step in first)
    for row in range(ROWS):
        only = slice(row, row + 1)
        alone = simulator.split_noise(select(state, only), index[only])
        assert same(simulator.step(alone, actions[0][only]), select(first[0], only))


# --- pure functions of the state --------------------------------------------------------------------------------------


def test_the_same_state_and_action_give_the_same_bits(simulator: Simulator, task: tuple[str, dict[str, Any]]) -> None:
    """On the same simulator and on a fresh one, whatever the global generators hold."""
    fresh = robots.make(task[0], **task[1])
    for state, action in zip(running_states(simulator), random_actions(simulator, 4, seed=9), strict=True):
        step = simulator.step(state, action)
        torch.manual_seed(8)
        assert same(step, simulator.step(state, action))
        assert same(step, fresh.step(state, action))


def test_nothing_changes_its_arguments(simulator: Simulator) -> None:
    for state, action in zip(running_states(simulator), random_actions(simulator, 4, seed=9), strict=True):
        kept, kept_action = clone(state), action.clone()
        simulator.step(state, action)
        simulator.observe(state)
        simulator.privileged(state)
        simulator.success(state)
        simulator.signals(state)
        assert same(state, kept)
        assert torch.equal(action, kept_action)


def test_a_kept_state_resumes_after_other_branches_in_any_order(simulator: Simulator) -> None:
    start = running_states(simulator)[-1]
    branches = [random_actions(simulator, 6, seed=20 + i) for i in range(3)]
    first = [follow(simulator, start, actions) for actions in branches]
    for i in (2, 0, 1, 0):
        again = follow(simulator, start, branches[i])
        assert all(same(a, b) for a, b in zip(again, first[i], strict=True))
    middle = follow(simulator, first[0][2].state, branches[0][3:])  # resumed half-way
    assert all(same(a, b) for a, b in zip(middle, first[0][3:], strict=True))
    assert not same(first[0][-1], first[1][-1])


def test_a_row_does_not_depend_on_its_neighbours(simulator: Simulator) -> None:
    order = torch.arange(ROWS).flip(0)
    for state, action in zip(running_states(simulator), random_actions(simulator, 4, seed=9), strict=True):
        together = simulator.step(state, action)
        for i in range(ROWS):
            row = slice(i, i + 1)
            assert same(simulator.step(select(state, row), action[row]), select(together, row))
            assert torch.equal(simulator.observe(select(state, row)), simulator.observe(state)[row])
            assert torch.equal(simulator.privileged(select(state, row)), simulator.privileged(state)[row])
        assert same(simulator.step(select(state, order), action[order]), select(together, order))


def test_siblings_part_by_their_actions_alone(simulator: Simulator) -> None:
    state = running_states(simulator)[1]
    action = random_actions(simulator, 1, seed=9)[0]
    step = simulator.step(state, action)
    copies = simulator.step(repeat(state, 3), action.repeat_interleave(3, dim=0))
    for sibling in range(3):
        assert same(select(copies, slice(sibling, None, 3)), step)
    low, high = bounds(simulator)
    ends = simulator.step(repeat(state, 2), torch.stack((low, high)).repeat(ROWS, 1))
    for end in follow(simulator, ends.state, torch.stack((low, high)).repeat(2, ROWS, 1)):
        assert not (end.observation[::2] == end.observation[1::2]).all(dim=1).any()


def test_observations_rewards_and_actions_share_no_memory_with_states(simulator: Simulator) -> None:
    """Whoever overwrites what came out of a step, or the action that went in, changes neither state nor later steps."""
    for state, action in zip(running_states(simulator), random_actions(simulator, 4, seed=9), strict=True):
        kept, kept_action = clone(state), action.clone()
        simulator.observe(state).fill_(17.0)
        simulator.privileged(state).fill_(17.0)
        step = simulator.step(state, action)
        kept_step = clone(step)
        for array in (step.observation, step.reward, action):
            array.fill_(17.0)
        step.terminated.logical_not_()
        assert same(state, kept)
        assert same(step.state, kept_step.state)
        following = simulator.step(step.state, kept_action)
        assert same(following, simulator.step(kept_step.state, kept_action))
        simulator.success(following.state).logical_not_()
        assert torch.equal(following.observation, simulator.observe(following.state))


# --- observations -----------------------------------------------------------------------------------------------------


def test_every_entry_of_the_observation_varies_and_stays_finite(simulator: Simulator) -> None:
    """But for those that stand still in the environments a task was taken from."""
    rows, name = 16, simulator.spec.name
    state, seen = simulator.reset(rows, 0), []
    for seed, action in enumerate(random_actions(simulator, 60, rows)):
        step = simulator.step(state, action)
        state = step.state
        if step.terminated.any():
            state = where(step.terminated, simulator.reset(rows, 100 + seed), state)
        seen.append(step.observation)
    entries = torch.cat(seen)
    assert entries.isfinite().all()
    spread = entries.amax(dim=0) - entries.amin(dim=0)
    constant = {q.name for q, s in zip(simulator.spec.observation, spread.tolist(), strict=True) if s <= 1e-6}
    always = {q.name for q in simulator.spec.observation if matches(ALWAYS, name, q.name)}
    assert always <= constant
    assert not {entry for entry in constant - always if not matches(SELDOM, name, entry)}


# --- episodes ---------------------------------------------------------------------------------------------------------


def test_an_episode_is_cut_by_its_time_limit_unless_it_ends_by_itself(simulator: Simulator) -> None:
    state, action = simulator.reset(ROWS, 0), random_actions(simulator, 1)[0]
    limit = simulator.spec.max_episode_steps
    elapsed = torch.tensor([0, limit - 2, limit - 1, 5, limit - 1, limit - 1])
    transition = step_episodes(simulator, Episodes(state, elapsed, torch.zeros(len(elapsed), 0)), action)
    assert torch.equal(transition.truncated, (elapsed == limit - 1) & ~transition.terminated)
    assert torch.equal(transition.episodes.elapsed, elapsed + 1)
    assert same(transition.episodes.state, simulator.step(state, action).state)


def test_success_is_reported_only_where_a_goal_is_named(simulator: Simulator) -> None:
    states = running_states(simulator)
    if not simulator.spec.goal:
        assert not any(bool(simulator.success(state).any()) for state in states)


def test_a_state_on_disk_is_the_state(simulator: Simulator) -> None:
    state, action = running_states(simulator)[-1], random_actions(simulator, 1, seed=9)[0]
    file = io.BytesIO()
    torch.save(list(leaves(state)), file)
    file.seek(0)
    saved = iter(torch.load(file, weights_only=True))
    loaded = map_state(lambda _: next(saved), state)
    assert same(loaded, state)
    assert same(simulator.step(loaded, action), simulator.step(state, action))
