"""Gymnasium environments over a simulator on a simulated GPU: arrays come from the CPU and go there."""

from __future__ import annotations

from collections.abc import Iterator

import gymnasium
import numpy as np
import pytest
from support.simulated_gpu import OnGpu, SimulatedGpu, simulated_gpu

from robots.as_gymnasium.env import TaskEnv
from robots.as_gymnasium.vector_env import TaskVectorEnv

pytestmark = pytest.mark.slow

OPTIONS = {"interface": "ctbr", "action_history": 1}  # with bounds per entry and past actions


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedGpu]:
    with simulated_gpu(monkeypatch) as made:
        yield made


@pytest.mark.usefixtures("gpu")
def test_a_single_environment_steps() -> None:
    there = gymnasium.make("hgrpo/quadrotor-hover-v0", device="cuda", **OPTIONS)
    here = TaskEnv("quadrotor-hover", **OPTIONS)
    inner = there.unwrapped
    assert isinstance(inner, TaskEnv)
    np.testing.assert_array_equal(there.reset(seed=3)[0], here.reset(seed=3)[0])
    for action in np.linspace(0.1, 0.5, 12, dtype=np.float32).reshape(3, 4):
        theirs, ours = there.step(action), here.step(action)
        np.testing.assert_array_equal(theirs[0], ours[0])
        assert theirs[1:] == ours[1:]
        assert isinstance(inner.state.body.position, OnGpu)


@pytest.mark.usefixtures("gpu")
def test_a_vector_environment_steps_and_restarts_rows() -> None:
    there, here = (
        TaskVectorEnv("quadrotor-hover", 2, max_episode_steps=2, **device, **OPTIONS)  # type: ignore[arg-type]
        for device in ({"device": "cuda"}, {})
    )
    np.testing.assert_array_equal(there.reset(seed=3)[0], here.reset(seed=3)[0])
    for action in np.linspace(0.1, 0.5, 32, dtype=np.float32).reshape(4, 2, 4):
        for theirs, ours in zip(there.step(action)[:4], here.step(action)[:4], strict=True):
            np.testing.assert_array_equal(theirs, ours)
        assert isinstance(there.state.body.position, OnGpu)
