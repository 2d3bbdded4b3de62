"""Testing with vidops, for its own tests and for plugins': a real host in a temporary place, and fakes of the ports.

This module is a pytest plugin (entry point `vidops`), so a plugin's tests need not import a thing:

    def test_my_source(vidops_host):
        host = vidops_host('''
            apiVersion: vidops/v1
            devices: {mine: {source: my_source, always_on: true}}
        ''')
        host.until(lambda: host.health("source/mine") == "Healthy")

    fixture vidops_host      starts real control planes, and ends all that they started
    wait_until               wait for a condition with a deadline
    free_port                a TCP port of the loopback interface that nobody uses now
    FakeClock, FakeProcesses, FakeCameras   fakes of `vidops.ports`
"""

from __future__ import annotations

from vidops.testing.fakes import FakeCameras, FakeClock, FakeProcesses
from vidops.testing.fixtures import vidops_host
from vidops.testing.host import Host
from vidops.testing.waiting import free_port, wait_until

__all__ = ["FakeCameras", "FakeClock", "FakeProcesses", "Host", "free_port", "vidops_host", "wait_until"]
