"""All that a scan wants to know of one video node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from vidops.ports import VideoMode
from vidops.v4l2.capability import Capability, capability
from vidops.v4l2.modes import modes, outline
from vidops.v4l2.node import Ioctl, asked

LOOPBACK = "v4l2 loopback"
CAPTURE = {"video_capture", "video_capture_mplane"}
_MEMORY = {"video_m2m", "video_m2m_mplane"}
_OUTPUT = {"video_output", "video_output_mplane"}
MOST = 64
_known: dict[Capability, tuple[object, tuple[VideoMode, ...]]] = {}
"""Outline and modes of each device at its port. Some have thousands; a camera that is replugged is not asked for all of
them before it is opened."""


_looked: ContextVar[dict[str, NodeFacts | None] | None] = ContextVar("looked", default=None)
"""What the nodes said during one look at all of them."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A node's own words, and what it delivers."""

    said: Capability
    modes: tuple[VideoMode, ...]


@contextmanager
def asked_once() -> Iterator[None]:
    """Within it, a node is asked once, however many scanners look at it: a hanging one is waited for once, too."""
    token = _looked.set({})
    try:
        yield
    finally:
        _looked.reset(token)


def query_node(path: str) -> NodeFacts | None:
    """None where it cannot be asked (no permission, not V4L2, gone, hanging)."""
    looked = _looked.get()
    if looked is None:
        return _query(path)
    if path not in looked:
        looked[path] = _query(path)
    return looked[path]


def _query(path: str) -> NodeFacts | None:
    def ask(ioctl: Ioctl) -> NodeFacts:
        said = capability(ioctl)
        if role_of(said.capabilities, said.driver) not in ("camera", "loopback"):
            return NodeFacts(said, ())
        if said.driver == LOOPBACK:
            # What it delivers is what is written to it now.
            return NodeFacts(said, modes(ioctl))
        now = outline(ioctl)
        before, found = _known.get(said, (None, ()))
        if now != before:
            found = modes(ioctl)
            if len(_known) >= MOST:
                _known.clear()
            _known[said] = now, found
        return NodeFacts(said, found)

    try:
        return asked(path, ask)
    except OSError:
        return None


def role_of(capabilities: Sequence[str], driver: str) -> str:
    """camera, loopback, codec, output, metadata; empty where it is none of these."""
    has = set(capabilities)
    if has & _MEMORY:
        return "codec"
    if has & CAPTURE:
        return "loopback" if driver == LOOPBACK else "camera"
    if has & _OUTPUT:
        return "loopback" if driver == LOOPBACK else "output"
    return "metadata" if has & {"meta_capture", "meta_output"} else ""
