"""Programs under a real supervisord."""

from __future__ import annotations

import asyncio
import os
import select
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.runtime.conftest import make_program, text, until
from vidops.errors import PermanentError, TemporaryError
from vidops.ports import ProcessEvent
from vidops.resources.layout import Layout
from vidops.resources.specs import Program, SecretInput
from vidops.runtime import exec as shim
from vidops.runtime import supervisor_plugin
from vidops.runtime.procfs import environment, owned, state
from vidops.runtime.programs import remove_program, write_program
from vidops.runtime.supervisor import Supervisor
from vidops.runtime.supervisor_plugin import LAST_WORDS, PATIENCE, PERIOD, Become

pytestmark = pytest.mark.integration


async def test_a_program_is_started_seen_and_stopped(supervisor: Supervisor) -> None:
    await make_program(supervisor, "source.door", "sleep", "1000", fingerprint="abc")
    assert (await supervisor.inventory())["source.door"].state == "STOPPED"

    await supervisor.start("source.door")
    running = await supervisor.state("source.door")
    assert running.running
    assert running.pid
    await until(lambda: "VIDOPS_FINGERPRINT" in environment(running.pid), "the shim has become the program")
    env = environment(running.pid)
    assert env["VIDOPS_FINGERPRINT"] == "abc"
    assert env["VIDOPS_PROGRAM"] == "source.door"
    assert not [name for name in env if name.startswith("SUPERVISOR_")]

    await supervisor.start("source.door")
    assert (await supervisor.state("source.door")).pid == running.pid

    await supervisor.stop("source.door")
    stopped = await supervisor.state("source.door")
    assert stopped.state == "STOPPED"
    assert not os.path.exists(f"/proc/{running.pid}")
    await supervisor.stop("source.door")


async def test_an_unknown_program_is_a_permanent_error_and_stopping_it_is_fine(supervisor: Supervisor) -> None:
    with pytest.raises(PermanentError, match="there is no"):
        await supervisor.start("source.nowhere")
    with pytest.raises(PermanentError, match="not a program's name"):
        await supervisor.start("../../etc/passwd")
    await supervisor.stop("source.nowhere")
    await supervisor.forget(["source.nowhere"])


async def test_a_command_that_is_not_there_says_so_in_its_log(supervisor: Supervisor) -> None:
    await make_program(supervisor, "capture.x", "no-such-program-here")
    await supervisor.start("capture.x")
    log = supervisor.layout.log_file("capture.x")
    await until(lambda: "no such program" in text(log), "the shim's message")
    await until(lambda: "install it" in text(log), "what to do")
    async with asyncio.timeout(5):
        while (await supervisor.state("capture.x")).state != "EXITED":
            await asyncio.sleep(0.01)
    assert (await supervisor.state("capture.x")).exit_status == 127


async def test_start_takes_the_files_as_they_are_now(supervisor: Supervisor) -> None:
    await make_program(supervisor, "hub", "sh", "-c", "echo one; exec sleep 1000")
    await supervisor.start("hub")
    log = supervisor.layout.log_file("hub")
    await until(lambda: "one" in text(log), "the first argv")
    await supervisor.stop("hub")
    write_program(
        supervisor.layout, "hub", Program(argv=("sh", "-c", "trap '' TERM; echo two; sleep 1000"), stop_timeout=1), "g"
    )
    await supervisor.start("hub")
    await until(lambda: "two" in text(log), "the second argv")
    began = time.monotonic()
    await supervisor.stop("hub")
    # Ignores TERM: the new stop_timeout of 1 s (and not the old 5 s) has led to its end.
    assert time.monotonic() - began < 4


async def test_stop_kills_the_process_group_of_a_program_that_ignores_its_signal(supervisor: Supervisor) -> None:
    script = "trap '' TERM; (trap '' TERM; exec sleep 1000) & echo child $!; wait; wait"
    await make_program(supervisor, "loopback.g.n", "sh", "-c", script, stop=60)
    await supervisor.start("loopback.g.n")
    log = supervisor.layout.log_file("loopback.g.n")
    await until(lambda: "child" in text(log), "the child")
    child = int(text(log).split()[-1])
    began = time.monotonic()
    await supervisor.stop("loopback.g.n", timeout=0.3)
    assert time.monotonic() - began < 3
    await until(lambda: state(child) in "ZX", "the grandchild is gone")


@pytest.mark.parametrize("signal", ["TERM", "INT"])
async def test_a_stop_right_after_a_start_is_not_lost(supervisor: Supervisor, signal: str) -> None:
    names = [f"source.cam-{number}" for number in range(20)]
    for name in names:
        write_program(
            supervisor.layout, name, Program(argv=("sleep", "1000"), stop_signal=signal, stop_timeout=30), "f"
        )

    async def start_and_stop(name: str) -> None:
        await supervisor.start(name)
        await supervisor.stop(name, timeout=30)

    began = time.monotonic()
    await asyncio.gather(*map(start_and_stop, names))
    assert time.monotonic() - began < 15
    assert {state.state for state in (await supervisor.inventory()).values()} == {"STOPPED"}
    assert "Traceback" not in "".join(text(supervisor.layout.log_file(name)) for name in names)


async def test_a_program_starts_with_the_usual_signals(supervisor: Supervisor) -> None:
    await make_program(supervisor, "hub", "cat", "/proc/self/status")
    await supervisor.start("hub")
    log = supervisor.layout.log_file("hub")
    await until(lambda: "SigCgt" in text(log), "its answer")
    status = dict(line.split(":", 1) for line in text(log).splitlines())
    # Signals from 32 on are the C library's own: it may have been told to ignore one long before us.
    usual = (1 << 31) - 1
    assert (int(status["SigBlk"], 16) & usual, int(status["SigIgn"], 16) & usual) == (0, 0)


async def test_two_stops_at_once_both_wait_until_it_is_gone(supervisor: Supervisor) -> None:
    await make_program(
        supervisor, "hub", "sh", "-c", "trap 'sleep 0.3; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    )
    await supervisor.start("hub")
    await until(lambda: "up" in text(supervisor.layout.log_file("hub")), "the trap is set")
    pid = (await supervisor.state("hub")).pid

    async def stop() -> bool:
        await supervisor.stop("hub")
        return os.path.exists(f"/proc/{pid}")

    assert list(await asyncio.gather(stop(), stop())) == [False, False]


async def test_forget_stops_and_makes_unknown(supervisor: Supervisor) -> None:
    for name in ("source.a", "source.b"):
        await make_program(supervisor, name, "sleep", "1000")
        await supervisor.start(name)
    pid = (await supervisor.state("source.a")).pid
    other = (await supervisor.state("source.b")).pid
    await supervisor.forget(["source.a"])
    assert set(await supervisor.inventory()) == {"source.b"}
    assert not os.path.exists(f"/proc/{pid}")
    assert (await supervisor.state("source.b")).pid == other
    remove_program(supervisor.layout, "source.a")
    assert not os.path.exists(supervisor.layout.spec_file("source.a"))


async def test_events_come_in_order_and_at_once(supervisor: Supervisor) -> None:
    await make_program(supervisor, "hub", "sleep", "1000")
    events: list[ProcessEvent] = []
    times: list[float] = []

    async def listen() -> None:
        async for event in supervisor.events():
            events.append(event)
            times.append(time.monotonic())

    async with asyncio.TaskGroup() as group:
        task = group.create_task(listen())
        await until(lambda: [e.state for e in events] == ["RESYNC"], "the first event")
        await supervisor.start("hub")
        pid = (await supervisor.state("hub")).pid
        await until(lambda: len(events) == 3, "STARTING and RUNNING")
        killed = time.monotonic()
        os.kill(pid, 9)
        await until(lambda: len(events) == 4, "EXITED")
        # supervisord by itself looks up to a second later.
        assert times[-1] - killed < 0.5
        task.cancel()
    assert [e.state for e in events] == ["RESYNC", "STARTING", "RUNNING", "EXITED"]
    assert events[2].pid == events[3].pid == pid
    assert not events[3].expected
    assert (await supervisor.state("hub")).exit_status == -1


async def test_signals_reach_the_process(supervisor: Supervisor) -> None:
    await make_program(supervisor, "hub", "sh", "-c", "trap 'echo got it' USR1; echo up; while :; do sleep 0.05; done")
    with pytest.raises(TemporaryError, match="does not run"):
        await supervisor.signal("hub", "USR1")
    await supervisor.start("hub")
    log = supervisor.layout.log_file("hub")
    await until(lambda: "up" in text(log), "the trap is set")
    await supervisor.signal("hub", "USR1")
    await until(lambda: "got it" in text(log), "the signal")
    with pytest.raises(TemporaryError, match="one of"):
        await supervisor.signal("hub", "SEGV")


async def test_two_hundred_programs_are_known_quickly(supervisor: Supervisor) -> None:
    names = [f"source.cam-{number}" for number in range(200)]
    for name in names:
        write_program(supervisor.layout, name, Program(argv=("sleep", "1000")), "f")
    began = time.monotonic()
    await supervisor.ensure(names)
    ensured = time.monotonic() - began
    assert set(await supervisor.inventory()) == set(names)
    began = time.monotonic()
    await supervisor.ensure(names)
    again = time.monotonic() - began
    print(f"200 programs: ensure {ensured * 1000:.0f} ms, once more {again * 1000:.0f} ms")
    assert ensured < 5
    await supervisor.start(names[0])
    await supervisor.forget(names[1:])
    assert set(await supervisor.inventory()) == {names[0]}


async def test_without_a_supervisord_every_call_says_so(layout: Layout) -> None:
    with pytest.raises(TemporaryError) as error:
        await Supervisor(layout).inventory()
    assert error.value.reason == "SupervisorDown"
    assert owned("no such token") == []


@pytest.fixture
def telling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs whose files name an interpreter that says when it is started."""
    interpreter = tmp_path / "python"
    interpreter.write_text(f'#!/bin/sh\necho an interpreter\nexec {sys.executable} "$@"\n')
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))


@pytest.mark.usefixtures("telling")
async def test_a_start_needs_no_interpreter(supervisor: Supervisor) -> None:
    code = 'trap "echo term; exit 3" TERM; kill -TERM $$; umask; cat /proc/$$/status'
    await make_program(supervisor, "source.door", "sh", "-c", code)
    await supervisor.start("source.door")
    log = supervisor.layout.log_file("source.door")
    await until(lambda: "term" in text(log), "its own handler")
    assert text(log) == "term\n"
    await make_program(supervisor, "source.gate", "sh", "-c", "umask; cat /proc/self/status; ls -l /proc/self/fd")
    await supervisor.start("source.gate")
    log = supervisor.layout.log_file("source.gate")
    await until(lambda: "total" in text(log), "what it is like")
    told = text(log)
    assert told.startswith("0077\n")
    # Nothing of supervisord's is left: no signal held back or ignored, no file but the three of every program.
    masks = {line[:6]: int(line[7:], 16) for line in told.splitlines() if line.startswith(("SigBlk", "SigIgn"))}
    assert masks["SigBlk"] == 0
    # Others may be ignored where the tests were started so.
    assert masks["SigIgn"] & sum(1 << number - 1 for number in shim.HANDLED) == 0
    assert [row.split()[-3] for row in told.splitlines() if " -> " in row] == ["0", "1", "2", "3"]


@pytest.mark.usefixtures("telling")
async def test_secrets_in_what_it_reads_need_an_interpreter_that_stays(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2-hunter2")
    hidden = SecretInput(text="@secret:word@", values={"word": {"file": str(tmp_path / "secret")}})
    program = Program(argv=("sh", "-c", "cat @secret_input@; echo; echo done; sleep 1000"), secret_input=hidden)
    write_program(supervisor.layout, "source.door", program, "f")
    await supervisor.start("source.door")
    log = supervisor.layout.log_file("source.door")
    await until(lambda: "done" in text(log), "its words")
    assert text(log) == "an interpreter\n***\ndone\n"


async def test_the_last_words_of_a_program_with_secrets_are_heard(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2-hunter2")
    hidden = SecretInput(text="@secret:word@", values={"word": {"file": str(tmp_path / "secret")}})
    program = Program(argv=("sh", "-c", "cat @secret_input@; echo; echo done; exit 7"), secret_input=hidden)
    write_program(supervisor.layout, "source.door", program, "f")
    for turn in range(1, 11):
        await supervisor.start("source.door")
        while not (state := await supervisor.state("source.door")).stopped:
            await asyncio.sleep(0.01)
        assert state.exit_status == 7
        assert text(supervisor.layout.log_file("source.door")) == "***\ndone\n" * turn


async def test_who_outlives_its_program_is_not_waited_for(supervisor: Supervisor) -> None:
    await make_program(supervisor, "source.door", "sh", "-c", "sleep 1000 & echo done; exit 7")
    await supervisor.start("source.door")
    begun = time.monotonic()
    while not (await supervisor.state("source.door")).stopped:
        await asyncio.sleep(0.01)
    assert time.monotonic() - begun < 1.0
    assert text(supervisor.layout.log_file("source.door")) == "done\n"


def test_many_that_outlive_their_programs_are_waited_for_together_no_longer_than_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """supervisord does nothing else meanwhile, so what it waits is bounded in all. The clock here is what it waits."""
    now = [1000.0]

    class Poller:
        def register(self, descriptor: int, events: int) -> None:
            assert (descriptor, events) == (7, select.POLLIN)

        def poll(self, milliseconds: float) -> list[object]:
            now[0] += milliseconds / 1000
            return []

    monkeypatch.setattr(supervisor_plugin, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(supervisor_plugin, "select", SimpleNamespace(poll=Poller, POLLIN=select.POLLIN))
    monkeypatch.setattr(supervisor_plugin, "_group_lives", lambda pid: True)
    drained: list[Any] = []
    drain = supervisor_plugin._patiently(drained.append)
    # Nobody closes this output, as a descendant does that goes on.
    output = SimpleNamespace(fd=7, readable=lambda: True)
    processes = [SimpleNamespace(pid=n, dispatchers={7: output}) for n in range(50)]

    def waited(them: list[Any]) -> float:
        begun = now[0]
        for process in them:
            drain(process)
        return now[0] - begun

    assert waited(processes[:1]) == pytest.approx(LAST_WORDS)
    assert waited(processes[1:]) == pytest.approx(PATIENCE - LAST_WORDS)
    assert drained == processes, "and what they have said is read all the same"
    now[0] += PERIOD
    assert waited(processes) == pytest.approx(PATIENCE), "later, there is patience again"


def test_a_shim_that_is_newer_than_supervisord_is_not_replaced_by_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "exec.py"
    file.write_text("# as it is")
    ran: list[str] = []
    monkeypatch.setattr(shim, "__file__", str(file))
    monkeypatch.setattr(supervisor_plugin, "_leave_files", lambda: None)
    monkeypatch.setattr(shim, "run", lambda path, **_: ran.append(path))
    become = Become(lambda path, argv, env: ran.append(path))
    become("python", ["python", "-I", "-S", str(file), "spec"], dict(os.environ))
    assert ran == ["spec", "python"]
    file.write_text("# as another version has it")
    become("python", ["python", "-I", "-S", str(file), "spec"], dict(os.environ))
    file.unlink()
    become("python", ["python", "-I", "-S", str(file), "spec"], dict(os.environ))
    become("sleep", ["sleep", "1"], dict(os.environ))
    assert ran == ["spec", "python", "python", "python", "sleep"]
