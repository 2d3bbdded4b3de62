"""JSON lines, written by a thread of their own: a reader that stalls must not stall requests."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import orjson

MAX_QUEUED = 20_000
"""Lines; what comes on top is counted and dropped."""
_BATCH = 256
_GATHER = 0.01
"""Seconds that lines are gathered for before they are written: waking the thread costs more than the line does."""
_LIKE_JSON = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_APPEND_NEWLINE


class JsonLog:
    """`log(record)` never blocks. Each line has `time` (Unix seconds) unless the record brings one."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._dropped = 0
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def __call__(self, record: Mapping[str, Any]) -> None:
        if len(self._lines) >= MAX_QUEUED:
            self._dropped += 1
            return
        self._lines.append(_line({"time": round(time.time(), 6), **record}))
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout: float = 2.0) -> None:
        """Write what is queued, for at most `timeout` seconds."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            if not self._closing:
                time.sleep(_GATHER)
            self._wake.clear()  # before the lines are looked at: one that comes after that wakes again
            while self._lines:
                batch = b"".join(self._lines.popleft() for _ in range(min(_BATCH, len(self._lines))))
                if not self._write(batch):
                    return
            if self._dropped:
                lost, self._dropped = self._dropped, 0
                self({"level": "warning", "event": "log_lines_dropped", "count": lost})
            if self._closing and not self._lines:
                return

    def _write(self, data: bytes) -> bool:
        """False when nobody can ever read it."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except OSError:
                return False
        return True


class SplitLog:
    """Records without a `level` tell of requests and go to `requests`; all others tell of the gateway, to `events`."""

    def __init__(self, requests: JsonLog, events: JsonLog) -> None:
        self._requests = requests
        self._events = events

    def __call__(self, record: Mapping[str, Any]) -> None:
        (self._events if "level" in record else self._requests)(record)

    def close(self) -> None:
        self._requests.close()
        self._events.close()


def _line(record: Mapping[str, Any]) -> bytes:
    """By orjson, which takes a tenth of the time. What it does not take (half of a surrogate pair, numbers of more than
    64 bits) json does, and what is not ASCII, to write it in escapes: a client's bytes are none of a terminal's
    business."""
    try:
        line = orjson.dumps(record, str, _LIKE_JSON)
        if line.isascii():
            return line
    except orjson.JSONEncodeError:
        pass
    return json.dumps(record, separators=(",", ":"), default=str).encode() + b"\n"


class JsonHandler(logging.Handler):
    """Passes what libraries log through `logging` on to `log`."""

    def __init__(self, log: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        line: dict[str, Any] = {
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["traceback"] = logging.Formatter().formatException(record.exc_info)
        self._log(line)
