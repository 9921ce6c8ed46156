"""From rollout to rows: nothing is mixed up between steps, roots and samples."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hgrpo_control.algorithms.batch import flatten, minibatches_of, rows_of
from hgrpo_control.algorithms.rollout import Rollout

T, E, N, OBS, ACT = 3, 4, 2, 5, 2


def labels(*shape: int) -> Tensor:
    """Every entry says where it stands."""
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(shape)


def rollout(shared: bool, critic: bool = True) -> Rollout:
    groups = 1 if shared else N
    return Rollout(
        observation=labels(T, E, groups, OBS),
        action=labels(T, E, N, ACT),
        log_prob=labels(T, E, N),
        reward=labels(T, E, N),
        value=labels(T, E, groups) if critic else None,
        next_value=labels(T, E, N) if critic else None,
        terminated=torch.zeros(T, E, N, dtype=torch.bool),
        done=torch.zeros(T, E, N, dtype=torch.bool),
        branch_length=1 if shared else T,
    )


def test_samples_with_observations_of_their_own_become_rows_of_their_own() -> None:
    advantage, weight, target = labels(T, E, N) + 1000.0, labels(T, E, N) + 2000.0, labels(T, E, N) + 3000.0
    batch = flatten(rollout(shared=False), advantage, weight, target)
    assert batch.value is not None
    assert batch.value_target is not None
    row = 0
    for t in range(T):
        for e in range(E):
            for i in range(N):
                number = float((t * E + e) * N + i)
                assert batch.observation[row].tolist() == [number * OBS + k for k in range(OBS)]
                assert batch.action[row].tolist() == [[number * ACT + k for k in range(ACT)]]
                assert (batch.value[row].item(), batch.value_target[row].item()) == (number, number + 3000.0)
                single = (batch.old_log_prob[row], batch.advantage[row], batch.weight[row])
                assert [x.tolist() for x in single] == [[number], [number + 1000.0], [number + 2000.0]]
                row += 1
    assert row == len(batch.observation)


def test_samples_that_share_an_observation_share_a_row() -> None:
    advantage, weight, target = labels(T, E, N) + 1000.0, labels(T, E, N) + 2000.0, labels(T, E, 1).expand(T, E, N)
    batch = flatten(rollout(shared=True), advantage, weight, target)
    assert batch.value is not None
    assert batch.value_target is not None
    assert batch.action.shape == (T * E, N, ACT)
    for row in range(T * E):
        samples = [float(row * N + i) for i in range(N)]
        assert batch.observation[row].tolist() == [float(row * OBS + k) for k in range(OBS)]
        assert batch.action[row].tolist() == [[number * ACT + k for k in range(ACT)] for number in samples]
        assert batch.old_log_prob[row].tolist() == samples
        assert batch.advantage[row].tolist() == [number + 1000.0 for number in samples]
        assert batch.weight[row].tolist() == [number + 2000.0 for number in samples]
        assert batch.value[row].item() == batch.value_target[row].item() == float(row)


@pytest.mark.parametrize("critic", [True, False])
def test_chosen_rows_stay_together(critic: bool) -> None:
    target = labels(T, E, N) + 3000.0 if critic else None
    batch = flatten(rollout(False, critic), labels(T, E, N) + 1000.0, labels(T, E, N) + 2000.0, target)
    rows = T * E * N
    batch = batch._replace(
        reference_log_prob=labels(rows, 1) + 4000.0, wish=labels(rows, 1, 2, ACT), old=labels(rows, 2, ACT)
    )
    batch = batch._replace(memory=labels(rows, 3), restart=labels(rows) % 2 == 0)
    rows = torch.tensor([5, 0, 17, 5])
    chosen = rows_of(batch, rows)
    assert chosen.old_log_prob.flatten().tolist() == rows.tolist()
    for part, whole in zip(chosen, batch, strict=True):
        assert (part is None) == (whole is None) == (not critic and whole is None)
        assert part is None or whole is None or torch.equal(part, whole[rows])


@pytest.mark.parametrize("critic", [True, False])
@pytest.mark.parametrize("number", [1, 4, 5])
def test_minibatches_are_the_chunks_of_the_order(critic: bool, number: int) -> None:
    target = labels(T, E, N) + 3000.0 if critic else None
    batch = flatten(rollout(False, critic), labels(T, E, N) + 1000.0, labels(T, E, N) + 2000.0, target)
    order = torch.randperm(T * E * N, generator=torch.Generator().manual_seed(0))
    minibatches = minibatches_of(batch, order, number)
    for minibatch, rows in zip(minibatches, order.chunk(number), strict=True):
        for part, whole in zip(minibatch, rows_of(batch, rows), strict=True):
            assert (part is None) == (whole is None)
            assert part is None or whole is None or torch.equal(part, whole)


def test_without_critic_there_is_nothing_to_regress_on() -> None:
    batch = flatten(rollout(False, critic=False), labels(T, E, N), labels(T, E, N), None)
    assert batch.value is None
    assert batch.value_target is None
