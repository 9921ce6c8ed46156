"""Guards by hand: what is refused, by name, and what an action is held to."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from support.server_process import SPEC

from sim2real.protocol.request_error import RequestError
from sim2real.server.core.guards import ActionGuard, ObservationGuard, observation_range

LARGEST_SINGLE = float(np.finfo(np.float32).max)


@pytest.mark.parametrize(
    ("given", "reason", "message"),
    [
        ([0.0, 0.0, 0.0], "malformed", "observation is list"),
        (np.zeros(4, np.float32), "shape", "observation has shape (4,); expected (3,)"),
        (np.zeros((1, 3), np.float32), "shape", "observation has shape (1, 3); expected (3,)"),
        (np.zeros(3, np.int64), "dtype", "observation has dtype int64"),
        (np.zeros(3, np.float16), "dtype", "observation has dtype float16"),
        (np.array([0.0, np.nan, 0.0]), "not_finite", "observation 'v' is nan m/s; allowed: finite"),
        (np.array([0.0, 0.0, -np.inf], np.float32), "not_finite", "observation 'w' is -inf m/s"),
        (np.array([1e39, 0.0, 0.0]), "not_finite", "observation 'u' is inf m/s"),
    ],
)
def test_refused_without_a_range(given: Any, reason: str, message: str) -> None:
    guard = ObservationGuard(SPEC, observation_range(SPEC, {}, None))
    with pytest.raises(RequestError) as caught:
        guard.one(given)
    assert caught.value.reason == reason
    assert message in str(caught.value)


def test_what_is_allowed_passes_unchanged() -> None:
    guard = ObservationGuard(SPEC, observation_range(SPEC, {}, None))
    given = np.array([LARGEST_SINGLE, -1e-40, 0.1], np.float32)
    np.testing.assert_array_equal(guard.one(given), given[np.newaxis])
    np.testing.assert_array_equal(guard.one(np.array([0.1, 2.0, 3.0])), np.array([[0.1, 2.0, 3.0]], np.float32))
    assert guard.batch(np.zeros((5, 3), np.float32)).shape == (5, 3)


def test_range_is_the_smaller_of_the_file_s_and_the_option_s() -> None:
    metadata = {"observation_range": json.dumps([[-1, 2], [-500, 500], [0, 3]])}
    low, high = observation_range(SPEC, metadata, 100.0)  # type: ignore[misc]
    np.testing.assert_array_equal(low, [-1, -100, 0])
    np.testing.assert_array_equal(high, [2, 100, 3])
    guard = ObservationGuard(SPEC, (low, high))
    guard.one(np.array([2.0, -100.0, 0.0]))
    with pytest.raises(RequestError, match=r"observation 'w' in row 1 is -0.5 m/s; allowed: \[0, 3\]") as caught:
        guard.batch(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, -0.5]]))
    assert caught.value.reason == "out_of_range"


@pytest.mark.parametrize(
    "text", ["no JSON", "[[0, 1]]", "[[0, 1], [0, 1], [1, 1]]", '[["a", 1], [0, 1], [0, 1]]', "{}"]
)
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="observation_range is n"):
        observation_range(SPEC, {"observation_range": text}, None)


def test_actions_are_clamped_to_the_bounds_of_the_spec() -> None:
    # bounds [0, 0.6] and [-3, 5]; 0.6 is not a single-precision number, and the largest one below it is allowed
    guard = ActionGuard(SPEC, None)
    action, limited = guard.limit(np.array([[7.0, -4.0]], np.float32), None)
    assert limited
    assert float(action[0, 0]) <= 0.6
    np.testing.assert_allclose(action, [[0.6, -3.0]], rtol=1e-6)
    kept = np.array([[0.1, 5.0]], np.float32)
    action, limited = guard.limit(kept, np.zeros(2, np.float32))
    assert not limited
    np.testing.assert_array_equal(action, kept)


def test_slew_by_hand() -> None:
    # 5 ranges a second at 100 Hz: 0.05 ranges a step, which is 0.03 N and 0.4 rad/s
    guard = ActionGuard(SPEC, 5.0)
    wanted = np.array([[0.6, -3.0]], np.float32)
    action, limited = guard.limit(wanted, np.array([0.3, 0.2], np.float32))
    assert limited
    np.testing.assert_allclose(action, [[0.33, -0.2]], atol=1e-6)
    action, limited = guard.limit(np.array([[0.31, 0.5]], np.float32), np.array([0.3, 0.2], np.float32))
    assert not limited
    first, _ = guard.limit(wanted, None)  # nothing came before
    np.testing.assert_allclose(first, wanted, rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_policy_s_nonsense_is_refused_with_the_safe_action(value: float) -> None:
    with pytest.raises(RequestError, match=r"safe action: \[0.3, 0.0\]") as caught:
        ActionGuard(SPEC, None).limit(np.array([[0.1, value]], np.float32), None)
    assert caught.value.reason == "action"
