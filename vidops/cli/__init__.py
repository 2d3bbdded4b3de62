"""The command line: one file a command, imported when it is called (the CLI starts fast)."""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point `vidops`."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        # Before anything is imported: this is what scripts call most.
        from vidops import __version__

        print(f"vidops {__version__}")
        return
    from vidops.cli.root import run

    run()
