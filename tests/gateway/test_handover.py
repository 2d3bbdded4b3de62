"""One process of a gateway after another, on the same sockets: nothing that waits or is under way is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import h2.exceptions
import pytest

from tests.gateway.client import Client, get
from tests.gateway.h2client import H2Client
from tests.gateway.h3client import H3Client
from tests.gateway.process import Process
from tests.gateway.test_h3 import tls
from tests.gateway.world import BOTH, route, until
from vidops.gateway import handover
from vidops.gateway.binds import Bind

pytestmark = pytest.mark.integration
over_both = pytest.mark.parametrize("server", BOTH)
HI = route("/hi", "respond", body="hi")
SLOW = route("/slow", "respond", body="slow")


@pytest.fixture
async def process(server: str) -> AsyncIterator[Process]:
    it = Process(server=server)
    yield it
    await it.close()


@pytest.fixture
def server() -> str:
    return "hypercorn"


def followed(process: Process) -> None:
    """Have it know of another that clients can come to, once it ends."""
    handover.close(handover.ask(process.layout.gateway_socket("web")))


class Load:
    """Requests without a pause, on connections that are kept and on new ones."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answered = 0
        self.failures: list[str] = []
        self.over = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._ask(kept)) for kept in (True, True, False, False)]
        await until(lambda: self.answered > 20, "answers")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.over = True
        await asyncio.gather(*self._tasks)

    async def _ask(self, kept: bool) -> None:
        client: Client | None = None
        while not self.over:
            try:
                client = client or await Client.connect(self.port)
                answer = await client.get("/hi")
            except (OSError, EOFError) as error:
                self.failures.append(repr(error))
                client = None
                continue
            self.answered += 1
            if (answer.status, answer.body) != (200, b"hi"):
                self.failures.append(f"{answer.status} {answer.body!r}")
            if not kept or answer.headers.get("connection") == "close":
                client.close()
                client = None
        if client is not None:
            client.close()


@over_both
async def test_processes_follow_each_other_under_load(process: Process) -> None:
    await process.start([HI])
    port = process.port
    async with Load(port) as load:
        for _ in range(3):
            await process.succeed()
            assert process.port == port
            done = load.answered
            await until(lambda done=done: load.answered > done + 20, "answers of the next")  # type: ignore[misc]
    assert load.failures == []


async def test_what_does_not_come_up_leaves_the_one_before(process: Process) -> None:
    await process.start([HI])
    before = process.process
    process.write([route("/hi", "no-such-handler")], bind=["127.0.0.1:0"])
    await process.launch()
    assert await process.wait() == 1
    assert (await get(process.port, "/hi")).body == b"hi"
    assert (await process.ask("status"))["pid"] == before.pid
    before.send_signal(signal.SIGTERM)
    async with asyncio.timeout(15.0):
        assert await before.wait() == 0


async def test_connections_that_wait_in_the_queue_are_taken_over(process: Process) -> None:
    """The old one is stopped in its tracks; what comes meanwhile is answered by the new one."""
    await process.start([HI])
    shares = handover.ask(process.layout.gateway_socket("web"))
    old = process.process
    old.kill()
    await old.wait()
    try:
        waiting = await Client.connect(process.port)
        request = asyncio.create_task(waiting.get("/hi"))
        (share,) = shares.values()
        serving = await asyncio.start_server(_answer, sock=share.sockets[0].dup())
        assert (await request).body == b"hi"
        serving.close()
        waiting.close()
    finally:
        handover.close(shares)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
    writer.close()


@over_both
async def test_a_handshake_that_is_under_way_is_ended_and_its_request_answered(
    process: Process, certificate: tuple[Path, Path]
) -> None:
    """Of TLS: until it is over, the connection is not yet among those that are waited for."""
    await process.start([HI], tls=tls(certificate, http3=False))
    with socket.create_connection(("127.0.0.1", process.port)) as sock:
        sock.setblocking(False)
        followed(process)
        process.process.send_signal(signal.SIGTERM)
        await until(lambda: process.logged("ending"), "its end")
        trusted = ssl.create_default_context(cafile=str(certificate[0]))
        client = Client(*await asyncio.open_connection(sock=sock, ssl=trusted, server_hostname="127.0.0.1"))
        answer = await client.get("/hi")
        assert (answer.body, answer.headers["connection"]) == (b"hi", "close")
        client.close()
    assert await process.wait() == 0


@over_both
async def test_an_answer_of_http2_comes_to_its_end(process: Process, certificate: tuple[Path, Path]) -> None:
    """Before the word that no other will: what is asked without a pause meets the process leaving."""
    await process.start([HI], tls=tls(certificate, http3=False))
    client = await H2Client.connect(process.port, certificate[0])
    asked: list[int] = []
    followed(process)
    process.process.send_signal(signal.SIGTERM)
    while not client.over:
        try:
            asked.append(client.request("/hi"))
        except h2.exceptions.ProtocolError:
            break  # it has been told
        await until(lambda: client.over or asked[-1] in client.ended, "an answer")
    await until(lambda: client.over, "the end of the connection")
    assert len(asked) > 5
    cut = [stream for stream in asked if stream in client.heads and stream not in client.ended]
    assert cut == []
    assert await process.wait() == 0


async def test_a_unix_socket_is_handed_over_and_removed_by_the_last(process: Process, tmp_path: Path) -> None:
    path = f"{process.root}/web.sock"
    await process.start([HI], bind=[f"unix:{path}?mode=0600"])
    inode = os.lstat(path).st_ino
    await process.succeed(bind=[f"unix:{path}?mode=0600"])
    assert os.lstat(path).st_ino == inode
    client = Client(*await asyncio.open_unix_connection(path))
    assert (await client.get("/hi")).body == b"hi"
    client.close()
    await process.stop()
    assert not os.path.exists(path)


async def test_a_unix_socket_whose_path_was_taken_away_is_opened_anew(process: Process) -> None:
    path = f"{process.root}/web.sock"
    await process.start([HI], bind=[f"unix:{path}"])
    os.unlink(path)
    await process.succeed(bind=[f"unix:{path}"])
    client = Client(*await asyncio.open_unix_connection(path))
    assert (await client.get("/hi")).body == b"hi"
    client.close()


async def test_one_that_does_not_answer_holds_up_nobody_for_long(process: Process) -> None:
    """It is stopped (SIGSTOP): the new one says after a while that the address is in use, and by whom."""
    await process.start([HI], bind=["127.0.0.1:0"])
    old, port = process.process, process.port
    old.send_signal(signal.SIGSTOP)
    try:
        process.write([HI], bind=[f"127.0.0.1:{port}"])
        await process.launch()
        assert await process.wait() == 1
        assert "the address is in use" in process.log()
        assert f"(pid {old.pid})" in process.log()
    finally:
        old.send_signal(signal.SIGCONT)
        old.kill()
        await old.wait()


async def test_http3_goes_on_at_the_same_port(process: Process, certificate: tuple[Path, Path]) -> None:
    await process.start([HI], tls=tls(certificate))
    port = process.port
    first = await H3Client.to(port, certificate[0])
    assert await first.get("/hi") == (200, b"hi")
    await process.succeed(tls=tls(certificate))
    assert process.port == port
    second = await H3Client.to(port, certificate[0])
    assert await second.get("/hi") == (200, b"hi")
    await second.end()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\n",
        b'{"bind": 3, "datagrams": 0, "inode": 0}\n',
        b'{"bind": "nowhere", "datagrams": 0, "inode": 0}\n',
        b'{"ok": false, "reason": "InvalidRequest"}\n',
        b"[" * 60000,
        b"[" * 100_000,
    ],
)
def test_answers_that_are_none(answer: bytes, tmp_path: Path) -> None:
    """Of another version, say: then sockets are opened as if nobody had been there."""
    path = str(tmp_path / "s")
    with socket.create_server(path, family=socket.AF_UNIX) as server:
        import threading

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert handover.ask(path) == {}
        thread.join(10)


def test_descriptors_come_with_their_bind(tmp_path: Path) -> None:
    binds = [Bind.parse(f"127.0.0.1:{n}") for n in range(3)]
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(6)]
    for sock in sockets:
        sock.setblocking(False)
    shares = [handover.Share(bind, sockets[2 * n : 2 * n + 2], inode=n) for n, bind in enumerate(binds)]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        handover.send(ours.fileno(), shares)
        received = list(handover.received(theirs))
    assert [share.bind for share in received] == binds
    names = [[sock.getsockname() for sock in share.sockets] for share in received]
    assert names == [[sock.getsockname() for sock in share.sockets] for share in shares]
    for share in (*shares, *received):
        assert not any(sock.dup().getblocking() for sock in (*share.sockets, *share.datagrams))
        share.close()
