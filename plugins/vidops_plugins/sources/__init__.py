"""Built-in sources: where a camera's frames come from."""

from __future__ import annotations

from collections.abc import Sequence

from vidops.api import SourceType, hookimpl
from vidops_plugins.sources import file, http, rtsp, testsrc, v4l2


@hookimpl
def vidops_sources() -> Sequence[SourceType]:
    return (
        SourceType(
            "testsrc", testsrc.TestSrc, testsrc.build, summary="A test picture with a clock and a frame counter."
        ),
        SourceType("file", file.File, file.build, summary="A video file, played in a loop."),
        SourceType("rtsp", rtsp.RTSP, rtsp.build, summary="An IP camera that speaks RTSP: H.264, HEVC or MJPEG."),
        SourceType("http", http.HTTP, http.build, summary="A camera that sends multipart JPEG over HTTP."),
        SourceType(
            "v4l2",
            v4l2.V4L2,
            v4l2.build,
            summary="A V4L2 device of this host.",
            uses_devices=True,
            expand=v4l2.expand,
            explain=v4l2.explain,
        ),
    )
