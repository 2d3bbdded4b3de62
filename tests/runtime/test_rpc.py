"""The client against servers that do not behave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from vidops.errors import TemporaryError
from vidops.resources.layout import Layout
from vidops.runtime.rpc import REPLY_LIMIT, call

HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\n"
FAULT = b"""<?xml version='1.0'?><methodResponse><fault><value><struct>
<member><name>faultCode</name><value><int>10</int></value></member>
<member><name>faultString</name><value><string>BAD_NAME: x is not known</string></value></member>
</struct></value></fault></methodResponse>"""


@asynccontextmanager
async def server(path: str, answer: bytes, *, hang: bool = False) -> AsyncIterator[None]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            for start in range(0, len(answer), 1 << 20):
                writer.write(answer[start : start + (1 << 20)])
                await writer.drain()
            if hang:
                await reader.read()
        except ConnectionError:
            pass
        writer.close()

    async with await asyncio.start_unix_server(serve, path):
        yield


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "SupervisorDown"),
        (b"HTTP/1.0 500 Internal Server Error\r\n\r\n", "SupervisorDown"),
        (b"x" * 100_000, "SupervisorDown"),
        (HEAD, "SupervisorBusy"),
        (HEAD + b"<methodResponse>", "SupervisorBusy"),
        (HEAD + b"\xff\x00", "SupervisorBusy"),
        (HEAD + b"<methodResponse><params></params></methodResponse>", "SupervisorBusy"),
        (HEAD + b"x" * (REPLY_LIMIT + 1), "SupervisorDown"),
    ],
)
async def test_nonsense_is_a_temporary_error(layout: Layout, answer: bytes, reason: str) -> None:
    async with server(layout.supervisor_socket, answer):
        with pytest.raises(TemporaryError) as error:
            await call(layout.supervisor_socket, "vidops.hello")
    assert error.value.reason == reason
    assert layout.supervisor_socket in str(error.value)


async def test_no_answer_is_not_waited_for_for_ever(layout: Layout) -> None:
    async with server(layout.supervisor_socket, HEAD, hang=True):
        with pytest.raises(TemporaryError, match=r"did not answer vidops.hello .* within 0.2s"):
            await call(layout.supervisor_socket, "vidops.hello", timeout=0.2)


async def test_a_fault_says_what_it_says(layout: Layout) -> None:
    async with server(layout.supervisor_socket, HEAD + FAULT):
        with pytest.raises(TemporaryError, match=r"^x is not known$"):
            await call(layout.supervisor_socket, "vidops.state", "x")
