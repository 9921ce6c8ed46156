"""What GRPO's comparisons do not depend on, where they do after all, and groups in which nobody is better."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hgrpo_control.algorithms.group_advantages import EPSILON, grpo
from hgrpo_control.algorithms.losses import clipped_surrogate

SCALES, BASELINES, CREDITS = ("group", "batch", "none"), ("mean", "leave_one_out"), ("outcome", "reward_to_go")
EVERY_OPTION = pytest.mark.parametrize(("scale", "baseline", "credit"), [*product(SCALES, BASELINES, CREDITS)])
many = settings(max_examples=10)
seeds = st.integers(0, 2**31)


def drawn(seed: int, ends: float = 0.0) -> tuple[Tensor, Tensor]:
    """Rewards and ends (5, 3, 4)."""
    generator = torch.Generator().manual_seed(seed)
    reward = torch.randn(5, 3, 4, generator=generator, dtype=torch.float64)
    return reward, torch.rand(reward.shape, generator=generator) < ends


@EVERY_OPTION
@many
@given(seed=seeds, drop=st.booleans())
def test_the_order_of_the_branches_changes_nothing_but_the_order(
    scale: str, baseline: str, credit: str, seed: int, drop: bool
) -> None:
    reward, done = drawn(seed, 0.2)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    options = (0.9, scale, baseline, credit, drop)
    plain = grpo(reward, done, done, *options)
    shuffled = grpo(reward[..., order], done[..., order], done[..., order], *options)
    for ours, theirs in zip(shuffled, plain, strict=True):
        torch.testing.assert_close(ours, theirs[..., order], rtol=0.0, atol=1e-9)


@EVERY_OPTION
@many
@given(seed=seeds, size=st.floats(-100.0, 100.0))
def test_a_bonus_for_all_branches_of_equal_length_changes_nothing(
    scale: str, baseline: str, credit: str, seed: int, size: float
) -> None:
    reward, never = drawn(seed)
    bonus = size * torch.tensor([1.0, -0.5, 2.0]).view(1, 3, 1)  # each group its own
    plain, richer = (grpo(r, never, never, 0.9, scale, baseline, credit)[0] for r in (reward, reward + bonus))
    torch.testing.assert_close(richer, plain, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("credit", CREDITS)
def test_a_bonus_per_step_pays_whoever_lives_longer(credit: str) -> None:
    # gamma 1; rewards 1, 1 against 1 and the end: returns 2 and 1. One more per step: 4 and 2. Two less: -2 and -1, and
    # dying early is the better branch. A task whose episodes can end has to choose its zero well.
    done = torch.tensor([[False, True], [False, False]])
    first = []
    for bonus in (0.0, 1.0, -1.0, -2.0):
        advantage, _ = grpo(torch.ones(2, 2) + bonus, done, done, 1.0, "none", "leave_one_out", credit)
        first.append(advantage[0].tolist())
    assert first == [[1.0, -1.0], [2.0, -2.0], [0.0, 0.0], [-1.0, 1.0]]


@EVERY_OPTION
@many
@given(seed=seeds, factor=st.floats(0.01, 100.0))
def test_scaling_the_rewards(scale: str, baseline: str, credit: str, seed: int, factor: float) -> None:
    reward, done = drawn(seed, 0.2)
    plain, scaled = (grpo(r, done, done, 0.9, scale, baseline, credit)[0] for r in (reward, factor * reward))
    if scale == "none":
        torch.testing.assert_close(scaled, factor * plain, rtol=1e-9, atol=1e-9)
        return
    # A difference d of spread s gives d / (s + e), and c times as large d / (s + e / c): a share of
    # e |1 - 1/c| / (s + e / c) apart.
    difference = grpo(reward, done, done, 0.9, "none", baseline, credit)[0]
    spread = torch.where(plain == 0.0, 1.0, difference / plain) - EPSILON
    allowed = EPSILON * abs(1.0 - 1.0 / factor) / (spread + EPSILON / factor)
    assert bool(((scaled - plain).abs() <= 1.001 * allowed * plain.abs() + 1e-9).all())
    assert float(allowed[spread > 0.1].max()) < 0.1 + 1e-3 / factor


# Groups in which nobody is better


def loss_of(advantage: Tensor, weight: Tensor) -> float:
    """Policy loss at ratio 1: minus the mean of weight times advantage."""
    zero = torch.zeros_like(advantage)
    return clipped_surrogate(zero, zero, advantage, weight, 0.2).loss.item()


def grouped(*values: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """One-step branches: a group per argument, and nothing ends."""
    reward = torch.tensor([values])
    return reward, torch.zeros(reward.shape, dtype=torch.bool)


@pytest.mark.parametrize("credit", CREDITS)
def test_the_loss_is_the_mean_over_the_groups_that_are_left(credit: str) -> None:
    # 2 of 6 samples are left: they weigh 6 / 2 = 3 each in a mean over 6
    reward, never = grouped((1.0, 2.0), (5.0, 5.0), (3.0, 3.0))
    _, weight = grpo(reward, never, never, 0.9, credit=credit, drop_zero_variance=True)
    assert weight.tolist() == [[[3.0, 3.0], [0.0, 0.0], [0.0, 0.0]]]
    # with an advantage of its own for each sample: -(1 + 2) / 2, as if the others did not exist
    assert loss_of(torch.tensor([[[1.0, 2.0], [7.0, 8.0], [9.0, 9.0]]]), weight) == pytest.approx(-1.5)


@EVERY_OPTION
def test_dropping_leaves_what_training_without_the_dropped_groups_would_give(
    scale: str, baseline: str, credit: str
) -> None:
    reward, done = drawn(3, 0.2)
    same = torch.ones(5, 2, 4, dtype=torch.float64)
    never = torch.zeros(5, 2, 4, dtype=torch.bool)
    more, ends = torch.cat((reward, same), dim=1), torch.cat((done, never), dim=1)
    options = (0.9, scale, baseline, credit)
    advantage, weight = grpo(more, ends, ends, *options, True)
    alone, its_weight = grpo(reward, done, done, *options)
    torch.testing.assert_close(advantage[:, :3], alone)
    torch.testing.assert_close(weight[:, :3], its_weight * 5.0 / 3.0)
    assert not weight[:, 3:].any()
    assert not advantage[:, 3:].any()


@EVERY_OPTION
def test_nothing_to_drop_is_the_same_as_not_dropping(scale: str, baseline: str, credit: str) -> None:
    reward, done = drawn(5, 0.2)
    options = (0.9, scale, baseline, credit)
    dropped, kept = (grpo(reward, done, done, *options, drop) for drop in (True, False))
    assert all(torch.equal(x, y) for x, y in zip(dropped, kept, strict=True))


@EVERY_OPTION
def test_when_every_group_is_dropped_all_weights_are_zero(scale: str, baseline: str, credit: str) -> None:
    same = torch.full((3, 2, 4), 0.1)
    never = torch.zeros(same.shape, dtype=torch.bool)
    advantage, weight = grpo(same, never, never, 0.9, scale, baseline, credit, True)
    assert not weight.any()
    assert not advantage.any()


def test_what_is_still_to_come_is_dropped_step_by_step() -> None:
    # rewards 1, 1 against 2, 1: the first step decides, in the second nobody is better; the whole branch is one outcome
    reward, never = torch.tensor([[[1.0, 2.0]], [[1.0, 1.0]]]), torch.zeros(2, 1, 2, dtype=torch.bool)
    weights = [grpo(reward, never, never, 0.9, credit=c, drop_zero_variance=True)[1].tolist() for c in CREDITS]
    assert weights == [[[[1.0, 1.0]], [[1.0, 1.0]]], [[[2.0, 2.0]], [[0.0, 0.0]]]]


def test_outcomes_that_differ_by_rounding_are_equal() -> None:
    # the same three rewards in another order: 0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1 in binary
    reward = torch.tensor([[0.1, 0.3], [0.2, 0.2], [0.3, 0.1]], dtype=torch.float64).unsqueeze(1)
    never = torch.zeros(reward.shape, dtype=torch.bool)
    assert 0.1 + (0.2 + 0.3) != 0.3 + (0.2 + 0.1)
    assert not grpo(reward, never, never, 1.0, drop_zero_variance=True)[1].any()
    reward[0, 0, 0] += 1e-12
    assert grpo(reward, never, never, 1.0, drop_zero_variance=True)[1].all()
