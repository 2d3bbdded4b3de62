"""The plugin's own test: it uses `vidops.testing`, whose fixtures pytest finds by itself."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable

from vidops.testing import Host, free_port

STACK = """\
apiVersion: vidops/v1
devices:
  bars: {{source: acme_bars, always_on: true}}
gateways:
  main:
    bind: "127.0.0.1:{port}"
    chain: [{{type: acme_stamp, text: hello}}]
    routes:
      - {{path: /names, handler: {{type: acme_names}}}}
      - {{path: /snapshot/**, handler: {{type: snapshot}}}}
"""


def test_source_middleware_and_handler(vidops_host: Callable[..., Host]) -> None:
    port = free_port()
    host = vidops_host(STACK.format(port=port))
    host.healthy()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/names", timeout=10) as answer:
        assert answer.headers["x-acme"] == "hello"
        assert json.load(answer) == ["bars"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/snapshot/bars", timeout=10) as answer:
        assert answer.read(2) == b"\xff\xd8"


def test_it_is_listed(vidops_host: Callable[..., Host]) -> None:
    host = vidops_host("apiVersion: vidops/v1\n", start=False)
    listed = json.loads(host.cli("plugins", "-o", "json").stdout)
    mine = next(p for p in listed if p["name"] == "vidops-acme:acme")
    assert mine["version"] == "1.2.3"
    assert mine["registers"] == ["source:acme_bars", "middleware:acme_stamp", "handler:acme_names"]
