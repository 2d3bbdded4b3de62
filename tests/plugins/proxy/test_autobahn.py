"""Autobahn's WebSocket cases (by kosoku), through the proxy to an echo that passes them by itself."""

from __future__ import annotations

import asyncio

import pytest
from kosoku import run_fuzzingclient
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Message, Ping, Request, TextMessage
from wsproto.utilities import RemoteProtocolError

from tests.gateway.world import World, route

pytestmark = [pytest.mark.integration, pytest.mark.long]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back each message, whole."""
    connection = WSConnection(ConnectionType.SERVER)
    parts: list[str | bytes] = []
    try:
        while True:
            connection.receive_data(await reader.read(1 << 18) or None)
            for event in connection.events():
                match event:
                    case Request():
                        writer.write(connection.send(AcceptConnection()))
                    case TextMessage() | BytesMessage():
                        parts.append(event.data)
                        if event.message_finished:
                            whole = "".join(parts) if isinstance(event.data, str) else b"".join(parts)  # type: ignore[arg-type]
                            parts.clear()
                            writer.write(connection.send(Message(data=whole)))
                    case Ping():
                        writer.write(connection.send(event.response()))
                    case CloseConnection():
                        writer.write(connection.send(event.response()))
                        return
            await writer.drain()
    except RemoteProtocolError as error:
        if error.event_hint is not None:
            writer.write(connection.send(error.event_hint))
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest.mark.timeout(300)
async def test_every_case_passes(world: World) -> None:
    upstream = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with upstream:
        upstreams = [f"http://127.0.0.1:{upstream.sockets[0].getsockname()[1]}"]
        await world.start([route("/**", "proxy", upstreams=upstreams, websocket=True)])
        # 12 and 13 are about compression, which is the two ends' own.
        url, others = f"ws://127.0.0.1:{world.port}", ["12.*", "13.*"]
        results = await run_fuzzingclient(url, exclude_cases=others, concurrency=4)
    assert len(results) > 240
    assert {str(result.behavior.value) for result in results} <= {"OK", "NON-STRICT", "INFORMATIONAL"}
