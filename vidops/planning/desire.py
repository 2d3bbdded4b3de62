"""What a stack file asks for, as resources. Pure: the same stack, places and devices give the same resources.

One function a section. A type's `build` is a plugin's code: what it raises becomes a `Problem` at the entry that
asked for it.
"""

from __future__ import annotations

import fnmatch
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from vidops import __version__
from vidops.errors import Mark, PermanentError, Problem, StackError
from vidops.ports import DeviceFacts
from vidops.resources.catalogue import CaptureContext, Catalogue, NodeContext, Options, SourceBuild, SourceContext
from vidops.resources.layout import Layout, gateway_workers
from vidops.resources.resource import JSON, Ref, Resource, Spec
from vidops.resources.specs import (
    AFTER_DRAIN,
    PYTHON,
    CaptureSpec,
    Entry,
    GatewaySpec,
    HookSpec,
    HubSpec,
    LoopbackSpec,
    OnDemand,
    Program,
    RouteSpec,
    SourceSpec,
    TenantsSpec,
    TLSSpec,
    UploadSpec,
)
from vidops.stack.model import TLS
from vidops.stack.references import references

HUB = Ref("hub", "hub")
T = TypeVar("T")
GATEWAY_STOP_TIMEOUT = 30.0
"""Seconds that a gateway's process has to end, at least: the same for most drains, whose edit replaces no process."""
DocPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Desire:
    """What a desire is made from. `mark(path)` says where a part of the document stands."""

    stack: Any
    catalogue: Catalogue
    layout: Layout
    mark: Callable[[DocPath], Mark]
    devices: Sequence[DeviceFacts] = ()
    plugins: JSON = field(default_factory=dict)
    base_dir: str = ""


def desire(d: Desire) -> tuple[Resource, ...]:
    """All resources of a stack, hub first; raises `StackError` with every entry that cannot be built."""
    problems: list[Problem] = []
    found = [_hub(d)]
    for section in (_devices, _loopbacks):
        found.extend(section(d, problems))
    cameras = [r.spec.camera for r in found if isinstance(r.spec, SourceSpec)]
    found.extend(_captures(d, problems, cameras))
    found.extend(_gateways(d, problems))
    found.extend(_uploads(d))
    found.extend(_hooks(d))
    if problems:
        raise StackError(problems)
    return tuple(found)


def _resource(d: Desire, ref: Ref, spec: Spec, at: DocPath, *needs: Ref) -> Resource:
    return Resource(ref, spec, needs, origin=str(d.mark(at)))


def _ours(module: str, *words: str, stop_timeout: float = 10.0) -> Program:
    """A Python process of vidops itself. Its version is part of it: an upgrade replaces it."""
    env = {"VIDOPS_VERSION": __version__}
    return Program(argv=(PYTHON, "-m", module, *words), env=env, stop_timeout=stop_timeout)


def _hub(d: Desire) -> Resource:
    return Resource(HUB, HubSpec(program=_ours("vidops.hub", "--run-dir", d.layout.run_dir)))


def _devices(d: Desire, problems: list[Problem]) -> Iterator[Resource]:
    taken: dict[str, str] = {}
    names = {*d.stack.devices, *_put_out(d)}
    # By name, since the order of keys means nothing; a template means what the others leave.
    for entry_name, entry, several in sorted(_expanded(d), key=lambda item: (item[2] is not None, item[0])):
        at = ("devices", entry_name)
        kind = d.catalogue.sources[entry.source]
        devices = d.devices if kind.uses_devices else ()
        shown = {entry_name: devices} if several is None else {name: (device,) for name, device in several.items()}
        for name, seen in shown.items():
            if several is not None and name in names:
                # Which devices there are is no mistake of the file's: an entry of its own goes before a template.
                continue
            context = SourceContext(camera=name, layout=d.layout, devices=seen, base_dir=d.base_dir)
            built = _build(partial(kind.build, entry, context), d, at, problems)
            if built is None:
                break
            names.add(name)
            if built.device and built.program is not None:
                owner = taken.setdefault(built.device, name)
                if owner != name:
                    built = _taken(built, owner, template=several is not None)
            if built is not None:
                yield _resource(d, Ref("source", name), _source(name, entry, built), at, HUB)


def _expanded(d: Desire) -> Iterator[tuple[str, Any, Mapping[str, DeviceFacts] | None]]:
    """Each entry, and the cameras it stands for if it is a template."""
    for name, entry in d.stack.devices.items():
        expand = d.catalogue.sources[entry.source].expand
        yield name, entry, expand(entry, d.devices) if expand is not None else None


def _put_out(d: Desire) -> Iterator[str]:
    """Cameras that loopback graphs put out."""
    for graph, entry in d.stack.loopbacks.items():
        for name, node in entry.nodes.items():
            camera = d.catalogue.nodes[node.type].camera
            if camera is not None:
                yield camera(node) or f"{graph}-{name}"


def _taken(built: SourceBuild, owner: str, *, template: bool) -> SourceBuild | None:
    """A device has one camera: the first by name. A template means what others leave."""
    if template:
        return None
    missing = f"{built.device} is camera {owner}'s, whose entry means it, too: say in each what the other is not"
    return replace(built, program=None, missing=missing, reason="DeviceTaken", device="", controls={})


def _source(name: str, entry: Any, built: SourceBuild) -> SourceSpec:
    return SourceSpec(
        camera=name,
        program=built.program,
        missing=built.missing,
        reason=built.reason if built.program is None else "DeviceMissing",
        device=built.device,
        size=built.size,
        controls=dict(built.controls),
        on_demand=None if entry.always_on else OnDemand(close_after=entry.on_demand.close_after),
        start_timeout=entry.start_timeout,
        stall_timeout=entry.stall_timeout,
        description={"source": entry.source, "mode": entry.mode.model_dump(mode="json"), **built.description},
    )


def _loopbacks(d: Desire, problems: list[Problem]) -> Iterator[Resource]:
    for graph, entry in d.stack.loopbacks.items():
        for name, node in entry.nodes.items():
            kind = d.catalogue.nodes[node.type]
            if kind.role != "sink" or kind.build is None:
                continue
            at = ("loopbacks", graph, "nodes", name)
            camera, filters = _upstream(entry.nodes, name, d.catalogue)
            context = NodeContext(node=f"{graph}.{name}", camera=camera, filters=filters, layout=d.layout)
            program = _build(partial(kind.build, node, context), d, at, problems)
            if program is None:
                continue
            needs = (HUB, Ref("source", camera))
            if kind.camera is None:
                spec: Spec = LoopbackSpec(program=program, camera=camera)
                yield _resource(d, Ref("loopback", f"{graph}.{name}"), spec, at, *needs)
                continue
            out = kind.camera(node) or f"{graph}-{name}"
            spec = SourceSpec(
                camera=out,
                program=program,
                on_demand=OnDemand(),
                description={"source": "loopback", "graph": graph, "node": name, "from": camera},
            )
            yield _resource(d, Ref("source", out), spec, at, *needs)


def _upstream(nodes: Mapping[str, Any], sink: str, catalogue: Catalogue) -> tuple[str, tuple[str, ...]]:
    """The camera that feeds a sink, and the filters between, first to last. The graph was checked on load."""
    filters: list[str] = []
    node = nodes[sink]
    while True:
        kind = catalogue.nodes[node.type]
        if kind.role == "camera":
            return node.device, tuple(reversed(filters))
        if kind.filters is not None:
            filters.append(kind.filters(node))
        node = nodes[node.in_]


def _captures(d: Desire, problems: list[Problem], cameras: Sequence[str]) -> Iterator[Resource]:
    for name, entry in d.stack.captures.items():
        wanted = fnmatch.filter(cameras, entry.devices) if entry.devices else [entry.device]
        for camera in wanted:
            capture = _capture(d, problems, name, camera)
            if capture is None:
                # The other cameras' would fail alike.
                break
            yield capture


def _capture(d: Desire, problems: list[Problem], entry_name: str, camera: str) -> Resource | None:
    """The recorder of one camera; one of several that an entry asks for is called `<entry>.<camera>`."""
    entry, at = d.stack.captures[entry_name], ("captures", entry_name)
    name = f"{entry_name}.{camera}" if entry.devices else entry_name
    kind = d.catalogue.captures[entry.type]
    context = CaptureContext(capture=name, camera=camera, layout=d.layout, spool=d.layout.spool(name))
    built = _build(partial(kind.build, entry, context), d, at, problems)
    if built is None:
        return None
    if entry.devices and "{device}" not in built.path:
        text = "a path for several cameras must have {device} in it, or their files could not be told apart"
        problems.append(Problem(d.mark(at), ".".join(at), text))
        return None
    spec = CaptureSpec(
        camera=camera,
        program=built.program,
        spool=context.spool,
        suffix=built.suffix,
        path=built.path,
        utc=built.utc,
        stall_timeout=built.stall_timeout,
        sparse=built.sparse,
        realtime=built.realtime,
        retention=entry.retention.rule(),
        schedule=tuple(option.window() for option in _several(entry.schedule)),
        on_demand=entry.on_demand,
        priority=entry.priority,
        uploads=tuple(n for n, u in d.stack.uploads.items() if fnmatch.fnmatchcase(entry_name, u.captures)),
    )
    return _resource(d, Ref("capture", name), spec, at, HUB, Ref("source", camera))


def _several(value: Any) -> Sequence[Any]:
    """What may be written as one or as a list."""
    return value if isinstance(value, list) else [value]


def _tls(entry: TLS) -> TLSSpec:
    return TLSSpec(
        certfile=entry.certfile,
        keyfile=entry.keyfile,
        client_ca=entry.client_ca,
        client_auth=entry.client_auth or "required",
        http3=entry.http3,
    )


def _gateways(d: Desire, problems: list[Problem]) -> Iterator[Resource]:
    plugins = ("--plugins", json.dumps(d.plugins, sort_keys=True))
    for name, entry in d.stack.gateways.items():
        # Whole seconds, as supervisord has them.
        stop = max(GATEWAY_STOP_TIMEOUT, float(math.ceil(entry.drain_timeout + AFTER_DRAIN)))
        if entry.workers > 1:
            problems.extend(_alone(d, name, entry))
        own = tuple(_expand(d, entry.chain))
        routes = tuple(
            RouteSpec(
                path=route.path,
                base_dir=d.base_dir,
                methods=tuple(route.methods or ()),
                chain=(*own, *_expand(d, route.chain)),
                handler=_entry(route.handler),
                tenants=_directories(d, _options(d, entry.chain, route)),
            )
            for route in entry.routes
        )
        spec = GatewaySpec(
            program=_ours("vidops.gateway", name, *d.layout.argv, *plugins, stop_timeout=stop),
            workers=entry.workers,
            bind=tuple(_several(entry.bind)),
            tls=_tls(entry.tls) if entry.tls else None,
            **({"server": _entry(entry.server)} if entry.server is not None else {}),
            routes=routes,
            start_timeout=entry.start_timeout,
            drain_timeout=entry.drain_timeout,
        )
        first = Ref("gateway", name)
        yield _resource(d, first, spec, ("gateways", name), HUB)
        for worker in gateway_workers(name, entry.workers)[1:]:
            program = _ours("vidops.gateway", worker, *d.layout.argv, *plugins, stop_timeout=stop)
            # The first one opens what all of them listen on.
            another = spec.model_copy(update={"program": program})
            yield _resource(d, Ref("gateway", worker), another, ("gateways", name), HUB, first)


def _alone(d: Desire, name: str, entry: Any) -> Iterator[Problem]:
    """What several workers would do each by itself, and must not."""
    for at, chain in (((), entry.chain), *((("routes", i), r.chain) for i, r in enumerate(entry.routes))):
        for kind, options in _links(d, chain):
            alone = d.catalogue.middleware[kind].alone
            if alone is not None and (why := alone(options)):
                where = ("gateways", name, *at, "chain")
                path = ".".join(map(str, where))
                yield Problem(d.mark(where), path, f"{kind}: {why}; workers: {entry.workers} cannot", "workers: 1")


def _uploads(d: Desire) -> Iterator[Resource]:
    for name, entry in d.stack.uploads.items():
        options = json.dumps(entry.model_dump(mode="json", by_alias=True), sort_keys=True)
        words = ("--options", options, "--plugins", json.dumps(d.plugins, sort_keys=True))
        spec = UploadSpec(program=_ours("vidops.uploader", name, *d.layout.argv, *words))
        yield _resource(d, Ref("upload", name), spec, ("uploads", name))


def _hooks(d: Desire) -> Iterator[Resource]:
    for name, entry in d.stack.hooks.items():
        spec = HookSpec(
            type=entry.type,
            on=tuple(entry.on),
            cameras=entry.cameras,
            captures=entry.captures,
            timeout=entry.timeout,
            attempts=entry.attempts,
            options=entry.model_dump(mode="json", by_alias=True),
            base_dir=d.base_dir,
        )
        yield _resource(d, Ref("hook", name), spec, ("hooks", name))


def _expand(d: Desire, chain: Sequence[Any]) -> Iterator[Entry]:
    """Entries in order, named chains in their place."""
    return itertools.starmap(_typed, _links(d, chain))


def _links(d: Desire, chain: Sequence[Any]) -> Iterator[tuple[str, Options]]:
    """Types and options in order, named chains in their place. Names and circles were checked on load."""
    for link in chain:
        if not isinstance(link, str):
            yield link.type, link
        elif link in d.stack.middleware:
            yield from _links(d, d.stack.middleware[link])
        else:
            yield link, d.catalogue.middleware[link].options()


def _options(d: Desire, chain: Sequence[Any], route: Any) -> Iterator[Options]:
    """Of everything that a request of the route passes."""
    for _, options in (*_links(d, chain), *_links(d, route.chain)):
        yield options
    yield route.handler


def _directories(d: Desire, users: Iterable[Options]) -> dict[str, TenantsSpec]:
    """What these refer to in `tenants`, in the order of names."""
    found = {name for user in users for _, reference, name in references(user) if reference.section == "tenants"}
    return {name: _directory(d, d.stack.tenants[name]) for name in sorted(found)}


def _directory(d: Desire, entry: Any) -> TenantsSpec:
    options = entry.model_dump(mode="json", by_alias=True, exclude={"type"})
    return TenantsSpec(type=entry.type, options=options, base_dir=d.base_dir)


def _entry(link: Any) -> Entry:
    return _typed(link.type, link)


def _typed(name: str, options: Options) -> Entry:
    return Entry(type=name, options=options.model_dump(mode="json", by_alias=True, exclude={"type"}))


def _build(build: Callable[[], T], d: Desire, at: DocPath, problems: list[Problem]) -> T | None:
    """Call a plugin's `build`; what it raises becomes a problem at the entry."""
    path = ".".join(map(str, at))
    try:
        return build()
    except PermanentError as error:
        problems.append(Problem(d.mark(at), path, str(error)))
    except Exception as error:  # noqa: BLE001 - somebody else's code: named, and confined to its entry
        problems.append(Problem(d.mark(at), path, f"its plugin failed: {type(error).__name__}: {error}"))
    return None
