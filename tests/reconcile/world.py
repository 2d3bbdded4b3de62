"""A host of fakes, and resources to make real on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vidops.errors import TemporaryError
from vidops.reconcile.host import Host
from vidops.resources.layout import Layout
from vidops.resources.resource import JSON, Ref, Resource
from vidops.resources.specs import CaptureSpec, Entry, GatewaySpec, HubSpec, Program, RouteSpec, SourceSpec
from vidops.testing import FakeClock, FakeProcesses

LAYOUT = Layout("/run/x", "/state/x", "/data/x")


class MemoryFiles:
    """Files and programs in a dict."""

    def __init__(self) -> None:
        self.content: dict[str, Any] = {}

    def write(self, path: str, *content: Any) -> bool:
        changed = self.content.get(path) != content
        self.content[path] = content
        return changed

    def remove(self, path: str) -> None:
        self.content.pop(path, None)


class FakeHub:
    """The hub's control side; cameras are online at once, `failing` ones are not."""

    def __init__(self) -> None:
        self.cameras: dict[str, dict[str, Any]] = {}
        self.failing: dict[str, str] = {}
        self.away = False

    async def apply(self, camera: JSON) -> None:
        if self.away:
            raise TemporaryError("no hub answers", reason="HubDown")
        state = "Failed" if camera["name"] in self.failing else "Online"
        message = self.failing.get(camera["name"], "")
        self.cameras[camera["name"]] = {**camera, "state": state, "reason": state, "message": message}

    async def remove(self, name: str) -> None:
        self.cameras.pop(name, None)

    async def probe(self, name: str, timeout: float) -> None:
        if self.cameras[name]["state"] == "Failed":
            raise TemporaryError(self.failing[name], reason="Failed")

    async def status(self) -> JSON:
        if self.away:
            raise TemporaryError("no hub answers", reason="HubDown")
        return {"cameras": list(self.cameras.values())}

    def states(self) -> Mapping[str, Mapping[str, Any]]:
        return {} if self.away else self.cameras


class FakeGateways:
    """Gateways that serve what their file says, unless it is in `refusing` by fingerprint."""

    def __init__(self, files: MemoryFiles) -> None:
        self.files = files
        self.serving: dict[str, str] = {}
        self.refusing: set[str] = set()
        self.reloads = 0
        self.pids: dict[str, int] = {}
        """Of the processes that serve."""

    def started(self, program: str, pid: int) -> None:
        self.pids[program] = pid
        self.serving.pop(program.removeprefix("gateway."), None)

    async def __call__(self, gateway: str, request: JSON) -> JSON:
        import json

        (text,) = self.files.content[LAYOUT.gateway_file(gateway)]
        fingerprint = json.loads(text)["fingerprint"]
        if gateway not in self.serving:
            self.serving[gateway] = fingerprint
        if request["op"] == "reload":
            self.reloads += 1
            if fingerprint in self.refusing:
                return {"ok": False, "reason": "BadRoute", "error": "a route cannot be built"}
            self.serving[gateway] = fingerprint
        return {"ok": True, "fingerprint": self.serving[gateway], "pid": self.pids.get(f"gateway.{gateway}", 0)}


def make_host(clock: FakeClock, processes: FakeProcesses, **more: Any) -> Host:
    """A host whose every effect is in memory. Pids map to the fingerprints their programs were written with."""
    files = more.pop("files", MemoryFiles())
    programs = more.pop("programs", MemoryFiles())
    hub = more.pop("hub", FakeHub())
    gateways = more.pop("gateway", FakeGateways(files))
    started: dict[int, str] = {}

    def note(program: str, pid: int) -> None:
        gateways.started(program, pid)
        if program in programs.content:
            started[pid] = programs.content[program][1]

    processes.on_start = note
    return Host(
        layout=LAYOUT,
        clock=clock,
        processes=processes,
        programs=programs,
        files=files,
        hub=hub,
        gateway=gateways,
        cameras=hub.states,
        running_fingerprint=lambda pid: started.get(pid, ""),
        grown=more.pop("grown", lambda _: int(clock.time)),
        unkept=lambda _: "",
        probe=hub.probe,
        last_words=lambda _: "its last words",
    )


def hub(words: str = "hub") -> Resource:
    return Resource(Ref("hub", "hub"), HubSpec(program=Program(argv=(words,))))


def source(name: str = "cam", words: str = "ffmpeg", **fields: Any) -> Resource:
    spec = SourceSpec(camera=name, program=Program(argv=(words,)), **fields)
    return Resource(Ref("source", name), spec, (Ref("hub", "hub"),))


def capture(name: str = "archive", camera: str = "cam", words: str = "record", path: str = "%H") -> Resource:
    program = Program(argv=(words,))
    spec = CaptureSpec(camera=camera, program=program, spool=f"/spool/{name}", suffix=".mp4", path=path)
    return Resource(Ref("capture", name), spec, (Ref("hub", "hub"), Ref("source", camera)))


def gateway(name: str = "main", body: str = "hello", words: str = "gateway") -> Resource:
    route = RouteSpec(path="/", handler=Entry(type="respond", options={"body": body}))
    spec = GatewaySpec(program=Program(argv=(words,)), bind=("127.0.0.1:1",), routes=(route,))
    return Resource(Ref("gateway", name), spec, (Ref("hub", "hub"),))
