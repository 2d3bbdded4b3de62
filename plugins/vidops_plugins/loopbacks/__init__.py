"""Built-in nodes of loopback graphs: camera → filters → a camera again, or a v4l2loopback device."""

from __future__ import annotations

from collections.abc import Sequence

from vidops.api import NodeType, hookimpl
from vidops_plugins.loopbacks import camera, camera_out, filter, v4l2loopback


@hookimpl
def vidops_loopback_nodes() -> Sequence[NodeType]:
    return (
        NodeType("camera", "camera", camera.Camera, summary="Frames of a camera."),
        NodeType("filter", "filter", filter.Filter, filters=filter.text, summary="An FFmpeg filter."),
        NodeType(
            "camera_out",
            "sink",
            camera_out.CameraOut,
            build=camera_out.build,
            camera=camera_out.name,
            summary="Shows up as a camera again.",
        ),
        NodeType(
            "v4l2loopback",
            "sink",
            v4l2loopback.V4L2Loopback,
            build=v4l2loopback.build,
            summary="Feeds a v4l2loopback device, which other programs open like a camera.",
        ),
    )
