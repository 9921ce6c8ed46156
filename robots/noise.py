"""Counter-based random numbers: noise as a pure function of a key and a counter.

A simulator that needs randomness inside `step` keeps an int64 key per row in its state, in a field called `noise_key`,
and asks for noise by (key, counter). Nothing is advanced behind the caller's back, so a restored state meets the noise
it met before, siblings that share a key meet the same gusts (common random numbers), and `split` gives each sibling its
own.

The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014) applied twice.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_GOLDEN_GAMMA = 0x9E3779B97F4A7C15 - (1 << 64)  # odd 64-bit constants written as the int64 with the same bits
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)


def new_keys(num: int, generator: torch.Generator) -> Tensor:
    """(num,) int64 keys drawn from a generator, one stream of noise each."""
    return torch.randint(-(1 << 63), (1 << 63) - 1, (num,), generator=generator, device=generator.device)


def split(key: Tensor, index: Tensor | int) -> Tensor:
    """Key (B,) of an independent stream per index; index 0 keeps the key, so that the executed sample meets its own
    future.

    Siblings split at successive steps meet the same noise at equal counters; where that matters, mix the step into the
    index.
    """
    index = torch.as_tensor(index, dtype=torch.int64, device=key.device)
    return torch.where(index == 0, key, _mix(key ^ _mix(index * _MIX_2)))


def uniform(key: Tensor, counter: Tensor | int, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """(B, size) numbers uniform in the open interval (0, 1) for a key (B,) and a counter, scalar or (B,)."""
    lane = torch.arange(size, dtype=torch.int64, device=key.device)
    counter = torch.as_tensor(counter, dtype=torch.int64, device=key.device)
    word = _mix((key + _mix(counter * _GOLDEN_GAMMA)).unsqueeze(-1) + (lane + 1) * _GOLDEN_GAMMA)
    bits = 52 if dtype == torch.float64 else 23
    # the half keeps both ends out of the interval, so that a logarithm or an inverse distribution stays finite
    return (_shift_right(word, 64 - bits).to(dtype) + 0.5) * 2.0**-bits


def normal(key: Tensor, counter: Tensor | int, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """(B, size) standard normal numbers, sqrt(2) erfinv(2 u - 1) of `uniform` in double precision."""
    u = uniform(key, counter, size, torch.float64)
    return (math.sqrt(2.0) * torch.erfinv(2.0 * u - 1.0)).to(dtype)


def _mix(x: Tensor) -> Tensor:
    """Bijective scrambling of int64: every input bit flips every output bit with probability one half."""
    x = (x ^ _shift_right(x, 30)) * _MIX_1
    x = (x ^ _shift_right(x, 27)) * _MIX_2
    return x ^ _shift_right(x, 31)


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """Logical shift: torch's >> on int64 drags the sign along."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
