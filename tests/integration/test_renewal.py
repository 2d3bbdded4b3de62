"""A certificate is renewed under a running host: new clients are shown it, and those that are there go on."""

from __future__ import annotations

import http.client
import json
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.gateway.authority import Authority
from vidops.testing import Host, free_port

pytestmark = pytest.mark.integration

STACK = """\
apiVersion: vidops/v1
gateways:
  main:
    bind: "127.0.0.1:{port}"
    tls: {{certfile: {folder}/live/cert.pem, keyfile: {{file: {folder}/live/key.pem}}}}
    routes:
      - {{path: /hi, handler: {{type: respond, body: hi}}}}
"""


@dataclass
class Renewing:
    host: Host
    port: int
    folder: Path
    authority: Authority

    def issue(self) -> tuple[Path, Path, bytes]:
        certfile, keyfile = self.authority.issue(self.folder, CN="localhost")
        return certfile, keyfile, ssl.PEM_cert_to_DER_cert(certfile.read_text())

    def connect(self) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=self.authority.client())
        connection.connect()
        return connection

    def shown(self) -> bytes | None:
        connection = self.connect()
        found = connection.sock.getpeercert(binary_form=True)  # type: ignore[attr-defined]
        connection.close()
        return bytes(found)


@pytest.fixture
def renewing(vidops_host: Callable[..., Host], tmp_path: Path) -> Renewing:
    port, authority = free_port(), Authority(tmp_path)
    (tmp_path / "live").mkdir()
    certfile, keyfile = authority.issue(tmp_path, CN="localhost")
    certfile.rename(tmp_path / "live" / "cert.pem")
    keyfile.rename(tmp_path / "live" / "key.pem")
    host = vidops_host(STACK.format(port=port, folder=tmp_path))
    host.healthy()
    return Renewing(host, port, tmp_path, authority)


def ask(connection: http.client.HTTPSConnection) -> bytes:
    connection.request("GET", "/hi")
    return connection.getresponse().read()


def test_one_file_after_the_other_and_without_a_control_plane(renewing: Renewing) -> None:
    host, folder = renewing.host, renewing.folder
    first, pid = renewing.shown(), host.pid("gateway/main")
    established = renewing.connect()
    assert ask(established) == b"hi"

    # The certificate alone: the pair does not fit, the one before is served, and that is told.
    certfile, keyfile, second = renewing.issue()
    os.replace(certfile, folder / "live" / "cert.pem")
    host.until(lambda: host.resource("gateway/main")["reason"] == "NotRenewed", what="it is told")
    assert "belong together" in host.resource("gateway/main")["message"]
    assert renewing.shown() == first
    answer = host.cli("apply", str(host.stack_path))
    assert answer.returncode != 0
    assert "belong together" in answer.stdout + answer.stderr
    log = Path(host.layout.log_file("gateway.main")).read_text()
    assert "not_renewed" in {json.loads(line)["event"] for line in log.splitlines() if line.startswith("{")}

    os.replace(keyfile, folder / "live" / "key.pem")
    host.until(lambda: renewing.shown() == second, timeout=5, what="the new one")
    host.healthy()
    assert host.cli("apply", str(host.stack_path)).returncode == 0

    # As certbot does it: both by symlinks that lead to others. Nobody but the gateway itself is there to notice.
    host.kill()
    certfile, keyfile, third = renewing.issue()
    for name, target in (("cert.pem", certfile), ("key.pem", keyfile)):
        (folder / name).symlink_to(target)
        os.replace(folder / name, folder / "live" / name)
    host.until(lambda: renewing.shown() == third, timeout=5, what="the third")
    certfile, keyfile, fourth = renewing.issue()
    (folder / "live").rename(folder / "before")
    (folder / "live").mkdir()
    certfile.rename(folder / "live" / "cert.pem")
    keyfile.rename(folder / "live" / "key.pem")
    host.until(lambda: renewing.shown() == fourth, timeout=5, what="the fourth")

    assert ask(established) == b"hi"
    host.start()
    assert host.pid("gateway/main") == pid


def test_an_apply_has_it_renewed_at_once(renewing: Renewing) -> None:
    certfile, keyfile, second = renewing.issue()
    os.replace(keyfile, renewing.folder / "live" / "key.pem")
    os.replace(certfile, renewing.folder / "live" / "cert.pem")
    assert renewing.host.cli("apply", str(renewing.host.stack_path)).returncode == 0
    assert renewing.shown() == second
