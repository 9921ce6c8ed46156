"""GRPO's comparisons against hand-worked numbers, and against plain loops written from their definitions."""

from __future__ import annotations

import math
from itertools import product
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hgrpo_control.algorithms.advantages import discounted_sum
from hgrpo_control.algorithms.group_advantages import (
    compare,
    grpo,
    reward_to_go,
    varies,
)

SCALES, BASELINES, CREDITS = ("group", "batch", "none"), ("mean", "leave_one_out"), ("outcome", "reward_to_go")
COMPARISONS = pytest.mark.parametrize(("scale", "baseline"), [*product(SCALES, BASELINES)])
EVERY_OPTION = pytest.mark.parametrize(("scale", "baseline", "credit"), [*product(SCALES, BASELINES, CREDITS)])
many = settings(max_examples=10)


def compared(x: Tensor, scale: str, baseline: str) -> Tensor:
    """All values of every group (..., N) count."""
    return compare(x, torch.ones_like(x, dtype=torch.bool), scale, baseline)


class Branches(NamedTuple):
    """Rewards and ends of random branches, (n, groups, N)."""

    reward: Tensor
    done: Tensor
    terminated: Tensor


@st.composite
def branches(draw: st.DrawFn, ends: tuple[float, ...] = (0.0, 0.2, 0.5)) -> Branches:
    shape = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(2, 4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    reward = torch.randn(shape, generator=generator, dtype=torch.float64)
    done = torch.rand(shape, generator=generator) < draw(st.sampled_from(ends))
    return Branches(reward, done, done & (torch.rand(shape, generator=generator) < 0.7))


# One group


@pytest.mark.parametrize(
    ("scale", "baseline", "expected"),
    [
        # mean 2.5; the siblings' means are 3, 8/3, 7/3, 2; standard deviation sqrt(5 / 4) = 1.118034
        ("none", "mean", [-1.5, -0.5, 0.5, 1.5]),
        ("none", "leave_one_out", [-2.0, -2.0 / 3.0, 2.0 / 3.0, 2.0]),
        ("group", "mean", [-1.34152, -0.44717, 0.44717, 1.34152]),  # / (1.118034 + 1e-4)
        ("group", "leave_one_out", [-1.78869, -0.59623, 0.59623, 1.78869]),
        ("batch", "mean", [-1.34152, -0.44717, 0.44717, 1.34152]),  # the only group is the whole batch
    ],
)
def test_comparisons_of_1_2_3_4(scale: str, baseline: str, expected: list[float]) -> None:
    x = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    assert compared(x, scale, baseline).tolist() == pytest.approx(expected, abs=1e-5)


def test_the_scale_of_the_batch_is_the_spread_within_groups() -> None:
    # group means 2.5 and 15: squares 5 and 25 + 25 + 25 + 225 = 300, so sqrt(305 / 8) + 1e-4 = 6.174645
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0], [10.0, 10.0, 10.0, 30.0]], dtype=torch.float64)
    advantage = compared(x, "batch", "mean")
    assert advantage[0].tolist() == pytest.approx([-0.242929, -0.080976, 0.080976, 0.242929], abs=1e-6)
    assert advantage[1].tolist() == pytest.approx([-0.809763] * 3 + [2.429290], abs=1e-6)
    alone = compared(x[:1], "batch", "mean")
    assert not torch.allclose(alone[0], advantage[0])


@COMPARISONS
@pytest.mark.parametrize("constant", [0.1, -5.3, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("samples", [3, 7])
def test_a_constant_group_gives_exact_zeros(
    scale: str, baseline: str, constant: float, dtype: torch.dtype, samples: int
) -> None:
    x = torch.stack((torch.full((samples,), constant, dtype=dtype), torch.arange(samples).to(dtype)))
    advantage = compared(x, scale, baseline)
    assert not advantage[0].any()
    assert advantage[1].any()
    assert not compared(x[:1], scale, baseline).any()  # in a batch of nothing else, too


@COMPARISONS
def test_in_an_all_negative_group_the_better_sample_gets_the_larger_advantage(scale: str, baseline: str) -> None:
    worse, better = compared(torch.tensor([-2.0, -1.0]), scale, baseline).tolist()
    assert worse < 0.0 < better


@EVERY_OPTION
def test_a_group_of_one_is_refused(scale: str, baseline: str, credit: str) -> None:
    one = torch.zeros(3, 5, 1)
    with pytest.raises(ValueError, match=r"at least 2 samples .* given 1"):
        grpo(one, one.bool(), one.bool(), 0.9, scale, baseline, credit)


@pytest.mark.parametrize("which", [{"scale": "grup"}, {"baseline": "grup"}, {"credit": "grup"}])
def test_unknown_choices_are_refused(which: dict[str, Any]) -> None:
    zero = torch.zeros(3, 5, 2)
    with pytest.raises(ValueError, match=r"unknown (scale|baseline|credit) 'grup'; allowed: "):
        grpo(zero, zero.bool(), zero.bool(), 0.9, **which)


@pytest.mark.parametrize("samples", [2, 4, 7], ids=lambda n: f"eq. 7 and 8 with N = {n}")
def test_the_papers_grpo_advantage_taken_literally_is_zero(samples: int) -> None:
    # eq. 7-8: A = (mean of the group's returns) - E[R], with E[R] estimated by the mean of the same group
    value = torch.randn(100, samples, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    literal = (value - value.mean(-1, keepdim=True)).mean(-1)
    assert literal.abs().max() < 1e-15
    # DeepSeek's comparison of the same returns says something about each sample, and its group mean is as empty
    scores = compared(value, "group", "mean")
    assert scores.abs().max() > 0.5
    assert scores.mean(-1).abs().max() < 1e-15


def test_values_that_do_not_count_are_not_looked_at() -> None:
    x = torch.tensor([math.nan, 1.0, 3.0, math.inf])
    counts = torch.tensor([False, True, True, False])
    assert compare(x, counts, "none", "mean").tolist() == [0.0, -1.0, 1.0, 0.0]
    assert compare(x, counts, "none", "leave_one_out").tolist() == [0.0, -2.0, 2.0, 0.0]
    assert varies(x, counts).tolist() == [True]
    assert varies(x, counts, 2.0).tolist() == [False]
    assert varies(x, torch.tensor([False, True, False, False])).tolist() == [False]
    assert not compare(x, torch.zeros(4, dtype=torch.bool)).any()


# Branches


def grpo_until_now(reward: Tensor, done: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """The estimator as it was before it had options: z-scores of whole branches, operation by operation."""
    outcome = discounted_sum(reward, done, gamma)[0]
    centred = outcome - outcome[..., :1]
    centred = centred - centred.mean(-1, keepdim=True)
    score = centred / (centred.square().mean(-1, keepdim=True).sqrt() + 1e-4)
    return score.expand_as(reward), ((done.cumsum(0) - done.long()) == 0).to(reward.dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 2, 3, 2), (8, 4, 5, 3), (64, 1, 4, 8), (128, 1, 2, 17)])
def test_the_defaults_are_deepseeks_grpo_bit_for_bit(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    reward = 10.0 * torch.randn(shape, generator=generator, dtype=dtype) + 3.0
    done = torch.rand(shape, generator=generator) < 0.05
    ours, former = grpo(reward, done, done, 0.99), grpo_until_now(reward, done, 0.99)
    assert all(torch.equal(x, y) for x, y in zip(ours, former, strict=True))


def quality(case: Branches, group: int, sample: int, step: int, gamma: float) -> float | None:
    """Reward still to come at a step of a sample's first episode; 0 after it ended for good, None after it was cut."""
    reward, done, terminated = (x[:, group, sample].tolist() for x in case)
    if any(done[:step]):
        return 0.0 if terminated[done.index(True)] else None
    total = 0.0
    for later in range(step, len(reward)):
        total += gamma ** (later - step) * reward[later]
        if done[later]:
            break
    return total


def by_definition(case: Branches, gamma: float, scale: str, baseline: str, credit: str) -> Tensor:
    """Advantages of all steps that act, one number at a time; 0 elsewhere."""
    steps, groups, samples = case.reward.shape
    centred = torch.zeros_like(case.reward)
    spreads: dict[tuple[int, int], float] = {}
    squares: list[float] = []
    for step, group in product(range(steps if credit == "reward_to_go" else 1), range(groups)):
        acting = [not bool(case.done[:step, group, i].any()) for i in range(samples)]
        found = {i: q for i in range(samples) if (q := quality(case, group, i, step, gamma)) is not None}
        if not any(acting):
            continue
        mean = sum(found.values()) / len(found)
        differences = [q - mean for q in found.values()]
        spreads[step, group] = math.sqrt(sum(d * d for d in differences) / len(found))
        squares += [d * d for d in differences]
        for i, q in found.items():
            others = [value for m, value in found.items() if m != i]
            less = mean if baseline == "mean" or not others else sum(others) / len(others)
            centred[step, group, i] = q - less
    if credit == "outcome":
        centred = centred[:1].expand_as(centred).clone()
    for step, group in product(range(steps), range(groups)):
        own = spreads.get((step if credit == "reward_to_go" else 0, group), 0.0)
        divisor = {"group": own + 1e-4, "batch": math.sqrt(sum(squares) / len(squares)) + 1e-4, "none": 1.0}[scale]
        centred[step, group] /= divisor
        for i in range(samples):
            if case.done[:step, group, i].any():
                centred[step, group, i] = 0.0
    return centred


@EVERY_OPTION
@many
@given(case=branches(), gamma=st.sampled_from([0.9, 1.0]))
def test_advantages_follow_their_definition(
    scale: str, baseline: str, credit: str, case: Branches, gamma: float
) -> None:
    advantage, weight = grpo(*case, gamma, scale, baseline, credit)
    assert torch.equal(weight, ((case.done.cumsum(0) - case.done.long()) == 0).to(weight.dtype))
    expected = by_definition(case, gamma, scale, baseline, credit)
    torch.testing.assert_close(advantage * weight, expected, rtol=0.0, atol=1e-9)


# What is still to come


def short_and_long(cut: bool = False) -> Branches:
    """Two branches of three steps that pay 1 each; the second episode of two ends in its second step."""
    reward = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 99.0]], dtype=torch.float64)
    done = torch.tensor([[False, False], [False, True], [False, False]])
    return Branches(reward, done, done & (not cut))


@pytest.mark.parametrize(("baseline", "first"), [("mean", [0.125, 0.25, 0.5]), ("leave_one_out", [0.25, 0.5, 1.0])])
def test_reward_to_go_by_hand(baseline: str, first: list[float]) -> None:
    # gamma 0.5. To come for the first: 1.75, 1.5, 1. For the second: 1.5, 1, and 0 because it is over.
    # less the mean: +-0.125, +-0.25, +-0.5; less the sibling: +-0.25, +-0.5, +-1
    advantage, weight = grpo(*short_and_long(), 0.5, "none", baseline, "reward_to_go")
    assert advantage[:, 0].tolist() == pytest.approx(first)
    assert advantage[:, 1].tolist() == pytest.approx([-x for x in first])
    assert weight.tolist() == [[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]]


def test_a_branch_that_was_cut_by_the_time_limit_leaves_the_comparison() -> None:
    value, counts = reward_to_go(*short_and_long(cut=True), 0.5)
    assert value[:2, 1].tolist() == [1.5, 1.0]
    assert counts.tolist() == [[True, True], [True, True], [True, False]]
    for baseline in BASELINES:  # nobody is left to be compared with
        assert grpo(*short_and_long(cut=True), 0.5, "none", baseline, "reward_to_go")[0][2].tolist() == [0.0, 0.0]


def test_where_nobody_acts_any_more_nobody_is_compared() -> None:
    over = torch.tensor([[True, True], [False, False]])
    _, counts = reward_to_go(torch.ones(2, 2), over, over, 0.9)
    assert counts.tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize(("baseline", "share"), [("mean", 0.75), ("leave_one_out", 1.0)])
def test_every_step_keeps_its_share_of_the_policy_gradient_though_siblings_die(baseline: str, share: float) -> None:
    # Step 0 pays 1 and is survived if a_0 > 0, step 1 pays 1 + a_1; a_j ~ N(m_j, 1), m = (0, 0.5), gamma 0.9, N = 4.
    # J = 1 + 0.9 Phi(m_0) (1 + m_1): dJ/dm_0 = 0.9 phi(0) 1.5 = 0.538563; dJ/dm_1 = 0.9 Phi(0), of which reward-to-go,
    # discounted from its own step, sees 0.5.
    # Compared with the living alone, step 1 would keep 1 - E[1/m] = 0.531 less the mean: m - 1 siblings of the 3 live.
    generator, mean = torch.Generator().manual_seed(0), torch.tensor([0.0, 0.5]).view(2, 1, 1)
    score = torch.randn(2, 100_000, 4, generator=generator, dtype=torch.float64)
    action = mean + score
    reward = torch.stack((torch.ones_like(action[0]), 1.0 + action[1]))
    ended = torch.stack((action[0] <= 0.0, torch.ones_like(action[1], dtype=torch.bool)))
    advantage, weight = grpo(reward, ended, ended, 0.9, "none", baseline, "reward_to_go")
    by_group = (weight * advantage * score).mean(-1)
    error = by_group.std(dim=-1) / math.sqrt(by_group.shape[-1])
    exact = share * torch.tensor([0.538563, 0.5])
    assert bool(((by_group.mean(-1) - exact).abs() < 3.0 * error).all())
    assert float(error.max()) < 0.01
