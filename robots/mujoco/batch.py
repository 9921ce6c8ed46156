"""Steps of many simulations of one MuJoCo model as pure functions of arrays.

A `mujoco.batch.Batch` has a fixed number of rows and one MjData per thread. A `RowPool` keeps one batch per number of
rows, rounded up to a power of two, so that steps allocate no MjData.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import mujoco
import numpy as np
import torch
from mujoco.batch import Batch, SimulationError

from robots.mujoco.readout import Derived

_DIVERGED = [
    getattr(mujoco.mjtWarning, f"mjWARN_{name}").value for name in ("BADQPOS", "BADQVEL", "BADQACC", "BADCTRL")
]
_CONTACT_FORCES = "cfrc_ext"


class Rows(NamedTuple):
    """B simulations after a call."""

    physics: np.ndarray
    """(B, S) integration states."""
    derived: dict[str, np.ndarray]
    """Selected fields (B, ...) of MjData, by key."""
    diverged: np.ndarray
    """(B,) bool, true where MuJoCo diverged: a value is not finite or too large."""


class BoundFields(Protocol):
    """Model fields of a batch's rows."""

    def write(self, factors: np.ndarray) -> None:
        """Set the models of the first B rows from `factors` (B, P)."""
        ...


class RowFields(Protocol):
    """Fields of a model that differ from row to row."""

    def bind(self, batch: Any) -> BoundFields:
        """Bind the fields to the rows of a batch."""
        ...


@contextmanager
def without_warnings() -> Iterator[None]:
    """Context without MuJoCo's printed warnings and MUJOCO_LOG.TXT; callers read the warning counters."""
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda text: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


class RowPool:
    """Steps any number of rows of a model, with torch's number of threads.

    Args:
        model: The MuJoCo model.
        frame_skip: Physics steps per step.
        derived: Fields of MjData to read after a step, by key.
        fields: Model fields that differ between rows, or None.
    """

    def __init__(
        self, model: Any, frame_skip: int, derived: Mapping[str, Derived], fields: RowFields | None = None
    ) -> None:
        self.model, self.frame_skip, self.fields = model, frame_skip, fields
        self.state_size = int(mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION))
        self.selections = {key: (wanted.field, _rows(model, wanted)) for key, wanted in derived.items()}
        self._batches: dict[int, _Batch] = {}

    def step(self, physics: np.ndarray, control: np.ndarray, factors: np.ndarray | None) -> Rows:
        """Advance B rows with constant controls; the contents of rows that diverge are not valid.

        Args:
            physics: (B, S) integration states.
            control: (B, nu) controls.
            factors: (B, P) factors of `fields`, or None.
        """
        batch = self._of_size(len(physics))
        batch.load(physics, factors)
        batch.control[: len(physics)] = control
        return batch.run(len(physics), self.frame_skip)

    def initial(self, qpos: np.ndarray, qvel: np.ndarray, factors: np.ndarray | None) -> Rows:
        """Initial rows after mj_forward.

        Args:
            qpos: (B, nq) positions.
            qvel: (B, nv) velocities.
            factors: (B, P) factors of `fields`, or None.
        """
        batch = self._of_size(len(qpos))
        return batch.begin(qpos, qvel, factors)

    def _of_size(self, rows: int) -> _Batch:
        capacity = 1 << max(rows - 1, 0).bit_length()
        if capacity not in self._batches:
            self._batches[capacity] = _Batch(self.model, capacity, self.selections, self.fields)
        return self._batches[capacity]


class _Batch:
    """One mujoco.batch.Batch with its bound arrays."""

    def __init__(
        self,
        model: Any,
        capacity: int,
        selections: Mapping[str, tuple[str, np.ndarray | slice]],
        fields: RowFields | None,
    ) -> None:
        self.model, self.capacity, self.selections, self.fields = model, capacity, selections, fields
        # contact forces per body are computed from an MjData after the step, so each row needs its own MjData
        self.needs_forces = any(field == _CONTACT_FORCES for field, _ in selections.values())
        self.batch = Batch(model, capacity, nthread=torch.get_num_threads(), persistent=self.needs_forces)
        self.state, self.control = self.batch.state, self.batch.bind("ctrl")
        self.bound = {field: self.batch.bind(field) for field, _ in selections.values() if field != _CONTACT_FORCES}
        self.forces = np.zeros((capacity, model.nbody, 6))
        self.scratch = mujoco.MjData(model) if self.needs_forces else None
        self.factors = None if fields is None else fields.bind(self.batch)
        self.rows: dict[int, np.ndarray | None] = {capacity: None}

    def ids(self, num: int) -> np.ndarray | None:
        """Indices of the first `num` rows for Batch; None for all rows."""
        if num not in self.rows:
            self.rows[num] = np.arange(num, dtype=np.int32)
        return self.rows[num]

    def load(self, physics: np.ndarray, factors: np.ndarray | None) -> None:
        """Write states (B, S) and factors (B, P) into the first B rows."""
        self.state[: len(physics)] = physics
        if self.factors is not None and factors is not None:
            self.factors.write(factors)

    def begin(self, qpos: np.ndarray, qvel: np.ndarray, factors: np.ndarray | None) -> Rows:
        """Reset the first B rows and call mj_forward; arguments are those of RowPool.initial."""
        num = len(qpos)
        if self.factors is not None and factors is not None:
            self.factors.write(factors)
        with without_warnings():
            self.batch.reset(self.ids(num), stage=mujoco.mjtStage.mjSTAGE_NONE.value)
            self.batch.bind("qpos")[:num] = qpos
            self.batch.bind("qvel")[:num] = qvel
            self.batch.forward(self.ids(num))
        self.batch.warning[:] = 0
        self.forces[:num] = 0.0  # as in Gymnasium, which computes them first after a step
        return self._read(num, np.zeros(num, dtype=bool))

    def run(self, num: int, frame_skip: int) -> Rows:
        """Step the first B rows."""
        failed: list[int] = []
        with without_warnings():
            try:
                self.batch.step(self.ids(num), nstep=frame_skip)
            except SimulationError as error:
                failed = list(error.ids)
        diverged = np.zeros(num, dtype=bool)
        if self.batch.warning.any():
            diverged |= self.batch.warning[:num, _DIVERGED, 1].any(axis=1)
            self.batch.warning[:] = 0
        diverged[failed] = True
        if self.needs_forces:
            self._compute_forces(num)
        return self._read(num, diverged)

    def _compute_forces(self, num: int) -> None:
        """Compute the external force on each body from the contacts of the last physics step.

        MuJoCo computes this for one MjData at a time. It is the only loop over rows: 2 % to 8 % of such a step.
        """
        for row in range(num):
            data = self.batch.get_data(row, self.scratch)
            mujoco.mj_rnePostConstraint(self.model, data)
            self.forces[row] = data.cfrc_ext

    def _read(self, num: int, diverged: np.ndarray) -> Rows:
        derived = {
            key: (self.forces if field == _CONTACT_FORCES else self.bound[field])[:num, rows]
            for key, (field, rows) in self.selections.items()
        }
        return Rows(self.state[:num].copy(), derived, diverged)


def state_slices(model: Any, *components: str) -> dict[str, slice]:
    """Slices of components, such as QPOS, in an integration state.

    The state contains its components in the order of their bits in mjtState.
    """
    slices, start = {}, 0
    wanted = {getattr(mujoco.mjtState, f"mjSTATE_{name}").value: name for name in components}
    for bit in range(mujoco.mjtState.mjNSTATE.value):
        if not mujoco.mjtState.mjSTATE_INTEGRATION.value >> bit & 1:
            continue
        size = int(mujoco.mj_stateSize(model, 1 << bit))
        if 1 << bit in wanted:
            slices[wanted[1 << bit]] = slice(start, start + size)
        start += size
    return slices


def derived_layout(
    model: Any, selections: Mapping[str, tuple[str, np.ndarray | slice]]
) -> tuple[dict[str, tuple[slice, tuple[int, ...]]], int]:
    """Columns and shape of each derived field in the flattened (B, K), and K."""
    data, layout, start = mujoco.MjData(model), {}, 0
    for key, (field, rows) in selections.items():
        shape = getattr(data, field)[rows].shape
        size = int(np.prod(shape))
        layout[key] = (slice(start, start + size), shape)
        start += size
    return layout, start


def _rows(model: Any, wanted: Derived) -> np.ndarray | slice:
    """Indices of named bodies or sites along the first axis of a field."""
    if not wanted.rows:
        return slice(None)
    find = model.site if wanted.field.startswith("site_") else model.body
    return np.array([find(name).id for name in wanted.rows])
