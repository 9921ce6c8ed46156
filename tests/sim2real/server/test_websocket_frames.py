"""Frames against the library that writes and reads them by RFC 6455, cut into pieces anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from sim2real.server.websocket_frames import Message, WebSocketFrames

MOST = 70_000


def client() -> ClientProtocol:
    return ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, max_size=None)


def written(*calls: tuple[str, bytes, bool]) -> bytes:
    """What a client writes that makes these calls of its library."""
    protocol = client()
    for name, data, fin in calls:
        words = (data, fin) if name in ("send_binary", "send_text", "send_continuation") else (data,)
        getattr(protocol, name)(*words)
    return b"".join(protocol.data_to_send())


def read_by_client(data: bytes) -> list[Frame]:
    protocol = client()
    protocol.receive_data(data)
    return [event for event in protocol.events_received() if isinstance(event, Frame)]


sizes = st.sampled_from((0, 1, 125, 126, 127, 255, 65535, 65536))
payloads = st.one_of(st.binary(max_size=200), sizes.map(lambda size: bytes(range(256)) * (size // 256 + 1)))
pieces = st.lists(st.text(max_size=20).map(str.encode), min_size=1, max_size=4)
whole = st.tuples(st.sampled_from(("send_binary", "send_text")), st.text(max_size=50).map(str.encode), st.just(True))
large = payloads.map(lambda data: ("send_binary", data[:MOST], True))
ping = st.tuples(st.sampled_from(("send_ping", "send_pong")), st.binary(max_size=125), st.just(True))


@st.composite
def in_fragments(draw: st.DrawFn) -> list[tuple[str, bytes, bool]]:
    """One message in several frames with pings between them."""
    parts, calls = draw(pieces), []
    for index, part in enumerate(parts):
        name = "send_continuation" if index else draw(st.sampled_from(("send_binary", "send_text")))
        calls += [(name, part, index == len(parts) - 1), *draw(st.lists(ping, max_size=1))]
    return calls


conversations = st.lists(st.one_of(whole.map(lambda c: [c]), large.map(lambda c: [c]), in_fragments()), max_size=6)


def messages_of(calls: list[tuple[str, bytes, bool]]) -> list[Message]:
    messages, parts, is_text = [], b"", False
    for name, data, fin in calls:
        if name in ("send_ping", "send_pong"):
            continue
        if name != "send_continuation":
            is_text, parts = name == "send_text", b""
        parts += data
        if fin:
            messages.append(Message(parts, is_text))
    return messages


@given(conversations, st.lists(st.integers(0, 10_000), max_size=8))
def test_messages_arrive_whole_and_in_order_however_they_are_cut(
    conversation: list[list[tuple[str, bytes, bool]]], cuts: list[int]
) -> None:
    calls = [call for message in conversation for call in message]
    data = written(*calls)
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    frames, messages, answers = WebSocketFrames(MOST), [], b""
    for start, stop in pairwise(bounds):
        messages += frames.read(data[start:stop])
        answers += b"".join(frames.pending())
    assert messages == messages_of(calls)
    assert frames.is_open
    pings = [data for name, data, _ in calls if name == "send_ping"]
    assert [(frame.opcode, frame.data) for frame in read_by_client(answers)] == [(Opcode.PONG, data) for data in pings]


@given(payloads)
def test_binary_frames_are_what_the_library_reads(data: bytes) -> None:
    (frame,) = read_by_client(WebSocketFrames(MOST).binary(data))
    assert (frame.opcode, frame.fin, bytes(frame.data)) == (Opcode.BINARY, True, data)


def test_a_binary_frame_by_hand() -> None:
    # RFC 6455, 5.7: "Hello" masked with 37 fa 21 3d, there as a text, 0x81; one unmasked binary message of 256 bytes
    masked = bytes.fromhex("8285 37fa213d 7f9f4d5158")
    frames = WebSocketFrames(MOST)
    assert list(frames.read(masked)) == [Message(b"Hello", False)]
    assert list(frames.read(b"\x81" + masked[1:])) == [Message(b"Hello", True)]
    assert frames.binary(bytes(256)) == bytes.fromhex("827e0100") + bytes(256)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (bytes.fromhex("8205") + b"Hello", CloseCode.PROTOCOL_ERROR),  # not masked
        (bytes.fromhex("8200"), CloseCode.PROTOCOL_ERROR),  # not masked either, and known by two bytes
        (bytes.fromhex("c28100000000") + b"a", CloseCode.PROTOCOL_ERROR),  # a reserved bit
        (bytes.fromhex("858100000000") + b"a", CloseCode.PROTOCOL_ERROR),  # a reserved kind
        (bytes.fromhex("89fe007e00000000") + bytes(126), CloseCode.PROTOCOL_ERROR),  # a ping that is too long
        (bytes.fromhex("808100000000") + b"a", CloseCode.PROTOCOL_ERROR),  # goes on with what never began
        (bytes.fromhex("028100000000") + b"a" + bytes.fromhex("828100000000") + b"b", CloseCode.PROTOCOL_ERROR),
        (bytes.fromhex("82ff") + (MOST + 1).to_bytes(8, "big") + bytes(4), CloseCode.MESSAGE_TOO_BIG),
        (bytes.fromhex("82ff") + (2**63).to_bytes(8, "big") + bytes(4), CloseCode.MESSAGE_TOO_BIG),
        (bytes.fromhex("818200000000") + b"\xff\xfe", CloseCode.INVALID_DATA),
    ],
)
def test_what_breaks_the_rules_is_refused_however_it_is_cut(data: bytes, code: CloseCode) -> None:
    for step in (1, 2, len(data)):
        frames = WebSocketFrames(MOST)
        for at in range(0, len(data), step):
            assert not list(frames.read(data[at : at + step]))
        assert not frames.is_open
        *answers, end = frames.pending()
        (goodbye,) = read_by_client(b"".join(answers))
        assert (goodbye.opcode, goodbye.data[:2]) == (Opcode.CLOSE, code.to_bytes(2, "big"))
        assert end == b""
        assert not list(frames.read(written(("send_binary", b"and then", True))))


def test_fragments_are_counted_together() -> None:
    frames = WebSocketFrames(MOST)
    assert not list(frames.read(written(("send_binary", bytes(MOST - 1), False), ("send_continuation", b"a", False))))
    assert frames.is_open
    assert not list(frames.read(bytes.fromhex("808100000000") + b"b"))
    assert not frames.is_open


def test_goodbyes() -> None:
    frames = WebSocketFrames(MOST)
    protocol = client()
    protocol.send_close(CloseCode.NORMAL_CLOSURE)
    assert not list(frames.read(b"".join(protocol.data_to_send())))
    assert not frames.is_open
    answer, end = frames.pending()
    assert (read_by_client(answer)[0].opcode, end) == (Opcode.CLOSE, b"")
    frames.say_goodbye(CloseCode.GOING_AWAY, "again")
    assert not frames.pending()
