"""Plugins of others: installed for real, and broken ones that take nothing else down."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vidops.testing import Host

pytestmark = pytest.mark.integration

ACME = Path(__file__).parents[1] / "thirdparty" / "acme"
BROKEN = 'raise RuntimeError("this plugin is broken")\n'
STACK = """\
apiVersion: vidops/v1
devices:
  good: {source: testsrc, mode: {video_size: 160x120, framerate: 5}, always_on: true}
"""


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example distribution, built and installed by pip into a directory of its own."""
    target = tmp_path_factory.mktemp("acme")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(ACME)],
        check=True,
        timeout=170,
    )
    return target


@pytest.mark.long
def test_a_third_partys_own_test_passes(acme: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(acme), os.environ.get("PYTHONPATH"))))}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(ACME / "tests")],
        env=env,
        cwd=acme,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 passed" in result.stdout


def test_a_plugin_that_raises_is_named_and_takes_nothing_down(vidops_host: Callable[..., Host], tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    host = vidops_host(STACK, env={"VIDOPS_PLUGINS_DIR": f'["{tmp_path}"]'})
    host.healthy()
    listed = host.cli("plugins").stdout
    assert "RuntimeError: this plugin is broken" in listed
    assert "source:testsrc" in listed


def test_what_needs_a_broken_plugin_says_so(vidops_host: Callable[..., Host], tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    host = vidops_host(
        STACK + "  needs_it: {source: acme_special}\n", start=False, env={"VIDOPS_PLUGINS_DIR": f'["{tmp_path}"]'}
    )
    result = host.cli("check", str(host.stack_path))
    assert result.returncode == 1
    assert "stack.yaml:4:" in result.stderr
    assert "plugin broken did not load: RuntimeError: this plugin is broken" in result.stderr


def test_a_start_goes_around_what_needs_a_broken_plugin(vidops_host: Callable[..., Host], tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    needing = STACK + "  needs_it: {source: acme_special}\ncaptures: {of_it: {device: needs_it}}\n"
    host = vidops_host(needing, env={"VIDOPS_PLUGINS_DIR": f'["{tmp_path}"]'})
    host.until(lambda: host.health("source/good") == "Healthy", what="the other camera")
    for name in ("source/needs_it", "capture/of_it"):
        assert host.health(name) == "Degraded"
        assert host.resource(name)["reason"] == "PluginBroken"
    assert "this plugin is broken" in host.resource("source/needs_it")["message"]


def test_a_blocked_plugin_is_not_loaded(vidops_host: Callable[..., Host], tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    host = vidops_host(
        STACK,
        start=False,
        env={"VIDOPS_PLUGINS_DIR": f'["{tmp_path}"]', "VIDOPS_BLOCKED_PLUGINS": '["broken"]'},
    )
    listed = host.cli("plugins").stdout
    assert "blocked by configuration" in listed
    assert "RuntimeError" not in listed
