"""`type: command`: a command of the user's, with the event as JSON on its standard input."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from vidops.api import Deliver, EventHook, EventHookContext, PermanentError, TemporaryError

OUTPUT = 4096
"""Bytes of what a failing command said that are shown."""


class Command(EventHook):
    """Runs a command. Exit status 0 is delivered; others are tried again, 64 to 78 (sysexits) but 75 are not."""

    type: Literal["command"]
    command: Annotated[list[str], Field(min_length=1)]
    """The program and its arguments; no shell. It runs in the stack file's directory, and gets VIDOPS_EVENT,
    VIDOPS_CAMERA, VIDOPS_CAPTURE and VIDOPS_FILE besides its input."""


def build(options: Command, context: EventHookContext) -> Deliver:
    async def deliver(event: Mapping[str, Any]) -> None:
        named = {f"VIDOPS_{name.upper()}": str(event.get(name, "")) for name in ("event", "camera", "capture", "file")}
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *options.command,
                cwd=context.base_dir or None,
                env={**os.environ, **named},
                stdin=pipe,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=pipe,
                start_new_session=True,
            )
        except (FileNotFoundError, PermissionError) as error:
            raise PermanentError(f"{options.command[0]}: {error.strerror}", reason="NoCommand") from None
        try:
            _, said = await process.communicate(json.dumps(dict(event)).encode() + b"\n")
        finally:
            if process.returncode is None:
                # Its children, too: whatever it began ends with the try.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        code = process.returncode or 0
        if code:
            text = said[-OUTPUT:].decode(errors="replace").strip()
            kind = PermanentError if code in range(64, 79) and code != os.EX_TEMPFAIL else TemporaryError
            raise kind(f"exit status {code}{': ' + text if text else ''}", reason="CommandFailed")

    return deliver
