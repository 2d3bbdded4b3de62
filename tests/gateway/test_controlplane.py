"""The control plane, asked over its socket: a good answer in time, or one clear error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vidops.errors import TemporaryError
from vidops.gateway import controlplane
from vidops.gateway.controlplane import ControlPlaneClient

GOOD = json.dumps({"sync": "Synced"}).encode()


class Fixed:
    """Answers every connection with `data`; `hold` keeps it open."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.data = b""
        self.hold = False
        self.requests: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.data)
        if self.hold:
            await reader.read()
        writer.close()


@pytest.fixture
async def server(short: Path) -> AsyncIterator[Fixed]:
    it = Fixed(str(short / "c.sock"))
    listening = await asyncio.start_unix_server(it.serve, it.path)
    yield it
    listening.close()


def answer(body: bytes = GOOD, status: str = "200 OK", extra: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body


async def test_it_asks_for_the_status(server: Fixed) -> None:
    server.data = answer()
    assert await ControlPlaneClient(server.path).status() == {"sync": "Synced"}
    assert server.requests[0].startswith(b"GET /v1/status HTTP/1.1\r\n")


async def test_chunks_are_put_together(server: Fixed) -> None:
    server.data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n0\r\n\r\n"
    assert await ControlPlaneClient(server.path).status() == {}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no usable answer"),
        (b"nonsense\r\n\r\n", "no usable answer"),
        (answer(b"[]"), "not a JSON object"),
        (answer(b"{"), "no usable answer"),
        (answer(b"[" * 100_000), "no usable answer"),
        (answer(b"{}", "500 Oh"), "HTTP 500"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", "no usable answer"),
        (answer(b" " * (controlplane.MAX_BYTES + 1)), "more than"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000, "no usable answer"),
    ],
)
async def test_anything_else_is_one_clear_error(server: Fixed, data: bytes, said: str) -> None:
    server.data = data
    with pytest.raises(TemporaryError, match=said) as caught:
        await ControlPlaneClient(server.path).status()
    assert caught.value.reason == "ControlPlaneDown"


async def test_silence_ends_in_time(server: Fixed) -> None:
    server.hold = True
    with pytest.raises(TemporaryError, match=r"does not answer within 0\.2s"):
        await ControlPlaneClient(server.path, timeout=0.2).status()


async def test_no_socket_means_that_it_does_not_run(short: Path) -> None:
    with pytest.raises(TemporaryError, match="does not run"):
        await ControlPlaneClient(str(short / "none.sock")).status()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=80) | st.binary(max_size=40).map(answer))
@example(data=answer(GOOD, "204 No Content"))
def test_no_bytes_make_it_fail_in_another_way(short: Path, data: bytes) -> None:
    async def run() -> str:
        fixed = Fixed(str(short / "f.sock"))
        fixed.data = data
        server = await asyncio.start_unix_server(fixed.serve, fixed.path)
        try:
            await ControlPlaneClient(fixed.path).status()
        except TemporaryError as error:
            return error.reason
        finally:
            server.close()
        return "answered"

    assert asyncio.run(run()) in ("ControlPlaneDown", "answered")
