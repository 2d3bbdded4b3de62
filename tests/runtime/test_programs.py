"""What is written for supervisord and the shim, and where FFmpeg is found."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from vidops.errors import PermanentError
from vidops.resources.layout import Layout
from vidops.resources.specs import Program
from vidops.runtime.files import atomic_write, read_bounded, write_if_changed
from vidops.runtime.programs import find_ffmpeg, remove_program, write_program


def test_a_program_is_written_once(layout: Layout) -> None:
    program = Program(argv=("@python@", "-c", "pass"))
    assert write_program(layout, "hub", program, "f")
    before = os.stat(layout.spec_file("hub")).st_ino, os.stat(layout.program_file("hub")).st_ino
    assert not write_program(layout, "hub", program, "f")
    assert (os.stat(layout.spec_file("hub")).st_ino, os.stat(layout.program_file("hub")).st_ino) == before
    assert write_program(layout, "hub", program, "g")
    assert write_program(layout, "hub", Program(argv=program.argv, stop_timeout=3), "g")
    assert json.loads(Path(layout.spec_file("hub")).read_text())["argv"][0] == sys.executable
    assert os.stat(layout.spec_file("hub")).st_mode & 0o777 == 0o600
    remove_program(layout, "hub")
    assert not os.path.exists(layout.program_file("hub"))
    remove_program(layout, "hub")


def test_ffmpeg_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VIDOPS_FFMPEG", raising=False)
    assert find_ffmpeg() == shutil.which("ffmpeg")
    mine = tmp_path / "my-ffmpeg"
    mine.write_text("#!/bin/sh\n")
    monkeypatch.setenv("VIDOPS_FFMPEG", str(mine))
    with pytest.raises(PermanentError, match=r"my-ffmpeg.*no program"):
        find_ffmpeg()
    mine.chmod(0o700)
    assert find_ffmpeg() == str(mine)
    monkeypatch.delenv("VIDOPS_FFMPEG")
    monkeypatch.setenv("PATH", str(tmp_path))
    try:
        import imageio_ffmpeg
    except ImportError:
        with pytest.raises(PermanentError, match="apt install ffmpeg"):
            find_ffmpeg()
    else:
        assert find_ffmpeg() == imageio_ffmpeg.get_ffmpeg_exe()


def test_files_are_whole_private_and_bounded(tmp_path: Path) -> None:
    path = str(tmp_path / "x")
    assert write_if_changed(path, "one")
    assert not write_if_changed(path, b"one")
    os.chmod(path, 0o644)
    assert write_if_changed(path, "one"), "a mode that lets others read is mended"
    atomic_write(path, "two", durable=True)
    assert read_bounded(path, 3) == b"two"
    with pytest.raises(ValueError, match="larger than 2 bytes"):
        read_bounded(path, 2)
    assert os.stat(path).st_mode & 0o777 == 0o600
    with pytest.raises(OSError):
        atomic_write(str(tmp_path / "nowhere" / "x"), "")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        atomic_write(str(tmp_path / "folder"), "")
    assert sorted(os.listdir(tmp_path)) == ["folder", "x"], "nothing is left of what failed"
