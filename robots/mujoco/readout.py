"""What a robot may read of its simulations, and sums over it that round as numpy rounds those of a single one.

Gymnasium computes rewards row by row. A batch gives the same bits only if every sum runs in the same order, so the
functions below are part of the contract, not a convenience.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Derived(NamedTuple):
    """A field of MjData that observation or reward read although it is no part of the integration state.

    MuJoCo computes it before the last substep of a step, so it lags one substep behind positions and velocities, in
    Gymnasium's tasks as here; that is why it has to be carried in the state.
    """

    field: str
    """Its name in MjData."""
    rows: tuple[str, ...] = ()
    """Names of the bodies or sites that are read; empty takes the whole field."""


class Readout(NamedTuple):
    """B simulations at one instant."""

    qpos: np.ndarray
    """(B, nq) positions [m or rad, or quaternion entries]."""
    qvel: np.ndarray
    """(B, nv) velocities [m/s or rad/s]."""
    control: np.ndarray
    """(B, nu) controls of the step that led here."""
    derived: Mapping[str, np.ndarray]
    """(B, ...) the robot's derived fields by the keys it gave them."""
    body_mass: np.ndarray
    """(B, nbody) masses [kg]; the rows are equal unless masses are randomised."""


class Outcome(NamedTuple):
    """What one step earned in B simulations."""

    reward: np.ndarray
    """(B,) the sum."""
    terminated: np.ndarray
    """(B,) bool."""
    terms: dict[str, np.ndarray]
    """The reward's parts (B,) by the names that Gymnasium gives them in `info`."""


def squared_sum(values: np.ndarray) -> np.ndarray:
    """(B,) sum of squares of all entries of each row of (B, ...), as numpy.sum(numpy.square(row)) rounds it."""
    return np.asarray(np.sum(np.square(values).reshape(len(values), -1), axis=1))


def squared(values: np.ndarray) -> np.ndarray:
    """(B,) squares as C's pow rounds them: so numpy does x**2 for a single number, while for an array it multiplies,
    which differs in the last bit now and then."""
    return np.array([value**2 for value in values.tolist()], dtype=np.float64)


def length(vectors: np.ndarray) -> np.ndarray:
    """(B,) Euclidean length of vectors (B, k), as numpy.linalg.norm(row) rounds it."""
    return np.asarray(np.sqrt(np.matmul(vectors[:, None, :], vectors[:, :, None])[:, 0, 0]))
