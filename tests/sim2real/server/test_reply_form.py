"""A filled form is what packing the reply would say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sim2real.server.reply_form import reply_form
from sim2real.server.wire import unpack

NUMBERS = (0, 1, 300, 2**63 - 1)


@pytest.mark.parametrize("name", ["policy", "", "a name \u00e9 \ufeff \U0010ffff", "\x7e" * 40])
@pytest.mark.parametrize("size", [1, 4, 29])
def test_every_combination(name: str, size: int) -> None:
    action = np.random.default_rng(size).normal(size=(1, size)).astype(np.float32)
    for limited, reset, timed, number in itertools.product(
        (False, True), (False, True), (False, True), (None, *NUMBERS)
    ):
        form = reply_form(name, "12", limited, reset, size, timed, number is not None)
        milliseconds = (0.25, 1e3) if timed else (0.25,)
        reply = unpack(form.fill(action, milliseconds, number), 1 << 16)
        np.testing.assert_array_equal(reply.pop("actions"), action)
        expected = {"policy": name, "version": "12", "limited": limited, "server_timing": {"infer_ms": 0.25}}
        if timed:
            expected["server_timing"]["prev_total_ms"] = 1e3
        if reset:
            expected["reset"] = True
        if number is not None:
            expected["sequence"] = number
        assert reply == expected


def test_what_was_filled_in_before_leaves_no_trace() -> None:
    form = reply_form("policy", "1", False, False, 2, True, True)
    first = form.fill(np.ones((1, 2), np.float32), (1.0, 2.0), 3)
    assert form.fill(np.zeros((1, 2), np.float32), (4.0, 5.0), 6) != first
    assert form.fill(np.ones((1, 2), np.float32), (1.0, 2.0), 3) == first
