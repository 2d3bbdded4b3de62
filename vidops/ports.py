"""Ports: what the inside asks of the outside world. Real ones live in `runtime/`, fakes in `testing`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol


class Clock(Protocol):
    """Time. `now` is for people and files, `monotonic` for durations; both in seconds."""

    def now(self) -> float: ...
    def monotonic(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What the process keeper says of one program.

    `state` is one of STOPPED, STARTING, RUNNING, STOPPING, EXITED, FATAL, UNKNOWN (supervisord's words);
    `pid` is 0 when nothing runs; `exit_status` is that of the last run; `since` is Unix time of the state.
    """

    program: str
    state: str
    pid: int = 0
    exit_status: int = 0
    since: float = 0.0

    @property
    def running(self) -> bool:
        return self.state in ("STARTING", "RUNNING")

    @property
    def stopped(self) -> bool:
        return self.state in ("STOPPED", "EXITED", "FATAL", "UNKNOWN")


@dataclass(frozen=True, slots=True)
class ProcessEvent:
    """A change of a program's state, as it happened."""

    program: str
    state: str
    pid: int = 0
    expected: bool = True


class Processes(Protocol):
    """Keeps processes: knows programs by name, starts and stops them, tells of each change.

    No restart policy in here: deciding is the reconciler's (or, for sources, the hub's).
    """

    async def inventory(self) -> Mapping[str, ProcessState]: ...
    async def state(self, program: str) -> ProcessState:
        """One program's state; raises `PermanentError` where it is not known."""

    async def ensure(self, programs: Sequence[str]) -> None:
        """Make programs known (none is started). Known ones that run are left alone."""

    async def forget(self, programs: Sequence[str]) -> None:
        """Stop programs if they run, wait until they are gone, and make them unknown."""

    async def start(self, program: str) -> None: ...
    async def stop(self, program: str, timeout: float = 10.0) -> None:
        """Stop and return once it is gone. Not running is fine."""

    async def supplant(self, program: str) -> None:
        """Start a running program anew beside its process, which goes on, without a name, until it is dismissed."""

    async def dismiss(self, program: str) -> None:
        """Begin to stop what was supplanted; it is killed where it takes longer than its own `stop_timeout`."""

    async def signal(self, program: str, signal: str) -> None: ...
    def events(self) -> AsyncIterator[ProcessEvent]: ...


@dataclass(frozen=True, slots=True)
class VideoMode:
    """A format that a device delivers at some sizes.

    `format` is FFmpeg's name; widths and heights are (least, most, step) in pixels; `rates` are frames a second, the
    fastest first.
    """

    format: str
    description: str
    widths: tuple[int, int, int]
    heights: tuple[int, int, int]
    rates: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ControlFacts:
    """A control of a device. `name` is what a stack file calls it, `id` the kernel's number.

    `type`: integer, boolean, menu, integer_menu, bitmask, button. `value` None: it cannot be read. `menu`: numbers and
    names. `inactive`: it has no effect now (another control rules it).
    """

    id: int
    name: str
    title: str
    type: str
    minimum: int
    maximum: int
    step: int
    default: int
    value: int | None
    menu: tuple[tuple[int, str], ...] = ()
    read_only: bool = False
    inactive: bool = False


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A video node as the host shows it (udev and V4L2's own names; see docs/reference).

    `role`: camera, loopback (what v4l2loopback makes), metadata, output, codec. `group`: the same for all nodes of one
    device. `scanners`: which of them saw it. `modes`: what it delivers, where it could be asked.
    """

    device_path: str
    device_name: str = ""
    driver: str = ""
    bus_info: str = ""
    serial: str = ""
    usb_id: str = ""
    id_path: str = ""
    path_by_id: str = ""
    path_by_path: str = ""
    capabilities: tuple[str, ...] = ()
    udev: tuple[tuple[str, str], ...] = ()
    role: str = "camera"
    group: str = ""
    scanners: tuple[str, ...] = ()
    modes: tuple[VideoMode, ...] = ()


class Devices(Protocol):
    """The host's capture devices."""

    async def scan(self) -> Sequence[DeviceFacts]: ...
    def changes(self) -> AsyncIterator[None]:
        """Yields once it listens, and once after each (debounced) change of what `scan` would return."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One JPEG image: its bytes, its number in the camera's life (from 1), its capture time (Unix seconds)."""

    data: bytes
    sequence: int
    timestamp: float


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """What a stream of packets is. `codec`: mjpeg, h264, hevc; `private`: avcC or hvcC (ISO/IEC 14496-15), nothing for
    mjpeg; sizes in pixels."""

    codec: str
    width: int
    height: int
    private: bytes = b""


@dataclass(frozen=True, slots=True)
class VideoPacket:
    """One frame in the camera's own codec, as it came. `key`: whether it can be decoded by itself; number and time are
    those of `Frame`. NAL units have their lengths before them, as the track's `private` says."""

    track: VideoTrack
    data: bytes
    key: bool
    sequence: int
    timestamp: float


class Settled(Protocol):
    """Whether something holds right now. `asyncio.Event` fits."""

    def is_set(self) -> bool: ...


class FrameSubscription(Protocol):
    """One taker of a camera's frames."""

    viewers: int
    """How many people stand behind it: set it, the camera's state tells the sum."""

    @property
    def unknown(self) -> bool:
        """Whether it ended because there is no such camera."""

    def close(self) -> None: ...


class Cameras(Protocol):
    """The cameras of this host, as consumers see them (through the hub)."""

    @property
    def connected(self) -> Settled:
        """Set while the hub answers; while it does not, states are what it said last."""

    def states(self) -> Sequence[Mapping[str, object]]:
        """Last known state of every camera, by name order. See docs/reference for the fields.

        Each has `name`, `state` (Idle, Starting, Online, Stalled, Missing, Busy, Failed), `reason`, `message`,
        `viewers`, `held`, `captured_fps`, `width`, `height`, `drops`, `description`.
        """

    def knows(self, camera: str) -> bool: ...

    def watch(self) -> AsyncIterator[Mapping[str, Any]]:
        """{"camera": state} for every camera now and at each change, {"removed": name}; for ever.

        A slow reader gets the newest change of each camera. Ends with `aclose()`.
        """

    def frames(self, camera: str, *, fps: float | None = None, width: int | None = None) -> AsyncIterator[Frame]:
        """Live frames: always the newest, skipping what the caller was too slow for.

        JPEGs, whatever the camera's codec; at most `fps` a second and `width` pixels wide, shared with all who ask for
        the same. Where too many such streams run: `TemporaryError` with reason TooManyStreams.

        Starts the camera where it is on demand; closes with `aclose()`. Raises `TemporaryError` with the camera's
        reason when it fails, `PermanentError` when there is no such camera; survives restarts of the source.
        """

    def subscribe(
        self,
        camera: str,
        on_frame: Callable[[Frame], None],
        on_state: Callable[[Mapping[str, Any]], None] | None = None,
        on_gone: Callable[[], None] | None = None,
        *,
        fps: float | None = None,
        width: int | None = None,
    ) -> FrameSubscription:
        """The hot path: `on_frame` is called with each new frame, in the event loop, until `close()`.

        `on_state` gets the camera's state now and at each change; `on_gone` is called where no frame can come any
        more. Callbacks must not block. Restarts of hub and source show as a pause.
        """

    def subscribe_packets(
        self,
        camera: str,
        on_packet: Callable[[VideoPacket], None],
        on_state: Callable[[Mapping[str, Any]], None] | None = None,
        on_gone: Callable[[], None] | None = None,
    ) -> FrameSubscription:
        """As `subscribe`, with what the camera delivers in its own codec.

        The first packet is a key frame, and so is the first of another track and that after a gap.
        """

    async def snapshot(self, camera: str, timeout: float = 10.0, max_age: float = 0.0) -> Frame:
        """A frame captured after the call, or at most `max_age` seconds before it."""

    async def controls(self, camera: str) -> Mapping[str, Any]:
        """`device`, its `controls` as they are now, its `modes` (see docs/reference).

        Raises `PermanentError` (UnknownCamera, NoControls), `TemporaryError` (DeviceError; the hub does not answer).
        """

    async def set_controls(self, camera: str, values: Mapping[str, bool | int | str]) -> Mapping[str, Any]:
        """Set some, until its next start where the stack file says otherwise; `controls` then. Nothing is set where one
        value is wrong (`PermanentError`, ControlRefused, with all that is wrong)."""

    async def hold(self, camera: str, *, on: bool) -> Mapping[str, Any]:
        """Keep a camera open without viewers until `on` is false, or the hub is started anew; its state then."""


class Recordings(Protocol):
    """What has been recorded and what is being recorded. Times are Unix seconds, paths relative to the data directory.

    A search without a camera or capture is over all of them; `begin` and `end` choose what overlaps that time.
    """

    async def list(
        self, *, camera: str = "", capture: str = "", begin: float = 0.0, end: float = inf, limit: int = 100
    ) -> Sequence[Mapping[str, object]]:
        """Newest first. Each has `camera, capture, path, start, end, bytes, finished, kept, frames, codec, gap,
        gap_reason, holes` (see docs/reference)."""

    async def find(self, path: str) -> Mapping[str, object] | None:
        """One recording by its path, finished or growing; None where there is none."""

    async def timeline(
        self, *, camera: str = "", capture: str = "", begin: float, end: float
    ) -> Sequence[Mapping[str, object]]:
        """Of each capture: `capture, camera`, `spans` (`start, end`) without a hole, and the `gaps` between them
        (`start, end, reason`)."""

    async def playlist(
        self, *, camera: str = "", capture: str = "", begin: float, end: float, locate: Callable[[str], str]
    ) -> str:
        """An HLS playlist (RFC 8216) of one capture's finished segments; `locate(path)` gives the URI of a file.

        Raises `PermanentError`, reason `NothingRecorded`, `SeveralCaptures` or `NotPlayable`.
        """

    async def thumbnail(self, path: str, width: int) -> bytes:
        """A JPEG of a recording's first picture. Raises `PermanentError` (`NoRecording`, `NoPicture`) or
        `TemporaryError` (`Busy`)."""


class ControlPlane(Protocol):
    """The control plane, asked from a data plane process. Not answering is normal: streams go on without it."""

    async def status(self) -> Mapping[str, object]:
        """`GET /v1/status`; raises `TemporaryError` when it does not answer."""

    async def post(self, path: str, body: Mapping[str, object]) -> Mapping[str, object]:
        """Have it do something. Raises `TemporaryError` when it does not answer, `PermanentError` with the reason where
        it refuses."""
