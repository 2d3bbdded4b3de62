"""Patience with nodes: a call that hangs is given up, many that take their time are not."""

from __future__ import annotations

import threading
import time

import pytest

from vidops.v4l2 import node
from vidops.v4l2.node import Ioctl, asked


def test_a_call_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    hung = threading.Event()

    def hang(ioctl: Ioctl) -> None:
        hung.wait()

    begun = time.monotonic()
    with pytest.raises(TimeoutError, match="/dev/null did not answer"):
        asked("/dev/null", hang, patience=0.05)
    assert time.monotonic() - begun < 1
    hung.set()


def test_many_calls_may_take_longer_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node.fcntl, "ioctl", lambda *_: b"")

    def enumerate_(ioctl: Ioctl) -> int:
        for _ in range(20):
            ioctl(0, b"")
            time.sleep(0.02)
        return 20

    assert asked("/dev/null", enumerate_, patience=0.1) == 20


def test_a_device_that_keeps_one_busy_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node.fcntl, "ioctl", lambda *_: b"")
    over = threading.Event()

    def endless(ioctl: Ioctl) -> None:
        while not over.wait(0.002):
            ioctl(0, b"")

    with pytest.raises(TimeoutError):
        asked("/dev/null", endless, patience=0.02)
    over.set()


def test_what_cannot_be_opened_is_said() -> None:
    with pytest.raises(FileNotFoundError):
        asked("/nonexistent", lambda _: None)
