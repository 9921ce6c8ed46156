"""A simulation that blows up ends its own episode, says so, and is noticed by nobody else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch
from mujoco.batch import SimulationError
from support.states import clone, random_actions, same
from torch import Tensor

import robots
from hgrpo_control.api.run import train
from hgrpo_control.config.algorithms import PPO, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_control.runs.run_folder import RunFolder
from robots.mujoco.simulator import MujocoSimulator, MujocoState
from robots.simulator import replace, select

pytestmark = pytest.mark.slow

ROWS = 5
BROKEN = torch.tensor([1, 3])
WHOLE = torch.tensor([0, 2, 4])
NAMES = ("HalfCheetah-v5", "Hopper-v5", "Humanoid-v5", "InvertedDoublePendulum-v5", "Reacher-v5")
"""With and without termination, derived quantities and contact forces."""


@pytest.fixture(scope="module", params=NAMES)
def simulator(request: pytest.FixtureRequest) -> MujocoSimulator:
    return robots.make(request.param)


def running(simulator: MujocoSimulator, steps: int = 3) -> MujocoState:
    state = simulator.reset(ROWS, 0)
    for action in random_actions(simulator, steps, ROWS):
        state = simulator.step(state, action).state
    return state


def break_rows(simulator: MujocoSimulator, state: MujocoState, what: str, value: float) -> MujocoState:
    """Write a number into all positions or velocities of the broken rows."""
    broken = clone(state)
    broken.physics[
        BROKEN[:, None], torch.arange(simulator.model.nq + simulator.model.nv + 1)[_part(simulator, what)]
    ] = value
    return broken


def _part(simulator: MujocoSimulator, what: str) -> slice:
    nq, nv = simulator.model.nq, simulator.model.nv
    return slice(1, 1 + nq) if what == "qpos" else slice(1 + nq, 1 + nq + nv)


@pytest.mark.parametrize(("what", "value"), [("qpos", 1e12), ("qvel", 1e12), ("qvel", -1e30)])
def test_a_row_that_blows_up_ends_without_reward_and_alone(
    simulator: MujocoSimulator, what: str, value: float, capfd: pytest.CaptureFixture[str]
) -> None:
    state, action = running(simulator), random_actions(simulator, 1, ROWS, seed=7)[0]
    expected = simulator.step(state, action)
    assert not simulator.diverged(expected.state).any()
    broken = break_rows(simulator, state, what, value)
    kept = clone(broken)
    step = simulator.step(broken, action)
    assert simulator.diverged(step.state).tolist() == [i in BROKEN for i in range(ROWS)]
    assert step.terminated[BROKEN].all()
    assert (step.reward[BROKEN] == 0.0).all()
    assert step.observation.isfinite().all()
    assert same(select(step, WHOLE), select(expected, WHOLE))
    assert same(broken, kept)
    terms = simulator.transition(broken, action.numpy()).terms
    assert all((values[BROKEN.numpy()] == 0.0).all() for values in terms.values())
    assert same(simulator.step(state, action), expected)  # nothing of it stays behind in the simulator
    assert capfd.readouterr() == ("", "")


def test_an_episode_begins_anew_where_one_diverged(simulator: MujocoSimulator) -> None:
    action = random_actions(simulator, 1, ROWS, seed=7)[0]
    step = simulator.step(break_rows(simulator, running(simulator), "qvel", 1e12), action)
    fresh = simulator.reset(len(BROKEN), 9)
    restarted = replace(step.state, BROKEN, fresh)
    assert not simulator.diverged(restarted).any()
    following = simulator.step(restarted, action)
    assert not simulator.diverged(following.state).any()
    assert same(select(following, BROKEN), simulator.step(fresh, action[BROKEN]))


def test_actions_that_are_no_numbers_end_their_rows(simulator: MujocoSimulator) -> None:
    """The state before the step remains."""
    state, action = running(simulator), random_actions(simulator, 1, ROWS, seed=7)[0]
    expected = simulator.step(state, action)
    spoilt = action.clone()
    spoilt[BROKEN, -1] = torch.nan
    step = simulator.step(state, spoilt)
    assert simulator.diverged(step.state).tolist() == [i in BROKEN for i in range(ROWS)]
    assert step.terminated[BROKEN].all()
    assert (step.reward[BROKEN] == 0.0).all()
    assert torch.equal(step.state.physics[BROKEN], state.physics[BROKEN])
    assert torch.equal(step.observation[BROKEN], simulator.observe(state)[BROKEN])
    assert same(select(step, WHOLE), select(expected, WHOLE))


def test_large_actions_are_those_at_the_bound_but_for_their_cost(simulator: MujocoSimulator) -> None:
    state, action = running(simulator), random_actions(simulator, 1, ROWS, seed=7)[0]
    low, high = torch.tensor(simulator.spec.action_low), torch.tensor(simulator.spec.action_high)
    large = simulator.step(state, 1e6 * action)
    bounded = simulator.step(state, (1e6 * action).clamp(low, high))
    moved = slice(0, 1 + simulator.model.nq + simulator.model.nv)
    assert torch.equal(large.state.physics[:, moved], bounded.state.physics[:, moved])
    assert not simulator.diverged(large.state).any()
    assert large.reward.isfinite().all()


def test_an_error_of_the_engine_counts_as_divergence(
    simulator: MujocoSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MuJoCo raises where it cannot go on, out of memory for example; the other rows have run to completion then."""
    state, action = running(simulator), random_actions(simulator, 1, ROWS, seed=7)[0]
    expected = simulator.step(state, action)
    batch = simulator.pool._of_size(ROWS).batch
    whole = batch.step

    def step_and_raise(*arguments: object, **named: object) -> None:
        whole(*arguments, **named)
        raise SimulationError(BROKEN.numpy(), "out of memory", ROWS)

    monkeypatch.setattr(batch, "step", step_and_raise)
    step = simulator.step(state, action)
    assert simulator.diverged(step.state).tolist() == [i in BROKEN for i in range(ROWS)]
    assert torch.equal(step.state.physics[BROKEN], state.physics[BROKEN])
    assert same(select(step, WHOLE), select(expected, WHOLE))


@pytest.mark.parametrize("algorithm", [PPO(), HybridGRPO(num_samples=2)])
def test_a_run_counts_what_diverged_and_goes_on(
    algorithm: PPO | HybridGRPO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Cheetahs that begin up to 300 m deep in the floor are thrown out of it faster than MuJoCo can follow."""
    monkeypatch.chdir(tmp_path)
    config = Config(
        task="HalfCheetah-v5",
        algorithm=algorithm,
        total_steps=2 * 8 * 16 * algorithm.num_samples,
        num_envs=8,
        rollout_steps=16,
        network=Network(hidden_sizes=(8,)),
        learning=Learning(update_epochs=1, num_minibatches=2),
        task_options={"reset_noise_scale": 300.0},
    )
    counted: list[int] = []
    step = MujocoSimulator.step

    def note(self: MujocoSimulator, state: MujocoState, action: Tensor) -> robots.Step:
        taken = step(self, state, action)
        counted.append(int(self.diverged(taken.state).sum()))
        return taken

    monkeypatch.setattr(MujocoSimulator, "step", note)
    train(config, "run")
    rows = RunFolder.open("run").read_metrics()
    per_iteration = np.array(counted).reshape(len(rows), -1).sum(axis=1)
    assert [row["diverged"] for row in rows] == per_iteration.tolist()
    assert sum(per_iteration) > 0
    assert "diverged" in Path("run/metrics.csv").read_text().splitlines()[0]
    assert {path.name for path in tmp_path.iterdir()} == {"run"}  # no MUJOCO_LOG.TXT
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_nothing_is_printed_and_no_log_is_written(tmp_path: Path) -> None:
    """In a process of its own, since MuJoCo decides once where its warnings go; models load silently, too."""
    script = """
import torch, robots
from robots.catalogue import MUJOCO_TASKS
for name in MUJOCO_TASKS:
    simulator = robots.make(name)
    state = simulator.reset(3, 0)
    state.physics[1, 1:] = 1e12
    step = simulator.step(state, torch.zeros(3, simulator.spec.action_size))
    assert simulator.diverged(step.state).tolist() == [False, True, False], name
    simulator.position(step.state), simulator.signals(step.state)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_warnings_go_where_they_went_before() -> None:
    heard: list[str] = []
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(heard.append)
    try:
        simulator = robots.make("HalfCheetah-v5")
        running(simulator)
        assert mujoco.get_mju_user_warning() == heard.append
        assert heard == []
    finally:
        mujoco.set_mju_user_warning(before)
