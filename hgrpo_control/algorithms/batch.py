"""What the learner trains on, whichever algorithm made it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from hgrpo_control.algorithms.rollout import Rollout

_GATHERED_ROWS = 262_144


class Batch(NamedTuple):
    """R rows of one observation and the M actions that were drawn there.

    M is N where samples share an observation, else 1.
    """

    observation: Tensor
    """(R, O)."""
    action: Tensor
    """(R, M, A) unclipped, in normalised units."""
    old_log_prob: Tensor
    """(R, M)."""
    advantage: Tensor
    """(R, M)."""
    weight: Tensor
    """(R, M) share of each sample in the policy loss; 0 leaves it out."""
    value: Tensor | None
    """(R,) V when the rollout was drawn; None without critic."""
    value_target: Tensor | None
    """(R,); None without critic."""
    reference_log_prob: Tensor | None = None
    """(R, M) log density of `action` under the reference policy; None without one."""
    wish: Tensor | None = None
    """(R, M, 2, A) directions for the mean and for log sigma, in units of sigma; None for a clipped surrogate."""
    old: Tensor | None = None
    """(R, 2, A) mean and sigma of the policy that acted; None without wishes."""
    memory: Tensor | None = None
    """(R, M) memory of the policy before each row; None for rows that are learned one by one."""
    restart: Tensor | None = None
    """(R,) bool rows in which an episode or a path began; None for rows that are learned one by one."""


def rows_of(batch: Batch, rows: Tensor) -> Batch:
    """The chosen rows (k,) int64 of a batch."""
    # index_select takes half the time of indexing by a tensor.
    columns = (None if column is None else column.index_select(0, rows) for column in batch)
    return Batch(*columns)  # type: ignore[arg-type]


def minibatches_of(batch: Batch, order: Tensor, number: int) -> Iterator[Batch]:
    """A batch in another order, cut into minibatches.

    Args:
        batch: R rows.
        order: (R,) int64 permutation of the rows.
        number: Of minibatches; sizes are those of `Tensor.chunk`.
    """
    size = -(-len(order) // number)
    # To gather many minibatches at once is faster; to gather all of a large batch doubles its memory.
    for rows in order.split(size * max(1, _GATHERED_ROWS // size)):
        yield from blocks_of(rows_of(batch, rows), size)


def blocks_of(batch: Batch, rows: int) -> list[Batch]:
    """Blocks of so many consecutive rows of a batch; the last one may have fewer. They share its memory."""
    columns = [None if column is None else column.split(rows) for column in batch]
    return [
        Batch(*(None if column is None else column[i] for column in columns))  # type: ignore[arg-type]
        for i in range(-(-len(batch.observation) // rows))
    ]


def flatten(rollout: Rollout, advantage: Tensor, weight: Tensor, value_target: Tensor | None) -> Batch:
    """Batch of a rollout's samples.

    Args:
        rollout: Its T E G observations become the R rows of the batch, with M = N / G actions each.
        advantage: (T, E, N).
        weight: (T, E, N).
        value_target: (T, E, N). Siblings that share an observation (G = 1) must share it; the first one's is taken.
    """
    shared = rollout.observation.shape[2]
    return Batch(
        observation=rollout.observation.flatten(0, 2),
        action=by_row(rollout, rollout.action),
        old_log_prob=by_row(rollout, rollout.log_prob),
        advantage=by_row(rollout, advantage),
        weight=by_row(rollout, weight),
        value=None if rollout.value is None else rollout.value.flatten(),
        value_target=None if value_target is None else value_target[:, :, :shared].flatten(),
    )


def by_row(rollout: Rollout, values: Tensor) -> Tensor:
    """(R, M, ...) of values (T, E, N, ...) of a rollout's samples."""
    return values.unflatten(2, (rollout.observation.shape[2], -1)).flatten(0, 2)
