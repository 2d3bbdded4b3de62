"""supervisord's files, read back by supervisord's own parser."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from supervisor.options import UnhosedConfigParser

from vidops.errors import PermanentError
from vidops.planning.render import ini_value, program_conf, program_spec, supervisord_conf
from vidops.resources.layout import Layout
from vidops.resources.specs import Program, SecretRef

LAYOUT = Layout("/run/vidops", "/var/lib/vidops", "/srv/footage")


def parse(text: str) -> UnhosedConfigParser:
    parser = UnhosedConfigParser()
    parser.read_string(text)
    return parser


def test_a_program() -> None:
    text = program_conf(
        "source.door", Program(argv=("x",), stop_signal="INT"), LAYOUT, python="/usr/bin/python3", shim="/s/exec.py"
    )
    assert (
        text
        == """\
[program:source.door]
command=/usr/bin/python3 -I -S /s/exec.py /run/vidops/specs/source.door.json
autostart=false
autorestart=false
startsecs=0
startretries=0
stopsignal=INT
stopwaitsecs=10
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile=/run/vidops/logs/source.door.log
stdout_logfile_maxbytes=1048576
stdout_logfile_backups=1
"""
    )


def test_odd_paths_come_back_as_they_were() -> None:
    layout = Layout('/run/it\'s 100% "odd"', "", "")
    parser = parse(program_conf("hub", Program(argv=("x",)), layout, python="/opt/my python", shim="/s/exec.py"))
    command = parser.saneget("program:hub", "command")
    assert shlex.split(command) == ["/opt/my python", "-I", "-S", "/s/exec.py", layout.spec_file("hub")]
    assert parser.saneget("program:hub", "stdout_logfile") == layout.log_file("hub")
    main = parse(supervisord_conf(layout))
    assert main.saneget("unix_http_server", "file") == layout.supervisor_socket
    assert main.saneget("rpcinterface:vidops", "run_dir") == layout.run_dir


@given(st.text())
def test_a_value_is_read_back_or_refused(text: str) -> None:
    try:
        value = ini_value(text)
    except PermanentError:
        return
    assert parse(f"[supervisord]\nx={value}\n").saneget("supervisord", "x") == text


@pytest.mark.parametrize("name", ["", "Hub", "a/b", "..", "a..b", ".a", "a.", "a b", "a:b", "a\n", "x" * 200, "a%b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(PermanentError, match="not a program's name"):
        program_conf(name, Program(argv=("x",)), LAYOUT, python="p", shim="s")


@pytest.mark.parametrize(("signal", "written"), [("TERM", "TERM"), ("SIGINT", "INT"), ("KILL", "KILL")])
def test_signals(signal: str, written: str) -> None:
    text = program_conf("hub", Program(argv=("x",), stop_signal=signal), LAYOUT, python="p", shim="s")
    assert f"stopsignal={written}\n" in text


def test_a_signal_that_is_none_is_refused() -> None:
    with pytest.raises(PermanentError, match="none of TERM"):
        program_conf("hub", Program(argv=("x",), stop_signal="TERM\nuser=root"), LAYOUT, python="p", shim="s")


def test_a_spec_holds_references_and_no_placeholders() -> None:
    program = Program(
        argv=("@ffmpeg@", "-i", "@ffmpeg@", "@run@"),
        env={"A": '%;#"\n'},
        secret_env={"TOKEN": SecretRef(env="CAMERA_TOKEN")},
        directories=("/srv/x",),
    )
    text = program_spec("capture.x", program, owner="o", fingerprint="f", python="/py", ffmpeg="/ff", mounts="/run/m")
    assert json.loads(text) == {
        "program": "capture.x",
        "argv": ["/ff", "-i", "@ffmpeg@", "@run@"],
        "env": {"A": '%;#"\n'},
        "secret_env": {"TOKEN": {"env": "CAMERA_TOKEN"}},
        "directories": ["/srv/x"],
        "mounts": "/run/m",
        "loopback_device": "",
        "owner": "o",
        "fingerprint": "f",
    }


@pytest.mark.parametrize("argv", [(), ("",)])
def test_nothing_to_execute_is_refused(argv: tuple[str, ...]) -> None:
    with pytest.raises(PermanentError, match="command is empty"):
        program_spec("hub", Program(argv=argv), owner="o", fingerprint="f", python="p", ffmpeg="f")


def test_the_main_file_has_no_options_that_supervisord_does_not_know(tmp_path: Path) -> None:
    parser = parse(supervisord_conf(LAYOUT))
    assert set(parser.sections()) == {
        "unix_http_server", "supervisord", "rpcinterface:supervisor", "rpcinterface:vidops", "supervisorctl",
    }  # fmt: skip
    assert parser.saneget("supervisord", "umask") == "077"
