"""The pytest fixtures. `vidops.testing` is the plugin; this is its substance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from vidops.testing.host import Host


@pytest.fixture
def vidops_host() -> Iterator[Callable[..., Host]]:
    """A factory: `vidops_host(stack_text, start=True, **Host's arguments)` gives a running `Host`.

    All of them are ended after the test, whatever became of it.
    """
    hosts: list[Host] = []

    def make(stack: str, *, start: bool = True, **more: Any) -> Host:
        host = Host(stack, **more)
        hosts.append(host)
        return host.start() if start else host

    yield make
    for host in hosts:
        host.close()
