"""A client of servers that say anything: it raises what it documents, names the URL, and does not hang."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.scripted_server import GOOD, METADATA, PATIENCE, frame, reply, scripted, text

from hgrpo_errors import HgrpoError
from sim2real.client import reply as client_reply
from sim2real.client.policy_client import PolicyClient
from sim2real.client.remote_policy import RemotePolicy
from sim2real.client.reply import UnreadableError
from sim2real.protocol.msgpack import pack
from sim2real.protocol.request_error import RequestError

SHORT = 0.3  # seconds, where a server is silent
OBSERVATION = np.arange(3, dtype=np.float32)
HTML = b"<html><body>It works!\n</body></html>"
MESSAGES = {
    "nothing": b"",
    "an empty frame": frame(b""),
    "noise": frame(bytes(range(200, 256))),
    "noise without a frame": bytes(range(256)),
    "a text": text("hello"),
    "a page": frame(HTML, opcode=1),
    "a text that is no UTF-8": frame(b"\xff\xfe\xfd", opcode=1),
    "JSON that ends early": frame(b'{"error": ', opcode=1),
    "a list in JSON": text([1, 2]),
    "null": text(None),
    "deep JSON": frame(b"[" * 100_000, opcode=1),
    "deep JSON maps": frame(b'{"a":' * 100_000, opcode=1),
    "a number with too many digits": frame(b'{"sequence": ' + b"9" * 10_000 + b"}", opcode=1),
    "a number": frame(pack(5)),
    "a list": frame(pack([{}])),
    "nil": frame(b"\xc0"),
    "an array": frame(pack(np.zeros(3))),
    "deep": frame(b"\x91" * 1000 + b"\x90"),
    "a map by maps": frame(b"\x81\x80\x00"),
    "a claimed list": frame(b"\xdd\xff\xff\xff\xff"),
    "a claimed text": frame(b"\xdb\xff\xff\xff\xff"),
    "two messages in one": frame(pack(GOOD) * 2),
    "an extension": frame(b"\xc7\x08\x01" + bytes(8)),
    "a masked frame": b"\x82\x81\0\0\0\0\0",
    "reserved bits": frame(b"x", first=0xF0),
    "an unknown kind": frame(b"x", opcode=5),
    "a part": frame(b"x", first=0),
    "a part of nothing": frame(b"x", opcode=0),
    "too long": frame(bytes((1 << 20) + 1)),
    "claimed to be too long": b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",
    "a goodbye": frame((1001).to_bytes(2, "big") + b"going", opcode=8),
    "a goodbye without a reason": frame(b"", opcode=8),
    "a goodbye of another kind": frame(b"\x00\x01" + bytes(3), opcode=8),
    "a goodbye that is no text": frame((1000).to_bytes(2, "big") + b"\xff", opcode=8),
    "a long ping": frame(bytes(126), opcode=9),
    "half a message": frame(pack(GOOD))[:20],
}


def refused(call: Callable[[], object], url: str) -> None:
    with pytest.raises(ConnectionError) as caught:
        call()
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("sent", MESSAGES.values(), ids=MESSAGES)
def test_what_is_no_metadata_is_a_connection_error_that_names_the_server(sent: bytes) -> None:
    with scripted(metadata=sent) as server:
        refused(lambda: PolicyClient(server.url, timeout=PATIENCE), server.url)


def without(name: str) -> bytes:
    return frame(pack({key: value for key, value in GOOD.items() if key != name}))


def raw_array(dtype: str, shape: object, data: object) -> dict[bytes, object]:
    return {b"__ndarray__": True, b"data": data, b"dtype": dtype, b"shape": shape}


REPLIES = {
    **{f"without {name}": without(name) for name in ("actions", "version", "limited", "server_timing")},
    **{f"actions {given!r}": reply(actions=given) for given in (None, 1.0, [[0.5]], "0.5", {}, True)},
    "actions of one dimension": reply(actions=np.zeros(1, np.float32)),
    "no actions": reply(actions=np.zeros((0, 1), np.float32)),
    "true and false": reply(actions=np.zeros((1, 1), bool)),
    "an object": reply(actions=raw_array("|O", [1], b"12345678")),
    "an array that is too short": reply(actions=raw_array("<f4", [1, 1], b"123")),
    "an array of negative size": reply(actions=raw_array("<f4", [-1, -1], b"1234")),
    "an array of huge sizes": reply(actions=raw_array("<f4", [0, 1 << 63], b"")),
    "an array of no bytes": reply(actions=raw_array("<f4", [1, 1], "1234")),
    "sizes that are none": reply(actions=raw_array("<f4", 1, b"1234")),
    "version 1": reply(version=1),
    "limited 0": reply(limited=0),
    "no timing": reply(server_timing=[]),
    "an empty timing": reply(server_timing={}),
    "a timing in words": reply(server_timing={"infer_ms": "1"}),
    "an infinite timing": reply(server_timing={"infer_ms": float("inf")}),
    "a sequence in words": reply(sequence="1"),
    "a sequence of arrays": reply(sequence=np.zeros(3)),
    "a sequence of fractions": reply(sequence=1.0),
    "an action in JSON": text({**GOOD, "actions": [[0.25]]}),
    "a huge number in JSON": frame(b'{"sequence": 1e999}', opcode=1),
    "an error without a reason": text({"error": "no", "sequence": 1}),
    "an error with a reason of its own": text({"error": "no", "reason": "mood", "sequence": 1}),
    "an error with a list of reasons": text({"error": "no", "reason": ["shape"], "sequence": 1}),
    "an error that is none": text({"error": None, "reason": "shape", "sequence": 1}),
    "a traceback": frame(b"Traceback (most recent call last):\n  File ...", opcode=1),
}


@pytest.mark.parametrize("sent", [*MESSAGES.values(), *REPLIES.values()], ids=[*MESSAGES, *REPLIES])
def test_what_is_no_reply_is_a_connection_error_and_the_last_of_it(sent: bytes) -> None:
    with scripted(sent) as server, PolicyClient(server.url, timeout=PATIENCE) as client:
        refused(lambda: client.infer(OBSERVATION), server.url)
        refused(lambda: client.infer(OBSERVATION), server.url)
        refused(client.reset, server.url)


def test_silence_and_late_replies_are_timeouts_after_which_it_goes_on() -> None:
    ping = frame(b"there?", opcode=9)
    replies = (ping, ping + reply(), reply() + reply(sequence=3))
    with scripted(*replies, stays=True) as server, PolicyClient(server.url, timeout=SHORT) as client:
        for _ in range(2):
            with pytest.raises(TimeoutError, match=f"no answer in time from {server.url}"):
                client.infer(OBSERVATION)
        assert client.infer(OBSERVATION).action == 0.25


def test_refusals_are_one_printable_line_and_the_conversation_goes_on() -> None:
    long = "no\n\x1b[2J" + "x" * 5000
    replies = (text({"error": long, "reason": "shape", "sequence": None}), reply(sequence=2))
    with scripted(*replies) as server, PolicyClient(server.url, timeout=PATIENCE) as client:
        with pytest.raises(RequestError) as caught:
            client.infer(OBSERVATION)
        assert caught.value.reason == "shape"
        assert str(caught.value) == "no \\x1b[2J" + "x" * (500 - 7)
        assert client.infer(OBSERVATION).version == "1"


@pytest.mark.parametrize("dtype", ["i1", "u2", ">i4", "i8", "u8", "f2", ">f4", ">f8", "g"])
def test_observations_of_any_real_type_are_sent_as_float32(dtype: str) -> None:
    with scripted(reply()) as server, PolicyClient(server.url, timeout=PATIENCE) as client:
        client.infer(np.array([3, 0, 100], dtype))
    (sent,) = server.requests
    assert sent["observation"].dtype == np.float32
    assert sent["observation"].tolist() == [3.0, 0.0, 100.0]


@pytest.mark.parametrize("observation", [["a", "b"], [1j], [[1.0], [1.0, 2.0]], [None], [True]])
def test_what_is_no_observation_is_refused_before_it_is_sent(observation: Any) -> None:
    with scripted(reply()) as server, PolicyClient(server.url, timeout=PATIENCE) as client:
        with pytest.raises(HgrpoError, match="observation "):
            client.infer(observation)
        assert client.infer([1, 2, 3]).limited is False


ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1 << 63,
    10.0,
    float("nan"),
    float("inf"),
    "",
    "text",
    "\n",
    "\\",
    b"bytes",
    [],
    [[]],
]
ODD += [
    {},
    {"name": 1},
    [{}],
    [{"name": "x", "more": 1}],
    ["x"],
    [1e300],
    [float("nan")],
    np.zeros(3),
    np.float64(1),
    [None],
]


@pytest.mark.parametrize("name", METADATA)
def test_a_server_that_describes_no_policy_is_told_in_one_line(name: str) -> None:
    told: list[Exception] = []
    for value in [*ODD, ...]:
        metadata = {key: given for key, given in (METADATA | {name: value}).items() if given is not ...}
        with scripted(metadata=frame(pack(metadata))) as server:
            try:
                RemotePolicy(server.url, timeout=PATIENCE).close()
            except (HgrpoError, ConnectionError) as error:
                told.append(error)
    assert any(isinstance(error, HgrpoError) for error in told)
    assert not [error for error in told if "\n" in str(error)]


def any_value(draw: random.Random, depth: int = 3) -> Any:
    """A message, or a part of one, that `pack` takes."""
    kinds = [lambda: draw.choice(ODD), lambda: draw.choice(list(GOOD.values())), lambda: draw.random()]
    if depth:
        kinds.append(lambda: [any_value(draw, depth - 1) for _ in range(draw.randrange(3))])
        names = (*GOOD, "error", "reason", "infer_ms", b"__ndarray__", b"__npgeneric__", b"data", b"dtype", b"shape")
        kinds.append(lambda: {draw.choice(names): any_value(draw, depth - 1) for _ in range(draw.randrange(5))})
    return draw.choice(kinds)()


def test_thousands_of_drawn_messages_are_read_or_refused() -> None:
    draw, read, refused = random.Random(0), 0, 0
    for _ in range(4000):
        fields = GOOD | {draw.choice((*GOOD, "error", "reason")): any_value(draw) for _ in range(draw.randrange(3))}
        data = bytearray(pack(fields if draw.random() < 0.9 else any_value(draw)))
        for _ in range(draw.randrange(3)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            found = client_reply.message(bytes(data), is_text=False)
            client_reply.is_for(found, 1)
            if client_reply.refusal(found) is None:
                assert client_reply.action(found).action.dtype == np.float32
                read += 1
        except UnreadableError:
            refused += 1
    assert min(read, refused) > 500
