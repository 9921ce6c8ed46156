"""Triangles of MuJoCo's geoms and of `Shape`s."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.drawing.shapes import Shape

Floats = NDArray[np.float64]

BLOCK = 32
"""Batches have a multiple of this number of instances, the last of size 0, because another number is sent as new."""
_SECTORS = 24  # of round meshes
_VISIBLE_GROUPS = 3  # MuJoCo's viewers show geoms of the groups 0 to 2
_GREY = np.array((0.5, 0.5, 0.5, 1.0), dtype=np.float32)  # a geom without a colour of its own
_KINDS = ("box", "sphere", "cylinder")


class Mesh(NamedTuple):
    """A mesh of triangles."""

    vertices: Floats
    """(V, 3) [m]."""
    faces: NDArray[np.int64]
    """(F, 3) indices of vertices."""
    flat: bool = False
    """Whether its faces are drawn flat."""


class Part(NamedTuple):
    """A geom of a model, fixed to a body."""

    name: str
    body: int
    mesh: Mesh
    position: Floats
    """(3,) in the body's frame [m]."""
    quaternion: Floats
    """(4,) wxyz, geom to body."""
    rgba: tuple[float, ...]


class Batch(NamedTuple):
    """Instances of one unit mesh."""

    positions: Floats
    """(N, 3) [m]."""
    quaternions: Floats
    """(N, 4) wxyz."""
    scales: Floats
    """(N, 3) half lengths along the axes of the mesh [m]."""
    rgba: Floats
    """(N, 4)."""


def parts_of(model: Any) -> Iterator[Part]:
    """Every visible geom of a model but its planes; a height field is left out."""
    for geom in range(model.ngeom):
        mesh = _mesh(model, geom)
        if mesh is not None and model.geom_group[geom] < _VISIBLE_GROUPS:
            where = np.array(model.geom_pos[geom]), np.array(model.geom_quat[geom])
            name = model.geom(geom).name or f"geom_{geom}"
            yield Part(name, int(model.geom_bodyid[geom]), mesh, *where, _colour(model, geom))


def floor_height(model: Any) -> float | None:
    """Height of the lowest plane of the world that faces up [m]; None without one."""
    planes = np.flatnonzero((model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE) & (model.geom_bodyid == 0))
    return float(model.geom_pos[planes, 2].min()) if len(planes) else None


@cache
def unit_mesh(kind: str) -> Mesh:
    """Mesh of a box, sphere or cylinder along z whose half lengths are 1."""
    if kind == "sphere":
        return _capsule(1.0, 0.0)
    if kind == "box":
        return _turned(((0.0, -1.0), (math.sqrt(2.0), -1.0), (math.sqrt(2.0), 1.0), (0.0, 1.0)), 4)._replace(flat=True)
    return _turned(((0.0, -1.0), (1.0, -1.0), (1.0, 1.0), (0.0, 1.0)))._replace(flat=True)


def batches_of(shapes: Sequence[Shape]) -> dict[str, Batch]:
    """Shapes as instances of the unit meshes, by the kind of mesh; kinds without an instance are left out."""
    sorted_shapes: dict[str, list[Shape]] = {kind: [] for kind in _KINDS}
    for shape in shapes:
        for piece in _pieces(shape):
            sorted_shapes["sphere" if piece.kind == "ellipsoid" else piece.kind].append(piece)
    return {kind: _batch(kind, found) for kind, found in sorted_shapes.items() if found}


def _batch(kind: str, shapes: Sequence[Shape]) -> Batch:
    positions = np.array([shape.position for shape in shapes], dtype=np.float64)
    quaternions = np.empty((len(shapes), 4))
    for quaternion, shape in zip(quaternions, shapes, strict=True):
        mujoco.mju_mat2Quat(quaternion, np.asarray(shape.rotation, dtype=np.float64).reshape(9))
    scales = np.array([_half_lengths(kind, shape.size) for shape in shapes])
    rgba = np.array([shape.rgba for shape in shapes], dtype=np.float64)
    spare = -len(shapes) % BLOCK
    return Batch(*(np.pad(x, ((0, spare), (0, 0))) for x in (positions, quaternions, scales, rgba)))


def _half_lengths(kind: str, size: Sequence[float]) -> tuple[float, ...]:
    if kind == "cylinder":
        return size[0], size[0], size[1]
    return (size[0],) * 3 if len(size) == 1 else tuple(size)


def _pieces(shape: Shape) -> tuple[Shape, ...]:
    """The shape, or cylinder and two spheres of a capsule."""
    if shape.kind != "capsule":
        return (shape,)
    radius, half = shape.size
    along = half * np.asarray(shape.rotation)[:, 2]
    ends = (np.asarray(shape.position) + side * along for side in (-1.0, 1.0))
    return (shape._replace(kind="cylinder"), *(shape._replace(kind="sphere", size=(radius,), position=e) for e in ends))


def _mesh(model: Any, geom: int) -> Mesh | None:
    """Mesh of a geom in its own frame; None for planes, height fields and others without a mesh."""
    kind, size = int(model.geom_type[geom]), [float(x) for x in model.geom_size[geom]]
    types = mujoco.mjtGeom
    if kind == types.mjGEOM_BOX:
        return _scaled(unit_mesh("box"), size)
    if kind == types.mjGEOM_SPHERE:
        return _scaled(unit_mesh("sphere"), size[:1] * 3)
    if kind == types.mjGEOM_ELLIPSOID:
        return _scaled(unit_mesh("sphere"), size)
    if kind == types.mjGEOM_CYLINDER:
        return _scaled(unit_mesh("cylinder"), (size[0], size[0], size[1]))
    if kind == types.mjGEOM_CAPSULE:
        return _capsule(size[0], size[1])
    if kind == types.mjGEOM_MESH:
        which = int(model.geom_dataid[geom])
        first, count = int(model.mesh_vertadr[which]), int(model.mesh_vertnum[which])
        face, faces = int(model.mesh_faceadr[which]), int(model.mesh_facenum[which])
        return Mesh(np.array(model.mesh_vert[first : first + count]), np.array(model.mesh_face[face : face + faces]))
    return None


def _scaled(mesh: Mesh, scale: Sequence[float]) -> Mesh:
    return mesh._replace(vertices=mesh.vertices * np.asarray(scale))


def _capsule(radius: float, half: float) -> Mesh:
    """Capsule along z; a sphere if its half length is 0."""
    angles = np.linspace(0.0, 0.5 * np.pi, _SECTORS // 4 + 1)
    upper = [(radius * math.cos(a), half + radius * math.sin(a)) for a in angles.tolist()]
    return _turned([(r, -z) for r, z in upper[::-1]] + upper)


def _turned(profile: Sequence[tuple[float, float]], sectors: int = _SECTORS) -> Mesh:
    """Surface of a profile (radius, z), from below, that turns about z; a prism with few sectors."""
    turn = 2.0 * np.pi / sectors * (np.arange(sectors) + 0.5)
    rings = [np.stack((r * np.cos(turn), r * np.sin(turn), np.full(sectors, z)), axis=1) for r, z in profile]
    here = np.arange(sectors)
    following = (here + 1) % sectors
    faces = []
    for first in range(0, (len(profile) - 1) * sectors, sectors):
        a, b, c, d = first + here, first + following, first + sectors + following, first + sectors + here
        faces += [np.stack((a, b, c), axis=1), np.stack((a, c, d), axis=1)]
    return Mesh(np.concatenate(rings), np.concatenate(faces))


def _colour(model: Any, geom: int) -> tuple[float, ...]:
    """Colour of a geom; that of its material if it has none of its own, as MuJoCo draws it."""
    material = int(model.geom_matid[geom])
    own = model.geom_rgba[geom]
    shown = model.mat_rgba[material] if material >= 0 and np.array_equal(own, _GREY) else own
    return tuple(float(x) for x in shown)
