"""Writes what supervisord and the exec shim read, for the interpreter and the FFmpeg of this host."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from functools import cache
from importlib import import_module

from vidops.errors import PermanentError
from vidops.planning.render import program_conf, program_spec
from vidops.resources.layout import Layout
from vidops.resources.specs import FFMPEG, Program
from vidops.runtime import exec as shim
from vidops.runtime.daemon import owner_token
from vidops.runtime.files import write_if_changed


def find_ffmpeg() -> str:
    """`VIDOPS_FFMPEG`, else the one in PATH, else the one that the package imageio-ffmpeg carries.

    Raises `PermanentError`, which says how to get one.
    """
    if named := os.environ.get("VIDOPS_FFMPEG"):
        if found := shutil.which(named):
            return os.path.abspath(found)
        raise PermanentError(f"VIDOPS_FFMPEG is {named!r}, which is no program here", reason="NoFFmpeg")
    if found := shutil.which("ffmpeg"):
        return found
    return _packaged_ffmpeg()


@cache
def _packaged_ffmpeg() -> str:
    # Any of these: the package is not there, or carries no binary for this machine.
    with contextlib.suppress(ImportError, RuntimeError, OSError):
        return str(import_module("imageio_ffmpeg").get_ffmpeg_exe())
    raise PermanentError(
        "there is no FFmpeg: install it (Debian: apt install ffmpeg), or `pip install 'vidops[ffmpeg]'`, or set "
        "VIDOPS_FFMPEG to its path",
        reason="NoFFmpeg",
    )


def write_program(layout: Layout, name: str, program: Program, fingerprint: str) -> bool:
    """Write a program's spec and configuration; takes effect at its next start. Returns whether anything changed.

    Blocking, some 0.2 ms. Raises `PermanentError` for what cannot be expressed, `OSError` for the disk's refusals.
    """
    conf = program_conf(name, program, layout, python=sys.executable, shim=os.path.abspath(shim.__file__))
    spec = program_spec(
        name,
        program,
        owner=owner_token(layout),
        fingerprint=fingerprint,
        python=sys.executable,
        ffmpeg=find_ffmpeg() if program.argv[:1] == (FFMPEG,) else "",
        mounts=layout.mounts_file,
    )
    changed = write_if_changed(layout.spec_file(name), spec)
    return write_if_changed(layout.program_file(name), conf) or changed


def remove_program(layout: Layout, name: str) -> None:
    """Remove what `write_program` wrote, and the program's logs. Not there is fine."""
    log = layout.log_file(name)
    for path in (layout.program_file(name), layout.spec_file(name), log, f"{log}.1"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


class HostFiles:
    """The files of programs below one runtime directory."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def write(self, name: str, program: Program, fingerprint: str) -> bool:
        """See `write_program`."""
        return write_program(self._layout, name, program, fingerprint)

    def remove(self, name: str) -> None:
        remove_program(self._layout, name)
