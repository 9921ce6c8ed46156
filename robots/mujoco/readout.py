"""Values that a robot reads from its simulations, and sums for single rows.

The sums round as numpy rounds a single row.

Gymnasium computes rewards row by row. A batch gives the same bits only if every sum runs in the same order, so robots
of Gymnasium's tasks must use the functions below.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Derived(NamedTuple):
    """A field of MjData that is read but is not part of the integration state.

    MuJoCo computes it before the last physics step, so it lags one physics step behind positions and velocities, as in
    Gymnasium's tasks. It must therefore be part of the state.
    """

    field: str
    """Name in MjData."""
    rows: tuple[str, ...] = ()
    """Names of the bodies or sites to read; empty for the whole field."""


class Readout(NamedTuple):
    """B simulations at one instant."""

    qpos: np.ndarray
    """(B, nq) positions [m or rad, or quaternion entries]."""
    qvel: np.ndarray
    """(B, nv) velocities [m/s or rad/s]."""
    control: np.ndarray
    """(B, nu) controls of the last step."""
    derived: Mapping[str, np.ndarray]
    """Derived fields (B, ...) by the keys of Robot.derived."""
    body_mass: np.ndarray
    """(B, nbody) masses [kg]; the rows are equal unless masses are randomised."""


class Outcome(NamedTuple):
    """Reward and termination of one step of B simulations."""

    reward: np.ndarray
    """(B,) sum of the terms."""
    terminated: np.ndarray
    """(B,) bool."""
    terms: dict[str, np.ndarray]
    """Terms (B,) of the reward, by Gymnasium's names in `info`."""


def squared_sum(values: np.ndarray) -> np.ndarray:
    """Sum of squares (B,) of each row of (B, ...), rounded as numpy.sum(numpy.square(row))."""
    return np.asarray(np.sum(np.square(values).reshape(len(values), -1), axis=1))


def squared(values: np.ndarray) -> np.ndarray:
    """Squares (B,) as C's pow rounds them.

    numpy computes x**2 of a single number by pow but of an array by a product, which may differ in the last bit.
    """
    return np.array([value**2 for value in values.tolist()], dtype=np.float64)


def length(vectors: np.ndarray) -> np.ndarray:
    """Euclidean length (B,) of vectors (B, k), rounded as numpy.linalg.norm(row)."""
    return np.asarray(np.sqrt(np.matmul(vectors[:, None, :], vectors[:, :, None])[:, 0, 0]))
