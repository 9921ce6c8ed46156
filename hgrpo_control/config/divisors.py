"""Divisors of a number, for error lines that list the allowed values."""

from __future__ import annotations


def divisors(number: int) -> list[int]:
    """Every divisor of a positive number, ascending."""
    return [d for d in range(1, number + 1) if number % d == 0]


def near_divisors(number: int, wanted: int) -> list[int]:
    """The two divisors of `number` on either side of `wanted`."""
    every = divisors(number)
    below, above = [d for d in every if d < wanted], [d for d in every if d > wanted]
    return below[-1:] + above[:1]
