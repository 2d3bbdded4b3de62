"""The hub's process."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys

import uvloop

from vidops.hub.server import MAX_DERIVED, Hub
from vidops.resources.layout import Layout
from vidops.runtime.hubwire import MESSAGE_LIMIT
from vidops.runtime.supervisor import Supervisor

MAX_FRAME = 16 * 1024 * 1024
MAX_BACKLOG = 64 * 1024 * 1024
MOST = MESSAGE_LIMIT
"""What a client takes for a frame."""


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="vidops.hub", description="Frames in from sources, out to consumers.")
    parser.add_argument("--run-dir", required=True)
    parser.add_argument("--max-frame", type=_bytes, default=MAX_FRAME, help="bytes; a larger one is dropped")
    parser.add_argument(
        "--max-backlog", type=_bytes, default=MAX_BACKLOG, help="bytes that a reader of every frame may be behind"
    )
    parser.add_argument(
        "--max-derived", type=int, default=MAX_DERIVED, help="streams of another width, rate or codec at the same time"
    )
    return parser.parse_args(argv)


def _bytes(text: str) -> int:
    size = int(text)
    if not 0 < size <= MOST:
        raise argparse.ArgumentTypeError(f"between 1 and {MOST} bytes")
    return size


async def main(argv: list[str]) -> None:
    given = arguments(argv)
    # Nothing but the runtime directory is the hub's business: it knows of no recordings and no revisions.
    layout = Layout(given.run_dir, state_dir="", data_dir="")
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    hub = Hub(
        layout,
        Supervisor(layout),
        max_frame=given.max_frame,
        max_backlog=given.max_backlog,
        max_derived=given.max_derived,
    )
    await hub.run(stopping)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    uvloop.run(main(sys.argv[1:]))
