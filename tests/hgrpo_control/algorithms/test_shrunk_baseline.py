"""The leave-one-out baseline shrunk by what siblings share."""

from __future__ import annotations

import pytest
import torch

from hgrpo_control.algorithms.advantages import leave_one_out_baseline, shrunk_baseline

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


def test_the_weight_of_a_root_is_measured_on_the_others() -> None:
    # Groups (2, 1), (-2, -1) and (1, -1); M = 1, so c = rho. Without the first, four values of mean square 7 / 4 and
    # pairs of mean product (2 - 1) / 2: c = 2 / 7; the second likewise. Without the third, 10 / 4 and 2: c = 4 / 5.
    x = torch.tensor([[[2.0, 1.0], [-2.0, -1.0], [1.0, -1.0]]], dtype=torch.float64)
    expected = torch.tensor([[[2 / 7, 4 / 7], [-2 / 7, -4 / 7], [-4 / 5, 4 / 5]]], dtype=torch.float64)
    counts = torch.ones_like(x, dtype=torch.bool)
    torch.testing.assert_close(shrunk_baseline(x, counts), expected)
    # As two branches of one root each, and a third of a second root: the first two are left out together.
    branches = torch.stack((x[:, :2], torch.cat((x[:, 2:], x[:, 2:]), dim=1)), dim=2)  # (1, K = 2, E = 2, N)
    first = torch.tensor([0.0, 0.0], dtype=torch.float64)  # rho of (1, -1) alone is -1, cut at 0
    found = shrunk_baseline(branches, torch.ones_like(branches, dtype=torch.bool))
    torch.testing.assert_close(found[0, :, 0], torch.stack((first, first)))
    torch.testing.assert_close(found[0, :, 1], expected[0, 2:].expand(2, 2))


def test_a_single_root_is_measured_on_its_other_branches_and_a_single_group_on_none() -> None:
    x = torch.tensor([[[[2.0, 1.0]], [[-2.0, -1.0]], [[1.0, -1.0]]]], dtype=torch.float64)  # K = 3, E = 1
    expected = torch.tensor([[2 / 7, 4 / 7], [-2 / 7, -4 / 7], [-4 / 5, 4 / 5]], dtype=torch.float64)
    torch.testing.assert_close(shrunk_baseline(x, torch.ones_like(x, dtype=torch.bool))[0, :, 0], expected)
    alone = x[:, :1]
    torch.testing.assert_close(shrunk_baseline(alone, ALL[:, :1].unsqueeze(1)), torch.zeros_like(alone))


@pytest.mark.parametrize("samples", [2, 4])
@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6, 0.9])
def test_four_groups_keep_the_whole_gradient(rho: float, samples: int) -> None:
    # x = shared luck + what the sample's own action a did; the score of a unit Gaussian at its mean is a itself, so
    # the gradient is E[a x] = sqrt(1 - rho). An estimate of rho with the own group in it kept 0.87 to 0.99 of it here.
    generator = torch.Generator().manual_seed(2)
    draws, shape = 60_000, (60_000, 1, 4)
    action = torch.randn(*shape, samples, generator=generator, dtype=torch.float64)
    shared = torch.randn(*shape, 1, generator=generator, dtype=torch.float64)
    x = (rho**0.5 * shared + (1.0 - rho) ** 0.5 * action).flatten(0, 1)
    baseline = shrunk_baseline(x, torch.ones_like(x, dtype=torch.bool))  # every draw has 4 roots and a step of its own
    lost = (baseline * action.flatten(0, 1)).mean(dim=(1, 2)) / (1.0 - rho) ** 0.5
    error = lost.std().item() / draws**0.5
    assert error < 0.005
    assert abs(lost.mean().item()) < 4.0 * error


def test_a_huge_group_does_not_blur_the_weight_of_its_own() -> None:
    # The others are (2, 1) and (-2, -1): c = 4 / 5, though this root's squares are 1e8 times as large as theirs.
    x = torch.tensor([[[2.0, 1.0], [-2.0, -1.0], [1e4, 2e4]]])
    baseline = shrunk_baseline(x, torch.ones_like(x, dtype=torch.bool))
    torch.testing.assert_close(baseline[0, 2], torch.tensor([1.6e4, 0.8e4]), rtol=1e-5, atol=0.0)
