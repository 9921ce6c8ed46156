"""Closed trajectories against closed forms, finite differences, and the splines of SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline
from scipy.spatial.transform import Rotation
from torch import Tensor

from robots.quadrotor.tasks.track import trajectories
from robots.quadrotor.tasks.track.trajectories import KNOTS, Trajectory, evaluate

ONE = torch.ones(1, 1, dtype=torch.float64)


def loops(rows: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    radius, height = (torch.rand(rows, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    return trajectories.loop(0.8 + radius, height - 0.5)


SHAPES = {"circle": trajectories.circle(1.3 * ONE), "eight": trajectories.eight(1.3 * ONE), "loop": loops(1)}
kinds = pytest.mark.parametrize("points", SHAPES.values(), ids=SHAPES)


def along(points: Tensor, laps: Tensor, order: int = 0) -> np.ndarray:
    """(3, k) of the first row at one lap per second from lap 0."""
    one = torch.ones(len(points), dtype=points.dtype)
    out = evaluate(
        Trajectory(points, one, 0.0 * one), laps.to(points.dtype).unsqueeze(1).expand(-1, len(points)), order
    )
    return np.asarray(out[:, :, 0])


# --- closed forms -----------------------------------------------------------------------------------------------------


def test_a_circle_is_round_and_flown_at_its_speed() -> None:
    """Radius 1.3 m at 2 m/s takes 1.3 * 2 pi / 2 s a lap; the acceleration is v^2 / r = 3.077 m/s^2.

    With h = 2 pi / 16 the spline's second derivative at a knot is the circle's times
    3 / (2 + cos h) * 2 (1 - cos h) / h^2 = 1.0129, which is where it errs most.
    """
    circle = trajectories.at_speed(SHAPES["circle"], torch.tensor([2.0]).double(), torch.zeros(1).double())
    assert circle.rate.item() == pytest.approx(2.0 / (2.0 * math.pi * 1.3), rel=1e-4)
    time = torch.linspace(0.0, 9.0, 777, dtype=torch.float64).unsqueeze(1)
    x, y, z = np.asarray(evaluate(circle, time)[:, :, 0])
    np.testing.assert_allclose(np.hypot(x, y), 1.3, rtol=7e-5)
    assert not z.any()
    angle = 2.0 * math.pi * circle.rate.item() * time[:, 0].numpy()
    np.testing.assert_allclose(x, 1.3 * np.cos(angle), atol=2e-4)
    np.testing.assert_allclose(y, 1.3 * np.sin(angle), atol=2e-4)
    np.testing.assert_allclose(np.linalg.norm(evaluate(circle, time, 1)[:, :, 0], axis=0), 2.0, rtol=1e-3)
    acceleration = np.linalg.norm(evaluate(circle, time, 2)[:, :, 0], axis=0)
    np.testing.assert_allclose(acceleration, 4.0 / 1.3, rtol=0.014)


def test_an_eight_is_gerono_s_lemniscate() -> None:
    """x^4 = a^2 (x^2 - y^2) with x = a cos(2 pi s); it crosses itself at a quarter and at three quarters."""
    laps = torch.linspace(0.0, 1.0, 333)
    x, y, z = along(SHAPES["eight"], laps)
    angle = 2.0 * math.pi * laps.double().numpy()
    # 0.0064 % of a for the first harmonic, 0.12 % of a / 2 for the second
    np.testing.assert_allclose(x, 1.3 * np.cos(angle), atol=1.3 * 7e-5)
    np.testing.assert_allclose(y, 0.65 * np.sin(2.0 * angle), atol=0.65 * 1.2e-3)
    assert not z.any()
    np.testing.assert_allclose(along(SHAPES["eight"], torch.tensor([0.25, 0.75])), 0.0, atol=1e-12)


def test_a_loop_is_the_spline_of_its_eight_corners() -> None:
    """Knot doubling changes the control points, not the curve."""
    radius, height = torch.rand(2, 4, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    angle = torch.arange(8, dtype=torch.float64) * (math.pi / 4.0)
    corners = torch.stack((radius * torch.cos(angle), radius * torch.sin(angle), height), dim=2)
    laps = torch.linspace(0.0, 2.0, 101)
    np.testing.assert_allclose(along(trajectories.loop(radius, height), laps), along(corners, laps), atol=1e-14)


def test_the_spline_is_scipy_s() -> None:
    points = loops(1, seed=3)[0].numpy()
    wrapped = np.concatenate((points[-1:], points, points[:2]))
    reference = BSpline(np.arange(-3, KNOTS + 4), wrapped, 3)
    laps = torch.linspace(0.0, 0.999, 97, dtype=torch.float64)
    for order in (0, 1, 2):
        expected = reference(laps.numpy() * KNOTS, nu=order) * KNOTS**order
        np.testing.assert_allclose(along(loops(1, seed=3), laps, order).T, expected, rtol=1e-9, atol=1e-9)


# --- smoothness, speed, closure ---------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("order", [0, 1])
def test_derivatives_agree_with_finite_differences(points: Tensor, order: int) -> None:
    trajectory = trajectories.at_speed(points, torch.tensor([-1.7]).double(), torch.tensor([0.4]).double())
    time, h = torch.linspace(0.0, 7.0, 60, dtype=torch.float64).unsqueeze(1), 1e-5
    difference = (evaluate(trajectory, time + h, order) - evaluate(trajectory, time - h, order)) / (2.0 * h)
    torch.testing.assert_close(evaluate(trajectory, time, order + 1), difference, rtol=0, atol=1e-3 * (1 + 9 * order))


@kinds
@pytest.mark.parametrize("order", [0, 1, 2])
def test_laps_close_and_knots_cannot_be_felt(points: Tensor, order: int) -> None:
    laps = torch.linspace(0.0, 0.9, 10, dtype=torch.float64)
    np.testing.assert_allclose(along(points, laps + 1.0, order), along(points, laps, order), atol=1e-9)
    knots = torch.arange(1, 2 * KNOTS + 1, dtype=torch.float64) / KNOTS
    before, after = along(points, knots - 1e-9, order), along(points, knots + 1e-9, order)
    np.testing.assert_allclose(before, after, atol=1e-4)


@kinds
def test_a_lap_takes_its_length_over_the_speed(points: Tensor) -> None:
    """Length by 20 000 chords, which are too short by less than 1e-6 of it."""
    chords = np.diff(along(points, torch.linspace(0.0, 1.0, 20_001, dtype=torch.float64)))
    length = np.linalg.norm(chords, axis=0).sum()
    assert trajectories.length(points).item() == pytest.approx(length, rel=1e-5)
    trajectory = trajectories.at_speed(points, torch.tensor([0.8]).double(), torch.zeros(1).double())
    assert length * trajectory.rate.item() == pytest.approx(0.8, rel=1e-5)


def test_backwards_is_the_same_way_in_the_other_direction() -> None:
    points, speed, start = loops(3), torch.full((3,), 1.5).double(), torch.tensor([0.0, 0.3, 0.9]).double()
    forth, back = trajectories.at_speed(points, speed, start), trajectories.at_speed(points, -speed, start)
    time = torch.linspace(0.0, 5.0, 40, dtype=torch.float64).unsqueeze(1)
    torch.testing.assert_close(evaluate(back, time), evaluate(forth, -time))
    torch.testing.assert_close(evaluate(back, time, 1), -evaluate(forth, -time, 1))


# --- properties -------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6), turn=st.tuples(*[st.floats(-3.0, 3.0)] * 3), centre=st.tuples(*[st.floats(-9, 9)] * 3)
)
def test_placing_moves_the_curve_rigidly(seed: int, turn: tuple[float, ...], centre: tuple[float, ...]) -> None:
    points, rotation = loops(1, seed), Rotation.from_rotvec(turn)
    quaternion = torch.tensor(rotation.as_quat(scalar_first=True)).unsqueeze(0)
    placed = trajectories.placed(points, torch.tensor([centre], dtype=torch.float64), quaternion)
    laps = torch.linspace(0.0, 1.0, 13)
    np.testing.assert_allclose(along(placed, laps), (rotation.apply(along(points, laps).T) + centre).T, atol=1e-9)
    assert trajectories.length(placed).item() == pytest.approx(trajectories.length(points).item(), rel=1e-9)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), lap=st.floats(-5.0, 5.0))
def test_a_curve_stays_in_the_box_around_its_control_points(seed: int, lap: float) -> None:
    points = loops(1, seed)
    place = along(points, torch.tensor([lap], dtype=torch.float64))[:, 0]
    assert (place >= points[0].amin(dim=0).numpy() - 1e-12).all()
    assert (place <= points[0].amax(dim=0).numpy() + 1e-12).all()


@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_row_has_the_same_bits_in_any_batch(order: int) -> None:
    points, generator = loops(7).float(), torch.Generator().manual_seed(1)
    trajectory = Trajectory(points, torch.rand(7, generator=generator) - 0.5, torch.rand(7, generator=generator))
    time = 10.0 * torch.rand(5, 7, generator=generator)
    together = evaluate(trajectory, time, order)
    for i in range(7):
        only = slice(i, i + 1)
        alone = Trajectory(*(x[only] for x in trajectory))
        assert torch.equal(evaluate(alone, time[:, only], order), together[:, :, only])
        assert torch.equal(evaluate(alone, time[2:3, only], order), together[:, 2:3, only])


def test_there_is_no_third_derivative() -> None:
    with pytest.raises(ValueError, match="the order of a derivative is 0, 1 or 2; given 3"):
        along(SHAPES["circle"], torch.zeros(1), order=3)
