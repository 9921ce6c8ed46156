"""Arithmetic over batches rounds as numpy rounds it for a single row, in every bit, whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest

from robots.mujoco.readout import length, squared, squared_sum


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 3, 8, 65])
def test_sums_of_squares_are_those_of_each_row(rows: int, dtype: type) -> None:
    rng = np.random.default_rng(rows)
    for entries in (*range(1, 20), 84, 130, 257):
        values = rng.standard_normal((rows, entries)).astype(dtype)
        expected = [np.sum(np.square(row)) for row in values]
        assert squared_sum(values).dtype == dtype
        np.testing.assert_array_equal(squared_sum(values), expected)
    bodies = rng.standard_normal((rows, 14, 6)).astype(dtype)
    np.testing.assert_array_equal(squared_sum(bodies), [np.sum(np.square(row)) for row in bodies])
    np.testing.assert_array_equal(squared_sum(bodies[:, :, 3:]), [np.sum(np.square(row[:, 3:])) for row in bodies])


@pytest.mark.parametrize("rows", [1, 3, 8, 5000])
def test_lengths_are_those_of_each_row(rows: int) -> None:
    vectors = np.random.default_rng(rows).standard_normal((rows, 2, 3))
    for part in (vectors[:, 0], vectors[:, 1] - vectors[:, 0], vectors[:, 0, :2]):
        np.testing.assert_array_equal(length(part), [np.linalg.norm(row) for row in part])


def test_squares_are_those_of_single_numbers() -> None:
    """Gymnasium squares numbers one by one in InvertedDoublePendulum."""
    values = np.random.default_rng(0).standard_normal(50_000)
    np.testing.assert_array_equal(squared(values), [value**2 for value in values])
    np.testing.assert_allclose(squared(values), values * values, rtol=2.3e-16)  # one unit in the last place at most
