"""Watching stack files through every dance that editors, git and Kubernetes do. Real files, real inotify."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from vidops.reconcile.watch import changes, digest, watched


async def noticed(files: list[str], act: Callable[[], object], *, within: float = 5.0) -> None:
    """Fails where no change is yielded after `act`."""
    stop = asyncio.Event()
    stream = changes(lambda: files, stop)
    first: Awaitable[None] = stream.__anext__()
    waiting = asyncio.ensure_future(first)
    await asyncio.sleep(0)  # what was before is seen now; whatever comes after is a change
    assert not waiting.done()
    act()
    await asyncio.wait_for(waiting, within)
    stop.set()
    await stream.aclose()  # type: ignore[attr-defined]


def replace_atomically(path: Path, text: str) -> None:
    new = path.with_name(".new")
    new.write_text(text)
    new.replace(path)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "stack.yaml"
    path.write_text("a")
    return path


async def test_a_write_in_place(stack: Path) -> None:
    await noticed([str(stack)], lambda: stack.write_text("b"))


async def test_an_atomic_replace(stack: Path) -> None:
    await noticed([str(stack)], lambda: replace_atomically(stack, "b"))


async def test_vims_dance(stack: Path) -> None:
    def save() -> None:
        backup = stack.with_name("stack.yaml~")
        stack.rename(backup)
        stack.write_text("b")
        backup.unlink()

    await noticed([str(stack)], save)


async def test_a_symlink_swap_beside_the_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stack.yaml").write_text(name)
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "stack.yaml").symlink_to("..data/stack.yaml")

    def swap() -> None:
        (tmp_path / "..new").symlink_to("two")
        os.replace(tmp_path / "..new", tmp_path / "..data")

    await noticed([str(tmp_path / "stack.yaml")], swap)


async def test_a_directory_that_is_replaced_as_a_whole(tmp_path: Path) -> None:
    checkout, other = tmp_path / "checkout", tmp_path / "other"
    for folder, text in ((checkout, "a"), (other, "b")):
        folder.mkdir()
        (folder / "stack.yaml").write_text(text)

    def swap() -> None:
        checkout.rename(tmp_path / "old")
        other.rename(checkout)

    await noticed([str(checkout / "stack.yaml")], swap)


async def test_an_include_that_appears(stack: Path, tmp_path: Path) -> None:
    missing = tmp_path / "later.yaml"
    await noticed([str(stack), str(missing)], lambda: missing.write_text("now"))


async def test_the_same_content_again_is_no_change(stack: Path) -> None:
    with pytest.raises(TimeoutError):
        await noticed([str(stack)], lambda: replace_atomically(stack, "a"), within=1.0)


def test_a_digest_tells_content_not_inodes(stack: Path) -> None:
    before = digest([str(stack)])
    replace_atomically(stack, "a")
    assert digest([str(stack)]) == before
    replace_atomically(stack, "b")
    assert digest([str(stack)]) != before


def test_a_link_that_goes_in_circles_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert str(tmp_path) in watched([str(tmp_path / "a")])
    assert digest([str(tmp_path / "a")])[0][1] == b""
