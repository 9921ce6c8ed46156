"""Gymnasium environments behind our contract, against the same environments stepped by themselves."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from support import buggy_envs
from support.states import leaves, random_actions, same

import robots
from robots.drawing.offscreen import MissingGraphicsError, require_gl
from robots.from_gymnasium.options import EnvironmentRefusedError
from robots.from_gymnasium.picture import fitted
from robots.from_gymnasium.pool import BranchingError
from robots.from_gymnasium.returns import EnvironmentFailedError
from robots.from_gymnasium.saving.anchors import SnapshotError
from robots.from_gymnasium.simulator import GymnasiumSimulator
from robots.registry import UnknownTaskError
from robots.simulator import repeat, select

STOCK = ("HalfCheetah-v5", "Ant-v5", "Humanoid-v5", "InvertedDoublePendulum-v5")
CART = {"max_episode_steps": 40}


def seeds_of(num: int, seed: int) -> list[int]:
    return torch.randint(2**31, (num,), generator=torch.Generator().manual_seed(seed)).tolist()


@pytest.mark.parametrize("name", STOCK)
def test_rows_follow_the_plain_environment_and_replay_to_the_bit(name: str) -> None:
    """Row 1 of three is stepped beside gymnasium.make(name); every state is left for another branch and met again."""
    simulator = robots.make(f"gymnasium/{name}")
    state, plain = simulator.reset(3, 5), gymnasium.make(name)
    observation, _ = plain.reset(seed=seeds_of(3, 5)[1])
    assert np.array_equal(state.observation[1].numpy(), observation.astype(np.float32))
    compared = 0
    for action, other in zip(random_actions(simulator, 12, 3), random_actions(simulator, 12, 3, seed=1), strict=True):
        branches = simulator.step(repeat(state, 2), torch.stack((action, other), dim=1).flatten(0, 1))
        step = simulator.step(state, action)
        assert same(select(branches, slice(0, None, 2)), step)
        if not state.ended[1]:
            observation, reward, terminated, _, _ = plain.step(action[1].numpy())
            assert np.array_equal(step.observation[1].numpy(), observation.astype(np.float32))
            assert step.reward[1].item() == np.float32(reward)
            assert bool(step.terminated[1]) == terminated
            compared += 1
        state = step.state
        if compared == 1:
            assert not torch.equal(branches.observation[2], branches.observation[3])
    assert compared >= 3


def test_specification_and_state_hold_what_the_contract_asks() -> None:
    simulator = robots.make("gymnasium/HalfCheetah-v5")
    spec = simulator.spec
    assert isinstance(simulator, robots.Simulator)
    assert (spec.name, spec.observation_size, spec.action_size) == ("gymnasium/HalfCheetah-v5", 17, 6)
    assert (spec.control_hz, spec.max_episode_steps, spec.branching_obstacle) == (20.0, 1000, "")
    assert (spec.observation[3].name, spec.neutral_action) == ("observation[3]", (0.0,) * 6)
    state = simulator.reset(2, 0)
    assert all(leaf.shape[0] == 2 for leaf in leaves(state))
    assert same(state, simulator.reset(2, 0))
    assert simulator.privileged(state).shape == (2, 0)
    assert simulator.position(state)[0, 2] == pytest.approx(0.0, abs=1.0)
    step = simulator.step(state, torch.zeros(2, 6))
    assert torch.equal(simulator.signals(step.state)["reward [1]"].squeeze(1), step.reward)


def test_attributes_of_python_belong_to_the_state() -> None:
    simulator = GymnasiumSimulator(buggy_envs.CountingCheetah, **CART)
    assert simulator.instance.unsaved == ("CountingCheetah.scale",)
    plain = buggy_envs.CountingCheetah()
    plain.reset(seed=seeds_of(1, 0)[0])
    state = simulator.reset(1, 0)
    for action in random_actions(simulator, 8, 1):
        simulator.step(state, -action)
        step = simulator.step(state, action)
        assert step.reward[0].item() == np.float32(plain.step(action[0].numpy())[1])
        state = step.state


def test_an_environment_with_the_protocol_is_branched() -> None:
    simulator = GymnasiumSimulator(buggy_envs.limited_cart)
    assert simulator.spec.max_episode_steps == 40  # of the TimeLimit that was taken off
    state = simulator.reset(2, 0)
    # v + 0.1 a, then x + 0.1 v; siblings pushed left and right part by 0.2 in v and 0.02 in x
    step = simulator.step(repeat(state, 2), torch.tensor([[-1.0], [1.0]]).repeat(2, 1))
    apart = step.observation[1::2] - step.observation[::2]
    assert apart == pytest.approx(torch.tensor([[0.02, 0.2]] * 2), abs=1e-6)


def test_success_is_what_the_environment_says() -> None:
    simulator = GymnasiumSimulator(buggy_envs.SavedCart, **CART)
    state = simulator.reset(20, 0)
    step = simulator.step(state, torch.zeros(20, 1))
    inside = step.observation[:, 0].abs() < 0.5
    assert torch.equal(simulator.success(step.state), inside)
    assert 0 < int(inside.sum()) < 20
    assert not simulator.success(state).any()


def test_an_ended_row_stays_and_is_paid_nothing() -> None:
    simulator = GymnasiumSimulator(buggy_envs.SavedCart, max_episode_steps=500)
    state, action = simulator.reset(2, 0), torch.tensor([[1.0], [0.0]])
    while not state.ended[0]:
        state = simulator.step(state, action).state
    again = simulator.step(state, action)
    assert bool(again.terminated[0])
    assert again.reward[0] == 0.0
    assert torch.equal(again.observation[0], state.observation[0])


def test_without_snapshots_a_state_is_stepped_once() -> None:
    simulator = GymnasiumSimulator(buggy_envs.Cart, **CART)
    state = simulator.reset(2, 0)
    with pytest.raises(BranchingError, match=r"twice: .*get_snapshot\(\) and set_snapshot\(snapshot\)$"):
        simulator.step(repeat(state, 2), torch.zeros(4, 1))
    simulator.step(state, torch.zeros(2, 1))
    with pytest.raises(BranchingError, match=r"is gone .*: no state of Cart can be restored"):
        simulator.step(state, torch.zeros(2, 1))


def test_slots_are_used_again() -> None:
    simulator = GymnasiumSimulator(buggy_envs.Cart, max_episode_steps=3)
    for seed in range(5):
        state = simulator.reset(4, seed)
        for _ in range(3):
            state = simulator.step(state, torch.zeros(4, 1)).state
    assert simulator._pool is not None
    assert len(simulator._pool.instances) == 4


@pytest.mark.parametrize(("option", "ended"), [("terminate", True), ("ignore", False)])
def test_own_truncation_is_read_as_asked(option: str, ended: bool) -> None:
    simulator = GymnasiumSimulator(lambda: buggy_envs.SavedCart(limit=2), truncation=option, **CART)
    state = simulator.step(simulator.reset(1, 0), torch.zeros(1, 1)).state
    assert bool(simulator.step(state, torch.zeros(1, 1)).terminated[0]) == ended


def test_own_truncation_is_refused_unless_it_is_explained() -> None:
    simulator = GymnasiumSimulator(lambda: buggy_envs.SavedCart(limit=1), **CART)
    with pytest.raises(EnvironmentFailedError, match=r"truncated an episode by itself.*truncation=terminate"):
        simulator.step(simulator.reset(1, 0), torch.zeros(1, 1))


@pytest.mark.parametrize(
    ("environment", "options", "message"),
    [
        (buggy_envs.Switch, CART, r"Switch has actions Discrete\(2\); allowed: a Box of real numbers"),
        (buggy_envs.Unbounded, CART, "action_bound=1"),
        (buggy_envs.Cart, {}, "Cart has no time limit; set one with --task-options max_episode_steps=1000"),
        (buggy_envs.Cart, {**CART, "mass": "3"}, "Cart cannot be made with mass=3: TypeError"),
        (buggy_envs.Cart, {"max_episode_steps": "-3"}, "max_episode_steps must be at least 1; given -3"),
        (buggy_envs.Cart, {"truncation": "maybe"}, "unknown truncation 'maybe'; allowed: refuse, terminate, ignore"),
        (lambda: 3, CART, "made a int; allowed: a gymnasium.Env"),
        ("no_such_module:Env-v0", {}, "module 'no_such_module' of 'no_such_module:Env-v0' cannot be imported"),
    ],
)
def test_what_cannot_be_adapted_is_one_line(environment: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(EnvironmentRefusedError, match=message) as caught:
        GymnasiumSimulator(environment, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_unknown_ids_name_the_nearest() -> None:
    with pytest.raises(UnknownTaskError, match="did you mean 'gymnasium/HalfCheetah-v5'"):
        robots.make("gymnasium/HalfCheeta-v5")
    assert isinstance(robots.make("gymnasium/support.buggy_envs:limited_cart"), GymnasiumSimulator)


def test_a_model_that_changes_is_no_snapshot() -> None:
    simulator = GymnasiumSimulator(buggy_envs.RandomMassCheetah, **CART)
    assert "changes its MuJoCo model" in simulator.spec.branching_obstacle


def test_a_snapshot_that_outgrows_its_room_names_the_option() -> None:
    with pytest.raises(SnapshotError, match="--task-options snapshot_bytes="):
        GymnasiumSimulator(buggy_envs.SavedCart, snapshot_bytes=8, **CART)


def test_a_finished_environment_has_one_instance() -> None:
    assert GymnasiumSimulator(buggy_envs.SavedCart(), **CART).reset(3, 0).observation.shape == (3, 2)
    alone = GymnasiumSimulator(buggy_envs.Cart(), **CART)
    with pytest.raises(EnvironmentRefusedError, match="more are needed; give a function"):
        alone.reset(2, 0)


def test_split_noise_reseeds_all_but_the_executed_sample() -> None:
    simulator = robots.make("gymnasium/HalfCheetah-v5")
    state = simulator.reset(2, 0)
    split = simulator.split_noise(state, torch.tensor([0, 1]))
    assert torch.equal(split.snapshot[0], state.snapshot[0])
    assert not torch.equal(split.snapshot[1], state.snapshot[1])


def test_pictures_show_the_state_and_fit() -> None:
    simulator = GymnasiumSimulator(buggy_envs.SavedCart, **CART)
    state = simulator.reset(2, 0)
    picture = simulator.render(state, 1, width=80, height=80)
    # 40 x 20 doubled to 80 x 40, centred: rows 20..59; the cart is two columns wide at 20 + 6 x
    column = 2 * int(20 + 6 * state.observation[1, 0].item())
    assert picture.shape == (80, 80, 3)
    assert set(picture[20:60].max(axis=(0, 2)).nonzero()[0].tolist()) == {column, column + 1}
    assert picture[:20].max() == picture[60:].max() == 0
    other = GymnasiumSimulator(buggy_envs.Cart, **CART)
    last = other.reset(1, 0)
    with pytest.raises(EnvironmentRefusedError, match="no earlier state can be drawn"):
        other.render(last)
    assert np.array_equal(fitted(picture, 80, 80), picture)


def test_a_mujoco_environment_draws_the_state_it_is_given() -> None:
    try:
        require_gl()
    except MissingGraphicsError as missing:
        pytest.skip(str(missing))
    simulator = robots.make("gymnasium/InvertedPendulum-v5")
    state = simulator.reset(1, 0)
    pictures = [simulator.render(state, width=64, height=48)]
    for _ in range(4):
        state = simulator.step(state, torch.tensor([[3.0]])).state
    pictures += [simulator.render(state, width=64, height=48) for _ in range(2)]
    assert all(picture.shape == (48, 64, 3) for picture in pictures)
    assert np.array_equal(pictures[1], pictures[2])
    assert not np.array_equal(pictures[0], pictures[1])


def test_a_row_in_which_mujoco_gives_up_ends_where_it_was() -> None:
    class Bolting(buggy_envs.HalfCheetahEnv):
        def step(self, action: np.ndarray) -> object:  # type: ignore[override]
            if action[0] > 0.9:
                self.data.qvel[0] = np.nan
            *outcome, info = super().step(action)
            return (*outcome, info | {"is_success": True})

    simulator = GymnasiumSimulator(Bolting, **CART)
    state = simulator.step(simulator.reset(2, 0), torch.zeros(2, 6)).state
    assert simulator.success(state).all()
    action = torch.zeros(2, 6)
    action[1, 0] = 1.0
    step = simulator.step(state, action)
    assert simulator.diverged(step.state).tolist() == step.terminated.tolist() == [False, True]
    assert simulator.success(step.state).tolist() == [True, False]
    assert step.reward[1] == 0.0
    assert torch.equal(step.observation[1], state.observation[1])
    assert torch.equal(simulator.step(state, action[:1].repeat(2, 1)).observation[0], step.observation[0])
    assert not simulator.diverged(simulator.step(state, action[:1].repeat(2, 1)).state).any()


@pytest.mark.parametrize(
    ("environment", "goal"), [(buggy_envs.Cart, 'info["is_success"]'), (buggy_envs.CountingCheetah, "")]
)
def test_a_goal_is_what_the_environment_reports(environment: type, goal: str) -> None:
    assert GymnasiumSimulator(environment, **CART).spec.goal == goal


@pytest.mark.parametrize("snapshots", ["auto", "none"])
def test_success_said_in_the_last_step_alone_makes_a_goal(snapshots: str) -> None:
    class Late(buggy_envs.SavedCart):
        steps = 0

        def reset(self, **given: object) -> object:  # type: ignore[override]
            self.steps = 0
            return super().reset(**given)[0], {}  # type: ignore[arg-type]

        def get_snapshot(self) -> object:
            return self.steps, super().get_snapshot()

        def set_snapshot(self, snapshot: object) -> None:
            self.steps, rest = snapshot  # type: ignore[misc]
            super().set_snapshot(rest)

        def step(self, action: np.ndarray) -> object:  # type: ignore[override]
            observation, reward, _, truncated, _ = super().step(action)
            self.steps += 1
            done = self.steps == 20
            return observation, reward, done, truncated, {"is_success": True} if done else {}

    simulator = GymnasiumSimulator(Late, snapshots=snapshots, **CART)
    state = simulator.reset(2, 0)
    goals = []
    for _ in range(20):
        state = simulator.step(state, torch.zeros(2, 1)).state
        goals.append(simulator.spec.goal)
    assert goals == [""] * 19 + ['info["is_success"]']
    assert simulator.success(state).all()
