"""WebSockets through a real gateway: as bytes, and as messages."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection, ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Message,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason

from tests.gateway.world import BOTH, World, route, until
from tests.plugins.proxy.upstream import Heard, Service, reply
from vidops.api import TUNNEL, ASGIApp, GatewayContext, MiddlewareType, Options, Receive, Scope, Send
from vidops.resources.catalogue import Catalogue
from vidops.runtime.plugins import load_catalogue

SERVERS = BOTH

pytestmark = pytest.mark.integration

BIG = "x" * 300_000


def accept(heard: Heard, *fields: str) -> bytes:
    key = (heard.get("sec-websocket-key") or "").encode()
    proof = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {proof}",
    ]
    return "\r\n".join([*lines, *fields]).encode() + b"\r\n\r\n"


async def echo(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says each message back, answers a close with its code, and closes with 4007 when told to."""
    offered = (heard.get("sec-websocket-protocol") or "").split(",")
    chosen = [f"Sec-WebSocket-Protocol: {offered[-1].strip()}"] if offered != [""] else []
    writer.write(accept(heard, *chosen))
    frames = Connection(ConnectionType.SERVER)
    while data := await reader.read(65536):
        frames.receive_data(data)
        for event in frames.events():
            if isinstance(event, TextMessage) and event.data == "end":
                writer.write(frames.send(CloseConnection(code=4007, reason="told to")))
            elif isinstance(event, Message):
                writer.write(frames.send(type(event)(data=event.data, message_finished=event.message_finished)))
            elif isinstance(event, Ping):
                writer.write(frames.send(Pong(payload=event.payload + b"!"[: 125 - len(event.payload)])))
            elif isinstance(event, CloseConnection):
                heard.fields += [("closed", str(event.code)), ("why", event.reason or "")]
                if frames.state is ConnectionState.REMOTE_CLOSING:
                    writer.write(frames.send(event.response()))
                await writer.drain()
                writer.close()
                return


class Nothing(Options):
    pass


def as_messages(options: Nothing, context: GatewayContext) -> Callable[[ASGIApp], ASGIApp]:
    """What a middleware that looks into messages does first."""

    def wrap(app: ASGIApp) -> ASGIApp:
        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            scope["extensions"].pop(TUNNEL, None)
            await app(scope, receive, send)

        return wrapped

    return wrap


@pytest.fixture
async def world(server: str) -> AsyncIterator[World]:
    found = load_catalogue()
    builtin = [*found.handlers.values(), *found.middleware.values(), *found.servers.values()]
    types = [*builtin, MiddlewareType("as_messages", Nothing, as_messages)]
    it = World(Catalogue.of(types), server)
    yield it
    await it.close()


class Browser:
    """A client that shows each event."""

    def __init__(
        self, port: int, path: str = "/ws/x", subprotocols: list[str] | None = None, deflate: bool = False
    ) -> None:
        self.port = port
        self.frames = WSConnection(ConnectionType.CLIENT)
        extensions = [PerMessageDeflate()] if deflate else []
        self.request = Request(
            host="cam.example", target=path, subprotocols=subprotocols or [], extensions=extensions,
            extra_headers=[(b"origin", b"https://cam.example")],
        )  # fmt: skip
        self.events: list[Any] = []

    async def __aenter__(self) -> Browser:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.send(self.request)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def send(self, event: Any) -> None:
        self.writer.write(self.frames.send(event))

    async def event(self) -> Any:
        async with asyncio.timeout(10):
            while not self.events:
                data = await self.reader.read(65536)
                self.frames.receive_data(data or None)
                self.events += list(self.frames.events())
        return self.events.pop(0)

    async def text(self) -> str:
        """The next whole message; pings in between are answered."""
        text = ""
        while True:
            event = await self.event()
            if isinstance(event, Ping):
                self.send(event.response())
                continue
            assert isinstance(event, TextMessage), event
            text += event.data
            if event.message_finished:
                return text


@pytest.fixture(params=["bytes", "messages"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def serve(world: World, service: Service, way: str = "bytes", **options: Any) -> None:
    service.talk = options.pop("talk", echo)
    chain = ["as_messages"] if way == "messages" else []
    await world.start([route("/ws/**", "proxy", chain=chain, upstreams=[service.url], websocket=True, **options)])


async def test_messages_go_both_ways(world: World, service: Service, way: str) -> None:
    await serve(world, service, way)
    async with Browser(world.port) as browser:
        assert isinstance(await browser.event(), AcceptConnection)
        for text in ("one", "", "zwölf", BIG):
            browser.send(TextMessage(data=text))
            assert await browser.text() == text
        browser.send(BytesMessage(data=b"\0\xff"))
        assert bytes((await browser.event()).data) == b"\0\xff"
    heard = service.heard[0]
    assert heard.get("origin") == "https://cam.example"
    assert heard.get("x-forwarded-for") == "127.0.0.1"
    assert heard.first == "GET /ws/x HTTP/1.1"


async def test_a_subprotocol_is_agreed_on_by_the_ends(world: World, service: Service, way: str) -> None:
    await serve(world, service, way)
    async with Browser(world.port, subprotocols=["first", "second"]) as browser:
        event = await browser.event()
        assert (type(event), event.subprotocol) == (AcceptConnection, "second")


async def test_the_services_close_code_arrives(world: World, service: Service, way: str) -> None:
    await serve(world, service, way)
    async with Browser(world.port) as browser:
        await browser.event()
        browser.send(TextMessage(data="end"))
        event = await browser.event()
        while isinstance(event, Ping):
            event = await browser.event()
        assert (type(event), event.code, event.reason) == (CloseConnection, 4007, "told to")


@pytest.mark.parametrize("code", [4001, None])
async def test_the_clients_close_code_arrives(world: World, service: Service, way: str, code: int | None) -> None:
    await serve(world, service, way)
    expected = code or CloseReason.NO_STATUS_RCVD
    async with Browser(world.port) as browser:
        await browser.event()
        browser.send(CloseConnection(code=expected, reason="enough" if code else None))
        event = await browser.event()
        while isinstance(event, Ping):
            event = await browser.event()
        assert event.code == expected
        await until(lambda: service.heard[0].get("closed") == str(expected), "the service hears the code")
        assert service.heard[0].get("why") == ("enough" if code else "")


async def test_pings_and_extensions_are_the_services_own(world: World, service: Service) -> None:
    await serve(world, service)
    async with Browser(world.port, deflate=True) as browser:
        event = await browser.event()
        assert event.extensions == [], "the service agreed on none"
        browser.send(Ping(payload=b"who"))
        event = await browser.event()
        assert (type(event), bytes(event.payload)) == (Pong, b"who!")
    assert "permessage-deflate" in (service.heard[0].get("sec-websocket-extensions") or "")


async def test_a_client_that_vanishes_is_noticed(world: World, service: Service, way: str) -> None:
    await serve(world, service, way)
    async with Browser(world.port) as browser:
        await browser.event()
        browser.writer.transport.abort()
    await until(lambda: not service.open, "the service's connection ends, too")
    await until(lambda: world.gateway.status()["connections"] == 0, "and nothing is left")


async def test_a_service_that_vanishes_is_noticed(world: World, service: Service, way: str) -> None:
    await serve(world, service, way)
    async with Browser(world.port) as browser:
        await browser.event()
        await service.stop()
        async with asyncio.timeout(10):
            while await browser.reader.read(65536):
                pass


async def test_a_refusal_is_passed_on(world: World, service: Service, way: str) -> None:
    async def no(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b"members only", "X-Why: because", status="403 Forbidden"))

    await serve(world, service, way, talk=no)
    async with Browser(world.port) as browser:
        event = await browser.event()
        assert (type(event), event.status_code) == (RejectConnection, 403)
        assert (b"x-why", b"because") in list(event.headers)
        data = await browser.event()
        assert isinstance(data, RejectData)
        assert bytes(data.data) == b"members only"


async def false_proof(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    heard.fields = [("sec-websocket-key", "something else")]
    writer.write(accept(heard))


async def test_a_handshake_without_proof_is_none(world: World, service: Service, way: str) -> None:
    await serve(world, service, way, talk=false_proof)
    async with Browser(world.port) as browser:
        event = await browser.event()
        assert (type(event), event.status_code) == (RejectConnection, 502)


async def test_upgrades_are_declared(world: World, service: Service) -> None:
    await serve(world, service)
    await world.edit([route("/ws/**", "proxy", upstreams=[service.url])])
    async with Browser(world.port) as browser:
        event = await browser.event()
        assert (type(event), event.status_code) == (RejectConnection, 403)
    assert service.heard == []


async def test_silence_ends_it(world: World, service: Service, way: str) -> None:
    async def mute(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(heard))
        await asyncio.sleep(30)

    await serve(world, service, way, talk=mute, timeouts={"websocket_idle": "300ms"})
    async with Browser(world.port) as browser:
        await browser.event()
        async with asyncio.timeout(10):
            while await browser.reader.read(65536):
                pass


async def test_an_edit_ends_what_its_route_leaves(world: World, service: Service, way: str) -> None:
    await serve(world, service, way)
    async with Browser(world.port) as browser:
        await browser.event()
        await world.edit([route("/other/**", "proxy", upstreams=[service.url])])
        event = await browser.event()
        while isinstance(event, Ping):
            event = await browser.event()
        assert (type(event), event.code) == (CloseConnection, 1001)
        browser.send(event.response())
        await until(lambda: service.heard[0].get("closed") == "1001", "the service hears of it, too")
        async with asyncio.timeout(10):
            while await browser.reader.read(65536):
                pass


async def test_a_route_that_leaves_lets_a_frame_end(world: World, service: Service) -> None:
    """Large frames one after the other, and one the other way that is on its way for a while."""

    async def pour(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(heard))
        said, frames = Connection(ConnectionType.SERVER), Connection(ConnectionType.SERVER)

        async def listen() -> None:
            while data := await reader.read(65536):
                frames.receive_data(data)
                heard.fields += [("said", str(event)) for event in frames.events()]

        listening = asyncio.create_task(listen())
        while not writer.is_closing():
            writer.write(said.send(BytesMessage(data=bytes(300_001))))
            await writer.drain()
        await listening

    await serve(world, service, talk=pour)
    async with Browser(world.port) as browser:
        await browser.event()
        text = bytes(browser.frames.send(TextMessage(data="x" * 200_000)))
        browser.writer.write(text[:100_000])
        assert isinstance(await browser.event(), BytesMessage)
        edit = asyncio.create_task(world.edit([route("/other/**", "proxy", upstreams=[service.url])]))
        await asyncio.sleep(0.1)
        browser.writer.write(text[100_000:])
        event = await browser.event()
        finished = True
        while isinstance(event, BytesMessage):
            finished = event.message_finished
            event = await browser.event()
        assert (type(event), event.code) == (CloseConnection, 1001)
        assert finished
        await edit
    said = "".join(value for name, value in service.heard[0].fields if name == "said")
    assert said.count("x") >= 200_000
    assert "code=<CloseReason.GOING_AWAY: 1001>" in said


async def test_a_client_that_does_not_read_holds_the_service_back(world: World, service: Service) -> None:
    sent = 0

    async def pour(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(accept(heard))
        frames = Connection(ConnectionType.SERVER)
        while True:
            writer.write(frames.send(BytesMessage(data=bytes(100_000))))
            await writer.drain()
            sent += 100_000

    await serve(world, service, talk=pour)
    async with Browser(world.port) as browser:
        await browser.event()
        seen = -1
        while seen != sent:
            seen = sent
            await asyncio.sleep(0.3)
        assert sent < 30_000_000
