"""The whole stack model for a catalogue, and its JSON Schema. Every `type` in it comes from a plugin."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, create_model

from vidops.resources.catalogue import Catalogue, Options
from vidops.resources.specs import DEFAULT_SERVER
from vidops.stack.json_schema import publish
from vidops.stack.model import (
    TLS,
    Capture,
    Device,
    EventHook,
    Gateway,
    Loopback,
    Node,
    Route,
    StackBase,
    TenantDirectoryOptions,
    Upload,
)
from vidops.stack.scalars import Name
from vidops.stack.tagged import OrEmpty, Tagged

DEFAULT_CAPTURE = "segments"
_made: dict[int, tuple[weakref.ref[Catalogue], type[StackBase]]] = {}


def stack_model(catalogue: Catalogue) -> type[StackBase]:
    """The model; made once for each catalogue (some 10 ms) and kept as long as that lives."""
    known = _made.get(id(catalogue))
    if known is not None and known[0]() is catalogue:
        return known[1]
    model = _make(catalogue)
    key = id(catalogue)
    _made[key] = (weakref.ref(catalogue, lambda _: _made.pop(key, None)), model)
    return model


def json_schema(catalogue: Catalogue) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a stack file with every plugin's options in it."""
    return publish(stack_model(catalogue), "vidops stack")


def _make(catalogue: Catalogue) -> type[StackBase]:
    source = Tagged("source", "source", _Choices(catalogue.sources.values(), Device, "source"))
    captures = _Choices(catalogue.captures.values(), Capture, "type", DEFAULT_CAPTURE)
    capture = Tagged("type", "capture type", captures, DEFAULT_CAPTURE)
    node = Tagged("type", "node type", _Choices(catalogue.nodes.values(), Node, "type"))
    upload = Tagged("type", "upload", _Choices(catalogue.uploads.values(), Upload, "type"))
    hook = Tagged("type", "hook", _Choices(catalogue.hooks.values(), EventHook, "type"))
    tenants = _Choices(catalogue.tenants.values(), TenantDirectoryOptions, "type")
    directory = Tagged("type", "directory of tenants", tenants)
    links = _Choices(catalogue.middleware.values(), Options, "type")
    link = Tagged("type", "middleware", links, names=True, known=tuple(links))
    handler = Tagged("type", "handler", _Choices(catalogue.handlers.values(), Options, "type"))
    server = Tagged("type", "server", _Choices(catalogue.servers.values(), Options, "type"))

    chain: Any = (list[Annotated[Any, link]], Field(default_factory=list, description=_CHAIN))
    loopback = create_model(
        "Loopback",
        __base__=Loopback,
        __doc__="A graph that makes virtual cameras out of cameras.",
        nodes=(
            dict[Name, Annotated[Any, node]],
            Field(description="By name; filters and sinks say whose frames they take."),
        ),
    )
    route = create_model(
        "Route",
        __base__=Route,
        __doc__="A path and what answers there.",
        chain=chain,
        handler=(Annotated[Any, handler], Field(description="What answers.")),
    )
    gateway = create_model(
        "Gateway",
        __base__=Gateway,
        __doc__="An HTTP server.",
        chain=chain,
        tls=(TLS | None, Field(None, description="Serve HTTPS.")),
        server=(Annotated[Any, server], _SERVER),
        routes=(list[route], Field(description="The first that fits a request answers it.")),
    )
    return create_model(
        "Stack",
        __base__=StackBase,
        __doc__=StackBase.__doc__,
        devices=_section(Annotated[Any, source], "Cameras, by the name that everything else calls them."),
        captures=_section(Annotated[Any, capture], "What is recorded."),
        loopbacks=_section(loopback, "Graphs that make virtual cameras out of cameras."),
        middleware=_section(list[Annotated[Any, link]], "Named chains. The order in the list is that of the request."),
        gateways=_section(gateway, "HTTP servers."),
        tenants=_section(Annotated[Any, directory], "Directories of tenants, and whose cameras are whose."),
        hooks=_section(Annotated[Any, hook], "Who is told of what happens."),
        uploads=_section(Annotated[Any, upload], "Where finished recordings are copied to."),
    )


_CHAIN = "What a request passes, in order: named chains, middleware types with default options, or entries."
# Where nothing is said, nothing is validated either: a catalogue need not have any.
_SERVER = Field(
    None,
    description="What speaks HTTP with clients, Hypercorn where nothing is said. After an edit, another one serves "
    "new connections; those established go on.",
    validate_default=False,
    json_schema_extra={"default": {"type": DEFAULT_SERVER}},
)


def _section(entry: Any, description: str) -> tuple[Any, Any]:
    return Annotated[dict[Name, entry], OrEmpty()], Field(default_factory=dict, description=description)


class _Choices(Mapping[str, type[BaseModel]]):
    """The options class of each type, with `key` narrowed to the type's name; made when it is first asked for.

    A class takes milliseconds, and a stack uses few of them. One that is no subclass of `base` is left out: what
    names it is an error then, and nothing else.
    """

    def __init__(self, types: Iterable[Any], base: type[Options], key: str, default: str = "") -> None:
        self._kinds = {t.name: t for t in types if isinstance(t.options, type) and issubclass(t.options, base)}
        self._key = key
        self._default = default
        self._made: dict[str, type[BaseModel]] = {}

    def __getitem__(self, name: str) -> type[BaseModel]:
        if name not in self._made:
            self._made[name] = _narrowed(self._kinds[name], self._key, default=self._default)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)


def _narrowed(kind: Any, key: str, *, default: str) -> type[BaseModel]:
    options: type[BaseModel] = kind.options
    literal: Any = Literal[kind.name]
    if key in options.model_fields and options.model_fields[key].annotation == literal:
        return options
    fields: dict[str, Any] = {key: (literal, kind.name if kind.name == default else ...)}
    return create_model(options.__name__, __base__=options, __doc__=options.__doc__ or kind.summary, **fields)
