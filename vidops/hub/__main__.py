"""The hub's process."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys

import uvloop

from vidops.hub.server import Hub
from vidops.resources.layout import Layout
from vidops.resources.specs import HubSpec
from vidops.runtime.supervisor import Supervisor


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="vidops.hub", description="Frames in from sources, out to consumers.")
    for place in ("run", "state", "data"):
        parser.add_argument(f"--{place}-dir", required=True)
    for limit in ("max_frame", "max_backlog"):
        default = HubSpec.model_fields[limit].default
        parser.add_argument(f"--{limit.replace('_', '-')}", type=int, default=default, help="bytes")
    return parser.parse_args(argv)


async def main(argv: list[str]) -> None:
    given = arguments(argv)
    layout = Layout(given.run_dir, given.state_dir, given.data_dir)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    hub = Hub(layout, Supervisor(layout), max_frame=given.max_frame, max_backlog=given.max_backlog)
    await hub.run(stopping)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    uvloop.run(main(sys.argv[1:]))
