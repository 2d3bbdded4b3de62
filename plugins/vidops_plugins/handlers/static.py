"""`static`, `spa` and `media`: files of a directory, and nothing that is not below it: no link is followed, nothing
hidden is shown, and a path has passed the gateway's own checks before (dot segments, encodings, NUL).
"""

from __future__ import annotations

import asyncio
import mimetypes
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field, field_validator

from vidops.api import (
    ASGIApp,
    Duration,
    GatewayContext,
    Options,
    PermanentError,
    Receive,
    Scope,
    Send,
    accepted_codings,
    header,
    respond,
    respond_problem,
    tenant_of,
)
from vidops_plugins.handlers.files import open_below, send_file

ENCODINGS = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
"""In the order that is preferred where a client likes them equally."""
_TYPES = mimetypes.MimeTypes()
for _suffix, _kind in ((".js", "text/javascript"), (".mjs", "text/javascript"), (".wasm", "application/wasm"),
                       (".webmanifest", "application/manifest+json"), (".m3u8", "application/vnd.apple.mpegurl"),
                       (".ts", "video/mp2t"), (".mkv", "video/x-matroska"), (".woff2", "font/woff2")):  # fmt: skip
    _TYPES.add_type(_kind, _suffix)
ARCHIVES = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
MEDIA = ("image/", "video/", "audio/", "application/vnd.apple.mpegurl")


class Files(Options):
    root: str = Field(min_length=1)
    """The directory; a relative one starts from the stack file's."""
    max_age: Duration = "0s"  # type: ignore[assignment]
    """How long browsers may keep a file without asking; with 0s they ask each time, and a 304 answers."""


class Static(Files):
    """Files of a directory, with ETags, ranges, and what was compressed beforehand beside them."""

    index: str = Field(default="index.html", pattern=r"^[^/\x00]*$")
    """What a directory shows; empty shows none."""
    immutable: str = r"(?:\.|-)(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,}\.(?!html?$|json$)[0-9a-z]{1,5}$"
    """A regular expression for paths below the root whose names hold a hash of their content: those may be kept for a
    year. Hashes that look like words are for you to name, as Vite's: `^assets/.*-[0-9A-Za-z_-]{8}\\.[0-9a-z]+$`."""
    precompressed: bool = True
    """Send FILE.br, FILE.zst or FILE.gz to whoever takes it."""

    @field_validator("immutable")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        return value


class Spa(Static):
    """A single-page application: paths that are no files show its page, which finds out by itself what they mean."""

    fallback: str = Field(default="index.html", pattern=r"^[^\x00]+$")
    """The page, below the root."""


class Media(Files):
    """Pictures, films and sounds of a directory, with ranges; nothing else of it."""

    by_tenant: bool = False
    """Each tenant has a directory of its name below the root, and sees that one alone."""


@dataclass(frozen=True, slots=True)
class Found:
    """An open file. `path`: below the root, as it was asked for; `encoding`: how it is compressed."""

    descriptor: int
    path: str
    encoding: str = ""
    varies: bool = False


def build_static(options: Static, context: GatewayContext) -> ASGIApp:
    return _build(options, context, fallback="")


def build_spa(options: Spa, context: GatewayContext) -> ASGIApp:
    return _build(options, context, fallback=options.fallback)


def _build(options: Static, context: GatewayContext, *, fallback: str) -> ASGIApp:
    root = _root(options.root, context)
    immutable = re.compile(options.immutable)
    asking = f"max-age={options.max_age:.0f}" if options.max_age else "no-cache"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not await readable(scope, send):
            return
        path = str(scope["vidops.rest"])
        accepted = accepted_codings(scope, tuple(ENCODINGS)) if options.precompressed else ()
        found = await asyncio.to_thread(find, root, path, index=options.index, accepted=accepted)
        if found is None and await _is_directory(root, path, options.index):
            await _towards_directory(scope, send)
            return
        if found is None and fallback and is_navigation(scope, path):
            found = await asyncio.to_thread(find, root, fallback, index="", accepted=accepted)
        if found is None:
            await respond_problem(scope, send, 404, "there is no such file")
            return
        lasting = options.immutable and immutable.search(found.path)
        headers = [(b"x-content-type-options", b"nosniff")]
        if found.varies:
            headers.append((b"vary", b"accept-encoding"))
        kind, coding = content_type(found.path)
        if codings := ", ".join(filter(None, (coding, found.encoding))):
            headers.append((b"content-encoding", codings.encode()))
        try:
            await send_file(
                scope,
                send,
                found.descriptor,
                content_type=kind,
                cache_control="public, max-age=31536000, immutable" if lasting else asking,
                headers=headers,
            )
        finally:
            os.close(found.descriptor)

    return app


def build_media(options: Media, context: GatewayContext) -> ASGIApp:
    root = _root(options.root, context)
    asking = f"private, max-age={options.max_age:.0f}" if options.max_age else "private, no-cache"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not await readable(scope, send):
            return
        path, tenant = str(scope["vidops.rest"]), tenant_of(scope)
        segments = path.split("/")
        if options.by_tenant:
            segments = [tenant.name, *segments] if tenant is not None else []
        kind, coding = content_type(path)
        shown = segments and kind.startswith(MEDIA) and not any(s.startswith(".") for s in segments)
        descriptor = await asyncio.to_thread(open_below, root, segments) if shown else -1
        if descriptor < 0:
            await respond_problem(scope, send, 404, "there is no such file")
            return
        headers = [(b"x-content-type-options", b"nosniff")]
        if coding:
            headers.append((b"content-encoding", coding.encode()))
        try:
            await send_file(scope, send, descriptor, content_type=kind, cache_control=asking, headers=headers)
        finally:
            os.close(descriptor)

    return app


def _root(root: str, context: GatewayContext) -> str:
    """Raises `PermanentError` where there is no such directory: better at once than 404 for everything."""
    path = os.path.join(context.base_dir, root)
    if not os.path.isdir(path):
        raise PermanentError(f"root {path} is not a directory: make it, or correct the path", reason="NoDirectory")
    return path


async def readable(scope: Scope, send: Send) -> bool:
    """Whether it is a request for a file; answers those that are none."""
    if scope["type"] != "http":
        await respond_problem(scope, send, 400, "this is no WebSocket")
        return False
    if scope["method"] not in ("GET", "HEAD"):
        await respond_problem(scope, send, 405, "files are read", headers=[(b"allow", b"GET, HEAD")])
        return False
    return True


def find(root: str, path: str, *, index: str, accepted: Sequence[str]) -> Found | None:
    """Open what a path names, or a sibling that is compressed as accepted. Blocking. The caller closes it."""
    if path == "" or path.endswith("/"):
        if not index:
            return None
        path += index
    segments = path.split("/")
    if any(segment.startswith(".") and segment != ".well-known" for segment in segments):
        return None
    plain = open_below(root, segments)
    if plain < 0:
        return None
    if not accepted:
        return Found(plain, path)
    for encoding in accepted:
        smaller = open_below(root, [*segments[:-1], segments[-1] + ENCODINGS[encoding]])
        if smaller < 0:
            continue
        # One that is older is of a file that was changed since.
        if os.fstat(smaller).st_mtime >= os.fstat(plain).st_mtime:
            os.close(plain)
            return Found(smaller, path, encoding, varies=True)
        os.close(smaller)
    return Found(plain, path, varies=True)


def is_navigation(scope: Scope, path: str) -> bool:
    """Whether a browser goes to a page, rather than a page asking for one of its files: those are to be missed."""
    accepts = header(scope, b"accept") or b""
    return "." not in path.rpartition("/")[2] and (b"text/html" in accepts or b"*/*" in accepts or not accepts)


def content_type(path: str) -> tuple[str, str]:
    """The type of a file by its name, and the coding that it is in by itself, which browsers undo."""
    name = path.rpartition("/")[2]
    kind, coding = _TYPES.guess_type(name)
    if coding is not None and not name.lower().endswith(".svgz"):
        # An archive is wanted as it is.
        return ARCHIVES.get(coding, "application/octet-stream"), ""
    if kind is None:
        return "application/octet-stream", ""
    textual = kind.startswith("text/") or kind in ("application/json", "image/svg+xml", "application/manifest+json")
    return (f"{kind}; charset=utf-8" if textual else kind), coding or ""


async def _is_directory(root: str, path: str, index: str) -> bool:
    """Whether a path without its slash is that of a directory's page. One that has no page is nothing."""
    if not index or path == "" or path.endswith("/"):
        return False
    there = await asyncio.to_thread(find, root, f"{path}/", index=index, accepted=())
    if there is not None:
        os.close(there.descriptor)
    return there is not None


async def _towards_directory(scope: Scope, send: Send) -> None:
    """A directory's own links start from its slash: its page is behind a redirect to it."""
    target = scope["raw_path"].rpartition(b"/")[2] + b"/"
    question = b"?" + scope["query_string"] if scope["query_string"] else b""
    await respond(scope, send, 308, headers=[(b"location", b"./" + target + question)])
