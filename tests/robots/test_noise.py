"""Counter-based noise: known answers, statistics with fixed keys, and purity."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from support.noise_kernels import drawn
from torch import Tensor

from robots import noise

GOLDEN_GAMMA = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1
LEVEL = 1e-3  # p-value below which a fixed key would be called not random
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


def keys(num: int, seed: int = 0) -> Tensor:
    return noise.new_keys(num, torch.Generator().manual_seed(seed))


def signed(word: int) -> int:
    """The int64 with the bits of an unsigned 64-bit word."""
    word &= MASK
    return word - (1 << 64) if word >> 63 else word


def mixed(word: int) -> int:
    """The finaliser of SplitMix64 on unsigned Python integers."""
    word &= MASK
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & MASK
    return word ^ (word >> 31)


def unmixed(word: int) -> int:
    """Inverse of `mixed`: undo each xor-shift by repeating it, each product by the inverse modulo 2^64."""
    for shift, factor in ((31, 0x94D049BB133111EB), (27, 0xBF58476D1CE4E5B9), (30, 1)):
        full = word
        for _ in range(64 // shift):
            full = word ^ (full >> shift)
        word = full * pow(factor, -1, 1 << 64) & MASK
    return word


def key_of(word: int) -> Tensor:
    """The key whose first number at counter 0 is made of this 64-bit word."""
    return torch.tensor([signed(unmixed(word) - GOLDEN_GAMMA)])


def p_of_correlation(columns: NDArray[np.float64]) -> float:
    """p-value that all pairs of columns (n, k) are uncorrelated: n r^2 summed over the pairs is chi-square."""
    n, k = columns.shape
    r = np.asarray(np.corrcoef(columns, rowvar=False))[np.triu_indices(k, 1)]
    return float(stats.chi2.sf(n * (r**2).sum(), len(r)))


# --- known answers ----------------------------------------------------------------------------------------------------


def test_lanes_at_counter_zero_are_the_splitmix64_sequence() -> None:
    """The generator's published first outputs for the seed 1234567."""
    words = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    drawn = noise.uniform(torch.tensor([1234567]), 0, 5, torch.float64)
    assert drawn[0].tolist() == [((w >> 12) + 0.5) * 2.0**-52 for w in words]
    single = noise.uniform(torch.tensor([1234567]), 0, 5)
    assert single[0].tolist() == [((w >> 41) + 0.5) * 2.0**-23 for w in words]


@settings(max_examples=50)
@given(key=INT64, counter=INT64, lane=st.integers(0, 9))
def test_any_number_follows_from_integer_arithmetic(key: int, counter: int, lane: int) -> None:
    word = mixed(key + mixed(counter * GOLDEN_GAMMA) + (lane + 1) * GOLDEN_GAMMA)
    drawn = noise.uniform(torch.tensor([key]), counter, lane + 1, torch.float64)
    assert drawn[0, lane].item() == ((word >> 12) + 0.5) * 2.0**-52


@DTYPES
def test_uniform_numbers_lie_in_the_open_interval(dtype: torch.dtype) -> None:
    """The keys of the words 0 and 2^64 - 1 give the least and the greatest number there is."""
    bits = 52 if dtype == torch.float64 else 23
    least, greatest = (noise.uniform(key_of(word), 0, 1, dtype).item() for word in (0, MASK))
    assert least == 2.0 ** -(bits + 1)
    assert greatest == 1.0 - 2.0 ** -(bits + 1)


@DTYPES
def test_normal_numbers_stay_finite(dtype: torch.dtype) -> None:
    """Their greatest is the quantile of 1 - 2^-53, which is 8.21."""
    least, greatest = (noise.normal(key_of(word), 0, 1, dtype).item() for word in (0, MASK))
    assert greatest == -least
    assert greatest == pytest.approx(-stats.norm.ppf(2.0**-53), rel=1e-6)


def test_normal_is_the_quantile_of_uniform() -> None:
    u, z = noise.uniform(keys(1000), 3, 20, torch.float64), noise.normal(keys(1000), 3, 20, torch.float64)
    np.testing.assert_allclose(z.numpy(), stats.norm.ppf(u.numpy()), rtol=1e-12, atol=1e-15)


@DTYPES
def test_kernels_draw_the_same_numbers(dtype: torch.dtype) -> None:
    """Uniform numbers and keys to the bit; normal ones as far as two implementations of erfinv agree."""
    base, counter = keys(20_000, 11), keys(20_000, 12)
    counter[:100] = torch.arange(100)
    edges = torch.cat([key_of(word) for word in (0, MASK)])
    base, counter = torch.cat((base, edges)), torch.cat((counter, torch.zeros(2, dtype=torch.int64)))
    uniform, normal, split = drawn(base, counter, 5, dtype)
    assert torch.equal(uniform, noise.uniform(base, counter, 5, dtype))
    assert torch.equal(split, noise.split(base, counter))
    rounding = 4.0 * torch.finfo(dtype).eps
    torch.testing.assert_close(normal, noise.normal(base, counter, 5, dtype), rtol=rounding, atol=0)


# --- statistics -------------------------------------------------------------------------------------------------------


@DTYPES
def test_uniform_numbers_are_uniform(dtype: torch.dtype) -> None:
    u = noise.uniform(keys(10_000), 7, 20, dtype).double().numpy().ravel()
    assert stats.kstest(u, "uniform").pvalue > LEVEL
    counts = np.bincount((u * 256).astype(int), minlength=256)
    assert stats.chisquare(counts).pvalue > LEVEL


def test_every_bit_is_fair() -> None:
    """The number of ones among n draws of a bit is binomial; the squared z-scores of 52 bits sum to chi-square."""
    word = (noise.uniform(keys(50_000, 1), 1, 4, torch.float64).numpy().ravel() * 2.0**52).astype(np.int64)
    ones = np.array([((word >> bit) & 1).sum() for bit in range(52)])
    z = (ones - word.size / 2.0) / math.sqrt(word.size / 4.0)
    assert stats.chi2.sf((z**2).sum(), 52) > LEVEL


@DTYPES
def test_normal_numbers_have_the_moments_of_a_normal_distribution(dtype: torch.dtype) -> None:
    z = noise.normal(keys(50_000, 2), 5, 20, dtype).double().numpy().ravel()
    n = z.size
    assert n == 1_000_000
    assert 2.0 * stats.norm.sf(abs(z.mean()) * math.sqrt(n)) > LEVEL
    assert 2.0 * stats.norm.sf(abs(z.var() - 1.0) * math.sqrt(n / 2.0)) > LEVEL
    assert stats.skewtest(z).pvalue > LEVEL
    assert stats.kurtosistest(z).pvalue > LEVEL
    assert stats.kstest(z[::5], "norm").pvalue > LEVEL


def test_lanes_counters_and_nearby_keys_are_uncorrelated() -> None:
    n = 20_000
    lanes = noise.uniform(keys(n, 3), 0, 12, torch.float64)
    counters = torch.cat([noise.uniform(keys(n, 4), c, 1, torch.float64) for c in range(12)], dim=1)
    neighbours = torch.cat([noise.uniform(keys(n, 5) + i, 9, 1, torch.float64) for i in range(12)], dim=1)
    serial = noise.uniform(torch.arange(12), torch.tensor(0), n, torch.float64).t()  # keys 0 ... 11, along their lanes
    for columns in (lanes, counters, neighbours, serial):
        assert p_of_correlation(columns.numpy()) > LEVEL


def test_one_flipped_bit_of_key_or_counter_flips_half_of_the_bits() -> None:
    """The number of flips among 52 bits is binomial with mean 26; over n pairs its mean strays by sqrt(13/n)."""
    n = 500
    base, counter = keys(n, 6), keys(n, 7)
    for bit in range(64):
        flip = torch.tensor(signed(1 << bit))
        for other_key, other_counter in ((base ^ flip, counter), (base, counter ^ flip)):
            a, b = (
                noise.uniform(base, counter, 1, torch.float64),
                noise.uniform(other_key, other_counter, 1, torch.float64),
            )
            changed = (a * 2.0**52).long() ^ (b * 2.0**52).long()
            flips = np.unpackbits(changed.numpy().view(np.uint8)).sum() / n
            assert abs(flips - 26.0) < 5.0 * math.sqrt(13.0 / n)


def test_split_streams_are_distinct_and_uncorrelated() -> None:
    n = 20_000
    base = keys(n, 8)
    branches = torch.stack([noise.split(base, i) for i in range(12)], dim=1)
    assert len(set(branches.flatten().tolist())) == 12 * n
    draws = torch.cat([noise.uniform(branches[:, i], 0, 1, torch.float64) for i in range(12)], dim=1)
    assert p_of_correlation(draws.numpy()) > LEVEL


def test_splits_of_splits_never_meet() -> None:
    """A tree of keys with 8 new branches at each of 3 levels ends in as many keys as it has leaves, uncorrelated."""
    level = keys(50, 10)
    for _ in range(3):
        level = torch.stack([noise.split(level, i) for i in range(1, 9)], dim=-1).flatten(start_dim=0)
    assert len(set(level.tolist())) == 50 * 8**3
    draws = noise.uniform(level, 0, 1, torch.float64).reshape(-1, 8)
    assert p_of_correlation(draws.numpy()) > LEVEL


# --- purity, shapes, rows ---------------------------------------------------------------------------------------------


def test_index_zero_keeps_the_key() -> None:
    base, index = keys(6), torch.tensor([0, 1, 2, 0, 4, 5])
    assert torch.equal(noise.split(base, 0), base)
    assert torch.equal(noise.split(base, index) == base, index == 0)
    for row, i in enumerate(index.tolist()):
        assert noise.split(base, index)[row] == noise.split(base[row : row + 1], i)


def test_noise_is_a_function_of_its_arguments_alone() -> None:
    base, counter = keys(5), torch.arange(5)
    kept, global_state = (base.clone(), counter.clone()), torch.get_rng_state()
    first = [noise.uniform(base, counter, 3), noise.normal(base, counter, 3), noise.split(base, counter)]
    noise.normal(base, 99, 7)
    second = [noise.uniform(base, counter, 3), noise.normal(base, counter, 3), noise.split(base, counter)]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(base, kept[0])
    assert torch.equal(counter, kept[1])
    assert torch.equal(torch.get_rng_state(), global_state)


@DTYPES
@pytest.mark.parametrize("draw", [noise.uniform, noise.normal])
def test_a_row_has_the_same_bits_in_any_batch(draw: Callable[..., Tensor], dtype: torch.dtype) -> None:
    base, counter = keys(1000, 9), torch.arange(1000)
    large = draw(base, counter, 5, dtype)
    assert large.shape == (1000, 5)
    assert large.dtype == dtype
    for size in range(1, 41):
        rows = slice(20 * size, 21 * size)
        assert torch.equal(draw(base[rows], counter[rows], 5, dtype), large[rows])
    assert torch.equal(draw(base[17:18], 17, 5, dtype), large[17:18])  # a scalar counter
    assert torch.equal(draw(base, counter, 2, dtype), large[:, :2])  # fewer lanes


def test_new_keys_advance_their_generator() -> None:
    generator = torch.Generator().manual_seed(3)
    first, second = noise.new_keys(1000, generator), noise.new_keys(1000, generator)
    assert first.dtype == torch.int64
    assert torch.equal(first, keys(1000, 3))
    assert len(set(first.tolist() + second.tolist())) == 2000
