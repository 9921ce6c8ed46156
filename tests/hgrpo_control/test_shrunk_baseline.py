"""The leave-one-out baseline shrunk by what siblings share."""

from __future__ import annotations

import pytest
import torch

from hgrpo_control.advantages import leave_one_out_baseline, shrunk_baseline

ALL = torch.ones(1, 2, 2, dtype=torch.bool)


def test_siblings_that_share_everything_are_taken_at_full_weight() -> None:
    # Groups (3, 3) and (1, 1): mean square 20 / 4 = 5, mean product of siblings 20 / 4 = 5, so rho = 1.
    x = torch.tensor([[[3.0, 3.0], [1.0, 1.0]]])
    torch.testing.assert_close(shrunk_baseline(x, ALL), x)


def test_siblings_that_share_nothing_are_not_listened_to() -> None:
    # Groups (1, -1) and (-1, 1): every product of siblings is -1, so rho is cut at 0.
    x = torch.tensor([[[1.0, -1.0], [-1.0, 1.0]]])
    torch.testing.assert_close(shrunk_baseline(x, ALL), torch.zeros_like(x))


def test_known_answer_in_between() -> None:
    # Groups (2, 1) and (-2, -1): mean square 10 / 4, mean product 8 / 4, rho = 0.8; M = 1 sibling gives c = 0.8.
    x = torch.tensor([[[2.0, 1.0], [-2.0, -1.0]]])
    expected = torch.tensor([[[0.8, 1.6], [-0.8, -1.6]]])
    torch.testing.assert_close(shrunk_baseline(x, ALL), expected)


def test_three_siblings_predict_better_than_one() -> None:
    # rho = 1/2 and M = 3: c = 3/2 / (1 + 2/2) = 3/4, checked on many groups with equal shared and own variance.
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(1, 200_000, 1, generator=generator, dtype=torch.float64)
    x = shared + torch.randn(1, 200_000, 4, generator=generator, dtype=torch.float64)
    counts = torch.ones_like(x, dtype=torch.bool)
    full = leave_one_out_baseline(x, counts)
    slope = (shrunk_baseline(x, counts) * full).mean() / full.square().mean()
    assert slope.item() == pytest.approx(0.75, abs=0.01)
    # Best linear prediction leaves 2 (1 - c rho) = 2 (1 - 3/8) = 5/4, the full mean of three siblings 1 + 1/3.
    assert (x - shrunk_baseline(x, counts)).var().item() == pytest.approx(1.25, rel=0.01)
    assert (x - full).var().item() == pytest.approx(4 / 3, rel=0.01)


def test_samples_past_their_first_episode_neither_count_nor_get_a_baseline() -> None:
    x = torch.tensor([[[2.0, 1.0, 100.0], [-2.0, -1.0, -50.0]]])
    counts = torch.tensor([[[True, True, False], [True, True, False]]])
    expected = torch.tensor([[[0.8, 1.6, 0.0], [-0.8, -1.6, 0.0]]])  # as without the third column
    torch.testing.assert_close(shrunk_baseline(x, counts), expected)


def test_one_sample_per_group_has_no_baseline() -> None:
    x = torch.tensor([[[4.0], [2.0]]])
    torch.testing.assert_close(shrunk_baseline(x, torch.ones_like(x, dtype=torch.bool)), torch.zeros_like(x))


def test_each_step_of_a_branch_has_its_own_weight() -> None:
    x = torch.tensor([[[3.0, 3.0], [1.0, 1.0]], [[1.0, -1.0], [-1.0, 1.0]]])
    expected = torch.stack((x[0], torch.zeros(2, 2)))
    torch.testing.assert_close(shrunk_baseline(x, torch.ones_like(x, dtype=torch.bool)), expected)


def test_scaling_and_the_order_of_siblings_go_through() -> None:
    generator = torch.Generator().manual_seed(1)
    x = 0.5 + torch.randn(3, 50, 4, generator=generator, dtype=torch.float64)
    counts = torch.rand(3, 50, 4, generator=generator) > 0.2
    base = shrunk_baseline(x, counts)
    torch.testing.assert_close(shrunk_baseline(-2.5 * x, counts), -2.5 * base)
    torch.testing.assert_close(shrunk_baseline(x.flip(-1), counts.flip(-1)), base.flip(-1))
