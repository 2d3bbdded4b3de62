"""`vidops` itself: global flags, lazy commands, and one way to fail."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from vidops import __version__
from vidops.cli import output
from vidops.errors import AlreadyRunningError, StackError, VidopsError

COMMANDS = {
    "apply": "Have a stack file taken over by the running control plane.",
    "capture": "Start, stop and list captures.",
    "check": "Check a stack file; all errors at once.",
    "completion": "Print a shell's completion script.",
    "devices": "List this host's video devices: whose each is, and why not.",
    "diff": "Like plan, with diff's exit codes: 0 same, 1 differs.",
    "history": "Revisions that were committed.",
    "logs": "Show a resource's log.",
    "plan": "Show what an apply would change.",
    "plugins": "List plugins and what they register.",
    "recordings": "List recorded segments.",
    "run": "Run the control plane in the foreground.",
    "schema": "Print the stack file's JSON Schema, with every plugin's options.",
    "status": "Show every resource: in sync? healthy?",
    "stop": "Stop the control plane and everything it runs.",
    "supervise": "Become the data plane's supervisord, for a service manager.",
}


class Lazy(click.Group):
    """Knows its commands by name; imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"vidops.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            if near:
                raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", ctx) from None
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "-V", "--version", message="vidops %(version)s")
@click.option("--run-dir", help="Sockets and generated files.  [env: VIDOPS_RUN_DIR]")
@click.option("--state-dir", help="Revisions, inventory, events.  [env: VIDOPS_STATE_DIR]")
@click.option("--data-dir", help="Recordings.  [env: VIDOPS_DATA_DIR]")
@click.option("--plugins-dir", multiple=True, help="A directory of single-file plugins; repeatable.")
@click.option("--no-color", is_flag=True, help="No colours (also NO_COLOR, or when piped).")
@click.pass_context
def root(ctx: click.Context, /, no_color: bool, plugins_dir: tuple[str, ...], **flags: str | None) -> None:
    """Make this host's cameras, recordings and gateways match one stack file, and keep them so."""
    if no_color:
        os.environ["NO_COLOR"] = "1"
    ctx.obj = {**flags, "plugins_dir": list(plugins_dir) or None}


def settings(ctx: click.Context) -> Any:
    """Host settings with the flags that were given."""
    from vidops.app.settings import load_settings

    return load_settings(**ctx.obj)


def run() -> None:
    """Exit codes: 0 done, 1 failed, 2 bad usage (or what a command says), 3 timed out, 130 interrupted."""
    try:
        code = root.main(prog_name="vidops", complete_var="_VIDOPS_COMPLETE", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except StackError as error:
        output.problems(map(str, error.problems))
        sys.exit(1)
    except AlreadyRunningError as error:
        output.error(str(error))
        sys.exit(4)
    except VidopsError as error:
        output.error(str(error))
        sys.exit(1)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read us has enough (`| head`); what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
