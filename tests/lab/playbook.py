"""Runs the project's playbook against a guest, as its users run it against their hosts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .cache import Cache, digest
from .guest import Guest
from .ssh import HOST

ANSIBLE = Path(__file__).parents[2] / "deploy" / "ansible"
REQUIREMENTS = Path(__file__).parent / "requirements.txt"


@dataclass(frozen=True, slots=True)
class PlayResult:
    """How a play ended: the recap's counts for the guest, and all that Ansible printed."""

    ok: int
    changed: int
    failed: int
    unreachable: int
    output: str


def ensure_ansible(cache: Cache) -> Path:
    """The `ansible-playbook` of the lab's own virtual environment."""

    def build(directory: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", directory], check=True)
        _pip(directory, "install", "--quiet", "-r", str(REQUIREMENTS))

    key = digest([REQUIREMENTS.read_bytes(), sys.version])
    return cache.get("ansible", key, build) / "bin" / "ansible-playbook"


def _pip(venv: Path, *arguments: str) -> None:
    subprocess.run([venv / "bin" / "python", "-m", "pip", "--disable-pip-version-check", *arguments], check=True)


def play(
    ansible: Path, guest: Guest, directory: Path, *, timeout: float, tags: str = "all", **variables: object
) -> PlayResult:
    """Run site.yml with the guest as the only host of `vidops_hosts`. `directory`: for the inventory."""
    host: dict[str, object] = {
        "ansible_host": HOST,
        "ansible_port": guest.ssh.port,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(guest.ssh.private_key),
        "ansible_ssh_common_args": " ".join(guest.ssh.options),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    inventory = directory / "inventory.json"
    hosts = {"vidops_hosts": {"hosts": {"guest": host | variables}}}
    inventory.write_text(json.dumps(hosts))
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
        "ANSIBLE_HOME": str(directory / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
    }
    # Started through its Python: a virtual environment that was moved into the cache has scripts with the old path.
    command: list[str | Path] = [
        ansible.parent / "python",
        ansible,
        "-i",
        inventory,
        "--tags",
        tags,
        ANSIBLE / "site.yml",
    ]
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    counts = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", done.stdout.rpartition("PLAY RECAP")[2])}
    if not counts:
        raise AssertionError(f"ansible-playbook gave no recap (exit {done.returncode}):\n{done.stdout}")
    return PlayResult(counts["ok"], counts["changed"], counts["failed"], counts["unreachable"], done.stdout)
