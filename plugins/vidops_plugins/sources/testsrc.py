"""`source: testsrc`: FFmpeg's test picture in real time, with a wall clock and a frame counter burnt in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from vidops.api import Device, SourceBuild, SourceContext
from vidops_plugins.sources.command import DEFAULT_QUALITY, encoded, encoded_as

FONT = Path(__file__).parent / "assets" / "digits.ttf"
CLOCK = r"%{localtime:%Y-%m-%d %H\:%M\:%S}"
ENCODERS = {"h264": "libx264", "hevc": "libx265"}
DEFAULT_SIZE, DEFAULT_RATE = "640x360", 15.0


class TestSrc(Device):
    """A test picture: no camera needed. The clock is the host's, the counter counts from the source's start."""

    __test__ = False

    source: Literal["testsrc"]
    codec: Literal["mjpeg", "h264", "hevc"] = "mjpeg"
    """What the camera delivers: h264 and hevc as IP cameras do, with a key frame each second."""
    quality: Annotated[int, Field(ge=2, le=31)] = DEFAULT_QUALITY
    """Of the JPEG encoding: 2 is best, 31 is smallest."""


def build(options: TestSrc, context: SourceContext) -> SourceBuild:
    import ffmpeg

    size = options.mode.video_size or DEFAULT_SIZE
    rate = options.mode.framerate or DEFAULT_RATE
    height = int(size.partition("x")[2])
    text = {
        "fontfile": str(FONT),
        "fontsize": max(8, height // 18),
        "fontcolor": "white",
        "box": 1,
        "boxcolor": "black@0.6",
        "boxborderw": max(2, height // 90),
        "escape_text": False,
    }
    # The picture is made at the rate it is read (-re), so its first frame comes at once.
    picture = ffmpeg.input(f"testsrc2=size={size}:rate={rate:g}", f="lavfi", re=None)
    picture = picture.drawtext(text=CLOCK, x="h/40", y="h/40", **text)
    picture = picture.drawtext(text="%{n}", x="w-tw-h/40", y="h/40", **text)
    if options.codec == "mjpeg":
        program = encoded(picture, context, quality=options.quality)
    else:
        program = encoded_as(picture, context, ENCODERS[options.codec], rate=rate)
    return SourceBuild(
        program,
        description={"device_name": "Test picture", "driver": "lavfi", "video_size": size, "framerate": rate},
    )
