"""Running statistics against numpy's over all observations at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from policies.normalizer import CLIP, ObservationNormalizer


def observations(rows: int, offset: float = 0.0, seed: int = 0) -> Tensor:
    """(rows, 3) with standard deviations 0.1, 1 and 10."""
    x = torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x * torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64) + offset


def fed(*chunks: Tensor) -> ObservationNormalizer:
    normalizer = ObservationNormalizer(chunks[0].shape[-1])
    for chunk in chunks:
        normalizer.update(chunk)
    return normalizer


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    offset=st.sampled_from([0.0, -3.0, 1e6]),
    seed=st.integers(0, 2**31),
)
def test_chunks_of_any_size_give_the_statistics_of_the_whole(sizes: list[int], offset: float, seed: int) -> None:
    x = observations(sum(sizes), offset, seed)
    normalizer = fed(*x.split(sizes))
    # at an offset of 1e6 a double carries a rounding error of 1e-10 in each x
    np.testing.assert_allclose(normalizer.mean.numpy(), x.numpy().mean(axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(normalizer.variance.numpy(), x.numpy().var(axis=0), rtol=1e-6, atol=1e-9)
    assert normalizer.count.item() == sum(sizes)


def test_any_leading_shape_counts_every_observation() -> None:
    x = observations(24)
    one, other = fed(x), fed(x.reshape(2, 3, 4, 3))
    assert all(torch.equal(one.get_buffer(name), other.get_buffer(name)) for name in ("mean", "variance", "count"))


def test_normalised_observations_have_mean_0_and_variance_1() -> None:
    x = observations(1000, offset=5.0).float()
    y = fed(x)(x)
    torch.testing.assert_close(y.mean(dim=0), torch.zeros(3), atol=1e-4, rtol=0.0)
    torch.testing.assert_close(y.var(dim=0, correction=0), torch.ones(3), atol=1e-4, rtol=0.0)


def test_small_numbers_by_hand() -> None:
    # 1, 3 in one go and 5 after it: mean 3, variance (4 + 0 + 4) / 3 = 8/3
    normalizer = fed(torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0]]))
    assert normalizer.mean.item() == pytest.approx(3.0)
    assert normalizer.variance.item() == pytest.approx(8.0 / 3.0)
    # (5 - 3) / sqrt(8/3) = 1.224745
    assert normalizer(torch.tensor([[5.0]])).item() == pytest.approx(1.224745, abs=1e-6)


def test_before_the_first_update_it_is_the_identity_but_for_the_clip() -> None:
    x = torch.tensor([[0.5, -2.0, 1e3], [-1e3, 9.9, 0.0]])
    torch.testing.assert_close(ObservationNormalizer(3)(x), x.clamp(-CLIP, CLIP))


def test_a_constant_entry_is_centred_and_not_blown_up() -> None:
    normalizer = fed(torch.full((100, 1), 0.1), torch.full((7, 1), 0.1))
    assert abs(normalizer(torch.tensor([[0.1]])).item()) < 1e-7
    assert normalizer(torch.tensor([[0.6]])).item() == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 5e-5), (0.0, 1e-9), (47.4, 1e-4), (1e-5, 1e-9), (1e6, 10.0)])
def test_an_entry_that_varies_on_a_small_scale_has_variance_1(mean: float, std: float) -> None:
    x = (mean + std * observations(1000)[:, 1:2]).float()
    assert fed(x)(x).std(correction=0).item() == pytest.approx(1.0, abs=0.01)


def test_rounding_of_a_large_entry_is_not_taken_for_variation() -> None:
    # 47.4 and its next neighbour deviate by half of 2^-18, 1.9e-6; one rounding is 47.4 x 2^-23 = 5.7e-6
    x = torch.tensor([[47.4]])
    assert fed(x, torch.nextafter(x, torch.tensor(48.0))).shift_and_scale()[1].item() == 1.0


@pytest.mark.parametrize("mean", [0.0, 1e-6, 1.0, 47.4])
def test_the_scale_has_no_jump_where_variation_begins_to_count(mean: float) -> None:
    # one entry per deviation, each 1 % above the one before, from below every border to far above; over the ramp the
    # scale goes from 1 to 1 / (4 x 1e-18) at the steepest: by exp(41 x 0.01 x 2 / ln 4) from one to the next, under 2
    std = 1e-20 * 1.01 ** torch.arange(4700, dtype=torch.float64)
    normalizer = ObservationNormalizer(len(std))
    normalizer.mean.fill_(mean)
    normalizer.variance.copy_(std.square())
    scale = normalizer.shift_and_scale()[1].double()
    assert scale[0].item() == 1.0
    assert scale[-1].item() == pytest.approx(1.0 / std[-1].item(), rel=1e-6)
    assert scale.log().diff().abs().max().item() < math.log(2.0)


def test_extremes_are_clipped_at_ten_standard_deviations() -> None:
    normalizer = fed(observations(1000))
    assert normalizer(torch.full((1, 3), 1e9)).tolist() == [[10.0] * 3]
    assert normalizer(torch.full((1, 3), -1e9)).tolist() == [[-10.0] * 3]


@pytest.mark.parametrize("training", [True, False])
def test_looking_changes_nothing(training: bool) -> None:
    normalizer = fed(observations(50)).train(training)
    before = {name: value.clone() for name, value in normalizer.state_dict().items()}
    x = observations(20, offset=100.0).float()
    assert torch.equal(normalizer(x), normalizer(x))
    assert all(torch.equal(value, before[name]) for name, value in normalizer.state_dict().items())


def test_shift_and_scale_are_what_forward_applies() -> None:
    normalizer = fed(observations(200, offset=2.0))
    shift, scale = normalizer.shift_and_scale()
    x = observations(10, offset=2.0, seed=1).float()
    assert torch.equal(normalizer(x), (x - shift) * scale)
    assert shift.dtype == scale.dtype == torch.float32


def test_single_observations_still_count_after_a_hundred_million() -> None:
    # 1e8 observations of mean 1/2, then 500 ones: mean 1/2 + 250 / (1e8 + 500) = 1/2 + 2.5e-6. In single precision
    # neither the count (1e8 + 1) nor the mean (1/2 + 5e-9) would move at all.
    normalizer = ObservationNormalizer(1)
    normalizer.mean.fill_(0.5)
    normalizer.variance.fill_(0.25)
    normalizer.count.fill_(1e8)
    for _ in range(500):
        normalizer.update(torch.ones(1, 1))
    assert normalizer.count.item() == 1e8 + 500
    assert normalizer.mean.item() == pytest.approx(0.5 + 250.0 / (1e8 + 500.0), rel=1e-12)
