"""What sources run, word by word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from vidops.api import FFMPEG, DeviceFacts, Layout, PermanentError, SourceContext
from vidops_plugins.sources import file, testsrc, v4l2, vidops_sources

LAYOUT = Layout("/run/v", "/state", "/data")
HEAD = [FFMPEG, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning"]
TAIL = ["unix:/run/v/in/door.sock"]
JPEG = "scale=out_range=full[s{}];[s{}]format=yuv420p[s{}]"


def context(*devices: DeviceFacts) -> SourceContext:
    return SourceContext("door", LAYOUT, devices, base_dir="/stacks")


def argv(kind: str, **options: Any) -> list[str]:
    registered = {t.name: t for t in vidops_sources()}[kind]
    build = registered.build(registered.options.model_validate({"source": kind, **options}), context())
    assert build.program is not None
    words = list(build.program.argv)
    assert words[: len(HEAD)] == HEAD
    assert words[-1:] == TAIL
    return words[len(HEAD) : -1]


def test_a_v4l2_camera_that_delivers_jpeg_is_passed_through() -> None:
    mode = {"input_format": "mjpeg", "video_size": "1280x720", "framerate": 30}
    assert argv("v4l2", path="/dev/video0", mode=mode) == [
        *("-f", "v4l2", "-video_size", "1280x720", "-framerate", "30", "-input_format", "mjpeg"),
        *("-thread_queue_size", "8", "-i", "/dev/video0"),
        *("-f", "mpjpeg", "-c:v", "copy", "-flush_packets", "1"),
    ]


def test_a_v4l2_camera_that_delivers_h264_is_passed_through() -> None:
    words = argv("v4l2", path="/dev/video0", mode={"input_format": "h264"})
    assert words[words.index("-input_format") + 1] == "h264"
    assert words[words.index("-c:v") + 1] == "copy"
    assert words[words.index("-cluster_time_limit") + 1] == "0"


def test_a_v4l2_camera_of_another_format_is_encoded_once() -> None:
    assert argv("v4l2", path="/dev/video0", mode={"input_format": "yuyv422", "framerate": 7.5}, quality=3) == [
        *(
            "-f",
            "v4l2",
            "-framerate",
            "7.5",
            "-input_format",
            "yuyv422",
            "-thread_queue_size",
            "8",
            "-i",
            "/dev/video0",
        ),
        *("-filter_complex", "[0]scale=out_range=full[s0];[s0]format=yuv422p[s1]", "-map", "[s1]"),
        *("-f", "mpjpeg", "-color_range", "pc", "-flush_packets", "1", "-q:v", "3", "-strict", "unofficial"),
    ]


def test_a_v4l2_camera_without_a_mode_is_asked_nothing() -> None:
    assert argv("v4l2", path="/dev/video3")[:6] == ["-f", "v4l2", "-thread_queue_size", "8", "-i", "/dev/video3"]


def test_a_file_is_looped_in_real_time() -> None:
    assert argv("file", path="clips/a b.mp4") == [
        *("-re", "-stream_loop", "-1", "-i", "file:/stacks/clips/a b.mp4"),
        *("-filter_complex", "[0:v]scale=out_range=full[s0];[s0]format=yuv420p[s1]", "-map", "[s1]"),
        *("-f", "mpjpeg", "-color_range", "pc", "-flush_packets", "1", "-q:v", "5", "-strict", "unofficial"),
    ]


def test_a_file_in_another_mode() -> None:
    words = argv("file", path="/a.mp4", loop=False, mode={"video_size": "320x240", "framerate": 5})
    assert words[:3] == ["-re", "-i", "file:/a.mp4"]
    assert words[4].startswith("[0:v]fps=5[s0];[s0]scale=320:240[s1];")


def test_a_file_has_no_input_format() -> None:
    with pytest.raises(PermanentError, match="input_format"):
        argv("file", path="a.mp4", mode={"input_format": "mjpeg"})


@pytest.mark.parametrize(
    ("mode", "picture", "rate"),
    [
        ({}, "testsrc2=size=640x360:rate=15", 15.0),
        ({"video_size": "1280x720", "framerate": 29.97}, "testsrc2=size=1280x720:rate=29.97", 29.97),
    ],
)
def test_a_test_picture(mode: dict[str, Any], picture: str, rate: float) -> None:
    words = argv("testsrc", mode=mode, quality=2)
    assert words[:5] == ["-f", "lavfi", "-re", "-i", picture]
    graph = words[words.index("-filter_complex") + 1]
    assert graph.count("drawtext") == 2
    assert words[-8:] == ["-color_range", "pc", "-flush_packets", "1", "-q:v", "2", "-strict", "unofficial"]
    build = testsrc.build(testsrc.TestSrc(source="testsrc", mode=mode), context())  # type: ignore[arg-type]
    assert build.description["framerate"] == rate


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("v4l2", {}, "either path or match"),
        ("v4l2", {"path": "/dev/video0", "match": {"serial": "1"}}, "either path or match"),
        ("v4l2", {"path": "video0"}, "match pattern"),
        ("v4l2", {"match": {}}, "fits every device"),
        ("v4l2", {"match": {"usb": "46d:825"}}, "match pattern"),
        ("v4l2", {"match": {"serials": "1"}}, "not permitted"),
        ("v4l2", {"path": "/dev/video0", "quality": 1}, "greater than or equal to 2"),
        ("file", {}, "required"),
        ("file", {"path": ""}, "at least 1 character"),
        ("testsrc", {"mode": {"framerate": 0}}, "greater than 0"),
        ("testsrc", {"mode": {"video_size": "640"}}, "WIDTHxHEIGHT"),
    ],
)
def test_wrong_options_are_said(kind: str, options: dict[str, Any], says: str) -> None:
    registered = {t.name: t for t in vidops_sources()}[kind]
    with pytest.raises(ValidationError, match=says):
        registered.options.model_validate({"source": kind, **options})


FRONT = DeviceFacts(
    "/dev/video0", "Acme C1", "uvcvideo", serial="SN1", id_path="pci-1-usb-0:2", path_by_id="/dev/v4l/by-id/c1"
)
BACK = DeviceFacts("/dev/video2", "Acme C1", "uvcvideo", serial="SN2", id_path="pci-1-usb-0:1")


def v4l2_build(*devices: DeviceFacts, **options: Any) -> Any:
    return v4l2.build(v4l2.V4L2.model_validate({"source": "v4l2", **options}), context(*devices))


def test_a_match_finds_its_device() -> None:
    build = v4l2_build(FRONT, BACK, match={"serial": "SN2"})
    assert "/dev/video2" in build.program.argv
    assert build.description["serial"] == "SN2"
    assert "ambiguous" not in build.description


def test_no_match_says_what_was_looked_for_and_what_is_there() -> None:
    build = v4l2_build(FRONT, match={"serial": "SN9", "driver": "uvcvideo"})
    assert build.program is None
    assert build.missing == ("no device with serial SN9, driver uvcvideo; there is /dev/video0 (Acme C1, serial SN1)")
    none = "no device with serial SN9; there is no camera at all"
    assert v4l2_build(match={"serial": "SN9"}).missing == none
    # What carries no pictures is no help.
    assert v4l2_build(replace(FRONT, role="metadata"), match={"serial": "SN9"}).missing == none
    many = [replace(FRONT, device_path=f"/dev/video{n}", serial=f"SN1{n}") for n in range(16)]
    assert v4l2_build(*many, match={"serial": "SN9"}).missing.endswith(
        "/dev/video3 (Acme C1, serial SN13), 12 more (`vidops devices` tells why not)"
    )


def test_of_several_the_first_by_port_is_taken_and_it_is_said() -> None:
    for order in ((FRONT, BACK), (BACK, FRONT)):
        build = v4l2_build(*order, match={"name": "Acme*"})
        assert "/dev/video2" in build.program.argv
        assert build.description["ambiguous"].startswith("2 devices match")
        assert "/dev/video0" in build.description["ambiguous"]


def test_a_link_is_its_device() -> None:
    assert "/dev/video0" in v4l2_build(FRONT, path="/dev/v4l/by-id/c1").program.argv


def test_a_path_that_no_scan_knows_is_ffmpegs_to_refuse() -> None:
    assert "/dev/video9" in v4l2_build(FRONT, path="/dev/video9").program.argv


def test_building_reads_nothing(tmp_path: Any) -> None:
    build = file.build(file.File(source="file", path=str(tmp_path / "not-there.mp4")), context())
    assert build.program is not None
