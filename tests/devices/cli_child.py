"""Run under umockdev-wrapper: pretends two cameras, runs `vidops devices` beside them, and prints what it said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.devices.layouts import PORT, webcam
from tests.devices.testbed import PCI, Testbed

STACK = """\
apiVersion: vidops/v1
devices:
  door: {source: v4l2, match: {serial: SN1}}
  yard: {source: v4l2, match: {serial: SN9}}
"""


def main() -> None:
    testbed = Testbed()
    testbed.add(webcam(0, "1", "SN1") + webcam(2, "2"))
    with tempfile.TemporaryDirectory() as folder:
        stack = Path(folder, "stack.yaml")
        stack.write_text(STACK)
        places = {"VIDOPS_RUN_DIR": f"{folder}/run", "VIDOPS_STATE_DIR": f"{folder}/state"}
        env = {**os.environ, **testbed.environment, **places}

        def vidops(*arguments: str) -> list[str]:
            return [sys.executable, "-m", "vidops.cli", "devices", *arguments]

        def said(*arguments: str) -> str:
            return subprocess.run(vidops(*arguments), env=env, capture_output=True, text=True, check=True).stdout

        found = {
            "plain": said(),
            "all": said("--all"),
            "matched": said(str(stack)),
            "json": json.loads(said(str(stack), "-o", "json")),
            "suggested": said("--suggest"),
            "suggested beside": said(str(stack), "--suggest"),
        }
        with subprocess.Popen(
            vidops(str(stack), "--watch", "-o", "json"), env=env, stdout=subprocess.PIPE, text=True
        ) as watching:
            assert watching.stdout is not None

            def news(count: int) -> list[dict[str, object]]:
                assert watching.stdout is not None
                return [json.loads(watching.stdout.readline()) for _ in range(count)]

            present = news(4)
            home = f"{PCI}/usb1/1-2/1-2:1.0/video4linux/video2"
            testbed.remove(home)
            removed = news(1)
            testbed.add(webcam(6, "3", "SN9"))
            for number in (6, 7):
                testbed.uevent(f"{PCI}/usb1/1-3/1-3:1.0/video4linux/video{number}", "add")
            added = news(2)
            watching.terminate()
        found["watched"] = [[what["event"], what["device"]] for what in (*present, *removed, *added)]
        print(json.dumps({**found, "port": PORT.format("2")}))


if __name__ == "__main__":
    main()
