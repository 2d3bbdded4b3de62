"""Inside supervisord: its main loop woken by signals, and process events pushed to whoever listens.

Both are entries of supervisord's own socket map (supervisor 4.3: `supervisord.runforever`), so nothing blocks and
no thread runs.

The event socket speaks one JSON object a line: {"program", "state", "pid", "expected", "exit_status"}; the first,
of no program and with state RESYNC, says that from here on nothing is missed. A stream
socket and not datagrams: a listener learns at once, by the end of the stream, that supervisord died or that it
was too slow and lost events; a datagram would be dropped in silence at the kernel's queue of ten.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from typing import Any

from supervisor.medusa import asyncore_25 as asyncore
from supervisor.states import ProcessStates, getProcessStateDescription

BACKLOG_LIMIT = 1024 * 1024
"""Bytes that a listener may be behind before it is cut off (some 8,000 events); it then reads everything anew."""


def line(program: str, state: str, pid: int = 0, expected: bool = True, exit_status: int = 0) -> bytes:
    """One event, as it is sent."""
    event = {"program": program, "state": state, "pid": pid, "expected": expected, "exit_status": exit_status}
    return json.dumps(event).encode() + b"\n"


class Entry:
    """What supervisord's loop asks of an entry of its socket map."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        channel.setblocking(False)
        asyncore.socket_map[channel.fileno()] = self

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None: ...

    def handle_write_event(self) -> None: ...

    def handle_error(self) -> None:
        self.close()

    def close(self) -> None:
        if self.channel.fileno() >= 0:
            asyncore.socket_map.pop(self.channel.fileno(), None)
            self.channel.close()


class Waker(Entry):
    """Ends supervisord's `poll` as soon as a signal arrives.

    Python restarts an interrupted `poll`, so that without this a SIGCHLD that comes after the pipe's end is seen
    up to a second late, and with it a program's end and its restart.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        super().__init__(ours)
        self.theirs = theirs
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)

    def handle_read_event(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self.channel.recv(4096):
                pass


class Listener(Entry):
    """One who listens. Nothing is read from it but its end."""

    def __init__(self, channel: socket.socket) -> None:
        super().__init__(channel)
        self.backlog = bytearray()

    def push(self, line: bytes) -> None:
        self.backlog += line
        self.handle_write_event()

    def writable(self) -> bool:
        return bool(self.backlog)

    def handle_read_event(self) -> None:
        try:
            if not self.channel.recv(4096):
                self.close()
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def handle_write_event(self) -> None:
        try:
            while self.backlog:
                del self.backlog[: self.channel.send(self.backlog)]
        except BlockingIOError:
            if len(self.backlog) > BACKLOG_LIMIT:
                self.close()
        except OSError:
            self.close()

    def close(self) -> None:
        super().close()
        self.backlog.clear()


class EventServer(Entry):
    """The listening socket; takes over from a dead predecessor's file in one step."""

    def __init__(self, path: str) -> None:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        temporary = f"{path}.{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        mask = os.umask(0o177)
        try:
            channel.bind(temporary)
        finally:
            os.umask(mask)
        channel.listen(64)
        os.rename(temporary, path)
        super().__init__(channel)
        self.path = path

    def handle_read_event(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while True:
                Listener(self.channel.accept()[0]).push(line("", "RESYNC"))

    def push(self, event: Any) -> None:
        """Tell every listener of a `ProcessStateEvent`."""
        process = event.process
        # A failed start passes through BACKOFF to FATAL in one step; only the latter means something to us.
        if process.state == ProcessStates.BACKOFF:
            return
        told = line(
            process.config.name,
            getProcessStateDescription(process.state),
            process.pid,
            event.expected,
            process.exitstatus or 0,
        )
        for entry in list(asyncore.socket_map.values()):
            if isinstance(entry, Listener):
                entry.push(told)

    def close(self) -> None:
        super().close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)
