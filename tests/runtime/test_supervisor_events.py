"""What runs inside supervisord to tell of events: it never waits for a listener."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from supervisor.medusa import asyncore_25 as asyncore
from supervisor.states import ProcessStates

from vidops.ports import ProcessEvent
from vidops.resources.layout import Layout
from vidops.runtime.supervisor import Supervisor
from vidops.runtime.supervisor_events import BACKLOG_LIMIT, EventServer, Listener, line


@dataclass
class Config:
    name: str = "source.door"


@dataclass
class Process:
    """As much of supervisord's process as an event is made of."""

    state: int = ProcessStates.RUNNING
    pid: int = 17
    exitstatus: int | None = None
    config: Config = field(default_factory=Config)


@dataclass
class Event:
    process: Process
    expected: bool = True


@pytest.fixture
def server(layout: Layout) -> Iterator[EventServer]:
    it = EventServer(f"{layout.run_dir}/events/supervisor.sock")
    yield it
    for entry in list(asyncore.socket_map.values()):
        entry.close()


def connect(server: EventServer) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(server.path)
    server.handle_read_event()
    assert json.loads(client.recv(4096))["state"] == "RESYNC"
    return client


def listeners() -> list[Listener]:
    return [entry for entry in asyncore.socket_map.values() if isinstance(entry, Listener)]


def test_events_are_lines(server: EventServer) -> None:
    assert stat.S_IMODE(os.stat(server.path).st_mode) == 0o600
    with connect(server) as client, connect(server) as other:
        server.push(Event(Process()))
        server.push(Event(Process(ProcessStates.BACKOFF)))
        server.push(Event(Process(ProcessStates.EXITED, exitstatus=3), expected=False))
        for end in (client, other):
            first, second = map(json.loads, end.recv(4096).splitlines())
            assert first == {
                "program": "source.door",
                "state": "RUNNING",
                "pid": 17,
                "expected": True,
                "exit_status": 0,
            }
            assert (second["state"], second["expected"], second["exit_status"]) == ("EXITED", False, 3)


def test_a_listener_who_does_not_read_is_cut_off_and_holds_nobody_back(server: EventServer) -> None:
    with connect(server) as slow, connect(server) as quick:
        event = Event(Process())
        server.push(event)
        size = len(quick.recv(65536))
        quick.setblocking(False)
        for _ in range(3 * BACKLOG_LIMIT // size):
            server.push(event)
            assert len(quick.recv(65536)) == size
        assert len(listeners()) == 1
        rest = b""
        while chunk := slow.recv(1 << 20):
            rest += chunk
        # What it was sent before is whole lines but for the last; the end tells it that some is missing.
        assert all(json.loads(told) for told in rest.splitlines()[:-1])


def test_a_listener_who_leaves_is_forgotten(server: EventServer) -> None:
    connect(server).close()
    (listener,) = listeners()
    listener.handle_read_event()
    assert listeners() == []
    connect(server).close()
    server.push(Event(Process()))
    server.push(Event(Process()))
    assert listeners() == []


def test_the_socket_of_a_dead_predecessor_is_taken_over(server: EventServer, layout: Layout) -> None:
    again = EventServer(server.path)
    with connect(again):
        assert len(listeners()) == 1
    assert os.listdir(f"{layout.run_dir}/events") == ["supervisor.sock"]


async def test_nonsense_on_the_event_socket_is_a_resync_and_not_an_error(layout: Layout) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(line("", "RESYNC") + line("hub", "RUNNING", 1) + next(nonsense) + b"\n")
        writer.close()

    nonsense = iter([b"{", b"[]", b'{"program": 1}', b"\xff", b"x" * 200_000, b""])
    path = Path(layout.run_dir, "events", "supervisor.sock")
    events = Supervisor(layout).events()
    async with await asyncio.start_unix_server(answer, path):
        for _ in range(5):
            seen = [await asyncio.wait_for(anext(events), 5) for _ in range(3)]
            assert seen == [ProcessEvent("", "RESYNC"), ProcessEvent("hub", "RUNNING", 1), ProcessEvent("", "RESYNC")]
        await events.aclose()
