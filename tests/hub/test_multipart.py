from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops.hub.multipart import HEAD_LIMIT, BrokenStreamError, MultipartParser, TooLarge


def stream(*parts: bytes) -> bytes:
    """As FFmpeg's mpjpeg muxer writes it."""
    return b"--ffmpeg\r\n" + b"".join(
        b"Content-type: image/jpeg\r\nContent-length: %d\r\n\r\n%s\r\n--ffmpeg\r\n" % (len(p), p) for p in parts
    )


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({c % (len(data) + 1) for c in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(min_value=0), max_size=30))
def test_parts_come_out_however_the_bytes_arrive(parts: list[bytes], cuts: list[int]) -> None:
    parser = MultipartParser(300)
    assert [p for chunk in split(stream(*parts), cuts) for p in parser.feed(chunk)] == parts


def test_a_part_is_there_with_its_last_byte() -> None:
    parser = MultipartParser(100)
    whole = stream(b"abc")
    end = whole.index(b"abc") + 3
    assert list(parser.feed(whole[: end - 1])) == []
    assert list(parser.feed(whole[end - 1 : end])) == [b"abc"]


@given(st.lists(st.integers(min_value=0), max_size=30))
def test_a_too_large_part_is_passed_over(cuts: list[int]) -> None:
    parser = MultipartParser(10)
    data = stream(b"x" * 10, b"--ffmpeg\r\n\r\n" * 50, b"y")
    got = [p for chunk in split(data, cuts) for p in parser.feed(chunk)]
    assert got == [b"x" * 10, TooLarge(600), b"y"]


def test_a_length_that_never_comes_takes_no_memory() -> None:
    parser = MultipartParser(1000)
    list(parser.feed(b"--b\r\nContent-Length: 99999999999\r\n\r\n"))
    for _ in range(100):
        assert list(parser.feed(b"z" * 10_000)) == []
    assert len(parser._buffer) == 0


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "boundary"),
        (b"--b\r\nContent-type: image/jpeg\r\n\r\n", "no Content-length"),
        (b"--b\r\nContent-length: -5\r\n\r\n", "no number"),
        (b"--b\r\nContent-length: 1e3\r\n\r\n", "no number"),
        (b"--b\r\nContent-length: 9999999999999\r\n\r\n", "no number"),
        (b"--b\r\nContent-length: \xb2\r\n\r\n", "no number"),
        (b"\xff\xd8" * HEAD_LIMIT, "no part within"),
        (b"\r\n\r\n", "boundary"),
    ],
)
def test_what_is_no_multipart_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(BrokenStreamError, match=says):
        list(MultipartParser(1000).feed(data))


@given(st.lists(st.one_of(st.binary(max_size=200), st.sampled_from([b"--b\r\n", b"\r\n\r\n", b"Content-length: 7"]))))
def test_nothing_else_is_ever_raised_and_memory_is_bounded(chunks: list[bytes]) -> None:
    parser = MultipartParser(64)
    try:
        for chunk in chunks:
            for part in parser.feed(chunk):
                assert isinstance(part, TooLarge) or len(part) <= 64
            assert len(parser._buffer) <= HEAD_LIMIT + 200
    except BrokenStreamError:
        pass
