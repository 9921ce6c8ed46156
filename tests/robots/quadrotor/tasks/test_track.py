"""quadrotor-track: what the policy sees, what it is paid for, how the error is counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import robots
from robots.options import OptionError
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.flight.mission import StepContext, TaskResult
from robots.quadrotor.flight.simulator import QuadrotorFlight, make_flight
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks.track import task, trajectories
from robots.quadrotor.tasks.track.kernels import AHEAD
from robots.quadrotor.tasks.track.task import Track, TrackOptions, TrackState
from robots.quadrotor.tasks.track.trajectories import Trajectory


def make(**options: object) -> QuadrotorFlight:
    return make_flight("quadrotor-track", Track, TrackOptions(), dtype=torch.float64, **options)


SIM = make()
CENTRE = np.array(task.CENTRE)


def body(position: np.ndarray, rotation: Rotation | None = None) -> QuadrotorState:
    """One drone at rest."""
    quaternion = (rotation or Rotation.identity()).as_quat(scalar_first=True)
    parts = (position, np.zeros(3), quaternion, np.zeros(3), np.full(4, SIM.parameters.hover_rotor_speed))
    return QuadrotorState.of(*(torch.tensor(part, dtype=torch.float64).unsqueeze(0) for part in parts))


def on_circle(rate: float, steps: int = 0, rotation: Rotation | None = None, error: float = 0.0) -> TrackState:
    """A circle of 1 m around CENTRE, from its point in direction x on, with the same error at every step so far."""
    quaternion = torch.tensor((rotation or Rotation.identity()).as_quat(scalar_first=True)).unsqueeze(0)
    centre = torch.tensor(CENTRE).unsqueeze(0)
    points = trajectories.placed(trajectories.circle(torch.ones(1, 1).double()), centre, quaternion)
    trajectory = Trajectory(points, torch.tensor([rate]).double(), torch.zeros(1).double())
    zero, none = torch.zeros(1).double(), torch.zeros(1, dtype=torch.int64)
    counted = none + max(0, steps - 200)
    speed, squared_error = zero + 2.0 * math.pi * rate, error**2 * counted.double()
    return TrackState.of(trajectory, speed, none + steps, squared_error, counted, none.bool())


def flight(position: np.ndarray, mission: TrackState, rotation: Rotation | None = None) -> FlightState:
    none = torch.zeros(1, dtype=torch.int64)
    return FlightState(body(position, rotation), torch.zeros(1, 4).double(), mission, mission.steps, none)


def advance(mission: TrackState, offset: float, grounded: bool = False, rate: float = 0.0) -> TaskResult:
    """One step that ends `offset` metres beside the reference, along x."""
    now = (mission.steps + 1).double().unsqueeze(0) / 100.0
    place = trajectories.evaluate(mission.trajectory, now)[:, 0, 0].numpy() + np.array([offset, 0.0, 0.0])
    after = body(place).changed(angular_velocity=torch.tensor([[0.0, rate, 0.0]]).double())
    steps, command = mission.steps + 1, torch.zeros(1, 4).double()
    flown = StepContext(after, after, torch.tensor([grounded]), steps, steps, 0.01, command, command)
    return SIM.mission.advance(flown, mission)


def seen(state: FlightState) -> np.ndarray:
    return np.asarray(SIM.observe(state))[0, :15].reshape(5, 3)


# --- observation ------------------------------------------------------------------------------------------------------


def test_the_reference_is_seen_now_and_ahead() -> None:
    """From the centre, at 1.25 laps/s: +-0.1, 0.2, 0.4 and 0.6 s are 1/8, 1/4, 1/2 and 3/4 of a lap, all at knots."""
    half = math.sqrt(0.5)
    expected = [[1, 0, 0], [half, half, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]]
    np.testing.assert_allclose(seen(flight(CENTRE, on_circle(1.25))), expected, atol=1e-12)


def test_it_is_seen_from_the_body() -> None:
    """A drone that heads along world y has what lies along x on its right."""
    turned = Rotation.from_euler("z", 90.0, degrees=True)
    np.testing.assert_allclose(seen(flight(CENTRE, on_circle(1.25), turned))[0], [0, -1, 0], atol=1e-12)


def test_time_moves_the_reference() -> None:
    """20 steps are 0.2 s."""
    later, now = (seen(flight(CENTRE, on_circle(1.25, steps))) for steps in (20, 0))
    np.testing.assert_allclose(later[0], now[2], atol=1e-12)
    np.testing.assert_allclose(later[2], now[3], atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_kernel_follows_the_trajectories_of_torch(dtype: torch.dtype) -> None:
    """Forwards and backwards, also over several laps."""
    simulator = make_flight("quadrotor-track", Track, TrackOptions(), dtype=dtype)
    state = simulator.reset(300, 0)
    level = state.body.changed(quaternion=torch.tensor([[1.0, 0.0, 0.0, 0.0]], dtype=dtype).repeat(300, 1))
    counts = state.mission.counts.clone()
    counts[:, 0] = torch.arange(300) * 10
    state = state._replace(body=level, mission=state.mission._replace(counts=counts))
    ahead = torch.tensor(AHEAD, dtype=dtype).unsqueeze(1)
    expected = trajectories.evaluate(state.mission.trajectory, counts[:, 0].to(dtype) / 100.0 + ahead)
    seen_from = expected - level.position.t().unsqueeze(1)
    observed = simulator.observe(state)[:, :15].unflatten(1, (5, 3)).permute(2, 1, 0)
    rounding = 40.0 * torch.finfo(dtype).eps * 100.0
    torch.testing.assert_close(observed, seen_from, rtol=0, atol=rounding)
    assert (state.mission.trajectory.rate < 0.0).any()


@settings(max_examples=20)
@given(angle=st.floats(-3.0, 3.0), place=st.tuples(*[st.floats(-1.0, 1.0)] * 3))
def test_turning_the_world_about_its_vertical_changes_nothing(angle: float, place: tuple[float, ...]) -> None:
    turn, tilt = Rotation.from_rotvec([0.0, 0.0, angle]), Rotation.from_rotvec([0.2, -0.4, 0.3])
    first = flight(CENTRE + place, on_circle(0.3, steps=7), tilt)
    second = flight(CENTRE + turn.apply(place), on_circle(0.3, steps=7, rotation=turn), turn * tilt)
    np.testing.assert_allclose(SIM.observe(second), SIM.observe(first), atol=1e-12)
    action = torch.full((1, 4), 0.3).double()
    a, b = SIM.step(first, action), SIM.step(second, action)
    np.testing.assert_allclose(b.reward, a.reward, rtol=1e-12)


# --- reward, error, success -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "rate", "at", "near"),
    [(0.0, 0.0, 1.0, 1.0), (0.1, 0.0, 0.5, 1 / 1.01), (0.0, 5.0, 0.5, 1.0), (0.3, 5.0, 0.05, 1 / 1.09)],
)
def test_terms_of_the_reward(offset: float, rate: float, at: float, near: float) -> None:
    """0.1 m away and 5 rad/s each halve the first term; 0.3 m divides it by 10."""
    terms = advance(on_circle(0.2), offset, rate=rate).terms
    assert terms["at_reference"].item() == pytest.approx(at, rel=1e-9)
    assert terms["near_reference"].item() == pytest.approx(near, rel=1e-9)
    assert set(terms) == set(Track.weights)


def fly(mission: TrackState, offsets: list[float]) -> FlightState:
    """State after one step per offset [m]."""
    for offset in offsets:
        mission = advance(mission, offset).mission
    return flight(CENTRE, mission)


def test_the_error_is_counted_once_the_drone_had_time_to_catch_up() -> None:
    """Steps 199 and 200 do not count, 201 to 204 do: sqrt((0.09 + 0.01 + 0.01 + 0.04) / 4) = 0.1936 m."""
    state = fly(on_circle(0.2, steps=198), [1.5, 1.5, 0.3, 0.1, 0.1, 0.2])
    assert state.mission.steps.item() == 204
    assert state.mission.counted.item() == 4
    assert SIM.metrics(state)["RMS position error [m]"].item() == pytest.approx(math.sqrt(0.15 / 4.0))
    assert SIM.metrics(state)["reference speed [m/s]"].item() == pytest.approx(0.4 * math.pi)


def test_an_episode_that_ends_before_anything_counted_gives_no_error() -> None:
    state = fly(on_circle(0.2, steps=198), [0.3, 0.3])
    assert SIM.metrics(state)["RMS position error [m]"].isnan().item()
    assert not SIM.success(state).item()


def before_the_end(error: float, steps: int = 599) -> TrackState:
    """An episode whose error was the same at every step."""
    return on_circle(0.2, steps, error=error)


def test_success_is_a_small_error_at_the_time_limit() -> None:
    assert SIM.spec.max_episode_steps == 600
    assert SIM.success(fly(before_the_end(0.149), [0.149])).item()
    assert not SIM.success(fly(before_the_end(0.151), [0.151])).item()
    assert not SIM.success(fly(before_the_end(0.149, steps=598), [0.149])).item()
    crash = advance(before_the_end(0.1), 0.1, grounded=True)
    assert crash.terminated.item()
    assert not SIM.success(flight(CENTRE, crash.mission)).item()


@pytest.mark.parametrize(("offset", "ends"), [(1.99, False), (2.01, True)])
def test_losing_the_reference_ends_an_episode(offset: float, ends: bool) -> None:
    assert advance(on_circle(0.2), offset).terminated.item() is ends


# --- what is drawn ----------------------------------------------------------------------------------------------------


def shape_of(mission: TrackState) -> list[str]:
    """Circle, eight or spline, told apart by the distances of the control points from their centre."""
    away = (mission.trajectory.points - torch.tensor(CENTRE)).norm(dim=2)
    spread, least = away.amax(dim=1) - away.amin(dim=1), away.amin(dim=1)
    return ["circle" if s < 1e-9 else "eight" if low < 1e-9 else "spline" for s, low in zip(spread, least, strict=True)]


@pytest.mark.parametrize("kind", task.KINDS)
def test_the_kind_of_trajectory_is_an_option(kind: str) -> None:
    assert set(shape_of(make(trajectory=kind).reset(20, 0).mission)) == {kind}


def test_any_draws_all_kinds_about_equally_often() -> None:
    """Of 900 draws 300 are expected of each kind, with a standard deviation of sqrt(900 * 1/3 * 2/3) = 14."""
    drawn = shape_of(SIM.reset(900, 4).mission)
    assert all(abs(drawn.count(kind) - 300) < 57 for kind in task.KINDS)


def test_speeds_are_those_asked_for() -> None:
    for sim, low, high in ((make(speed=1.7), 1.7, 1.7), (SIM, 0.5, 2.0), (make(difficulty=0.5), 0.5, 1.25)):
        mission = sim.reset(200, 1).mission
        assert (mission.speed >= low).all()
        assert (mission.speed <= high).all()
        flown = trajectories.length(mission.trajectory.points) * mission.trajectory.rate.abs()
        torch.testing.assert_close(flown, mission.speed)


def test_every_trajectory_is_clear_of_the_floor_and_within_the_thrust() -> None:
    """Thrust over weight of cf21B_500 is 1.88; what a reference asks for at most is |a + g| / g."""
    mission = SIM.reset(2000, 2).mission
    time = torch.linspace(0.0, 6.0, 200).double().unsqueeze(1).expand(-1, 2000)
    assert trajectories.evaluate(mission.trajectory, time)[2].min() > 0.7
    asked = trajectories.evaluate(mission.trajectory, time, 2)
    asked[2] += 9.81
    assert asked.norm(dim=0).max() < 0.97 * SIM.parameters.thrust_to_weight * 9.81


def test_an_easy_episode_begins_on_the_reference() -> None:
    state = make(difficulty=0.0).reset(50, 3)
    error = SIM.signals(state)["position error [m]"]
    assert error.abs().max() < 1e-12
    assert not state.body.velocity.any()
    hard = SIM.signals(SIM.reset(500, 3))["position error [m]"].norm(dim=1)
    assert 0.45 < hard.max() <= task.START_RADIUS + 1e-9


@pytest.mark.parametrize(("options", "message"), [
    ({"trajectory": "circel"}, "unknown trajectory 'circel'; did you mean 'circle'?"),
    ({"speed": -1.0}, "speed must be from 0 to 10 m/s; given -1.0"),
    ({"speed": 11.0}, "speed must be from 0 to 10 m/s"),
])  # fmt: skip
def test_options_that_mean_nothing_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        robots.make("quadrotor-track", **options)


def test_the_picture_has_the_reference_and_its_lap() -> None:
    drawing = SIM.mission.drawing(flight(CENTRE, on_circle(1.25)), 0)
    np.testing.assert_allclose(drawing.target, CENTRE + np.array([1.0, 0.0, 0.0]), atol=1e-9)
    bars = [np.asarray(shape.position) for shape in drawing.shapes if shape.kind == "box"]
    assert len(bars) == 96
    np.testing.assert_allclose([np.linalg.norm(place - CENTRE) for place in bars], 1.0, atol=2e-3)
