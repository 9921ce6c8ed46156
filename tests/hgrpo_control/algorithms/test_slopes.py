"""Moments of siblings, the share of slopes and the wishes, by hand and by properties."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hgrpo_control.algorithms import slopes
from hgrpo_control.algorithms.slopes import Moments


def by_sample(*values: float) -> torch.Tensor:
    """(1, 1, N, 1): one step of one root."""
    return torch.tensor(values, dtype=torch.float64).view(1, 1, -1, 1)


def test_moments_of_two_siblings_by_hand() -> None:
    # score 1, 5: variance 8; slope 2, 4: variance 2; covariance (-2 x -1 + 2 x 1) / 1 = 4
    # d = -1, 1: mean 0, variance 2, so the squared bias is 0 - 2 / 2 = -1
    moments = slopes.sibling_moments(by_sample(1.0, 5.0), by_sample(2.0, 4.0), 1)
    assert [m.item() for m in moments] == [8.0, 2.0, 4.0, -1.0]


def test_moments_are_means_over_roots_and_branches_of_each_step() -> None:
    score = torch.zeros(4, 2, 2, 1)  # two branches of two steps
    score[0, 0, :, 0] = torch.tensor([1.0, -1.0])  # variance 2 in one of four groups of step 0
    score[3, 1, :, 0] = torch.tensor([2.0, -2.0])  # variance 8 in one of four groups of step 1
    moments = slopes.sibling_moments(score, torch.zeros_like(score), 2)
    assert moments.score.flatten().tolist() == [0.5, 2.0]
    assert moments.bias.flatten().tolist() == [-0.25, -1.0]


def test_a_single_sample_is_compared_with_the_other_roots() -> None:
    score = torch.tensor([1.0, 5.0]).view(1, 2, 1, 1)
    slope = torch.tensor([2.0, 4.0]).view(1, 2, 1, 1)
    assert [m.item() for m in slopes.sibling_moments(score, slope, 1)] == [8.0, 2.0, 4.0, -1.0]
    with pytest.raises(ValueError, match="two samples or two roots"):
        slopes.sibling_moments(score[:, :1], slope[:, :1], 1)


@pytest.mark.parametrize(
    ("score", "slope", "covariance", "bias", "samples", "expected"),
    [
        (3.0, 1.0, 0.0, 0.0, 4, 0.75),  # inverse variances
        (3.0, 1.0, 0.0, -2.0, 4, 0.75),  # a negative estimate is chance
        (3.0, 1.0, 0.0, 1.0, 4, 0.375),  # 3 / (3 + 1 + 4)
        (3.0, 2.0, 1.0, 0.0, 4, 2.0 / 3.0),  # (3 - 1) / (3 + 2 - 2)
        (3.0, 1.0, 1.5, 0.0, 4, 1.0),  # 1.5 / 1 would be beyond the slope
        (3.0, 0.0, 0.0, 0.0, 4, 1.0),
        (0.0, 1.0, 0.0, 0.0, 4, 0.0),
        (0.0, 0.0, 0.0, 0.0, 4, 1.0),
    ],
)
def test_the_best_share_by_hand(
    score: float, slope: float, covariance: float, bias: float, samples: int, expected: float
) -> None:
    moments = Moments(*(torch.tensor([[x]]) for x in (score, slope, covariance, bias)))
    assert slopes.best_share(moments, samples).item() == pytest.approx(expected)


@given(
    score=st.floats(0.01, 100.0),
    slope=st.floats(0.01, 100.0),
    correlation=st.floats(-0.99, 0.99),
    bias=st.floats(0.0, 100.0),
    samples=st.integers(1, 64),
    other=st.floats(0.0, 1.0),
)
def test_no_other_share_has_a_smaller_squared_error(
    score: float, slope: float, correlation: float, bias: float, samples: int, other: float
) -> None:
    covariance = correlation * (score * slope) ** 0.5

    def error(alpha: float) -> float:
        rest = 1.0 - alpha
        variance = alpha**2 * slope + 2.0 * alpha * rest * covariance + rest**2 * score
        return alpha**2 * bias + variance / samples

    moments = Moments(*(torch.tensor([[x]], dtype=torch.float64) for x in (score, slope, covariance, bias)))
    assert error(slopes.best_share(moments, samples).item()) <= error(other) * (1.0 + 1e-9) + 1e-12


def test_bias_of_a_slope_without_noise_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(1, 20_000, 4, 1, generator=generator, dtype=torch.float64) + 2.0
    slope = torch.full_like(score, 0.5)  # the true mean is 2
    bias = slopes.sibling_moments(score, slope, 1).bias.item()
    assert bias == pytest.approx(1.5**2, abs=0.05)


def test_wishes_by_hand() -> None:
    """Two steps with shares 1 and 0: the slope alone, then the score alone."""
    noise = torch.tensor([[3.0, 4.0], [1.0, 0.0]]).view(2, 1, 1, 2)
    slope = torch.tensor([[0.6, 0.8], [9.0, 9.0]]).view(2, 1, 1, 2)
    advantage = torch.tensor([7.0, 3.0]).view(2, 1, 1)
    share = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    # for the mean (0.6, 0.8) and 3 (1, 0): lengths 1 and 3, mean 2
    # for log sigma (0.6 x 3, 0.8 x 4) and 3 (1 - 1, 0 - 1)
    wish = slopes.wishes(advantage, noise, slope, share)
    expected = torch.tensor([[[0.6, 0.8], [1.8, 3.2]], [[3.0, 0.0], [0.0, -3.0]]])
    torch.testing.assert_close(wish.view(2, 2, 2), expected)
    torch.testing.assert_close(slopes.scaled(wish, limit=10.0).view(2, 2, 2), 0.5 * expected)


@pytest.mark.parametrize("longest", [97.0, 1e12, 1e30, 1e38])
@pytest.mark.parametrize("entries", [(1.0,), (0.6, 0.8), (0.5, -0.5, 0.5, -0.5)])
def test_a_long_wish_is_scaled_down_to_the_limit(longest: float, entries: tuple[float, ...]) -> None:
    """Nine of length 1 and a long one, cut at 3 u: u = (9 + 3 u) / 10 = 9 / 7, however long it is."""
    unit = torch.tensor(entries)
    slope = (torch.tensor([1.0] * 9 + [longest]).unsqueeze(-1) * unit).view(1, 10, 1, -1)
    zeros = torch.zeros(1, 10, 1)
    wish = slopes.scaled(slopes.wishes(zeros, torch.ones_like(slope), slope, torch.ones(1, 1)), limit=3.0)
    expected = torch.tensor([7.0 / 9.0] * 9 + [3.0]).unsqueeze(-1) * unit
    assert wish.dtype == slope.dtype
    torch.testing.assert_close(wish[0, :, 0], expected.unsqueeze(1).expand(-1, 2, -1))


@given(lengths=st.lists(st.floats(0.01, 100.0), min_size=1, max_size=40))
def test_cut_wishes_have_mean_length_1(lengths: list[float]) -> None:
    wish = torch.tensor(lengths, dtype=torch.float64).view(-1, 1, 1, 1, 1).expand(-1, 1, 1, 2, 1)
    length = slopes.scaled(wish, limit=3.0)[..., 0, 0]
    assert length.max() <= 3.0 * (1.0 + 1e-12)
    assert length.mean().item() == pytest.approx(1.0)
    order = torch.argsort(wish[:, 0, 0, 0, 0])
    assert (length.flatten()[order].diff() >= -1e-12).all()


def test_no_wish_stays_no_wish() -> None:
    zeros = torch.zeros(2, 3, 1, 2, 4)
    assert torch.equal(slopes.scaled(zeros, 3.0), zeros)


def test_noise_of_the_bias_around_0_does_not_lower_the_share() -> None:
    bias = torch.tensor([[2.0, -3.0], [1.0, -1.0]])
    ones = torch.ones(2, 2)
    moments = Moments(3.0 * ones, ones, torch.zeros(2, 2), bias)
    assert torch.equal(slopes.best_share(moments, 8), 0.75 * ones)
