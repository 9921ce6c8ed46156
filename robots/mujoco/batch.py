"""Many simulations of one MuJoCo model, stepped from and into arrays: `mujoco.batch.Batch` as a pure function.

A `mujoco.batch.Batch` has a fixed number of rows and keeps one warm MjData per thread. A `RowPool` keeps one batch per
number of rows that it has met, rounded up to a power of two, so that no step allocates an MjData.
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
    """Simulations after a call."""

    physics: np.ndarray
    """(B, S) integration states."""
    derived: dict[str, np.ndarray]
    """(B, ...) the fields that were asked for, by key."""
    diverged: np.ndarray
    """(B,) bool, where MuJoCo gave up: not finite, or too large to go on."""


class BoundFields(Protocol):
    """Model fields of a batch's rows."""

    def write(self, factors: np.ndarray) -> None:
        """Give the first B rows the models of `factors` (B, P)."""
        ...


class RowFields(Protocol):
    """Fields of a model that differ from row to row."""

    def bind(self, batch: Any) -> BoundFields:
        """The same fields of a batch's rows."""
        ...


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep MuJoCo from printing warnings and from writing MUJOCO_LOG.TXT into the current folder; here they are read
    from counters."""
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda text: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


class RowPool:
    """Steps any number of rows of `model` by `frame_skip` physics steps, on as many threads as torch computes with.

    `derived` names what is read after a step besides the integration state; `fields` say which model fields differ
    from row to row, None if no row differs.
    """

    def __init__(
        self, model: Any, frame_skip: int, derived: Mapping[str, Derived], fields: RowFields | None = None
    ) -> None:
        self.model, self.frame_skip, self.fields = model, frame_skip, fields
        self.state_size = int(mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION))
        self.selections = {key: (wanted.field, _rows(model, wanted)) for key, wanted in derived.items()}
        self._batches: dict[int, _Batch] = {}

    def step(self, physics: np.ndarray, control: np.ndarray, factors: np.ndarray | None) -> Rows:
        """Advance rows (B, S) under controls (B, nu), held for the whole step; `factors` (B, P) are those of `fields`.

        A row that diverges is reported and its contents mean nothing.
        """
        batch = self._of_size(len(physics))
        batch.load(physics, factors)
        batch.control[: len(physics)] = control
        return batch.run(len(physics), self.frame_skip)

    def initial(self, qpos: np.ndarray, qvel: np.ndarray, factors: np.ndarray | None) -> Rows:
        """Rows at rest in every other respect, with positions (B, nq) and velocities (B, nv), after mj_forward."""
        batch = self._of_size(len(qpos))
        return batch.begin(qpos, qvel, factors)

    def _of_size(self, rows: int) -> _Batch:
        capacity = 1 << max(rows - 1, 0).bit_length()
        if capacity not in self._batches:
            self._batches[capacity] = _Batch(self.model, capacity, self.selections, self.fields)
        return self._batches[capacity]


class _Batch:
    """One mujoco.batch.Batch with the arrays that are bound to it."""

    def __init__(
        self,
        model: Any,
        capacity: int,
        selections: Mapping[str, tuple[str, np.ndarray | slice]],
        fields: RowFields | None,
    ) -> None:
        self.model, self.capacity, self.selections, self.fields = model, capacity, selections, fields
        # Contact forces per body are computed from an MjData as the step left it, so each row needs one of its own.
        self.needs_forces = any(field == _CONTACT_FORCES for field, _ in selections.values())
        self.batch = Batch(model, capacity, nthread=torch.get_num_threads(), persistent=self.needs_forces)
        self.state, self.control = self.batch.state, self.batch.bind("ctrl")
        self.bound = {field: self.batch.bind(field) for field, _ in selections.values() if field != _CONTACT_FORCES}
        self.forces = np.zeros((capacity, model.nbody, 6))
        self.scratch = mujoco.MjData(model) if self.needs_forces else None
        self.factors = None if fields is None else fields.bind(self.batch)
        self.rows: dict[int, np.ndarray | None] = {capacity: None}

    def ids(self, num: int) -> np.ndarray | None:
        """The first `num` rows in the form that Batch takes; None for all."""
        if num not in self.rows:
            self.rows[num] = np.arange(num, dtype=np.int32)
        return self.rows[num]

    def load(self, physics: np.ndarray, factors: np.ndarray | None) -> None:
        """Write rows (B, S) and what is drawn for their models."""
        self.state[: len(physics)] = physics
        if self.factors is not None and factors is not None:
            self.factors.write(factors)

    def begin(self, qpos: np.ndarray, qvel: np.ndarray, factors: np.ndarray | None) -> Rows:
        """Reset the first B rows, write positions and velocities, and compute what follows from them."""
        num = len(qpos)
        if self.factors is not None and factors is not None:
            self.factors.write(factors)
        with without_warnings():
            self.batch.reset(self.ids(num), stage=mujoco.mjtStage.mjSTAGE_NONE.value)
            self.batch.bind("qpos")[:num] = qpos
            self.batch.bind("qvel")[:num] = qvel
            self.batch.forward(self.ids(num))
        self.batch.warning[:] = 0
        self.forces[:num] = 0.0  # as in Gymnasium, where nothing computes them before the first step
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
        """The external force on each body, from the contacts of the last evaluation within the step.

        MuJoCo offers this for one MjData at a time; it is the only loop over rows, 2 % to 8 % of such a step.
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
    """Where components, such as QPOS, lie in an integration row: they follow each other in the order of their bits in
    mjtState."""
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


def _rows(model: Any, wanted: Derived) -> np.ndarray | slice:
    """Indices of named bodies or sites along a field's first axis."""
    if not wanted.rows:
        return slice(None)
    find = model.site if wanted.field.startswith("site_") else model.body
    return np.array([find(name).id for name in wanted.rows])
