"""ssh to the guest: one shared connection, commands with deadlines, a host key that is checked."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
ALIAS = "vidops-lab"
"""The name under which the host key is known: the port differs at each start."""


class CommandFailed(AssertionError):
    """A command in the guest ended badly. An AssertionError: in a test, that is what it means."""


@dataclass(frozen=True, slots=True)
class Ssh:
    """A way into the guest. `directory` holds the control socket: keep its path short (a unix socket's limit)."""

    port: int
    private_key: Path
    host_key: str
    directory: Path

    @property
    def options(self) -> list[str]:
        """`-o` options that every client needs, Ansible's own ssh included."""
        known = self.directory / "known_hosts"
        if not known.exists():
            known.write_text(f"{ALIAS} {self.host_key}\n")
        pairs = {
            "HostKeyAlias": ALIAS,
            "UserKnownHostsFile": str(known),
            "StrictHostKeyChecking": "yes",
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": "20",
            # Without these a client would wait for minutes on a guest whose power was cut.
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "6",
            "LogLevel": "ERROR",
        }
        return [part for name, value in pairs.items() for part in ("-o", f"{name}={value}")]

    @property
    def _shared(self) -> list[str]:
        # An emulated key exchange takes a second: pay it once a boot.
        return ["-o", "ControlMaster=auto", "-o", f"ControlPath={self.directory}/ssh", "-o", "ControlPersist=600"]

    def argv(self, command: str) -> list[str]:
        """The client's command line that runs `command` (by the guest's shell) as root."""
        client = ["ssh", *self.options, *self._shared, "-i", str(self.private_key), "-p", str(self.port)]
        return [*client, f"root@{HOST}", command]

    def run(self, command: str, *, timeout: float, input: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(command), input=input, capture_output=True, text=True, timeout=timeout, check=False
        )

    def copy(self, source: str, target: str, *, timeout: float) -> None:
        """scp, either way; the guest's side is written `guest:/path`."""
        sides = [s.replace("guest:", f"root@{HOST}:", 1) for s in (source, target)]
        client = ["scp", "-q", "-r", *self.options, *self._shared, "-i", str(self.private_key), "-P", str(self.port)]
        done = subprocess.run([*client, *sides], capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode:
            raise CommandFailed(f"scp {source} {target}: {done.stderr.strip()}")

    def close(self) -> None:
        """End the shared connection, if there is one (a client left behind would keep a dead port's socket)."""
        subprocess.run(
            ["ssh", "-O", "exit", "-o", f"ControlPath={self.directory}/ssh", HOST],
            capture_output=True,
            timeout=30,
            check=False,
        )
