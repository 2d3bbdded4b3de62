from __future__ import annotations

from pathlib import Path

import pytest

from vidops.hub.words import essence, last_words, log_size


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", ""),
        ("\n  \n", ""),
        ("a\n/dev/video9: No such file or directory\n", "/dev/video9: No such file or directory"),
        ("/dev/video0: Device or resource busy\nConversion failed!\n", "/dev/video0: Device or resource busy"),
        (
            "[video4linux2,v4l2 @ 0x55d0c0] Not a video capture device.\n",
            "[video4linux2,v4l2] Not a video capture device.",
        ),
        ("unix:/run/in/door.sock: Broken pipe\nExiting normally, received signal 15.\n", ""),
        ("x" * 900, "x" * 500),
        ("\ufffd\x00 odd bytes", "\ufffd\x00 odd bytes"),
    ],
)
def test_the_line_that_says_why(log: str, said: str) -> None:
    assert essence(log) == said


def test_only_what_this_run_wrote(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_words(str(log), log_size(str(log))) == ""
    log.write_text("the run before\n")
    size = log_size(str(log))
    assert last_words(str(log), size) == ""
    with log.open("ab") as file:
        file.write(b"noise\n" * 5000 + b"\xffthis run\n")
    assert last_words(str(log), size) == "\ufffdthis run"


def test_a_rotated_log_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("short\n")
    assert last_words(str(log), 1_000_000) == "short"
