"""`type: camera`: where a graph's frames come from."""

from __future__ import annotations

from typing import Literal

from vidops.api import CameraName, Node


class Camera(Node):
    """Every frame of a camera of this stack."""

    type: Literal["camera"]
    device: CameraName
    """The camera."""
