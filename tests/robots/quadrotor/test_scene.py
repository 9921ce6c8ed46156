"""What a picture shows is where it should be, worked out with a pinhole camera."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robots.drawing.offscreen import MissingGraphicsError, require_gl
from robots.drawing.shapes import (
    PATH_SEGMENTS,
    Shape,
    bar,
    path,
)
from robots.quadrotor.body.parameters import preset
from robots.quadrotor.scene import (
    FIELD_OF_VIEW,
    TILE,
    Camera,
    QuadrotorScene,
    chase,
    drawn_offset,
)
from robots.quadrotor.tasks.hover import TARGET, QuadrotorHover

pytestmark = pytest.mark.slow

WIDTH, HEIGHT = 160, 120
FOCAL = 0.5 * HEIGHT / math.tan(math.radians(0.5 * FIELD_OF_VIEW))  # pixels
LEVEL = np.array([1.0, 0.0, 0.0, 0.0])
SPEED = np.full(4, 0.6)
CENTRE = np.array([0.0, 0.0, 1.0])
AHEAD = Camera(CENTRE, 2.0, azimuth=90.0, elevation=0.0)  # looks along +y, so right is +x
ABOVE = Camera(CENTRE, 1.0, azimuth=0.0, elevation=-90.0)  # looks down; +x is up in the picture, +y to the left
ELSEWHERE = np.array([0.0, -30.0, 1.0])  # far behind the camera AHEAD

number = st.floats(-2.0, 2.0)
point = st.tuples(number, number, number)


@pytest.fixture(scope="module")
def scene() -> Iterator[QuadrotorScene]:
    """A scene for small pictures; what uses it is skipped where none can be drawn."""
    try:
        require_gl()
    except MissingGraphicsError as error:
        pytest.skip(str(error))
    scene = QuadrotorScene(preset("cf21B_500"), WIDTH, HEIGHT)
    yield scene
    scene.close()


def pixel(camera: Camera, where: object) -> tuple[float, float]:
    """Column and row at which a pinhole camera sees a point (3,)."""
    a, e = math.radians(camera.azimuth), math.radians(camera.elevation)
    forward = np.array([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)])
    right = np.array([math.sin(a), -math.cos(a), 0.0])
    ray = np.asarray(where) - (np.asarray(camera.centre) - camera.distance * forward)
    depth = ray @ forward
    return 0.5 * WIDTH + FOCAL * (ray @ right) / depth, 0.5 * HEIGHT - FOCAL * (ray @ np.cross(right, forward)) / depth


def changed(one: np.ndarray, other: np.ndarray, threshold: int = 12) -> np.ndarray:
    """(H, W) bool: pixels in which two pictures differ visibly."""
    return np.abs(one.astype(int) - other.astype(int)).max(axis=2) > threshold


def middle(mask: np.ndarray) -> tuple[float, float]:
    """Mean column and row of the pixels that are set, counted from the picture's upper left corner."""
    rows, columns = np.nonzero(mask)
    assert len(rows) > 0, "nothing is visible"
    return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5


def orange(picture: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels of nose and front rotors."""
    red, green, blue = (picture[:, :, i].astype(int) for i in range(3))
    return (red > blue + 70) & (red > green + 30)


def test_a_picture_has_the_asked_size_and_is_not_drawn_over(scene: QuadrotorScene) -> None:
    first = scene.draw(CENTRE, LEVEL, SPEED, CENTRE)
    kept = first.copy()
    scene.draw(CENTRE + 0.2, LEVEL, np.ones(4), None, np.array([[0.0, 0.0, 1.0], [0.5, 0.0, 1.0]]))
    again = scene.draw(CENTRE, LEVEL, SPEED, CENTRE)
    assert (first.shape, first.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
    assert np.array_equal(first, kept)
    assert np.array_equal(first, again)  # nothing of the picture in between is left


@pytest.mark.parametrize("place", [(0.0, 0.0, 1.0), (0.4, 0.3, 1.2), (-0.5, -0.4, 0.8)])
def test_the_quadrotor_shows_at_its_projected_position_only(
    place: tuple[float, float, float], scene: QuadrotorScene
) -> None:
    empty = scene.draw(ELSEWHERE, LEVEL, SPEED, camera=AHEAD)
    mask = changed(scene.draw(np.array(place), LEVEL, SPEED, camera=AHEAD), empty)
    # Rotors at +-offset with discs of 0.7 offset around them: 1.7 offsets to every side, and at most half an offset up.
    # Shadow and plumb line lie below. The silhouette is that of the corners of this box, less what its corners cut off.
    offset = drawn_offset(preset("cf21B_500"))
    signs = (-1.0, 1.0)
    corners = [np.array(place) + offset * np.array([1.7 * i, 1.7 * j, 0.5]) for i in signs for j in signs]
    columns, rows = zip(*(pixel(AHEAD, corner) for corner in corners), strict=True)
    seen = np.nonzero(mask.any(axis=0))[0]
    assert min(columns) - 1 <= seen.min() <= min(columns) + 0.1 * (max(columns) - min(columns))
    assert max(columns) - 0.1 * (max(columns) - min(columns)) <= seen.max() <= max(columns) + 1
    assert not mask[: math.floor(min(rows)) - 1].any()
    column, row = (round(v) for v in pixel(AHEAD, place))
    assert mask[row - 3 : row + 3, column - 3 : column + 3].mean() > 0.5


def test_moving_right_moves_it_right_by_the_focal_length(scene: QuadrotorScene) -> None:
    left, right = (scene.draw(CENTRE + np.array([x, 0.0, 0.0]), LEVEL, SPEED, camera=AHEAD) for x in (-0.3, 0.3))
    shift = middle(orange(right))[0] - middle(orange(left))[0]
    assert shift == pytest.approx(FOCAL * 0.6 / 2.0, abs=1.5)  # 0.6 m at a distance of 2 m


@pytest.mark.parametrize(("heading", "direction"), [(0.0, (0, -1)), (90.0, (-1, 0)), (180.0, (0, 1)), (-90.0, (1, 0))])
def test_the_front_is_orange_and_turns_with_the_heading(
    heading: float, direction: tuple[int, int], scene: QuadrotorScene
) -> None:
    half = math.radians(0.5 * heading)
    picture = scene.draw(CENTRE, np.array([math.cos(half), 0.0, 0.0, math.sin(half)]), SPEED, camera=ABOVE)
    column, row = middle(orange(picture))
    ahead = np.array([column - 0.5 * WIDTH, row - 0.5 * HEIGHT])
    # the front discs' centres lie one drawn rotor offset ahead
    expected = FOCAL * drawn_offset(preset("cf21B_500"))
    assert ahead == pytest.approx(expected * np.array(direction), abs=0.3 * expected)


@pytest.mark.parametrize(("rotor", "side"), [(0, (1, -1)), (1, (1, 1)), (2, (-1, 1)), (3, (-1, -1))])
def test_a_fast_rotor_shows_in_its_own_corner(rotor: int, side: tuple[int, int], scene: QuadrotorScene) -> None:
    idle = scene.draw(CENTRE, LEVEL, np.zeros(4), camera=ABOVE)
    fast = scene.draw(CENTRE, LEVEL, np.eye(4)[rotor], camera=ABOVE)
    column, row = middle(changed(fast, idle))
    # front right, back right, back left, front left: with x up and y to the left these are (right, down) = side
    offset = FOCAL * drawn_offset(preset("cf21B_500"))
    assert column - 0.5 * WIDTH == pytest.approx(side[0] * offset, abs=0.2 * offset)
    assert row - 0.5 * HEIGHT == pytest.approx(side[1] * offset, abs=0.2 * offset)


@pytest.mark.parametrize("radius", [0.1, 0.25])
def test_the_target_is_a_ball_of_the_success_radius(radius: float, scene: QuadrotorScene) -> None:
    wide = QuadrotorScene(preset("cf21B_500"), WIDTH, HEIGHT, target_radius=radius)
    without, shown = (wide.draw(ELSEWHERE, LEVEL, SPEED, target, camera=AHEAD) for target in (None, CENTRE))
    wide.close()
    mask = changed(shown, without)
    ball = mask[: HEIGHT // 2]  # its upper half; the stem hangs below
    # silhouette of a sphere of radius r at distance D: f r / sqrt(D^2 - r^2)
    expected = FOCAL * radius / math.sqrt(2.0**2 - radius**2)
    assert np.count_nonzero(ball.any(axis=0)) == pytest.approx(2 * expected, abs=2)
    assert np.count_nonzero(ball.any(axis=1)) == pytest.approx(expected, abs=1.5)
    assert middle(ball)[0] == pytest.approx(0.5 * WIDTH, abs=0.6)
    red, green, blue = shown[HEIGHT // 2 - 2, WIDTH // 2].astype(int)
    assert green > max(red, blue) + 20


def test_a_tile_of_the_floor_has_the_stated_width(scene: QuadrotorScene) -> None:
    down = Camera((0.5 * TILE, 0.5 * TILE, 0.0), 6.0, azimuth=0.0, elevation=-90.0)
    floor = scene.draw(np.array([30.0, 0.0, 1.0]), LEVEL, SPEED, camera=down).astype(int).mean(axis=2)
    tile = FOCAL * TILE / 6.0  # 27 pixels

    def shade(columns: float, rows: float) -> float:
        row, column = round(0.5 * HEIGHT + rows * tile), round(0.5 * WIDTH + columns * tile)
        return float(floor[row - 3 : row + 3, column - 3 : column + 3].mean())

    here = shade(0, 0)
    for columns, rows in ((1, 0), (-1, 0), (0, 1), (2, 1)):
        assert abs(shade(columns, rows) - here) > 15
    for columns, rows in ((2, 0), (-2, 0), (1, 1), (-1, -1)):
        assert abs(shade(columns, rows) - here) < 5


def test_the_trail_shows_along_its_points_and_fades(scene: QuadrotorScene) -> None:
    trail = np.linspace((-0.6, 0.0, 1.0), (0.6, 0.0, 1.3), 60)
    without, shown = (scene.draw(ELSEWHERE, LEVEL, SPEED, None, t, camera=AHEAD) for t in (None, trail))
    mask = changed(shown, without)
    change = np.abs(shown.astype(int) - without.astype(int)).sum(axis=2)
    strength = []
    for where in trail[5:-5]:
        column, row = (math.floor(v) for v in pixel(AHEAD, where))
        strength.append(int(change[row - 1 : row + 2, column].sum()))
    assert min(strength) > 0
    assert np.mean(strength[-10:]) > 2 * np.mean(strength[:10])
    rows, columns = np.nonzero(mask)
    slope, intercept = np.polyfit(columns + 0.5, rows + 0.5, 1)
    start, end = pixel(AHEAD, trail[0]), pixel(AHEAD, trail[-1])
    assert slope == pytest.approx((end[1] - start[1]) / (end[0] - start[0]), abs=0.03)
    assert intercept + slope * end[0] == pytest.approx(end[1], abs=1.0)


def test_a_task_can_add_shapes_of_its_own(scene: QuadrotorScene) -> None:
    without = scene.draw(ELSEWHERE, LEVEL, SPEED, camera=AHEAD)
    red = (0.9, 0.1, 0.1, 1.0)
    # half a turn about the box's diagonal x + z swaps its x and z axes: the long axis comes to lie along x
    turn = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])
    shapes = [
        Shape("box", (0.05, 0.01, 0.4), (0.0, 0.0, 1.2), red, turn),
        Shape("cylinder", (0.05, 0.3), (-0.5, 0.0, 0.8), red),
    ]
    mask = changed(scene.draw(ELSEWHERE, LEVEL, SPEED, shapes=shapes, camera=AHEAD), without)
    box, cylinder = mask[: round(pixel(AHEAD, (0, 0, 1.13))[1])], mask[round(pixel(AHEAD, (0, 0, 1.05))[1]) :]
    assert np.count_nonzero(box.any(axis=0)) == pytest.approx(FOCAL * 0.8 / 1.99, abs=2)
    assert np.count_nonzero(box.any(axis=1)) == pytest.approx(FOCAL * 0.1 / 1.99, abs=2)
    assert np.count_nonzero(cylinder.any(axis=0)) == pytest.approx(FOCAL * 0.1 / 2.0, abs=2)
    assert middle(cylinder)[0] == pytest.approx(pixel(AHEAD, (-0.5, 0.0, 0.8))[0], abs=1)


def test_too_many_shapes_are_refused(scene: QuadrotorScene) -> None:
    crowd = [Shape("sphere", (0.01,), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0, 1.0))] * 3000
    with pytest.raises(ValueError, match="at most 2000 shapes"):
        scene.draw(CENTRE, LEVEL, SPEED, shapes=crowd)


@given(position=point, target=point)
def test_the_camera_keeps_both_in_the_picture(
    position: tuple[float, float, float], target: tuple[float, float, float]
) -> None:
    camera = chase(position, target)
    for where in (position, target):
        column, row = pixel(camera, where)
        assert 0.0 < column < WIDTH
        assert 0.0 < row < HEIGHT


def test_the_camera_stays_on_a_quadrotor_without_target() -> None:
    assert np.array_equal(chase(CENTRE, None).centre, CENTRE)


@given(start=point, end=point, vertical=st.booleans())
def test_a_bar_reaches_from_start_to_end(
    start: tuple[float, float, float], end: tuple[float, float, float], vertical: bool
) -> None:
    if vertical:
        end = (start[0], start[1], end[2])
    if math.dist(start, end) < 1e-6:
        return
    shape = bar(start, end, 0.01, (0.0, 0.0, 0.0, 1.0))
    along = shape.size[2] * shape.rotation[:, 2]
    assert np.asarray(shape.position) - along == pytest.approx(np.array(start), abs=1e-12)
    assert np.asarray(shape.position) + along == pytest.approx(np.array(end), abs=1e-12)
    assert shape.rotation @ shape.rotation.T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(shape.rotation) == pytest.approx(1.0)


@settings(max_examples=25)
@given(num=st.integers(0, 400))
def test_a_path_joins_the_first_position_with_the_last(num: int) -> None:
    positions = np.cumsum(np.random.default_rng(num).normal(size=(num, 3)), axis=0)
    shapes = path(positions)
    assert len(shapes) == min(max(num - 1, 0), PATH_SEGMENTS)
    ends = [
        (np.asarray(s.position) - s.size[2] * s.rotation[:, 2], np.asarray(s.position) + s.size[2] * s.rotation[:, 2])
        for s in shapes
    ]
    for (_, end), (start, _) in itertools.pairwise(ends):
        assert end == pytest.approx(start)
    if shapes:
        assert ends[0][0] == pytest.approx(positions[0])
        assert ends[-1][1] == pytest.approx(positions[-1])
    opacity = [shape.rgba[3] for shape in shapes]
    assert opacity == sorted(opacity)


def test_a_path_that_stands_still_has_no_bars() -> None:
    assert path(np.tile(CENTRE, (5, 1))) == []


def test_hover_draws_the_asked_row_of_its_state(scene: QuadrotorScene) -> None:
    simulator = QuadrotorHover()
    state = simulator.reset(3, 0)
    before = state.body.values.clone()
    pictures = [simulator.render(state, row, WIDTH, HEIGHT) for row in (0, 1, 0)]
    position, quaternion, rotor_speed = (state.body.parts[i][1].double().numpy() for i in (0, 2, 4))
    expected = scene.draw(position, quaternion, rotor_speed, np.array(TARGET))
    assert np.array_equal(pictures[0], pictures[2])
    assert np.array_equal(pictures[1], expected)
    assert changed(pictures[0], pictures[1]).any()
    assert torch.equal(state.body.values, before)
    assert simulator.render(state, 0, 64, 48).shape == (48, 64, 3)


def test_hover_draws_the_path_it_is_given(scene: QuadrotorScene) -> None:
    simulator = QuadrotorHover()
    state = simulator.reset(1, 0)
    trail = np.linspace((0.3, 0.3, 2.0), state.body.position[0].numpy(), 30)
    plain = simulator.render(state, 0, WIDTH, HEIGHT)
    assert changed(simulator.render(state, 0, WIDTH, HEIGHT, trail=trail), plain).sum() > 20
