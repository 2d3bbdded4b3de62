"""A gateway's control socket, as others ask it: one JSON line there, one back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from vidops.errors import TemporaryError
from vidops.resources.layout import Layout

ANSWER_LIMIT = 1 << 20
TIMEOUT = 20.0
"""Seconds; a reload answers when its new routes have started."""


async def request(layout: Layout, gateway: str, message: Mapping[str, Any], timeout: float = TIMEOUT) -> dict[str, Any]:
    """Ask `gateway`. A no is an answer, too: {"ok": false, "reason", "error"}. Raises `TemporaryError` for none."""
    path = layout.gateway_socket(gateway)
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER_LIMIT)
            try:
                writer.write(json.dumps(message).encode() + b"\n")
                answer = json.loads(await reader.readline())
            finally:
                writer.close()
    except TimeoutError:
        said = f"the gateway {gateway} did not answer within {timeout:g}s"
        raise TemporaryError(said, reason="GatewayBusy") from None
    except (OSError, ValueError) as error:
        raise TemporaryError(f"no gateway answers at {path}: {error}", reason="GatewayDown") from None
    if not isinstance(answer, dict):
        raise TemporaryError(f"the gateway {gateway} answered with nonsense", reason="GatewayBusy")
    return answer
