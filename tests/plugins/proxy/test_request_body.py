"""A request's body on its way to an upstream: never more than its head has said, whoever let it in."""

from __future__ import annotations

from typing import Any

import pytest

from vidops.api import Message
from vidops_plugins.handlers.proxy.exchange import RequestBody, WrongLength


class Upstream:
    """What is written to it."""

    def __init__(self) -> None:
        self.got = b""

    def write(self, data: bytes) -> None:
        self.got += data

    async def drained(self) -> None:
        return


async def sent(length: int | None, *parts: bytes, upstream: Any) -> None:
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return messages.pop(0)

    await RequestBody(receive, length).send(upstream, 5)


async def test_as_long_as_announced() -> None:
    upstream = Upstream()
    await sent(5, b"he", b"llo", upstream=upstream)
    assert upstream.got == b"hello"


async def test_in_chunks_there_is_no_length() -> None:
    upstream = Upstream()
    await sent(None, b"hello", b"you", upstream=upstream)
    assert upstream.got == b"5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n"


@pytest.mark.parametrize("parts", [(b"hello!",), (b"hello", b"GET / HTTP/1.1\r\n\r\n"), (b"hell",), ()])
async def test_another_length_than_announced(parts: tuple[bytes, ...]) -> None:
    upstream = Upstream()
    with pytest.raises(WrongLength):
        await sent(5, *parts, upstream=upstream)
    assert b"hello".startswith(upstream.got)
