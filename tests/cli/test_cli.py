"""Commands that need no control plane, as processes like any user's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STACK = """\
apiVersion: vidops/v1
devices:
  cam: {source: testsrc}
"""
ACTIONS = ["hub/hub", "source/cam"]


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "stack.yaml"
    path.write_text(STACK)
    return path


def vidops(where: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    places = {f"VIDOPS_{n.upper()}_DIR": str(where / n) for n in ("run", "state", "data")}
    return subprocess.run(
        [sys.executable, "-m", "vidops.cli", *arguments],
        env={**os.environ, **places, **env},
        cwd=where,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_check(tmp_path: Path, stack: Path) -> None:
    result = vidops(tmp_path, "check", str(stack))
    assert (result.returncode, result.stdout) == (0, f"{stack}: ok (1 hub, 1 source)\n")
    assert json.loads(vidops(tmp_path, "check", str(stack), "-o", "json").stdout)["ok"] is True


def test_check_tells_all_errors_with_their_places(tmp_path: Path, stack: Path) -> None:
    stack.write_text(STACK.replace("testsrc", "testsrcc") + "  two: {source: testsrc, mod: {}}\n")
    result = vidops(tmp_path, "check", str(stack))
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert lines[0].startswith(f"{stack}:3:")
    assert "testsrc" in lines[0]
    assert lines[1].startswith(f"{stack}:4:")
    assert "mode" in lines[1]
    assert lines[2] == "2 errors."
    problems = json.loads(vidops(tmp_path, "check", str(stack), "-o", "json").stdout)["problems"]
    assert [p["line"] for p in problems] == [3, 4]


def test_a_missing_file_is_an_error_not_a_traceback(tmp_path: Path) -> None:
    result = vidops(tmp_path, "check", "nowhere.yaml")
    assert result.returncode == 1
    assert "nowhere.yaml" in result.stderr
    assert "Traceback" not in result.stderr


def test_plan_on_a_machine_where_nothing_runs(tmp_path: Path, stack: Path) -> None:
    result = vidops(tmp_path, "plan", str(stack))
    assert result.returncode == 0
    assert [line.split()[1] for line in result.stdout.splitlines() if line.startswith("+")] == ACTIONS
    assert vidops(tmp_path, "plan", str(stack), "--detailed-exitcode").returncode == 2
    plan = json.loads(vidops(tmp_path, "plan", str(stack), "-o", "json").stdout)
    assert plan["create"] == 2
    # A look leaves nothing behind.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["stack.yaml"]


def test_diff_has_the_exit_codes_of_diff(tmp_path: Path, stack: Path) -> None:
    assert vidops(tmp_path, "diff", str(stack)).returncode == 1
    assert vidops(tmp_path, "diff", "nowhere.yaml").returncode == 2


@pytest.mark.parametrize("command", [["status"], ["apply", "x.yaml"]])
def test_commands_that_need_a_control_plane_say_so(tmp_path: Path, command: list[str]) -> None:
    result = vidops(tmp_path, *command)
    assert result.returncode == 1
    assert "vidops run FILE" in result.stderr


def test_stop_where_nothing_runs(tmp_path: Path) -> None:
    result = vidops(tmp_path, "stop")
    assert (result.returncode, result.stdout) == (0, "Nothing runs.\n")


def test_a_misspelt_command_is_guessed(tmp_path: Path) -> None:
    result = vidops(tmp_path, "aply")
    assert result.returncode == 2
    assert "'apply'" in result.stderr


def test_a_bad_duration_is_named(tmp_path: Path) -> None:
    result = vidops(tmp_path, "apply", "x.yaml", "--timeout", "5")
    assert result.returncode == 2
    assert "--timeout" in result.stderr


def test_no_colours_when_piped(tmp_path: Path) -> None:
    assert "\x1b" not in vidops(tmp_path, "plugins").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(tmp_path: Path, shell: str) -> None:
    result = vidops(tmp_path, "completion", shell)
    assert result.returncode == 0
    assert "_VIDOPS_COMPLETE" in result.stdout


def test_completion_offers_commands(tmp_path: Path) -> None:
    env = {"_VIDOPS_COMPLETE": "bash_complete", "COMP_WORDS": "vidops re", "COMP_CWORD": "1"}
    assert "recordings" in vidops(tmp_path, **env).stdout


def test_schema_is_the_committed_one(tmp_path: Path) -> None:
    committed = Path(__file__).parents[2] / "schemas" / "stack.v1.schema.json"
    assert json.loads(vidops(tmp_path, "schema").stdout) == json.loads(committed.read_text())


def test_settings_that_are_wrong_are_named(tmp_path: Path) -> None:
    result = vidops(tmp_path, "plugins", VIDOPS_LOG_LEVEL="loud")
    assert result.returncode == 1
    assert "log_level" in result.stderr
