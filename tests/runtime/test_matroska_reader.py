from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidops.runtime.matroska import Track, frame_head, head
from vidops.runtime.matroska_reader import BrokenMatroskaError, Event, MatroskaReader, Oversized, Packet

LIMIT = 100_000


def read(data: bytes, piece: int = 1 << 20, limit: int = LIMIT) -> list[Event]:
    reader = MatroskaReader(limit)
    return [event for at in range(0, len(data), piece) for event in reader.feed(data[at : at + piece])]


def stream(*frames: tuple[bytes, bool], track: Track | None = None) -> bytes:
    clusters = (frame_head(len(data), 1e9 + n / 10, key=key) + data for n, (data, key) in enumerate(frames))
    return head(track or Track("h264", 320, 240, b"avcC")) + b"".join(clusters)


@pytest.mark.integration
@pytest.mark.parametrize(("encoder", "codec"), [("libx264", "h264"), ("libx265", "hevc"), ("mjpeg", "mjpeg")])
def test_what_ffmpeg_writes_to_a_pipe_is_read_and_can_be_written_again(encoder: str, codec: str) -> None:
    command = [
        *["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=15", "-frames:v", "40", "-c:v", encoder],
        *["-pix_fmt", "yuvj420p" if codec == "mjpeg" else "yuv420p", "-g", "10", "-bf", "0"],
        *["-x265-params", "log-level=error", "-cluster_time_limit", "0", "-f", "matroska", "-"],
    ]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    track, *packets = read(data, 777)
    assert isinstance(track, Track)
    assert (track.codec, track.width, track.height, bool(track.private)) == (codec, 320, 240, codec != "mjpeg")
    assert [p.time for p in packets if isinstance(p, Packet)] == pytest.approx([n / 15 for n in range(40)], abs=0.001)
    assert all(isinstance(p, Packet) and p.key == (codec == "mjpeg" or n % 10 == 0) for n, p in enumerate(packets))
    again = head(track) + b"".join(
        frame_head(len(p.data), 1e9 + p.time, key=p.key) + p.data for p in packets if isinstance(p, Packet)
    )
    command = ["ffmpeg", "-v", "warning", "-i", "-", "-f", "framecrc", "-"]
    decoded = subprocess.run(command, input=again, capture_output=True, check=True)
    assert sum(line.startswith(b"0,") for line in decoded.stdout.splitlines()) == 40
    assert b"rror" not in decoded.stderr


@given(st.integers(1, 300))
def test_pieces_of_any_size_give_the_same(piece: int) -> None:
    data = stream((b"I" * 300, True), (b"p", False))
    assert read(data, piece) == [
        Track("h264", 320, 240, b"avcC"),
        Packet(b"I" * 300, key=True, time=1e9),
        Packet(b"p", key=False, time=1e9 + 0.1),
    ]


def test_a_block_group_is_a_key_frame_where_it_refers_to_nothing() -> None:
    plain = b"\xa0\x89\xa1\x87\x81\x00\x05\x00abc"
    referring = b"\xa0\x8c\xa1\x87\x81\x00\x06\x00abc\xfb\x81\x01"
    data = head(Track("h264", 8, 8)) + b"\x1f\x43\xb6\x75\xff\xe7\x81\x0a" + plain + referring
    assert read(data)[1:] == [Packet(b"abc", key=True, time=0.015), Packet(b"abc", key=False, time=0.016)]


def test_a_frame_that_is_too_large_is_skipped_and_told() -> None:
    data = stream((b"x" * 20_000, True), (b"ok", True))
    assert [type(event) for event in read(data, 100, limit=1000)] == [Track, Oversized, Packet]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"--ffmpeg\r\nContent", "does not begin like Matroska"),
        (stream(track=Track("h264", 0, 240)), "no size"),
        (stream().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/ASP"), "codec 'V_MPEG4/ISO/ASP' is none of"),
        (head(Track("h264", 8, 8)) + b"\x1f\x43\xb6\x75\xff\xa3\x85\x81\x00\x00\x82a", "laced"),
        (head(Track("h264", 8, 8)) + b"\x1f\x43\xb6\x75\xff\x01", "no element"),
        (
            head(Track("h264", 8, 8)).partition(b"\x16\x54\xae\x6b")[0] + b"\xa3\x85\x81\x00\x00\x00a",
            "before its track",
        ),
        (b"\x1a\x45\xdf\xa3\x80\x16\x54\xae\x6b\x10\xff\xff\xff", "has 16777215 bytes"),
    ],
)
def test_what_is_no_stream_for_us(data: bytes, told: str) -> None:
    with pytest.raises(BrokenMatroskaError, match=told):
        read(data)


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 4), st.integers(1, 50))
def test_arbitrary_bytes_raise_nothing_else_and_keep_little(junk: bytes, at: int, gone: int, piece: int) -> None:
    data = bytearray(stream((b"I" * 50, True), (b"p", False)))
    data[at : at + gone] = junk
    reader = MatroskaReader(1000)
    try:
        for begin in range(0, len(data), piece):
            for event in reader.feed(bytes(data[begin : begin + piece])):
                assert not isinstance(event, Packet) or 0 < len(event.data) <= 1000
    except BrokenMatroskaError:
        return
