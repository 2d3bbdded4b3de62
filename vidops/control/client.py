"""The control API's client: HTTP over the unix socket with the standard library alone, as the CLI starts fast."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any

from vidops.errors import VidopsError


class NotRunningError(VidopsError):
    """No control plane answers at its socket."""


class ControlError(VidopsError):
    """The control plane said no. `problem` is its answer (RFC 9457), `status` its HTTP code."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title") or f"HTTP {status}"))
        self.status = status
        self.problem = problem


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class ControlClient:
    """Blocking. `socket_path` is `Layout.control_socket`."""

    def __init__(self, socket_path: str) -> None:
        self.socket_path = socket_path

    def get(self, path: str, *, timeout: float = 10.0) -> Any:
        return self._exchange("GET", path, None, timeout)

    def post(self, path: str, body: Mapping[str, Any], *, timeout: float = 120.0) -> Any:
        return self._exchange("POST", path, body, timeout)

    def _exchange(self, method: str, path: str, body: Mapping[str, Any] | None, timeout: float) -> Any:
        """Raises `NotRunningError` where nobody answers, `ControlError` for an answer that is an error."""
        connection = _UnixConnection(self.socket_path, timeout)
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"} if data is not None else {}
        try:
            # Who refuses a body may have answered and gone before all of it was sent.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, data, headers)
            response = connection.getresponse()
            content = response.read()
        except TimeoutError:
            raise ControlError(504, {"title": f"the control plane did not answer within {timeout:g}s"}) from None
        except (OSError, http.client.HTTPException) as error:
            raise NotRunningError(
                f"no control plane answers at {self.socket_path} ({error}): start one with `vidops run FILE`"
            ) from None
        finally:
            connection.close()
        try:
            answer = json.loads(content) if content else {}
        except ValueError:
            answer = {"title": content.decode("utf-8", "replace")[:200]}
        if response.status >= 400:
            raise ControlError(response.status, answer)
        return answer
