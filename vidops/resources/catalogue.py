"""The catalogue: every type that plugins contribute to a stack file, by section and name. Pure data.

A plugin registers objects of the classes below through `vidops.hookspecs`; nothing here does I/O, and what a
type's `build` returns is data too, except for middleware and handlers, which are built inside a gateway process.

Over 400 lines, since it is the whole vocabulary of plugins, which is easier to read in one place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeVar
from weakref import WeakValueDictionary

from pydantic import BaseModel, ConfigDict

from vidops.errors import PermanentError
from vidops.metrics import Metrics
from vidops.ports import Cameras, ControlPlane, DeviceFacts, Recordings
from vidops.resources.identity import TenantContext, TenantDirectory
from vidops.resources.layout import Layout, gateway_workers
from vidops.resources.resource import JSON
from vidops.resources.specs import Program, SecretRef

T = TypeVar("T")
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class Options(BaseModel):
    """Base of all options: frozen, unknown keys are errors, defaults are checked too."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class Reference:
    """Metadata of a `str` field that names an entry of another section: `Annotated[str, Reference("devices")]`.

    `devices` includes the cameras that loopback graphs put out. `tenants`: directories of tenants, which a gateway
    finds by `GatewayContext.tenants`.
    """

    section: Literal["devices", "middleware", "tenants"]


# -- scanners --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScannerType:
    """A way to find the video devices of a host. `scan()` blocks, in a thread; what it raises is logged.

    Of a node that several scanners see, the one with the highest priority is believed, and the others fill in what it
    leaves empty. `DeviceFacts.scanners` is filled in by whoever asks.
    """

    name: str
    scan: Callable[[], Sequence[DeviceFacts]]
    priority: int = 0
    summary: str = ""


# -- sources ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source type may know when it builds: the camera's name, the places, and what the host shows.

    `output` is the argument that FFmpeg writes multipart JPEG to (`-f mpjpeg <output>`); `base_dir` is the stack
    file's directory, which relative paths in it start from.
    """

    camera: str
    layout: Layout
    devices: Sequence[DeviceFacts] = ()
    base_dir: str = ""

    @property
    def output(self) -> str:
        return f"unix:{self.layout.input_socket(self.camera)}"


@dataclass(frozen=True, slots=True)
class SourceBuild:
    """`program` None with `missing`: what was looked for and not found, or with `reason` why it cannot be started.

    `description`: facts for the API. `device`: the node that the program opens, if it is one; no other entry may have
    it then. `size`: WIDTHxHEIGHT that frames must have. `controls`: values for the device's controls.
    """

    program: Program | None
    missing: str = ""
    description: JSON = field(default_factory=dict)
    reason: str = "DeviceMissing"
    device: str = ""
    size: str = ""
    controls: Mapping[str, bool | int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceType:
    """`source: <name>` in a device entry.

    `options` is a subclass of `stack.model.Device` whose `source` field is `Literal[<name>]`. `uses_devices`: whether
    `build` looks at `context.devices` (then a hot-plug event makes it build again).

    `expand(options, devices)`: the cameras that one entry stands for, by name, each with the one device that `build`
    is shown for it; None where the entry is a single camera. `explain(options, device)`: why an entry does not mean a
    device, in words; empty where it does.
    """

    name: str
    options: type[Any]
    build: Callable[[Any, SourceContext], SourceBuild]
    summary: str = ""
    uses_devices: bool = False
    expand: Callable[[Any, Sequence[DeviceFacts]], Mapping[str, DeviceFacts] | None] | None = None
    explain: Callable[[Any, DeviceFacts], Sequence[str]] | None = None


# -- captures --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CaptureContext:
    """`input`: what FFmpeg reads every frame from (`-f matroska -i <input>`). `spool`: an absolute directory."""

    capture: str
    camera: str
    layout: Layout
    spool: str

    @property
    def input(self) -> str:
        return f"unix:{self.layout.output_socket(self.camera)}"


@dataclass(frozen=True, slots=True)
class CaptureBuild:
    """See `resources.specs.CaptureSpec` for the naming contract of the spool."""

    program: Program
    suffix: str
    path: str
    utc: bool = False
    stall_timeout: float = 15.0
    sparse: str = ""
    realtime: bool = True


@dataclass(frozen=True, slots=True)
class CaptureType:
    """`type: <name>` in a capture entry (default `segments`). `options` subclasses `stack.model.Capture`."""

    name: str
    options: type[Any]
    build: Callable[[Any, CaptureContext], CaptureBuild]
    summary: str = ""


# -- hooks -----------------------------------------------------------------------------------------------------

Deliver = Callable[[Mapping[str, Any]], Awaitable[None]]
"""Hands one event on. Raises `TemporaryError` where another try may help, `PermanentError` where none does."""


@dataclass(frozen=True, slots=True)
class EventHookContext:
    """What a hook may know when it is built, in the control plane. `secret(ref)` resolves a reference."""

    hook: str
    base_dir: str
    secret: Callable[[SecretRef], str]


@dataclass(frozen=True, slots=True)
class EventHookType:
    """`type: <name>` in an entry of `hooks`. `options` subclasses `stack.model.EventHook`.

    `build(options, context)` gives what delivers an event (JSON, see docs/reference). It is called one at a time for a
    hook, with a timeout, and again after a pause where it fails; other hooks and the control plane never wait for it.
    """

    name: str
    options: type[Any]
    build: Callable[[Any, EventHookContext], Deliver]
    summary: str = ""


# -- uploads ---------------------------------------------------------------------------------------------------


class Sink(Protocol):
    """Somewhere that recordings are copied to. Blocking. Methods raise `TemporaryError` where another try may help,
    `PermanentError` where none does."""

    def put(self, file: str, name: str, *, resume: str, remember: Callable[[str], None]) -> str:
        """Copy a file, and return what confirms that it is there, whole, to last (never empty).

        `name`: what it is called there. `resume`: what an earlier try remembered, or empty; `remember(text)` keeps
        something for the next one. A file that is there already is confirmed without being sent.
        """


@dataclass(frozen=True, slots=True)
class UploadType:
    """`type: <name>` in an entry of `uploads`. `options` subclasses `stack.model.Upload`.

    `open(options, secret)` gives the sink, in the process that uploads; `secret(ref)` resolves a reference.
    """

    name: str
    options: type[Any]
    open: Callable[[Any, Callable[[SecretRef], str]], Sink]
    summary: str = ""


# -- loopback graphs -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NodeContext:
    """A sink of a loopback graph, with the way to it resolved.

    `camera` is the graph's source camera, `filters` the FFmpeg filters between it and the sink, in order;
    `node` is `<graph>.<node>`.
    """

    node: str
    camera: str
    filters: tuple[str, ...]
    layout: Layout

    @property
    def input(self) -> str:
        return f"unix:{self.layout.output_socket(self.camera)}"

    def output(self, camera: str) -> str:
        return f"unix:{self.layout.input_socket(camera)}"


@dataclass(frozen=True, slots=True)
class NodeType:
    """`type: <name>` of a graph's node. `options` subclasses `stack.model.Node`.

    role `camera`: where frames come from (its options have `device`); `filter`: `filters(options)` gives the
    FFmpeg filter; `sink`: `build(options, NodeContext)` gives the program. A sink with `camera(options)` puts out
    a camera of that name: its program becomes that camera's source, started on demand like any other.
    """

    name: str
    role: Literal["camera", "filter", "sink"]
    options: type[Any]
    filters: Callable[[Any], str] | None = None
    build: Callable[[Any, NodeContext], Program] | None = None
    camera: Callable[[Any], str] | None = None
    summary: str = ""


# -- gateway ---------------------------------------------------------------------------------------------------


class Closing(Protocol):
    """Set when a route leaves service: long responses end themselves then. `asyncio.Event` fits."""

    def is_set(self) -> bool: ...
    async def wait(self) -> Any: ...


async def _nobody(op: str) -> Sequence[Mapping[str, Any]]:
    return ()


def _no_directory(name: str) -> TenantDirectory:
    raise PermanentError(f"no directory of tenants is called {name}", reason="NoDirectory")


@dataclass(frozen=True, slots=True)
class RouteInfo:
    """A route in force, as documentation tells of it. `chain`: the types of its links; `operations`: see
    `HandlerType.describe`."""

    path: str
    methods: tuple[str, ...]
    chain: tuple[str, ...]
    handler: str
    operations: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class GatewayContext:
    """What middleware and handlers are given when they are built, inside the gateway process.

    `secret(ref)` resolves a reference (raises `PermanentError`). `log(record)` writes one line of JSON.
    `started` are awaited before the route serves, `stopped` when it has left service, in reverse.
    """

    gateway: str
    route: str
    layout: Layout
    cameras: Cameras
    recordings: Recordings
    control: ControlPlane
    closing: Closing
    secret: Callable[[SecretRef], str]
    log: Callable[[Mapping[str, Any]], None]
    metrics: Metrics = field(default_factory=Metrics)
    """What the gateway counts; one for all its routes."""
    base_dir: str = ""
    """The stack file's directory, which relative paths in options start from."""
    routes: Callable[[], Sequence[RouteInfo]] = tuple
    """All routes of the gateway that are in force, in the file's order."""
    key: str = ""
    """Names the route with all its options: another one where anything of it was changed."""
    keys: Callable[[], Sequence[str]] = tuple
    """Those of all routes that are in force."""
    version: str = ""
    """Of vidops."""
    worker: int = 1
    """Which of the gateway's processes this is."""
    several: Callable[[], bool] = bool
    """Whether there are more of them now."""
    others: Callable[[str], Awaitable[Sequence[Mapping[str, Any]]]] = _nobody
    """What the gateway's other processes answer to a request of their control sockets: those that do."""
    tenants: Callable[[str], TenantDirectory] = _no_directory
    """The directory of tenants of that name; raises `PermanentError` for one that no option of the route refers to."""
    place: int = 0
    """Of a link in its chain, counted from one; none of a handler."""
    kept: WeakValueDictionary[Hashable, Any] = field(default_factory=WeakValueDictionary)
    """See `keep`; one for all routes of the gateway."""
    started: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    stopped: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """What outlives an edit of the route, such as a count: that of the same key, route and place in the chain, for
        as long as a route that serves or drains holds it; else a new one. It can be weakly referred to."""
        whole = (self.route, self.place, key)
        found: T | None = self.kept.get(whole)
        if found is None:
            found = self.kept[whole] = make()
        return found

    @property
    def process(self) -> str:
        """What this process of the gateway is called: `main`, `main.2`."""
        return gateway_workers(self.gateway, self.worker)[-1]


@dataclass(frozen=True, slots=True)
class MiddlewareType:
    """`type: <name>` in a chain. `build(options, context)` gives a function that wraps the next application.

    `alone(options)`: why a gateway that has it has one worker only, since it needs to see all requests; empty where it
    does not. `methods`: those that it answers by itself, also where the route is for others. `identifies`: it finds out
    who asks, or what they may. `keeps`: it gives answers to others than those that they were made for; a chain that has
    it before one that `identifies` is a mistake.
    """

    name: str
    options: type[Options]
    build: Callable[[Any, GatewayContext], Callable[[ASGIApp], ASGIApp]]
    summary: str = ""
    alone: Callable[[Any], str] | None = None
    methods: tuple[str, ...] = ()
    identifies: bool = False
    keeps: bool = False


@dataclass(frozen=True, slots=True)
class HandlerType:
    """`type: <name>` of a route's handler. `build(options, context)` gives the ASGI application.

    The application finds in `scope["vidops.rest"]` the percent-decoded part of the path that `**` matched,
    without a leading slash.

    `describe(options)`: OpenAPI path items by what comes after the route's path (`{"": {"get": ...}, "/{name}": ...}`);
    the gateway adds what it answers itself.
    """

    name: str
    options: type[Options]
    build: Callable[[Any, GatewayContext], ASGIApp]
    summary: str = ""
    describe: Callable[[Any], Mapping[str, Mapping[str, Any]]] | None = None


class Abortable(Protocol):
    """A connection of a gateway."""

    def abort(self) -> None:
        """Drop it now."""


class OpenConnections(Protocol):
    """Those of a gateway that are not over, each with what runs for it."""

    def add(self, connection: Abortable) -> None: ...
    def discard(self, connection: Abortable) -> None: ...


class Server(Protocol):
    """What speaks HTTP with a gateway's clients."""

    def connect(self) -> Any:
        """The `asyncio.Protocol` of a connection that has just come; where there is TLS, behind it."""

    async def finish(self) -> None:
        """Take no more requests: idle connections end now, others after the answer that they wait for."""


@dataclass(frozen=True, slots=True)
class ServerContext:
    """What a server is given when it is built, inside the gateway process.

    `app`: the ASGI application of all routes; it refuses what is ambiguous in targets and fields, the server what
    cannot be parsed. `head_timeout`: seconds that a head may take from its first byte on. `connections`: each is added
    when it begins, and discarded when it and its applications are over. `log(record)` writes one line of JSON.
    `alt_svc(port)`: what answers over TLS at that port say of other ways here (RFC 7838), if anything, by the scope's
    `vidops.alt_svc`.
    """

    app: ASGIApp
    head_timeout: float
    connections: OpenConnections
    log: Callable[[Mapping[str, Any]], None]
    alt_svc: Callable[[int], bytes | None] = lambda _: None


@dataclass(frozen=True, slots=True)
class ServerType:
    """`server: {type: <name>}` of a gateway. `build(options, context)` gives the server.

    It imports what it needs; where a package is missing, it raises `PermanentError` that says what to install.
    """

    name: str
    options: type[Options]
    build: Callable[[Any, ServerContext], Server]
    summary: str = ""


@dataclass(frozen=True, slots=True)
class TenantDirectoryType:
    """`type: <name>` in an entry of `tenants`. `options` subclasses `stack.model.TenantDirectoryOptions`.

    `build(options, context)` gives the directory, without I/O that could block: it is called in a gateway's process.
    Routes of one gateway that name the same entry share it.
    """

    name: str
    options: type[Any]
    build: Callable[[Any, TenantContext], TenantDirectory]
    summary: str = ""


PluginType = (
    ScannerType
    | SourceType
    | CaptureType
    | NodeType
    | MiddlewareType
    | HandlerType
    | ServerType
    | EventHookType
    | UploadType
    | TenantDirectoryType
)


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One plugin as `vidops plugins` lists it. `error` is empty where it loaded."""

    name: str
    version: str = ""
    origin: str = ""
    registers: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Catalogue:
    """All registered types, and the plugins that registered them (or failed to)."""

    SECTIONS: ClassVar[dict[str, type[Any]]] = {
        "scanner": ScannerType,
        "source": SourceType,
        "capture": CaptureType,
        "node": NodeType,
        "middleware": MiddlewareType,
        "handler": HandlerType,
        "server": ServerType,
        "hook": EventHookType,
        "upload": UploadType,
        "tenants": TenantDirectoryType,
    }

    scanners: Mapping[str, ScannerType] = field(default_factory=dict)
    sources: Mapping[str, SourceType] = field(default_factory=dict)
    captures: Mapping[str, CaptureType] = field(default_factory=dict)
    nodes: Mapping[str, NodeType] = field(default_factory=dict)
    middleware: Mapping[str, MiddlewareType] = field(default_factory=dict)
    handlers: Mapping[str, HandlerType] = field(default_factory=dict)
    servers: Mapping[str, ServerType] = field(default_factory=dict)
    hooks: Mapping[str, EventHookType] = field(default_factory=dict)
    uploads: Mapping[str, UploadType] = field(default_factory=dict)
    tenants: Mapping[str, TenantDirectoryType] = field(default_factory=dict)
    plugins: tuple[PluginInfo, ...] = ()

    @classmethod
    def of(cls, types: Iterable[PluginType], plugins: Sequence[PluginInfo] = ()) -> Catalogue:
        """A catalogue of these types; a later one of the same section and name replaces an earlier one."""
        tables: dict[type[Any], dict[str, Any]] = {t: {} for t in cls.SECTIONS.values()}
        for item in types:
            tables[type(item)][item.name] = item
        return cls(
            scanners=tables[ScannerType],
            sources=tables[SourceType],
            captures=tables[CaptureType],
            nodes=tables[NodeType],
            middleware=tables[MiddlewareType],
            handlers=tables[HandlerType],
            servers=tables[ServerType],
            hooks=tables[EventHookType],
            uploads=tables[UploadType],
            tenants=tables[TenantDirectoryType],
            plugins=tuple(plugins),
        )

    @property
    def broken(self) -> tuple[PluginInfo, ...]:
        """Plugins that failed to load."""
        return tuple(p for p in self.plugins if p.error)
