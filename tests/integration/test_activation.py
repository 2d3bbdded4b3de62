"""Socket activation end to end: what a service manager opens, a gateway below supervisord serves."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable

import pytest

from vidops.runtime.procfs import environment
from vidops.testing import wait_until
from vidops.testing.host import Host

pytestmark = pytest.mark.integration

STACK = """
    apiVersion: vidops/v1
    devices: {test: {source: testsrc}}
    gateways:
      web:
        bind: fd://web
        routes:
          - {path: /hi, handler: {type: respond, body: hi}}
          - {path: /stream/**, handler: {type: stream}}
"""
MANAGER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
os.execv(sys.executable, [sys.executable, "-m", "vidops.cli", *sys.argv[2:]])
"""
"""What systemd does between fork and exec."""


def managed(host: Host, sock: socket.socket, *arguments: str) -> subprocess.Popen[bytes]:
    with open(host.log_path, "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", MANAGER, str(sock.fileno()), *arguments],
            env=host.env, cwd=host.root, pass_fds=[sock.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip


def hi(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/hi", timeout=10) as answer:
        body: bytes = answer.read()
    return body


@pytest.mark.parametrize("keeper", ["supervise", "run"])
def test_a_gateway_serves_what_a_service_manager_opened(vidops_host: Callable[..., Host], keeper: str) -> None:
    host = vidops_host(STACK, start=False)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port, inode = sock.getsockname()[1], os.fstat(sock.fileno()).st_ino
        arguments = [str(host.stack_path)] if keeper == "run" else []
        process = managed(host, sock, keeper, *arguments)
    try:
        if keeper == "supervise":
            wait_until(lambda: os.path.exists(host.layout.supervisor_socket), timeout=20, what="supervisord")
            host.start("--on-exit", "keep")
        wait_until(lambda: os.path.exists(host.layout.gateway_socket("web")), timeout=30, what="the gateway")
        assert hi(port) == b"hi"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/stream/test", timeout=30) as stream:
            assert stream.read(1)
            found = programs(host)
            held = {name: inode in sockets(found[name]) for name in ("gateway.web", "hub", "source.test")}
        assert held == {"gateway.web": True, "hub": False, "source.test": False}
    finally:
        if host.process is not None:
            host.stop()
        process.terminate()
        process.wait(30)


def sockets(pid: int) -> set[int]:
    """The inodes of a process's sockets."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        target = os.readlink(f"/proc/{pid}/fd/{fd}")
        if target.startswith("socket:["):
            found.add(int(target[8:-1]))
    return found


def programs(host: Host) -> dict[str, int]:
    """Pids of the data plane's processes, by program."""
    return {environment(pid).get("VIDOPS_PROGRAM", ""): pid for pid in host.processes()}


def test_without_a_socket_the_gateway_says_what_is_missing(vidops_host: Callable[..., Host]) -> None:
    host = vidops_host(STACK, start=False)
    host.start(wait=False)
    said = host.until(lambda: str(host.resource("gateway/web")) if "fd://web" in str(host.status()) else None)
    assert "FileDescriptorName" in said
