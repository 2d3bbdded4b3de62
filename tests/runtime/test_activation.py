"""Sockets that a service manager passes: taken over, told of, handed on; and a clear word where that cannot be."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from vidops.errors import PermanentError
from vidops.resources.layout import MINFDS
from vidops.runtime import activation
from vidops.runtime.activation import VARIABLE

CHILD = """
import json, os, sys
from vidops.runtime import activation
if "own" in sys.argv:
    os.environ["LISTEN_PID"] = str(os.getpid())
activation.keep(os.environ, os.getpid())
print(json.dumps({
    "told": activation.told(os.environ),
    "left": [n for n in os.environ if n.startswith("LISTEN_")],
    "ports": {n: activation.inherited(n, os.environ).getsockname()[1] for n in activation.told(os.environ)},
    "inheritable": all(os.get_inheritable(fd) for fd in activation.told(os.environ).values()),
}))
"""


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def child(fds: list[int], *words: str, **env: str) -> dict[str, object]:
    """Start `CHILD` as a service manager would, with these as its descriptors from 3 on."""

    def arrange() -> None:
        for i, fd in enumerate([os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]):
            os.dup2(fd, 3 + i)

    out = subprocess.run(
        [sys.executable, "-c", CHILD, *words],
        env={**os.environ, "LISTEN_FDS": str(len(fds)), **env},
        close_fds=False,
        preexec_fn=arrange,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    found: dict[str, object] = json.loads(out)
    return found


def test_sockets_are_found_by_number_and_by_name(listening: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as second:
        ports = [s.getsockname()[1] for s in (listening, second)]
        got = child([listening.fileno(), second.fileno()], "own", LISTEN_FDNAMES="web:api")
    assert got["ports"] == {"3": ports[0], "web": ports[0], "4": ports[1], "api": ports[1]}
    assert got["left"] == []
    assert got["inheritable"] is True
    assert min(got["told"].values()) >= MINFDS  # type: ignore[attr-defined]


@pytest.mark.parametrize("env", [{"LISTEN_PID": "1"}, {"LISTEN_PID": "x"}, {"LISTEN_FDS": "-1"}, {"LISTEN_FDS": ""}])
def test_what_is_for_somebody_else_is_left_alone(listening: socket.socket, env: dict[str, str]) -> None:
    assert child([listening.fileno()], **env)["told"] == {}


@pytest.mark.parametrize("text", ["", "nonsense", "[1]", '{"web": "1"}', '{"web": true}', '{"web": -1}'])
def test_nonsense_tells_of_none(text: str) -> None:
    assert activation.told({VARIABLE: text}) == {}


def test_one_that_was_not_passed_names_those_that_were() -> None:
    with pytest.raises(PermanentError, match=r"fd://web: no such socket was passed \(passed: 3, api\)"):
        activation.inherited("web", {VARIABLE: '{"3": 70, "api": 70}'})


def test_what_is_no_listening_stream_socket_is_refused() -> None:
    reader, writer = os.pipe()
    connected, other = socket.socketpair()
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    cases = {"pipe": reader, "connected": connected.fileno(), "datagrams": datagrams.fileno(), "closed": 1_000_000}
    for name, descriptor in cases.items():
        with pytest.raises(PermanentError, match=f"fd://{name}: "):
            activation.inherited(name, {VARIABLE: json.dumps({name: descriptor})})
    for sock in (connected, other, datagrams):
        sock.close()
    for pipe in (reader, writer):
        os.close(pipe)


def test_the_original_stays_for_the_next(listening: socket.socket) -> None:
    environ = {VARIABLE: json.dumps({"web": listening.fileno()})}
    activation.inherited("web", environ).close()
    with activation.inherited("web", environ) as again:
        assert again.getsockname() == listening.getsockname()
        assert not again.getblocking()
