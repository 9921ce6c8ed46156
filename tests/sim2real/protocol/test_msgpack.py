"""The codec reads what openpi writes, and refuses everything else without harm."""

from __future__ import annotations

import random
import resource
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from support.bad_messages import KINDS, malformed
from support.server_process import SPEC

from sim2real.protocol.msgpack import (
    DTYPES,
    MAX_DEPTH,
    MAX_ENTRIES,
    pack,
    unpack,
)
from sim2real.protocol.request_error import RequestError
from sim2real.server.core.guards import ObservationGuard, observation_range
from sim2real.server.openpi.websocket import check_fields

LIMIT = 1 << 18


def test_an_array_by_hand() -> None:
    # map of 4: 0x84; bin8 key: 0xc4 length; true: 0xc3; 1.0 and -2.0 in little-endian single precision
    data = bytes.fromhex("84 c40b") + b"__ndarray__" + bytes.fromhex("c3 c404") + b"data"
    data += bytes.fromhex("c408 0000803f 000000c0 c405") + b"dtype" + bytes.fromhex("a3") + b"<f4"
    data += bytes.fromhex("c405") + b"shape" + bytes.fromhex("91 02")
    value = np.array([1.0, -2.0], np.float32)
    assert pack(value) == data
    np.testing.assert_array_equal(unpack(data, LIMIT), value)


@given(
    st.sampled_from(sorted(DTYPES)).flatmap(lambda name: arrays.arrays(DTYPES[name], arrays.array_shapes(max_dims=4)))
)
@settings(max_examples=60)
def test_arrays_come_back_as_they_were(value: np.ndarray) -> None:
    back = unpack(pack({"value": value, "scalar": value.ravel()[0]}), LIMIT)
    assert back["value"].dtype == value.dtype
    np.testing.assert_array_equal(back["value"], value)
    np.testing.assert_array_equal(back["scalar"], value.ravel()[0])


def test_openpi_s_own_codec_agrees() -> None:
    codec = pytest.importorskip("openpi_client.msgpack_numpy", reason="openpi-client is not installed")
    message = {"observation": np.arange(6.0).reshape(2, 3), "n": np.int32(3), "text": "a", "list": [1, None, 2.5]}
    assert codec.packb(message) == pack(message)
    np.testing.assert_array_equal(codec.unpackb(pack(message))["observation"], message["observation"])


@pytest.mark.parametrize("value", [np.zeros(2, complex), np.array([None]), np.array(["a"]), np.zeros(1, ">f4"), {1, 2}])
def test_what_is_not_whitelisted_is_not_sent(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot send"):
        pack(value)


def array(**changes: Any) -> bytes:
    fields = {b"__ndarray__": True, b"data": bytes(12), b"dtype": "<f4", b"shape": [3]}
    return pack(fields | {key.encode(): value for key, value in changes.items()})


def nested(levels: int) -> Any:
    return [nested(levels - 1)] if levels else 0


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "malformed"),
        (b"\xc1", "malformed"),  # the one byte that msgpack never uses
        (b"\x01\x02", "malformed"),  # two messages
        (bytes(LIMIT + 1), "too_large"),
        (b"\xdd\xff\xff\xff\xff", "malformed"),  # a list of 4 G entries, none of them there
        (b"\xc6\xff\xff\xff\xff", "malformed"),
        (b"\xc7\x01\x05a", "malformed"),  # an extension type
        (b"\xd6\xff" + bytes(4), "malformed"),  # a time stamp
        (b"\x91" * 100_000 + b"\xc0", "malformed"),
        (pack(nested(MAX_DEPTH + 1)), "too_large"),
        (pack(list(range(MAX_ENTRIES + 1))), "malformed"),
        (pack("a" * 5000), "malformed"),
        (b"\x81\x93\x01\x02\x03\x01", "malformed"),  # a map whose key is a list
        (array(dtype="|O"), "dtype"),
        (array(dtype="O"), "dtype"),
        (array(dtype=">f4"), "dtype"),
        (array(dtype="<U3"), "dtype"),
        (array(dtype="<M8[s]"), "dtype"),
        (array(dtype=["<f4"]), "dtype"),
        (array(shape=[2**62, 2**62]), "shape"),
        (array(shape=[-1, -3]), "shape"),
        (array(shape=[3.0]), "shape"),
        (array(shape=[True, 3]), "shape"),
        (array(shape=[1] * 5), "shape"),
        (array(shape=[2]), "shape"),
        (array(shape=3), "malformed"),
        (array(data="text"), "malformed"),
        (pack({b"__npgeneric__": True, b"data": "1", b"dtype": "<f4"}), "malformed"),
        (pack({b"__npgeneric__": True, b"data": 2**63, b"dtype": "|i1"}), "malformed"),
        (pack({b"__npgeneric__": True, b"data": 1, b"dtype": "|O"}), "dtype"),
    ],
)
def test_refusals(data: bytes, reason: str) -> None:
    with pytest.raises(RequestError) as caught:
        unpack(data, LIMIT)
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)


def test_the_deepest_allowed_message_is_read() -> None:
    assert unpack(pack(nested(MAX_DEPTH)), LIMIT) == nested(MAX_DEPTH)


@pytest.mark.slow
def test_a_hundred_thousand_malformed_frames_are_refused_and_cost_no_memory() -> None:
    guard = ObservationGuard(SPEC, observation_range(SPEC, {}, 100.0))
    generator = random.Random(0)
    refused = dict.fromkeys(KINDS, 0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for index in range(100_000):
        kind = KINDS[index % len(KINDS)]
        data = malformed(kind, generator)
        try:
            fields = unpack(data, LIMIT)
            check_fields(fields)
            accepted = guard.one(fields["observation"]) if "observation" in fields else None
        except RequestError:
            refused[kind] += 1
        else:  # a flipped bit may leave a good message, and then what it holds must be one
            assert kind == "flipped", (kind, data)
            assert accepted is None or (accepted.shape == (1, 3) and np.abs(accepted).max() <= 100.0)
    assert all(count > 0.2 * 100_000 / len(KINDS) for count in refused.values()), refused
    assert sum(refused.values()) > 85_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB
