"""Run under umockdev-wrapper: plugs a camera in and out while vidops runs, and prints how long after each plug its
program was started, in seconds, as a line of JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from tests.devices.testbed import PCI, Testbed, node, usb
from vidops.testing import Host, wait_until

ROUNDS = 9
STACK = """\
apiVersion: vidops/v1
devices:
  door: {source: v4l2, match: {serial: SN1}, always_on: true}
"""
IN_ITS_PLACE = "#!/bin/sh\ndate +%s.%N >> '{said}'\nexec sleep 1000\n"
"""FFmpeg could not open such a device: it has no pictures. This says when it would have begun."""


def main() -> None:
    testbed = Testbed()
    testbed.add(usb("1", serial="SN1"))
    host = Host(STACK, env=testbed.environment)
    said = host.root / "starts"
    program = host.root / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(IN_ITS_PLACE.format(said=said))
    program.chmod(0o755)
    host.env["PATH"] = f"{program.parent}{os.pathsep}{host.env['PATH']}"
    took = []
    try:
        host.start()
        for number in range(ROUNDS):
            host.until(lambda: host.resource("source/door")["reason"] == "DeviceMissing", what="no camera")
            # umockdev leaves its nodes behind, so each has other numbers than the one before.
            first = 2 * number
            nodes = [f"{PCI}/usb1/1-1/1-1:1.0/video4linux/video{n}" for n in (first, first + 1)]
            testbed.add(node(first, "1", serial="SN1") + node(first + 1, "1", serial="SN1", caps=":", index=1))
            plugged = time.time()
            for path in nodes:
                testbed.uevent(path, "add")
            wait_until(lambda number=number: starts(said) > number, what="its start")  # type: ignore[misc]
            took.append(float(said.read_text().split()[-1]) - plugged)
            for path in nodes:
                testbed.remove(path)
            said.write_text("\n".join("0" for _ in range(number + 1)) + "\n")
    finally:
        host.close()
    print(json.dumps(took))


def starts(said: Path) -> int:
    return len(said.read_text().split()) if said.exists() else 0


if __name__ == "__main__":
    main()
    sys.exit(0)
