"""observation=raptor: the 22 inputs of RAPTOR in PX4; and the heading at the start."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

import robots
from robots.options import OptionError
from robots.quadrotor.tasks.track import trajectories

TARGET = np.array([0.0, 0.0, 2.0])
TASKS = ("quadrotor-any", "quadrotor-any-track")


def flown(name: str, steps: int = 15, **options: Any) -> tuple[Any, Any, torch.Tensor]:
    """A simulator, a state of 40 rows after some steps, and its observation."""
    simulator = robots.make(name, dtype=torch.float64, **options)
    state, generator = simulator.reset(40, 0), torch.Generator().manual_seed(1)
    for _ in range(steps):
        step = simulator.step(state, 2.4 * torch.rand(40, 4, generator=generator, dtype=torch.float64) - 1.2)
        state = step.state
    return simulator, state, step.observation


def setpoint(name: str, state: Any) -> tuple[np.ndarray, np.ndarray]:
    """Position and velocity (40, 3) of the setpoint."""
    if name == "quadrotor-any":
        return np.tile(TARGET, (40, 1)), np.zeros((40, 3))
    now = state.mission.steps.double().unsqueeze(0) / 100.0
    place, velocity = (trajectories.evaluate(state.mission.trajectory, now, order=k)[:, 0].t().numpy() for k in (0, 1))
    return place, velocity


@pytest.mark.parametrize("name", TASKS)
def test_raptor_observation_has_the_inputs_of_px4(name: str) -> None:
    _, state, observation = flown(name)
    place, velocity = setpoint(name, state)
    body = state.body
    offset, speed = body.position.numpy() - place, body.velocity.numpy() - velocity
    assert (np.abs(offset) > 0.5).any()
    assert (np.abs(speed) > 1.0).any()
    rotation = Rotation.from_quat(body.quaternion.numpy(), scalar_first=True).as_matrix().reshape(40, 9)
    parts = (np.clip(offset, -0.5, 0.5), rotation, np.clip(speed, -1.0, 1.0), body.angular_velocity.numpy())
    expected = np.concatenate((*parts, state.last_action.numpy()), axis=1)
    np.testing.assert_allclose(observation.numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", TASKS)
def test_raptor_observation_has_22_entries_in_its_order(name: str) -> None:
    spec = robots.make(name).spec
    names = [channel.name for channel in spec.observation]
    assert len(names) == 22
    assert names[0] == "offset_x"
    assert names[3:12] == [f"rotation_{world}{body}" for world in "xyz" for body in "xyz"]
    assert names[12] == "relative_velocity_x"
    assert names[15] == "angular_velocity_x"
    assert names[18:] == [f"previous_{channel.name}" for channel in spec.action]


@pytest.mark.parametrize("name", TASKS)
def test_raptor_observation_shows_measured_motion(name: str) -> None:
    simulator, state, observation = flown(name, position_noise=0.01, attitude_noise=0.01, rate_noise=0.1)
    assert torch.equal(observation, simulator.observe(state))
    _, _, true = flown(name)
    assert not (observation[:, 15:18] == true[:, 15:18]).any()
    assert torch.equal(observation[:, 18:], true[:, 18:])


def test_other_entries_leave_reward_and_motion_as_they_are() -> None:
    results = []
    for observation in ("body", "raptor"):
        simulator = robots.make("quadrotor-hover", observation=observation)
        state = simulator.reset(20, 0)
        step = simulator.step(state, torch.zeros(20, 4))
        results.append((step.reward, step.state.body.values))
        assert simulator.spec.observation_size == (16 if observation == "body" else 22)
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("heading", [0.0, 45.0, 120.0])
def test_heading_at_the_start_is_within_its_bound(heading: float) -> None:
    simulator = robots.make("quadrotor-hover", heading=heading, difficulty=0.0)
    quaternion = simulator.reset(2000, 0).body.quaternion.double().numpy()
    angle = np.degrees(Rotation.from_quat(quaternion, scalar_first=True).as_euler("ZYX")[:, 0])
    assert np.abs(angle).max() <= heading + 1e-3
    assert angle.max() - angle.min() >= 1.95 * heading


def test_tilts_are_those_of_a_start_with_any_heading() -> None:
    tilts = []
    for heading in (10.0, 180.0):
        state = robots.make("quadrotor-hover", heading=heading, dtype=torch.float64).reset(50, 0)
        w, x, y, z = state.body.quaternion.unbind(1)
        tilts.append(w * w + z * z - x * x - y * y)
    torch.testing.assert_close(*tilts)


@pytest.mark.parametrize(
    ("options", "words"), [({"observation": "px4"}, ("px4", "raptor")), ({"heading": 181.0}, ("heading", "180"))]
)
def test_wrong_options_are_refused(options: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(OptionError) as caught:
        robots.make("quadrotor-hover", **options)
    for word in words:
        assert word in str(caught.value)


def test_position_error_is_a_metric_of_hover() -> None:
    simulator = robots.make("quadrotor-any")
    state = simulator.reset(10, 0)
    error = simulator.metrics(state)["position error [m]"]
    np.testing.assert_allclose(error, np.linalg.norm(state.body.position.numpy() - TARGET, axis=1), rtol=1e-5)
