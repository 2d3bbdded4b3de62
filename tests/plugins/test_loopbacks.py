from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from vidops.api import FFMPEG, Layout, NodeContext
from vidops_plugins.loopbacks import vidops_loopback_nodes

NODES = {t.name: t for t in vidops_loopback_nodes()}
CONTEXT = NodeContext("privacy.again", "door", ("boxblur=8", "hflip"), Layout("/run/v", "/state", "/data"))
READS = [
    *(
        FFMPEG,
        "-hide_banner",
        "-nostdin",
        "-nostats",
        "-loglevel",
        "warning",
        "-f",
        "matroska",
        "-analyzeduration",
        "0",
    ),
    *("-copyts", "-fpsprobesize", "0", "-probesize", "32", "-start_at_zero", "-i", "unix:/run/v/out/door.sock"),
]


def options(kind: str, **given: Any) -> Any:
    return NODES[kind].options.model_validate({"type": kind, **given})


def argv(kind: str, **given: Any) -> list[str]:
    build = NODES[kind].build
    assert build is not None
    words = list(build(options(kind, **given), CONTEXT).argv)
    assert words[: len(READS)] == READS
    return words[len(READS) :]


def test_the_roles() -> None:
    assert {n.name: n.role for n in NODES.values()} == {
        "camera": "camera",
        "filter": "filter",
        "camera_out": "sink",
        "v4l2loopback": "sink",
    }


def test_frames_become_a_camera_again() -> None:
    assert argv("camera_out", **{"in": "blur"}, name="door-private", quality=7) == [
        *("-f", "mpjpeg", "-color_range", "pc", "-flush_packets", "1", "-fps_mode", "passthrough", "-q:v", "7"),
        *("-strict", "unofficial", "-vf", "boxblur=8,hflip,scale=out_range=full,format=yuv420p"),
        "unix:/run/v/in/door-private.sock",
    ]


def test_a_camera_without_a_name_is_called_after_its_node() -> None:
    assert argv("camera_out", **{"in": "blur"})[-1] == "unix:/run/v/in/privacy-again.sock"


def test_frames_go_to_a_loopback_device() -> None:
    assert argv("v4l2loopback", **{"in": "blur"}, video_nr=40, pix_fmt="yuyv422") == [
        *("-f", "v4l2", "-fps_mode", "passthrough", "-pix_fmt", "yuyv422", "-vf", "boxblur=8,hflip", "/dev/video40"),
    ]


def test_in_is_written_as_in() -> None:
    assert options("filter", **{"in": "cam"}, filter="hflip").in_ == "cam"


@pytest.mark.parametrize("text", ["boxblur=8", "hflip,scale=320:-2", "drawbox=x=1:y=2:w=3:h=4", "eq@name=gamma=2"])
def test_plain_chains_are_filters(text: str) -> None:
    filters = NODES["filter"].filters
    assert filters is not None
    assert filters(options("filter", **{"in": "cam"}, filter=text)) == text


@pytest.mark.parametrize(
    ("kind", "given", "says"),
    [
        ("filter", {"in": "cam", "filter": "[a]hflip[b]"}, r"without \[links\]"),
        ("filter", {"in": "cam", "filter": "hflip;vflip"}, r"without \[links\]"),
        ("filter", {"in": "cam", "filter": "hflip\n"}, r"without \[links\]"),
        ("filter", {"in": "cam", "filter": "hflip,movie=/etc/passwd"}, "opens files"),
        ("filter", {"in": "cam", "filter": " amovie@x = secret"}, "opens files"),
        ("filter", {"in": "cam", "filter": ""}, "at least 1 character"),
        ("filter", {"filter": "hflip"}, "required"),
        ("camera", {}, "required"),
        ("camera_out", {"in": "cam", "name": "Not A Name"}, "not a name"),
        ("v4l2loopback", {"in": "cam", "video_nr": -1}, "greater than or equal to 0"),
        ("v4l2loopback", {"in": "cam", "video_nr": 1, "exclusive_caps": True}, "not permitted"),
    ],
)
def test_wrong_options_are_said(kind: str, given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        options(kind, **given)
