"""Triangles of geoms and shapes."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from hgrpo_control.watch.meshes import BLOCK, Mesh, batches_of, floor_height, parts_of, unit_mesh
from robots.drawing.shapes import Shape
from robots.mujoco.batch import without_warnings

VOLUMES = {"box": 8.0, "sphere": 4.0 / 3.0 * np.pi, "cylinder": 2.0 * np.pi}


def volume(mesh: Mesh) -> float:
    """Enclosed volume; positive where the faces look outwards."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6.0)


@pytest.mark.parametrize("kind", VOLUMES)
def test_unit_meshes_are_closed_look_outwards_and_reach_1(kind: str) -> None:
    mesh = unit_mesh(kind)
    assert volume(mesh) == pytest.approx(VOLUMES[kind], rel=0.03)
    np.testing.assert_allclose(np.abs(mesh.vertices).max(axis=0), 1.0, rtol=0.02)


def test_geoms_become_meshes_in_their_size_and_colour() -> None:
    with without_warnings():
        model = mujoco.MjModel.from_xml_string(
            """<mujoco><worldbody><geom type="plane" size="1 1 1" pos="0 0 -0.5"/>
            <body><freejoint/><geom name="rod" type="capsule" size="0.1 0.4" rgba="1 0 0 1"/>
            <geom name="hidden" type="sphere" size="0.1" group="4"/><geom type="box" size="0.1 0.2 0.3"/></body>
            </worldbody></mujoco>"""
        )
    rod, box = parts_of(model)
    assert (rod.name, rod.body, rod.rgba) == ("rod", 1, (1.0, 0.0, 0.0, 1.0))
    assert volume(rod.mesh) == pytest.approx(np.pi * 0.01 * 0.8 + 4.0 / 3.0 * np.pi * 0.001, rel=0.03)
    np.testing.assert_allclose(rod.mesh.vertices[:, 2].max(), 0.5)
    np.testing.assert_allclose(box.mesh.vertices.max(axis=0), (0.1, 0.2, 0.3))
    assert floor_height(model) == pytest.approx(-0.5)


def test_shapes_become_instances_of_unit_meshes() -> None:
    turned = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])  # z becomes x
    shapes = [
        Shape("sphere", (0.2,), (1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.5)),
        Shape("cylinder", (0.1, 0.6), (0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 1.0)),
        Shape("capsule", (0.1, 0.6), (0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0), turned),
    ]
    batches = batches_of(shapes)
    assert set(batches) == {"sphere", "cylinder"}
    assert all(len(batch.positions) == BLOCK for batch in batches.values())
    np.testing.assert_allclose(batches["cylinder"].scales[:3], [[0.1, 0.1, 0.6], [0.1, 0.1, 0.6], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(batches["sphere"].positions[1:3], [[-0.6, 0.0, 1.0], [0.6, 0.0, 1.0]], atol=1e-9)
    np.testing.assert_allclose(batches["sphere"].rgba[0], (1.0, 0.0, 0.0, 0.5))
