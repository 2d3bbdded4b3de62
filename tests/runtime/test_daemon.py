"""The life of supervisord: it outlives who started it, is adopted, replaced when it dies, and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.runtime.conftest import make_program, text, until
from vidops.errors import PermanentError, TemporaryError
from vidops.resources.layout import Layout
from vidops.runtime import daemon
from vidops.runtime.files import atomic_write
from vidops.runtime.procfs import environment, owned, state
from vidops.runtime.supervisor import Supervisor

pytestmark = pytest.mark.integration

STARTER = """
import asyncio, sys, time
from vidops.resources.layout import Layout
from vidops.runtime.supervisor import Supervisor
print(asyncio.run(Supervisor(Layout(*sys.argv[1:])).ensure_running()), flush=True)
time.sleep(1000)
"""


def gone(pid: int) -> bool:
    return state(pid) in "ZX"


async def test_it_outlives_a_starter_killed_with_9_and_is_adopted(layout: Layout) -> None:
    argv = [sys.executable, "-c", STARTER, layout.run_dir, layout.state_dir, layout.data_dir]
    starter = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert starter.stdout
    pid = int(await asyncio.to_thread(starter.stdout.readline))
    supervisor = Supervisor(layout)
    try:
        await make_program(supervisor, "hub", "sleep", "1000")
        await supervisor.start("hub")
        before = await supervisor.state("hub")
        os.killpg(os.getpgid(starter.pid), 0)
        starter.kill()
        starter.wait()
        assert await supervisor.ensure_running() == pid
        assert await supervisor.state("hub") == before
        assert os.getsid(pid) == os.getpgid(pid) != os.getsid(0)
        # Nothing of the starter's terminal or pipes is held open.
        assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)} == {"/dev/null"}
    finally:
        starter.stdout.close()
        await daemon.shutdown(layout)


async def test_its_death_takes_its_programs_along_and_a_new_one_starts(supervisor: Supervisor) -> None:
    pid = await daemon.supervisord_pid(supervisor.layout)
    await make_program(supervisor, "hub", "sleep", "1000")
    await supervisor.start("hub")
    child = (await supervisor.state("hub")).pid
    await until(lambda: environment(child).get("VIDOPS_PROGRAM") == "hub", "the shim is done")
    events: list[str] = []

    async def listen() -> None:
        async for event in supervisor.events():
            events.append(event.state)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(listen())
        await until(lambda: events == ["RESYNC"], "listening")
        os.kill(pid, signal.SIGKILL)
        await until(lambda: gone(child), "the child died with it")
        await until(lambda: events == ["RESYNC"] * 2, "the listener was told")
        again = await supervisor.ensure_running()
        assert again != pid
        await until(lambda: events == ["RESYNC"] * 3, "the listener is connected again")
        task.cancel()
    assert await supervisor.inventory() == {}
    await supervisor.start("hub")
    assert (await supervisor.state("hub")).running


async def test_orphans_are_swept_and_nobody_else_is(supervisor: Supervisor) -> None:
    token = daemon.owner_token(supervisor.layout)
    env = {**os.environ, "VIDOPS_OWNER": token}
    stranger = subprocess.Popen(["sleep", "1000"], env={**os.environ, "VIDOPS_OWNER": "f" * 32})
    # Its parent ends, as a program's would: it belongs to nobody that lives.
    started = subprocess.run(
        ["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"], env=env, capture_output=True, check=True
    )
    orphan = int(started.stdout)
    await make_program(supervisor, "hub", "sh", "-c", "sleep 1000 & wait")
    await supervisor.start("hub")
    hub = (await supervisor.state("hub")).pid
    await until(lambda: len(owned(token)) == 4, "supervisord, the shell, its child and the orphan")
    family = [pid for pid in owned(token) if pid != orphan]
    try:
        await supervisor.ensure_running()
        assert gone(orphan)
        assert stranger.poll() is None
        assert sorted(owned(token)) == sorted(family)
        assert (await supervisor.state("hub")).pid == hub
    finally:
        stranger.kill()
        stranger.wait()


async def test_grandchildren_of_a_killed_supervisord_are_swept_before_the_next_starts(supervisor: Supervisor) -> None:
    token = daemon.owner_token(supervisor.layout)
    await make_program(supervisor, "hub", "sh", "-c", "sleep 1000 & wait")
    await supervisor.start("hub")
    await until(lambda: len(owned(token)) == 3, "the family")
    family = owned(token)
    os.kill(await daemon.supervisord_pid(supervisor.layout), signal.SIGKILL)
    pid = await supervisor.ensure_running()
    assert owned(token) == [pid]
    assert all(gone(old) for old in family)


async def test_one_that_is_on_its_way_is_given_its_time(supervisor: Supervisor) -> None:
    # Marked as a supervisord, and not listening: like one that has just been started, or is shutting down.
    layout = supervisor.layout
    await daemon.shutdown(layout)
    env = {**os.environ, "VIDOPS_OWNER": daemon.owner_token(layout), "VIDOPS_PROGRAM": "supervisord"}
    hanging = subprocess.Popen(["sleep", "0.5"], env=env)
    began = time.monotonic()
    pid = await supervisor.ensure_running()
    assert pid != hanging.pid
    assert time.monotonic() - began > 0.4, "it was given its time"
    hanging.wait()


async def test_one_that_hangs_is_replaced_with_all_it_ran(supervisor: Supervisor) -> None:
    layout = supervisor.layout
    pid = await daemon.supervisord_pid(layout)
    await make_program(supervisor, "hub", "sleep", "1000")
    await supervisor.start("hub")
    child = (await supervisor.state("hub")).pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(TemporaryError) as error:
        await daemon.supervisord_pid(layout, timeout=0.2)
    assert error.value.reason == "SupervisorBusy"
    assert await daemon.ensure_running(layout, patience=0.5) != pid
    assert gone(pid)
    assert gone(child)


async def test_shutting_down_one_that_hangs(supervisor: Supervisor) -> None:
    layout = supervisor.layout
    os.kill(await daemon.supervisord_pid(layout), signal.SIGSTOP)
    await daemon.shutdown(layout, timeout=0.3)
    assert owned(daemon.owner_token(layout)) == []


async def test_two_starters_at_once_get_the_same_one(layout: Layout) -> None:
    first, second = await asyncio.gather(daemon.ensure_running(layout), daemon.ensure_running(layout))
    assert first == second
    await daemon.shutdown(layout)


async def test_shutdown_leaves_no_process_and_no_socket(supervisor: Supervisor) -> None:
    layout = supervisor.layout
    token = daemon.owner_token(layout)
    for number in range(20):
        await make_program(
            supervisor, f"source.cam-{number}", "sh", "-c", "trap 'sleep 0.3; exit 0' TERM; sleep 1000 & wait"
        )
        await supervisor.start(f"source.cam-{number}")
    began = time.monotonic()
    await supervisor.shutdown()
    took = time.monotonic() - began
    # One after the other they would take six seconds.
    assert took < 4
    assert owned(token) == []
    sockets = [path for path in Path(layout.run_dir).rglob("*") if stat.S_ISSOCK(path.stat().st_mode)]
    assert sockets == []
    await supervisor.shutdown()


async def test_everything_is_for_its_owner_alone(supervisor: Supervisor) -> None:
    await make_program(supervisor, "hub", "sh", "-c", "echo hello; exec sleep 1000")
    await supervisor.start("hub")
    await until(lambda: "hello" in text(supervisor.layout.log_file("hub")), "its log")
    for path in [Path(supervisor.layout.run_dir), *Path(supervisor.layout.run_dir).rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, f"{path} is {mode:o}"


FOREGROUND = """
import sys
from vidops.resources.layout import Layout
from vidops.runtime import daemon
daemon.become_supervisord(Layout(*sys.argv[1:]))
"""


def in_foreground(layout: Layout, **env: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", FOREGROUND, layout.run_dir, layout.state_dir, layout.data_dir]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **env})


async def end(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        process.kill()
        await asyncio.to_thread(process.communicate)


async def test_in_the_foreground(layout: Layout) -> None:
    process = in_foreground(layout)
    try:
        await until(lambda: environment(process.pid).get("VIDOPS_PROGRAM") == "supervisord", "the exec")
        # Waits for the one that is on its way instead of starting a second.
        assert await daemon.ensure_running(layout) == process.pid
        second = in_foreground(layout)
        _, said = await asyncio.to_thread(second.communicate)
        assert f"supervisord (pid {process.pid}) already runs" in said.decode()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 10) == 0
    finally:
        await end(process)
        await daemon.shutdown(layout)


async def test_a_service_managers_restart_is_waited_for(layout: Layout) -> None:
    first = in_foreground(layout)
    await until(lambda: environment(first.pid).get("VIDOPS_PROGRAM") == "supervisord", "the exec")
    await daemon.ensure_running(layout)
    await end(first)
    waiting = asyncio.ensure_future(daemon.ensure_running(layout))
    done, _ = await asyncio.wait([waiting], timeout=0.3)
    assert not done
    second = in_foreground(layout)
    assert await waiting == second.pid
    # And it is not waited for for ever.
    await end(second)
    own = await daemon.ensure_running(layout, patience=0.3)
    assert own != second.pid
    os.kill(own, signal.SIGKILL)
    began = time.monotonic()
    assert await daemon.ensure_running(layout) != own
    assert time.monotonic() - began < 5
    await daemon.shutdown(layout)


async def test_one_that_is_not_ours_to_start_is_waited_for_and_not_started(layout: Layout) -> None:
    with pytest.raises(TemporaryError) as error:
        await daemon.ensure_running(layout, patience=0.2, start=False)
    assert error.value.reason == "SupervisorDown"
    waiting = asyncio.ensure_future(daemon.ensure_running(layout, start=False))
    process = in_foreground(layout)
    try:
        assert await waiting == process.pid
    finally:
        await end(process)
        await daemon.shutdown(layout)


@pytest.mark.parametrize("abstract", [False, True])
async def test_the_service_manager_is_told_and_nobody_else_can(layout: Layout, abstract: bool) -> None:
    name = f"{layout.run_dir}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(10)
        process = in_foreground(layout, NOTIFY_SOCKET="@" + name[1:] if abstract else name)
        try:
            assert await asyncio.to_thread(manager.recv, 100) == b"READY=1"
            # Ready is ready: it answers at once, and keeps the way to its manager to itself.
            assert await daemon.supervisord_pid(layout) == process.pid
            supervisor = Supervisor(layout)
            await make_program(supervisor, "hub", "env")
            await supervisor.start("hub")
            await until(lambda: "VIDOPS_PROGRAM=hub" in text(layout.log_file("hub")), "its environment")
            assert "NOTIFY_SOCKET" not in text(layout.log_file("hub"))
        finally:
            await end(process)
            await daemon.shutdown(layout)


async def test_one_of_another_owner_is_refused(supervisor: Supervisor) -> None:
    path = f"{supervisor.layout.run_dir}/owner"
    token = daemon.owner_token(supervisor.layout)
    atomic_write(path, "0" * 32)
    with pytest.raises(PermanentError, match="not of this runtime directory"):
        await supervisor.ensure_running()
    atomic_write(path, token)


async def test_all_who_need_the_token_first_get_the_same(layout: Layout) -> None:
    for _ in range(20):
        tokens = await asyncio.gather(*(asyncio.to_thread(daemon.owner_token, layout) for _ in range(8)))
        assert len(set(tokens)) == 1
        assert len(tokens[0]) == 32
        os.unlink(f"{layout.run_dir}/owner")
    Path(layout.run_dir, "owner").write_text("")
    assert len(daemon.owner_token(layout)) == 32


async def test_a_refused_start_says_why(layout: Layout) -> None:
    # supervisord cannot write its log there.
    os.rename(f"{layout.run_dir}/logs", f"{layout.run_dir}/elsewhere")
    with pytest.raises(Exception, match=r"did not start: .*logs"):
        await daemon.ensure_running(layout)
