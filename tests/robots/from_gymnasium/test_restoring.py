"""Attributes that share memory stay together through every restore, and what cannot be saved is refused by name."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from support import buggy_attributes as buggy
from support.states import random_actions

from robots.branch_check.check import BranchReport, check
from robots.branch_check.target import branch_targets
from robots.from_gymnasium.saving.anchors import SnapshotError
from robots.from_gymnasium.simulator import GymnasiumSimulator
from robots.simulator import repeat, select

pytestmark = pytest.mark.slow

LIMIT = {"max_episode_steps": 100}


def checked(environment: type) -> BranchReport:
    return check(*branch_targets(f"support.buggy_attributes:{environment.__name__}", {}), states=10)


@pytest.mark.parametrize(
    "environment",
    [
        buggy.Views,
        buggy.Ring,
        buggy.Goal,
        buggy.ViewThenCopy,
        buggy.Default,
        buggy.Outside,
    ],
)
def test_attributes_that_share_memory_follow_the_plain_environment(environment: type) -> None:
    """Row 1 of two, branched and left for other rows in every step, is to be the plain environment to the bit."""
    simulator, plain = GymnasiumSimulator(environment, **LIMIT), environment()
    state = simulator.reset(2, 5)
    seeds = torch.randint(2**31, (2,), generator=torch.Generator().manual_seed(5)).tolist()
    observation, _ = plain.reset(seed=seeds[1])
    assert np.array_equal(state.observation[1].numpy(), observation.astype(np.float32))
    seen = []
    for number, action in enumerate(random_actions(simulator, 12, 2)):
        if number % 4 == 3:
            simulator.reset(2, number)
        branches = simulator.step(repeat(state, 2), torch.stack((action, -action), dim=1).flatten(0, 1))
        state = select(branches.state, slice(0, None, 2))
        observation, reward, *_ = plain.step(action[1].numpy())
        assert np.array_equal(state.observation[1].numpy(), observation.astype(np.float32))
        assert state.reward[1].item() == np.float32(reward)
        seen.append(observation[17:])
    assert np.ptp(seen, axis=0).any()
    assert not buggy.ZEROS.any()
    report = checked(environment)
    assert report.exact, report


def test_what_holds_a_lock_is_left_alone_as_a_whole() -> None:
    simulator = GymnasiumSimulator(buggy.Outside, **LIMIT)
    assert simulator.instance.unsaved == ("Outside.work", "Outside.tools['double']")
    work = simulator.instance.env.unwrapped.work
    before, state = work.qsize(), simulator.reset(2, 0)
    simulator.step(state, torch.zeros(2, 6))
    assert work.qsize() == before + 2
    simulator.step(state, torch.zeros(2, 6))
    assert work.qsize() == before + 4


def test_a_finished_environment_draws_with_itself() -> None:
    env = buggy.Views()
    env.render_mode, env.render = "rgb_array", lambda: np.zeros((4, 4, 3), np.uint8)  # type: ignore[method-assign]
    simulator = GymnasiumSimulator(env, **LIMIT)
    state = simulator.reset(1, 0)
    after = simulator.step(state, torch.zeros(1, 6))
    assert simulator.render(state, width=8, height=8).shape == (8, 8, 3)
    assert torch.equal(simulator.step(state, torch.zeros(1, 6)).observation, after.observation)


def test_a_copy_that_stands_still_in_every_restore_alike_is_found_beside_a_plain_environment() -> None:
    report = checked(buggy.Pickled)
    assert report.differences == []  # the same wrong thing in both instances
    (problem,) = report.problems
    assert problem == (
        "restoring loses something: a plain environment, which is never restored, "
        "differs in observation after the reset"
    )


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        (buggy.NewClosure, "NewClosure.cost is replaced during an episode and cannot be pickled"),
        (
            buggy.TensorView,
            "it makes views of mjData as Tensor, which would become copies: TensorView.tensor",
        ),
    ],
)
def test_what_can_neither_be_saved_nor_left_out_is_refused_by_name(environment: type, reason: str) -> None:
    assert GymnasiumSimulator(environment, **LIMIT).instance.obstacle == reason
    assert checked(environment).problems == [f"no state can be restored: {reason}"]


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        (buggy.SecondData, "it has a second MjData, whose memory is not saved: SecondData.plan"),
        (buggy.LateSecondData, "it makes a new MjData, whose memory is not saved: LateSecondData.plan"),
        (buggy.NewData, "it replaces its MjData during an episode"),
    ],
)
def test_another_simulation_is_refused_by_name(environment: type, reason: str) -> None:
    simulator = GymnasiumSimulator(environment, **LIMIT)
    assert simulator.instance.obstacle == reason
    assert simulator.spec.branching_obstacle.startswith(f"no state of {environment.__name__} can be restored: {reason}")


@pytest.mark.parametrize(
    ("environment", "what"),
    [
        (buggy.LateModel, "it changes its MuJoCo model during an episode"),
        (buggy.LateGravity, "it changes its MuJoCo model during an episode"),
        (
            buggy.LateClip,
            r"LateClip.clip \(4,194,304 bytes\) has changed for the first time",
        ),
    ],
)
def test_what_changes_after_the_trial_ends_training_and_the_check_in_one_line(environment: type, what: str) -> None:
    simulator = GymnasiumSimulator(environment, **LIMIT)
    assert simulator.instance.obstacle == ""
    state = simulator.reset(2, 0)
    for _ in range(11):
        state = simulator.step(state, torch.zeros(2, 6)).state
    with pytest.raises(SnapshotError, match=what) as caught:
        simulator.step(state, torch.zeros(2, 6))
    assert "\n" not in str(caught.value)
    (problem,) = checked(environment).problems
    assert re.search(what, problem)


def test_a_large_array_that_never_changes_is_left_out_of_the_state() -> None:
    simulator = GymnasiumSimulator(buggy.Clip, **LIMIT)
    assert simulator.instance.snapshot_size < 20_000
    assert checked(buggy.Clip).exact
    whole = GymnasiumSimulator(buggy.LateClip, snapshot_bytes=5_000_000, **LIMIT)
    assert whole.instance.snapshot_size > 5_000_000
    state = whole.reset(1, 0)
    for _ in range(11):
        state = whole.step(state, torch.zeros(1, 6)).state
    after = whole.step(state, torch.zeros(1, 6))
    assert torch.equal(whole.step(state, torch.zeros(1, 6)).observation, after.observation)


@pytest.mark.slow
def test_what_would_not_fit_is_refused_with_its_size() -> None:
    early = GymnasiumSimulator(buggy.EarlyClip, **LIMIT).instance.obstacle
    start = "every state would take "
    assert re.match(start + r"4,19\d,\d{3} bytes, most of them in EarlyClip.clip \(4,194,304 bytes\)", early)
    words = GymnasiumSimulator(buggy.Words, **LIMIT).instance.obstacle
    assert re.match(start + r"2,25\d,\d{3} bytes, most of them in Words.words \(2,25\d,\d{3} bytes\)", words)
    assert re.search(r"--task-options snapshot_bytes=\d{7}$", words)
