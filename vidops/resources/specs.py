"""The specs of the built-in kinds: what matters to each running thing, and what changing it costs.

Everything in here is data that has a JSON form; secrets appear as references only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from vidops.resources.impact import Impact
from vidops.resources.resource import JSON, Spec
from vidops.resources.restart import RestartPolicy
from vidops.resources.schedule import Window

PYTHON = "@python@"
FFMPEG = "@ffmpeg@"
"""First words of an argv that the runtime replaces by the interpreter and the FFmpeg of this host, so that a
plan does not depend on where they are."""

RUN_ID = "@run@"
"""Replaced in every argument by something unique to this one start of the process (its PID and start time)."""


class SecretRef(Spec):
    """Where a secret is: exactly one of an environment variable, a file, a systemd credential."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": [name], "properties": {name: {"type": "string", "minLength": 1}}}
                for name in ("env", "file", "credential")
            ]
        },
    )

    env: str | None = Field(None, description="Name of an environment variable.")
    file: str | None = Field(None, description="Path of a file; a final newline is not part of the secret.")
    credential: str | None = Field(None, description="Name of a systemd credential (`LoadCredential=`).")

    @model_validator(mode="after")
    def _one_of_three(self) -> SecretRef:
        if sum(bool(place) for place in (self.env, self.file, self.credential)) != 1:
            raise ValueError("a secret has exactly one of env, file, credential: {env: NAME}, {file: PATH}")
        return self


SECRET_INPUT = "@secret_input@"  # noqa: S105 - a placeholder
"""Replaced in every argument by the path of the program's `secret_input`, for as long as it runs."""


class SecretInput(Spec):
    """A text that only the program reads: the exec shim makes it in memory, and hands over a descriptor.

    `@secret:NAME@` in `text` stands for the secret NAME of `values`, percent-encoded (RFC 3986), as URLs need it. What
    the program prints is cleared of these secrets.
    """

    text: str
    values: dict[str, SecretRef]


class Program(Spec):
    """A process, as the exec shim starts it. Times in seconds."""

    argv: tuple[str, ...]
    env: dict[str, str] = Field(default_factory=dict)
    secret_env: dict[str, SecretRef] = Field(default_factory=dict)
    secret_input: SecretInput | None = None
    directories: tuple[str, ...] = ()
    """Made (0700) before the start."""
    loopback_device: str = ""
    """A v4l2loopback node that this program writes to: it is made ready for a writer before the start."""
    stop_signal: str = "TERM"
    stop_timeout: float = 10.0


class HubSpec(Spec):
    """The one hub of a host."""

    program: Program


class OnDemand(Spec):
    """Seconds: how long after its last consumer a source closes."""

    close_after: float = 10.0


class SourceSpec(Spec):
    """A camera: the one program that opens the device and delivers frames to the hub.

    `program` None: `reason` says why in a word (DeviceMissing, DeviceTaken, ModeUnsupported), `missing` in a sentence.
    `device`: the node that is opened, whose `controls` are set. `size`: WIDTHxHEIGHT that frames must have.
    `on_demand` None: always on. `description` is what `/v1/devices` tells of it (facts, mode).
    """

    camera: str
    program: Program | None
    missing: Annotated[str, Impact.LIVE] = ""
    reason: Annotated[str, Impact.LIVE] = "DeviceMissing"
    device: Annotated[str, Impact.LIVE] = ""
    size: Annotated[str, Impact.LIVE] = ""
    controls: Annotated[dict[str, bool | int | str], Impact.LIVE] = Field(default_factory=dict)
    on_demand: Annotated[OnDemand | None, Impact.LIVE] = None
    start_timeout: Annotated[float, Impact.LIVE] = 10.0
    stall_timeout: Annotated[float, Impact.LIVE] = 5.0
    restart: Annotated[RestartPolicy, Impact.LIVE] = RestartPolicy()
    description: Annotated[JSON, Impact.LIVE] = Field(default_factory=dict)


class Retention(Spec):
    """How long finished recordings of a capture are kept; None: no limit. Seconds and bytes.

    `min_free`: what the file system shall have left; the oldest footage of all captures that ask for it goes first.
    """

    max_age: float | None = None
    max_size: int | None = None
    min_free: int | None = None


class CaptureSpec(Spec):
    """A recorder: reads every frame of `camera` from the hub, writes segments into its spool.

    Files appear in the spool as `<seconds since 1970>-<RUN_ID><suffix>`; when one is finished, the keeper moves
    it to `path` (strftime and `{device}`, `{capture}`; no suffix) below the data directory and indexes it.
    """

    camera: str
    program: Program
    spool: str
    suffix: str
    path: Annotated[str, Impact.LIVE]
    utc: Annotated[bool, Impact.LIVE] = False
    stall_timeout: Annotated[float, Impact.LIVE] = 15.0
    sparse: str = ""
    """Why there is nothing to record for long times, where that is how it should be: "NoMotion". Empty for what
    records every frame, and is stalled when it does not."""
    realtime: bool = True
    """Whether a second of a file is a second of time."""
    restart: Annotated[RestartPolicy, Impact.LIVE] = RestartPolicy()
    retention: Annotated[Retention, Impact.LIVE] = Retention()
    schedule: Annotated[tuple[Window, ...], Impact.LIVE] = ()
    """When it records; empty: always."""
    on_demand: Annotated[bool, Impact.LIVE] = False
    """Whether it records only after it was asked to, until it is asked to stop."""
    uploads: Annotated[tuple[str, ...], Impact.LIVE] = ()
    """Uploads that have to confirm a recording before retention removes it."""
    priority: Annotated[int, Impact.LIVE] = 0
    """Where the disk runs full, captures of a lower number stop first."""


class LoopbackSpec(Spec):
    """A node of a loopback graph that is a process of its own (a v4l2loopback writer)."""

    program: Program
    camera: str
    stall_timeout: Annotated[float, Impact.LIVE] = 15.0
    restart: Annotated[RestartPolicy, Impact.LIVE] = RestartPolicy()


DEFAULT_SERVER = "hypercorn"


class Entry(Spec):
    """A middleware, a handler or a server by type, with its options' JSON form (defaults written out)."""

    type: str
    options: JSON = Field(default_factory=dict)


class TenantsSpec(Spec):
    """A directory of tenants, as its type builds it."""

    type: str
    options: JSON = Field(default_factory=dict)
    base_dir: str = ""


class RouteSpec(Spec):
    """`chain` is that of the gateway followed by that of the route, named chains expanded. `tenants`: the directories
    that an entry of these refers to, so that an edit of one makes the routes anew that use it, and no others.
    `base_dir`: the stack file's directory, which relative paths start from."""

    path: str
    base_dir: str = ""
    methods: tuple[str, ...] = ()
    chain: tuple[Entry, ...] = ()
    handler: Entry
    tenants: dict[str, TenantsSpec] = Field(default_factory=dict)


AFTER_DRAIN = 6.5
"""Seconds that the end of a gateway's process may take besides the drain of its requests."""


class TLSSpec(Spec):
    """`client_ca`: the PEM file of the authorities whose certificates clients show; empty: none is asked for. `http3`:
    QUIC on the UDP port beside each TCP port."""

    certfile: str
    keyfile: SecretRef
    client_ca: str = ""
    client_auth: Literal["required", "optional"] = "required"
    http3: bool = False


class GatewaySpec(Spec):
    """An HTTP server. Everything but its program is taken over by the running process as a new generation."""

    program: Program
    bind: Annotated[tuple[str, ...], Impact.RELOAD]
    tls: Annotated[TLSSpec | None, Impact.RELOAD] = None
    server: Annotated[Entry, Impact.RELOAD] = Entry(type=DEFAULT_SERVER)
    """What new connections are served by; those established stay with theirs."""
    routes: Annotated[tuple[RouteSpec, ...], Impact.RELOAD] = ()
    workers: Annotated[int, Impact.LIVE] = 1
    """Processes that serve it; all but the first are resources of their own, named `<gateway>.2` and so on."""
    drain_timeout: Annotated[float, Impact.LIVE] = 10.0
    start_timeout: Annotated[float, Impact.NONE] = 15.0
    restart: Annotated[RestartPolicy, Impact.LIVE] = RestartPolicy()


class UploadSpec(Spec):
    """A process that copies finished recordings elsewhere."""

    program: Program
    restart: Annotated[RestartPolicy, Impact.LIVE] = RestartPolicy()


class HookSpec(Spec):
    """Who is told of what happens, by the control plane itself: it has no process. `timeout`: seconds."""

    type: Annotated[str, Impact.LIVE]
    on: Annotated[tuple[str, ...], Impact.LIVE]
    cameras: Annotated[str, Impact.LIVE] = "*"
    captures: Annotated[str, Impact.LIVE] = "*"
    timeout: Annotated[float, Impact.LIVE] = 10.0
    attempts: Annotated[int, Impact.LIVE] = 5
    options: Annotated[JSON, Impact.LIVE] = Field(default_factory=dict)
    base_dir: Annotated[str, Impact.LIVE] = ""


Handover = Literal["exclusive", "overlap"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What the planner knows of a kind.

    `wave`: created in this order and deleted in the reverse, within what dependencies leave open.
    `handover`: exclusive (stop, wait until released, start) or overlap (new ready before the old leaves).
    """

    name: str
    spec: type[Spec]
    wave: int
    handover: Handover


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(name="hub", spec=HubSpec, wave=0, handover="exclusive"),
        Kind(name="source", spec=SourceSpec, wave=1, handover="exclusive"),
        Kind(name="loopback", spec=LoopbackSpec, wave=2, handover="exclusive"),
        Kind(name="capture", spec=CaptureSpec, wave=3, handover="exclusive"),
        Kind(name="gateway", spec=GatewaySpec, wave=4, handover="overlap"),
        Kind(name="upload", spec=UploadSpec, wave=4, handover="exclusive"),
        Kind(name="hook", spec=HookSpec, wave=4, handover="exclusive"),
    )
}


def program_of(data: dict[str, Any]) -> Program | None:
    """The program in a spec's JSON form, where it has one."""
    raw = data.get("program")
    return Program.model_validate(raw) if raw is not None else None
