"""Wishes of a rollout: running moments, the reduction to scores and slopes, and their state."""

from __future__ import annotations

import pytest
import torch

from hgrpo_control import algorithms
from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.run import Config
from hgrpo_control.learning.wishes import LONGEST, Wishes
from hgrpo_control.training.build import build

SIGMA = torch.full((4,), 0.5)


def drawn(algorithm: Algorithm, seed: int = 0) -> tuple[Rollout, Batch]:
    """A rollout of hover with slopes, and its batch."""
    config = Config("quadrotor-hover", algorithm, seed=seed, num_envs=6, rollout_steps=8, total_steps=10_000)
    rollout, _ = build(config).sampler.collect()
    return rollout, algorithms.make_batch(rollout, algorithm)


EVERY_ALGORITHM = [
    PPO(pathwise="auto"),
    GRPO(num_samples=3, scale="none", pathwise="auto"),
    HybridGRPO(num_samples=3, pathwise="auto"),
    HybridGRPO(num_samples=3, branch_steps=1, pathwise="auto"),
    HybridGRPO(num_samples=1, pathwise="1"),
]


@pytest.mark.parametrize("algorithm", EVERY_ALGORITHM)
def test_every_algorithm_has_wishes(algorithm: Algorithm) -> None:
    rollout, batch = drawn(algorithm)
    wished, figures = Wishes(algorithm).add(batch, rollout, SIGMA)
    assert wished.wish is not None
    assert wished.old is not None
    rows, samples = batch.advantage.shape
    assert wished.wish.shape == (rows, samples, 2, 4)
    assert wished.old.shape == (rows, 2, 4)
    assert torch.isfinite(wished.wish).all()
    assert wished.wish[..., 0, :].norm(dim=-1).max() <= LONGEST * (1.0 + 1e-5)
    assert 0.0 <= figures["pathwise_share"] <= 1.0
    assert figures["score_variance"] > 0.0
    assert figures["slope_variance"] > 0.0


@pytest.mark.parametrize("exploded_first", [True, False])
def test_an_overflow_of_a_variance_does_not_last(exploded_first: bool) -> None:
    algorithm = HybridGRPO(num_samples=3, pathwise="auto")
    rollout, batch = drawn(algorithm)
    assert rollout.slope is not None
    exploded = rollout._replace(slope=rollout.slope * 1e25)  # finite, but not its square
    wishes = Wishes(algorithm)
    for one in (exploded, rollout) if exploded_first else (rollout, exploded):
        _, figures = wishes.add(batch, one, SIGMA)
    _, expected = Wishes(algorithm).add(batch, rollout, SIGMA)
    assert figures == pytest.approx(expected)


def test_the_old_policy_is_the_one_that_acted() -> None:
    algorithm = HybridGRPO(num_samples=3, pathwise="1")
    rollout, batch = drawn(algorithm)
    assert rollout.noise is not None
    wished, _ = Wishes(algorithm).add(batch, rollout, SIGMA)
    assert wished.old is not None
    expected = (rollout.action - SIGMA * rollout.noise).flatten(0, 2)
    torch.testing.assert_close(wished.old[:, 0], expected)
    assert torch.equal(wished.old[:, 1], SIGMA.expand(len(expected), 4))


def test_share_1_is_the_slope_alone() -> None:
    algorithm = HybridGRPO(num_samples=3, pathwise="1")
    rollout, batch = drawn(algorithm)
    other = batch._replace(advantage=torch.randn_like(batch.advantage))
    one, two = (Wishes(algorithm).add(b, rollout, SIGMA)[0].wish for b in (batch, other))
    assert one is not None
    assert two is not None
    assert torch.equal(one, two)


def test_moments_move_by_a_tenth_and_are_saved() -> None:
    algorithm = HybridGRPO(num_samples=3, pathwise="auto")
    wishes, fresh = Wishes(algorithm), Wishes(algorithm)
    assert wishes.state_dict() == {}
    (first, batch), (second, other) = drawn(algorithm), drawn(algorithm, seed=1)
    wishes.add(batch, first, SIGMA)
    before = wishes.moments
    wishes.add(other, second, SIGMA)
    fresh.add(other, second, SIGMA)
    assert before is not None
    assert wishes.moments is not None
    assert fresh.moments is not None
    for old, new, now in zip(before, fresh.moments, wishes.moments, strict=True):
        torch.testing.assert_close(now, 0.9 * old + 0.1 * new)
    loaded = Wishes(algorithm)
    loaded.load_state_dict(wishes.state_dict())
    one, two = (w.add(batch, first, SIGMA)[0].wish for w in (wishes, loaded))
    assert one is not None
    assert two is not None
    assert torch.equal(one, two)


def test_a_rollout_without_slopes_is_refused() -> None:
    rollout, batch = drawn(HybridGRPO(num_samples=3))
    with pytest.raises(ValueError, match="no slopes"):
        Wishes(HybridGRPO(num_samples=3, pathwise="1")).add(batch, rollout, SIGMA)
