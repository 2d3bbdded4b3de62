from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from vidops.api import FFMPEG, CaptureContext, Layout
from vidops_plugins.captures.segments import Segments, build

CONTEXT = CaptureContext("archive", "door", Layout("/run/v", "/state", "/data"), "/data/.spool/100%/archive")


def options(**given: Any) -> Segments:
    return Segments.model_validate({"device": "door", **given})


def test_what_records_by_default() -> None:
    made = build(options(), CONTEXT)
    assert list(made.program.argv) == [
        *(FFMPEG, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning", "-f", "matroska"),
        *("-analyzeduration", "0", "-copyts", "-fpsprobesize", "0", "-probesize", "32", "-start_at_zero"),
        *("-i", "unix:/run/v/out/door.sock", "-f", "segment", "-c:v", "copy", "-reset_timestamps", "1"),
        *(
            "-segment_atclocktime",
            "1",
            "-segment_clocktime_offset",
            "0.02",
            "-segment_format",
            "mp4",
            "-segment_format_options",
        ),
        "movflags=+empty_moov+default_base_moof:frag_duration=1000000:flush_packets=1",
        *("-segment_time", "60", "-strftime", "1", "/data/.spool/100%%/archive/%s-@run@.mp4"),
    ]
    assert (made.suffix, made.path, made.program.stop_signal) == (".mp4", "{device}/%Y-%m-%d/%H-%M-%S", "INT")
    assert made.program.directories == (CONTEXT.spool,)


def test_what_records_matroska() -> None:
    made = build(options(segment={"format": "mkv", "part_duration": "500ms", "duration": "2.5s"}), CONTEXT)
    words = list(made.program.argv)
    assert words[words.index("-segment_format_options") + 1] == "cluster_time_limit=500:flush_packets=1"
    assert words[words.index("-segment_time") + 1] == "2.5"
    assert words[-1].endswith("%s-@run@.mkv")


@pytest.mark.parametrize("path", ["{device}/%Y/%H", "a", "{capture}-%s", "100%%", "{{x}}/%j"])
def test_paths_that_stay_inside(path: str) -> None:
    assert options(segment={"path": path}).segment.path == path


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/etc/%H", "relative"),
        ("../%H", "relative"),
        ("a/../../b", "relative"),
        ("a//b", "relative"),
        (".hidden/%H", "relative"),
        ("{camera}/%H", "unknown field"),
        ("{device", "brace"),
        ("%Q", "no strftime directive"),
        ("%", "no strftime directive"),
        ("%D", "no strftime directive"),
        ("a\0b", "NUL"),
        ("x" * 401, "too long"),
        ("", "at least 1 character"),
    ],
)
def test_paths_that_lead_out_or_mean_nothing(path: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        options(segment={"path": path})


@pytest.mark.parametrize(
    "wrong",
    [
        {"codec": "x264"},
        {"segment": {"duration": "0s"}},
        {"segment": {"duration": "500ms"}},
        {"segment": {"duration": "2d"}},
        {"segment": {"format": "avi"}},
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        options(**wrong)


def test_encoding_and_sound() -> None:
    made = build(
        options(
            codec={"video": "libx265", "crf": 28, "keyframe_every": "2s"},
            rotate=180,
            overlay={"text": "door %H:%M", "position": "top-right"},
            audio={"alsa": "hw:1,0"},
            utc=True,
        ),
        CONTEXT,
    )
    words = list(made.program.argv)
    (graph,) = (word for word in words if "drawtext" in word)
    assert graph.startswith("[0]hflip[s0];[s0]vflip[s1];[s1]drawtext=")
    assert "%{gmtime\\\\:door %H" in graph
    pairs = dict(pairwise(words))
    assert pairs["-c:v"] == "libx265"
    assert pairs["-force_key_frames"] == "expr:gte(t,n_forced*2)"
    assert (pairs["-c:a"], pairs["-channels"]) == ("aac", "1")
    assert [words[i + 1] for i, word in enumerate(words) if word == "-i"] == ["unix:/run/v/out/door.sock", "hw:1,0"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"rotate": 90}, "codec: copy does not"),
        ({"overlay": {}}, "codec: copy does not"),
        ({"codec": {"video": "libx264"}, "overlay": {"text": "%{eif:1:d}"}}, "no strftime directive"),
        ({"codec": {"video": "libx264"}, "overlay": {"text": "it's"}}, "meaning of their own"),
        ({"codec": {"video": "nothing"}}, "libx264"),
        ({"codec": {"bitrate": "fast"}}, "pattern"),
        ({"audio": {"alsa": "hw:1;rm"}}, "pattern"),
    ],
)
def test_what_cannot_be_recorded(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        options(**given)
