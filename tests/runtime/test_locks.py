"""The runtime directory and its lock, across processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from vidops.errors import AlreadyRunningError, PermanentError
from vidops.resources.layout import Layout
from vidops.runtime.locks import RunLock, find_holder, make_tree

HOLDER = """
import sys, time
from vidops.resources.layout import Layout
from vidops.runtime.locks import RunLock
lock = RunLock.acquire(Layout(sys.argv[1], "", ""), stack="/etc/vidops/stack.yaml")
lock.update(address="http://127.0.0.1:8080")
print("held", flush=True)
time.sleep(1000)
"""


def test_a_second_one_is_told_whose_and_where_and_a_kill_frees_it(layout: Layout) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, layout.run_dir], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    try:
        found = find_holder(layout)
        assert found is not None
        assert (found.pid, found.stack) == (holder.pid, "/etc/vidops/stack.yaml")
        with pytest.raises(AlreadyRunningError) as error:
            RunLock.acquire(layout, stack="other.yaml")
        said = str(error.value)
        for part in (f"pid {holder.pid}", "user ", "/etc/vidops/stack.yaml", "http://127.0.0.1:8080", layout.run_dir):
            assert part in said
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert find_holder(layout) is None
    with RunLock.acquire(layout, stack="other.yaml") as lock:
        assert find_holder(layout) == lock.holder
    assert find_holder(layout) is None
    lock.release()


def test_what_a_killed_one_had_half_written_is_removed(layout: Layout) -> None:
    half = Path(f"{layout.spec_file('hub')}.0badcafe.new")
    whole = Path(layout.spec_file("hub"))
    half.write_text("{")
    whole.write_text("{}")
    RunLock.acquire(layout, stack="s").release()
    assert not half.exists()
    assert whole.exists()


def test_looking_does_not_keep_others_from_taking(layout: Layout) -> None:
    for _ in range(50):
        assert find_holder(layout) is None
        RunLock.acquire(layout, stack="s").release()


def test_a_directory_too_long_for_sockets(layout: Layout) -> None:
    long = Layout(f"{layout.run_dir}/{'x' * 40}", "", "")
    with pytest.raises(PermanentError, match=r"bytes too long.*--run-dir"):
        make_tree(long)
    assert not os.path.exists(long.run_dir)


def test_a_directory_full_of_other_things_is_not_touched() -> None:
    root = tempfile.mkdtemp(prefix="vo", dir="/tmp")
    Path(root, "mine").write_text("")
    os.chmod(root, 0o755)
    try:
        with pytest.raises(PermanentError, match="holds other things"):
            make_tree(Layout(root, "", ""))
        assert os.stat(root).st_mode & 0o777 == 0o755
        with pytest.raises(PermanentError):
            make_tree(Layout("/tmp", "", ""))
    finally:
        Path(root, "mine").unlink()
        os.rmdir(root)


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a directory away takes root")
def test_somebody_elses_directory_is_refused() -> None:
    root = tempfile.mkdtemp(prefix="vo", dir="/tmp")
    os.chown(root, 65534, 65534)
    try:
        with pytest.raises(PermanentError, match="belongs to nobody"):
            make_tree(Layout(root, "", ""))
    finally:
        os.rmdir(root)


def test_a_directory_that_cannot_be_made() -> None:
    with pytest.raises(PermanentError, match="cannot be used"):
        make_tree(Layout("/proc/vidops", "", ""))
