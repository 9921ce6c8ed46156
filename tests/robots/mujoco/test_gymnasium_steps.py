"""Every step of the eleven robots is Gymnasium's, in every bit: observation, reward, its parts, termination, physics.

Nothing is rounded differently for any task, so no bound is stated anywhere below.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
import torch
from support.mujoco_beside_gymnasium import action, differences, environment, join, scatter

import robots
from robots.catalogue import MUJOCO_TASKS
from robots.mujoco.simulator import MujocoSimulator
from robots.simulator import repeat, select

pytestmark = pytest.mark.slow

STEPS = 120
NEVER_TOUCH = {"InvertedDoublePendulum-v5", "InvertedPendulum-v5", "Reacher-v5", "Swimmer-v5"}
"""Robots whose models have no pair of bodies that can touch, or too little room to do so."""


@pytest.fixture(scope="module", params=MUJOCO_TASKS)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[MujocoSimulator, Any]]:
    """A task beside Gymnasium's; its batches of rows are stepped by three threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield robots.make(request.param), environment(request.param)
    torch.set_num_threads(before)


@pytest.mark.parametrize(("size", "place"), [(1, 0), (3, 2), (8, 5)])
def test_hundreds_of_steps_from_random_states(pair: tuple[MujocoSimulator, Any], size: int, place: int) -> None:
    """One row of a batch beside Gymnasium; actions are float32 and float64 in turn, the other rows are elsewhere."""
    simulator, env = pair
    rng = np.random.default_rng(size)
    env.reset(seed=size)
    others = simulator.reset(size - 1, size)
    touching, wrong = 0, {}
    for step in range(STEPS):
        if step % 40 == 0:  # anew, so that falls do not end in lying still for long
            scatter(env, rng)
            mine = simulator.state_of(env.data)
            state = join(select(others, slice(0, place)), mine, select(others, slice(place, None)))
        kind = (np.float32, np.float64)[step % 2]
        actions = np.stack([action(env, rng, kind) for _ in range(size)])
        gym = env.step(actions[place])
        ours = simulator.transition(state, actions)
        bad = differences(ours, place, gym, env)
        if bad:
            wrong[step] = bad
        touching += env.data.ncon > 0
        state = ours.state
        others = select(state, torch.arange(size) != place)
    assert not wrong
    if simulator.spec.name not in NEVER_TOUCH:
        assert touching > STEPS // 10


def test_branches_of_one_instant(pair: tuple[MujocoSimulator, Any]) -> None:
    """Eight samples of three steps each from a state on the way, against Gymnasium put back there by mj_copyData."""
    simulator, env = pair
    rng = np.random.default_rng(4)
    env.reset(seed=4)
    scatter(env, rng)
    for _ in range(30):
        env.step(action(env, rng, np.float32))
    kept = mujoco.MjData(env.model)
    mujoco.mj_copyData(kept, env.model, env.data)
    state = repeat(simulator.state_of(env.data), 8)
    actions = np.stack([[action(env, rng, np.float32) for _ in range(8)] for _ in range(3)])
    together = []
    for step in actions:
        together.append(simulator.transition(state, step))
        state = together[-1].state
    for sample in (3, 0, 7, 1, 2, 6, 5, 4):
        mujoco.mj_copyData(env.data, env.model, kept)
        for ours, step in zip(together, actions, strict=True):
            assert not differences(ours, sample, env.step(step[sample]), env)
    assert len(np.unique(together[-1].observation, axis=0)) == 8


def test_what_training_sees_is_that_step_in_single_precision(pair: tuple[MujocoSimulator, Any]) -> None:
    simulator, env = pair
    rng = np.random.default_rng(5)
    env.reset(seed=5)
    state = simulator.state_of(env.data)
    chosen = action(env, rng, np.float32)
    observation, reward, terminated, *_ = env.step(chosen)
    step = simulator.step(state, torch.from_numpy(chosen)[None])
    assert step.observation.dtype == step.reward.dtype == torch.float32
    np.testing.assert_array_equal(step.observation[0].numpy(), observation.astype(np.float32))
    assert step.reward[0].item() == np.float32(reward)
    assert bool(step.terminated[0]) == terminated


def test_spaces_and_time_limits_are_gymnasiums(pair: tuple[MujocoSimulator, Any]) -> None:
    simulator, env = pair
    spec = simulator.spec
    assert (spec.observation_size,) == env.observation_space.shape
    np.testing.assert_array_equal(np.float32(spec.action_low), env.action_space.low)
    np.testing.assert_array_equal(np.float32(spec.action_high), env.action_space.high)
    assert spec.max_episode_steps == gymnasium.spec(spec.name).max_episode_steps
    assert simulator.dt == env.dt
