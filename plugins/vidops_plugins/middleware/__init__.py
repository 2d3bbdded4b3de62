"""Built-in middleware: the links of chains. The first of a chain is the outermost."""

from __future__ import annotations

from collections.abc import Sequence

from vidops.api import MiddlewareType, hookimpl


@hookimpl
def vidops_middleware() -> Sequence[MiddlewareType]:
    return ()
