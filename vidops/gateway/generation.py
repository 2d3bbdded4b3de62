"""A generation: the routes of one spec. The next one takes over every route that did not change, as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakValueDictionary

from vidops import __version__
from vidops.asgi import NOTES, SEND, respond_not_allowed
from vidops.errors import PermanentError, VidopsError
from vidops.gateway.directories import Directories
from vidops.gateway.document import Document
from vidops.gateway.route import Route
from vidops.gateway.routing import Pattern, Table, with_head
from vidops.metrics import Metrics
from vidops.ports import Cameras, ControlPlane, Recordings
from vidops.resources.catalogue import (
    ASGIApp,
    Catalogue,
    GatewayContext,
    Receive,
    RouteInfo,
    Scope,
    Send,
    Server,
    ServerContext,
)
from vidops.resources.layout import Layout, gateway_workers
from vidops.resources.resource import JSON, fingerprint
from vidops.resources.specs import Entry, RouteSpec, SecretRef
from vidops.runtime import gatewayclient

OTHERS_TIMEOUT = 2.0
"""Seconds that another process of the gateway may take to answer."""


@dataclass(frozen=True, slots=True)
class Services:
    """What routes are built from besides their spec."""

    gateway: str
    layout: Layout
    catalogue: Catalogue
    cameras: Cameras
    recordings: Recordings
    control: ControlPlane
    secret: Callable[[SecretRef], str]
    log: Callable[[Mapping[str, Any]], None]
    worker: int = 1
    metrics: Metrics = field(default_factory=Metrics)
    in_force: list[Document] = field(default_factory=list)
    """The document that is served, once there is one."""
    kept: WeakValueDictionary[Hashable, Any] = field(default_factory=WeakValueDictionary)
    directories: Directories = field(init=False)

    @property
    def process(self) -> str:
        """What this process is called, and its files: `main`, `main.2`."""
        return gateway_workers(self.gateway, self.worker)[-1]

    @property
    def kin(self) -> list[str]:
        """The other processes of the gateway, as the newest file has it."""
        return [
            one for d in self.in_force for one in gateway_workers(self.gateway, d.spec.workers) if one != self.process
        ]

    async def others(self, op: str) -> list[JSON]:
        """What they answer to a request: those that do."""
        ask = (gatewayclient.request(self.layout, one, {"op": op}, OTHERS_TIMEOUT) for one in self.kin)
        answers = await asyncio.gather(*ask, return_exceptions=True)
        return [answer for answer in answers if isinstance(answer, dict) and answer.get("ok")]

    def __post_init__(self) -> None:
        object.__setattr__(self, "directories", Directories(self.catalogue, self.secret, self.log))


@dataclass(frozen=True, slots=True)
class Generation:
    """`number` counts up from 1 within the process."""

    number: int
    document: Document
    routes: Mapping[str, Route]
    table: Table[Route]


async def next_generation(document: Document, previous: Generation | None, services: Services) -> Generation:
    """Build what is new, keep what is not, start the new ones.

    Raises `PermanentError` naming the route; then nothing of it is left and the previous one is as it was.
    """
    kept = previous.routes if previous else {}
    routes: dict[str, Route] = {}
    fresh: list[Route] = []
    try:
        for index, spec in enumerate(document.spec.routes):
            key = _key(spec)
            if key in routes:
                continue
            where = f"routes[{index}] ({spec.path})"
            route = kept.get(key) or _build(key, spec, where, services)
            if key not in kept:
                fresh.append(route)
                await _start(route, where)
            routes[key] = route
    except BaseException:
        for route in reversed(fresh):
            await route.retire(0.0, services.log)
        raise
    table = Table((route.pattern, route.methods, route) for route in routes.values())
    return Generation(previous.number + 1 if previous else 1, document, routes, table)


def described(services: Services) -> list[RouteInfo]:
    """The routes in force, as documentation tells of them: asked for with a page, so that a type which describes itself
    badly harms nothing else."""
    found = []
    for spec in (spec for document in services.in_force for spec in document.spec.routes):
        kind, options = _typed(services.catalogue, services.catalogue.handlers, "handler", spec.handler)
        operations = kind.describe(options) if kind.describe is not None else {}
        chain = tuple(link.type for link in spec.chain)
        found.append(RouteInfo(spec.path, tuple(spec.methods), chain, spec.handler.type, operations))
    return found


def _key(spec: RouteSpec) -> str:
    return fingerprint(spec.model_dump(mode="json"))


async def _start(route: Route, where: str) -> None:
    try:
        await route.start()
    except (Exception, SystemExit) as error:
        raise PermanentError(f"{where} does not start: {_said(error)}", reason="StartFailed") from error


def _build(key: str, spec: RouteSpec, where: str, services: Services) -> Route:
    """Chain and handler, built inside out: the first link of the chain is the outermost."""
    try:
        pattern = Pattern.parse(spec.path)
        closing = asyncio.Event()
        context = GatewayContext(
            gateway=services.gateway,
            route=spec.path,
            layout=services.layout,
            cameras=services.cameras,
            recordings=services.recordings,
            control=services.control,
            closing=closing,
            secret=services.secret,
            log=services.log,
            base_dir=spec.base_dir,
            metrics=services.metrics,
            routes=lambda: described(services),
            key=key,
            keys=lambda: [_key(spec) for document in services.in_force for spec in document.spec.routes],
            version=__version__,
            worker=services.worker,
            several=lambda: bool(services.kin),
            others=services.others,
            kept=services.kept,
        )
        find = services.directories.of_route(spec.tenants, context.started, context.stopped)
        context = replace(context, tenants=find)
        links = [_typed(services.catalogue, services.catalogue.middleware, "middleware", entry) for entry in spec.chain]
        kind, options = _typed(services.catalogue, services.catalogue.handlers, "handler", spec.handler)
        others = {method for link, _ in links for method in link.methods} if spec.methods else set()
        app = kind.build(options, context)
        app = reached(_only(with_head(spec.methods), app) if others else app)
        for place, (link, its_options) in reversed(list(enumerate(links, 1))):
            app = reached(link.build(its_options, replace(context, place=place))(app))
    except (Exception, SystemExit) as error:
        raise PermanentError(f"{where}: {_said(error)}", reason="InvalidRoute") from error
    return Route(key, pattern, (*spec.methods, *sorted(others.difference(spec.methods))), app, context, closing)


def reached(app: ASGIApp) -> ASGIApp:
    """Have `send` as it is at this place of a chain found by whoever answers in the chain's stead: an error's answer
    has the header fields of all links before."""

    def remembering(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        scope[NOTES][SEND] = send
        return app(scope, receive, send)

    return remembering


def _only(methods: Sequence[str], app: ASGIApp) -> ASGIApp:
    """A link may answer a method that the route has not: what it lets pass, the handler is not for."""

    async def only(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in methods:
            await respond_not_allowed(scope, send, methods)
        else:
            await app(scope, receive, send)

    return only


def build_server(catalogue: Catalogue, entry: Entry, context: ServerContext) -> Server:
    """The server of a gateway. Raises `PermanentError`; what a type's own says of a missing package is its text."""
    kind, options = _typed(catalogue, catalogue.servers, "server", entry)
    try:
        server: Server = kind.build(options, context)
    except Exception as error:
        raise PermanentError(f"server {entry.type!r}: {_said(error)}", reason="InvalidServer") from error
    return server


def _typed(catalogue: Catalogue, table: Mapping[str, Any], noun: str, entry: Entry) -> tuple[Any, Any]:
    """A type of the catalogue with its validated options."""
    kind = table.get(entry.type)
    if kind is None:
        broken = "; ".join(f"plugin {p.name}: {p.error}" for p in catalogue.broken)
        raise PermanentError(f"no plugin has a {noun} {entry.type!r}" + (f" ({broken})" if broken else ""))
    try:
        return kind, kind.options.model_validate(entry.options)
    except ValueError as error:
        raise PermanentError(f"{noun} {entry.type!r}: {error}") from None


def _said(error: BaseException) -> str:
    """A person's text of ours, and the kind of anybody else's."""
    if isinstance(error, VidopsError):
        return str(error)
    return f"{type(error).__name__}: {error}"
