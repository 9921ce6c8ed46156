"""Estimators against hand-worked numbers, and against plain loops written from their definitions."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hgrpo_control.algorithms import advantages
from hgrpo_control.algorithms.advantages import (
    BranchAdvantages,
    first_episode,
    gae,
    hybrid,
    leave_one_out_baseline,
)

ALL_ALIVE = torch.ones(4, dtype=torch.bool)


class Case(NamedTuple):
    """TD errors of random branches in which episodes end at random."""

    delta: Tensor
    """(T, E, N)."""
    value: Tensor
    """(T, E, N)."""
    done: Tensor
    """(T, E, N)."""
    branch_length: int
    gamma: float
    gae_lambda: float

    def estimate(self, estimator: str) -> BranchAdvantages:
        return hybrid(self.delta, self.value, self.done, self.gamma, self.gae_lambda, self.branch_length, estimator)


@st.composite
def cases(draw: st.DrawFn, max_samples: int = 4, max_branches: int = 3) -> Case:
    branches, steps = draw(st.integers(1, max_branches)), draw(st.integers(1, 4))
    envs, samples = draw(st.integers(1, 3)), draw(st.integers(1, max_samples))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    shape = (branches * steps, envs, samples)
    delta, value = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    done = torch.rand(shape, generator=generator) < draw(st.sampled_from([0.0, 0.1, 0.4]))
    return Case(delta, value, done, steps, draw(st.sampled_from([0.9, 1.0])), draw(st.sampled_from([0.0, 0.5, 1.0])))


many = settings(max_examples=60)


def test_gae_of_three_steps() -> None:
    # r = 1, V = 0.5 everywhere: delta = 1 + 0.9 * 0.5 - 0.5 = 0.95, factor 0.9 * 0.8 = 0.72
    # A_2 = 0.95, A_1 = 0.95 + 0.72 * 0.95 = 1.634, A_0 = 0.95 + 0.72 * 1.634 = 2.12648
    one, half = torch.ones(3, dtype=torch.float64), torch.full((3,), 0.5, dtype=torch.float64)
    never = torch.zeros(3, dtype=torch.bool)
    delta = advantages.td_error(one, half, half, never, 0.9)
    assert gae(delta, never, 0.9, 0.8).tolist() == pytest.approx([2.12648, 1.634, 0.95])


def test_lambda_0_and_1_are_the_one_step_error_and_the_monte_carlo_error() -> None:
    # r = 1, 2, 3, V = 0.5 0.25 2 and 4 after the end, gamma 0.5: delta = 0.625, 2.75, 3
    # lambda = 1: r_0 + r_1 / 2 + r_2 / 4 + 4 / 8 - V_0 = 1 + 1 + 0.75 + 0.5 - 0.5 = 2.75
    reward, value = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, 0.25, 2.0])
    never = torch.zeros(3, dtype=torch.bool)
    delta = advantages.td_error(reward, value, torch.tensor([0.25, 2.0, 4.0]), never, 0.5)
    assert delta.tolist() == pytest.approx([0.625, 2.75, 3.0])
    assert gae(delta, never, 0.5, 0.0).tolist() == delta.tolist()
    assert gae(delta, never, 0.5, 1.0)[0].item() == pytest.approx(2.75)


@pytest.mark.parametrize(("terminated", "middle"), [(True, 1.0 - 0.5), (False, 1.0 + 0.9 * 7.0 - 0.5)])
def test_the_end_of_an_episode_cuts_the_recursion(terminated: bool, middle: float) -> None:
    # r = 1, V = 0.5; the second of three steps ends an episode whose last observation has V = 7. Terminated: r - V;
    # truncated: r + gamma V(final) - V. Either way nothing of the third step comes back.
    done = torch.tensor([False, True, False])
    next_value = torch.tensor([0.5, 7.0, 0.5], dtype=torch.float64)
    half = torch.full((3,), 0.5, dtype=torch.float64)
    delta = advantages.td_error(torch.ones(3, dtype=torch.float64), half, next_value, done & terminated, 0.9)
    estimate = gae(delta, done, 0.9, 0.8).tolist()
    assert estimate == pytest.approx([0.95 + 0.72 * middle, middle, 0.95])


def test_what_follows_a_terminated_step_is_never_looked_at() -> None:
    ended, unknown = torch.tensor([True]), torch.tensor([torch.nan])
    assert advantages.td_error(torch.ones(1), torch.zeros(1), unknown, ended, 0.9).item() == 1.0


def test_leave_one_out_of_1_2_3_4() -> None:
    # others' means 3, 8/3, 7/3, 2: differences -2, -2/3, 2/3, 2
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])
    advantage = x - leave_one_out_baseline(x, ALL_ALIVE)
    assert advantage.tolist() == pytest.approx([-2.0, -2.0 / 3.0, 2.0 / 3.0, 2.0], abs=1e-6)


@pytest.mark.parametrize("constant", [0.1, 0.3, 1.0 / 3.0, -5.3, 1e6, 0.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("samples", [2, 3, 7])
def test_a_constant_group_gives_exact_zeros(constant: float, dtype: torch.dtype, samples: int) -> None:
    x = torch.full((samples,), constant, dtype=dtype)
    assert not (x - leave_one_out_baseline(x, torch.ones(samples, dtype=torch.bool))).any()


def test_in_an_all_negative_group_the_better_sample_gets_the_larger_advantage() -> None:
    x = torch.tensor([-2.0, -1.0])
    assert (x - leave_one_out_baseline(x, ALL_ALIVE[:2])).tolist() == [-1.0, 1.0]


def test_the_literal_group_mean_minus_the_group_mean_is_zero() -> None:
    # eq. 7 averages R_i - E[R] over the group and eq. 8 takes E[R] from the same group; so does the mean over the
    # group of what the group estimator gives each sample, though the samples themselves differ
    reward = torch.randn(1, 100, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    zero = torch.zeros_like(reward)
    advantage = hybrid(reward, zero, zero.bool(), 0.0, 1.0, 1, "group").advantage
    assert advantage.mean(-1).abs().max() < 1e-15
    assert advantage.abs().min() > 1e-4


def test_an_unknown_estimator_is_refused() -> None:
    zero = torch.zeros(2, 1, 2)
    with pytest.raises(ValueError, match="unknown estimator 'grup'; allowed: group, group_shrunk, per_sample, paper"):
        hybrid(zero, zero, zero.bool(), 0.9, 1.0, 2, "grup")


def lambda_sum(delta: list[float], done: list[bool], start: int, factor: float) -> float:
    """L: sum over l >= start of factor^(l - start) delta_l, cut after the first end."""
    total = 0.0
    for step in range(start, len(delta)):
        total += factor ** (step - start) * delta[step]
        if done[step]:
            break
    return total


def tails(case: Case, env: int) -> list[float]:
    """G_k = A(k) + factor^n alive G_{k+1} for every branch k of a root, and G_K = 0 beyond the rollout."""
    n, factor = case.branch_length, case.gamma * case.gae_lambda
    num_branches = len(case.delta) // n
    following = [0.0] * (num_branches + 1)
    for k in reversed(range(num_branches)):
        delta, done = (x[k * n : k * n + n, env].t().tolist() for x in (case.delta, case.done))
        sums = [lambda_sum(d, e, 0, factor) for d, e in zip(delta, done, strict=True)]
        following[k] = sum(sums) / len(sums) + factor**n * (not any(done[0])) * following[k + 1]
    return following


def by_definition(case: Case, estimator: str) -> BranchAdvantages:
    """The group and per-sample estimators, one number at a time."""
    n, factor = case.branch_length, case.gamma * case.gae_lambda
    steps, num_envs, num_samples = case.delta.shape
    advantage, target, action_value = (torch.empty_like(case.delta) for _ in range(3))
    for env in range(num_envs):
        root = tails(case, env)
        for t in range(steps):
            k, j = divmod(t, n)
            delta, done = (x[k * n : k * n + n, env].t().tolist() for x in (case.delta, case.done))
            in_first_episode = [not any(done[i][:j]) for i in range(num_samples)]
            for i in range(num_samples):
                own = lambda_sum(delta[i], done[i], j, factor)
                tail = factor ** (n - j) * (not any(done[0][j:])) * root[k + 1] if i == 0 else 0.0
                siblings = [m for m in range(num_samples) if m != i and in_first_episode[m]]
                baseline = 0.0
                if estimator == "group" and in_first_episode[i] and siblings:
                    baseline = sum(lambda_sum(delta[m], done[m], j, factor) for m in siblings) / len(siblings)
                advantage[t, env, i] = own + num_samples * tail - baseline
                target[t, env, i] = case.value[t, env, i] + (root[k] if j == 0 else own + tail)
                action_value[t, env, i] = case.value[t, env, i] + own + tail
    return BranchAdvantages(advantage, target, action_value)


@pytest.mark.parametrize("estimator", ["group", "per_sample"])
@many
@given(case=cases())
def test_estimators_follow_their_definition(estimator: str, case: Case) -> None:
    got, expected = case.estimate(estimator), by_definition(case, estimator)
    torch.testing.assert_close(got.advantage, expected.advantage, rtol=0.0, atol=1e-12)
    torch.testing.assert_close(got.value_target, expected.value_target, rtol=0.0, atol=1e-12)
    torch.testing.assert_close(got.action_value_target, expected.action_value_target, rtol=0.0, atol=1e-12)


@many
@given(case=cases())
def test_the_paper_estimator_gives_one_number_per_branch(case: Case) -> None:
    # eq. 16: mean over samples of the discounted rewards + gamma^n V - V, which telescopes into L with lambda = 1
    got, n = case.estimate("paper").advantage, case.branch_length
    for t in range(len(got)):
        start = t - t % n
        for env in range(got.shape[1]):
            delta, done = (x[start : start + n, env].t().tolist() for x in (case.delta, case.done))
            sums = [lambda_sum(d, e, 0, case.gamma) for d, e in zip(delta, done, strict=True)]
            torch.testing.assert_close(got[t, env], torch.full_like(got[t, env], sum(sums) / len(sums)))


@many
@given(case=cases())
def test_equal_root_weights_change_nothing(case: Case) -> None:
    settings = (case.gamma, case.gae_lambda, case.branch_length, "group")
    ones = torch.ones_like(case.delta[:: case.branch_length])
    weighted = hybrid(case.delta, case.value, case.done, *settings, ones)
    for got, expected in zip(weighted, case.estimate("group"), strict=True):
        torch.testing.assert_close(got, expected, rtol=0.0, atol=1e-12)


def test_root_weights_by_hand() -> None:
    # two branches of one step, gamma 0.5, lambda 1, V = 0: L = 1 3 and 2 6, weights 1 0.5 and 1.5 0.5
    # G_1 = (1.5 x 2 + 0.5 x 6) / 2 = 3, G_0 = (1 x 1 + 0.5 x 3) / 2 + 0.5 x 3 = 2.75
    # per sample: 1 + 2 x 0.5 x 3 = 4 for the executed one, weights or not; Q: 1 + 0.5 x 3 = 2.5
    delta = torch.tensor([[[1.0, 3.0]], [[2.0, 6.0]]])
    zero, weight = torch.zeros(2, 1, 2), torch.tensor([[[1.0, 0.5]], [[1.5, 0.5]]])
    got = hybrid(delta, zero, zero.bool(), 0.5, 1.0, 1, "per_sample", weight)
    assert got.advantage.flatten().tolist() == [4.0, 3.0, 2.0, 6.0]
    assert got.value_target.flatten().tolist() == [2.75, 2.75, 3.0, 3.0]
    assert got.action_value_target.flatten().tolist() == [2.5, 3.0, 2.0, 6.0]


@many
@given(case=cases(max_branches=1))
def test_the_group_mean_of_the_per_sample_estimator_is_the_papers_advantage(case: Case) -> None:
    case = case._replace(gae_lambda=1.0)
    per_sample, paper = (case.estimate(name).advantage[0] for name in ("per_sample", "paper"))
    torch.testing.assert_close(per_sample.mean(-1), paper[..., 0], rtol=0.0, atol=1e-12)


def test_one_step_branches_average_every_td_error_of_gae() -> None:
    # n = 1: G is GAE over the group means of delta, and V + G is what V of each root is trained on
    delta = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    zero = torch.zeros_like(delta)
    target = hybrid(delta, zero[..., :1], zero.bool(), 0.9, 0.8, 1, "group").value_target
    expected = gae(delta.mean(-1), zero[..., 0].bool(), 0.9, 0.8)
    torch.testing.assert_close(target, expected.unsqueeze(-1).expand_as(target))


def test_first_episode_ends_with_the_step_that_ends_it() -> None:
    done = torch.tensor([[0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 1]], dtype=torch.bool).t()
    assert first_episode(done).t().int().tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]]


@many
@given(seed=st.integers(0, 2**31), samples=st.integers(2, 6), size=st.floats(-100.0, 100.0))
def test_a_bonus_for_the_whole_group_changes_no_comparison(seed: int, samples: int, size: float) -> None:
    # one-step branches without a tail: R_i + c for all i
    generator = torch.Generator().manual_seed(seed)
    delta = torch.randn(1, 5, samples, generator=generator, dtype=torch.float64)
    bonus = size * torch.randn(1, 5, 1, generator=generator, dtype=torch.float64)
    never = torch.zeros(delta.shape, dtype=torch.bool)
    plain, richer = (hybrid(x, delta, never, 0.9, 1.0, 1, "group").advantage for x in (delta, delta + bonus))
    torch.testing.assert_close(richer, plain, rtol=0.0, atol=1e-12)


@many
@given(case=cases(max_samples=5), seed=st.integers(0, 2**31))
def test_the_order_of_the_siblings_does_not_matter(case: Case, seed: int) -> None:
    siblings = torch.randperm(case.delta.shape[2] - 1, generator=torch.Generator().manual_seed(seed)) + 1
    order = torch.cat((torch.zeros(1, dtype=torch.int64), siblings))
    shuffled = case._replace(delta=case.delta[..., order], value=case.value[..., order], done=case.done[..., order])
    for estimator in ("group", "per_sample", "paper"):
        for got, expected in zip(shuffled.estimate(estimator), case.estimate(estimator), strict=True):
            torch.testing.assert_close(got, expected[..., order], rtol=0.0, atol=1e-12)


@many
@given(case=cases(), factor=st.floats(0.01, 100.0))
def test_advantages_scale_with_the_rewards(case: Case, factor: float) -> None:
    scaled = case._replace(delta=factor * case.delta)
    for estimator in ("group", "per_sample", "paper"):
        expected = factor * case.estimate(estimator).advantage
        torch.testing.assert_close(scaled.estimate(estimator).advantage, expected, rtol=1e-9, atol=1e-9)


@many
@given(seed=st.integers(0, 2**31), sample=st.integers(0, 3))
def test_a_baseline_never_depends_on_the_samples_own_value(seed: int, sample: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, counts = torch.randn(4, generator=generator, dtype=torch.float64), torch.rand(4, generator=generator) < 0.7
    changed = x + 100.0 * (torch.arange(4) == sample)
    before, after = (leave_one_out_baseline(values, counts)[sample].item() for values in (x, changed))
    assert before == pytest.approx(after, abs=1e-9)
