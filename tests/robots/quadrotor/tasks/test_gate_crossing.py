"""Gate passing against segments worked out by hand, and as a property of any segment."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.segment_kernels import Crossing, crossing

HALF, BAR, CLEARANCE = 0.4, 0.1, 0.05  # free within 0.35 m of the middle, frame up to 0.55 m

Point = tuple[float, float, float]
coordinate = st.floats(-2.0, 2.0)
point = st.tuples(coordinate, coordinate, coordinate)


def cross(start: Point, end: Point, clearance: float = CLEARANCE) -> Crossing:
    a, b = (torch.tensor([x], dtype=torch.float64) for x in (start, end))
    return crossing(a, b, torch.tensor([HALF], dtype=torch.float64), BAR, clearance)


def verdict(start: Point, end: Point) -> str:
    """Direction and place of a crossing, in words."""
    forward, inside, struck, share, off_centre = (x.item() for x in cross(start, end))
    assert not inside or off_centre <= HALF - CLEARANCE
    assert not (inside and struck)
    assert 0.0 <= share <= 1.0
    if (start[0] < 0.0) == (end[0] < 0.0):
        assert (forward, inside, struck, share) == (False, False, False, 1.0)
        return "not at all"
    return f"{'forward' if forward else 'backward'}, {'inside' if inside else 'struck' if struck else 'beside'}"


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ((-0.1, 0.0, 0.0), (0.1, 0.0, 0.0), "forward, inside"),
        ((0.1, 0.0, 0.0), (-0.1, 0.0, 0.0), "backward, inside"),
        ((-0.2, 0.0, 0.0), (-0.1, 0.0, 0.0), "not at all"),
        ((0.1, 0.0, 0.0), (0.2, 0.0, 0.0), "not at all"),
        ((-0.1, 1.0, 0.0), (0.1, 1.0, 0.0), "forward, beside"),
        ((0.1, 0.0, -1.0), (-0.1, 0.0, -1.0), "backward, beside"),
        # at 45 degrees across: both ends are outside the opening's width, the middle of the way is (0, 0.1, 0)
        ((-0.5, -0.4, 0.0), (0.5, 0.6, 0.0), "forward, inside"),
        # both ends lie behind or before the opening, the point in the plane is off it: y = -0.3 + 0.9 = 0.6
        ((-0.9, -0.3, 0.0), (0.1, 0.7, 0.0), "forward, beside"),
        # a quarter of the way at the plane: z = 0.3 + 0.25 * 0.4 = 0.4, on the clearance
        ((-0.1, 0.0, 0.3), (0.3, 0.0, 0.7), "forward, struck"),
        # one step at 300 m/s
        ((-1.5, 0.2, -0.2), (1.5, 0.2, -0.2), "forward, inside"),
        ((-1.5, 0.0, 0.45), (1.5, 0.0, 0.45), "forward, struck"),
        # the frame from behind and from before, and its outer edge at 0.5 + 0.05
        ((-0.1, 0.45, 0.45), (0.1, 0.45, 0.45), "forward, struck"),
        ((0.1, -0.45, 0.0), (-0.1, -0.45, 0.0), "backward, struck"),
        ((-0.1, 0.0, -0.56), (0.1, 0.0, -0.56), "forward, beside"),
        # corners: the square's, not the circle's; sqrt(2) * 0.34 = 0.48 from the middle is inside
        ((-0.1, 0.34, 0.34), (0.1, 0.34, 0.34), "forward, inside"),
        ((-0.1, 0.36, 0.34), (0.1, 0.36, 0.34), "forward, struck"),
        ((-0.1, 0.54, -0.54), (0.1, 0.54, -0.54), "forward, struck"),
        ((-0.1, 0.56, -0.54), (0.1, 0.56, -0.54), "forward, beside"),
        # grazing a corner on a slant: at half way (y, z) = (0.34, -0.34), then (0.36, -0.36)
        ((-0.1, 0.24, -0.44), (0.1, 0.44, -0.24), "forward, inside"),
        ((-0.1, 0.26, -0.46), (0.1, 0.46, -0.26), "forward, struck"),
        # along the plane nothing is crossed
        ((0.0, -1.0, 0.0), (0.0, 1.0, 0.0), "not at all"),
    ],
)
def test_by_hand(start: Point, end: Point, expected: str) -> None:
    assert verdict(start, end) == expected


def test_how_far_off_the_middle() -> None:
    # a quarter of the way at the plane: y = 0.1 - 0.25 * 0.8 = -0.1, z = 0.3 - 0.25 * 0.4 = 0.2
    assert cross((-0.1, 0.1, 0.3), (0.3, -0.7, -0.1)).off_centre.item() == pytest.approx(0.2)
    assert cross((0.1, 0.1, 0.3), (0.3, -0.7, -0.1)).off_centre.item() == pytest.approx(0.7)  # of the end


def test_the_edges_belong_to_the_inner_side() -> None:
    """In binary fractions, so that edges are exact: free up to 0.5 - 0.125, frame up to 0.5 + 0.25 + 0.125."""
    for y, inside, struck in ((0.375, True, False), (0.376, False, True), (0.875, False, True), (0.876, False, False)):
        start, end = (torch.tensor([[x, y, 0.0]], dtype=torch.float64) for x in (-1.0, 1.0))
        met = crossing(start, end, torch.tensor([0.5], dtype=torch.float64), 0.25, 0.125)
        assert (met.inside.item(), met.struck.item()) == (inside, struck)


def test_a_stop_in_the_plane_counts_once() -> None:
    """Forward on arrival, not again on leaving; backward on leaving to behind."""
    assert verdict((-0.1, 0.0, 0.0), (0.0, 0.0, 0.0)) == "forward, inside"
    assert verdict((0.0, 0.0, 0.0), (0.1, 0.0, 0.0)) == "not at all"
    assert verdict((0.0, 0.0, 0.0), (-0.1, 0.0, 0.0)) == "backward, inside"
    assert verdict((0.1, 0.0, 0.0), (0.0, 0.0, 0.0)) == "not at all"


def test_the_share_is_where_on_the_way_the_plane_lies() -> None:
    assert cross((-0.1, 0.0, 0.0), (0.3, 0.0, 0.0)).share.item() == pytest.approx(0.25)
    assert cross((0.3, 0.0, 0.0), (-0.1, 0.0, 0.0)).share.item() == pytest.approx(0.75)
    assert cross((-0.1, 0.0, 0.0), (0.0, 0.0, 0.0)).share.item() == 1.0


@given(start=point, end=point)
def test_the_way_back_meets_the_same_place(start: Point, end: Point) -> None:
    there, back = cross(start, end), cross(end, start)
    assert there.inside.item() == back.inside.item() or math.isclose(abs(start[0]), 0.0, abs_tol=1e-9)
    assert not (there.forward.item() and back.forward.item())


@given(start=point, end=point, cut=st.floats(0.0, 1.0))
def test_a_way_cut_in_two_crosses_as_often_and_in_the_same_place(start: Point, end: Point, cut: float) -> None:
    """Control steps are cuts of a flown path: where they fall must not matter, beyond rounding at the edges."""
    middle = tuple(min(max(a + cut * (b - a), min(a, b)), max(a, b)) for a, b in zip(start, end, strict=True))
    whole, first, second = cross(start, end), cross(start, middle), cross(middle, end)
    assert whole.forward.item() == (first.forward.item() or second.forward.item())
    if abs(end[0] - start[0]) < 1e-6:
        return
    share = start[0] / (start[0] - end[0])
    off_centre = max(abs(a + share * (b - a)) for a, b in zip(start[1:], end[1:], strict=True))
    if min(abs(off_centre - edge) for edge in (HALF - CLEARANCE, HALF + BAR + CLEARANCE)) > 1e-6:
        assert whole.inside.item() == (first.inside.item() or second.inside.item())
        assert whole.struck.item() == (first.struck.item() or second.struck.item())


@given(start=point, end=point)
def test_a_point_passes_wherever_a_ball_does(start: Point, end: Point) -> None:
    ball, mere_point = cross(start, end), cross(start, end, clearance=0.0)
    assert not ball.inside.item() or mere_point.inside.item()
    assert not mere_point.struck.item() or ball.struck.item()


@given(start=point, end=point, quarter=st.integers(1, 3))
def test_a_square_looks_the_same_from_each_of_its_sides(start: Point, end: Point, quarter: int) -> None:
    def turned(p: Point) -> Point:
        x, y, z = p
        for _ in range(quarter):
            y, z = -z, y
        return x, y, z

    for a, b in zip(cross(start, end), cross(turned(start), turned(end)), strict=True):
        assert torch.equal(a, b)
