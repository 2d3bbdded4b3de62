"""Modules of users' applications, from a directory of each: two may have modules of the same name, and each its own.

A directory whose modules are called like no others is put on the path, and is imported from as ever. One that has a
name which is taken gets a package of its own in `sys.modules` instead. Its modules' import statements, whenever they
run, are led to it by the `__import__` among their builtins; only what imports by text (`importlib.import_module`) has
to give names relative to `__package__`.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

SUFFIXES = (*EXTENSION_SUFFIXES, ".py")
_on_path: set[str] = set()
_apart: dict[str, _Apart] = {}
"""By the name of the package that such a directory is."""


def import_from(name: str, directory: str) -> ModuleType:
    """The module of that name that is in the directory; one that is installed, where there is none."""
    directory = os.path.realpath(directory)
    package = f"vidops_app_{hashlib.sha256(directory.encode()).hexdigest()[:12]}"
    names = _names(directory)
    if package not in _apart and (_is_on_path(directory) or not _taken(names, directory)):
        if not _is_on_path(directory):
            _on_path.add(directory)
            sys.path.insert(0, directory)
        importlib.invalidate_caches()
        return importlib.import_module(name)
    apart = _apart.get(package) or _Apart(package, directory)
    apart.names = names
    importlib.invalidate_caches()
    return importlib.import_module(f"{package}.{name}" if name.partition(".")[0] in names else name)


def _names(directory: str) -> frozenset[str]:
    """What can be imported from a directory. Others than packages are folders only where there is code in them."""
    found = set()
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir():
                    if _has_code(entry.path):
                        found.add(entry.name)
                else:
                    found.update(entry.name.removesuffix(s) for s in SUFFIXES if entry.name.endswith(s))
    except OSError:
        return frozenset()
    return frozenset(name for name in found if name.isidentifier())


def _has_code(folder: str) -> bool:
    try:
        return any(name.endswith(SUFFIXES) for name in os.listdir(folder))
    except OSError:
        return False


def _is_on_path(directory: str) -> bool:
    return directory in _on_path and directory in sys.path


def _taken(names: frozenset[str], directory: str) -> bool:
    if any(names & _names(other) for other in _on_path if other in sys.path):
        return True
    return any(name in sys.modules and not _is_below(sys.modules[name], directory) for name in names)


def _is_below(module: ModuleType, directory: str) -> bool:
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(place and os.path.realpath(place).startswith(directory + os.sep) for place in places)


class _Apart:
    """A directory as a package of its own."""

    def __init__(self, package: str, directory: str) -> None:
        self.package = package
        self.names: frozenset[str] = frozenset()
        self.builtins = {**vars(builtins), "__import__": self._import}
        module = ModuleType(package)
        module.__path__ = [directory]
        sys.modules[package] = module
        _apart[package] = self
        if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or top not in self.names:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        full = f"{self.package}.{name}"
        if fromlist:
            return builtins.__import__(full, globals, locals, fromlist)
        # `import a.b` binds a.
        importlib.import_module(full)
        return sys.modules[f"{self.package}.{top}"]


class _Finder(MetaPathFinder):
    """Finds what is in such packages, as usual but for the builtins."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        apart = _apart.get(fullname.partition(".")[0])
        if apart is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(apart, spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, apart: _Apart, name: str, path: str) -> None:
        super().__init__(name, path)
        self._apart = apart

    def exec_module(self, module: ModuleType) -> None:
        space: dict[str, Any] = vars(module)
        space["__builtins__"] = self._apart.builtins
        super().exec_module(module)
