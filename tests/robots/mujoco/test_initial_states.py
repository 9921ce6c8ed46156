"""Episodes begin where Gymnasium's do: the same states from the same positions, and the same distribution of those."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import pytest
from scipy import stats
from support.mujoco_beside_gymnasium import action, environment, scatter

import robots
from robots.catalogue import MUJOCO_TASKS
from robots.mujoco.simulator import MujocoSimulator

pytestmark = pytest.mark.slow

RESETS = 500
TESTS_TOGETHER = 400
"""About as many entries as are compared over all tasks; each is rejected at a thousandth of a share of that."""


@pytest.fixture(scope="module", params=MUJOCO_TASKS)
def pair(request: pytest.FixtureRequest) -> tuple[MujocoSimulator, Any]:
    return robots.make(request.param), environment(request.param)


def test_a_state_from_given_positions_is_that_of_set_state(pair: tuple[MujocoSimulator, Any]) -> None:
    """Bit for bit, warm start and derived quantities included, after whatever the rows have been through."""
    simulator, env = pair
    rng = np.random.default_rng(0)
    for _ in range(3):
        mujoco.mj_resetData(env.model, env.data)
        scatter(env, rng)
        expected = simulator.state_of(env.data)
        qpos, qvel = env.data.qpos[None], env.data.qvel[None]
        initial = simulator.pool.initial(qpos.repeat(3, axis=0), qvel.repeat(3, axis=0), None)
        for row in range(3):
            np.testing.assert_array_equal(initial.physics[row], expected.physics[0].numpy())
        for key, values in initial.derived.items():
            field, rows = simulator.pool.selections[key]
            for row in range(3):
                np.testing.assert_array_equal(values[row], getattr(env.data, field)[rows])
        disturbed = np.stack([action(env, rng, np.float64) for _ in range(3)])
        simulator.pool.step(initial.physics, disturbed, None)


def test_initial_states_are_distributed_as_gymnasiums(pair: tuple[MujocoSimulator, Any]) -> None:
    """Kolmogorov and Smirnov's test of every position and velocity and of what binds them, each against 500 resets."""
    simulator, env = pair
    env.reset(seed=1)
    drawn = []
    for _ in range(RESETS):
        env.reset_model()
        drawn.append(np.concatenate((env.data.qpos, env.data.qvel)))
    theirs = np.array(drawn)
    ours = simulator.reset(4 * RESETS, 2).physics.numpy()[:, 1 : 1 + theirs.shape[1]]
    for column in range(theirs.shape[1]):
        _compare(ours[:, column], theirs[:, column])
    if simulator.spec.name == "Reacher-v5":  # the target lies in a disc: its distance is not that of a square
        _compare(np.hypot(*ours[:, 2:4].T), np.hypot(*theirs[:, 2:4].T))
        assert np.hypot(*ours[:, 2:4].T).max() < 0.2
    if simulator.spec.name == "Pusher-v5":  # the object keeps off the goal
        _compare(np.hypot(*ours[:, 7:9].T), np.hypot(*theirs[:, 7:9].T))
        assert np.hypot(*ours[:, 7:9].T).min() > 0.17
    correlation = np.corrcoef(ours[:, ours.std(axis=0) > 0.0].T) - np.eye(int((ours.std(axis=0) > 0.0).sum()))
    assert np.abs(correlation).max() < 5.5 / np.sqrt(len(ours))  # entries are drawn apart, as are Gymnasium's


def _compare(ours: np.ndarray, theirs: np.ndarray) -> None:
    if theirs.std() == 0.0:
        np.testing.assert_array_equal(np.unique(ours), np.unique(theirs))
        return
    assert stats.ks_2samp(ours, theirs).pvalue > 1e-3 / TESTS_TOGETHER
    reach = np.ptp(theirs)
    if stats.kurtosis(theirs) < -0.5:  # bounded, so the ends are told apart too
        assert abs(ours.min() - theirs.min()) < 0.05 * reach
        assert abs(ours.max() - theirs.max()) < 0.05 * reach
