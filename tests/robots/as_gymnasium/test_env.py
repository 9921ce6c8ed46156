"""Every task as a single Gymnasium environment; a new task is covered as soon as it is registered."""

from __future__ import annotations

import json
import pickle
import re
import warnings
from collections.abc import Iterator

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from support.replay_env import Ledger
from support.states import same

import robots
from robots import gymnasium_ids, registry
from robots.as_gymnasium.env import TaskEnv
from robots.as_gymnasium.reset_buffer import BLOCK
from robots.as_gymnasium.vector_env import TaskVectorEnv
from robots.drawing.offscreen import MissingGraphicsError, require_gl
from robots.gymnasium_ids import environment_id
from robots.options import OptionError

pytestmark = pytest.mark.slow


@pytest.fixture(params=robots.names())
def env(request: pytest.FixtureRequest) -> Iterator[gymnasium.Env]:
    """Each registered task, as gymnasium.make builds it."""
    env = gymnasium.make(environment_id(request.param))
    yield env
    env.close()


def task(env: gymnasium.Env) -> TaskEnv:
    assert isinstance(env.unwrapped, TaskEnv)
    return env.unwrapped


# --- ids --------------------------------------------------------------------------------------------------------------


def test_a_version_in_a_name_is_kept() -> None:
    assert environment_id("quadrotor-hover") == "hgrpo/quadrotor-hover-v0"
    assert environment_id("HalfCheetah-v5") == "hgrpo/HalfCheetah-v5"
    assert environment_id("a-v5-b") == "hgrpo/a-v5-b-v0"
    with pytest.raises(ValueError, match=r"letters, digits, '_', '-' and '\.'; given 'a:b'"):
        environment_id("a:b")


def test_a_registered_task_is_an_environment_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    monkeypatch.setattr(gymnasium_ids, "_TASKS", dict(gymnasium_ids._TASKS))
    monkeypatch.delitem(gymnasium.registry, "hgrpo/ledger-v0", raising=False)
    robots.register("ledger", Ledger)
    with gymnasium.make("robots:hgrpo/ledger-v0") as env:
        assert env.spec is not None
        assert env.spec.max_episode_steps == 5
        assert env.metadata["render_fps"] == 1.0
    with pytest.raises(ValueError, match="task 'ledger-v0' needs the Gymnasium id 'hgrpo/ledger-v0'"):
        robots.register("ledger-v0", Ledger)
    assert "ledger-v0" not in robots.names()
    monkeypatch.delitem(gymnasium.registry, "hgrpo/ledger-v0")


def test_a_specification_survives_json() -> None:
    spec = gymnasium.spec("hgrpo/quadrotor-hover-v0")
    assert json.loads(spec.to_json())["kwargs"] == {"task": "quadrotor-hover"}
    read = EnvSpec.from_json(spec.to_json())
    made = gymnasium.make(read).spec
    assert made is not None
    assert made.max_episode_steps == 500  # 5 s at 100 Hz
    assert pickle.loads(pickle.dumps(spec)) == spec


# --- what Gymnasium asks of an environment ----------------------------------------------------------------------------


def test_gymnasium_finds_nothing_wrong(env: gymnasium.Env) -> None:
    """Its one recommendation, actions within [-1, 1], is about tasks whose own bounds are wider or uneven."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped, skip_render_check=True)
    space = env.action_space
    assert isinstance(space, gymnasium.spaces.Box)
    wide = bool((space.high > 1.0).any() or ((space.low != 0.0) & (-space.low != space.high)).any())
    assert ["we recommend using a symmetric and normalized space" in str(w.message) for w in caught] == [True] * wide


def test_it_does_what_the_simulator_does(env: gymnasium.Env) -> None:
    simulator = robots.make(task(env).simulator.spec.name)
    observation, info = env.reset(seed=4)
    assert info == {}
    env.action_space.seed(0)
    for _ in range(5):
        state, action = task(env).state, env.action_space.sample()
        expected = simulator.step(state, torch.from_numpy(action)[None])
        observation, reward, terminated, _, info = env.step(action)
        assert observation.dtype == np.float32
        np.testing.assert_array_equal(observation, expected.observation[0].float().numpy())
        assert reward == float(expected.reward[0])
        assert terminated == bool(expected.terminated[0])
        assert info == {"is_success": bool(simulator.success(expected.state)[0])}
        assert same(task(env).state, expected.state)


def test_a_seed_decides_this_episode_and_all_later_ones(env: gymnasium.Env) -> None:
    """Past the end of a block of initial states as well."""
    first = [env.reset(seed=7)[0]] + [env.reset()[0] for _ in range(BLOCK + 2)]
    again = [env.reset(seed=7)[0]] + [env.reset()[0] for _ in range(BLOCK + 2)]
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first, axis=0)) == BLOCK + 3
    assert not np.array_equal(env.reset(seed=8)[0], first[0])
    unseeded = gymnasium.make(env.spec)  # type: ignore[arg-type]
    assert not np.array_equal(unseeded.reset()[0], gymnasium.make(env.spec).reset()[0])  # type: ignore[arg-type]


def test_the_time_limit_truncates() -> None:
    env = gymnasium.make("hgrpo/quadrotor-hover-v0", max_episode_steps=3)
    env.reset(seed=0)
    assert [env.step(np.zeros(4, np.float32))[2:4] for _ in range(3)] == [(False, False)] * 2 + [(False, True)]


@pytest.mark.parametrize(
    ("name", "options", "limit"),
    [
        ("quadrotor-waypoints", {"points": 2}, 400),  # 4 s for each of 2 points, at 50 Hz
        ("quadrotor-waypoints", {"points": 10}, 2000),
        ("quadrotor-gates", {"laps": 3}, 3200),
    ],
)
def test_the_time_limit_is_that_of_the_task_with_its_options(name: str, options: dict[str, int], limit: int) -> None:
    assert robots.make(name, **options).spec.max_episode_steps == limit
    single = gymnasium.make(environment_id(name), **options)
    assert single.spec is not None
    assert single.spec.max_episode_steps == limit
    assert single.get_wrapper_attr("_max_episode_steps") == limit
    vector = gymnasium.make_vec(environment_id(name), 2, **options)
    assert isinstance(vector, TaskVectorEnv)
    assert vector.max_episode_steps == limit


def test_pictures_are_collected_where_gymnasium_knows_the_render_modes() -> None:
    env = gymnasium.make("hgrpo/quadrotor-hover-v0", render_mode="rgb_array_list")
    assert isinstance(env, gymnasium.wrappers.RenderCollection)
    with pytest.raises(ValueError, match="unknown render_mode 'ansi'"), pytest.warns(UserWarning, match="possible"):
        gymnasium.make("hgrpo/quadrotor-hover-v0", render_mode="ansi")


def test_success_is_told_by_who_judges_it() -> None:
    """Ledger: success is a positive total; it ends for good after an action above 0.6."""
    env = TaskEnv(Ledger())
    env.reset(seed=0)
    assert env.step([-0.5])[1:] == (-0.5, False, False, {"is_success": False})
    assert env.step([0.75])[1:] == (0.75, True, False, {"is_success": True})  # -0.5 + 0.75 > 0


def test_actions_beyond_the_bounds_are_clipped_and_others_refused() -> None:
    env = TaskEnv(Ledger())
    env.reset(seed=0)
    assert env.step([-3.0])[1] == -1.0
    with pytest.raises(ValueError, match=r"actions must have shape \(1,\); given \(2,\)"):
        env.step([0.0, 0.0])
    with pytest.raises(ValueError, match=r"actions must be numbers; given NaN in \[0\]"):
        env.step([np.nan])


def test_options_of_the_task_are_keyword_arguments() -> None:
    for mass in (0.3, "0.3"):
        env = task(gymnasium.make("hgrpo/quadrotor-hover-v0", quadrotor="cf2x", mass=mass))
        assert env.simulator.spec.robot == "cf2x"
        assert env.simulator.spec.privileged  # something is randomised
    with pytest.raises(OptionError, match=r"unknown task option 'mas'; did you mean 'mass'\?"):
        gymnasium.make("hgrpo/quadrotor-hover-v0", mas=0.3)
    with pytest.raises(TypeError, match="options go with the name of a task; given a simulator and mass"):
        TaskEnv(Ledger(), mass=0.3)


def test_what_comes_too_early_or_is_unknown_is_one_line() -> None:
    env = TaskEnv(Ledger())
    for early in (lambda: env.state, lambda: env.step([0.0]), env.get_snapshot):
        with pytest.raises(ResetNeeded, match="no state before the first reset"):
            early()
    with pytest.raises(ValueError, match="a reset takes no options; given 'height'"):
        env.reset(options={"height": 2})
    with pytest.raises(TypeError, match=r"expected an EnvSnapshot, what get_snapshot\(\) returns; given dict"):
        env.set_snapshot({})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=re.escape("unknown render_mode 'rgb'; allowed: rgb_array")):
        TaskEnv(Ledger(), render_mode="rgb")


# --- snapshots --------------------------------------------------------------------------------------------------------


def follow(env: TaskEnv, actions: list[np.ndarray]) -> list[np.ndarray]:
    """Observations and rewards along some actions, then of two new episodes."""
    steps = [env.step(action) for action in actions]
    return [np.append(step[0], step[1]) for step in steps] + [np.append(env.reset()[0], 0.0) for _ in range(2)]


def test_a_pickled_snapshot_branches_and_resumes_elsewhere(env: gymnasium.Env) -> None:
    inner = task(env)
    inner.reset(seed=3)
    inner.action_space.seed(1)
    actions = [inner.action_space.sample() for _ in range(6)]
    for action in actions[:2]:
        inner.step(action)
    snapshot = pickle.loads(pickle.dumps(inner.get_snapshot()))
    first = follow(inner, actions)
    inner.set_snapshot(snapshot)
    assert not np.array_equal(first[0], follow(inner, actions[::-1])[0])
    inner.set_snapshot(snapshot)
    np.testing.assert_array_equal(first, follow(inner, actions))
    elsewhere = TaskEnv(inner.simulator.spec.name)
    elsewhere.set_snapshot(snapshot)
    np.testing.assert_array_equal(first, follow(elsewhere, actions))


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_without_a_mode_nothing_is_drawn() -> None:
    env = TaskEnv(Ledger())
    env.reset()
    assert env.render() is None


def test_pictures_pass_the_check() -> None:
    try:
        require_gl()
    except MissingGraphicsError as error:
        pytest.skip(str(error))
    env = gymnasium.make("hgrpo/quadrotor-hover-v0", render_mode="rgb_array")
    check_env(env.unwrapped)
    env.reset(seed=0)
    picture = env.render()
    assert isinstance(picture, np.ndarray)
    assert picture.shape == (480, 640, 3)
    assert picture.std() > 0.0
