"""The log: whole lines of JSON, and nobody waits for whoever reads them."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from vidops.gateway.log import MAX_QUEUED, JsonHandler, JsonLog, SplitLog


@dataclass
class Pipe:
    """A log that writes into a pipe."""

    read: int
    write: int
    log: JsonLog

    def lines(self) -> list[dict[str, Any]]:
        """All of it; the log is closed."""
        self.log.close()
        os.set_blocking(self.read, False)
        text = b""
        while True:
            try:
                data = os.read(self.read, 1 << 20)
            except BlockingIOError:
                break
            text += data
            if not data:
                break
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def pipes() -> Iterator[list[Pipe]]:
    made = []
    for _ in range(2):
        read, write = os.pipe()
        made.append(Pipe(read, write, JsonLog(write)))
    yield made
    for pipe in made:
        os.close(pipe.read)
        pipe.log.close()
        os.close(pipe.write)


def test_each_record_is_a_line_with_its_time(pipes: list[Pipe]) -> None:
    pipe = pipes[0]
    before = time.time()
    pipe.log({"event": "a", "text": 'line\nbreak "quoted" \u2028 \udcff é'})
    pipe.log({"time": 1.5, "odd": object})
    first, second = pipe.lines()
    assert before - 1 <= first["time"] <= time.time() + 1
    assert first["text"].startswith('line\nbreak "quoted"')
    assert second["time"] == 1.5


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("plain \x7f", "plain \x7f"),
        ("\x9b31m \u202e é", "\x9b31m \u202e é"),
        ("half \udcff", "half \udcff"),
        (1 << 70, 1 << 70),
        ({1: "one"}, {"1": "one"}),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
        (Pipe, str(Pipe)),
    ],
)
def test_a_line_is_ascii_whatever_is_in_it(pipes: list[Pipe], value: Any, read: Any) -> None:
    """What stands in a request must not move the cursor of whoever reads the log."""
    pipe = pipes[0]
    pipe.log({"value": value})
    pipe.log.close()
    text = os.read(pipe.read, 10_000)
    assert text.isascii()
    assert text.count(b"\n") == 1
    assert json.loads(text)["value"] == read


def test_a_reader_that_stalls_holds_up_nobody_and_learns_what_it_missed(pipes: list[Pipe]) -> None:
    pipe = pipes[0]
    began = time.monotonic()
    sent = MAX_QUEUED + 5000
    for n in range(sent):
        pipe.log({"n": n, "padding": "x" * 20})
    assert time.monotonic() - began < 5
    seen: list[dict[str, Any]] = []
    rest = b""
    while not seen or seen[-1].get("event") != "log_lines_dropped":
        *lines, rest = (rest + os.read(pipe.read, 1 << 20)).split(b"\n")
        seen += [json.loads(line) for line in lines]
    numbers = [line["n"] for line in seen if "n" in line]
    assert numbers == sorted(numbers)
    assert len(numbers) + sum(line.get("count", 0) for line in seen) == sent


def test_without_a_reader_it_goes_on(pipes: list[Pipe]) -> None:
    read, write = os.pipe()
    os.close(read)
    log = JsonLog(write)
    for _ in range(100):
        log({"event": "unheard"})
    log.close()
    os.close(write)


def test_requests_and_events_have_their_own_ways(pipes: list[Pipe]) -> None:
    requests, events = pipes
    log = SplitLog(requests.log, events.log)
    log({"event": "request", "path": "/"})
    log({"level": "error", "event": "request_failed"})
    assert [line["event"] for line in requests.lines()] == ["request"]
    assert [line["event"] for line in events.lines()] == ["request_failed"]


def test_what_libraries_log_comes_as_json_with_its_traceback(pipes: list[Pipe]) -> None:
    pipe = pipes[0]
    handler = JsonHandler(pipe.log)
    try:
        raise RuntimeError("inside")
    except RuntimeError as error:
        details = (type(error), error, error.__traceback__)
        handler.emit(logging.LogRecord("lib", logging.ERROR, __file__, 1, "it %s", ("failed",), details))
    (line,) = pipe.lines()
    assert (line["level"], line["logger"], line["message"]) == ("error", "lib", "it failed")
    assert "RuntimeError: inside" in line["traceback"]
