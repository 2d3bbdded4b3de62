"""HTTP/1.1 as every server of a gateway has to speak it: heads, bodies, ends of connections, pressure both ways.

Over 400 lines, since each law is told with the same handler, to both servers.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.client import Client, get
from tests.gateway.world import BOTH, World, route, until
from vidops.api import INTERIM, ASGIApp, GatewayContext, HandlerType, Options, Receive, Scope, Send
from vidops.gateway import config
from vidops.gateway.servers import on_httptools
from vidops.resources.catalogue import Catalogue
from vidops.runtime.plugins import load_catalogue

SERVERS = BOTH
ROUTES = [route("/**", "told")]


class Nothing(Options):
    pass


class Told:
    """A handler that answers as a test tells it; `seen` are the scopes of its requests."""

    def __init__(self) -> None:
        self.seen: list[Scope] = []
        self.sent = 0
        self.read = 0
        self.gate = asyncio.Event()
        self.answer: Any = None

    def build(self, options: Nothing, context: GatewayContext) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            self.seen.append(scope)
            if self.answer is not None:
                await self.answer(scope, receive, send)
                return
            body, more = b"", True
            while more:
                message = await receive()
                body += message.get("body", b"")
                more = message.get("more_body", False)
            self.read += len(body)
            said = b"%b %b" % (scope["method"].encode(), body)
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]}
            )
            await send({"type": "http.response.body", "body": said})

        return app


@pytest.fixture
def told() -> Told:
    return Told()


def catalogue(told: Told) -> Catalogue:
    known = load_catalogue()
    kinds = [*known.handlers.values(), *known.middleware.values(), *known.servers.values()]
    return Catalogue.of([*kinds, HandlerType("told", Nothing, told.build)])


@pytest.fixture
async def world(told: Told, server: str) -> AsyncIterator[World]:
    it = World(catalogue(told), server)
    await it.start(ROUTES)
    yield it
    await it.close()


def parts(*messages: dict[str, Any]) -> Any:
    """An answer in these messages."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return answer


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def part(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def test_a_scope_says_what_asgi_wants(world: World, told: Told) -> None:
    async with await Client.connect(world.port) as client:
        client.send(b"GET /a%20b?q=%2F HTTP/1.1\r\nHost: x\r\nX-Two: 1\r\nx-two:\t2 \r\n\r\n")
        assert (await client.answer()).status == 200
        mine = client.writer.get_extra_info("sockname")
    (scope,) = told.seen
    assert {k: scope[k] for k in ("type", "http_version", "method", "scheme", "path", "raw_path", "query_string")} == {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"q=%2F",
    }
    assert scope["headers"] == [(b"host", b"x"), (b"x-two", b"1"), (b"x-two", b"2")]
    assert (tuple(scope["client"]), tuple(scope["server"])) == (mine, ("127.0.0.1", world.port))
    assert {"http.response.trailers", INTERIM} <= set(scope["extensions"])


async def test_a_body_is_waited_for_where_the_client_waits(world: World) -> None:
    async with await Client.connect(world.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert (await client.head()).status == 100
        client.send(b"hi")
        assert (await client.answer()).body == b"POST hi"


async def test_an_answer_without_a_length_comes_in_chunks(world: World, told: Told) -> None:
    told.answer = parts(start(), part(b"one"), part(b""), part(b"two"), part(b"", more=False))
    async with await Client.connect(world.port) as client:
        for _ in range(2):
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = await client.answer()
            assert answer.headers["transfer-encoding"] == "chunked"
            assert answer.body == b"onetwo"
        head = await client.get("/", method="HEAD")
        assert (head.status, head.headers.get("content-length")) == (200, None)
        assert (await client.get("/")).body == b"onetwo", "the connection is in step"


async def test_older_clients_have_the_end_of_the_connection(world: World, told: Told) -> None:
    told.answer = parts(start(), part(b"one"), part(b"two", more=False))
    async with await Client.connect(world.port) as client:
        client.send(b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
        head = await client.head()
        assert (head.headers["connection"], head.headers.get("transfer-encoding")) == ("close", None)
        assert await client.closed() == b"onetwo"


TRAILERS = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]}


async def test_trailers_go_behind_a_body_in_chunks(world: World, told: Told) -> None:
    trailed = {**start(), "trailers": True}
    some = {**TRAILERS, "headers": [(b"x-one", b"1")], "more_trailers": True}
    told.answer = parts(trailed, part(b"one"), part(b"two", more=False), some, TRAILERS)
    async with await Client.connect(world.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n")
        await client.head()
        said = await client.reader.readuntil(b"\r\n\r\n")
        assert said == b"3\r\none\r\n3\r\ntwo\r\n0\r\nx-one: 1\r\nx-sum: 1\r\n\r\n"
        told.answer = parts(
            {**start(200, (b"content-length", b"3")), "trailers": True}, part(b"one", more=False), TRAILERS
        )
        assert (await client.get("/")).body == b"one", "no place for them, and the connection is in step"
        told.answer = parts(trailed, part(b"", more=False), TRAILERS)
        assert (await client.get("/", method="HEAD")).status == 200
        told.answer = parts(trailed, part(b"one", more=False))  # and does not send them
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not (await client.closed()).endswith(b"0\r\n\r\n"), "an answer that is not whole looks whole"


async def test_what_comes_out_of_turn_ends_the_answer(world: World, told: Told) -> None:
    told.answer = parts(start(), part(b"one"), {"type": INTERIM, "status": 103, "headers": []}, part(b"", more=False))
    async with await Client.connect(world.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        said = await client.closed()
    assert b"HTTP/1.1 103" not in said
    assert not said.endswith(b"0\r\n\r\n")
    told.answer = parts(TRAILERS)
    assert (await get(world.port, "/")).status == 500


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_that_has_no_body_has_none(world: World, told: Told, status: int) -> None:
    told.answer = parts(start(status), part(b"what is not to be sent", more=False))
    async with await Client.connect(world.port) as client:
        for _ in range(2):
            answer = await client.get("/")
            assert (answer.status, "transfer-encoding" in answer.headers) == (status, False)


async def test_an_answer_may_end_the_connection(world: World, told: Told) -> None:
    told.answer = parts(start(200, (b"connection", b"close"), (b"content-length", b"2")), part(b"hi", more=False))
    async with await Client.connect(world.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await client.answer()
        assert (answer.headers["connection"], answer.body) == ("close", b"hi")
        assert await client.closed() == b""


@pytest.mark.parametrize("bad", [(b"x", b"a\r\nset-cookie: b"), (b"x\r\ny", b"a"), (b"x", b"a\0b"), (b"x y", b"a")])
async def test_a_field_cannot_bring_another_one(world: World, told: Told, bad: tuple[bytes, bytes]) -> None:
    told.answer = parts(start(200, bad), part(b"", more=False))
    async with await Client.connect(world.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        said = await client.closed()
    assert b"set-cookie" not in said
    assert not said.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("sizes", [(3,), (1, 1), (4,), (2, 3)], ids=str)
async def test_a_length_that_is_wrong_is_not_made_up_for(world: World, told: Told, sizes: tuple[int, ...]) -> None:
    total = sum(sizes)
    announced = total + 1 if total < 4 else total - 1
    messages = [part(b"x" * size, more=n < len(sizes) - 1) for n, size in enumerate(sizes)]
    told.answer = parts(start(200, (b"content-length", b"%d" % announced)), *messages)
    async with await Client.connect(world.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head, _, body = (await client.closed()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert len(body) < announced
    assert b"HTTP/1.1" not in body


REQUESTS = [
    b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 34\r\n\r\nGET /no HTTP/1.1\r\nHost: evil\r\n\r\n..",
    b"POST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n1;a=b\r\nx\r\n0\r\nX-T: 1\r\n\r\n",
    b"HEAD /4 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PUT /5 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    b"DELETE /6 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
]
SAID = [
    (b"GET", b""),
    (b"POST", b"GET /no HTTP/1.1\r\nHost: evil\r\n\r\n.."),
    (b"POST", b"GET /x"),
    (b"HEAD", b""),
    (b"PUT", b""),
    (b"DELETE", b""),
]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, len(b"".join(REQUESTS)) - 1), max_size=8, unique=True))
def test_requests_are_the_same_however_they_are_cut(server: str, cuts: list[int]) -> None:
    """What is a body to one packet must not be a request to another."""
    data = b"".join(REQUESTS)

    async def run() -> tuple[list[tuple[bytes, str]], bytes]:
        told = Told()
        world = World(catalogue(told), server)
        try:
            await world.start(ROUTES)
            async with await Client.connect(world.port) as client:
                for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
                    client.send(data[begin:end])
                    await client.writer.drain()
                    await asyncio.sleep(0)
                answers = await client.closed()
            return [(s["method"].encode(), s["path"]) for s in told.seen], answers
        finally:
            await world.close()

    seen, answers = asyncio.run(run())
    assert seen == [(method, f"/{n}") for n, (method, _) in enumerate(SAID, 1)]
    expected = [b"%b %b" % pair for pair in SAID]
    bodies = [text.partition(b"\r\n\r\n")[2] for text in answers.split(b"HTTP/1.1 200 \r\n")[1:]]
    assert bodies == [b"" if said.startswith(b"HEAD") else said for said in expected]


@pytest.mark.parametrize(
    "body",
    [
        b"g\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX: 1\n\r\n",
        b"5\r\nhello\r\n0\r\n" + b"X: 1\r\n" * 20_000 + b"\r\n",
    ],
    ids=range(9),
)  # fmt: skip
async def test_chunks_that_two_servers_could_read_differently_end_it(world: World, told: Told, body: bytes) -> None:
    async with await Client.connect(world.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        client.send(b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
        said = await client.closed()
    assert b"200" not in said[:14]
    assert len(re.findall(rb"HTTP/1\.1 \d{3} ", said)) <= 1
    assert [scope["path"] for scope in told.seen] == ["/"], "nothing behind it is taken for a request"
    await until(lambda: world.gateway.status()["connections"] == 0, "no connection is left")


async def test_a_client_that_does_not_read_holds_its_answer_back(world: World, told: Told) -> None:
    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        while True:
            await send(part(bytes(65536)))
            told.sent += 65536
            await asyncio.sleep(0)  # its client has to be seen leaving

    told.answer = endless
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", world.port))
        await loop.sock_sendall(sock, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        before = -1
        while told.sent > before:
            before = told.sent
            await asyncio.sleep(0.2)
        assert 0 < told.sent < 4_000_000
        got, goal = 0, told.sent + 10_000_000
        while got < goal:
            got += len(await loop.sock_recv(sock, 1 << 20))
        assert told.sent > 10_000_000, "it goes on when it is read"
    await until(lambda: world.gateway.status()["connections"] == 0, "no connection is left")


async def test_a_handler_that_does_not_read_holds_its_client_back(world: World, told: Told) -> None:
    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await told.gate.wait()
        while True:
            message = await receive()
            told.read += len(message["body"])
            if not message["more_body"]:
                break
        await send(start(200, (b"content-length", b"0")))
        await send(part(b"", more=False))

    told.answer = late
    size = 30_000_000
    await world.edit([route("/**", "told", chain=[{"type": "limits", "options": {"max_body": "64MiB"}}])])
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", world.port))
        await loop.sock_sendall(sock, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        sending = asyncio.ensure_future(loop.sock_sendall(sock, bytes(size)))
        done, _ = await asyncio.wait([sending], timeout=0.5)
        assert not done, "30 MB went somewhere"
        told.gate.set()
        await asyncio.wait_for(sending, 20)
        assert (await asyncio.wait_for(loop.sock_recv(sock, 65536), 10)).startswith(b"HTTP/1.1 200")
    assert told.read == size


async def test_an_idle_connection_ends_with_the_gateway_and_a_busy_one_after_its_answer(
    world: World, told: Told
) -> None:
    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await told.gate.wait()
        await send(start(200, (b"content-length", b"2")))
        await send(part(b"hi", more=False))

    told.answer = late
    async with await Client.connect(world.port) as idle, await Client.connect(world.port) as busy:
        busy.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: told.seen, "it is asked")
        closing = asyncio.ensure_future(world.gateway.close())
        assert await idle.closed(2.0) == b""
        told.gate.set()
        assert (await busy.answer()).body == b"hi"
        assert await busy.closed(2.0) == b""
        await asyncio.wait_for(closing, 5)


async def test_an_idle_connection_has_its_time_and_a_busy_one_the_time_it_needs(
    told: Told, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (config, on_httptools):
        monkeypatch.setattr(module, "KEEP_ALIVE", 0.3)

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.8)
        await send(start(200, (b"content-length", b"2")))
        await send(part(b"hi", more=False))

    told.answer = late
    world = World(catalogue(told), server)
    try:
        await world.start(ROUTES)
        async with await Client.connect(world.port) as silent, await Client.connect(world.port) as busy:
            busy.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await silent.closed(3.0) == b""
            assert (await busy.answer()).body == b"hi"
            assert await busy.closed(3.0) == b"", "it is idle now"
        await until(lambda: world.gateway.status()["connections"] == 0, "no connection is left")
    finally:
        await world.close()


async def test_what_leaves_no_answer_is_an_error(world: World, told: Told) -> None:
    told.answer = parts()
    async with await Client.connect(world.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (500, "close")
        assert await client.closed() == b""
    told.answer = None
    assert (await get(world.port, "/")).status == 200


@pytest.mark.parametrize("pipelined", [False, True])
async def test_the_next_request_does_not_wait_for_what_a_handler_does_after_its_answer(
    world: World, told: Told, *, pipelined: bool
) -> None:
    async def lasting(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, (b"content-length", b"2")))
        await send(part(b"hi", more=False))
        if len(told.seen) == 1:
            assert (await receive())["type"] in ("http.request", "http.disconnect")
            await told.gate.wait()
        told.sent += 1

    told.answer = lasting
    async with await Client.connect(world.port) as client:
        if pipelined:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        for _ in range(3):
            assert (await (client.answer() if pipelined else client.get("/"))).body == b"hi"
        await until(lambda: told.sent == 2, "two are over")
        told.gate.set()
        await until(lambda: told.sent == 3, "and then the first")
