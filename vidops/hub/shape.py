"""What a derived stream is, and the program that makes it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vidops.resources.layout import Layout
from vidops.resources.specs import FFMPEG, Program

LEAST_WIDTH, MOST_WIDTH = 16, 8192
LEAST_FPS, MOST_FPS = 0.01, 240.0
QUALITY = 5
"""Of MJPEG encoding, 2 (best) to 31: as that of sources."""
SLACK = 0.1
"""Of the time between two frames: how much too early one may be and still be taken."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a viewer wants a camera's JPEGs. `width` in pixels, `fps` in frames a second; 0: as they come."""

    width: int = 0
    fps: float = 0.0

    @property
    def key(self) -> str:
        """As part of a program's name: `w320-r12_5`; `jpeg` for JPEGs as large and many as the camera's frames."""
        width = [f"w{self.width}"] if self.width else []
        fps = ["r" + f"{self.fps:g}".replace(".", "_")] if self.fps else []
        return "-".join(width + fps) or "jpeg"


def parse_shape(width: object, fps: object) -> Shape:
    """A shape as it was asked for. Raises `ValueError`, which says what would be right.

    Widths are even, and rates have two decimals at most, so that nearly the same is the same stream.
    """
    if width is not None and (
        not isinstance(width, int) or isinstance(width, bool) or not LEAST_WIDTH <= width <= MOST_WIDTH
    ):
        raise ValueError(f"width is a whole number of pixels between {LEAST_WIDTH} and {MOST_WIDTH}")
    if fps is not None and (
        not isinstance(fps, int | float) or isinstance(fps, bool) or not LEAST_FPS <= fps <= MOST_FPS
    ):
        raise ValueError(f"fps is a number of frames a second between {LEAST_FPS:g} and {MOST_FPS:g}")
    return Shape((width or 0) // 2 * 2, round(float(fps or 0), 2))


class Pacer:
    """Which frames of a stream to take so that there are at most `fps` a second, evenly."""

    def __init__(self, fps: float) -> None:
        self._every = 1 / fps if fps else 0.0
        self._due = -math.inf

    def takes(self, time: float) -> bool:
        """Whether the frame of `time` (seconds; a jump back begins anew) is one of them."""
        if not self._every:
            return True
        if self._due - self._every * 2 < time < self._due - self._every * SLACK:
            return False
        self._due = (self._due if abs(time - self._due) < self._every else time) + self._every
        return True


def derived_program(layout: Layout, name: str, shape: Shape, *, coded: bool) -> Program:
    """FFmpeg from `out/<name>.sock` to `in/<name>.sock`, each frame as soon as it is there.

    Where every frame is a JPEG, the hub leaves out those that are too many. Frames of a codec with key frames
    (`coded`) must be decoded all, and are left out behind the decoder by the same rule (`Pacer`).
    """
    filters = []
    if coded and shape.fps:
        every = 1 / shape.fps
        early = f"between(t\\,ld(0)-{every * 2:.6f}\\,ld(0)-{every * SLACK:.6f})"
        due = f"st(0\\,if(lt(abs(t-ld(0))\\,{every:.6f})\\,ld(0)\\,t)+{every:.6f})"
        filters.append(f"select=if(not(eq(n\\,0))*{early}\\,0\\,{due}*0+1)")
    if shape.width:
        filters.append(f"scale=min({shape.width}\\,iw):-2:out_range=full")
    else:
        filters.append("scale=out_range=full")
    filters.append("format=yuv420p")
    argv = (
        *(FFMPEG, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning"),
        # The hub's stream says all that probing would find out; frames of one thread wait for no other's.
        # Its times begin at the camera's clock, which FFmpeg would take for a jump after the little that it looks at.
        *("-copyts", "-start_at_zero"),
        *("-analyzeduration", "0", "-probesize", "32", "-fpsprobesize", "0", "-flags", "low_delay", "-threads", "1"),
        *("-f", "matroska", "-i", f"unix:{layout.output_socket(name)}"),
        *("-vf", ",".join(filters), "-fps_mode", "passthrough", "-c:v", "mjpeg", "-q:v", str(QUALITY)),
        *("-color_range", "pc", "-strict", "unofficial", "-f", "mpjpeg", "-flush_packets", "1"),
        f"unix:{layout.input_socket(name)}",
    )
    return Program(argv=argv, stop_timeout=2.0)
