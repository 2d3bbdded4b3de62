"""Built-in handlers: what answers at the end of a route."""

from __future__ import annotations

from collections.abc import Sequence

from vidops.api import HandlerType, hookimpl
from vidops_plugins.handlers import respond


@hookimpl
def vidops_handlers() -> Sequence[HandlerType]:
    return (HandlerType("respond", respond.Respond, respond.build, summary="A fixed answer."),)
