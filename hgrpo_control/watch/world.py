"""The 3D scene of a session on the page."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray

from hgrpo_control.watch.meshes import Batch, Part, batches_of, floor_height, parts_of, unit_mesh
from hgrpo_control.watch.session import Flight, Session
from hgrpo_control.watch.views import View, eye, view_of
from robots.drawing.shapes import Shape, bar, path
from robots.quadrotor.scene import FIELD_OF_VIEW

Floats = NDArray[np.float64]

COLOURS = ((31, 95, 235), (235, 120, 20), (20, 150, 80), (180, 50, 160), (120, 90, 60), (200, 40, 40))
"""Colours of the flights, in their order."""
_FLOOR, _LINES, _SECTIONS = (216, 220, 226), (190, 195, 203), (165, 172, 182)
_SKY_TOP, _SKY_BOTTOM = (120, 168, 222), (226, 234, 242)
_TRAIL_RADIUS = 0.012  # m
_TINT = 0.45  # share of the flight's colour in the robots, where there are several
_ARROW_SECONDS, _ARROW_LENGTH, _ARROW_RGBA = 0.6, 0.25, (0.85, 0.1, 0.1, 0.9)  # s; m per m/s
_IDLE = 0.5  # s after the last drag in which the handle of the target stays where it was dropped


class World:
    """Draws the flights of a session.

    Args:
        server: The server of the page.
        session: The flights.
        move_target: Called with the new place (3,) of the target when its handle is dragged.
    """

    def __init__(self, server: viser.ViserServer, session: Session, move_target: Callable[[Floats], None]) -> None:
        self.session = session
        views = [view_of(flight.simulator) for flight in session.flights]
        self.follow = views[0].follow
        """Whether the world moves so that the first robot stays where it is on the page."""
        self.apart = views[0].apart if len(views) > 1 else 0.0
        """Distance between flights [m]."""
        self._pushed: tuple[float, Floats] | None = None
        scene = server.scene
        scene.set_background_image(_sky())
        self._root = scene.add_frame("/world", show_axes=False)
        height = floor_height(views[0].model) if views[0].model is not None else 0.0
        self._floor_height = height or 0.0
        self._floor = scene.add_grid(
            "/world/floor", infinite_grid=True, cell_size=0.5, section_size=1.0, fade_distance=40.0,
            cell_color=_LINES, section_color=_SECTIONS, plane_color=_FLOOR, plane_opacity=1.0, shadow_opacity=0.25,
            position=(0.0, 0.0, self._floor_height), visible=height is not None,
        )  # fmt: skip
        several = len(views) > 1
        self._flights = [
            _DrawnFlight(scene, f"/world/flight_{i}", flight, view, COLOURS[i % len(COLOURS)], several)
            for i, (flight, view) in enumerate(zip(session.flights, views, strict=True))
        ]
        camera = views[0].camera(session.flights[0].state)
        if self.apart > 0.0:  # from the side, so that no robot hides another
            camera = camera._replace(azimuth=camera.azimuth + 40.0, distance=1.5 * camera.distance)
        server.initial_camera.fov = math.radians(FIELD_OF_VIEW)
        server.initial_camera.look_at = np.asarray(camera.centre, dtype=np.float64)
        server.initial_camera.position = eye(camera)
        self._anchor = session.flights[0].position
        self._handle = _TargetHandle(scene, move_target) if session.target is not None else None
        self.draw()

    @property
    def has_target(self) -> bool:
        """Whether there is a handle of the target."""
        return self._handle is not None

    def show_target_handle(self, visible: bool) -> None:
        """Show or hide the handle of the target."""
        if self._handle is not None:
            self._handle.visible = visible

    def show_push(self, velocity: Floats) -> None:
        """Show an arrow at every robot for a moment."""
        self._pushed = self.session.time, velocity

    def draw(self) -> None:
        """Draw the present state."""
        session, flights = self.session, self.session.flights
        if self._pushed is not None and session.time - self._pushed[0] > _ARROW_SECONDS:
            self._pushed = None
        arrow = None if self._pushed is None else self._pushed[1]
        for i, drawn in enumerate(self._flights):
            place = np.array((0.0, i * self.apart, 0.0))
            drawn.draw(place, task=i == 0 or self.apart > 0.0, arrow=arrow)
        self._floor.position = (0.0, 0.0, self._floor_height + float(flights[0].frame[2]))
        if self.follow:
            moved = flights[0].position - self._anchor
            self._root.position = (-float(moved[0]), -float(moved[1]), 0.0)
        if self._handle is not None and (target := session.target) is not None:
            self._handle.follow(target)

    def hold_camera(self) -> None:
        """Follow the robot from where it is now, or stay."""
        moved = np.asarray(self._root.position)
        self._anchor = self.session.flights[0].position + moved


class _TargetHandle:
    """Handle by which the target is dragged."""

    def __init__(self, scene: viser.SceneApi, move_target: Callable[[Floats], None]) -> None:
        self._controls = scene.add_transform_controls(
            "/world/target", scale=0.5, line_width=2.0, disable_rotations=True, depth_test=False
        )
        self._dragged = -math.inf

        @self._controls.on_update
        def _(event: Any) -> None:
            self._dragged = time.monotonic()
            move_target(np.array(self._controls.position, dtype=np.float64))

    @property
    def visible(self) -> bool:
        return self._controls.visible

    @visible.setter
    def visible(self, value: bool) -> None:
        self._controls.visible = value

    def follow(self, target: Floats) -> None:
        """Go to a place (3,), unless somebody drags the handle."""
        if time.monotonic() - self._dragged > _IDLE and not np.allclose(self._controls.position, target, atol=1e-4):
            self._controls.position = tuple(target)


class _DrawnFlight:
    """The nodes of one flight."""

    def __init__(
        self,
        scene: viser.SceneApi,
        root: str,
        flight: Flight,
        view: View,
        colour: tuple[int, int, int],
        several: bool,
    ) -> None:
        self.flight, self.view, self._scene, self._root_name = flight, view, scene, root
        self._colour = colour
        self._rgb = (colour[0] / 255.0, colour[1] / 255.0, colour[2] / 255.0)
        self._root = scene.add_frame(root, show_axes=False)
        self._bodies: dict[int, Any] = {}
        self._geoms: dict[str, Any] = {}
        self._drawn: dict[str, Any] = {}
        self._sent: dict[str, Batch] = {}
        if view.model is not None:
            at_rest = view.poses(flight.state)
            for part in parts_of(view.model):
                if part.body not in self._bodies:
                    name, pose = f"{root}/body_{part.body}", at_rest.get(part.body)
                    self._bodies[part.body] = scene.add_frame(
                        name,
                        show_axes=False,
                        position=(0.0, 0.0, 0.0) if pose is None else pose.position,
                        wxyz=(1.0, 0.0, 0.0, 0.0) if pose is None else pose.quaternion,
                    )
                self._add_part(part, several)
        self._label = scene.add_label(f"{root}/label", flight.pilot.name) if several else None

    def _add_part(self, part: Part, tinted: bool) -> None:
        colour, opacity = np.array(part.rgba[:3]) * 255.0, part.rgba[3]
        if tinted and opacity == 1.0:
            colour = (1.0 - _TINT) * colour + _TINT * np.array(self._colour)
        self._geoms[part.name] = self._scene.add_mesh_simple(
            f"{self._root_name}/body_{part.body}/{part.name}",
            part.mesh.vertices,
            part.mesh.faces,
            color=colour.astype(np.uint8),
            opacity=None if opacity == 1.0 else opacity,
            flat_shading=part.mesh.flat,
            side="double",
            position=tuple(part.position),
            wxyz=tuple(part.quaternion),
        )

    def draw(self, place: Floats, task: bool, arrow: Floats | None) -> None:
        """Draw the present state.

        Args:
            place: (3,) origin of the flight on the page [m].
            task: Whether the parts of the task are drawn too.
            arrow: (3,) push to show [m/s]; None without one.
        """
        flight, state = self.flight, self.flight.state
        origin = place + flight.frame
        self._root.position = tuple(origin)
        for body, pose in self.view.poses(state).items():
            if body in self._bodies:
                self._bodies[body].position = tuple(pose.position)
                self._bodies[body].wxyz = tuple(pose.quaternion)
        for name, opacity in self.view.opacities(state).items():
            if abs(self._geoms[name].opacity - opacity) > 0.02:
                self._geoms[name].opacity = opacity
        here = flight.position - flight.frame
        shapes = list(self.view.shapes(state)) if task else []
        flown = path(np.array(flight.trail) - flight.frame, self._rgb, _TRAIL_RADIUS)
        self._draw_shapes([*shapes, *flown, *_arrow(here, arrow)])
        if self._label is not None:
            self._label.position = tuple(here + np.array((0.0, 0.0, 0.25)))

    def _draw_shapes(self, shapes: list[Shape]) -> None:
        batches = batches_of(shapes)
        for kind in {*self._drawn, *batches}:
            batch = batches.get(kind)
            if batch is None:
                self._drawn[kind].visible = False
                self._sent.pop(kind, None)
            elif kind not in self._sent or not _same(batch, self._sent[kind]):
                self._draw_batch(kind, batch)
                self._sent[kind] = batch

    def _draw_batch(self, kind: str, batch: Batch) -> None:
        colours, opacities = (batch.rgba[:, :3] * 255.0).astype(np.uint8), batch.rgba[:, 3]
        if kind not in self._drawn or len(self._drawn[kind].batched_positions) != len(batch.positions):
            mesh = unit_mesh(kind)
            self._drawn[kind] = self._scene.add_batched_meshes_simple(
                f"{self._root_name}/{kind}", mesh.vertices, mesh.faces, batch.quaternions, batch.positions,
                batched_scales=batch.scales, batched_colors=colours, batched_opacities=opacities.astype(np.float32),
                flat_shading=mesh.flat, lod="off",
            )  # fmt: skip
            return
        node = self._drawn[kind]
        node.visible = True
        node.batched_positions, node.batched_wxyzs = batch.positions, batch.quaternions
        node.batched_scales, node.batched_colors = batch.scales, colours
        node.batched_opacities = opacities.astype(np.float32)


def _arrow(here: Floats, velocity: Floats | None) -> list[Shape]:
    """Arrow that ends at a robot, along a push."""
    if velocity is None or not np.any(velocity):
        return []
    start = here - _ARROW_LENGTH * velocity
    return [bar(start, here, 0.02, _ARROW_RGBA), Shape("sphere", (0.05,), start, _ARROW_RGBA)]


def _same(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _sky() -> NDArray[np.uint8]:
    """Picture of a gradient from the horizon to the zenith."""
    share = np.linspace(0.0, 1.0, 256)[:, None, None]
    rows = (1.0 - share) * np.array(_SKY_TOP) + share * np.array(_SKY_BOTTOM)
    return np.broadcast_to(rows, (256, 8, 3)).astype(np.uint8)
