"""The state database: what is committed stays, whatever happens."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vidops.errors import PermanentError, TemporaryError
from vidops.planning.plan import Applied
from vidops.resources.layout import Layout
from vidops.resources.resource import Ref
from vidops.runtime import state as module
from vidops.runtime.database import Database
from vidops.runtime.state import State


def test_revisions_are_numbered_and_remembered(layout: Layout) -> None:
    state = State(layout, now=lambda: 1000.0)
    assert state.last() is None
    first = state.commit("/s.yaml", {"/s.yaml": "a: ü\n", "/inc.yaml": ""}, "first")
    state.fail("/s.yaml", {"/s.yaml": "b"}, "no frame within 10s")
    state.close()

    again = State(layout)
    assert again.last() == first == again.revision(1)
    assert [(r.number, r.status) for r in again.history()] == [(2, "failed"), (1, "committed")]
    assert again.revision(3) is None
    assert again.commit("/s.yaml", {}, "").number == 3
    assert len(again.history(1)) == 1


def test_old_revisions_go_and_the_committed_one_stays(layout: Layout) -> None:
    state = State(layout)
    good = state.commit("/s", {}, "good")
    for _ in range(module.REVISIONS_KEPT + 20):
        state.fail("/s", {}, "bad")
    assert state.last() == good
    assert len(state.history(10_000)) == module.REVISIONS_KEPT + 21
    state.commit("/s", {}, "newer")
    assert len(state.history(10_000)) == module.REVISIONS_KEPT


def test_the_inventory(layout: Layout) -> None:
    state = State(layout)
    ref = Ref("source", "door")
    state.note(ref, Applied(ref, {"camera": "door", "x": [1, None]}, "abc", 1))
    newer = Applied(ref, {"camera": "door"}, "def", 2)
    state.note(ref, newer)
    other = Applied(Ref("hub", "hub"), {}, "0", 1)
    state.note(other.ref, other)
    state.close()
    state = State(layout)
    assert state.inventory() == {other.ref: other, ref: newer}
    state.note(ref, None)
    state.note(ref, None)
    assert list(state.inventory()) == [other.ref]


def test_events_are_a_ring(layout: Layout) -> None:
    state = State(layout)
    with state._database.transaction(durable=False) as connection:
        # The middle of a long life, without the long life.
        connection.execute("INSERT INTO events VALUES (50000, 0, 'Old', '', '', '{}')")
    for number in range(5):
        state.event("Started", f"source/cam-{number % 2}", "up", {"n": number})
    assert [e.data["n"] for e in state.events(3)] == [4, 3, 2]
    assert [e.data["n"] for e in state.events(subject="source/cam-1")] == [3, 1]
    for _ in range(200):
        state.event("Filler", "", "")
    with state._database.transaction(durable=False) as connection:
        connection.execute("UPDATE events SET number = number + 20000 WHERE number = (SELECT max(number) FROM events)")
    state.event("Last", "", "")
    assert {e.kind for e in state.events(10_000)} == {"Filler", "Last"}
    assert len(state.events(100_000)) == 2


@pytest.mark.parametrize("damage", ["garbage", "holes", "truncated"])
def test_a_corrupt_file_is_moved_aside_and_said(layout: Layout, damage: str) -> None:
    state = State(layout)
    for number in range(200):
        state.commit("/s", {"/s": "x" * 2000}, str(number))
    state.close()
    path = Path(layout.database)
    data = bytearray(path.read_bytes())
    if damage == "garbage":
        data[:] = b"not a database at all" * 1000
    elif damage == "holes":
        data[4096 : len(data) // 2] = os.urandom(len(data) // 2 - 4096)
    else:
        del data[len(data) // 2 :]
    path.write_bytes(data)

    state = State(layout)
    (event,) = state.events()
    assert event.kind == "StateRebuilt"
    assert Path(event.data["moved_to"]).read_bytes() == bytes(data)
    assert state.last() is None
    assert state.commit("/s", {}, "").number == 1


def test_threads_share_it(layout: Layout) -> None:
    state = State(layout)

    def work(name: str) -> None:
        for _ in range(20):
            state.event("Tick", name, "")
            state.note(Ref("source", name), Applied(Ref("source", name), {}, "f", 1))

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(state.events(1000)) == 80
    assert len(state.inventory()) == 4


def test_a_commit_survives_a_kill_with_9(layout: Layout) -> None:
    code = """
import os, signal, sys
from vidops.resources.layout import Layout
from vidops.runtime.state import State
state = State(Layout(*sys.argv[1:]))
number = state.commit("/s", {"/s": "x"}, "").number
os.write(1, str(number).encode())
os.kill(os.getpid(), signal.SIGKILL)
"""
    for expected in (1, 2, 3):
        argv = [sys.executable, "-c", code, layout.run_dir, layout.state_dir, layout.data_dir]
        assert subprocess.run(argv, stdout=subprocess.PIPE, check=False).stdout == str(expected).encode()
    last = State(layout).last()
    assert last is not None
    assert last.number == 3


def test_it_is_for_its_owner_alone(layout: Layout) -> None:
    State(layout).event("X", "", "")
    for path in Path(layout.state_dir).iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    assert Path(layout.state_dir).stat().st_mode & 0o077 == 0


def test_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "x.db")
    Database(path, ["CREATE TABLE a (b)", "CREATE TABLE c (d)"]).close()
    with pytest.raises(PermanentError, match="newer vidops"):
        Database(path, ["CREATE TABLE a (b)"])
    older = Database(
        path, ["CREATE TABLE a (b)", "CREATE TABLE c (d)", "ALTER TABLE c ADD COLUMN e; CREATE TABLE f (g)"]
    )
    assert older.read("SELECT name FROM sqlite_master ORDER BY name") == [("a",), ("c",), ("f",)]
    assert older.read("PRAGMA user_version") == [(3,)]
    assert older.moved_aside == ""


def test_a_failed_transaction_changes_nothing(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "x.db"), ["CREATE TABLE a (b UNIQUE)"])

    def insert_twice() -> None:
        with database.transaction() as connection:
            connection.execute("INSERT INTO a VALUES (1)")
            connection.execute("INSERT INTO a VALUES (1)")

    with pytest.raises(TemporaryError, match="UNIQUE"):
        insert_twice()
    assert database.read("SELECT * FROM a") == []
    os.unlink(database.path)
    assert database.lost


def test_a_place_that_cannot_be_used_is_named() -> None:
    with pytest.raises(PermanentError, match="/proc/nowhere"):
        State(Layout("", "/proc/nowhere", ""))
