"""What commands that read a stack file themselves share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from vidops.app.settings import Settings
from vidops.reconcile.compiler import Compiled, Compiler
from vidops.resources.layout import Layout
from vidops.runtime.plugins import PluginSources, load_catalogue
from vidops.runtime.state import State
from vidops.stack.load import read_file


def plugin_sources(settings: Settings) -> PluginSources:
    return PluginSources(tuple(os.path.abspath(d) for d in settings.plugins_dir), tuple(settings.blocked_plugins))


def compile_stack(settings: Settings, path: str, devices: Any = ()) -> Compiled:
    """Raises `StackError` with all problems."""
    sources = plugin_sources(settings)
    compiler = Compiler(load_catalogue(sources), dict(os.environ), settings.layout, sources.to_json())
    return compiler.compile(os.path.abspath(path), read_file, devices)


@contextlib.contextmanager
def state_of(layout: Layout) -> Iterator[State | None]:
    """This host's memory; None where nothing was ever applied here (it is not made for a look)."""
    if not os.path.exists(layout.database):
        yield None
        return
    state = State(layout)
    try:
        yield state
    finally:
        state.close()
