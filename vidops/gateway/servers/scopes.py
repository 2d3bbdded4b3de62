"""ASGI's scope of a plain request, as Hypercorn would make it."""

from __future__ import annotations

from typing import Any

from vidops.gateway import beside
from vidops.gateway.servers.heads import Head
from vidops.resources.catalogue import Scope


def scope_of(head: Head, client: Any, server: Any, tls: dict[str, Any] | None) -> Scope:
    """`tls`: what is said of it, where there is any."""
    path, _, query = head.target.partition(b"?")
    extensions: dict[str, Any] = beside.extensions(head.version)
    if tls is not None:
        extensions["tls"] = tls
    return {
        "type": "http",
        "http_version": head.version,
        "asgi": {"spec_version": "2.1", "version": "3.0"},
        "method": head.method,
        "scheme": "http" if tls is None else "https",
        "path": path.decode("ascii"),  # as it came: the guard decodes it
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": head.fields,
        "client": client,
        "server": server,
        "state": {},
        "extensions": extensions,
    }
