"""Actions stay inside the space that the environment declares."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

from robots.from_gymnasium.options import EnvironmentRefusedError
from robots.from_gymnasium.spaces import FlatSpaces, read_spaces


def spaces_of(action: Box, action_bound: float | None = None) -> FlatSpaces:
    env: gymnasium.Env[Any, Any] = gymnasium.Env()
    env.observation_space, env.action_space = Box(-1.0, 1.0, (2,), np.float32), action
    return read_spaces(env, "Some-v0", action_bound)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("bound", [0.1, 0.3, 0.7, 1.0, 2.9])
def test_saturated_actions_lie_in_the_space_of_their_dtype(dtype: type[np.floating[Any]], bound: float) -> None:
    box = Box(-bound, bound, (1, 2), dtype)
    flat = spaces_of(box)
    for vector in (flat.low, flat.high, 9.0 * flat.low, 9.0 * flat.high, np.array([bound, -bound], dtype=np.float32)):
        action = flat.action_of(vector)
        assert box.contains(action), action
        assert np.abs(action) == pytest.approx(bound, rel=1e-3)
    assert flat.action_of(np.array([0.05, 0.0], dtype=np.float32)) == pytest.approx(np.array([[0.05, 0.0]]), rel=1e-3)


def test_a_float64_bound_is_met_exactly() -> None:
    flat = spaces_of(Box(-0.1, 0.1, (1,), np.float64))
    assert float(flat.high[0]) > 0.1  # its float32 lies outside
    assert flat.action_of(flat.high)[0] == 0.1
    assert flat.action_of(flat.low)[0] == -0.1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_largest_number_of_a_dtype_is_no_bound(dtype: type[np.floating[Any]]) -> None:
    largest = np.finfo(dtype).max
    box = Box(-largest, largest, (1,), dtype)
    with pytest.raises(EnvironmentRefusedError, match=r"leaves its actions unbounded.*action_bound=1"):
        spaces_of(box)
    closed = spaces_of(box, 2.0)
    assert (closed.low.tolist(), closed.high.tolist()) == ([-2.0], [2.0])
    assert closed.action_of(np.array([5.0], dtype=np.float32)).tolist() == [2.0]
