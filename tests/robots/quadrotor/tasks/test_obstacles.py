"""quadrotor-obstacles: the forest, what the rays see, hits between two steps, the goal."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch import Tensor

import robots
from robots.options import OptionError
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.draw import Draw
from robots.quadrotor.flight.mission import StepContext, TaskResult
from robots.quadrotor.flight.simulator import QuadrotorFlight, make_flight
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks.obstacles import forest, task
from robots.quadrotor.tasks.obstacles.forest import Forest
from robots.quadrotor.tasks.obstacles.kernels import ARENA, CEILING
from robots.quadrotor.tasks.obstacles.task import ObstacleOptions, Obstacles, ObstacleState


def make(**options: object) -> QuadrotorFlight:
    return make_flight("quadrotor-obstacles", Obstacles, ObstacleOptions(), dtype=torch.float64, **options)


SIM = make()
FORESTS = forest.plant(Draw(300, torch.Generator().manual_seed(0), torch.float64), torch.ones(300, 1))


def body(place: tuple[float, ...], rotation: Rotation | None = None, rate: float = 0.0) -> QuadrotorState:
    quaternion = (rotation or Rotation.identity()).as_quat(scalar_first=True)
    parts = (place, np.zeros(3), quaternion, [rate, 0.0, 0.0], np.full(4, SIM.parameters.hover_rotor_speed))
    return QuadrotorState.of(*(torch.tensor(np.array(part), dtype=torch.float64).unsqueeze(0) for part in parts))


def lone(
    column: tuple[float, float] = (3.0, 0.0), sphere: tuple[float, ...] = (0.0, 3.0, 1.5), flown: float = 0.0
) -> ObstacleState:
    """One column and one sphere of 0.25 m, and a goal at (8, 0, 1.5)."""
    columns, spheres = torch.full((1, 12, 2), forest.PARKED).double(), torch.full((1, 8, 3), forest.PARKED).double()
    columns[0, 4], spheres[0, 2] = torch.tensor(column).double(), torch.tensor(sphere).double()
    planted = Forest.of(columns, torch.full((1, 12), 0.25).double(), spheres, torch.full((1, 8), 0.25).double())
    return mission_of(planted, torch.tensor([[8.0, 0.0, 1.5]]).double(), flown)


def mission_of(planted: Forest, goal: Tensor, flown: float = 0.0) -> ObstacleState:
    zero, no = torch.zeros(1).double(), torch.zeros(1, dtype=torch.bool)
    return ObstacleState.of(planted, goal, zero + 8.0, zero + flown, zero, no, no)


def clearance(planted: Forest, place: Tensor) -> Tensor:
    """Distance (B,) from places (B, 3) to the nearest surface."""
    places, radius = surfaces(planted)
    offset = places - place[:, None, :2]
    up = torch.zeros(len(place), 20, 1).double()
    up[:, 12:] = planted.spheres[:, :, 2:] - place[:, None, 2:]
    return (torch.cat((offset, up), dim=2).norm(dim=2) - radius).amin(dim=1)


def flight(place: tuple[float, ...], mission: ObstacleState, rotation: Rotation | None = None) -> FlightState:
    none = torch.zeros(1, dtype=torch.int64)
    return FlightState(body(place, rotation), torch.zeros(1, 4).double(), mission, none + 200, none)


def advance(
    before: tuple[float, ...],
    after: tuple[float, ...],
    mission: ObstacleState | None = None,
    grounded: bool = False,
    rate: float = 0.0,
) -> TaskResult:
    none = torch.zeros(1, dtype=torch.int64)
    command = torch.zeros(1, 4).double()
    moved = body(after, rate=rate)
    flown = StepContext(body(before), moved, torch.tensor([grounded]), none, none + 1, 0.01, command, command)
    return SIM.mission.advance(flown, mission or lone())


def seen(state: FlightState) -> dict[str, float]:
    names = [channel.name for channel in SIM.spec.observation]
    return dict(zip(names, SIM.observe(state)[0].tolist(), strict=True))


def ranges(state: FlightState) -> dict[str, float]:
    """What the rays measure [m], by their directions."""
    return {name.removeprefix("nearness_"): 1.0 / x for name, x in seen(state).items() if name.startswith("nearness")}


# --- the forest -------------------------------------------------------------------------------------------------------


def surfaces(planted: Forest) -> tuple[Tensor, Tensor]:
    """(B, 20, 2) seen from above, and (B, 20) radii, of columns and spheres."""
    places = torch.cat((planted.columns, planted.spheres[:, :, :2]), dim=1)
    return places, torch.cat((planted.column_radius, planted.sphere_radius), dim=1)


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


# --- hits, reward, success --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("beside", "hit"), [(0.34, True), (0.36, False)])
def test_a_fast_fly_by_within_one_step_is_a_hit(beside: float, hit: bool) -> None:
    """From 1 m before the column to 1 m behind it: drone and column are 0.1 m and 0.25 m in radius."""
    outcome = advance((2.0, beside, 1.5), (4.0, beside, 1.5))
    assert outcome.terminated.item() is hit
    assert outcome.mission.collided.item() is hit
    assert outcome.mission.gap.item() == pytest.approx(beside - 0.35)


@pytest.mark.parametrize(("height", "hit"), [(1.84, True), (1.86, False)])
def test_a_sphere_can_be_flown_over(height: float, hit: bool) -> None:
    assert advance((0.0, 2.5, height), (0.0, 3.5, height)).terminated.item() is hit


def test_a_goal_behind_an_obstacle_is_not_reached_through_it() -> None:
    mission = lone(column=(7.5, 0.0))
    outcome = advance((7.0, 0.0, 1.5), (8.0, 0.0, 1.5), mission)
    assert outcome.terminated.item()
    assert not outcome.mission.reached.item()
    assert outcome.terms["reached"].item() == 0.0
    assert outcome.terms["crashed"].item() == 1.0


def test_reaching_the_goal_is_success_and_ends_the_episode() -> None:
    """From 1 m to 0.2 m before the goal; 8 m flown already, so 8.8 m over 8 m straight."""
    mission = lone(flown=8.0)
    outcome = advance((7.0, 0.0, 1.5), (7.8, 0.0, 1.5), mission)
    assert outcome.terminated.item()
    assert outcome.terms["gained"].item() == pytest.approx(0.02)  # 80 m/s pay as 2 m/s
    slow = advance((7.0, 0.0, 1.5), (7.01, 0.0, 1.5), mission)
    assert slow.terms["gained"].item() == pytest.approx(0.01)
    back = advance((7.0, 0.0, 1.5), (6.9, 0.0, 1.5), mission)
    assert back.terms["gained"].item() == pytest.approx(-0.1)
    assert outcome.terms["reached"].item() == 1.0
    assert outcome.terms["crashed"].item() == 0.0
    state = flight((7.8, 0.0, 1.5), outcome.mission)
    assert SIM.success(state).item()
    metrics = {name: value.item() for name, value in SIM.metrics(state).items()}
    expected = {"collision rate [1]": 0.0, "path length over straight line [1]": 1.1, "time to the goal [s]": 2.0}
    assert metrics == pytest.approx(expected)


def test_a_hit_is_counted_and_has_no_path() -> None:
    outcome = advance((2.0, 0.0, 1.5), (4.0, 0.0, 1.5))
    metrics = SIM.metrics(flight((4.0, 0.0, 1.5), outcome.mission))
    assert metrics["collision rate [1]"].item() == 1.0
    assert metrics["path length over straight line [1]"].isnan().item()
    assert not SIM.success(flight((4.0, 0.0, 1.5), outcome.mission)).item()


@pytest.mark.parametrize(
    ("place", "grounded", "ends", "collided"),
    [
        ((0.0, 0.0, 1.5), False, False, False),
        ((0.0, 0.0, 0.0), True, True, True),
        ((0.0, 0.0, 3.11), False, True, False),  # its ball of 0.1 m touches the ceiling at 3.2 m
        ((0.0, 0.0, 3.09), False, False, False),
        ((-2.1, 0.0, 1.5), False, True, False),
        ((0.0, 5.1, 1.5), False, True, False),
    ],
)
def test_floor_ceiling_and_the_edges_of_the_arena(
    place: tuple[float, ...], grounded: bool, ends: bool, collided: bool
) -> None:
    outcome = advance(place, place, grounded=grounded)
    assert outcome.terminated.item() is ends
    assert outcome.terms["crashed"].item() == ends
    assert outcome.mission.collided.item() is collided


def test_closeness_and_turning_cost() -> None:
    """0.15 m from the column costs (1 - 0.15 / 0.3)^2 = 0.25; 3 rad/s cost 9, and 9 rad/s no more than 25."""
    assert advance((3.0, 0.5, 1.5), (3.0, 0.5, 1.5)).terms["near"].item() == pytest.approx(0.25)
    assert advance((3.0, 0.65, 1.5), (3.0, 0.65, 1.5)).terms["near"].item() == pytest.approx(0.0, abs=1e-12)
    away = (0.0, 0.0, 1.5)
    assert advance(away, away, rate=3.0).terms["turning"].item() == pytest.approx(9.0)
    assert advance(away, away, rate=9.0).terms["turning"].item() == 25.0
    assert set(advance(away, away).terms) == set(Obstacles.weights)


def test_a_drone_too_large_for_the_gaps_is_refused() -> None:
    with pytest.raises(OptionError, match=r"radius must be above 0 m and at most 0\.2 m; given 0\.3"):
        robots.make("quadrotor-obstacles", radius=0.3)


def test_the_picture_has_the_standing_obstacles_and_the_rays_that_meet_something() -> None:
    state = flight((1.0, 0.0, 0.9), lone())  # low enough for the rays that point down
    shapes = SIM.mission.drawing(state, 0).shapes
    kinds = [shape.kind for shape in shapes]
    assert kinds.count("cylinder") == 1
    hits = sum(range_ < task.REACH - 1e-6 for range_ in ranges(state).values())
    assert hits >= 6
    assert kinds.count("box") == hits
    assert kinds.count("sphere") == hits + 1


# --- slopes -----------------------------------------------------------------------------------------------------------


def all_finite(simulator: QuadrotorFlight, state: FlightState, action: Tensor) -> bool:
    """Whether the slopes of all results of a step, the observation's with cotangents of any sign, are finite."""
    values = state.body.values.clone().requires_grad_()
    step = simulator.step(state._replace(body=QuadrotorState(values)), action.clone().requires_grad_())
    results = (step.observation, step.reward, step.state.mission.values)
    signs = [torch.where(torch.arange(x.numel()).reshape(x.shape) % 3 == 0, -1.0, 1.0).to(x.dtype) for x in results]
    (slopes,) = torch.autograd.grad(results, values, signs)
    return bool(slopes.isfinite().all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slopes_are_finite_anywhere_in_the_forest(dtype: torch.dtype) -> None:
    """Among 20 000 places and 37 rays from each, some rays graze an obstacle exactly in float32; a third rests."""
    simulator = make_flight("quadrotor-obstacles", Obstacles, ObstacleOptions(), dtype=dtype)
    rows, generator = 20_000, torch.Generator().manual_seed(0)
    state = simulator.reset(rows, generator)
    low, high = torch.tensor([[-0.5, -3.0, 0.0], [8.5, 3.0, 3.0]], dtype=dtype)
    place = low + (high - low) * torch.rand(rows, 3, generator=generator, dtype=dtype)
    place[::3, 2] = 0.0
    rests = torch.arange(rows).unsqueeze(1) % 3 == 0
    body = state.body.changed(position=place, velocity=torch.where(rests, 0.0, state.body.velocity))
    action = torch.tensor([simulator.spec.neutral_action], dtype=dtype).repeat(rows, 1)
    action[::3] = -1.0
    assert all_finite(simulator, state._replace(body=body), action)


@pytest.mark.parametrize(
    "place",
    [
        (8.0, 0.0, 1.5),  # at the goal
        (3.0, 0.0, 1.5),  # on the axis of the column
        (0.0, 3.0, 1.5),  # at the centre of the sphere
        (2.75, 0.0, 1.5),  # on the column's surface
        (1.0, 0.25, 1.5),  # rays along x graze the column
        (0.0, 0.0, 0.0),
    ],
)
def test_slopes_are_finite_at_rest_in_special_places(place: tuple[float, ...]) -> None:
    for turn in (None, Rotation.from_euler("y", -90.0, degrees=True)):
        state = flight(place, lone(), turn)
        neutral = torch.tensor([SIM.spec.neutral_action], dtype=torch.float64)
        assert all_finite(SIM, state, neutral)
        assert all_finite(SIM, state, torch.full_like(neutral, -1.0))
