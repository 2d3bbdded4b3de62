"""The exec shim, run as supervisord runs it."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vidops.runtime import exec as shim
from vidops.runtime.exec import Refused, base36, resolve_secret, run_id
from vidops.runtime.procfs import run_is_alive

pytestmark = pytest.mark.integration


def run(tmp_path: Path, outside: dict[str, str] | None = None, **changes: Any) -> subprocess.CompletedProcess[str]:
    spec = {
        "program": "source.door",
        "argv": ["true"],
        "env": {},
        "secret_env": {},
        "directories": [],
        "owner": "token",
        "fingerprint": "abc",
        **changes,
    }
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec))
    argv = [sys.executable, "-I", "-S", shim.__file__, str(path)]
    return subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **(outside or {})}, check=False)


def test_the_program_gets_its_arguments_as_they_are(tmp_path: Path) -> None:
    argv = ["%d", "a ; b # c", '"', "'", "äöü\U0001f600", "", "x\ny"]
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    assert json.loads(run(tmp_path, argv=[sys.executable, "-c", code, *argv]).stdout) == argv


def test_the_environment(tmp_path: Path) -> None:
    result = run(tmp_path, argv=["env"], outside={"SUPERVISOR_ENABLED": "1", "KEPT": "k"}, env={"A": 'b=c"%'})
    lines = result.stdout.splitlines()
    assert {'A=b=c"%', "KEPT=k", "VIDOPS_OWNER=token", "VIDOPS_FINGERPRINT=abc", "VIDOPS_PROGRAM=source.door"} <= set(
        lines
    )
    assert not [line for line in lines if line.startswith("SUPERVISOR_")]


def test_secrets_are_read_at_the_last_moment(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from file\n")
    (tmp_path / "name").write_text("from credential")
    result = run(
        tmp_path,
        argv=["sh", "-c", 'echo "$A,$B,$C"'],
        outside={"SOURCE": "from env", "CREDENTIALS_DIRECTORY": str(tmp_path)},
        secret_env={"A": {"env": "SOURCE"}, "B": {"file": str(tmp_path / "file")}, "C": {"credential": "name"}},
    )
    assert result.stdout == "from env,from file,from credential\n"


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ({"env": "NOT_SET_HERE"}, "NOT_SET_HERE is not set"),
        ({"file": "/nonexistent/secret"}, "cannot read /nonexistent/secret"),
        ({"file": "/dev/zero"}, "not a small file"),
        ({"credential": "../x"}, "LoadCredential="),
        ({}, "reference is empty"),
    ],
)
def test_a_missing_secret_is_named(tmp_path: Path, reference: dict[str, str], says: str) -> None:
    result = run(tmp_path, secret_env={"A": reference})
    assert result.returncode == 78
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_a_credential_cannot_lead_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not a credential's name"):
        resolve_secret({"credential": "../x"}, {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_a_secret_that_is_a_pipe_without_a_writer_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert resolve_secret({"file": str(tmp_path / "pipe")}, {}) == ""


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["/nonexistent/program"], 127, "no such program"),
        (["no-such-program"], 127, "no such program"),
        (["/etc/passwd"], 126, "cannot be executed"),
        ([], 78, "apply the stack file again"),
        (None, 78, "apply the stack file again"),
        ([1], 78, "apply the stack file again"),
    ],
)
def test_what_cannot_be_executed(tmp_path: Path, argv: Any, code: int, says: str) -> None:
    result = run(tmp_path, argv=argv)
    assert (result.returncode, says in result.stderr) == (code, True), result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "changes",
    [
        {"env": {"A": 1}},
        {"env": ["A"]},
        {"env": {"A=B": "nul\0"}},
        {"secret_env": {"A": "B"}},
        {"secret_env": 7},
        {"directories": [1]},
        {"directories": None},
        {"argv": ["a\0b"]},
        {"owner": 1},
    ],
)
def test_a_spec_of_the_wrong_shape_is_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    result = run(tmp_path, **{"argv": ["true"], **changes})
    assert result.returncode in (78, 126)
    assert result.stderr.startswith("vidops: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", "{", '"x"', "\xff"])
def test_a_file_that_is_no_spec(tmp_path: Path, content: str) -> None:
    path = tmp_path / "spec.json"
    path.write_bytes(content.encode("latin-1"))
    argv = [sys.executable, "-I", "-S", shim.__file__, str(path)]
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr.count("\n")) == (78, 1), result.stderr
    assert "apply the stack file again" in result.stderr


def test_directories_are_made_for_the_owner_alone(tmp_path: Path) -> None:
    made = tmp_path / "a" / "b"
    assert run(tmp_path, directories=[str(made)]).returncode == 0
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    (tmp_path / "file").write_text("")
    result = run(tmp_path, directories=[str(tmp_path / "file" / "x")])
    assert result.returncode == 78
    assert "cannot make the directory" in result.stderr


def test_no_directory_is_made_below_a_disk_that_is_away(tmp_path: Path) -> None:
    """What is written there would be hidden when the disk comes back, and fill another one until then."""
    spool, mounts = tmp_path / "data" / ".spool", tmp_path / "mounts.json"
    where: dict[str, Any] = {"directories": [str(spool)], "mounts": str(mounts)}
    mounts.write_text(json.dumps([str(tmp_path / "data")]))
    result = run(tmp_path, **where)
    assert result.returncode == 75
    assert f"the disk of {tmp_path}/data is not mounted" in result.stderr
    assert not spool.parent.exists()
    # Mount points are mounted, other directories are nobody's business, and no list is no disk.
    for known in ('["/proc"]', f'["{tmp_path}/dat"]', "[]"):
        mounts.write_text(known)
        assert run(tmp_path, **where).returncode == 0
    assert run(tmp_path, **where | {"mounts": ""}).returncode == 0


def test_the_run_id_names_this_very_process(tmp_path: Path) -> None:
    code = "import sys, os; print(sys.argv[1], os.getpid()); sys.stdin.read()"
    first = run(tmp_path, argv=[sys.executable, "-c", code, "@run@-@run@"]).stdout
    pid = int(first.split()[1])
    assert re.fullmatch(rf"({base36(pid)}_[0-9a-z]+)-\1 {pid}\n", first)
    assert not run_is_alive(first.partition("-")[0])
    assert run_is_alive(run_id(os.getpid()))
    for nonsense in ("", "_", "zz", "!!_1", f"{base36(os.getpid())}_1"):
        assert not run_is_alive(nonsense)


def test_a_start_whose_supervisord_is_gone_ends_itself(tmp_path: Path) -> None:
    result = run(tmp_path, argv=["echo", "ran"], outside={"VIDOPS_SUPERVISOR_PID": "1"})
    assert result.returncode == 78
    assert result.stdout == ""
    assert run(tmp_path, argv=["echo", "ran"], outside={"VIDOPS_SUPERVISOR_PID": str(os.getpid())}).stdout == "ran\n"
