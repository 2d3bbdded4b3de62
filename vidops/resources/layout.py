"""Where things are: paths below the runtime, state and data directories, as plain strings. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

SOCKET_PATH_LIMIT = 107
"""Bytes of a unix socket's path that Linux takes (sun_path less the NUL)."""

MINFDS = 64
"""supervisord closes descriptors below this one, its own at the start and a program's before it."""


def split_mode(path: str) -> tuple[str, int | None]:
    """A unix socket's path and the mode in its end: `/run/web.sock?mode=0666`."""
    found = re.fullmatch(r"(.+)\?mode=(0?[0-7]{3})", path, re.DOTALL)
    return (found[1], int(found[2], 8)) if found else (path, None)


@dataclass(frozen=True, slots=True)
class Layout:
    """`run_dir`: sockets and generated files, gone after boot; `state_dir`: what must last; `data_dir`: footage."""

    run_dir: str
    state_dir: str
    data_dir: str

    @property
    def argv(self) -> tuple[str, ...]:
        """The flags that tell a process of ours where things are."""
        return ("--run-dir", self.run_dir, "--state-dir", self.state_dir, "--data-dir", self.data_dir)

    @property
    def lock(self) -> str:
        return f"{self.run_dir}/lock"

    @property
    def control_socket(self) -> str:
        return f"{self.run_dir}/control.sock"

    @property
    def supervisor_socket(self) -> str:
        return f"{self.run_dir}/supervisor.sock"

    @property
    def hub_socket(self) -> str:
        return f"{self.run_dir}/hub.sock"

    def input_socket(self, camera: str) -> str:
        """Where a source delivers frames (the hub listens)."""
        return f"{self.run_dir}/in/{camera}.sock"

    def output_socket(self, camera: str) -> str:
        """Where FFmpeg reads every frame (the hub listens)."""
        return f"{self.run_dir}/out/{camera}.sock"

    def gateway_socket(self, name: str) -> str:
        return f"{self.run_dir}/gateway/{name}.sock"

    def camera_file(self, camera: str) -> str:
        return f"{self.run_dir}/cameras/{camera}.json"

    def gateway_file(self, name: str) -> str:
        return f"{self.run_dir}/gateways/{name}.json"

    def program_file(self, program: str) -> str:
        return f"{self.run_dir}/programs/{program}.conf"

    def spec_file(self, program: str) -> str:
        return f"{self.run_dir}/specs/{program}.json"

    def log_file(self, program: str) -> str:
        return f"{self.run_dir}/logs/{program}.log"

    def upload_file(self, name: str) -> str:
        """What an upload says of itself."""
        return f"{self.run_dir}/uploads/{name}.json"

    @property
    def mounts_file(self) -> str:
        """JSON: the data directories that something was mounted on, which are not to be filled without it."""
        return f"{self.run_dir}/mounts.json"

    @property
    def database(self) -> str:
        return f"{self.state_dir}/state.db"

    def cache_folder(self, gateway: str) -> str:
        """Files of what the routes of a gateway's process keep to answer again, each named by its route's key."""
        return f"{self.state_dir}/cache/{gateway}"

    def spool(self, capture: str) -> str:
        """Where a capture's unfinished segments grow, on the same file system as the finished ones."""
        return f"{self.data_dir}/.spool/{capture}"

    @property
    def recordings_index(self) -> str:
        return f"{self.data_dir}/.index/recordings.db"

    @property
    def directories(self) -> tuple[str, ...]:
        """Those below the runtime directory, to be made 0700."""
        names = ("in", "out", "events", "gateway", "cameras", "gateways", "programs", "specs", "logs", "uploads")
        return tuple(f"{self.run_dir}/{n}" for n in names)


def gateway_workers(gateway: str, workers: int) -> list[str]:
    """What the processes of a gateway are called: `main`, `main.2`, `main.3`. No gateway's own name has a dot."""
    return [gateway, *(f"{gateway}.{number}" for number in range(2, workers + 1))]
