"""What the processes of one run exchange; one process alone exchanges nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor

from hgrpo_errors import HgrpoError

Result = TypeVar("Result")


class RankLostError(HgrpoError):
    """Raised where another process of the run has ended or does not answer; names it."""


class Ranks:
    """One process alone: every method returns what one process computes, bit for bit.

    `Group` has the same methods for several processes. All of them must call the same methods in the same order, with
    tensors of equal shape unless a method allows others.
    """

    rank = 0
    size = 1
    seconds = 0.0
    """Time spent in exchanges, the wait for slower processes included."""

    def device(self, name: str) -> str:
        """Device of this process, from the name of the run's device."""
        return name

    def sum(self, x: Tensor) -> Tensor:
        """Sum of x over the processes."""
        return x

    def mean(self, x: Tensor) -> Tensor:
        """Mean of x over the processes, each with equal weight."""
        return x

    def average_(self, x: Tensor) -> None:
        """Replace x by its mean over the processes."""

    def max(self, x: Tensor) -> Tensor:
        """Largest x of the processes."""
        return x

    def any(self, flag: Tensor | bool) -> bool:
        """Whether the flag of any process is true."""
        return bool(flag)

    def gathered(self, x: Tensor) -> list[Tensor]:
        """x of every process, in the order of their ranks."""
        return [x]

    def objects(self, value: Any) -> list[Any]:
        """Values of all processes, of any size, in the order of their ranks."""
        return [value]

    def states(self, state: Any) -> list[Any]:
        """On rank 0 the states of all processes, as a checkpoint holds them; empty elsewhere."""
        return [state]

    def variance(self, x: Tensor, dim: int | None = None, correction: int = 0) -> Tensor:
        """Variance over the entries of x on all processes, or over one dimension; NaN where there are none.

        The number of entries may differ between processes.

        Args:
            x: Any shape.
            dim: Dimension; None is all of them.
            correction: Subtracted from the number of entries.
        """
        return x.var(dim, correction=correction) if x.numel() else x.new_full((), math.nan)

    def together(self, call: Callable[[], Result]) -> Result:
        """Result of a call that every process makes; raises on all what the first failing one raised.

        Errors other than HgrpoError are bugs and end their process.
        """
        return call()

    def on_first(self, call: Callable[[], None]) -> None:
        """Make a call on rank 0 alone; raises on all processes what it raised."""
        call()

    def first_failure(self, failure: HgrpoError | None) -> HgrpoError | None:
        """The failure of the first process that has one."""
        return failure


ALONE = Ranks()
