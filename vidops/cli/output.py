"""How commands speak: tables and colours for people, JSON and YAML for programs. rich is imported when it is used."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

FORMATS = ("table", "json", "yaml")
COLOURS = {
    "Healthy": "green",
    "Synced": "green",
    "Progressing": "yellow",
    "Suspended": "yellow",
    "OutOfSync": "yellow",
    "Missing": "red",
    "Degraded": "red",
}


def format_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`-o table|json|yaml`."""
    return click.option(
        "-o", "--output", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="Output format."
    )(command)


def colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def data(value: Any, form: str) -> None:
    """`value` as JSON or YAML."""
    if form == "yaml":
        import yaml

        print(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), end="")
    else:
        print(json.dumps(value, indent=2, ensure_ascii=False))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows under headings. Cells that name a health or sync state are coloured on a terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD if colour() else None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold", no_wrap=column not in ("MESSAGE", "ERROR", "REGISTERS"))
    for row in rows:
        made.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
    # A pipe gets a line for each row, however long: what reads it is grep.
    width = None if sys.stdout.isatty() else 10_000
    Console(no_color=not colour(), width=width, highlight=False).print(made)


@contextmanager
def progress(what: str, total: float) -> Iterator[Callable[[float], None]]:
    """A bar on a terminal, nothing when piped. Gives a function that is told how much of `total` is done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True, no_color="NO_COLOR" in os.environ), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def problems(lines: Iterable[str]) -> None:
    """A stack file's problems, one a line, and how many."""
    count = 0
    for text in lines:
        count += 1
        click.echo(text, err=True)
    click.echo(_red(f"{count} error{'s' if count != 1 else ''}."), err=True)


def error(text: str) -> None:
    click.echo(f"{_red('vidops:')} {text}", err=True)


def _red(text: str) -> str:
    return click.style(text, fg="red") if sys.stderr.isatty() and "NO_COLOR" not in os.environ else text


def plan_lines(lines: Iterable[str]) -> None:
    """A plan with its signs coloured."""
    colours = {"+": "green", "~": "yellow", "-": "red"}
    for text in lines:
        shade = colours.get(text[:1]) if text[1:2] == " " else None
        click.echo(click.style(text, fg=shade) if shade and colour() else text)


def plan_of(answer: Mapping[str, Any]) -> list[str]:
    """The lines of a plan that came as JSON."""
    from vidops.planning.diff import Change
    from vidops.planning.plan import Action, Applied, Plan, Verb
    from vidops.planning.show import lines
    from vidops.resources.impact import Impact
    from vidops.resources.resource import Ref

    actions = []
    for item in answer["actions"]:
        ref = Ref(item["kind"], item["name"])
        changes = tuple(Change(c["path"], Impact(c["impact"])) for c in item["changes"])
        actions.append(Action(Verb(item["verb"]), ref, old=Applied(ref, {}, ""), changes=changes))
    return list(lines(Plan(tuple(actions))))
