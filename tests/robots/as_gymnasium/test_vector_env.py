"""Every task as a vector environment, against gymnasium.vector.SyncVectorEnv over its single environments."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import TimeLimit
from gymnasium.wrappers.vector import NormalizeObservation, RecordEpisodeStatistics
from support.replay_env import TIME_LIMIT, Ledger, LedgerState

import robots
from robots.as_gymnasium.env import TaskEnv
from robots.as_gymnasium.reset_buffer import BLOCK, ResetBuffer
from robots.as_gymnasium.vector_env import TaskVectorEnv
from robots.gymnasium_ids import environment_id

pytestmark = pytest.mark.slow

AUTORESET = (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)


def assert_equal(ours: Any, theirs: Any) -> None:
    """The same types and the same bits, inside dictionaries and arrays of objects too."""
    assert type(ours) is type(theirs)
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        for key in theirs:
            assert_equal(ours[key], theirs[key])
    elif isinstance(theirs, tuple) or (isinstance(theirs, np.ndarray) and theirs.dtype == object):
        for a, b in zip(ours, theirs, strict=True):
            assert_equal(a, b)
    elif isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    else:
        assert ours == theirs


def walk_together(ours: VectorEnv, theirs: VectorEnv, steps: int, seed: Any = 5) -> int:
    """Compare a seeded reset and some random steps; how many episodes ended."""
    assert_equal(ours.reset(seed=seed), theirs.reset(seed=seed))
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    ours.action_space.seed(1)
    ended = 0
    for _ in range(steps):
        actions = ours.action_space.sample()
        step = ours.step(actions)
        assert_equal(step, theirs.step(actions))
        ended += int((step[2] | step[3]).sum())
    return ended


def ledgers(num: int, mode: AutoresetMode) -> tuple[TaskVectorEnv, SyncVectorEnv]:
    """Ours and Gymnasium's over `num` ledgers, which end for good after an action above 0.6, or after five steps."""
    singles = [lambda: TimeLimit(TaskEnv(Ledger()), TIME_LIMIT)] * num
    return TaskVectorEnv(Ledger(), num, autoreset_mode=mode), SyncVectorEnv(singles, autoreset_mode=mode)


# --- what SyncVectorEnv does ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", AUTORESET)
@pytest.mark.parametrize("name", robots.names())
def test_it_does_what_gymnasium_does_over_single_environments(name: str, mode: AutoresetMode) -> None:
    spec = environment_id(name)
    ours = gymnasium.make_vec(spec, 3, max_episode_steps=4, autoreset_mode=mode.value)
    theirs = gymnasium.make_vec(spec, 3, "sync", {"autoreset_mode": mode}, max_episode_steps=4)
    assert isinstance(ours, TaskVectorEnv)
    assert isinstance(theirs, SyncVectorEnv)
    assert ours.metadata == theirs.metadata
    assert walk_together(ours, theirs, 14) >= 6
    theirs.close()


@pytest.mark.parametrize("mode", AUTORESET)
@pytest.mark.parametrize("seed", [11, [3, 1, 4, 1, 5, 9, 2]])
def test_episodes_that_end_at_different_times(mode: AutoresetMode, seed: Any) -> None:
    """A fifth of the steps ends an episode, so 150 steps use up several blocks of initial states in every row."""
    assert walk_together(*ledgers(7, mode), 150, seed) > 7 * BLOCK


@pytest.mark.parametrize("mode", AUTORESET)
def test_masks_reset_some_rows_and_seed_only_those(mode: AutoresetMode) -> None:
    ours, theirs = ledgers(4, mode)
    walk_together(ours, theirs, 3)
    for mask, seed in (([1, 0, 1, 0], 9), ([0, 0, 0, 1], None), ([1, 1, 0, 0], [1, None, 3, 4]), ([1, 1, 1, 1], 2)):
        masks = [{"reset_mask": np.array(mask, dtype=bool)} for _ in range(2)]  # SyncVectorEnv takes it out of its own
        assert_equal(ours.reset(seed=seed, options=masks[0]), theirs.reset(seed=seed, options=masks[1]))
        for _ in range(12):
            actions = ours.action_space.sample()
            assert_equal(ours.step(actions), theirs.step(actions))
        assert list(masks[0]) == ["reset_mask"]


def test_all_rows_that_end_at_once() -> None:
    for mode in AUTORESET:
        ours, theirs = ledgers(2, mode)
        assert_equal(ours.reset(seed=0), theirs.reset(seed=0))
        for action in (0.0, 0.7, 0.7, 0.1):
            actions = np.full((2, 1), action, np.float32)
            assert_equal(ours.step(actions), theirs.step(actions))


def test_each_row_is_the_single_environment_with_its_seed() -> None:
    seeds = [12, 4, 4]
    vector = TaskVectorEnv("quadrotor-hover", 3)
    observations, _ = vector.reset(seed=seeds)
    for row, seed in enumerate(seeds):
        np.testing.assert_array_equal(observations[row], TaskEnv("quadrotor-hover").reset(seed=seed)[0])
    assert vector.np_random_seed == (12, 4, 4)
    assert len({id(generator) for generator in vector.np_random}) == 3


def test_async_workers_agree() -> None:
    ours = gymnasium.make_vec("robots:hgrpo/quadrotor-hover-v0", 2, max_episode_steps=4)
    theirs = gymnasium.make_vec("robots:hgrpo/quadrotor-hover-v0", 2, "async", max_episode_steps=4)
    walk_together(ours, theirs, 6)
    theirs.close()


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_the_last_observation_of_an_episode_is_not_lost() -> None:
    """Two ledgers: row 0 ends for good at its second step, row 1 goes on. Observation: birth, age, total."""
    actions = np.array([[[0.25], [0.25]], [[0.75], [0.5]]], np.float32)
    envs = TaskVectorEnv(Ledger(), 2, autoreset_mode="SameStep")
    births = envs.reset(seed=0)[0][:, 0]
    envs.step(actions[0])
    observation, reward, terminated, truncated, infos = envs.step(actions[1])
    assert (reward.tolist(), terminated.tolist(), truncated.tolist()) == ([0.75, 0.5], [True, False], [False, False])
    assert infos["final_obs"][0].tolist() == [births[0], 2.0, 1.0]  # 0.25 + 0.75
    assert infos["final_obs"][1] is None
    assert infos["final_info"] == {"is_success": pytest.approx([1, 0]), "_is_success": pytest.approx([1, 0])}
    assert observation[0, 1:].tolist() == [0.0, 0.0]  # a new episode
    assert observation[0, 0] != births[0]
    assert observation[1].tolist() == [births[1], 2.0, 0.75]  # 0.25 + 0.5


def test_time_limits() -> None:
    envs = gymnasium.make_vec("hgrpo/quadrotor-hover-v0", 2)
    assert isinstance(envs, TaskVectorEnv)
    assert envs.max_episode_steps == 500
    endless = TaskVectorEnv(Ledger(), 2, max_episode_steps=-1)
    endless.reset(seed=0)
    assert not any(endless.step(np.zeros((2, 1)))[3].any() for _ in range(3 * TIME_LIMIT))
    with pytest.raises(ValueError, match="max_episode_steps must be at least 1, or -1 for no limit; given 0"):
        TaskVectorEnv(Ledger(), 2, max_episode_steps=0)


def test_disabled_leaves_resets_to_the_caller() -> None:
    envs = TaskVectorEnv(Ledger(), 2, autoreset_mode="Disabled")
    envs.reset(seed=0)
    _, _, terminated, _, _ = envs.step([[0.9], [0.0]])
    with pytest.raises(ResetNeeded, match=r"episodes of rows \[0\] have ended; reset them with a reset_mask first"):
        envs.step([[0.0], [0.0]])
    envs.reset(options={"reset_mask": terminated})
    assert envs.step([[0.0], [0.0]])[0][:, 1].tolist() == [1.0, 2.0]  # ages


def test_what_has_ended_is_never_stepped_and_resets_are_batched() -> None:
    """One simulator call per step whatever the number of rows; a row that has ended is stepped from its new start."""
    ledger = Ledger()
    envs = TaskVectorEnv(ledger, 3)
    envs.reset(seed=0)
    for action in (0.0, 0.9, 0.0, 0.0):
        envs.step(np.full((3, 1), action))
    assert len(ledger.seen) == 4
    ages = [state.age.tolist() for state, _ in ledger.seen]
    assert ages == [[0] * 3, [1] * 3, [0] * 3, [0] * 3]  # third: the start of the next episode, thrown away


@pytest.mark.parametrize("mode", AUTORESET)
def test_without_snapshots_every_row_has_one_environment(mode: AutoresetMode) -> None:
    """Row 1 is that of Pendulum by itself, in episodes cut at five of its 200 steps and some that reset() gives up."""
    envs = TaskVectorEnv("gymnasium/Pendulum-v1", 2, max_episode_steps=5, autoreset_mode=mode)
    single = [TimeLimit(TaskEnv("gymnasium/Pendulum-v1"), 5) for _ in range(2)]
    other = SyncVectorEnv([lambda env=env: env for env in single], autoreset_mode=mode)
    for seed in (0, 1, 2):
        assert walk_together(envs, other, 13, seed) == 4
    envs.reset(seed=3)
    envs.step(envs.action_space.sample())
    envs.reset(options={"reset_mask": np.array([True, False])})
    envs.step(envs.action_space.sample())
    assert len(envs.simulator._pool.instances) == 2  # type: ignore[attr-defined]


def test_without_snapshots_an_episode_can_only_be_shortened() -> None:
    with pytest.raises(ValueError, match=r"gymnasium/Pendulum-v1 .*at most 200,.*; given 201"):
        TaskVectorEnv("gymnasium/Pendulum-v1", 2, max_episode_steps=201)


def test_starts_drawn_ahead_follow_the_settings() -> None:
    """Every start after `adjust` is that of an environment that had the setting all along."""
    changed, throughout = (TaskVectorEnv("quadrotor-waypoints", 2, max_episode_steps=1) for _ in range(2))
    single, alone = (TaskEnv("quadrotor-waypoints") for _ in range(2))
    for envs in (throughout, alone):
        envs.simulator.adjust("difficulty", 0.0)  # type: ignore[attr-defined]
    starts = [[env.reset(seed=2)[0] for _ in range(1)] for env in (changed, throughout, single, alone)]
    assert not np.array_equal(starts[0][0], starts[1][0])
    for env in (changed, single):
        env.simulator.adjust("difficulty", 0.0)  # type: ignore[attr-defined]
    for _ in range(BLOCK + 2):
        assert_equal(changed.reset()[0], throughout.reset()[0])
        assert_equal(single.reset()[0], alone.reset()[0])


def test_what_comes_out_belongs_to_the_caller() -> None:
    envs, same = TaskVectorEnv(Ledger(), 2), TaskVectorEnv(Ledger(), 2)
    observation, _ = envs.reset(seed=0)
    observation[:] = 9.0
    same.reset(seed=0)
    for _ in range(8):
        step = envs.step(np.zeros((2, 1)))
        assert_equal(step, same.step(np.zeros((2, 1))))
        for array in step[:4]:
            array[:] = 1


def test_gymnasiums_wrappers_work_on_it() -> None:
    envs = RecordEpisodeStatistics(TaskVectorEnv(Ledger(), 2))
    envs.reset(seed=0)
    for _ in range(TIME_LIMIT):
        infos = envs.step(np.full((2, 1), 0.5))[4]
    assert infos["episode"]["r"].tolist() == [2.5, 2.5]  # 5 x 0.5
    assert infos["episode"]["l"].tolist() == [5, 5]
    normalized = NormalizeObservation(gymnasium.make_vec("hgrpo/quadrotor-hover-v0", 64))
    observation, _ = normalized.reset(seed=0)
    assert abs(observation.mean()) < 1e-3
    assert 0.5 < observation[:, :3].std() < 1.5


def test_pictures_come_one_per_row() -> None:
    envs = TaskVectorEnv(Ledger(), 3, render_mode="rgb_array")
    envs.reset()
    frames = envs.render()
    assert isinstance(frames, tuple)
    assert [frame.shape for frame in frames] == [(480, 640, 3)] * 3
    quiet = TaskVectorEnv(Ledger(), 3)
    quiet.reset()
    assert quiet.render() is None
    envs.close()
    envs.close()
    assert envs.closed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_envs": 0}, "num_envs must be at least 1; given 0"),
        ({"autoreset_mode": "NextStp"}, "unknown autoreset_mode 'NextStp'; did you mean 'NextStep'"),
        ({"render_mode": "human"}, "unknown render_mode 'human'; allowed: rgb_array"),
    ],
)
def test_a_wrong_argument_is_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TaskVectorEnv(Ledger(), **options)


def test_a_wrong_reset_is_one_line() -> None:
    envs = TaskVectorEnv(Ledger(), 2)
    some = {"reset_mask": np.array([True, False])}
    with pytest.raises(ResetNeeded, match="no state before the first reset"):
        envs.step([[0.0], [0.0]])
    with pytest.raises(ResetNeeded, match=r"first reset\(\) .*reset_mask"):
        envs.reset(options=some)
    with pytest.raises(ValueError, match="one for each of 2 rows; given 3"):
        envs.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match="unknown option 'reset_masks' of reset; did you mean 'reset_mask'"):
        envs.reset(options={"reset_masks": some})
    with pytest.raises(TypeError, match=r"bool with shape \(2,\); given int64 \(2,\)"):
        envs.reset(options={"reset_mask": np.array([1, 0])})
    with pytest.raises(ValueError, match="true in at least one row"):
        envs.reset(options={"reset_mask": np.zeros(2, bool)})


# --- initial states ---------------------------------------------------------------------------------------------------


def test_starts_are_the_streams_own_whatever_the_other_rows_do() -> None:
    """Row 1 takes 2 BLOCK + 3 states while row 0 takes one: as if row 1 were alone with the same stream."""
    two, one = ResetBuffer(Ledger(), 2), ResetBuffer(Ledger(), 1)
    streams = [np.random.default_rng(3), np.random.default_rng(4)]
    both = two.draw(np.array([0, 1]), streams)
    births = [both.birth[1]] + [two.draw(np.array([1]), streams).birth[0] for _ in range(2 * BLOCK + 2)]
    alone = [one.draw(np.array([0]), [stream]).birth[0] for stream in [np.random.default_rng(4)] * (2 * BLOCK + 3)]
    assert births == alone
    assert len({float(birth) for birth in births}) == 2 * BLOCK + 3
    first = Ledger().reset(BLOCK, int(np.random.default_rng(3).integers(2**63)))
    assert isinstance(first, LedgerState)
    assert torch.equal(two.draw(np.array([0]), streams).birth, first.birth[1:2])
