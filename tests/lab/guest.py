"""A whole camera host: Linux with systemd, udev, two vivid cameras and two loopback devices, under QEMU."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from . import qmp
from .image import Image
from .ssh import CommandFailed, Ssh

T = TypeVar("T")

HTTP_PORT = 8080
"""The guest's port that is forwarded besides ssh: where the lab's stack binds its gateway."""

SMALL_DISK_BYTES = 64 * 1024 * 1024
"""A second disk, /dev/vdb: to be filled and slowed down."""

BOOT_SECONDS = 240.0
"""Deadline for ssh to answer. It takes 20 to 40 s; other work on the machine may slow it several times."""


def eventually(what: str, probe: Callable[[], T | None], *, within: float, every: float = 0.5) -> T:
    """The first result of `probe` that is neither None nor False, or a failure that says `what` did not come."""
    deadline = time.monotonic() + within
    while True:
        if (found := probe()) is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what}")
        time.sleep(every)


class Guest:
    """One guest on one overlay of the image: what a run writes survives its power cuts, and ends with the run.

    Emulated (the build machines offer no KVM), hence slow: compare its timings only with each other. Its network
    leads nowhere but through the two forwarded ports.
    """

    def __init__(self, image: Image, directory: Path) -> None:
        """`directory`: for the overlay and the console's log."""
        self._image = image
        self._directory = directory
        self._qemu: subprocess.Popen[bytes] | None = None
        self._overlay = directory / "disk.qcow2"
        self.console = directory / "console.log"
        # Unix sockets live here: pytest's own directories have longer paths than a socket may have.
        self._sockets = tempfile.TemporaryDirectory(prefix="lab-")
        self._control = Path(self._sockets.name) / "qmp"
        self._small_disk = directory / "small.raw"
        self._ssh: Ssh | None = None
        self.http_port = 0
        """Host port of the guest's HTTP_PORT; another one after each start."""

    # Power

    def start(self) -> None:
        """Boot, and return once ssh answers."""
        assert self._qemu is None, "the guest runs already"
        if not self._overlay.exists():
            subprocess.run(
                ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", self._image.disk, self._overlay],
                check=True,
            )
        with self._small_disk.open("ab") as file:
            file.truncate(SMALL_DISK_BYTES)
        control = self._control
        control.unlink(missing_ok=True)
        with (self._directory / "qemu.log").open("ab") as log:
            self._qemu = subprocess.Popen(self._argv(control), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        ports = eventually("QEMU's control socket", lambda: self._ports(control), within=30, every=0.05)
        self.http_port = ports[HTTP_PORT]
        self._ssh = Ssh(ports[22], self._image.private_key, self._image.host_key, Path(self._sockets.name))
        eventually("ssh of the guest", self._answers, within=BOOT_SECONDS)

    def power_cut(self) -> float:
        """Kill QEMU as a pulled plug would: nothing in the guest is told. Returns the moment (time.monotonic)."""
        assert self._qemu is not None, "the guest does not run"
        moment = time.monotonic()
        self._qemu.kill()
        self._qemu.wait(30)
        self._qemu = None
        if self._ssh is not None:
            self._ssh.close()
            self._ssh = None
        return moment

    def end(self) -> None:
        """The end of this guest, whatever state it is in. Its disk is not asked to be whole again."""
        if self._qemu is not None:
            self.power_cut()
        self._sockets.cleanup()
        self._overlay.unlink(missing_ok=True)
        self._small_disk.unlink(missing_ok=True)

    @property
    def running(self) -> bool:
        return self._qemu is not None and self._qemu.poll() is None

    # Commands

    @property
    def ssh(self) -> Ssh:
        assert self._ssh is not None, "the guest does not run"
        return self._ssh

    def run(self, command: str, *, timeout: float = 60, input: str | None = None) -> str:
        """What `command` printed, run by root's shell in the guest; a failure tells all that it said."""
        done = self.ssh.run(command, timeout=timeout, input=input)
        if done.returncode:
            raise CommandFailed(f"in the guest: {command}\nexit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def succeeds(self, command: str, *, timeout: float = 60) -> bool:
        return self.ssh.run(command, timeout=timeout).returncode == 0

    def write(self, path: str, text: str) -> None:
        """Put a file in place as an editor does: written aside, then renamed over."""
        aside, target = shlex.quote(f"{path}.lab"), shlex.quote(path)
        same = f"chmod --reference={target} {aside} && chown --reference={target} {aside}"
        self.run(f"cat > {aside} && {same}; mv {aside} {target}", input=text)

    # Cameras

    def unplug(self) -> None:
        """Take the vivid cameras away (both: they are one platform device): real udev events, and open ones fail."""
        self.run("echo vivid.0 > /sys/bus/platform/drivers/vivid/unbind")

    def plug(self) -> None:
        """Bring them back, as a replug does: perhaps under other numbers."""
        self.run("echo vivid.0 > /sys/bus/platform/drivers/vivid/bind")

    # Disks

    def slow_disk(self, bytes_per_second: int) -> None:
        """Let the small disk take so much and no more, as a worn card does; 0: as fast as it can."""
        rates = dict.fromkeys(("bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"), 0)
        qmp.ask(self._control, "block_set_io_throttle", {"device": "small", "bps": bytes_per_second, **rates})

    # What to show of a failure

    def report(self) -> str:
        """The console's end, and the services' where the guest still answers."""
        said = self.console.read_text(errors="replace") if self.console.exists() else ""
        console = "\n".join(said.splitlines()[-40:])
        if not self.running or self._ssh is None:
            return f"{console}\n(the guest does not run)"
        try:
            units = self._ssh.run(
                "systemctl --no-pager --full status 'vidops*' | head -60;"
                " journalctl -o short-monotonic -n 60 -u 'vidops*'; tail -n 15 /run/vidops/logs/*",
                timeout=60,
            ).stdout
        except subprocess.TimeoutExpired:
            units = "(ssh does not answer)"
        return f"{console}\n{units}"

    def _argv(self, control: Path) -> list[str]:
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:0-:{port}" for port in (22, HTTP_PORT))
        return [
            # The guest must not outlive the tests, even where they are killed. All of these exec: one pid.
            *("setpriv", "--pdeathsig", "KILL", "nice", "-n", "10", "qemu-system-x86_64"),
            *("-accel", "tcg,thread=multi", "-smp", "2", "-m", "2048", "-display", "none", "-no-reboot"),
            *("-kernel", str(self._image.kernel), "-initrd", str(self._image.initrd)),
            *("-append", "root=/dev/vda rw console=ttyS0 quiet mitigations=off"),
            *("-drive", f"file={self._overlay},if=virtio,format=qcow2"),
            *("-drive", f"file={self._small_disk},if=virtio,format=raw,id=small"),
            *("-netdev", f"user,id=net,restrict=on{forwards}", "-device", "virtio-net-pci,netdev=net"),
            *("-chardev", f"file,id=console,path={self.console},append=on", "-serial", "chardev:console"),
            *("-qmp", f"unix:{control},server=on,wait=off"),
        ]

    def _ports(self, control: Path) -> dict[int, int] | None:
        self._check_running()
        try:
            return qmp.forwarded_ports(control)
        except (FileNotFoundError, ConnectionError):
            return None

    def _answers(self) -> bool:
        self._check_running()
        try:
            return self.succeeds("true", timeout=30)
        except subprocess.TimeoutExpired:
            return False

    def _check_running(self) -> None:
        if not self.running:
            log = (self._directory / "qemu.log").read_text(errors="replace")
            raise AssertionError(f"QEMU ended by itself:\n{log}\n{self.console.read_text(errors='replace')[-2000:]}")
