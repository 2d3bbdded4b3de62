"""The OpenAPI that a gateway serves: valid, whole, and true, whatever it is asked with (schemathesis)."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from vidops.testing import Host, free_port

pytestmark = pytest.mark.integration

STACK = """\
apiVersion: vidops/v1
devices:
  cam: {{source: testsrc, mode: {{video_size: 160x120, framerate: 15}}, always_on: true}}
captures:
  asked: {{device: cam, on_demand: true}}
  all: {{device: cam, segment: {{duration: 2s}}}}
gateways:
  web:
    bind: 127.0.0.1:{port}
    routes:
      - {{path: /v1/devices/**, handler: {{type: devices, writable: true}}}}
      - {{path: /v1/captures/**, handler: {{type: captures, writable: true}}}}
      - {{path: /v1/recordings/**, handler: {{type: recordings}}}}
      - {{path: /v1/status, handler: {{type: status}}}}
      - {{path: /devices/**, handler: {{type: registry}}}}
      - {{path: /snapshot/**, handler: {{type: snapshot, timeout: 2s}}}}
      - {{path: /stream/**, handler: {{type: stream}}}}
      - {{path: /readyz, handler: {{type: health}}}}
      - {{path: /tenant/*/devices/**, methods: [GET], chain: [limits], handler: {{type: devices, writable: true}}}}
      - {{path: /docs/**, handler: {{type: docs, title: "Front <desk>"}}}}
"""
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.fixture
def port(vidops_host: Callable[..., Host]) -> int:
    found = free_port()
    vidops_host(STACK.format(port=found)).healthy()
    return found


def read(port: int, path: str) -> tuple[Any, bytes]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.headers, answer.read()


def test_what_is_served_is_what_is_said(port: int, tmp_path: Path) -> None:
    _, data = read(port, "/docs/openapi.json")
    document = json.loads(data)
    validate(document)
    paths = document["paths"]
    assert paths["/v1/devices/{name}/controls"].keys() == {"get", "patch"}
    # What a route does not answer is not in it; what its chain may answer is.
    assert paths["/tenant/{segment1}/devices/{name}/controls"].keys() == {"get"}
    assert "429" in paths["/tenant/{segment1}/devices"]["get"]["responses"]
    assert "429" not in paths["/v1/devices"]["get"]["responses"]
    headers, page = read(port, "/docs")
    assert headers["content-type"].startswith("text/html")
    assert b"Front &lt;desk&gt;" in page
    assert b"/v1/devices/{name}/controls" in page
    # A stream has no end, and would be waited for.
    command = [Path(sys.executable).with_name("schemathesis"), "run", f"http://127.0.0.1:{port}/docs/openapi.json"]
    options = ["--checks", CHECKS, "--max-examples", "25", "--exclude-path-regex", "^/stream", "--no-color"]
    more = ["--seed", "1", "--request-timeout", "20"]
    done = subprocess.run(
        [*command, *options, *more], capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "generated" in done.stdout, done.stdout
