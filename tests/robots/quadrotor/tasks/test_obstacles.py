"""quadrotor-obstacles: the forest, and what the rays see."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from support.obstacle_flights import (
    FORESTS,
    SIM,
    clearance,
    flight,
    lone,
    make,
    mission_of,
    ranges,
    seen,
    surfaces,
)
from torch import Tensor

from robots.quadrotor.tasks.obstacles import forest, task
from robots.quadrotor.tasks.obstacles.forest import Forest
from robots.quadrotor.tasks.obstacles.kernels import ARENA, CEILING

# --- the forest -------------------------------------------------------------------------------------------------------


def test_every_gap_is_passable() -> None:
    """At least half a metre between any two surfaces, already when seen from above."""
    places, radius = surfaces(FORESTS)
    gap = (places.unsqueeze(1) - places.unsqueeze(2)).norm(dim=3) - radius.unsqueeze(1) - radius.unsqueeze(2)
    gap += 10.0 * torch.eye(20)
    assert gap.min() >= 0.5
    assert gap.amin(dim=(1, 2)).mean() < 1.0  # and they are not spread out either


def test_forests_differ_and_stand_between_start_and_goal() -> None:
    places, radius = surfaces(FORESTS)
    assert (places[:, :, 0] - radius).min() >= forest.NEAR_EDGE
    assert (places[:, :, 0] + radius).max() <= forest.FAR_EDGE
    assert len(torch.unique(FORESTS.columns[:, 0, 0])) == 300
    # each of the 20 cells is as likely as any other to get the first column: 15 of 300, standard deviation 3.8
    row = ((FORESTS.columns[:, 0, 0] - 1.6) / 1.6).round().long()
    counts = torch.bincount(row, minlength=4)
    assert len(counts) == 4
    assert (counts - 75).abs().max() < 30  # standard deviation 7.5


@pytest.mark.parametrize(("difficulty", "columns", "spheres"), [(0.0, 0, 0), (0.5, 6, 4), (1.0, 12, 8)])
def test_difficulty_is_the_share_that_stands(difficulty: float, columns: int, spheres: int) -> None:
    planted = make(difficulty=difficulty).reset(30, 1).mission.forest
    assert ((planted.columns[:, :, 0] < 100.0).sum(dim=1) == columns).all()
    assert ((planted.spheres[:, :, 0] < 100.0).sum(dim=1) == spheres).all()


def test_start_and_goal_are_free_and_inside() -> None:
    mission, place = SIM.reset(500, 2).mission, SIM.reset(500, 2).body.position
    for where in (place, mission.goal):
        assert (clearance(mission.forest, where) > 0.3).all()
        for axis, (low, high) in enumerate((*ARENA, (0.5, CEILING - 0.1))):
            assert (where[:, axis] > low).all()
            assert (where[:, axis] < high).all()
    np.testing.assert_allclose(mission.straight, (mission.goal - place).norm(dim=1))
    np.testing.assert_allclose(mission.gap, clearance(mission.forest, place) - 0.1)


# --- rays -------------------------------------------------------------------------------------------------------------


def test_rays_see_the_column_the_sphere_and_the_ground() -> None:
    """From (1, 0, z) the column's surface is 1.75 m ahead, 1.75 / cos 15 along a ray 15 degrees up, which points ahead
    where the heading is 10 degrees to the right. From (0, 0, 1.5) the sphere's is 2.75 m to the left. From 0.8 m up a
    ray 15 degrees down meets the ground after 0.8 / sin 15 = 3.091 m, from 1.5 m up after more than 4 m."""
    rays = ranges(flight((1.0, 0.0, 1.5), lone()))
    assert rays["0_deg_+0_deg_up"] == pytest.approx(1.75)
    assert rays["0_deg_-90_deg_up"] == pytest.approx(1.5)
    assert rays["180_deg_+0_deg_up"] == rays["200_deg_-15_deg_up"] == pytest.approx(4.0)
    right = Rotation.from_euler("z", -10.0, degrees=True)
    turned = ranges(flight((1.0, 0.0, 1.5), lone(), right))
    assert turned["10_deg_+15_deg_up"] == pytest.approx(1.75 / math.cos(math.radians(15.0)))
    low = ranges(flight((1.0, 0.0, 0.8), lone()))
    assert low["200_deg_-15_deg_up"] == pytest.approx(0.8 / math.sin(math.radians(15.0)))
    assert ranges(flight((0.0, 0.0, 1.5), lone()))["90_deg_+0_deg_up"] == pytest.approx(2.75)


def test_rays_say_no_more_below_20_cm() -> None:
    """The column's surface is 0.05 m ahead, less than the drone's own radius."""
    assert seen(flight((2.7, 0.0, 1.5), lone()))["nearness_0_deg_+0_deg_up"] == pytest.approx(1.0 / 0.2)


def test_columns_are_met_every_10_degrees() -> None:
    azimuths = sorted(azimuth for azimuth, elevation in task.RAYS if elevation > -90.0)
    assert azimuths == [10.0 * i for i in range(36)]


@pytest.mark.parametrize("tilt", [0.0, 0.5, -1.2])
def test_rays_turn_with_the_heading_and_not_with_the_tilt(tilt: float) -> None:
    """Heading along y, however tilted: the column ahead along x is 90 degrees to the right."""
    rotation = Rotation.from_euler("z", 90.0, degrees=True) * Rotation.from_rotvec([0.0, tilt, 0.0])
    assert ranges(flight((1.0, 0.0, 1.5), lone(), rotation))["270_deg_+0_deg_up"] == pytest.approx(1.75)


def test_a_nose_that_points_straight_up_leaves_rays_where_they_are() -> None:
    up = Rotation.from_euler("y", -90.0, degrees=True)
    state = flight((1.0, 0.0, 1.5), lone(), up)
    half = math.sqrt(0.5)
    exact = torch.tensor([[half, 0.0, -half, 0.0]], dtype=torch.float64)
    vertical = state._replace(body=state.body.changed(quaternion=exact / exact.norm()))
    torch.testing.assert_close(SIM.observe(vertical)[:, 3:40], SIM.observe(flight((1.0, 0.0, 1.5), lone()))[:, 3:40])


def test_the_goal_is_seen_from_the_body_and_shortened_to_2_m() -> None:
    turned = Rotation.from_euler("z", 90.0, degrees=True)
    far = seen(flight((4.0, 0.0, 1.5), lone(), turned))
    assert [far[f"goal_{axis}"] for axis in "xyz"] == pytest.approx([0.0, -2.0, 0.0])
    near = seen(flight((7.0, 0.0, 1.0), lone()))
    assert [near[f"goal_{axis}"] for axis in "xyz"] == pytest.approx([1.0, 0.0, 0.5])


@settings(max_examples=15)
@given(angle=st.floats(-3.0, 3.0), shift=st.tuples(st.floats(-5.0, 5.0), st.floats(-5.0, 5.0)), row=st.integers(0, 99))
def test_turning_and_moving_the_world_changes_nothing_seen(angle: float, shift: tuple[float, float], row: int) -> None:
    turn, tilt = Rotation.from_rotvec([0.0, 0.0, angle]), Rotation.from_rotvec([0.2, -0.4, 0.3])

    def moved(places: Tensor) -> Tensor:
        flat = torch.cat((places, torch.zeros(*places.shape[:-1], 3 - places.shape[-1]).double()), dim=-1)
        out = turn.apply(flat.reshape(-1, 3)) + np.array([*shift, 0.0])
        return torch.tensor(out).reshape(flat.shape)[..., : places.shape[-1]].contiguous()

    planted = Forest(FORESTS.values[row : row + 1])
    place, goal = torch.tensor([[3.9, -0.4, 1.3]]).double(), torch.tensor([[8.0, 1.0, 1.5]]).double()
    first = mission_of(planted, goal)
    there = Forest.of(moved(planted.columns), planted.column_radius, moved(planted.spheres), planted.sphere_radius)
    second = mission_of(there, moved(goal))
    a = SIM.observe(flight(tuple(place[0].tolist()), first, tilt))
    b = SIM.observe(flight(tuple(moved(place)[0].tolist()), second, turn * tilt))
    torch.testing.assert_close(b, a, rtol=0, atol=1e-5)
