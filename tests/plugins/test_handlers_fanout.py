"""How frames are shared among viewers: built once, offered to all, waited for by none."""

from __future__ import annotations

import asyncio

from tests.gateway.world import JPEG, FedCameras
from vidops.api import Frame
from vidops_plugins.handlers.fanout import STALL_TIMEOUT, Viewer, fanout_of, part_of


class Transport:
    """`vidops.api.Direct` that takes as much as a test lets it."""

    def __init__(self) -> None:
        self.opened = True
        self.sent = 0
        self.pending = 0
        self.written: list[bytes] = []
        self.aborted = False

    def claim(self) -> None: ...

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self.sent += len(data)

    def abort(self) -> None:
        self.aborted = True


def test_a_part_is_what_multipart_readers_expect() -> None:
    assert part_of(Frame(b"\xff\xd8..\xff\xd9", 7, 1700000000.25)) == (
        b"Content-Type: image/jpeg\r\nContent-Length: 6\r\nX-Timestamp: 1700000000.250000\r\nX-Sequence: 7\r\n\r\n"
        b"\xff\xd8..\xff\xd9\r\n--vidops\r\n"
    )


async def test_all_viewers_are_given_the_same_bytes() -> None:
    cameras = FedCameras("door")
    fanout = fanout_of(cameras, "door")
    assert fanout_of(cameras, "door") is fanout
    assert fanout_of(FedCameras("door"), "door") is not fanout
    crowd = [Viewer() for _ in range(5)]
    for viewer in crowd:
        fanout.attach(viewer)
    assert len(cameras.subscriptions) == 1
    assert cameras.subscriptions[0].viewers == 5
    cameras.feed("door")
    assert crowd[0].part is not None
    assert JPEG in crowd[0].part
    assert all(viewer.part is crowd[0].part for viewer in crowd)
    late = Viewer()
    fanout.attach(late)
    assert late.part is crowd[0].part, "one that joins others need not wait for the next frame"
    for viewer in (*crowd, late):
        fanout.detach(viewer)
    assert cameras.subscriptions == []


async def test_a_viewer_that_fails_is_the_end_of_no_other() -> None:
    cameras = FedCameras("door")
    fanout = fanout_of(cameras, "door")

    class Broken(Transport):
        def write(self, data: bytes) -> None:
            if self.written:
                raise RuntimeError("cannot write any more")
            super().write(data)

    broken, well = Viewer(), Viewer()
    for viewer in (broken, well):
        fanout.attach(viewer)
    broken.go_direct(Broken())
    for _ in range(3):
        well.part = None
        cameras.feed("door")
        assert well.part is not None
    assert broken.over
    for viewer in (broken, well):
        fanout.detach(viewer)


async def test_a_viewer_with_a_full_transport_skips_to_the_newest() -> None:
    transport, viewer = Transport(), Viewer()
    viewer.go_direct(transport)
    now = asyncio.get_running_loop().time()
    viewer.offer(b"1", now)
    transport.pending = 10
    viewer.offer(b"2", now)
    viewer.offer(b"3", now)
    transport.pending = 0
    viewer.offer(b"4", now)
    assert transport.written == [b"--vidops\r\n", b"1", b"4"]


async def test_a_viewer_that_takes_nothing_for_too_long_is_dropped() -> None:
    transport, viewer = Transport(), Viewer()
    viewer.go_direct(transport)
    now = asyncio.get_running_loop().time()
    viewer.offer(b"1", now)
    transport.pending = 10
    viewer.offer(b"2", now + STALL_TIMEOUT - 1)
    assert not transport.aborted
    viewer.offer(b"3", now + STALL_TIMEOUT + 1)
    assert transport.aborted
    assert viewer.over


async def test_an_old_frame_is_not_shown_as_a_new_one_after_a_failure() -> None:
    cameras = FedCameras("door")
    fanout, first, late = fanout_of(cameras, "door"), Viewer(), Viewer()
    fanout.attach(first)
    await asyncio.sleep(0)  # one turn of the loop: the state is told
    cameras.feed("door")
    cameras.say("door", state="Failed", reason="Exited", message="it ended")
    fanout.attach(late)
    assert late.part is None
    assert "it ended" in str(late.error)
    assert first.error is None, "who has seen it waits for it"
    cameras.remove("door")
    assert first.over
    assert late.over
