"""Every hook of vidops: the whole contract between it and plugins.

Hooks register typed things and are synchronous; work happens later, on the registered objects. A plugin is a
module (entry-point group `vidops`, or a file in `--plugins-dir`) with functions of these names, marked
`@vidops.api.hookimpl`. Pluggy calls the last registered first; nothing depends on that order: a type's name may
be registered once, and the order of a chain comes from the stack file alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from vidops.resources.catalogue import (
    CaptureType,
    EventHookType,
    HandlerType,
    MiddlewareType,
    NodeType,
    ScannerType,
    ServerType,
    SourceType,
    TenantDirectoryType,
    UploadType,
)

PROJECT = "vidops"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def vidops_scanners() -> Sequence[ScannerType]:  # type: ignore[empty-body]
    """Ways to find the video devices of a host."""


@hookspec
def vidops_sources() -> Sequence[SourceType]:  # type: ignore[empty-body]
    """Kinds of cameras: `source: <name>` in an entry of `devices`."""


@hookspec
def vidops_captures() -> Sequence[CaptureType]:  # type: ignore[empty-body]
    """Kinds of recording: `type: <name>` in an entry of `captures`."""


@hookspec
def vidops_loopback_nodes() -> Sequence[NodeType]:  # type: ignore[empty-body]
    """Nodes of loopback graphs: `type: <name>` in an entry of `loopbacks.<graph>.nodes`."""


@hookspec
def vidops_middleware() -> Sequence[MiddlewareType]:  # type: ignore[empty-body]
    """Links of a chain: `type: <name>` in `middleware.<chain>` or in the `chain` of a gateway or route."""


@hookspec
def vidops_handlers() -> Sequence[HandlerType]:  # type: ignore[empty-body]
    """Ends of a route: `handler: {type: <name>}`."""


@hookspec
def vidops_servers() -> Sequence[ServerType]:  # type: ignore[empty-body]
    """What speaks HTTP with a gateway's clients: `server: {type: <name>}`."""


@hookspec
def vidops_event_hooks() -> Sequence[EventHookType]:  # type: ignore[empty-body]
    """Ways to tell of events: `type: <name>` in an entry of `hooks`."""


@hookspec
def vidops_tenants() -> Sequence[TenantDirectoryType]:  # type: ignore[empty-body]
    """Directories of tenants: `type: <name>` in an entry of `tenants`."""


@hookspec
def vidops_uploads() -> Sequence[UploadType]:  # type: ignore[empty-body]
    """Places that recordings are copied to: `type: <name>` in an entry of `uploads`."""
