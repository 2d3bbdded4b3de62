"""A gateway whose process has to be another, under load: its clients do not notice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.viewer import Load
from vidops.testing import Host, free_port, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.long]
STACK = """\
apiVersion: vidops/v1
gateways:
  main:
    bind: "127.0.0.1:{port}"
    routes:
      - {{path: /hi, handler: {{type: respond, body: hi}}}}
"""


def test_other_plugins_need_another_process_and_nobody_notices(
    vidops_host: Callable[..., Host], tmp_path: Path
) -> None:
    port = free_port()
    host = vidops_host(STACK.format(port=port))
    host.healthy()
    old = host.resource("gateway/main")["pid"]
    load = Load(port, "/hi")
    try:
        wait_until(lambda: load.done > 20, what="answers")
        # Where plugins come from is said at the start of the control plane: what runs goes on without it.
        host.kill()
        host.env["VIDOPS_PLUGINS_DIR"] = f'["{tmp_path}"]'
        host.start()
        host.until(lambda: host.resource("gateway/main")["pid"] not in (0, old), what="another process")
        wait_until(lambda: not Path(f"/proc/{old}").exists(), what="the one before it is gone")
        done = load.done
        wait_until(lambda: load.done > done + 20, what="answers of the next")
        host.healthy()
    finally:
        load.close()
    assert load.failures == []
