"""What the tutorial and the plugin guide tell people to do is done, step by step, with the pages' own text."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from vidops.testing import Host, free_port

pytestmark = [pytest.mark.integration, pytest.mark.long]

TUTORIAL = ROOT / "docs" / "tutorial" / "first-stack.md"
PLUGIN = ROOT / "docs" / "how-to" / "write-a-plugin.md"


def test_the_tutorial(vidops_host: Callable[..., Host]) -> None:
    port = str(free_port())
    first, recorded, private = (b.text.replace("8080", port) for b in blocks(TUTORIAL, "yaml"))
    table, planned = (b.text for b in blocks(TUTORIAL, "text"))
    host = vidops_host(first)
    host.healthy()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stream/door", timeout=20) as stream:
        assert stream.read(1000)
        host.until(lambda: host.resource("source/door")["reason"] == "Online")
        assert said(host) == [line.split()[:4] for line in table.splitlines()[2:]]

        (host.root / "next.yaml").write_text(recorded)
        assert host.cli("plan", "next.yaml").stdout == planned
        host.write(recorded)
        host.until(lambda: host.health("capture/door-archive") == "Healthy")
        rows = host.until(lambda: json.loads(host.cli("recordings", "-o", "json").stdout))
        assert not rows[0]["finished"]

        host.write(recorded.replace("device: door\n", "device: dor\n"))
        host.until(lambda: host.status()["problems"])
        assert "did you mean `door`?" in host.cli("status").stdout

        host.write(recorded + private)
        host.until(lambda: host.health("source/door-private") == "Healthy")
        jpeg(f"http://127.0.0.1:{port}/stream/door-private")

        restarts = host.resource("source/door")["restarts"]
        subprocess.run(["kill", "-9", str(host.pid("source/door"))], check=True)
        host.until(lambda: host.resource("source/door")["restarts"] == restarts + 1)
        host.kill()
        assert stream.read(100_000), "it is the connection of the very beginning"
    host.start()
    host.healthy()
    assert host.cli("stop").returncode == 0
    host.until(lambda: not host.processes())


def said(host: Host) -> list[list[str]]:
    """The status table's first four columns, without its heads."""
    lines = host.cli("status").stdout.splitlines()
    return [line.split()[:4] for line in lines[2:] if line.strip()]


def jpeg(url: str) -> None:
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert b"\xff\xd8\xff" in answer.read(1000)


def test_the_plugin_guide(vidops_host: Callable[..., Host], tmp_path: Path) -> None:
    plugin, test = (b.text for b in blocks(PLUGIN, "python"))
    (stack,) = (b.text for b in blocks(PLUGIN, "yaml"))
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "tile.py").write_text(plugin)
    port = free_port()
    host = vidops_host(stack, env={"PORT": str(port), "VIDOPS_PLUGINS_DIR": json.dumps([str(folder)])})
    host.healthy()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/count", timeout=10) as answer:
        assert json.load(answer) == {"cameras": 1}
    jpeg(f"http://127.0.0.1:{port}/snapshot/wall")

    (tmp_path / "test_tile.py").write_text(test)
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_tile.py"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
