from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops.runtime.hubwire import (
    FRAME,
    GONE,
    MESSAGE_LIMIT,
    STATE,
    LineReader,
    MessageReader,
    WireError,
    WireMessage,
    decode_line,
    encode_line,
    message_head,
)

messages = st.builds(
    WireMessage,
    st.sampled_from([FRAME, STATE, GONE]),
    st.binary(max_size=100),
    st.integers(0, 2**64 - 1),
    st.floats(allow_nan=False),
)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({c % (len(data) + 1) for c in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@given(st.lists(messages, max_size=6), st.lists(st.integers(min_value=0), max_size=20))
def test_messages_come_out_however_the_bytes_arrive(sent: list[WireMessage], cuts: list[int]) -> None:
    data = b"".join(message_head(m.type, len(m.payload), m.sequence, m.timestamp) + m.payload for m in sent)
    reader = MessageReader()
    assert [m for chunk in split(data, cuts) for m in reader.feed(chunk)] == sent


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_arbitrary_bytes_give_messages_or_a_wire_error(chunks: list[bytes]) -> None:
    reader = MessageReader()
    try:
        for chunk in chunks:
            reader.feed(chunk)
    except WireError:
        pass


@pytest.mark.parametrize("head", [message_head(9, 0), message_head(FRAME, MESSAGE_LIMIT + 1)])
def test_a_head_that_cannot_be_is_refused(head: bytes) -> None:
    with pytest.raises(WireError):
        MessageReader().feed(head)


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9)), max_size=5),
    st.lists(st.integers(0)),
)
def test_lines_come_out_however_the_bytes_arrive(sent: list[dict[str, int | str]], cuts: list[int]) -> None:
    reader, got = LineReader(), []
    for chunk in split(b"".join(map(encode_line, sent)), cuts):
        reader.feed(chunk)
        while (line := reader.next()) is not None:
            got.append(decode_line(line))
    assert got == sent
    assert not reader.rest


@pytest.mark.parametrize("data", [b"x" * 101, b"x" * 101 + b"\n"])
def test_an_endless_line_is_refused(data: bytes) -> None:
    reader = LineReader(limit=100)
    reader.feed(data)
    with pytest.raises(WireError, match="100 bytes"):
        reader.next()


@pytest.mark.parametrize("data", [b"", b"nonsense", b"[1]", b'"text"', b"\xff", b"[" * 100_000, b"{" * 10])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        decode_line(data)
