"""XML-RPC over a unix socket, for the one server that speaks it to us: supervisord."""

from __future__ import annotations

import asyncio
import xmlrpc.client
from typing import Any
from xml.parsers.expat import ExpatError

from vidops.errors import TemporaryError

REPLY_LIMIT = 16 * 1024 * 1024
"""Bytes of an answer; the inventory of 10,000 programs is one of 1 MB."""


class Fault(TemporaryError):
    """supervisord said no; `code` is its fault code (`supervisor.xmlrpc.Faults`)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message, reason="SupervisorFault")
        self.code = code


async def call(path: str, method: str, *arguments: Any, timeout: float = 10.0) -> Any:
    """Call `method` on the server at the socket `path`; one connection a call, as the server is one loop.

    Raises `Fault` for its no, `TemporaryError` with reason `SupervisorDown` where nobody listens and
    `SupervisorBusy` where there was no answer in `timeout` seconds.
    """
    try:
        async with asyncio.timeout(timeout):
            reply = await _exchange(path, xmlrpc.client.dumps(arguments, method).encode())
    except TimeoutError:
        raise TemporaryError(
            f"supervisord did not answer {method} at {path} within {timeout:g}s", reason="SupervisorBusy"
        ) from None
    except (OSError, EOFError) as error:
        raise TemporaryError(f"no supervisord answers at {path}: {error}", reason="SupervisorDown") from None
    try:
        (value,), _ = xmlrpc.client.loads(reply)
    except xmlrpc.client.Fault as fault:
        raise Fault(fault.faultCode, fault.faultString.partition(": ")[2] or fault.faultString) from None
    except (ExpatError, xmlrpc.client.Error, ValueError, TypeError, LookupError) as error:
        raise TemporaryError(f"{path} answered {method} with nonsense: {error}", reason="SupervisorBusy") from None
    return value


async def _exchange(path: str, body: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path, limit=REPLY_LIMIT)
    try:
        # HTTP/1.0, so that the server closes behind its answer.
        head = (
            f"POST /RPC2 HTTP/1.0\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        status = await reader.readline()
        if b" 200 " not in status:
            raise EOFError(f"its HTTP answer was {status[:80]!r}")
        while (await reader.readline()).strip():
            pass
        reply = bytearray()
        while chunk := await reader.read(65536):
            reply += chunk
            if len(reply) > REPLY_LIMIT:
                raise EOFError("its answer is too long")
        return bytes(reply)
    except ValueError:
        raise EOFError("its HTTP head is too long") from None
    finally:
        writer.close()
