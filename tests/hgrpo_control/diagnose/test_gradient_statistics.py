"""Moments of replicates against figures worked out by hand, and against what they promise on average."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hgrpo_control.diagnose.gradient_statistics import (
    Estimate,
    jackknife_error,
    moments,
    summarise,
)


def column(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64).unsqueeze(1)


def test_three_numbers_by_hand() -> None:
    # g = 1, 2, 3: the pairs multiply to 2, 3 and 6, mean 11/3; variance 1. r = 4, 4, 4: |g*|^2 = 16, E g . g* = 8.
    full, without_g, without_r = moments(column(1, 2, 3), column(4, 4, 4))
    assert [x.item() for x in full] == pytest.approx([11 / 3, 1.0, 8.0, 16.0])
    # without 1, 2 or 3: the one pair that is left, half its squared difference, and the mean of the two times 4
    assert without_g.signal.tolist() == pytest.approx([6.0, 3.0, 2.0])
    assert without_g.noise.tolist() == pytest.approx([0.5, 2.0, 0.5])
    assert without_g.overlap.tolist() == pytest.approx([10.0, 8.0, 6.0])
    assert without_r.overlap.tolist() == pytest.approx([8.0, 8.0, 8.0])
    assert without_r.reference.tolist() == pytest.approx([16.0, 16.0, 16.0])


def test_every_figure_of_three_numbers_by_hand() -> None:
    found = summarise(column(1, 2, 3), column(4, 4, 4), passes=3.0)
    assert found.replicates == 3
    assert found.relative_bias_squared.value == pytest.approx((11 / 3 - 2 * 8 + 16) / 16)
    assert found.cosine.value == pytest.approx(8 / math.sqrt(11 / 3 * 16))
    assert found.noise_to_signal.value == pytest.approx(3 / 11)
    assert found.best_scale.value == pytest.approx(8 * 3 / 11)
    # 1 - 64 / (16 (11/3 + 1/3)) = 0: three numbers whose mean is right by chance
    assert found.error_left.value == pytest.approx(0.0)
    # left out in turn, |E g|^2 is 6, 3 and 2: mean 11/3, squared distances 49/9, 4/9 and 25/9, and (R - 1) / R = 2/3
    assert found.signal.error == pytest.approx(math.sqrt(2 / 3 * (49 + 4 + 25) / 9))


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    # means of 1, 2, 3, 6 without one of them: 11/3, 10/3, 3, 2; s = sqrt(14 / 3), s / sqrt(4) = 1.0801
    error = jackknife_error([torch.tensor([11 / 3, 10 / 3, 3.0, 2.0], dtype=torch.float64)])
    assert error == pytest.approx(math.sqrt(14 / 3) / 2)
    assert jackknife_error([torch.zeros(2), torch.ones(2)]) == 0.0


def test_two_vectors_at_right_angles() -> None:
    # E g = (1, 0), g* = (0, 2), no noise: cosine 0, bias^2 = (1 + 4) / 4, and no scale brings them nearer
    found = summarise(torch.tensor([[1.0, 0.0]]).repeat(4, 1), torch.tensor([[0.0, 2.0]]).repeat(5, 1), passes=1.0)
    assert found.relative_bias_squared == pytest.approx((1.25, 0.0))
    assert found.cosine == pytest.approx((0.0, 0.0))
    assert found.error_left == pytest.approx((1.0, 0.0))
    assert found.variance == pytest.approx((0.0, 0.0))


def test_a_gradient_that_points_backwards_is_no_better_than_none() -> None:
    g, r = column(-1, -1, -1), column(2, 2, 2)
    found = summarise(g, r, passes=1.0)
    assert found.cosine.value == pytest.approx(-1.0)
    assert found.best_scale.value == pytest.approx(-2.0)
    assert found.error_left.value == pytest.approx(1.0)
    assert summarise(-g, r, passes=1.0).error_left.value == pytest.approx(0.0)


def test_scale_free_figures_are_free_of_scale() -> None:
    generator = torch.Generator().manual_seed(0)
    g, r = (torch.randn(20, 6, generator=generator) + 1.0 for _ in range(2))
    one, other = summarise(g, r, passes=5.0), summarise(0.01 * g, r, passes=5.0)
    for name in ("cosine", "noise_to_signal", "error_left"):
        assert getattr(other, name) == pytest.approx(getattr(one, name))
    assert other.best_scale == pytest.approx(tuple(100.0 * x for x in one.best_scale))
    assert other.relative_bias_squared.value != pytest.approx(one.relative_bias_squared.value)


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_noise_does_not_pass_for_signal_and_errors_are_what_they_say(offset: float) -> None:
    # 300 experiments: E g = g* (1 + offset) in each of 5 entries, noise of standard deviation 3 and 1 around g* = 1
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(300):
        g = 1.0 + offset + 3.0 * torch.randn(40, 5, generator=generator, dtype=torch.float64)
        r = 1.0 + torch.randn(30, 5, generator=generator, dtype=torch.float64)
        found.append(summarise(g, r, passes=2.0))
    expected = {
        "relative_bias_squared": offset**2,
        "signal": 5.0 * (1.0 + offset) ** 2,
        "variance": 45.0,
        # 1 - 5^2 (1 + offset)^2 / (5 (5 (1 + offset)^2 + 45 / 2))
        "error_left": 1.0 - (1.0 + offset) ** 2 / ((1.0 + offset) ** 2 + 4.5),
    }
    for name, true in expected.items():
        values = torch.tensor([getattr(m, name).value for m in found])
        errors = torch.tensor([getattr(m, name).error for m in found])
        scatter = values.std().item()
        bias = 0.1 * scatter if name == "error_left" else 0.0  # a ratio of unbiased figures, not quite unbiased itself
        assert abs(values.mean().item() - true) < 4.0 * scatter / math.sqrt(300) + bias
        # The square of a mean that is 0 has no linear part, which doubles the jackknife's variance: an error too large.
        inflated = math.sqrt(2.0) if name == "relative_bias_squared" and offset == 0.0 else 1.0
        assert errors.square().mean().sqrt().item() == pytest.approx(inflated * scatter, rel=0.2)


def test_an_estimate_knows_whether_it_is_above_zero() -> None:
    assert Estimate(1.0, 0.4).above_zero
    assert not Estimate(1.0, 0.6).above_zero
    assert not Estimate(math.nan, 0.1).above_zero
    assert Estimate(1.0, 0.6).upper == pytest.approx(2.2)
