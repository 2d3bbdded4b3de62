from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping

from vidops_plugins.handlers.proxy.frames import Frames, going_away

SIZES = st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536, 70_000])


@given(st.lists(SIZES, max_size=5), st.lists(st.integers(1, 70_000), max_size=20), st.sampled_from(ConnectionType))
def test_where_frames_end(sizes: list[int], cuts: list[int], kind: ConnectionType) -> None:
    sender, stream, ends = Connection(kind), b"", {0}
    for size in sizes:
        for event in (BytesMessage(data=bytes(size), message_finished=size % 2 == 0), Ping(payload=b"?")):
            stream += sender.send(event)
            ends.add(len(stream))
    frames, at = Frames(), 0
    for cut in [*cuts, len(stream)]:
        part = stream[at : at + cut]
        whole = frames.passed(part)
        last = max(end for end in ends if end <= at + len(part))
        assert whole == max(0, last - at)
        at += len(part)
        assert frames.between == (at in ends)
    assert not frames.closed
    goodbye = bytes(sender.send(CloseConnection(code=1001)))
    frames.passed(goodbye[:-1])
    assert not frames.closed
    assert frames.passed(goodbye[-1:]) == 1
    assert frames.closed


def test_what_is_said_at_the_end() -> None:
    for kind, other in ((ConnectionType.CLIENT, ConnectionType.SERVER), (ConnectionType.SERVER, ConnectionType.CLIENT)):
        heard = Connection(other)
        heard.receive_data(going_away(kind))
        assert [event.code for event in heard.events() if isinstance(event, CloseConnection)] == [1001]
