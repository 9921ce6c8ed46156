"""quadrotor-pursuit: how the target moves, what is seen of it, and what holding it means."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from support.pursuit_flights import HOME, SIM, advance, behind, body, flight, make, moved, still
from torch import Tensor

from robots import noise
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.flight.simulator import make_flight
from robots.quadrotor.tasks.pursuit import Pursuit, PursuitOptions, PursuitState
from robots.quadrotor.tasks.pursuit_kernels import MAX_ACCELERATION, STREAM
from robots.simulator import repeat

# --- the target -------------------------------------------------------------------------------------------------------


def follow(rows: int = 400, steps: int = 800) -> tuple[Tensor, Tensor, PursuitState]:
    """Positions (steps, rows, 3) and accelerations of targets with full agility, in float32."""
    simulator = make_flight("quadrotor-pursuit", Pursuit, PursuitOptions(), difficulty=1.0)
    state = simulator.reset(rows, 0)
    mission, places, pulls = state.mission, [], []
    for step in range(steps):
        before, mission = mission, moved(simulator, state, mission, step)
        pulls.append((mission.velocity - before.velocity) / 0.01)
        places.append(mission.target)
    return torch.stack(places), torch.stack(pulls), mission


def test_the_target_manoeuvres_within_its_bounds() -> None:
    """It accelerates at 4 m/s^2 at most, up to the rounding of a velocity to 1e-7 over 0.01 s, keeps clear of the
    floor, stays around its home, and does move."""
    places, pulls, mission = follow()
    strength = pulls.norm(dim=2)
    assert strength.max() <= MAX_ACCELERATION + 1e-3
    assert strength.max() > 3.0
    assert places[..., 2].min() > 0.5
    away = (places - mission.home).norm(dim=2)
    assert 0.5 < away.mean() < 2.5
    assert away.max() < 8.0
    speed = mission.velocity.norm(dim=1)
    assert 0.4 < speed.mean() < 2.0


def test_its_drive_has_the_variance_and_the_memory_it_is_said_to_have() -> None:
    """Unit variance, and exp(-0.4 / 0.8) = 0.607 of it left after 0.4 s; 1200 independent drives."""
    state, before = SIM.reset(400, 1), None
    mission = state.mission
    for step in range(340):
        if step == 300:
            before = mission.push
        mission = moved(SIM, state, mission, step)
    assert before is not None
    assert mission.push.var().item() == pytest.approx(1.0, abs=0.15)
    assert (before * mission.push).mean().item() == pytest.approx(math.exp(-0.5), abs=0.12)


def test_one_step_by_hand() -> None:
    """Push 1 along x decays by exp(-0.01 / 0.8) and gains of the noise; agility 0.5 makes (0.8, 0.8, 0.2) m/s^2 of 1;
    the target is 0.5 m from home along y, and flies at 1 m/s along z: a = (0.8 n_x, 0.8 n_y - 0.4, 0.2 n_z - 0.9)."""
    keep = math.exp(-0.0125)
    mission = still(velocity=(0.0, 0.0, 1.0), offset=(0.0, 0.5, 0.0), push=(1.0, 0.0, 0.0), agility=0.5)
    after = advance(behind(1.0), mission, step=3).mission
    key = noise.split(torch.tensor([7]), STREAM)
    white = math.sqrt(12.0) * (noise.uniform(key, 3, 3, torch.float64)[0].numpy() - 0.5)
    n = np.array([keep, 0.0, 0.0]) + math.sqrt(1.0 - keep**2) * white
    acceleration = np.array([0.8, 0.8, 0.2]) * n - [0.0, 0.4, 0.9]
    np.testing.assert_allclose(after.push[0], n)
    np.testing.assert_allclose(after.velocity[0], [0.0, 0.0, 1.0] + 0.01 * acceleration)
    np.testing.assert_allclose(after.target[0], HOME + [0.0, 0.5, 0.01] + 0.5e-4 * acceleration)


def test_what_it_wants_beyond_its_strength_is_cut_to_it() -> None:
    """8 m from home it wants 6.4 m/s^2 and gets 4, in the same direction."""
    after = advance(behind(1.0), still(offset=(0.0, 8.0, 0.0))).mission
    np.testing.assert_allclose(after.velocity, [[0.0, -0.04, 0.0]])


def test_siblings_share_the_target_until_their_noise_is_split() -> None:
    state = repeat(SIM.reset(3, 0), 2)
    split = SIM.split_noise(state, torch.tensor([0, 1] * 3))
    actions = torch.rand(30, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for action in actions:
        state, split = SIM.step(state, action).state, SIM.step(split, action).state
    together, apart = state.mission.target, split.mission.target
    assert torch.equal(together[::2], together[1::2])
    assert torch.equal(apart[::2], together[::2])
    assert ((apart[1::2] - together[1::2]).norm(dim=1) > 1e-3).all()


def test_gusts_and_target_draw_apart() -> None:
    """With gusts the target flies as without them: neither takes numbers from the other."""
    calm, gusty = SIM.reset(50, 3), make(gust=1.0).reset(50, 3)
    windy = gusty._replace(body=calm.body, mission=calm.mission, noise_key=calm.noise_key)
    before_push, before_gust = calm.mission.push, windy.hidden.gust
    action = torch.zeros(50, 4).double()
    after, blown = SIM.step(calm, action).state, make(gust=1.0).step(windy, action).state
    assert torch.equal(after.mission.target, blown.mission.target)
    shaken = (blown.hidden.gust - before_gust * math.exp(-0.01 / 0.3)).flatten()
    pushed = (after.mission.push - before_push * math.exp(-0.01 / 0.8)).flatten()
    correlation = torch.corrcoef(torch.stack((shaken, pushed)))[0, 1].item()
    assert abs(correlation) < 0.3  # 150 pairs: 0.08 expected of independent ones, 1 of shared numbers


# --- what is seen -----------------------------------------------------------------------------------------------------


def test_the_target_is_seen_from_the_body() -> None:
    """Heading along y, flying along y at 1 m/s; the target is 2 m along x and flies along x at 0.5 m/s."""
    drone = body(HOME - [2.0, 0.0, 0.0], Rotation.from_euler("z", 90.0, degrees=True), velocity=(0.0, 1.0, 0.0))
    seen = SIM.observe(flight(drone, still(velocity=(0.5, 0.0, 0.0))))[0, :6]
    np.testing.assert_allclose(seen, [0.0, -2.0, 0.0, -1.0, -0.5, 0.0], atol=1e-12)


@settings(max_examples=15)
@given(
    angle=st.floats(-3.0, 3.0), place=st.tuples(*[st.floats(-1.5, 1.5)] * 3), speed=st.tuples(*[st.floats(-1, 1)] * 3)
)
def test_turning_the_world_about_its_vertical_changes_nothing_seen(
    angle: float, place: tuple[float, ...], speed: tuple[float, ...]
) -> None:
    turn, tilt = Rotation.from_rotvec([0.0, 0.0, angle]), Rotation.from_rotvec([0.2, -0.4, 0.3])
    first = flight(body(HOME + place, tilt), still(velocity=speed))
    second = flight(body(HOME + turn.apply(place), turn * tilt), still(velocity=tuple(turn.apply(speed))))
    np.testing.assert_allclose(SIM.observe(second), SIM.observe(first), atol=1e-12)
    bearing = [SIM.signals(state)["bearing [deg]"].item() for state in (first, second)]
    assert bearing[1] == pytest.approx(bearing[0], abs=1e-5)


# --- reward, success, figures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drone", "holding", "near", "facing"),
    [
        (behind(1.0), 1.0, 1.0, 1.0),
        (behind(1.15), 0.5, 1.0 / 1.0225, 1.0),  # 0.15 m too far halves it
        (behind(0.85), 0.5, 1.0 / 1.0225, 1.0),
        (behind(1.0, yaw=90.0), 0.25, 1.0, 0.5),  # the target abeam
        (behind(1.0, yaw=180.0), 0.0, 1.0, 0.0),  # in the back
        (behind(1.0, rate=5.0), 0.5, 1.0, 1.0),
    ],
)
def test_terms_of_the_reward(drone: QuadrotorState, holding: float, near: float, facing: float) -> None:
    terms = advance(drone).terms
    expected = {"holding": holding, "near_distance": near, "facing": facing}
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(expected, abs=1e-12)
    assert set(terms) == set(Pursuit.weights)


@pytest.mark.parametrize(
    ("drone", "in_band", "in_view"),
    [
        (behind(1.24, yaw=29.9), 1, 1),
        (behind(0.76), 1, 1),
        (behind(1.26), 0, 1),
        (behind(0.74), 0, 1),
        (behind(1.0, yaw=30.1), 1, 0),
        (behind(1.0, yaw=-30.1), 1, 0),
    ],
)
def test_band_and_view(drone: QuadrotorState, in_band: int, in_view: int) -> None:
    mission = advance(drone, still(held=41)).mission
    assert (mission.in_band.item(), mission.in_view.item()) == (in_band, in_view)
    assert mission.held.item() == (42 if in_band and in_view else 0)


def test_two_seconds_of_holding_are_success() -> None:
    for before, success in ((198, False), (199, True)):
        mission = advance(behind(1.0), still(held=before)).mission
        assert SIM.success(flight(behind(1.0), mission)).item() is success
    crash = advance(behind(1.0), still(held=700), grounded=True)
    assert crash.terminated.item()
    assert not SIM.success(flight(behind(1.0), crash.mission)).item()


@pytest.mark.parametrize(("distance", "ends"), [(0.19, True), (0.21, False), (3.99, False), (4.01, True)])
def test_hitting_and_losing_the_target_end_an_episode(distance: float, ends: bool) -> None:
    assert advance(behind(distance)).terminated.item() is ends


def test_figures_of_an_episode() -> None:
    """Errors of 0.1, 0.2 and 0.3 m: 0.2 m in the mean, two of three in the band; the last looks away."""
    mission = still()
    for drone in (behind(1.1), behind(0.8), behind(1.3, yaw=90.0)):
        mission = advance(drone, mission).mission
    figures = {name: value.item() for name, value in SIM.metrics(flight(behind(1.0), mission, steps=3)).items()}
    expected = {"mean distance error [m]": 0.2, "time in the band [1]": 2 / 3, "time in view [1]": 2 / 3}
    assert figures == pytest.approx(expected)
