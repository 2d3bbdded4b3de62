"""Plugins: found by entry point or as single files, loaded one by one, each failure kept to its own plugin."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from vidops import hookspecs
from vidops.resources.catalogue import Catalogue, PluginInfo, PluginType
from vidops.resources.resource import JSON

HOOKS = (
    "vidops_scanners",
    "vidops_sources",
    "vidops_captures",
    "vidops_loopback_nodes",
    "vidops_middleware",
    "vidops_handlers",
    "vidops_servers",
    "vidops_event_hooks",
    "vidops_uploads",
    "vidops_tenants",
)


@dataclass(frozen=True, slots=True)
class PluginSources:
    """Where plugins come from besides entry points, and which names are not loaded."""

    directories: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()

    def to_json(self) -> JSON:
        return {"directories": list(self.directories), "blocked": list(self.blocked)}

    @classmethod
    def from_json(cls, data: JSON) -> PluginSources:
        return cls(tuple(data.get("directories", ())), tuple(data.get("blocked", ())))


@dataclass(frozen=True, slots=True)
class _Found:
    """A plugin before it is imported."""

    name: str
    version: str
    origin: str
    load: Callable[[], Any]


def load_catalogue(sources: PluginSources | JSON | None = None) -> Catalogue:
    """Import every plugin and collect what it registers. Never raises for a plugin: see `Catalogue.broken`."""
    where = sources if isinstance(sources, PluginSources) else PluginSources.from_json(sources or {})
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    types: dict[tuple[type, str], tuple[PluginType, str]] = {}
    infos: list[PluginInfo] = []
    for found in _find(where):
        if found.name in where.blocked:
            infos.append(PluginInfo(found.name, found.version, found.origin, error="blocked by configuration"))
            continue
        try:
            registered = _register(manager, found)
            _refuse_doubles(registered, types)
        except Exception as error:  # noqa: BLE001 - somebody else's code: named, and confined to its plugin
            text = f"{type(error).__name__}: {error}"
            infos.append(PluginInfo(found.name, found.version, found.origin, error=text))
            continue
        for item in registered:
            types[type(item), item.name] = (item, found.name)
        names = tuple(f"{_word(item)}:{item.name}" for item in registered)
        infos.append(PluginInfo(found.name, found.version, found.origin, registers=names))
    return Catalogue.of((item for item, _ in types.values()), infos)


def _find(where: PluginSources) -> Iterator[_Found]:
    for point in sorted(entry_points(group=hookspecs.PROJECT), key=lambda p: (p.name, p.value)):
        distribution = point.dist.name if point.dist else "?"
        # Our own are called by what they hold; others by their distribution, which nobody else can have.
        name = point.name if distribution == "vidops" else f"{distribution}:{point.name}"
        yield _Found(name, point.dist.version if point.dist else "", point.value, _entry_loader(point))
    for directory in where.directories:
        for file in sorted(Path(directory).glob("*.py")):
            yield _Found(file.stem, "", str(file), _file_loader(file))


def _entry_loader(point: EntryPoint) -> Callable[[], Any]:
    return point.load


def _file_loader(file: Path) -> Callable[[], ModuleType]:
    def load() -> ModuleType:
        name = f"vidops_plugin_{file.stem}"
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise ImportError(f"not a Python file: {file}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses and pydantic look their module up
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    return load


def _register(manager: pluggy.PluginManager, found: _Found) -> Sequence[PluginType]:
    """Import one plugin and ask each of its hooks; a hook that is not ours is an error (a misspelt name)."""
    plugin = found.load()
    manager.register(plugin, found.name)
    try:
        manager.check_pending()
        registered: list[PluginType] = []
        for hook in HOOKS:
            caller = getattr(manager.hook, hook)
            for implementation in caller.get_hookimpls():
                if implementation.plugin is plugin:
                    registered.extend(implementation.function())
        for item in registered:
            if type(item) not in Catalogue.SECTIONS.values():
                raise TypeError(f"{item!r} is not a type that vidops knows")
    except Exception:
        manager.unregister(plugin)
        raise
    return registered


def _refuse_doubles(registered: Sequence[PluginType], types: dict[tuple[type, str], tuple[PluginType, str]]) -> None:
    seen: set[tuple[type, str]] = set()
    for item in registered:
        key = (type(item), item.name)
        if key in types:
            raise ValueError(f"{_word(item)} {item.name!r} is already registered by plugin {types[key][1]!r}")
        if key in seen:
            raise ValueError(f"{_word(item)} {item.name!r} is registered twice")
        seen.add(key)


def _word(item: PluginType) -> str:
    return next(word for word, kind in Catalogue.SECTIONS.items() if kind is type(item))
