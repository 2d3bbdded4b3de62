"""Fixtures of the lab: one guest a session, provisioned once by the role that users run."""

from __future__ import annotations

import subprocess
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from .cache import Cache, cache_directory
from .guest import Guest
from .image import ensure_image
from .playbook import PlayResult, ensure_ansible, play
from .wheels import build_wheel, ensure_wheelhouse

LAB = Path(__file__).parent
STACK = LAB / "stack.yaml"

GUEST = pytest.StashKey[Guest]()

TEST_SECONDS = 1500
"""A test's limit. The first one's holds the build of the image, the boot and the provisioning."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(LAB):
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows the guest's side of it: the console's end, the services and their logs."""
    report = yield
    if report.failed and (machine := item.session.stash.get(GUEST, None)) is not None:
        report.sections.append(("the guest", machine.report()))
    return report


@pytest.fixture(scope="session")
def cache() -> Cache:
    root = cache_directory()
    root.mkdir(parents=True, exist_ok=True)
    subprocess.run([LAB / "setup.sh"], stdin=subprocess.DEVNULL, check=True)
    return Cache(root)


@pytest.fixture(scope="session")
def guest(cache: Cache, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """The booted guest, as its image has it or as earlier tests left it: each test leaves it as it found it."""
    machine = request.session.stash[GUEST] = Guest(ensure_image(cache), tmp_path_factory.mktemp("guest"))
    try:
        machine.start()
        yield machine
    finally:
        machine.end()


@dataclass(frozen=True, slots=True)
class Provisioning:
    """The role, ready to be run (again) on the guest, and how its first run ended."""

    first: PlayResult
    again: partial[PlayResult]


@pytest.fixture(scope="session")
def provisioning(cache: Cache, guest: Guest, tmp_path_factory: pytest.TempPathFactory) -> Provisioning:
    directory = tmp_path_factory.mktemp("ansible")
    again = partial(
        play,
        ensure_ansible(cache),
        guest,
        directory,
        timeout=900,
        vidops_wheel=str(build_wheel(directory)),
        vidops_wheelhouse=str(ensure_wheelhouse(cache)),
        vidops_stack=str(STACK),
        # Emulated, everything starts several times slower than on a host.
        vidops_apply_timeout="180s",
    )
    return Provisioning(again(), again)


@pytest.fixture
def host(guest: Guest, provisioning: Provisioning) -> Guest:
    """The guest as a camera host: the role ended well."""
    assert provisioning.first.failed == 0, provisioning.first.output
    assert provisioning.first.unreachable == 0, provisioning.first.output
    return guest
