"""The control API: Quart on Hypercorn, on a unix socket that only its owner can open.

    GET  /v1/status                        what is, on both axes, with every resource
    GET  /v1/devices                       every video device: whose it is, and why not another's
    GET  /v1/recordings?camera=&limit=     the index of segments
    GET  /v1/captures                      what records, and why the rest does not
    POST /v1/recordings/keep   {path, kept}, /v1/recordings/delete {path}
    POST /v1/recordings/forget-disk {}     record without the disk that was mounted and is gone
    POST /v1/captures/<name>/start, /stop  have one that records on demand record, or stop
    POST /v1/plan   {path}                 what an apply would do
    POST /v1/apply  {path, wait, timeout}  take a file over; 422 for a bad file, 409 where it failed and was undone
    POST /v1/stop   {}                     end everything

Errors are problem+json (RFC 9457); a stack file's problems are in its `problems` member.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework
from quart import Quart, request
from quart.typing import ResponseReturnValue

from vidops.control.problems import to_json
from vidops.errors import StackError, VidopsError

MAX_BODY = 64 * 1024
MAX_WAIT = 3600.0
UNKNOWN = ("UnknownCapture", "NoRecording")


class Desk(Protocol):
    """Captures and recordings, as people turn, keep and delete them."""

    def rows(self) -> Sequence[Mapping[str, Any]]: ...
    async def ask(self, name: str, on: bool) -> None: ...
    async def keep(self, path: str, kept: bool) -> None: ...
    async def delete(self, path: str) -> None: ...
    async def forget_disk(self) -> None: ...


class Control(Protocol):
    """What the API asks of the control plane."""

    def report(self) -> Mapping[str, Any]: ...
    def devices(self) -> Mapping[str, Any]: ...
    async def plan(self, path: str) -> Mapping[str, Any]: ...
    async def apply(self, path: str) -> Mapping[str, Any]: ...
    async def healthy(self, timeout: float) -> bool:
        """Wait until everything is `Synced` and `Healthy`; whether it came about within `timeout` seconds."""

    async def recordings(self, camera: str, limit: int) -> Sequence[Mapping[str, Any]]: ...
    @property
    def desk(self) -> Desk: ...
    def stop(self) -> None: ...


class BadRequestError(VidopsError):
    """The request itself is wrong."""


def build(control: Control) -> Quart:
    """The application. Stateless: everything is the control plane's."""
    app = Quart("vidops.control")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.config["BODY_TIMEOUT"] = 10
    app.config["RESPONSE_TIMEOUT"] = None  # an apply takes as long as its gates

    @app.get("/v1/status")
    async def status() -> ResponseReturnValue:
        return dict(control.report())

    @app.get("/v1/devices")
    async def devices() -> ResponseReturnValue:
        return dict(control.devices())

    @app.get("/v1/recordings")
    async def recordings() -> ResponseReturnValue:
        try:
            limit = min(max(0, int(request.args.get("limit", "100"))), 10_000)
        except ValueError:
            raise BadRequestError("limit is not a number") from None
        rows = await control.recordings(request.args.get("camera", ""), limit)
        return {"recordings": [dict(r) for r in rows]}

    @app.post("/v1/recordings/<any(keep, delete):action>")
    async def change_recording(action: str) -> ResponseReturnValue:
        body = await _body()
        path, kept = body.get("path"), body.get("kept", True)
        if not isinstance(path, str) or not isinstance(kept, bool):
            raise BadRequestError("path must be a recording's path, kept a boolean")
        await (control.desk.keep(path, kept) if action == "keep" else control.desk.delete(path))
        return {"path": path}

    @app.post("/v1/recordings/forget-disk")
    async def forget_disk() -> ResponseReturnValue:
        await _body()
        await control.desk.forget_disk()
        return {}

    @app.get("/v1/captures")
    async def captures() -> ResponseReturnValue:
        return {"captures": [dict(row) for row in control.desk.rows()]}

    @app.post("/v1/captures/<name>/<any(start, stop):action>")
    async def ask_capture(name: str, action: str) -> ResponseReturnValue:
        # Read to its end: who answers before that and closes breaks the asker's pipe.
        await _body()
        await control.desk.ask(name, action == "start")
        return {"captures": [dict(row) for row in control.desk.rows() if name in (row["name"], row["entry"])]}

    @app.post("/v1/plan")
    async def plan() -> ResponseReturnValue:
        return dict(await control.plan(_path(await _body())))

    @app.post("/v1/apply")
    async def apply() -> ResponseReturnValue:
        body = await _body()
        path, seconds = _path(body), _seconds(body)
        answer = dict(await control.apply(path))
        if body.get("wait"):
            answer["healthy"] = await control.healthy(seconds)
            answer["status"] = dict(control.report())
        return answer

    @app.post("/v1/stop")
    async def stop() -> ResponseReturnValue:
        control.stop()
        return {"stopping": True}

    @app.errorhandler(StackError)
    async def bad_stack(error: StackError) -> ResponseReturnValue:
        return problem(422, "The stack file has errors", str(error), problems=[to_json(p) for p in error.problems])

    @app.errorhandler(BadRequestError)
    async def bad_request(error: BadRequestError) -> ResponseReturnValue:
        return problem(400, "Bad request", str(error))

    @app.errorhandler(VidopsError)
    async def failed(error: VidopsError) -> ResponseReturnValue:
        reason = getattr(error, "reason", "")
        return problem(404 if reason in UNKNOWN else 409, "Not done", str(error), reason=reason)

    @app.errorhandler(404)
    async def unknown(_: Exception) -> ResponseReturnValue:
        return problem(404, "No such resource", f"there is no {request.path}")

    return app


async def _body() -> dict[str, Any]:
    data = await request.get_json(silent=True)
    if not isinstance(data, dict):
        raise BadRequestError("the body is not a JSON object")
    return data


def _path(body: Mapping[str, Any]) -> str:
    path = body.get("path")
    if not isinstance(path, str) or not os.path.isabs(path):
        raise BadRequestError("path must be the absolute path of a stack file")
    return path


def _seconds(body: Mapping[str, Any]) -> float:
    timeout = body.get("timeout", 60.0)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= MAX_WAIT:
        raise BadRequestError(f"timeout must be seconds, more than 0 and at most {MAX_WAIT:g}")
    return float(timeout)


def problem(status: int, title: str, detail: str, **more: Any) -> ResponseReturnValue:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return body, status, {"Content-Type": "application/problem+json"}


async def serve_control(
    app: Quart, path: str, stopping: Callable[[], Awaitable[object]], listening: Callable[[], None]
) -> None:
    """Serve at the unix socket `path` (0600) until `stopping` returns. `listening` is called once it can be used."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(mask)
    listener.listen(64)
    listening()
    config = Config()
    # Hypercorn closes the descriptor that it is given.
    config.bind = [f"fd://{os.dup(listener.fileno())}"]
    config.accesslog = None
    config.errorlog = "-"
    config.graceful_timeout = 2.0
    config.include_server_header = False
    config.loglevel = "WARNING"
    try:
        asgi: ASGIFramework = app
        await serve(asgi, config, shutdown_trigger=stopping)
    finally:
        listener.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
