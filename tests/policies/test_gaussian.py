"""The diagonal Gaussian against numbers worked out by hand and against torch's own distribution."""

from __future__ import annotations

import math

import pytest
import torch

from policies import gaussian


def test_log_density_of_the_standard_normal_at_its_mean() -> None:
    # -1/2 ln(2 pi) = -0.918939 per dimension, summed over three: -2.756816
    one, three = (gaussian.log_density(torch.zeros(1, d), torch.zeros(1, d), torch.ones(d)) for d in (1, 3))
    assert one.tolist() == pytest.approx([-0.918939], abs=1e-6)
    assert three.tolist() == pytest.approx([-2.756816], abs=1e-6)


def test_log_density_away_from_the_mean() -> None:
    # a = 3, mean 1, sigma 2: z = 1, -1/2 - ln 2 - 0.918939 = -2.112086
    density = gaussian.log_density(torch.tensor([[3.0]]), torch.tensor([[1.0]]), torch.tensor([2.0]))
    assert density.tolist() == pytest.approx([-2.112086], abs=1e-6)


def test_entropy_sums_over_dimensions() -> None:
    # 1/2 ln(2 pi e) = 1.418939; with sigma = 2 another ln 2 = 0.693147
    assert gaussian.entropy(torch.ones(1)).item() == pytest.approx(1.418939, abs=1e-6)
    assert gaussian.entropy(torch.ones(2)).item() == pytest.approx(2.837877, abs=1e-6)
    assert gaussian.entropy(torch.tensor([1.0, 2.0])).item() == pytest.approx(3.531024, abs=1e-6)


def test_log_density_and_entropy_agree_with_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    action, mean = (torch.randn(4, 5, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    sigma = torch.rand(3, generator=generator, dtype=torch.float64) + 0.1
    reference = torch.distributions.Independent(torch.distributions.Normal(mean, sigma), 1)
    torch.testing.assert_close(gaussian.log_density(action, mean, sigma), reference.log_prob(action))
    torch.testing.assert_close(gaussian.entropy(sigma), reference.entropy()[0, 0])


def test_one_mean_serves_all_actions_drawn_there() -> None:
    generator = torch.Generator().manual_seed(0)
    action, mean = torch.randn(5, 4, 2, generator=generator), torch.randn(5, 1, 2, generator=generator)
    shared = gaussian.log_density(action, mean, torch.ones(2))
    assert shared.shape == (5, 4)
    torch.testing.assert_close(shared, gaussian.log_density(action, mean.expand(5, 4, 2), torch.ones(2)))


@pytest.mark.parametrize(
    ("action", "mean", "sigma"),
    [
        ((5, 1), (5,), (1,)),  # would pair every action with every mean
        ((5,), (5, 1), (1,)),
        ((5, 2), (5, 1), (1,)),
        ((5, 2), (5, 2), (1,)),
        ((5, 1), (5, 1), (5, 1)),
        ((5, 3, 2), (5, 2), (2,)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    action: tuple[int, ...], mean: tuple[int, ...], sigma: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"shapes do not fit.*expected \(\.\.\., A\)") as raised:
        gaussian.log_density(torch.zeros(action), torch.zeros(mean), torch.ones(sigma))
    assert all(str(shape) in str(raised.value) for shape in (action, mean, sigma))


@pytest.mark.parametrize(("action", "mean"), [((1, 2), (5, 2)), ((5, 1, 2), (5, 4, 2))])
def test_a_mean_without_an_action_is_refused(action: tuple[int, ...], mean: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shapes do not fit"):
        gaussian.log_density(torch.zeros(action), torch.zeros(mean), torch.ones(2))


def test_density_integrates_to_one() -> None:
    x = torch.linspace(-12.0, 14.0, 20_001, dtype=torch.float64)
    sigma, mean = torch.tensor([1.5], dtype=torch.float64), torch.tensor([[1.0]], dtype=torch.float64)
    density = gaussian.log_density(x.unsqueeze(1), mean, sigma).exp()
    assert torch.trapezoid(density, x).item() == pytest.approx(1.0, abs=1e-9)
    # and its entropy is -integral p ln p = 1/2 ln(2 pi e 1.5^2)
    assert -torch.trapezoid(density * density.log(), x).item() == pytest.approx(1.418939 + math.log(1.5), abs=1e-6)
