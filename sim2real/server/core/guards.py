"""Checks of observations and limits of actions."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hgrpo_errors import HgrpoError
from policies.spec import PolicySpec
from sim2real.policy.metadata import bounds_within
from sim2real.protocol.request_error import RequestError

RANGE_KEY = "observation_range"  # optional metadata key: JSON [[lowest, highest], ...] in the units of the entries

Single = NDArray[np.float32]
_FEW = 32  # up to this size, Python floats are faster than arrays


def observation_range(
    spec: PolicySpec, metadata: dict[str, str], largest: float | None
) -> tuple[Single, Single] | None:
    """Lowest and highest allowed observation (O,), (O,); None without a limit.

    Args:
        spec: Interface of the policy.
        metadata: Metadata of its file, which may contain a range.
        largest: Largest magnitude of every entry; None for no limit.

    Raises HgrpoError for a range in the metadata that does not fit the observation.
    """
    bound = math.inf if largest is None else largest
    low, high = (np.full(spec.observation_size, sign * bound) for sign in (-1.0, 1.0))
    if RANGE_KEY in metadata:
        try:
            stated = np.array(json.loads(metadata[RANGE_KEY]), dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise HgrpoError(f"{RANGE_KEY} is not a list of numbers") from error
        if stated.shape != (spec.observation_size, 2) or not np.all(stated[:, 0] < stated[:, 1]):
            raise HgrpoError(f"{RANGE_KEY} is not [lowest, highest] for each of {spec.observation_size} entries")
        low, high = np.maximum(low, stated[:, 0]), np.minimum(high, stated[:, 1])
    elif largest is None:
        return None
    return low.astype(np.float32), high.astype(np.float32)


class ObservationGuard:
    """Refuses observations of another dtype or shape, that are not finite, or out of range.

    Clips nothing.
    """

    def __init__(self, spec: PolicySpec, allowed: tuple[Single, Single] | None) -> None:
        self._spec = spec
        self._size = spec.observation_size
        self._allowed = allowed
        self._is_plain = allowed is None and self._size <= _FEW
        self._shapes = ((self._size,), (1, self._size))  # of a single observation

    def one(self, given: Any) -> Single:
        """One observation (O,) as float32 (1, O).

        Raises RequestError with the name of the wrong entry.
        """
        if type(given) is np.ndarray and given.shape != (self._size,):
            raise RequestError("shape", f"observation has shape {given.shape}; expected ({self._size},)")
        return self.batch(given)

    def batch(self, given: Any) -> Single:
        """Observations (B, O) or (O,) as float32 (B, O).

        Raises RequestError with the name of the wrong entry.

        The double-precision sum of a few single-precision numbers is finite if and only if all of them are.
        """
        if (
            self._is_plain
            and type(given) is np.ndarray
            and given.dtype == np.float32
            and given.shape in self._shapes
            and math.isfinite(sum(given.ravel().tolist()))
        ):
            return given.reshape(1, -1)
        if type(given) is not np.ndarray:
            raise RequestError("malformed", f"observation is {type(given).__name__}; expected an array of numbers")
        if given.dtype == np.float32:
            array = given
        elif given.dtype == np.float64:
            with np.errstate(over="ignore"):  # overflow is refused below as not finite
                array = given.astype(np.float32)
        else:
            raise RequestError("dtype", f"observation has dtype {given.dtype}; expected float32 or float64")
        if array.ndim not in (1, 2) or array.shape[-1] != self._size:
            raise RequestError(
                "shape", f"observation has shape {given.shape}; expected ({self._size},) or (B, {self._size})"
            )
        array = array.reshape(-1, self._size)
        if np.count_nonzero(np.isfinite(array)) != array.size:
            self._refuse("not_finite", array, ~np.isfinite(array), "finite")
        if self._allowed is not None:
            low, high = self._allowed
            outside = (array < low) | (array > high)
            if np.count_nonzero(outside):
                self._refuse("out_of_range", array, outside, "[{low:g}, {high:g}]")
        return array

    def _refuse(self, reason: str, array: Single, wrong: NDArray[np.bool_], expected: str) -> None:
        row, column = np.argwhere(wrong)[0]
        if self._allowed is not None:
            expected = expected.format(low=self._allowed[0][column], high=self._allowed[1][column])
        entry = self._spec.observation[column]
        at = f" in row {row}" if len(array) > 1 else ""
        raise RequestError(
            reason, f"observation {entry.name!r}{at} is {array[row, column]:g} {entry.unit}; allowed: {expected}"
        )


class ActionGuard:
    """Clamps actions to the bounds of the spec, and limits their change.

    a = clip(clip(a_policy, low, high), previous - s, previous + s), s = slew (high - low) / control_hz per request.
    """

    def __init__(self, spec: PolicySpec, slew: float | None) -> None:
        self._spec = spec
        self._low, self._high = bounds_within(spec)
        self._bounds = tuple(zip(self._low.tolist(), self._high.tolist(), strict=True))
        widths = np.array(spec.action_high) - np.array(spec.action_low)
        self._step = None if slew is None else (slew * widths / spec.control_hz).astype(np.float32)

    @property
    def needs_previous(self) -> bool:
        """Whether the limits depend on the previous action."""
        return self._step is not None

    def limit(self, action: Single, previous: Single | None) -> tuple[Single, bool]:
        """The limited actions (B, A), and whether any of them differs from the given ones.

        Args:
            action: Actions (B, A) of the policy.
            previous: Previous action (A,); None after a reset.

        Raises RequestError for an action that is not finite.
        """
        if self._step is None and len(action) == 1 and self._within(action[0].tolist()):
            return action, False
        allowed = np.minimum(np.maximum(action, self._low), self._high)
        if self._step is not None and previous is not None:
            allowed = np.minimum(np.maximum(allowed, previous - self._step), previous + self._step)
        if np.count_nonzero(allowed == action) == action.size:  # then finite: NaN equals nothing
            return allowed, False
        if np.count_nonzero(np.isfinite(action)) != action.size:
            raise RequestError(
                "action", f"the policy's action is not finite; safe action: {list(self._spec.safe_action)}"
            )
        return allowed, True

    def _within(self, action: list[float]) -> bool:
        """Whether an action (A,) is finite and within the bounds.

        Faster than arrays for few numbers.
        """
        for (low, high), value in zip(self._bounds, action, strict=True):  # noqa: SIM110, all() costs a generator
            if not low <= value <= high:  # true for NaN
                return False
        return True
