"""The stack file's models: what every entry has, whatever its type. Plugins' options build on these.

The whole `Stack` model is made for a catalogue (see `stack.schema`), since every `type` comes from a plugin.
Defaults are written as the file would write them ("10s"), and are validated like anything else.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from vidops.resources.catalogue import Options, Reference
from vidops.resources.specs import SecretRef
from vidops.stack.policy import RetentionOptions, ScheduleOptions
from vidops.stack.scalars import Bind, DrainDuration, Duration, Name, PositiveDuration, RoutePath, VideoSize

CameraName = Annotated[str, Reference("devices")]


class Metadata(Options):
    """What a stack is called."""

    name: Name = "default"
    """The stack's name, shown in status and logs."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Free key-value pairs, carried into status."""


class StackSettings(Options):
    """Host settings that a stack may bring; flags and `VIDOPS_*` go before them."""

    data_dir: str | None = None
    """Where recordings are kept. Relative to the stack file."""


class Mode(Options):
    """What the camera is asked to deliver."""

    input_format: str | None = None
    """A V4L2 pixel format by FFmpeg's name, for example mjpeg or yuyv422."""
    video_size: VideoSize | None = None
    """WIDTHxHEIGHT in pixels."""
    framerate: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Frames a second."""


class OnDemandOptions(Options):
    """When a device that nobody watches is closed."""

    close_after: Duration = "10s"  # type: ignore[assignment]
    """How long after its last viewer the device stays open."""


class Device(Options):
    """A camera. Base of every source's options; the subclass narrows `source` to `Literal[<its name>]`."""

    source: str
    """Where the frames come from."""
    mode: Mode = Mode()
    always_on: bool = False
    """Keep the device open without viewers."""
    on_demand: OnDemandOptions = OnDemandOptions()
    start_timeout: PositiveDuration = "10s"  # type: ignore[assignment]
    """How long a start may take until its first frame."""
    stall_timeout: PositiveDuration = "5s"  # type: ignore[assignment]
    """How long frames may stay away before the source is started again."""


class Capture(Options):
    """A recording. The subclass narrows `type`."""

    type: str = "segments"
    device: CameraName | None = None
    """The camera to record."""
    devices: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """Cameras to record, as a glob over their names: "bench-*". Each has a recorder and limits of its own."""
    schedule: ScheduleOptions | list[ScheduleOptions] = Field(default_factory=list)
    """When it records: weekly windows. None given means always."""
    on_demand: bool = False
    """Record only after `vidops capture start` (or the API) asked for it, until it is asked to stop."""
    retention: RetentionOptions = RetentionOptions()
    """How long finished recordings are kept. None given means for ever."""
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    """Where the disk runs full, captures of a lower number stop first."""

    @model_validator(mode="after")
    def _of_one_or_of_several(self) -> Capture:
        if (self.device is None) == (self.devices is None):
            raise ValueError("say what is recorded: either device (one camera) or devices (a glob)")
        return self


Event = Literal["segment_create", "segment_complete", "camera_lost", "camera_found"]


class EventHook(Options):
    """Tells somebody of what happens. The subclass narrows `type`."""

    type: str
    on: Annotated[list[Event], Field(min_length=1)]
    """What is told of: a file begins or is finished, a camera is lost (unplugged, failing) or found again."""
    cameras: Annotated[str, Field(min_length=1, max_length=100)] = "*"
    """Of cameras whose names fit this glob."""
    captures: Annotated[str, Field(min_length=1, max_length=100)] = "*"
    """Of captures whose names fit this glob; a loss or a find of a camera has none."""
    timeout: PositiveDuration = "10s"  # type: ignore[assignment]
    """How long one try may take."""
    attempts: Annotated[int, Field(ge=1, le=100)] = 5
    """Tries of one event, with pauses that double from a second to a minute."""


class TenantDirectoryOptions(Options):
    """A directory of tenants. The subclass narrows `type`."""

    type: str


class Upload(Options):
    """Copies finished recordings elsewhere. The subclass narrows `type`."""

    type: str
    captures: Annotated[str, Field(min_length=1, max_length=100)] = "*"
    """Of captures whose names fit this glob. Their retention waits: what is not confirmed to be there stays here."""


class Node(Options):
    """A node of a loopback graph. The subclass narrows `type`; filters and sinks have `in`."""

    type: str


class Loopback(Options):
    """A graph that makes virtual cameras out of cameras; `nodes` is typed in the made model."""

    nodes: dict[Name, Any]


class Gateway(Options):
    """An HTTP server; `chain` and `routes` are typed in the made model."""

    bind: Bind | Annotated[list[Bind], Field(min_length=1)]
    """`host:port`, `[v6]:port`, `unix:/path` (for its group, or with the mode in `unix:/path?mode=0666`), or `fd://name`
    for a socket that systemd passes; one or several."""
    start_timeout: PositiveDuration = "15s"  # type: ignore[assignment]
    """How long it may take until it serves."""
    drain_timeout: DrainDuration = "10s"  # type: ignore[assignment]
    """How long running requests of a replaced route, or of a process that ends, may take to end: at most 5m. Where
    it becomes, or was, more than 23s, an edit starts the process anew; where all of vidops ends, they have half a
    minute at most."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that serve it, for more than one core. Each has connections, a cache and upstreams' health of its
    own."""


Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Route(Options):
    """A path and what answers there; `chain` and `handler` are typed in the made model."""

    path: RoutePath
    """`/exact`, `/one/*` (any one segment) or `/all/**` (everything below, and `/all` itself)."""
    methods: list[Method] = Field(default_factory=list)
    """Methods that the route answers; none given means all."""


class TLS(Options):
    """Serve HTTPS."""

    certfile: str
    """PEM file of the certificate chain."""
    keyfile: SecretRef
    """PEM file of the private key."""
    client_ca: str = ""
    """PEM file of the authorities that sign clients' certificates. Read anew with the certificate. Where it is another,
    connections made before serve no other request, and end after the `drain_timeout`."""
    client_auth: Literal["required", "optional"] | None = None
    """Whether a client without a certificate is refused in the handshake (the default with `client_ca`). Where it is
    optional, `client_certificate` in a chain asks for one."""
    http3: bool = False
    """Serve HTTP/3, too: by QUIC, on the UDP port of each `host:port` of `bind`. Needs `vidops[http3]`, and excludes
    `client_ca`."""

    @model_validator(mode="after")
    def _whole(self) -> TLS:
        if self.client_auth is not None and not self.client_ca:
            raise ValueError("client_auth needs client_ca: whose certificates are good?")
        if self.http3 and self.client_ca:
            raise ValueError(
                "http3 and client_ca exclude each other: over HTTP/3, clients' certificates can neither be asked for "
                "nor verified (aioquic has no means of it)"
            )
        return self


class StackBase(Options):
    """A vidops stack: the cameras of a host, who may see them, what is recorded, and which routes lead where."""

    apiVersion: Literal["vidops/v1"]
    """The version of this format."""
    metadata: Metadata = Metadata()
    include: list[str] = Field(default_factory=list)
    """Files to merge in, relative to this one. A name declared twice is an error."""
    settings: StackSettings = StackSettings()
