"""The process of an entry of `uploads`."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading

from vidops.errors import VidopsError
from vidops.resources.layout import Layout
from vidops.runtime.files import atomic_write
from vidops.runtime.index import RecordingsIndex
from vidops.runtime.plugins import load_catalogue
from vidops.runtime.secretrefs import secret
from vidops.uploader.worker import Uploader


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="vidops.uploader", description="Copies finished recordings elsewhere.")
    parser.add_argument("name")
    for place in ("run", "state", "data"):
        parser.add_argument(f"--{place}-dir", required=True)
    parser.add_argument("--options", required=True, help="its entry in the stack file, as JSON")
    parser.add_argument("--plugins", default="{}", help="where plugins come from, as JSON")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    given = arguments(argv)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    document = json.loads(given.options)
    try:
        kind = load_catalogue(json.loads(given.plugins)).uploads[document["type"]]
        options = kind.options.model_validate(document)
        layout = Layout(given.run_dir, given.state_dir, given.data_dir)
        uploader = Uploader(
            given.name,
            options.captures,
            RecordingsIndex(layout),
            kind.open(options, secret),
            lambda seconds: not stopping.wait(seconds),
            lambda report: atomic_write(layout.upload_file(given.name), json.dumps(report)),
        )
        uploader.run()
    except VidopsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    sys.exit(main(sys.argv[1:]))
