"""A form reads exactly what msgpack proper reads, or nothing."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served import OBSERVATIONS

from sim2real.server.history import LARGEST_SEQUENCE
from sim2real.server.rejection import Rejected
from sim2real.server.request_form import RequestForm
from sim2real.server.wire import pack, unpack

LIMIT = 1 << 18
PLAIN = {"observation": OBSERVATIONS[0]}
NUMBERED = {**PLAIN, "sequence": 7}


def form_of(message: bytes) -> RequestForm | None:
    return RequestForm.of(message, unpack(message, LIMIT))


def same(one: Any, other: Any) -> bool:
    return pack(one) == pack(other)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("fill", [0.0, 1.5, 32.0])  # of which some look like lengths around them
def test_other_observations_are_read(dtype: str, fill: float) -> None:
    form = form_of(pack({"observation": np.full(16, fill, dtype)}))
    assert form
    for value in (np.zeros(16, dtype), np.arange(16.0).astype(dtype), np.full(16, np.nan, dtype)):
        fields = form.read(pack({"observation": value}))
        assert fields
        assert same(fields, {"observation": value})
        assert fields["observation"].dtype == value.dtype
    assert form.read(pack({"observation": np.zeros(15, dtype)})) is None
    assert form.read(pack({"observation": np.zeros((16, 1), dtype)})) is None
    assert form.read(pack({"observation": np.zeros(16, "i4" if dtype == "f4" else "i8")})) is None
    assert form.read(pack({"observation": np.zeros(16, dtype), "sequence": 1})) is None
    assert form.read(b"") is None


@pytest.mark.parametrize("first", [0, 127, 128, 255, 256, 65535, 65536, 2**32, LARGEST_SEQUENCE])
def test_sequence_numbers_of_any_length_are_read(first: int) -> None:
    form = form_of(pack({**PLAIN, "sequence": first}))
    assert form
    for sequence in (0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, LARGEST_SEQUENCE):
        fields = form.read(pack({"observation": OBSERVATIONS[1], "sequence": sequence}))
        assert fields
        assert same(fields, {"observation": OBSERVATIONS[1], "sequence": sequence})
    for other in (-1, 2**63, 2**64 - 1, 1.0, True, None, "7", b"7"):
        assert form.read(pack({**PLAIN, "sequence": other})) is None
    assert form.read(pack(PLAIN)) is None
    assert form.read(pack({**NUMBERED, "reset": True})) is None


ARRAY = {b"__ndarray__": True, b"data": OBSERVATIONS[0].tobytes(), b"dtype": "<f4", b"shape": [3]}


@pytest.mark.parametrize(
    "fields",
    [
        {"reset": True},
        {"sequence": 7, **PLAIN},  # a number in front
        {**NUMBERED, "reset": False},
        {"observation": [1.0, 2.0, 3.0]},
        {"observation": np.zeros(0, np.float32)},
        {"observation": np.float32(1.0)},
    ],
)
def test_other_messages_have_no_form(fields: dict[str, Any]) -> None:
    assert form_of(pack(fields)) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"observation": {b"copy": ARRAY[b"data"], **ARRAY}},  # the same bytes where they mean nothing
        {"observation": {**ARRAY, b"copy": ARRAY[b"data"]}},
        {"observation": {**ARRAY, b"text": "\x00" * 8 + "sequence\x05"}, "sequence": 3},
    ],
)
def test_bytes_that_only_look_like_a_blank_are_none(fields: dict[str, Any]) -> None:
    message = msgpack.packb(fields)
    form = form_of(message)
    assert form
    numbers = np.array([4.0, -5.0, 6.0], np.float32).tobytes()
    changed = {**fields, "observation": {**fields["observation"], b"data": numbers}}
    read = form.read(msgpack.packb(changed))
    assert read
    assert same(read, unpack(msgpack.packb(changed), LIMIT))


def test_a_number_inside_other_bytes_is_no_sequence_number() -> None:
    bytes_like_it = {**ARRAY, b"more": b"x\xa8sequence\x05"}
    assert form_of(msgpack.packb({"sequence": 5, "observation": bytes_like_it})) is None
    assert form_of(msgpack.packb({"observation": bytes_like_it, "sequence": 5}))


@given(
    st.sampled_from(
        [pack(PLAIN), pack(NUMBERED), msgpack.packb({"observation": {**ARRAY, b"copy": b"\xa8sequence\x05"}})]
    ),
    st.lists(st.tuples(st.integers(0, 200), st.integers(-1, 255)), max_size=4),
    st.binary(max_size=10),
)
@settings(max_examples=400, deadline=None)
def test_whatever_is_read_is_what_msgpack_reads(message: bytes, changes: list[tuple[int, int]], tail: bytes) -> None:
    form = form_of(message)
    assert form
    changed = bytearray(message)
    for place, value in changes:
        if value < 0:
            del changed[place % len(changed)]
        else:
            changed[place % len(changed)] = value
    for data in (bytes(changed), bytes(changed) + tail, bytes(changed[: -len(tail) or None]) + tail):
        read = form.read(data)
        if read is None:
            continue
        try:
            expected = unpack(data, LIMIT)
        except Rejected as refusal:
            pytest.fail(f"{data!r} was read, and is refused: {refusal}")
        assert same(read, expected)
