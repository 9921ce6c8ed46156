"""Every MuJoCo robot can be seen: well lit, in front of a floor, and moving when it moves."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch
from support.states import random_actions

import robots
from robots.catalogue import MUJOCO_TASKS
from robots.drawing.offscreen import MissingGraphicsError, require_gl
from robots.mujoco.scene import drawable_model
from robots.mujoco.simulator import MujocoSimulator, model_path

pytestmark = pytest.mark.slow

WIDTH, HEIGHT = 160, 120


@pytest.fixture(scope="module", params=MUJOCO_TASKS)
def simulator(request: pytest.FixtureRequest) -> MujocoSimulator:
    try:
        require_gl()
    except MissingGraphicsError as missing:
        pytest.skip(str(missing))
    return robots.make(request.param)


def test_a_robot_is_lit_and_moves_in_its_picture(simulator: MujocoSimulator) -> None:
    state = simulator.reset(2, 1)
    first = simulator.render(state, 0, WIDTH, HEIGHT)
    assert first.shape == (HEIGHT, WIDTH, 3)
    assert first.dtype == np.uint8
    assert 60.0 < first.mean() < 220.0  # neither dark nor glaring
    np.testing.assert_array_equal(simulator.render(state, 0, WIDTH, HEIGHT), first)
    for action in random_actions(simulator, 30, 2):
        state = simulator.step(state, action).state
    moved = changed(simulator.render(state, 0, WIDTH, HEIGHT), first)
    assert moved.mean() > 0.005
    middle = moved[HEIGHT // 6 : -HEIGHT // 6, WIDTH // 6 : -WIDTH // 6]
    assert middle.mean() > 0.005  # it is not at the edge


def test_rows_and_paths_show(simulator: MujocoSimulator) -> None:
    state = simulator.reset(2, 1)
    for action in random_actions(simulator, 10, 2):
        state = simulator.step(state, action).state
    plain = simulator.render(state, 0, WIDTH, HEIGHT)
    assert changed(simulator.render(state, 1, WIDTH, HEIGHT), plain).any()
    corner = np.array([(0.0, 0.0, 0.06), (0.2, 0.0, 0.06), (0.2, 0.2, 0.06)]) * simulator.robot.view.distance
    path = simulator.position(state)[0].numpy() + corner
    with_path = changed(simulator.render(state, 0, WIDTH, HEIGHT, path), plain)
    assert 0 < with_path.mean() < 0.05  # there, and not in the way


def changed(picture: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(height, width) bool, where two pictures differ clearly."""
    return np.abs(picture.astype(int) - other).max(axis=2) > 30


@pytest.mark.parametrize("name", MUJOCO_TASKS)
def test_what_is_added_for_the_picture_moves_nothing(name: str) -> None:
    simulator = robots.make(name)
    drawn = drawable_model(model_path(simulator.robot.model_file), simulator.robot.view)
    assert (drawn.nq, drawn.nv, drawn.nbody) == (simulator.model.nq, simulator.model.nv, simulator.model.nbody)
    assert mujoco.mjtGeom.mjGEOM_PLANE in drawn.geom_type
    assert mujoco.mjtTexture.mjTEXTURE_SKYBOX in drawn.tex_type
    qpos = simulator.readout(simulator.reset(1, 0)).qpos[0]
    places = []
    for model in (simulator.model, drawn):
        data = mujoco.MjData(model)
        data.qpos[:] = qpos
        mujoco.mj_forward(model, data)
        places.append(data.xpos.copy())
    np.testing.assert_array_equal(*places)


def test_the_simulator_itself_is_stepped_with_the_untouched_model() -> None:
    """Pictures leave the next step as it is."""
    try:
        require_gl()
    except MissingGraphicsError as missing:
        pytest.skip(str(missing))
    simulator = robots.make("Pusher-v5")
    state, action = simulator.reset(1, 0), torch.zeros(1, 7)
    before = simulator.step(state, action)
    simulator.render(state, 0, WIDTH, HEIGHT)
    assert torch.equal(simulator.step(state, action).state.physics, before.state.physics)
