"""quadrotor-pursuit: how episodes begin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.pursuit_flights import SIM, advance, behind, flight, make, still

import robots
from robots.options import OptionError
from robots.quadrotor.tasks.pursuit_kernels import TOO_FAR

# --- how episodes begin -----------------------------------------------------------------------------------------------


def test_an_easy_episode_begins_in_place_before_a_target_at_rest() -> None:
    state = make(difficulty=0.0, distance=1.5).reset(40, 2)
    signals = make(difficulty=0.0, distance=1.5).signals(state)
    assert signals["distance error [m]"].abs().max() < 1e-12
    assert signals["bearing [deg]"].max() < 1e-5
    assert not state.mission.velocity.any()
    assert not state.mission.agility.any()
    assert len(torch.unique(state.body.position[:, 0])) == 40


@pytest.mark.parametrize("distance", [0.5, 1.0, 3.0])
def test_no_episode_begins_lost(distance: float) -> None:
    state = make(distance=distance).reset(500, 3)
    away = (state.mission.target - state.body.position).norm(dim=1)
    assert away.min() >= 0.29
    assert away.max() < TOO_FAR
    assert state.body.position[:, 2].min() > 1.0


def test_a_distance_out_of_reach_is_refused() -> None:
    with pytest.raises(OptionError, match=r"distance must be from 0\.5 to 3 m; given 3\.5"):
        robots.make("quadrotor-pursuit", distance=3.5)


def test_the_way_the_target_came_is_remembered_and_drawn() -> None:
    """Every tenth step it leaves its place behind."""
    mission = still(velocity=(1.0, 0.0, 0.0))
    ninth = advance(behind(1.0), mission, step=9).mission
    assert torch.equal(ninth.recent, mission.recent)
    tenth = advance(behind(1.0), ninth, step=10).mission
    assert torch.equal(tenth.recent[:, 0], ninth.target)
    assert torch.equal(tenth.recent[:, 1:], ninth.recent[:, :-1])
    drawing = SIM.mission.drawing(flight(behind(1.0), tenth), 0)
    np.testing.assert_allclose(drawing.target, tenth.target[0])
    assert [shape.kind for shape in drawing.shapes] == ["box", "box", "box", "sphere"]  # two of the way, the sight
