"""Frames in, frames out: what is malformed, who is slow, what cannot go on."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

from tests.hub.conftest import Inside, until_true
from tests.hub.fakes import part
from tests.hub.jpegs import jpeg
from vidops.ports import Frame
from vidops.runtime.matroska import Track, frame_head, head


async def test_what_is_malformed_reaches_nobody_and_is_counted(inside: Inside) -> None:
    good = [jpeg(filling=bytes([n])) for n in range(4)]
    bad = [b"", b"\x89PNG" * 20, jpeg()[:-2], b"\xff\xd8\xff\xd9", jpeg(filling=b"x" * 100_001)]
    inside.processes.sends = [part(x) for pair in itertools.zip_longest(good, bad, fillvalue=b"") for x in pair]
    await inside.camera()
    seen: list[Frame] = []
    inside.client.subscribe("door", seen.append)
    reader, writer = await asyncio.open_unix_connection(inside.layout.output_socket("door"))
    await until_true(lambda: inside.state()["frames"] == 4, "four good frames")
    await until_true(lambda: inside.state()["drops"] >= 5, "and the drops")
    assert inside.state()["drop_reasons"] == {"NotJPEG": 3, "CutOff": 1, "NoFrameHeader": 1, "TooLarge": 1}
    await until_true(lambda: seen and seen[-1].data == good[-1], "the last good one")
    assert {f.data for f in seen} <= set(good)
    expected = len(head(Track("mjpeg", 16, 8))) + sum(len(frame_head(len(g), 1e9) + g) for g in good)
    assert len(await reader.readexactly(expected)) == expected
    writer.close()


async def test_a_source_that_talks_something_else_is_ended(inside: Inside) -> None:
    inside.processes.sends = [b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n"]
    await inside.camera(on_demand=None)
    await inside.until_state("Failed")
    assert "no multipart JPEG" in inside.state()["message"]
    assert inside.state()["drop_reasons"].keys() == {"NotMultipart"}


async def test_every_reader_of_every_frame_gets_every_frame(inside: Inside) -> None:
    await inside.camera()
    connections = [await asyncio.open_unix_connection(inside.layout.output_socket("door")) for _ in range(3)]
    await until_true(lambda: inside.state()["frames"] >= 50, "50 frames")
    consumers = (await inside.client.status())["consumers"]
    assert len(consumers) == 3
    assert all(c["every"] and c["lost"] == 0 and c["frames"] >= 50 for c in consumers)
    streams = [await reader.readexactly(4000) for reader, _ in connections]
    assert streams[0] == streams[1] == streams[2]
    for _, writer in connections:
        writer.close()


def growing() -> Iterator[bytes]:
    """Frames of 20 kB, without end, as fast as they are taken."""
    for n in itertools.count():
        yield part(jpeg(filling=n.to_bytes(4, "big") * 5000))


async def test_a_reader_that_never_reads_loses_frames_beyond_the_bound_and_holds_nobody_back(inside: Inside) -> None:
    inside.processes.sends = growing()
    await inside.camera()
    _, asleep = await asyncio.open_unix_connection(inside.layout.output_socket("door"))
    awake = inside.client.subscribe("door", lambda _: None)

    async def lost() -> list[int]:
        consumers = (await inside.client.status())["consumers"]
        assert all(c["backlog"] <= 200_000 for c in consumers)
        return [c["lost"] for c in consumers if c["every"]]

    while (await lost())[0] < 100:
        await asyncio.sleep(0.01)
    assert inside.state()["state"] == "Online"
    awake.close()
    asleep.close()


async def test_a_slow_viewer_skips_to_the_newest(inside: Inside) -> None:
    inside.processes.sends = (x for n, x in zip(range(400), growing(), strict=False))
    await inside.camera()
    reader, writer = await asyncio.open_unix_connection(inside.layout.hub_socket)
    writer.write(b'{"op": "subscribe", "camera": "door"}\n')
    await until_true(lambda: inside.state()["frames"] == 400, "all frames came")
    (viewer,) = (await inside.client.status())["consumers"]
    assert viewer["lost"] > 300
    data = b""
    newest = (399).to_bytes(4, "big") * 100
    while newest not in data:
        data = data[-30_000:] + await asyncio.wait_for(reader.read(65536), 5)
    writer.close()


async def test_another_size_begins_another_stream(inside: Inside) -> None:
    inside.processes.sends = [part(jpeg(16, 8)), part(jpeg(16, 8)), part(jpeg(32, 8))]
    await inside.camera()
    reader, writer = await asyncio.open_unix_connection(inside.layout.output_socket("door"))
    data = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert data.startswith(head(Track("mjpeg", 16, 8)))
    assert data.count(b"\xff\xd8\xff\xe0") == 2
    assert (inside.state()["width"], inside.state()["frames"]) == (32, 3)


async def test_a_reader_waits_through_a_restart_of_its_source(inside: Inside) -> None:
    await inside.camera()
    reader, writer = await asyncio.open_unix_connection(inside.layout.output_socket("door"))
    await reader.readexactly(1000)
    for _ in range(2):
        await inside.processes.kill("source.door")
        before = inside.state()["frames"]
        await until_true(lambda before=before: inside.state()["frames"] > before + 5, "frames go on")  # type: ignore[misc]
    assert len((await inside.client.status())["consumers"]) == 1
    await reader.readexactly(1000)
    writer.close()


async def test_a_viewer_that_joins_sees_the_newest_frame_at_once(inside: Inside) -> None:
    inside.processes.sends = [part(jpeg())]
    await inside.camera(on_demand=None)
    await inside.until_state("Online")
    frame = await asyncio.wait_for(anext(inside.client.frames("door")), 1)
    assert frame.data == jpeg()
