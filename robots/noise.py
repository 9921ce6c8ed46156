"""Counter-based random numbers: noise as a pure function of a key and a counter.

A simulator that needs random numbers in `step` keeps an int64 key per row in its state, in a field called `noise_key`.
The numbers depend on key and counter only, and no generator is advanced. A restored state therefore repeats its noise.
Siblings with the same key get the same gusts (common random numbers); `split` gives each sibling a key of its own.

The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014), applied twice.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_GOLDEN_GAMMA = 0x9E3779B97F4A7C15 - (1 << 64)  # odd 64-bit constants written as the int64 with the same bits
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)


def new_keys(num: int, generator: torch.Generator) -> Tensor:
    """Draw keys (num,) int64 of independent noise streams from a generator."""
    return torch.randint(-(1 << 63), (1 << 63) - 1, (num,), generator=generator, device=generator.device)


def split(key: Tensor, index: Tensor | int) -> Tensor:
    """Key (B,) of an independent stream per index; index 0 keeps the key.

    Index 0 belongs to the executed sample, whose noise does not change. Siblings that are split with equal indices at
    successive steps get equal noise at equal counters. Where that matters, mix the step into the index.
    """
    index = torch.as_tensor(index, dtype=torch.int64, device=key.device)
    return torch.where(index == 0, key, _mix(key ^ _mix(index * _MIX_2)))


def uniform(key: Tensor, counter: Tensor | int, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Uniform random numbers in the open interval (0, 1).

    Args:
        key: (B,) int64 keys.
        counter: Counter of all rows, or (B,).
        size: Numbers per row.
        dtype: Type of the numbers.

    Returns:
        (B, size) numbers.
    """
    lane = torch.arange(size, dtype=torch.int64, device=key.device)
    counter = torch.as_tensor(counter, dtype=torch.int64, device=key.device)
    word = _mix((key + _mix(counter * _GOLDEN_GAMMA)).unsqueeze(-1) + (lane + 1) * _GOLDEN_GAMMA)
    bits = 52 if dtype == torch.float64 else 23
    # the half excludes both ends, so that logarithms and inverse distributions are finite
    return (_shift_right(word, 64 - bits).to(dtype) + 0.5) * 2.0**-bits


def normal(key: Tensor, counter: Tensor | int, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal numbers (B, size): sqrt(2) erfinv(2 u - 1); arguments and u are those of `uniform`."""
    u = uniform(key, counter, size, torch.float64)
    return (math.sqrt(2.0) * torch.erfinv(2.0 * u - 1.0)).to(dtype)


def _mix(x: Tensor) -> Tensor:
    """Bijection of int64. Every input bit flips every output bit with probability 0.5."""
    x = (x ^ _shift_right(x, 30)) * _MIX_1
    x = (x ^ _shift_right(x, 27)) * _MIX_2
    return x ^ _shift_right(x, 31)


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """Logical shift; torch's >> on int64 extends the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
