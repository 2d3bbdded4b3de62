"""The guide to directories of tenants is done, with the page's own plugin and stack, on a whole host."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from vidops.testing import Host, free_port

pytestmark = pytest.mark.integration

GUIDE = ROOT / "docs" / "how-to" / "write-a-tenant-directory.md"
KEY = "ann-key-0123456789"


def asked(port: int, path: str, tenant: str) -> tuple[int, bytes]:
    headers = {"X-API-Key": KEY, "X-Tenant": tenant}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_guide_to_directories_of_tenants(vidops_host: Callable[..., Host], tmp_path: Path) -> None:
    (plugin,) = (b.text for b in blocks(GUIDE, "python"))
    (stack,) = (b.text for b in blocks(GUIDE, "yaml"))
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "acme_tenants.py").write_text(plugin)
    port = free_port()
    env = {"PORT": str(port), "VIDOPS_PLUGINS_DIR": json.dumps([str(folder)]), "ANN_KEY": KEY}
    host = vidops_host(stack, env=env)
    host.healthy()
    assert asked(port, "/snapshot/door", "acme")[0] == 503
    tenants = host.root / "tenants.ini"
    tenants.write_text("[acme]\nmembers = ann\ndevices = door\n[other]\nmembers = ann\ndevices = gate\n[foreign]\n")
    status, picture = asked(port, "/snapshot/door", "acme")
    assert (status, picture[:3]) == (200, b"\xff\xd8\xff")
    assert asked(port, "/snapshot/door", "other")[0] == 404
    assert asked(port, "/snapshot/door", "foreign") == asked(port, "/snapshot/door", "unheard-of")
