"""Requests are read alike the first time and ever after, and in less time where they repeat."""

from __future__ import annotations

import numpy as np
import pytest
from served import OBSERVATIONS

from sim2real.server import request_reader
from sim2real.server.rejection import Rejected
from sim2real.server.request_reader import RequestReader
from sim2real.server.wire import pack, unpack

LIMIT = 1 << 18


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Messages that were read as msgpack."""
    messages: list[bytes] = []

    def counting(data: bytes, max_bytes: int) -> object:
        messages.append(data)
        return unpack(data, max_bytes)

    monkeypatch.setattr(request_reader, "unpack", counting)
    return messages


@pytest.mark.parametrize("numbered", [True, False])
def test_resets_between_flights_do_not_make_it_forget(unpacked: list[bytes], numbered: bool) -> None:
    reader, sequence = RequestReader(LIMIT), 0
    for _ in range(30):
        for fields in ({"reset": True}, *({"observation": observation} for observation in OBSERVATIONS[:5])):
            sequence += 1
            request = {**fields, "sequence": sequence} if numbered else fields
            assert pack(reader.read(pack(request))) == pack(request)
    assert len(unpacked) == 30 + 1


def test_a_client_of_many_forms_is_read_all_the_same_but_not_looked_into_for_ever(unpacked: list[bytes]) -> None:
    reader = RequestReader(LIMIT)
    for size in (*range(1, 40), *range(1, 40)):
        request = {"observation": np.arange(float(size))}
        assert pack(reader.read(pack(request))) == pack(request)
    assert len(unpacked) == 2 * 39 - 1  # all but one, of the last form that was looked for


def test_what_is_refused_is_refused_after_good_requests_too() -> None:
    reader = RequestReader(LIMIT)
    good = pack({"observation": OBSERVATIONS[0], "sequence": 1})
    for wrong in (b"", good[:-1], good + b"\x00", pack({"observation": OBSERVATIONS[0], "sequence": -1}), pack({})):
        reader.read(good)
        with pytest.raises(Rejected):
            reader.read(wrong)
