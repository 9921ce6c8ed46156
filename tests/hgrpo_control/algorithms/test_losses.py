"""Loss terms against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hgrpo_control.algorithms.losses import (
    clipped_surrogate,
    explained_variance,
    k3_divergence,
    reference_kl,
    value_loss,
)


def surrogate_of(
    ratio: list[float], advantage: list[float], weight: list[float] | None = None, clip_high: float | None = None
) -> tuple[Tensor, ...]:
    """Loss, approximate KL, clip fraction and d loss / d log pi for given ratios, with clip_coef 0.2."""
    log_prob = torch.tensor(ratio, dtype=torch.float64).log().requires_grad_()
    advantages = torch.tensor(advantage, dtype=torch.float64)
    weights = torch.ones_like(advantages) if weight is None else torch.tensor(weight, dtype=torch.float64)
    loss = clipped_surrogate(log_prob, torch.zeros_like(advantages), advantages, weights, 0.2, clip_high)
    loss.loss.backward()
    assert log_prob.grad is not None
    torch.testing.assert_close(loss.slope, log_prob.grad)
    return loss.loss.detach(), loss.approx_kl, loss.clip_fraction, log_prob.grad


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [
        # -min(rho A, clip(rho) A); d rho / d log pi = rho
        (1.5, 1.0, -1.2, 0.0),  # already much likelier than before: no reason to go on
        (1.5, -1.0, 1.5, 1.5),  # likelier and bad: push back, however far it went
        (0.5, -1.0, 0.8, 0.0),
        (0.5, 1.0, -0.5, -0.5),
        (1.0, 1.0, -1.0, -1.0),
        (1.0, -1.0, 1.0, 1.0),
        (1.1, 2.0, -2.2, -2.2),  # within the clip range the gradient is -rho A
        (0.9, -2.0, 1.8, 1.8),
    ],
)
def test_clip_table(ratio: float, advantage: float, loss: float, gradient: float) -> None:
    value, _, _, slope = surrogate_of([ratio], [advantage])
    assert value.item() == pytest.approx(loss)
    assert slope.item() == pytest.approx(gradient)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [
        # clip(rho, 0.8, 1.28): only what is likelier and good may go further than before
        (1.5, 1.0, -1.28, 0.0),
        (1.25, 1.0, -1.25, -1.25),  # clipped with 0.2 on either side
        (1.5, -1.0, 1.5, 1.5),
        (0.5, -1.0, 0.8, 0.0),
        (0.5, 1.0, -0.5, -0.5),
        (1.0, 1.0, -1.0, -1.0),
    ],
)
def test_clip_table_with_a_higher_upper_bound(ratio: float, advantage: float, loss: float, gradient: float) -> None:
    value, _, _, slope = surrogate_of([ratio], [advantage], clip_high=0.28)
    assert value.item() == pytest.approx(loss)
    assert slope.item() == pytest.approx(gradient)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**31), clip_coef=st.floats(0.01, 0.9))
def test_without_a_bound_of_its_own_the_upper_side_is_clipped_like_the_lower_bit_for_bit(
    seed: int, clip_coef: float
) -> None:
    log_prob, old, advantage = torch.randn(3, 64, generator=torch.Generator().manual_seed(seed))
    arguments = (log_prob, old, advantage, torch.ones(64), clip_coef)
    plain, spelled_out = clipped_surrogate(*arguments), clipped_surrogate(*arguments, clip_coef)
    assert all(torch.equal(x, y) for x, y in zip(plain, spelled_out, strict=True))
    ratio = (log_prob - old).exp()
    assert plain.clip_fraction == ((ratio - 1.0).abs() > clip_coef).float().mean()


def test_loss_is_the_mean_over_samples_and_weights_do_not_change_its_denominator() -> None:
    # (1.2 [clipped] + 1.0) / 2 = 1.1; with weights 1 and 0: 1.2 / 2 = 0.6
    assert surrogate_of([1.5, 1.0], [1.0, 1.0])[0].item() == pytest.approx(-1.1)
    loss, _, _, gradient = surrogate_of([1.5, 1.0], [1.0, 1.0], weight=[1.0, 0.0])
    assert loss.item() == pytest.approx(-0.6)
    assert gradient.tolist() == [0.0, 0.0]
    assert surrogate_of([1.0, 1.0], [1.0, 3.0], weight=[0.0, 2.0])[3].tolist() == pytest.approx([0.0, -3.0])


def test_clip_fraction_counts_ratios_outside_on_either_side() -> None:
    assert surrogate_of([1.5, 0.5, 1.1, 0.9], [1.0] * 4)[2].item() == 0.5
    # 0.8 to 1.28: 1.25 is within, 0.75 as far below is not
    assert surrogate_of([1.5, 0.75, 1.25, 0.9], [1.0] * 4, clip_high=0.28)[2].item() == 0.5


def test_the_same_policy_has_ratio_1_and_no_divergence() -> None:
    loss, kl, clipped, gradient = surrogate_of([1.0, 1.0], [3.0, -1.0])
    assert (loss.item(), kl.item(), clipped.item()) == (-1.0, 0.0, 0.0)
    assert gradient.tolist() == [-1.5, 0.5]  # -A / 2: the plain policy gradient


def test_approximate_kl_of_one_sample() -> None:
    # x = log new - log old at a sample of old = ln 1.5: e^x - x - 1 = 0.5 - 0.405465 = 0.094535
    assert surrogate_of([1.5], [1.0])[1].item() == pytest.approx(0.094535, abs=1e-6)


@pytest.mark.parametrize("shift", [0.1, 1.0])
def test_approximate_kl_estimates_the_divergence_from_old_to_new(shift: float) -> None:
    # KL(N(0,1) || N(m,1)) = m^2 / 2: 0.005 for m = 0.1; the other way round would give 1.218 for m = 1
    action = torch.randn(400_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    old, new = -0.5 * action.square(), -0.5 * (action - shift).square()
    kl = clipped_surrogate(new, old, torch.ones_like(old), torch.ones_like(old), 0.2).approx_kl
    spread = k3_divergence(new - old).std() / math.sqrt(len(action))
    assert abs(kl.item() - 0.5 * shift**2) < 3.0 * spread.item()


def test_k3_mean_of_two_close_normals() -> None:
    # E_p[e^x - x - 1], x = log q - log p, p = N(0,1), q = N(0.1,1), by quadrature over a grid: KL = 0.1^2 / 2 = 0.005
    a = torch.linspace(-10.0, 10.0, 20_001, dtype=torch.float64)
    density = (-0.5 * a.square()).exp() / math.sqrt(2.0 * math.pi)
    estimate = k3_divergence(-0.5 * (a - 0.1).square() + 0.5 * a.square())
    assert torch.trapezoid(density * estimate, a).item() == pytest.approx(0.005, abs=1e-10)


def test_divergence_from_the_reference_by_hand() -> None:
    # x = log pi_ref - log pi = ln 2 and 0: e^x - x - 1 = 1 - 0.693147 = 0.306853 and 0; d / d log pi = 1 - e^x = -1, 0.
    # Weights 3 and 1: the loss is 3 x 0.306853 / 2 = 0.460279; the divergence itself 0.306853 / 2 = 0.153426.
    log_prob = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([math.log(2.0), 0.0], dtype=torch.float64)
    kl = reference_kl(log_prob, reference, torch.tensor([3.0, 1.0], dtype=torch.float64))
    kl.loss.backward()
    assert kl.loss.item() == pytest.approx(0.460279, abs=1e-6)
    assert kl.divergence.item() == pytest.approx(0.153426, abs=1e-6)
    assert not kl.divergence.requires_grad
    assert log_prob.grad is not None
    assert log_prob.grad.tolist() == pytest.approx([-1.5, 0.0])


def test_divergence_from_a_close_reference_over_samples() -> None:
    # KL(N(0, 1) || N(0.1, 1)) = 0.1^2 / 2 = 0.005; E[d / d mean] = mean - 0.1 = -0.1
    action = torch.randn(400_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean = torch.zeros((), dtype=torch.float64, requires_grad=True)
    log_prob, reference = -0.5 * (action - mean).square(), -0.5 * (action - 0.1).square()
    kl = reference_kl(log_prob, reference, torch.ones_like(action))
    kl.loss.backward()
    assert kl.divergence.item() == pytest.approx(0.005, abs=5e-5)  # k3's standard error is 1.1e-5
    assert mean.grad is not None
    # the gradient of k3 through log pi of samples of pi itself: E[(1 - e^x) (a - mean)], which is -0.1 as well
    assert mean.grad.item() == pytest.approx(-0.1, abs=1e-3)


@pytest.mark.parametrize("which", range(3))
def test_divergence_refuses_to_broadcast(which: int) -> None:
    arguments = [torch.zeros(4, 1) for _ in range(3)]
    arguments[which] = torch.zeros(4)
    with pytest.raises(ValueError, match=r"shapes must be equal; given .*\(4,\)"):
        reference_kl(*arguments)


@settings(max_examples=100)
@given(x=st.floats(-50.0, 50.0))
def test_k3_is_never_negative(x: float) -> None:
    assert k3_divergence(torch.tensor(x, dtype=torch.float64)).item() >= 0.0


def test_k3_of_tiny_ratios_is_not_rounding_noise() -> None:
    # x^2 / 2 + x^3 / 6; computed as exp(x) - 1 - x, double precision would be off by 1e-16
    x = torch.tensor(1e-6, dtype=torch.float64)
    assert k3_divergence(x).item() == pytest.approx(5e-13, rel=1e-4)


def test_value_loss_is_half_the_mean_squared_error() -> None:
    # ((3 - 1)^2 + (0 - 1)^2) / 2 / 2 = 1.25
    assert value_loss(torch.tensor([3.0, 0.0]), torch.tensor([1.0, 1.0])).item() == pytest.approx(1.25)


def test_explained_variance() -> None:
    target = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert explained_variance(target, target).item() == 1.0
    assert explained_variance(target + 7.0, target).item() == pytest.approx(1.0)  # a constant error explains as much
    assert explained_variance(torch.zeros(4), target).item() == pytest.approx(0.0)
    # errors of variance 1.25 / 4 = 0.3125 against a variance of 1.25
    assert explained_variance(0.5 * target, target).item() == pytest.approx(0.75)
    assert math.isnan(explained_variance(target, torch.ones(4)).item())


@pytest.mark.parametrize("which", range(4))
def test_surrogate_refuses_to_broadcast(which: int) -> None:
    arguments = [torch.zeros(4, 1) for _ in range(4)]
    arguments[which] = torch.zeros(4)
    with pytest.raises(ValueError, match=r"shapes must be equal; given .*\(4,\)"):
        clipped_surrogate(*arguments, 0.2)


def test_value_loss_refuses_to_broadcast() -> None:
    with pytest.raises(ValueError, match=r"given value \(4,\), target \(4, 1\)"):
        value_loss(torch.zeros(4), torch.zeros(4, 1))
