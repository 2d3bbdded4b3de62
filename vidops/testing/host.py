"""A real vidops on this machine, in a temporary place, as a process like any user's."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from vidops.control.client import ControlClient, ControlError, NotRunningError
from vidops.resources.layout import Layout
from vidops.resources.resource import Ref
from vidops.runtime.daemon import owner_token
from vidops.runtime.procfs import owned
from vidops.testing.waiting import wait_until

T = TypeVar("T")
START_TIMEOUT = 30.0


class Host:
    """One control plane with its own directories. `stack` is the text of its stack file, at `stack_path`.

    Everything is real: processes, sockets, files. `close()` ends all of it.
    """

    def __init__(self, stack: str, *, python: str = sys.executable, env: Mapping[str, str] | None = None) -> None:
        # Short, since sockets below it have at most 107 bytes of path.
        self.root = Path(tempfile.mkdtemp(prefix="vidops-"))
        self.layout = Layout(f"{self.root}/run", f"{self.root}/state", f"{self.root}/data")
        self.stack_path = self.root / "stack.yaml"
        self.python = python
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("VIDOPS_")},
            "VIDOPS_RUN_DIR": self.layout.run_dir,
            "VIDOPS_STATE_DIR": self.layout.state_dir,
            "VIDOPS_DATA_DIR": self.layout.data_dir,
            **(env or {}),
        }
        self.log_path = self.root / "control.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.write(stack)

    # -- its control plane -----------------------------------------------------------------------------------------

    def start(self, *arguments: str, wait: bool = True) -> Host:
        """Start `vidops run`; with `wait`, return when its first apply is through."""
        begun = len(self.log())
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [self.python, "-m", "vidops.cli", "run", str(self.stack_path), *arguments],
                env=self.env,
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            try:
                wait_until(lambda: self._started(begun), timeout=START_TIMEOUT)
            except AssertionError:
                raise AssertionError(f"no start within {START_TIMEOUT:g}s:\n{self.log()}") from None
        return self

    def _started(self, begun: int) -> bool:
        process = self.process
        assert process is not None
        if process.poll() is not None:
            raise RuntimeError(f"vidops run ended with {process.returncode}:\n{self.log()}")
        return "vidops runs." in self.log()[begun:]

    def stop(self, timeout: float = 60.0) -> int:
        """SIGTERM, and wait; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout)

    def kill(self) -> None:
        """`kill -9` of the control plane alone; the data plane goes on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    # -- its stack file ----------------------------------------------------------------------------------------------

    def write(self, stack: str) -> None:
        """Replace the stack file, atomically, as careful editors do."""
        temporary = self.root / "stack.yaml.new"
        temporary.write_text(textwrap.dedent(stack))
        temporary.replace(self.stack_path)

    def cli(self, *arguments: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run `vidops ARGUMENTS` against this host; never raises for its exit code."""
        return subprocess.run(
            [self.python, "-m", "vidops.cli", *arguments],
            env=self.env,
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    # -- what is ---------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """`GET /v1/status`."""
        answer: dict[str, Any] = ControlClient(self.layout.control_socket).get("/v1/status")
        return answer

    def resource(self, name: str) -> dict[str, Any]:
        """One resource's status by `kind/name`; empty where there is none."""
        ref = Ref.parse(name)
        for resource in self.status()["resources"]:
            if (resource["kind"], resource["name"]) == (ref.kind, ref.name):
                found: dict[str, Any] = resource
                return found
        return {}

    def health(self, name: str) -> str:
        return str(self.resource(name).get("health", ""))

    def pid(self, name: str) -> int:
        """The pid of a resource's process; 0 where it has none now."""
        return int(self.resource(name).get("pid", 0))

    def until(self, check: Callable[[], T], *, timeout: float = 20.0, what: str = "") -> T:
        """`wait_until`, where "the control plane does not answer" is a no, too; tells status and log where it fails."""

        def patient() -> T | None:
            try:
                return check()
            except (NotRunningError, ControlError) as error:
                raise AssertionError(str(error)) from error

        try:
            answer = wait_until(patient, timeout=timeout, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._story()}") from error
        assert answer is not None
        return answer

    def healthy(self, *, timeout: float = 30.0) -> None:
        """Wait until everything is `Synced` and `Healthy`."""

        def check() -> bool:
            status = self.status()
            return bool(status["sync"] == "Synced" and status["health"] == "Healthy")

        self.until(check, timeout=timeout, what="everything healthy")

    def _story(self) -> str:
        with contextlib.suppress(NotRunningError, ControlError):
            return f"{json.dumps(self.status(), indent=1)}\n{self.log()[-4000:]}"
        return self.log()[-4000:]

    def processes(self) -> list[int]:
        """Every process that belongs to this host's data plane, by its owner token."""
        return owned(owner_token(self.layout)) if os.path.isdir(self.layout.run_dir) else []

    # -- the end ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End everything that this host started, and remove its directories."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait(10)
        self.cli("stop")
        deadline = time.monotonic() + 10
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.05)
        shutil.rmtree(self.root, ignore_errors=True)
