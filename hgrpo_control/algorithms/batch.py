"""What the learner trains on, whichever algorithm made it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from hgrpo_control.algorithms.rollout import Rollout


class Batch(NamedTuple):
    """R rows of one observation with the M actions that were drawn there; M is 1 unless samples share an
    observation."""

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
    action_value_target: Tensor | None = None
    """(R, M) what Q of each action is regressed on; None unless samples were guided by Q."""


def rows_of(batch: Batch, rows: Tensor) -> Batch:
    """The chosen rows (k,) int64 of a batch."""
    return Batch(
        batch.observation[rows],
        batch.action[rows],
        batch.old_log_prob[rows],
        batch.advantage[rows],
        batch.weight[rows],
        None if batch.value is None else batch.value[rows],
        None if batch.value_target is None else batch.value_target[rows],
        None if batch.reference_log_prob is None else batch.reference_log_prob[rows],
        None if batch.action_value_target is None else batch.action_value_target[rows],
    )


def minibatches_of(batch: Batch, order: Tensor, number: int) -> list[Batch]:
    """The rows of a batch in the given order (R,) int64, cut into `number` minibatches as `Tensor.chunk` cuts."""
    shuffled = rows_of(batch, order)
    columns = [None if column is None else column.chunk(number) for column in shuffled]
    return [
        Batch(*(None if column is None else column[i] for column in columns))  # type: ignore[arg-type]
        for i in range(len(shuffled.observation.chunk(number)))
    ]


def flatten(
    rollout: Rollout,
    advantage: Tensor,
    weight: Tensor,
    value_target: Tensor | None,
    action_value_target: Tensor | None = None,
) -> Batch:
    """Batch of a rollout's samples with advantage, weight and targets (T, E, N); R = T E G, M = N / G.

    Where siblings share an observation (G = 1) they must share the value target; the first one's is taken.
    """
    shared = rollout.observation.shape[2]
    return Batch(
        observation=rollout.observation.flatten(0, 2),
        action=rollout.action.unflatten(2, (shared, -1)).flatten(0, 2),
        old_log_prob=rollout.log_prob.unflatten(2, (shared, -1)).flatten(0, 2),
        advantage=advantage.unflatten(2, (shared, -1)).flatten(0, 2),
        weight=weight.unflatten(2, (shared, -1)).flatten(0, 2),
        value=None if rollout.value is None else rollout.value.flatten(),
        value_target=None if value_target is None else value_target[:, :, :shared].flatten(),
        action_value_target=None
        if action_value_target is None
        else action_value_target.unflatten(2, (shared, -1)).flatten(0, 2),
    )
