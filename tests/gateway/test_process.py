"""A gateway's process: how it starts, takes over edits under load, and ends; on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.client import Answer, Client, Viewer, get
from tests.gateway.hub import small_hub
from tests.gateway.process import Process
from tests.gateway.world import BOTH, route, until

pytestmark = pytest.mark.integration
over_both = pytest.mark.parametrize("server", BOTH)

STREAM = route("/stream/**", "stream")
HI = route("/hi", "respond", body="hi")
KEYLESS = {"type": "api_key", "options": {"keys": [{"env": "NOT_SET_ANYWHERE"}]}}


@pytest.fixture
async def process(server: str) -> AsyncIterator[Process]:
    it = Process(server=server)
    yield it
    await it.close()


async def watch(port: int, path: str) -> Viewer:
    """A viewer that has had its first frame."""
    viewer = await Viewer.connect(port)
    assert (await viewer.watch(path)).status == 200
    await viewer.part()
    return viewer


class Load:
    """Requests without a pause over keep-alive connections, and streams read to the last; every failure is kept."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answered = 0
        self.frames = 0
        self.failures: list[str] = []
        self.over = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Load:
        viewers = [await watch(self.port, "/stream/door") for _ in range(10)]
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(4)]
        self._tasks += [asyncio.create_task(self._look(viewer)) for viewer in viewers]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.over = True
        await asyncio.gather(*self._tasks)

    async def _ask(self) -> None:
        client: Client | None = None
        while not self.over:
            try:
                client = client or await Client.connect(self.port)
                answer: Answer = await client.get("/hi")
                self.answered += 1
                if (answer.status, answer.body) != (200, b"hi"):
                    self.failures.append(f"{answer.status} {answer.body!r}")
            except (OSError, EOFError) as error:
                self.failures.append(repr(error))
                client = None
        if client is not None:
            client.close()

    async def _look(self, viewer: Viewer) -> None:
        last = 0
        while not self.over:
            try:
                headers, _ = await viewer.part()
            except (OSError, EOFError) as error:
                self.failures.append(f"stream: {error!r}")
                return
            self.frames += 1
            if int(headers["x-sequence"]) <= last:
                self.failures.append("frames out of order")
            last = int(headers["x-sequence"])
        viewer.close()


@over_both
async def test_fifty_edits_under_load_fail_no_request_and_close_no_stream(process: Process) -> None:
    async with small_hub(process.layout, "door"):
        await process.start([HI, STREAM])
        async with Load(process.port) as load:
            for n in range(50):
                # Each adds a route, takes the one before away, and reverses the order of those that stay.
                kept = [HI, STREAM] if n % 2 else [STREAM, HI]
                answer = await process.edit([route(f"/new/{n}", "respond", body=str(n)), *kept], fingerprint=f"{n}")
                assert answer == {"ok": True, "generation": n + 2}
                assert (await get(process.port, f"/new/{n}")).body == str(n).encode()
                assert (await get(process.port, f"/new/{n - 1}")).status == 404
        assert load.failures == []
        assert load.answered > 50
        assert load.frames > 10
        status = await process.ask("status")
        assert (status["generation"], status["fingerprint"]) == (51, "49")


async def test_a_route_that_leaves_ends_its_streams_and_no_other(process: Process) -> None:
    async with small_hub(process.layout, "door") as hub:
        private = route("/private/**", "stream")
        await process.start([STREAM, private])
        stays, leaves = await watch(process.port, "/stream/door"), await watch(process.port, "/private/door")
        assert (await process.edit([STREAM, HI]))["ok"]
        assert await leaves.ended(2.0)
        await stays.part()
        assert hub.subscribers["door"] == 1
        stays.close()
        await until(lambda: hub.subscribers["door"] == 0, "the camera is let go")


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ({"routes": [route("/x", "no-such-handler")]}, "InvalidRoute"),
        ({"routes": [route("/x", "respond", status=42)]}, "InvalidRoute"),
        ({"routes": [HI], "bind": ["127.0.0.1:0", "192.0.2.1:0"]}, "BindFailed"),
        ({"routes": [HI], "tls": {"certfile": "/none", "keyfile": {"file": "/none"}}}, "InvalidTLS"),
        ({"routes": [route("/x", "respond", chain=[KEYLESS])]}, "InvalidRoute"),
        ({"routes": "nonsense"}, "InvalidSpec"),
    ],
)
async def test_an_edit_that_cannot_be_served_leaves_everything_as_it_was(
    process: Process, edit: dict[str, object], reason: str
) -> None:
    async with small_hub(process.layout, "door"):
        await process.start([HI, STREAM], fingerprint="good")
        viewer = await watch(process.port, "/stream/door")
        answer = await process.edit(**edit, fingerprint="bad")  # type: ignore[arg-type]
        assert not answer["ok"]
        assert answer["reason"] == reason
        assert answer["error"]
        assert (await get(process.port, "/hi")).body == b"hi"
        await viewer.part()
        status = await process.ask("status")
        assert (status["generation"], status["fingerprint"], status["binds"]) == (1, "good", process.status["binds"])
        viewer.close()


async def test_established_connections_go_on_when_the_address_changes(process: Process) -> None:
    async with small_hub(process.layout, "door"):
        await process.start([HI, STREAM])
        old = process.port
        viewer, client = await watch(old, "/stream/door"), await Client.connect(old)
        assert (await client.get("/hi")).status == 200
        assert (await process.edit([HI, STREAM], bind=["localhost:0"]))["ok"]
        process.status = await process.ask("status")
        assert process.port != old
        assert (await get(process.port, "/hi")).body == b"hi"
        assert (await client.get("/hi")).body == b"hi"
        await viewer.part()
        with pytest.raises(ConnectionRefusedError):
            await Client.connect(old)
        for connection in (viewer, client):
            connection.close()


async def test_a_port_that_is_taken_is_named_with_its_holder(process: Process) -> None:
    other = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    process.write([HI], bind=[f"127.0.0.1:{port}"])
    await process.launch()
    assert await process.wait() == 1
    (record,) = process.logged("cannot_serve")
    assert f"127.0.0.1:{port}" in record["error"]
    assert "pid" in record["error"]
    other.close()


async def test_its_control_socket_is_its_owners_alone(process: Process) -> None:
    await process.start([HI])
    mode = Path(process.layout.gateway_socket("web")).stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


@over_both
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, "drain"])
async def test_it_ends_at_once_though_streams_and_connections_are_open(
    process: Process, end: signal.Signals | str
) -> None:
    async with small_hub(process.layout, "door"):
        await process.start([HI, STREAM])
        viewers = [await watch(process.port, "/stream/door") for _ in range(3)]
        silent, half = await Client.connect(process.port), await Client.connect(process.port)
        half.send(b"GET /hi HTTP/1.1\r\nHos")
        began = asyncio.get_running_loop().time()
        if isinstance(end, str):
            assert (await process.ask(end))["ok"]
            assert await process.wait() == 0
        else:
            assert await process.stop(end) == 0
        assert asyncio.get_running_loop().time() - began < 5.0
        for viewer in viewers:
            assert await viewer.ended()
        for client in (silent, half):
            await client.closed()
        assert not Path(process.layout.gateway_socket("web")).exists()
        assert process.logged("ended")


@over_both
async def test_a_request_under_way_is_answered_before_it_ends(process: Process) -> None:
    async with small_hub(process.layout, "door", rate=1.0) as hub:
        await process.start([route("/snapshot/**", "snapshot")])
        asking = asyncio.create_task(get(process.port, "/snapshot/door"))
        await until(lambda: hub.subscribers["door"], "the snapshot is being taken")
        assert await process.stop() == 0
        answer = await asking
        assert (answer.status, answer.body) == (200, hub.jpeg)


async def test_it_is_gone_before_its_keeper_would_kill_it(process: Process) -> None:
    """Whatever the drain timeout says, with a request that never ends."""
    async with small_hub(process.layout, "door", rate=0.01) as hub:
        program = {"argv": ["x"], "stop_timeout": 8.0}
        await process.start([route("/snapshot/**", "snapshot", timeout="5m")], program=program, drain_timeout=600.0)
        asking = asyncio.create_task(get(process.port, "/snapshot/door"))
        await until(lambda: hub.subscribers["door"], "the snapshot is being taken")
        assert await process.stop(timeout=8.0) == 0
        assert (await asking).status == 503


@over_both
async def test_viewers_that_read_nothing_do_not_hold_up_its_end(process: Process) -> None:
    async with small_hub(process.layout, "door", jpeg=b"\xff\xd8" + bytes(2_000_000)):
        await process.start([STREAM])
        stuck = []
        for _ in range(3):
            client = await Client.connect(process.port, limit=1024)
            client.send(b"GET /stream/door HTTP/1.1\r\nHost: x\r\n\r\n")
            stuck.append(client)
        streams = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                while streams < 3:
                    streams = (await process.ask("status"))["streams"]
        assert streams == 3
        assert await process.stop(timeout=10) == 0
        for client in stuck:
            client.close()
