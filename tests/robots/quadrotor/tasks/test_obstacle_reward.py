"""quadrotor-obstacles: hits between two steps, the goal, and slopes."""

from __future__ import annotations

import pytest
import torch
from scipy.spatial.transform import Rotation
from support.obstacle_flights import (
    SIM,
    advance,
    flight,
    lone,
    ranges,
)
from torch import Tensor

import robots
from robots.options import OptionError
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.flight.simulator import QuadrotorFlight, make_flight
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks.obstacles import task
from robots.quadrotor.tasks.obstacles.task import ObstacleOptions, Obstacles

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


@pytest.mark.parametrize(("dtype", "rows"), [(torch.float32, 20_000), (torch.float64, 2_000)])
def test_slopes_are_finite_anywhere_in_the_forest(dtype: torch.dtype, rows: int) -> None:
    """A third rests. Of 37 rays from each of 20 000 places, some graze an obstacle exactly in float32."""
    simulator = make_flight("quadrotor-obstacles", Obstacles, ObstacleOptions(), dtype=dtype)
    generator = torch.Generator().manual_seed(0)
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
