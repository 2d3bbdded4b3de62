from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.client import Client, get
from tests.gateway.world import World, route, until
from vidops.api import Message, accepted_codings
from vidops_plugins.middleware.compress import PACKERS, Answer, Compress

TEXT = "all work and no play " * 500

UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


async def serve(
    world: World, body: str = TEXT, kind: str = "text/plain", headers: dict[str, str] | None = None, **options: Any
) -> None:
    link = {"type": "compress", "options": options}
    await world.start([route("/**", "respond", chain=[link], body=body, content_type=kind, headers=headers or {})])


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_a_text_shrinks(world: World, coding: str) -> None:
    await serve(world, headers={"ETag": '"1"'})
    answer = await get(world.port, "/", headers=f"Accept-Encoding: {coding}\r\n")
    assert answer.headers["content-encoding"] == coding
    assert answer.headers["vary"] == "accept-encoding"
    assert answer.headers["etag"] == 'W/"1"'
    assert len(answer.body) < len(TEXT) / 10
    assert UNPACK[coding](answer.body).decode() == TEXT


@given(st.lists(st.binary(max_size=3000), max_size=8), st.sampled_from(sorted(PACKERS)))
def test_nothing_is_lost_and_nothing_waits(parts: list[bytes], coding: str) -> None:
    """Each part can be read as soon as it is packed; all of them together are what was there before."""
    packer = PACKERS[coding]()
    packed = b""
    for part in parts:
        packed += packer.pack(part)
        if coding == "gzip":
            import zlib

            assert zlib.decompressobj(31).decompress(packed).endswith(part)
    packed += packer.end()
    assert UNPACK[coding](packed) == b"".join(parts)


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (b"gzip, br, zstd", "zstd"),
        (b"gzip, br", "br"),
        (b"gzip;q=1, br;q=0.5", "gzip"),
        (b"*", "zstd"),
        (b"*;q=0.1, zstd;q=0", "br"),
        (b"identity", None),
        (b"", None),
        (b"gzip;q=0", None),
        (b"GZIP", "gzip"),
        (b"gzip;q=x", None),
    ],
)
def test_the_client_chooses(accepted: bytes, expected: str | None) -> None:
    found = accepted_codings({"headers": [(b"accept-encoding", accepted)]}, ("zstd", "br", "gzip"))
    assert (found[0] if found else None) == expected


async def sent(*messages: Message, method: str = "GET", asked: bytes = b"") -> list[Message]:
    out: list[Message] = []

    async def send(message: Message) -> None:
        out.append(message)

    fields = [(b"accept-encoding", b"gzip"), (b"if-none-match", asked)]
    answer = Answer({"method": method, "headers": fields}, send, Compress(min_size="10B"))
    for message in messages:
        await answer(message)
    return out


def start(status: int = 200, **fields: str) -> Message:
    headers = {"content_type": "text/plain", "content_length": "1000", **fields}
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()],
    }


@pytest.mark.parametrize(
    "message",
    [
        start(content_type="image/jpeg"),
        start(content_type="multipart/x-mixed-replace"),
        start(content_type="text/event-stream"),
        start(content_encoding="br"),
        start(206, content_range="bytes 0-1/2"),
        start(304, content_type="image/jpeg"),
        start(304, cache_control="no-transform"),
        start(204),
        start(cache_control="public, no-transform"),
        start(set_cookie="session=1"),
        start(content_length="5"),
    ],
)
async def test_what_is_left_alone(message: Message) -> None:
    body: Message = {"type": "http.response.body", "body": b"x" * 1000}
    assert await sent(message, body) == [message, body]


async def test_nothing_is_said_of_the_bytes_that_were_there() -> None:
    digests = {"content_digest": "sha-256=:AAAA:", "repr_digest": "sha-256=:AAAA:", "content_md5": "x"}
    trailers: Message = {"type": "http.response.trailers", "headers": [(b"content-digest", b"x"), (b"x-kept", b"1")]}
    for method in ("GET", "HEAD"):
        out = await sent(start(**digests), {"type": "http.response.body", "body": b"x" * 1000}, trailers, method=method)
        assert not dict(out[0]["headers"]).keys() & {n.replace("_", "-").encode() for n in digests}
        assert method == "HEAD" or out[2]["headers"] == [(b"x-kept", b"1")]
    body: Message = {"type": "http.response.body", "body": b"x" * 1000}
    untouched = [start(content_encoding="br", **digests), body, trailers]
    assert await sent(*untouched) == untouched


@pytest.mark.parametrize(
    ("asked", "tag"),
    [(b'W/"1"', b'W/"1"'), (b'"0", W/"1"', b'W/"1"'), (b'"1"', b'"1"'), (b'W/"1", "1"', b'"1"'), (b"*", b'"1"')],
)
async def test_what_has_not_changed_is_told_as_it_was(asked: bytes, tag: bytes) -> None:
    """By the tag that the client got, weak where it got other bytes."""
    message = start(304, etag='"1"')
    message["headers"] = [f for f in message["headers"] if f[0] == b"etag"]
    out = await sent(message, {"type": "http.response.body", "body": b""}, asked=asked)
    assert out[0]["headers"] == [(b"etag", tag), (b"vary", b"accept-encoding")]


async def test_head_says_what_get_would() -> None:
    out = await sent(start(etag='"1"'), {"type": "http.response.body", "body": b""}, method="HEAD")
    fields = dict(out[0]["headers"])
    assert fields[b"content-encoding"] == b"gzip"
    assert b"content-length" not in fields
    assert out[1]["body"] == b""


async def test_a_secret_beside_what_a_client_sent_keeps_its_length(world: World) -> None:
    await serve(world, except_paths=["/account/*"])
    async with await Client.connect(world.port) as client:
        kept = await client.get("/account/form?x=guess", headers="Accept-Encoding: gzip\r\n")
        assert "content-encoding" not in kept.headers
        other = await client.get("/else", headers="Accept-Encoding: gzip\r\n")
        assert other.headers["content-encoding"] == "gzip"


async def test_live_video_goes_straight_to_its_connection(world: World) -> None:
    await world.start([route("/stream/**", "stream", chain=[{"type": "compress", "options": {}}])])
    async with await Client.connect(world.port) as client:
        client.send(b"GET /stream/door HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n")
        await until(lambda: world.cameras.subscriptions, "it waits for a frame")
        world.cameras.feed("door")
        head = await client.head()
    assert head.headers["connection"] == "close"
    assert "content-encoding" not in head.headers
