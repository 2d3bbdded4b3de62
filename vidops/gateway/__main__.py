"""A gateway's process: `python -m vidops.gateway NAME[.WORKER] --run-dir R --state-dir S --data-dir D`.

Standard output has a line of JSON for each request that an access log sees, standard error all else.
Exit codes: 0 after SIGTERM, SIGINT or the control socket's drain; 1 where it cannot serve (the log says why).
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import logging
import os
import signal
import sys

import uvloop

from vidops.errors import VidopsError
from vidops.gateway.control import ControlSocket
from vidops.gateway.controlplane import ControlPlaneClient
from vidops.gateway.gateway import Gateway
from vidops.gateway.generation import Services
from vidops.gateway.log import JsonHandler, JsonLog, SplitLog
from vidops.resources.layout import Layout
from vidops.resources.resource import JSON
from vidops.runtime.hubclient import HubClient
from vidops.runtime.plugins import load_catalogue
from vidops.runtime.recordings import RecordingsReader
from vidops.runtime.secretrefs import secret

HUB_PATIENCE = 1.0
"""Seconds that the first answer of the hub is waited for at the start."""


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="vidops.gateway", description="Serves the routes of one gateway.")
    parser.add_argument("name")
    for place in ("run", "state", "data"):
        parser.add_argument(f"--{place}-dir", required=True)
    parser.add_argument("--plugins", default="{}", help="where they come from, and which are blocked, as JSON")
    return parser.parse_args(argv)


async def run(name: str, layout: Layout, plugins: JSON, log: SplitLog) -> int:
    """Serve as the process `name` of a gateway until told to end; returns the exit code."""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    cameras = HubClient(layout)
    await cameras.start()
    try:
        of, _, worker = name.partition(".")
        services = Services(
            gateway=of,
            worker=int(worker or 1),
            layout=layout,
            catalogue=load_catalogue(plugins),
            cameras=cameras,
            recordings=RecordingsReader(layout),
            control=ControlPlaneClient(layout.control_socket),
            secret=secret,
            log=log,
        )
        for plugin in services.catalogue.broken:
            log({"level": "warning", "event": "plugin_broken", "plugin": plugin.name, "error": plugin.error})
        # The first viewers shall not be told that the hub is not known yet. Without a hub, all else is served.
        await cameras.ready(HUB_PATIENCE)
        gateway = Gateway(services)
        control = ControlSocket(gateway, layout.gateway_socket(name), ending.set, log)
        await gateway.load()
        await control.open()
    except VidopsError as error:
        log({"level": "error", "event": "cannot_serve", "error": str(error)})
        await cameras.close()
        return 1
    renewing = asyncio.create_task(gateway.renewal.run(), name="renewed certificates")
    await ending.wait()
    renewing.cancel()
    log({"level": "info", "event": "ending"})
    control.close()
    await gateway.close()
    await cameras.close()
    log({"level": "info", "event": "ended"})
    return 0


def main(argv: list[str]) -> int:
    given = arguments(argv)
    log = SplitLog(requests=JsonLog(sys.stdout.fileno()), events=JsonLog(sys.stderr.fileno()))
    # Handlers load it when they are first built; half a second in the middle of a reload would be a pause of every
    # stream.
    importlib.import_module("quart")
    logging.basicConfig(level=logging.WARNING, handlers=[JsonHandler(log)])
    try:
        layout = Layout(given.run_dir, given.state_dir, given.data_dir)
        return uvloop.run(run(given.name, layout, json.loads(given.plugins), log))
    finally:
        log.close()


if __name__ == "__main__":
    # Not `sys.exit`: it waits for threads, and one may wait for a disk that hangs.
    os._exit(main(sys.argv[1:]))
