"""The random numbers of robots/noise.py as Warp functions."""

# mypy: ignore-errors

import math
from functools import cache
from typing import Any, NamedTuple

import warp as wp

_GOLDEN_GAMMA = wp.uint64(0x9E3779B97F4A7C15)
_MIX_1 = wp.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = wp.uint64(0x94D049BB133111EB)
_SHIFT_1, _SHIFT_2, _SHIFT_3 = wp.uint64(30), wp.uint64(27), wp.uint64(31)


class Noise(NamedTuple):
    """Warp functions for one floating type."""

    uniform: Any
    """uniform(key: int64, counter: int64, lane: int) -> real: number `lane` of noise.uniform, to the bit."""
    normal: Any
    """normal(key: int64, counter: int64, lane: int) -> real: number `lane` of noise.normal."""


@wp.func
def mixed(x: wp.uint64) -> wp.uint64:
    """The bijection of robots/noise.py."""
    y = (x ^ (x >> _SHIFT_1)) * _MIX_1
    z = (y ^ (y >> _SHIFT_2)) * _MIX_2
    return z ^ (z >> _SHIFT_3)


@wp.func
def split(key: wp.int64, index: wp.int64) -> wp.int64:
    """As noise.split."""
    own = wp.int64(mixed(wp.uint64(key) ^ mixed(wp.uint64(index) * _MIX_2)))
    return wp.where(index == wp.int64(0), key, own)


@wp.func
def drawn_word(key: wp.int64, counter: wp.int64, lane: int) -> wp.uint64:
    """Word `lane` of the SplitMix64 sequence of a key and a counter."""
    start = wp.uint64(key) + mixed(wp.uint64(counter) * _GOLDEN_GAMMA)
    return mixed(start + wp.uint64(lane + 1) * _GOLDEN_GAMMA)


@cache
def functions(real: Any) -> Noise:
    """Warp functions for wp.float32 or wp.float64."""
    bits = 52 if real is wp.float64 else 23
    shift, scale, half = wp.uint64(64 - bits), real(2.0**-bits), real(0.5)
    root, one, two = wp.float64(math.sqrt(2.0)), wp.float64(1.0), wp.float64(2.0)

    @wp.func
    def uniform(key: wp.int64, counter: wp.int64, lane: int) -> real:
        return (real(drawn_word(key, counter, lane) >> shift) + half) * scale

    uniform_double = uniform if real is wp.float64 else functions(wp.float64).uniform

    @wp.func
    def normal(key: wp.int64, counter: wp.int64, lane: int) -> real:
        return real(root * wp.erfinv(two * uniform_double(key, counter, lane) - one))

    return Noise(uniform, normal)
