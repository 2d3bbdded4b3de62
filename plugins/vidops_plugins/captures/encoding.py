"""What may be done to a recording's picture, and what sound goes with it. Pure: options and FFmpeg's words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from vidops.api import Options, PositiveDuration

Encoder = Literal["libx264", "libx265", "mjpeg", "h264_vaapi", "h264_nvenc", "h264_qsv", "h264_v4l2m2m"]
SOFTWARE = ("libx264", "libx265")
VAAPI_DEVICE = "/dev/dri/renderD128"
POSITIONS = {
    "top-left": ("8", "8"),
    "top-right": ("w-tw-8", "8"),
    "bottom-left": ("8", "h-th-8"),
    "bottom-right": ("w-tw-8", "h-th-8"),
}
TURNS: dict[int, tuple[tuple[str, ...], ...]] = {
    0: (),
    90: (("transpose", "clock"),),
    180: (("hflip",), ("vflip",)),
    270: (("transpose", "cclock"),),
}
DIRECTIVES = "YmdHMSjyAaBbsfZzFT%"
"""Of strftime(3), as far as FFmpeg's drawtext knows them."""


class Encoding(Options):
    """How the picture is encoded. Encoders other than libx264, libx265 and mjpeg need hardware of this host."""

    video: Encoder = "libx264"
    """FFmpeg's encoder."""
    crf: Annotated[int, Field(ge=0, le=51)] | None = None
    """Quality of libx264 and libx265: 18 is fine, 28 is small."""
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"] = "veryfast"
    """Of libx264 and libx265: how much time is spent to make it smaller."""
    bitrate: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}[kM]$")] | None = None
    """Bits a second, for example 2M."""
    keyframe_every: PositiveDuration = "1s"  # type: ignore[assignment]
    """Files are cut at key frames: no file is longer than asked for by more than this."""


def check_text(text: str) -> str:
    for i, sign in enumerate(text):
        if sign == "%" and (i == 0 or text[i - 1] != "%") and text[i + 1 : i + 2] not in tuple(DIRECTIVES):
            raise ValueError(f"%{text[i + 1 : i + 2]} is no strftime directive that can be drawn")
    if any(sign in text for sign in "{}\\'") or not text.isprintable():
        raise ValueError("cannot be drawn: braces, backslashes and apostrophes have a meaning of their own to FFmpeg")
    return text


class Overlay(Options):
    """Text in the picture, as the clock of the host has it."""

    text: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(check_text)] = "%Y-%m-%d %H:%M:%S"
    """With strftime's directives."""
    position: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = "top-left"
    size: Annotated[int, Field(ge=6, le=200)] = 24
    """Height of a letter in pixels."""
    font: Annotated[str, Field(pattern=r"^/[^\x00-\x1f]*$")] | None = None
    """A font's file. Without it, fontconfig gives its sans-serif one."""


class Audio(Options):
    """Sound of an ALSA device, which only one process may open."""

    alsa: Annotated[str, Field(pattern=r"^[A-Za-z0-9_:,.=-]{1,100}$")]
    """ALSA's name of the device: "hw:1,0", "plughw:CARD=Webcam"."""
    codec: Literal["aac", "libopus"] = "aac"
    bitrate: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,3}k$")] = "96k"
    """Bits a second."""
    channels: Annotated[int, Field(ge=1, le=8)] = 1

    def input(self) -> Any:
        import ffmpeg

        return ffmpeg.input(self.alsa, f="alsa", channels=self.channels, thread_queue_size=256)

    def output(self) -> dict[str, Any]:
        return {"c:a": self.codec, "b:a": self.bitrate}


@dataclass(frozen=True)
class Picture:
    """A video stream of ffmpeg-python's and the output options that go with it."""

    stream: Any
    output: dict[str, Any] = field(default_factory=lambda: {"c:v": "copy"})

    def rotated(self, degrees: int) -> Picture:
        stream = self.stream
        for name, *arguments in TURNS[degrees]:
            stream = stream.filter(name, *arguments)
        return Picture(stream, self.output)

    def with_text(self, overlay: Overlay | None, *, utc: bool) -> Picture:
        if overlay is None:
            return self
        x, y = POSITIONS[overlay.position]
        clock = "gmtime" if utc else "localtime"
        # An argument of drawtext's own expansion, where a colon ends it.
        text = f"%{{{clock}:{overlay.text.replace(':', chr(92) + ':')}}}" if "%" in overlay.text else overlay.text
        style: dict[str, Any] = {"fontsize": overlay.size, "fontcolor": "white", "box": 1, "boxcolor": "black@0.5"}
        if overlay.font:
            style["fontfile"] = overlay.font
        return Picture(self.stream.filter("drawtext", text=text, x=x, y=y, **style), self.output)

    def encoded(self, encoding: Encoding) -> Picture:
        stream = self.stream
        words: dict[str, Any] = {
            "c:v": encoding.video,
            # Frames keep their times: FFmpeg would make up a thousand a second out of the stream's milliseconds.
            "fps_mode": "passthrough",
            "force_key_frames": f"expr:gte(t,n_forced*{encoding.keyframe_every:g})",
        }
        if encoding.video == "h264_vaapi":
            words["vaapi_device"] = VAAPI_DEVICE
            stream = stream.filter("format", "nv12").filter("hwupload")
        else:
            words["pix_fmt"] = "yuvj420p" if encoding.video == "mjpeg" else "yuv420p"
        if encoding.video in SOFTWARE:
            words["preset"] = encoding.preset
            if encoding.crf is not None:
                words["crf"] = encoding.crf
        if encoding.bitrate:
            words["b:v"] = encoding.bitrate
        return Picture(stream, words)
