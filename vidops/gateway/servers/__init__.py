"""The servers that a gateway can stand on: `server: {type: <name>}`.

A plugin like any other, but for its place: these are made of the gateway's own parts, which plugins cannot see. What a
server needs is imported when a gateway builds it, so that nobody pays for the one that was not chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vidops.hookspecs import hookimpl
from vidops.resources.catalogue import Options, Server, ServerContext, ServerType


class Hypercorn(Options):
    """What is meant where nothing is said."""


class Httptools(Options):
    """Several times as fast for small requests. Methods that llhttp does not know are refused (501)."""


def _hypercorn(options: Any, context: ServerContext) -> Server:
    from vidops.gateway.servers.on_hypercorn import HypercornServer

    return HypercornServer(context)


def _httptools(options: Any, context: ServerContext) -> Server:
    from vidops.gateway.servers.on_httptools import HttptoolsServer

    return HttptoolsServer(context)


@hookimpl
def vidops_servers() -> Sequence[ServerType]:
    return (
        ServerType("hypercorn", Hypercorn, _hypercorn, summary="HTTP/1.1 and HTTP/2 in Python alone."),
        ServerType(
            "httptools", Httptools, _httptools, summary="HTTP/1.1 by llhttp; HTTP/2 and WebSockets by Hypercorn."
        ),
    )
